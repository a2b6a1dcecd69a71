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
from bitreplay import above, head, replay, trainer

NOTHING = [(0,) * n for n in range(16)]  # arguments of a call that does nothing


class Timed:
    """The kernels, which add up the microseconds that they take, less those of a call that does nothing.

    That is timed beside each: what a call with a list of arguments takes depends on what is free in the heap.
    """

    us = 0

    def __getattr__(self, name):
        return self.timed(getattr(kernels, name))

    def timed(self, kernel):
        def call(*arguments):
            nothing = NOTHING[len(arguments)]
            start = ticks_us()
            max(*nothing)
            middle = ticks_us()
            result = kernel(*arguments)
            self.us += ticks_diff(ticks_us(), middle) - ticks_diff(middle, start)
            return result

        return call


def epochs(learner, timed):
    """Microseconds of two epochs of what is replayed, without learn()'s begin and end: (all, in kernels if timed)."""
    found = []
    for n in (1, 3):
        gc.collect()
        timed.us, start = 0, ticks_us()
        learner.learn(epochs=n, progress=False)
        found.append((ticks_diff(ticks_us(), start), timed.us))
    return found[1][0] - found[0][0], found[1][1] - found[0][1]


def main(config):
    settings, rng = config["learner"], array("I", [1])
    learner = bitreplay.Learner(bitreplay.load(config["model"]), **settings)
    latent = bytearray(learner.net.latent_bytes)
    for i in range(settings["fresh"]):
        for k in range(len(latent)):
            latent[k] = kernels.random(rng, 256)
        learner.see_latent(latent, i % settings["classes"])
    learner.learn(epochs=1, progress=False)
    timed, calls = Timed(), learner.above
    whole, _ = epochs(learner, timed)
    for module in (above, head, trainer):
        module.kernels = timed  # type: ignore[attr-defined]
    replay.random = timed.random
    calls._calls = [(timed.timed(kernel), arguments) for kernel, arguments in calls._calls]
    calls._learning = [(timed.timed(kernel), arguments) for kernel, arguments in calls._learning]
    _, inside = epochs(learner, timed)
    print(json.dumps({"outside": round(1 - inside / whole, 4)}))


with open(sys.argv[1]) as configuration:
    main(json.load(configuration))
