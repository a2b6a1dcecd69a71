# What the page asks of MicroPython by way of worker.js. Pictures and latents come and go by address, the rest as JSON.

import json
from array import array

import bitreplay
import uctypes

# A Pico has room for a learner of this size.
SETTINGS = {"replay": 500, "fresh": 100, "classes": 10}
EPOCHS = 16  # few pictures at a time, and a fast machine
REFUSED = 0.05  # of what is known, for the sake of what is not

RATE = 16000  # samples a second

net = me = image = latent = ear = samples = None


def begin(model):
    global net, me, image, latent
    net = bitreplay.load(model)
    image, latent = bytearray(net.image_bytes), bytearray(net.latent_bytes)
    me = bitreplay.Learner(net, **SETTINGS)
    shape = {"image": uctypes.addressof(image), "latent": uctypes.addressof(latent), "latent_bytes": net.latent_bytes}
    shape.update({"shape": net.image_shape, "model": net.digest})
    return json.dumps(shape)


def listen():
    """Makes ready to hear(): where samples go, and how many a picture and one of its columns take."""
    global ear, samples
    if ear is None:
        height, width, channels = net.image_shape
        ear = bitreplay.logmel(RATE, channels, height, width)
        samples = array("h", bytes(2 * (ear.hop * (width - 1) + ear.frame)))
    found = {"address": uctypes.addressof(samples), "samples": len(samples)}
    found.update({"hop": ear.hop, "rate": RATE, "width": ear.width})
    return json.dumps(found)


def hear():
    """Leaves the picture of the samples."""
    image[:] = ear.of(samples)


def see(label):
    """Takes the picture as a sample, and leaves its latent. Returns how many more can be seen before learn()."""
    net.latent(image, latent)
    me.see_latent(latent, label)
    return me.fresh.capacity - me.fresh.n


def learn(tell):
    me.learn(EPOCHS, tell)


def look():
    """What the picture is: the pretrained guess while nothing is known, then scores, "unknown", the nearest latent."""
    if not me.labels:
        return json.dumps({"guess": net.classify(image) if net.labels else None})
    found = {"scores": me.scores(image) if any(me.head.past) else []}
    net.latent(image, latent)
    if len(me.labels) > 1 and all(kept > 1 for _, kept, _ in me.counts().values()):
        found["unknown"] = me.predict_latent(latent, REFUSED)[0] is None
    if me.fresh.n + me.replay.n:
        label, distance, index = me.nearest_latent(latent)
        samples = me.fresh
        if index >= me.fresh.n:
            samples, index = me.replay, index - me.fresh.n
        latent[:] = samples.latent(index)
        found["nearest"] = [label, 1 - distance / (8 * net.latent_bytes)]
    return json.dumps(found)


def predict():
    return me.predict(image)[0]


def rename(old, new):
    me.rename(old, new)


def forget(label):
    me.forget(label)


def status():
    counts = me.counts()
    found = {"room": me.config["classes"], "bytes": me.memory()["total"], "digest": me.digest()}
    found["classes"] = [{"label": label, "kept": counts[label][1]} for label in me.labels]
    return json.dumps(found)


def save(path):
    me.save(path)


def load(path):
    global me
    me = bitreplay.Learner.load(net, path)
