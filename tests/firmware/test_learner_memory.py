"""The memory budget by formula, and what the heap says."""

import re
from array import array
from collections import Counter

import deep
import pytest
from bitreplay import Learner, heap, load, plan
from learners import run

import models


def buffers(me):
    """{bytes: how many} of the distinct buffers that a learner and its parts own, and of the reserve for a save; views
    are none."""
    things = [me, me.replay, me.fresh, me.head]
    if me.trainer:
        things += [me.trainer, *me.trainer.parts]
    owned = {id(value): value for thing in things for value in vars(thing).values()}.values()
    found = Counter(memoryview(value).nbytes for value in owned if type(value) in (bytearray, array))
    return found + Counter([len(me.net.reserve)])


CHOICES = [{"train": train, "channels": channels} for train in (1, 2, 3) for channels in (1, 0.5, 0.3, 0.125)]


@pytest.mark.parametrize(
    "model, settings",
    [
        ("tiny", {}),
        ("tiny", {"head_bits": 32, "q_b": 16, "classes": 255}),
        ("tiny", {"train": "all", "head_bits": 32, "q_b": 16, "classes": 255}),
        ("tiny", {"train": 1, "replay": 0, "fresh": 1, "classes": 2, "q_b": 2}),
        ("nothing", {"replay": 1000}),
        ("plain", {"train": 1}),
        ("mixed", {"train": "all", "q_b": 3}),
        ("mixed", {}),
        *[(name, choice) for name in ("blocks", "deep", "flat", "strided") for choice in CHOICES],
        ("blocks", {"train": 3, "q_b": 16}),
        ("twice", {"train": 2}),
        ("signs", {"train": 2, "channels": 0.2}),
        ("maximum", {"train": 1}),
    ],
    ids=str,
)
def test_memory_formula_is_what_is_allocated(tmp_path, model, settings):
    net = load(models.save(tmp_path / "model.safetensors", deep.any_model(model)))
    me = Learner(net, **settings)
    budget, found = me.memory(), buffers(me)
    # Of no size are those that this choice does not need.
    assert found - Counter({0: 9}) == Counter(me.buffers().values()) - Counter({0: 9})
    assert sum(size * n for size, n in found.items()) == budget["total"] - budget["activations"]
    assert sum(me.buffers().values()) == budget["total"] - budget["activations"]
    for part in ("replay", "fresh"):
        assert len(getattr(me, part).latents) == me.buffers()[part + ".latents"]
    assert budget["activations"] == net.scratch_bytes == sum(view.nbytes for view in net.scratch)
    assert budget["total"] == sum(budget.values()) - budget["total"]
    assert f"{budget['total'] / 1024:.1f} KB of RAM" in repr(me)


def test_the_plan_is_what_is_allocated(deep_net, capsys):
    found = plan(deep_net, replay=30, fresh=20, classes=4)
    shares = (1, 0.5, 0.25, 0.125)
    assert [one[:2] for one in found] == [("head", 1), *[(n, share) for n in (1, 2, 3) for share in shares]]
    for train, channels, size in found:
        memory = Learner(deep_net, replay=30, fresh=20, classes=4, train=train, channels=channels).memory()
        assert size == memory["total"] - memory["activations"]
    shown = capsys.readouterr().out.splitlines()
    assert shown[0].split() == ["train", "channels", "bytes"]
    assert [line.split() for line in shown[1:]] == [[str(n), f"{share:g}", str(size)] for n, share, size in found]


@pytest.mark.parametrize("train", ["head", "all"])
def test_memory_formula_is_what_the_heap_measures(deep_model, micropython, train):
    script = """
import gc
from array import array

def live():
    gc.collect()
    return gc.mem_alloc()

before = live()
me = bitreplay.Learner(net, replay=400, fresh=300, classes=30, train=sys.argv[3])
learner_bytes = live() - before
teach(me, synthetic, (0, 1), 100)
me.learn(1, progress=False)
teach(me, synthetic, (2, 3), 100)
after_learning = live() - before
classes = me._classes()
me.head.begin(len(me.labels), classes)
batch = array("H", range(me.batch))
samples = me.fresh.filled(), me.replay.filled(), classes
me._minibatch(batch, samples)
live()
gc.disable()
start = gc.mem_alloc()
me._minibatch(batch, samples)
minibatch = gc.mem_alloc() - start
me._set_rates(0, 1)
start = gc.mem_alloc()
me._step(None)
step = gc.mem_alloc() - start
start = gc.mem_alloc()
me.head.begin(len(me.labels), classes)
begin = gc.mem_alloc() - start
start = gc.mem_alloc()
me.policy.absorb(me.replay, me.fresh, me.head.past, 2, me.rng)
absorb = gc.mem_alloc() - start
memory = me.memory()
show(formula=memory["total"] - memory["activations"], learner=learner_bytes, after=after_learning, minibatch=minibatch,
     step=step, begin=begin, absorb=absorb)
"""
    (found,) = run(micropython, script, deep_model, train)
    # Python's objects are the rest: views of rows, mostly. Those of 64 bits are twice those of a board.
    assert 0 <= found["learner"] - found["formula"] < 18000
    assert found["after"] - found["learner"] < 2000
    # Garbage, which the collector takes.
    assert found["begin"] < 4000 and found["absorb"] < 200 * 300
    # That of minibatches would come to more than all else, as there are many. To move a gradient makes a slice.
    assert found["minibatch"] == (8 * 32 if train == "all" else 0)
    # What must not fail in the middle allocates nothing.
    assert found["step"] == 0


