"""One call at a time works in a network's buffers: another that comes in its middle is refused."""

import json
import signal
from contextlib import nullcontext
from pathlib import Path

import pytest
from bitreplay import Learner
from learners import learned, run

import models

HERE = Path(__file__).parent
SHORT = [
    "see",
    "see_latent",
    "predict",
    "predict_latent",
    "nearest",
    "scores",
    "forget",
    "latent",
    "classify",
    "digest",
]
LONG = pytest.mark.exhaustive


@pytest.mark.parametrize(
    "calls",
    [SHORT, *(pytest.param([call], marks=LONG) for call in ("save", "learn", "fail to learn"))],
    ids=lambda calls: calls[0],
)
@pytest.mark.parametrize("what", ["interrupt", "callback"])
@pytest.mark.parametrize("port", ["threads", "none"])
def test_at_every_branch(model, tmp_path, micropython_of_tests, port, what, calls):
    """What may come of it is checked on board; here, that it was stopped or refused at almost every branch."""
    script = (HERE / "onboard_busy.py").read_text()
    lines = micropython_of_tests(script, HERE, model, tmp_path, port, what, json.dumps(calls))
    found = {line["call"]: line["counts"] for line in map(json.loads, lines.splitlines())}
    assert list(found) == calls
    # Of a learn() that fails soon there are fewer, and Ctrl-C that comes with its error is not told.
    many = 150 if calls == ["fail to learn"] else 300
    for passed, stopped in found.values():
        assert stopped >= 5 > passed or stopped > many


THREADS = """
import _thread, time

me = bitreplay.Learner(net, replay=20, fresh=40, classes=5)
teach(me, synthetic, (0, 1, 2), 8)
me.learn(2, progress=False)
latents = [synthetic.latent(c) for c in range(3)]
right = [me.predict_latent(latent) for latent in latents]
images = [synthetic.image(c, net.image_bytes) for c in range(3)]
seen = [me.predict(image) for image in images]
before = me.digest()
counts = [{"right": 0, "wrong": 0, "refused": 0, "other": 0, "ended": 0} for _ in range(3)]  # one thread's each

def attempt(outcomes, call, argument, expected):
    try:
        outcome = "right" if call(argument) == expected else "wrong"
    except RuntimeError as error:
        outcome = "refused" if "the network is in use" in str(error) else "other"
    outcomes[outcome] += 1

def work(number):
    for i in range(300):
        c = (i + number) % 3
        attempt(counts[number], me.predict_latent, latents[c], right[c])
        attempt(counts[number], me.predict, images[c], seen[c])
    counts[number]["ended"] = 1

for number in range(2):
    _thread.start_new_thread(work, (number,))
work(2)
while not all(outcomes["ended"] for outcomes in counts):
    time.sleep(0.01)
me.learn(1, progress=False)
show(learned=before != me.digest(), **{name: sum(outcomes[name] for outcomes in counts) for name in counts[0]})
"""


@pytest.mark.parametrize("implementation", ["micropython", "cpython"])
def test_threads_get_what_is_right_or_are_refused(model, request, implementation):
    (found,) = run(request.getfixturevalue(implementation), THREADS, model)
    assert found["wrong"] == found["other"] == 0 and found["right"] > 100
    assert found["right"] + found["refused"] == 3 * 300 * 2
    assert found["learned"]


def test_signals_of_cpython_never_leave_it_locked(net, synthetic):
    """At moments of any kind: with timers of some microseconds."""
    me, other = learned(net, synthetic, fresh=40), learned(net, synthetic)
    image = models.image()
    me.see(image, 0)
    before, stopped = me.predict(image), 0

    def stop(*_):
        with pytest.raises(RuntimeError, match="the network is in use") if net.busy.locked() else nullcontext():
            other.predict_latent(bytes(16))
        raise KeyboardInterrupt

    handler = signal.signal(signal.SIGALRM, stop)
    try:
        for i in range(2000):
            try:
                # Again and again: CPython drops one that comes in a finalizer.
                signal.setitimer(signal.ITIMER_REAL, 1e-6 * (1 + i % 400), 0.05)
                while True:
                    me.predict(image)
                    me.digest()
            except KeyboardInterrupt:
                signal.setitimer(signal.ITIMER_REAL, 0)
                stopped += 1
            assert not net.busy.locked()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
    assert stopped == 2000 and me.predict(image) == before


def test_a_call_that_fails_gives_it_back(net, synthetic):
    me = learned(net, synthetic)
    for call in (
        lambda: me.see(bytes(3), 0),
        lambda: me.see_latent(bytes(3), 0),
        lambda: me.predict(bytes(3)),
        lambda: net.latent(bytes(3), bytearray(16)),
        lambda: net.classify(bytes(3)),
        lambda: me.save("/no such folder/me"),
        lambda: Learner(net).learn(),
    ):
        with pytest.raises((ValueError, OSError)):
            call()
        me.predict_latent(bytes(16))
