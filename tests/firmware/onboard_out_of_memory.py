# Runs in MicroPython with the module _inject: every step of a session, with every one of its allocations failing.
#
# Arguments: this folder, a model, a folder to work in, a learner's settings (JSON), "board" or "thread": how Ctrl-C is
# held back, the steps (JSON). Prints a line of JSON for each step: its allocations, and how often each
# outcome was. Whatever may not happen is an AssertionError.

import json
import os
import sys

import _inject

sys.path.append(sys.argv[1])
import bitreplay
from bitreplay import learner, safetensors
from synthetic import Synthetic, show, teach

model, folder, settings, steps = sys.argv[2], sys.argv[3], json.loads(sys.argv[4]), json.loads(sys.argv[6])


class WithoutSync:
    """Stands for the module os: there sync() allocates nothing, but waits for all the disks of the machine."""

    stat, rename, remove = os.stat, os.rename, os.remove


assert hasattr(os, "sync")
safetensors.os = WithoutSync


class Console:
    """Stands for the module micropython, where a board's Ctrl-C is set."""


def kbd_intr(character):
    console.character = character


console = Console()
console.character, console.kbd_intr = 3, kbd_intr

if sys.argv[5] == "board":
    # Only the unix port holds Ctrl-C by a thread.
    with open(bitreplay.__file__.replace("__init__", "interrupts")) as file:
        source = file.read()
    of_unix = '("linux", "darwin")'
    assert of_unix in source
    sys.modules["micropython"], names = console, {}
    exec(source.replace(of_unix, "()"), names)
    del sys.modules["micropython"]
    assert names["kbd_intr"] is kbd_intr
    learner.held = names["held"]


def fail(step, prepared, n, all_later):
    """Runs step(prepared) with its n-th allocation failing: (did it come to that, was it a MemoryError)."""
    failed = False
    _inject.after(n, all_later)
    try:
        step(prepared)
    except MemoryError:
        failed = True
    finally:
        reached = _inject.count() >= n
        _inject.after(0)
    return reached, failed


def every(name, prepare, step, check):
    """Fails each allocation of step(prepare()), alone and with all that follow; check(prepared, failed) -> outcome."""
    if name not in steps:
        return
    for all_later in (False, True):
        n, outcomes = 0, {}
        while True:
            prepared = prepare()
            n += 1
            reached, failed = fail(step, prepared, n, all_later)
            assert console.character == 3, (name, n, "Ctrl-C is off")
            if not reached:
                break
            try:
                outcome = check(prepared, failed)
            except Exception as error:
                print("%s: allocation %d failed, all later ones too: %s" % (name, n, all_later))
                raise error
            outcomes[outcome] = outcomes.get(outcome, 0) + 1
        show(step=name, all_later=all_later, allocations=n - 1, outcomes=outcomes)


def content(path):
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return None


def put(path, data):
    if data is not None:
        with open(path, "wb") as file:
            file.write(data)
    elif content(path) is not None:
        os.remove(path)


# A model.


def loads_again(_, failed):
    assert bitreplay.load(model).digest == net.digest
    return "failed" if failed else "done"


net = bitreplay.load(model)
every("load the network", lambda: None, lambda _: bitreplay.load(model), loads_again)


def classifies_again(net, failed):
    assert net.classify(image) == classified
    return "failed" if failed else "done"


synthetic = Synthetic(net.latent_bytes)
image = synthetic.image(1, net.image_bytes)
classified = net.classify(image) if net.labels else None
every("classify", lambda: bitreplay.load(model), lambda net: net.classify(image), classifies_again)

# A learner.


def construct(_):
    return bitreplay.Learner(net, **settings)


def constructs_again(_, failed):
    assert construct(None).digest() == empty
    return "failed" if failed else "done"


empty = construct(None).digest()
every("construct", lambda: None, construct, constructs_again)

# One that has learned, with a full replay memory and fresh samples. Its list of four labels must grow for another.
me = construct(None)
teach(me, synthetic, (0, 1, 2), 4)
me.learn(1, progress=False)
teach(me, synthetic, (0, 1, 3), 2)
before, old = me.digest(), folder + "/before.safetensors"
me.save(old)
old_content = content(old)


def ready():
    return bitreplay.Learner.load(net, old)


