# Teaches one new class with a full replay memory, and tells how long that takes and what memory it leaves.
#
# argument: a JSON file {"model", "epochs", "learner": keyword arguments, with replay, fresh and classes}. Prints
# {"done": fraction} and at last {"see_us", "learn_us", "minibatches": through learn(), "batch": samples of each,
# "memory": what Learner.memory() says, "before", "made", "after": the heap without a learner, with one, and when it
# has learned}.

import json
import sys
from array import array
from time import ticks_diff, ticks_ms

import _bitreplay as kernels
import bitreplay


def noise(buffer, rng):
    for i in range(len(buffer)):
        buffer[i] = kernels.random(rng, 256)
    return buffer


def done(fraction):
    print(json.dumps({"done": fraction}))


def fill(learner, config, rng):
    """Fills the replay memory with synthetic latents, a class at a time, of all classes but one."""
    latent, fresh = bytearray(learner.net.latent_bytes), config["fresh"]
    times = -(-config["replay"] // fresh)
    for i in range(times):
        for _ in range(fresh):
            learner.see_latent(noise(latent, rng), i % (config["classes"] - 1))
        learner.learn(epochs=1, progress=False)
        done(0.2 * (i + 1) / times)


def main(config):
    rng, epochs, settings = array("I", [1]), config["epochs"], config["learner"]
    net = bitreplay.load(config["model"])
    image = noise(bytearray(net.image_bytes), rng)
    before = bitreplay.heap()
    learner = bitreplay.Learner(net, **settings)
    made = bitreplay.heap()
    fill(learner, settings, rng)
    start = ticks_ms()
    for i in range(settings["fresh"]):
        noise(memoryview(image)[:16], rng)
        learner.see(image, "mug")
        if i % 10 == 9:
            done(0.2 + 0.4 * (i + 1) / settings["fresh"])
    seen = ticks_ms()
    learner.learn(epochs=epochs, progress=lambda epoch, epochs, *_: done(0.6 + 0.4 * epoch / epochs))
    learned = ticks_ms()
    result = {
        "see_us": 1000 * ticks_diff(seen, start),
        "learn_us": 1000 * ticks_diff(learned, seen),
        "minibatches": epochs * -(-(settings["fresh"] + settings["replay"]) // learner.batch),
        "batch": learner.batch,
        "memory": learner.memory(),
        "before": before,
        "made": made,
        "after": bitreplay.heap(),
    }
    print(json.dumps(result))


with open(sys.argv[1]) as configuration:
    main(json.load(configuration))
