# A short training with synthetic images, digest by digest. Works on MicroPython and CPython.
#
# argument: a JSON file {"model", "seed", "learner": keyword arguments, "state": a file to save to}. Prints {"step",
# "digest"} lines, the same on every target: two experiences, a prediction, and the learner after it was saved and
# loaded.

import json
import sys
from array import array

import _bitreplay
import bitreplay


def say(step, value):
    print(json.dumps({"step": step, "digest": value}))


def main(config):
    net = bitreplay.load(config["model"])
    say("model", net.digest)
    rng = array("I", [config["seed"]])
    image = bytearray(net.image_bytes)
    learner = bitreplay.Learner(net, replay=24, fresh=20, classes=4, seed=config["seed"], **config["learner"])
    for experience in range(2):
        for i in range(20):
            label = 2 * experience + i % 2
            # Blocks of noise, brighter or darker by class, so that there is something to learn.
            for j in range(len(image)):
                image[j] = 40 * label + _bitreplay.random(rng, 100) if j % 8 < 4 else 128
            learner.see(image, label)
            print(json.dumps({"seen": 20 * experience + i + 1}))
        learner.learn(epochs=2, progress=False)
        say("experience %d" % (experience + 1), learner.digest())
    best, probability = learner.predict(image)
    say("prediction", "%s %d" % (best, probability * 16384 + 0.5))
    learner.save(config["state"])
    del learner  # some boards have no room for two
    say("saved and loaded", bitreplay.Learner.load(net, config["state"]).digest())


with open(sys.argv[1]) as configuration:
    main(json.load(configuration))
