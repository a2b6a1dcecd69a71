"""Models of each kind, for what is to hold of all of them."""

import deep

import models

MODELS = {
    "tiny": models.tiny,
    "untrainable": lambda seed: models.tiny(seed, trainable=False),
    "mixed": models.mixed,
    "deep": models.deep,
    "plain": models.plain,
    "sensors": models.sensors,
    "pooled bits": lambda seed: deep.deep("pooled bits", seed),
}
