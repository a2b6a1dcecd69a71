# Tells what share of its time learn() spends outside kernels: in Python, and in calls.
#
# argument: a JSON file {"model", "learner": keyword arguments, with replay, fresh and classes}. Prints {"outside": the
# share}, of epochs over `fresh` synthetic latents that are replayed.

import gc
import json
import sys
from array import array
from time import ticks_diff, ticks_us

import _bitreplay as kernels
import bitreplay
from bitreplay import head, learning, replay, trainer

NOTHING = max, (0, 0)  # a call that does next to nothing


class Timed:
    """The kernels, which add up the microseconds that they take, less those of a call that does nothing."""

    us = 0

    def __getattr__(self, name):
        kernel, nothing = getattr(kernels, name), NOTHING

        def call(*arguments):
            start = ticks_us()
            nothing[0](*nothing[1])
            middle = ticks_us()
            result = kernel(*arguments)
            self.us += ticks_diff(ticks_us(), middle) - ticks_diff(middle, start)
            return result

        return call

    def run(self, calls, rows, n):
        """As the kernels' own, but what is told of is what it calls. Python's functions among it are not kernels."""
        kernel, timed, ticks = type(kernels.run), [], []
        for call in calls + [NOTHING]:
            if call is NOTHING or type(call[0]) is kernel:
                ticks.append((array("l", [0] * n), array("l", [0] * n)))
                timed += [(ticks_us, (), ticks[-1][0]), call, (ticks_us, (), ticks[-1][1])]
            else:
                timed.append(call)
        kernels.run(timed, rows, n)
        took = [sum([ticks_diff(after[i], before[i]) for i in range(n)]) for before, after in ticks]
        self.us += sum(took) - len(took) * took[-1]


def epochs(learner, timed):
    """Microseconds of two epochs of what is replayed, without learn()'s begin and end: (all, in kernels if timed)."""
    found = []
    for n in (1, 3):
        gc.collect()
        timed.us, start = 0, ticks_us()
        learner.learn(epochs=n, progress=False)
        found.append((ticks_diff(ticks_us(), start), timed.us))
    return found[1][0] - found[0][0], found[1][1] - found[0][1]


def use(those):
    """From now on a learner calls those kernels."""
    for module in (head, learning, trainer):
        module.kernels = those  # type: ignore[attr-defined]
    replay.draw_balanced = those.draw_balanced


def main(config):
    settings, rng = config["learner"], array("I", [1])
    learner = bitreplay.Learner(bitreplay.load(config["model"]), **settings)
    latent = bytearray(learner.net.latent_bytes)
    for i in range(settings["fresh"]):
        for k in range(len(latent)):
            latent[k] = kernels.random(rng, 256)
        learner.see_latent(latent, i % settings["classes"])
    learner.learn(epochs=1, progress=False)
    timed = Timed()
    # Kernels take less time the more it has learned: all is timed before and after what is inside of them.
    before, _ = epochs(learner, timed)
    use(timed)
    _, inside = epochs(learner, timed)
    use(kernels)
    after, _ = epochs(learner, timed)
    print(json.dumps({"outside": round(1 - 2 * inside / (before + after), 4)}))


with open(sys.argv[1]) as configuration:
    main(json.load(configuration))
