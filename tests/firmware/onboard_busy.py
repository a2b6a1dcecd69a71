# Runs in MicroPython with the module _inject: each call that works in a network's buffers, with Ctrl-C, and with a
# callback that makes other calls, at each of its branches: MicroPython lets them come nowhere else.
#
# Arguments: this folder, a model, a folder to work in, "threads" or "none": what the port has, "interrupt" or
# "callback", names of calls (JSON). Prints a line of JSON for each call.

import json
import sys

import _inject

sys.path.append(sys.argv[1])
import bitreplay
from bitreplay import learner, network
from synthetic import Synthetic, show, teach

model, path = sys.argv[2], sys.argv[3] + "/me.safetensors"

if sys.argv[4] == "none":
    with open(bitreplay.__file__.replace("__init__", "busy")) as file:
        names = {}
        exec(file.read().replace("from _thread import", "from _no_thread import"), names)
    network.Lock, network.idle, learner.idle = names["Lock"], names["idle"], names["idle"]

net = bitreplay.load(model)
synthetic = Synthetic(net.latent_bytes)
image, another = synthetic.image(1, net.image_bytes), synthetic.image(2, net.image_bytes)
out, unused = bytearray(net.latent_bytes), bytearray(net.latent_bytes)
me = bitreplay.Learner(net, replay=8, fresh=12, classes=5)
teach(me, synthetic, (0, 1, 2), 3)
me.learn(2, progress=False)
teach(me, synthetic, (0, 1), 2)
me.save(path)
beside = bitreplay.Learner.load(net, path)


def latent(me):
    net.latent(image, out)
    return bytes(out)


def fail(*_):
    raise ValueError("told")


def fail_to_learn(me):
    """What was learned is consolidated, also where Ctrl-C comes between the error and that."""
    cw = bytes(me.head.cw)
    try:
        me.learn(1, progress=fail)
    except ValueError:
        pass
    finally:
        assert me._learned is None or bytes(me.head.cw) != cw


CALLS = {
    "see": lambda me: me.see(image, 1),
    "see_latent": lambda me: me.see_latent(bytes(net.latent_bytes), "new"),
    "predict": lambda me: me.predict(image),
    "predict_latent": lambda me: me.predict_latent(bytes(net.latent_bytes)),
    "nearest": lambda me: me.nearest(image),
    "scores": lambda me: me.scores(image),
    "forget": lambda me: me.forget(1),
    "latent": latent,
    "classify": lambda me: net.classify(image),
    "digest": lambda me: me.digest(),
    "save": lambda me: me.save(path),
    "learn": lambda me: me.learn(1, progress=False),
    "fail to learn": fail_to_learn,
}


def ready():
    return bitreplay.Learner.load(net, path)


def others(me):
    """What is right for a callback: the results of calls that change nothing."""
    net.latent(another, unused)
    return bytes(unused), net.classify(another), beside.predict(another), me.predict(another), me.digest()


def interrupted(call, n):
    """One call with Ctrl-C at the n-th branch; then all calls work again. How often it came, or None at the end."""
    me, came = ready(), 0
    try:
        _inject.at(n)
        call(me)
        reached = _inject.branches() >= n
        _inject.at(0)
        for _ in range(3):
            pass  # one that came at the last branch is raised here
    except KeyboardInterrupt:
        came, reached = 1, True
    _inject.at(0)
    others(me)
    me.see(image, 1)
    return came if reached else None


def meddled(call, n):
    """One call with a callback at the n-th branch. How often it was refused, or None at the end."""
    me, found = ready(), []
    before, right = others(me), expected

    def attempt(action):
        try:
            return action()
        except RuntimeError as error:
            assert "the network is in use" in str(error)

    def callback(_):
        # See before or after what it interrupts; never in its middle.
        _inject.at(0)
        for action in (lambda: others(me), lambda: beside.see(another, 2), lambda: me.save(path + ".2")):
            found.append(attempt(action) is None)

    _inject.at(n, callback)
    result = call(me)
    reached = _inject.branches() >= n or found
    _inject.at(0)
    for _ in range(3):
        pass  # one that was asked for at the last branch comes here
    if not reached:
        return None
    assert result == right[0] and others(me) == right[1], (n, before)
    assert len(found) == 3
    return int(found[0])


for name in json.loads(sys.argv[6]):
    call, counts, n = CALLS[name], [0, 0], 0
    once = ready()
    expected = (call(once), others(once))
    while True:
        n += 1
        beside.fresh.n = 0
        count = (interrupted if sys.argv[5] == "interrupt" else meddled)(call, n)
        if count is None:
            break
        counts[count] += 1
    show(call=name, counts=counts)