def test_the_largest_free_block_is_found(micropython):
    script = """
import bitreplay
holes = [bytearray(1000) for _ in range(1500)]
for i in range(0, 1000, 2):
    holes[i] = None
for i in range(1200, 1300):
    holes[i] = None
found = bitreplay.heap()
print(found["block"], found["free"] + found["used"])
again = bitreplay.heap()
assert all(abs(again[key] - found[key]) < 1000 for key in found)
try:
    bytearray(found["block"] + 1000)
except MemoryError:
    print("no more than that")
got = bytearray(found["block"])
print(bitreplay.heap()["used"] - found["used"])
"""
    block, no_more, used = micropython("# " + "-" * 60 + script, heap="2m").splitlines()
    block, both = [int(n) for n in block.split()]
    assert no_more == "no more than that"
    assert 100_000 < block < 500_000 < both < 2 << 20
    assert block <= int(used) < block + 1000


def test_a_loaded_model_leaves_a_large_block(model, micropython):
    """A heap that its parser had left in pieces would have no room for a replay memory."""
    script = """
gc.collect()
before = bitreplay.heap()
other = bitreplay.load(sys.argv[2])
after = bitreplay.heap()
show(used=after["used"] - before["used"], block=before["block"] - after["block"])
"""
    (lost,) = run(micropython, "import gc" + script, model, heap="1m")
    assert lost["block"] < lost["used"] + 16000


def test_no_heap_to_measure_under_cpython():
    assert heap() == {}


def test_too_little_memory_is_told_before_and_the_rest_goes_on(model, micropython):
    script = """
show(text=bitreplay.heap()["free"])
for settings in ({"replay": 30000}, {"replay": 0, "fresh": 30000}, {"replay": 9000, "classes": 255, "head_bits": 32}):
    try:
        bitreplay.Learner(net, **settings)
    except MemoryError as error:
        show(text=str(error))
me = bitreplay.Learner(net, replay=500)
teach(me, synthetic, (0, 1), 20)
me.learn(4, progress=False)
try:
    me = bitreplay.Learner(net, replay=30000)
except MemoryError as error:
    show(text=str(error))
show(text=accuracy(me, synthetic, (0, 1)) > 0.95)
"""
    free_before, *errors, alive = [outcome["text"] for outcome in run(micropython, script, model, heap="256k")]
    assert len(errors) == 4 and alive
    parts = "replay 510000, fresh 1700, weights 1014, gradients 3575, a save 2048"
    assert errors[0].startswith(f"Learner: needs 518337 bytes of RAM ({parts}), 480000 of ")
    assert "replay 0, fresh 510000" in errors[1]
    for error, block in zip(errors, (480000, 480000, 144000, 480000)):
        found = rf"\), {block} of them in one block; (\d+) are free, (\d+) of them in one block; make replay or fresh"
        free, largest = re.search(found, error).groups()
        # What failed has left nothing behind.
        assert 50000 < int(free) < 256000 and int(largest) <= min(int(free), block), error
    assert 0 <= free_before - int(re.search(r"(\d+) are free", errors[0])[1]) < 4000


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"replay": -1}, "replay: must be an integer, 0..32768"),
        ({"replay": 1.5}, "replay: must be an integer"),
        ({"fresh": 0}, "fresh: must be an integer, 1..32768"),
        ({"classes": 1}, "classes: must be an integer, 2..255"),
    ],
)
def test_a_plan_of_what_cannot_be_is_refused(deep_net, capsys, arguments, message):
    with pytest.raises(ValueError, match=message):
        plan(deep_net, **arguments)
    with pytest.raises(TypeError, match="net: "):
        plan(None)
    assert capsys.readouterr().out == ""
