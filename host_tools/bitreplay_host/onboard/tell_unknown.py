# How strange images are to a learner that knows some classes. Works on MicroPython and CPython.
#
# argument: JSON file {"model", "train": {"latents", "classes"}, "test": {...}, "known": [classes], "epochs" (or null),
# "learner": {keyword arguments}, "unknown": a share}; latents and classes as in learn_classes.py. Learns the training
# rows of the known classes as one experience. Prints {"classes": of the test rows, "strange": [numbers], "refused": [0
# or 1], "right": [0 or 1]}.

import json
import sys
from array import array

import bitreplay
from bitreplay import strange


def rows(files, size):
    """(latent, class) of each row; one buffer for all."""
    with open(files["classes"], "rb") as file:
        classes = file.read()
    latent = bytearray(size)
    with open(files["latents"], "rb") as file:
        for c in classes:
            file.readinto(latent)
            yield latent, c


def main(config):
    net = bitreplay.load(config["model"])
    learner = bitreplay.Learner(net, **config["learner"])
    for latent, c in rows(config["train"], net.latent_bytes):
        if c in config["known"]:
            learner.see_latent(latent, c)
    learner.learn(config["epochs"], progress=False)
    near, found = [0] * (strange.NEAR * len(learner.labels)), array("I", [0, 0])
    told = {"classes": [], "strange": [], "refused": [], "right": []}
    for latent, c in rows(config["test"], net.latent_bytes):
        told["classes"].append(c)
        told["strange"].append(strange.strangeness(learner.replay, latent, near, found))
        told["refused"].append(int(learner.predict_latent(latent, config["unknown"])[0] is None))
        told["right"].append(int(learner.predict_latent(latent)[0] == c))
    print(json.dumps(told))


with open(sys.argv[1]) as configuration:
    main(json.load(configuration))
