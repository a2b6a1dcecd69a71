# Teaches a learner labelled latents and tests it. Works on MicroPython and CPython; prints one JSON object a line.
#
# argument: a JSON file {"model", "state" (of a learner that goes on, or null), "learner": keyword arguments,
# "epochs", "labels": [names], "train": {"latents", "classes"}, "test": {...}, "save"}. `latents` is a file of packed
# latents, `classes` one with a byte a row: the number of a name. Prints {"epoch", ...} lines, and at last {"labels",
# "predicted": [numbers of these], "digest", "seconds" of learning}.

import json
import sys
from time import time

from teacher import make


def rows(files, latent):
    """Yields the class of each row, its latent in the buffer."""
    with open(files["classes"], "rb") as file:
        classes = file.read()
    with open(files["latents"], "rb") as file:
        for c in classes:
            if file.readinto(latent) != len(latent):
                raise ValueError("%s: too short, a latent is missing" % files["latents"])
            yield c


def main(config):
    teacher, names = make(config["model"], config["state"], config["learner"], config["epochs"]), config["labels"]
    start, me = time(), teacher.me
    for c in rows(config["train"], teacher.sample):
        teacher.see(names[c])
    teacher.learn()
    seconds = time() - start
    predicted = [me.labels.index(me.predict_latent(teacher.sample)[0]) for _ in rows(config["test"], teacher.sample)]
    me.save(config["save"])
    print(json.dumps({"labels": me.labels, "predicted": predicted, "digest": me.digest(), "seconds": seconds}))


with open(sys.argv[1]) as configuration:
    main(json.load(configuration))
