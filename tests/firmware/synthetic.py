# Synthetic latents that are easy to tell apart, and images. Works on MicroPython and CPython.

import json


class Synthetic:
    """Latents of any number of classes: a class is a random pattern, a sample of it has one bit in eight flipped."""

    def __init__(self, latent_bytes, seed=1):
        self.size = latent_bytes
        self.state = seed
        self.patterns = {}

    def byte(self):
        self.state = (self.state * 1103515245 + 12345) & 0x7FFFFFFF
        return self.state >> 16 & 0xFF

    def latent(self, c):
        if c not in self.patterns:
            self.patterns[c] = bytes([self.byte() for _ in range(self.size)])
        return bytearray([b ^ (self.byte() & self.byte() & self.byte()) for b in self.patterns[c]])

    def image(self, c, image_bytes):
        """Not easy to tell apart, but no constant."""
        return bytearray([self.byte() >> 1 if i % (c + 2) else 200 for i in range(image_bytes)])


def teach(learner, synthetic, classes, samples, label=lambda c: c):
    """Shows `samples` latents of each class."""
    for _ in range(samples):
        for c in classes:
            learner.see_latent(synthetic.latent(c), label(c))


def accuracy(learner, synthetic, classes, samples=40, label=lambda c: c):
    """The part of new samples of these classes that is told right, 0..1."""
    hits = 0
    for c in classes:
        for _ in range(samples):
            hits += learner.predict_latent(synthetic.latent(c))[0] == label(c)
    return hits / samples / len(classes)


def show(**values):
    """Prints a line that the test reads."""
    print(json.dumps(values))
