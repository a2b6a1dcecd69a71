# Teaches one new class with a full replay memory, and tells how long that takes and what memory it leaves.
#
# argument: a JSON file {"model", "replay", "fresh", "epochs", "classes"}. Prints {"done": fraction} and at last
# {"see_us", "learn_us", "samples": passes of samples through learn, "memory": what Learner.memory() says, "before",
# "made", "after": the heap without a learner, with one, and when it has learned}.

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
    """Fills the replay memory with synthetic latents of classes 0, 1, ..., `fresh` of each."""
    latent = bytearray(learner.net.latent_bytes)
    for c in range(config["replay"] // config["fresh"]):
        for _ in range(config["fresh"]):
            learner.see_latent(noise(latent, rng), c)
        learner.learn(epochs=1, progress=False)
        done(0.2 * (c + 1) * config["fresh"] / config["replay"])


def main(config):
    rng = array("I", [1])
    net = bitreplay.load(config["model"])
    image = noise(bytearray(net.image_bytes), rng)
    before = bitreplay.heap()
    learner = bitreplay.Learner(net, replay=config["replay"], fresh=config["fresh"], classes=config["classes"])
    made = bitreplay.heap()
    fill(learner, config, rng)
    start = ticks_ms()
    for i in range(config["fresh"]):
        noise(memoryview(image)[:16], rng)
        learner.see(image, "mug")
        if i % 10 == 9:
            done(0.2 + 0.4 * (i + 1) / config["fresh"])
    seen = ticks_ms()
    learner.learn(epochs=config["epochs"], progress=lambda epoch, epochs, *_: done(0.6 + 0.4 * epoch / epochs))
    learned = ticks_ms()
    result = {
        "see_us": 1000 * ticks_diff(seen, start),
        "learn_us": 1000 * ticks_diff(learned, seen),
        "samples": config["epochs"] * (config["fresh"] + config["replay"]),
        "memory": learner.memory(),
        "before": before,
        "made": made,
        "after": bitreplay.heap(),
    }
    print(json.dumps(result))


with open(sys.argv[1]) as configuration:
    main(json.load(configuration))
