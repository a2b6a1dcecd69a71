# A class-incremental experiment on latents. Works on MicroPython and CPython; prints one JSON object a line.
#
# arguments: a JSON file {"model", "train": {"latents", "classes"}, "test": {...}, "labels": [names], "experiences":
# [[rows of train]], "epochs", "learner": {keyword arguments}, "start" (a learner's file to go on with, or null),
# "state" (where to save it, or null)}. `latents` is what run_backbone.py wrote, `classes` a file with a byte a row.
# Only one latent at a time is read into the heap. A learner that starts with classes is also tested before, as
# experience 0.

import gc
import json
import os
import sys

import bitreplay


def heap():
    """Bytes of live objects (MicroPython; 0 elsewhere)."""
    gc.collect()
    return gc.mem_alloc() if hasattr(gc, "mem_alloc") else 0


def read(file, name, latent):
    """The next latent of a file of this name."""
    if file.readinto(latent) != len(latent):
        raise ValueError("%s: too short, a latent is missing" % name)


def test(learner, latents, classes, labels, names, latent):
    """Of the test rows whose class is among labels: how many of each class are right, and percent of all."""
    right, total = [0] * len(names), 0
    with open(latents, "rb") as file:
        for i in range(len(classes)):
            read(file, latents, latent)
            if classes[i] in labels:
                right[classes[i]] += learner.predict_latent(latent)[0] == names[classes[i]]
                total += 1
    return right, 100 * sum(right) / total


def tell(number, learner, latents, classes, labels, names, latent):
    """Prints what test() finds after an experience; returns percent of all."""
    right, percent = test(learner, latents, classes, labels, names, latent)
    # Told and not kept, as what is kept would count as the learner's memory.
    print(json.dumps({"experience": number, "classes": len(labels), "accuracy": percent, "right": right}))
    return percent


def main(config):
    base = heap()
    net = bitreplay.load(config["model"])
    model = heap()
    if config["start"]:
        learner = bitreplay.Learner.load(net, config["start"])
    else:
        learner = bitreplay.Learner(net, **config["learner"])
    peak = after_making = heap()
    with open(config["train"]["classes"], "rb") as file:
        train_classes = file.read()
    with open(config["test"]["classes"], "rb") as file:
        test_classes = file.read()
    names, latent, seen, curve = config["labels"], bytearray(net.latent_bytes), set(), []
    seen.update([names.index(label) for label in learner.labels])
    data = heap() - after_making

    def progress(epoch, epochs, right):
        nonlocal peak
        peak = max(peak, heap() - data)
        print(json.dumps({"experience": number, "epoch": epoch, "epochs": epochs, "right": right}))

    number = 0
    if seen:
        curve.append(tell(number, learner, config["test"]["latents"], test_classes, seen, names, latent))
    for rows in config["experiences"]:
        number += 1
        with open(config["train"]["latents"], "rb") as file:
            for row in rows:
                file.seek(row * net.latent_bytes)
                read(file, config["train"]["latents"], latent)
                learner.see_latent(latent, names[train_classes[row]])
                seen.add(train_classes[row])
        learner.learn(config["epochs"], progress=progress)
        curve.append(tell(number, learner, config["test"]["latents"], test_classes, seen, names, latent))
    if config["state"]:
        learner.save(config["state"])
    print(
        json.dumps(
            {
                "curve": curve,
                "digest": learner.digest(),
                "memory": learner.memory(),
                "heap": {
                    "base": base,
                    "model": model - base,
                    "learner": after_making - model,
                    "peak": peak - base,
                    "file": os.stat(config["model"])[6],
                },
            }
        )
    )


with open(sys.argv[1]) as file:
    configuration = json.load(file)
main(configuration)