def digest_after(step):
    me = ready()
    step(me)
    return me.digest()


def unchanged_or_done(step):
    """A check: the step has done nothing or all of it, and done again it comes to the same."""
    after = digest_after(step)

    def check(me, failed):
        assert me.digest() == (before if failed else after)
        if failed:
            step(me)
            assert me.digest() == after
        return "failed" if failed else "done"

    return check


for name, step in (
    ("see", lambda me: me.see(image, 1)),
    ("see a new class", lambda me: me.see(image, "new")),
    ("see a latent of a new class", lambda me: me.see_latent(bytes(net.latent_bytes), "new")),
    ("undo", lambda me: me.undo()),
    ("predict", lambda me: me.predict(image)),
):
    every(name, ready, step, unchanged_or_done(step))

# Learning.


def packed(me):
    """The signs of the trained layers."""
    return [bytes(part.packed) for part in me.trainer.parts] if me.trainer else []


def usable(me):
    """It predicts, saves and loads, and goes on as the one that was loaded does."""
    path = folder + "/usable.safetensors"
    me.predict(image)
    me.save(path)
    other = bitreplay.Learner.load(net, path)
    assert other.digest() == me.digest() and packed(other) == packed(me)
    for one in (me, other):
        one.see(image, "new")
        one.learn(1, progress=False)
    assert me.digest() == other.digest() and me.fresh.n == 0 and me.labels[-1] == "new"


def kept(me):
    """What an end of learn() that is not reached must not touch."""
    samples = [bytes(s.latents) + bytes(s.classes) for s in (me.fresh, me.replay)]
    return samples, me.fresh.n, me.replay.n, me.experiences, me.labels


def learn(me):
    me.learn(2, progress=report)


def report(*_):
    pass


after = digest_after(learn)
kept_before, packed_before = kept(ready()), packed(ready())


def has_learned_or_not(me, failed):
    assert not me.learning
    digest = me.digest()
    if not failed:
        assert digest == after
        return "done"
    # Not absorbed, nor even in part.
    assert kept(me) == kept_before
    if digest == before:
        assert packed(me) == packed_before
        learn(me)
        assert me.digest() == after
        return "failed, nothing learned"
    # Its new class is known only if what was learned is consolidated.
    outcome = "failed, consolidated" if me.head.past[3] else "failed, not consolidated"
    assert list(me.head.past[:3]) == list(ready().head.past[:3])
    usable(me)
    return outcome


every("learn", ready, learn, has_learned_or_not)

# Files.

path = folder + "/me.safetensors"
learn(me)
new = me.digest()
put(path, None)
me.save(path)
new_content = content(path)
assert new_content != old_content


def files(there, unfinished):
    """A preparation: these contents at path and at path + ".new"."""

    def prepare():
        put(path, there)
        put(path + ".new", unfinished)

    return prepare


def loads_old_or_new(*allowed):
    """A check: a load finds one of these digests, or with None no file; then a save works and leaves only its file."""

    def check(_, failed):
        found = None
        try:
            found = bitreplay.Learner.load(net, path).digest()
        except OSError:
            pass
        assert found in allowed if failed else found == new, found
        assert me.digest() == new
        me.save(path)
        assert content(path) == new_content and content(path + ".new") is None
        if not failed:
            return "done"
        return {before: "failed, old", new: "failed, new", None: "failed, none"}[found]

    return check


def save(_):
    me.save(path)


half = old_content[: len(old_content) // 2]
every("save the first", files(None, None), save, loads_old_or_new(None, new))
every("save over another", files(old_content, None), save, loads_old_or_new(before, new))
every("save over a torn save", files(old_content, half), save, loads_old_or_new(before, new))
# FAT was cut off in the middle of a rename: the one file is under the name of the unfinished one.
every("save over a torn rename", files(None, old_content), save, loads_old_or_new(before, new))


def load(_):
    bitreplay.Learner.load(net, path)


def still_loads(_, failed):
    assert bitreplay.Learner.load(net, path).digest() == before
    assert content(path) == old_content and content(path + ".new") is None
    return "failed" if failed else "done"


every("load", files(old_content, None), load, still_loads)
every("load after a torn rename", files(None, old_content), load, still_loads)
