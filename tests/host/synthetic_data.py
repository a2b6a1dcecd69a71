"""Small synthetic datasets, and the models of tests/firmware, for the tests of the host's tools."""

import json
import os
import wave
from pathlib import Path

import numpy as np
from PIL import Image
from safetensors import safe_open

import models

ROOT = Path(__file__).resolve().parents[2]
os.environ.setdefault("OMP_NUM_THREADS", "1")  # of PyTorch, which is imported later

__all__ = ["CLASSES", "ROOT", "SIDE", "macs_of_layers", "paint", "synthetic_images", "make_dataset", "models"]
__all__ += ["tone", "write_wav"]

CLASSES = {"cifar10": 10, "cifar100": 100}
SIDE = 8  # of the small model's images
COLOURS = {"cup": (200, 30, 30), "mug": (30, 200, 30), "dish": (30, 30, 200), "pot": (220, 220, 40)}


def synthetic_images(classes, count, seed, side):
    """count images of each class, and their labels: a pattern for each class, with noise."""
    rng = np.random.default_rng(0)
    patterns = rng.integers(0, 2, (classes, side // 4, side // 4, 3)).repeat(4, axis=1).repeat(4, axis=2)
    labels = np.tile(np.arange(classes), count)
    noise = np.random.default_rng(seed).integers(-40, 41, (len(labels), side, side, 3))
    return (64 + 128 * patterns[labels] + noise).astype(np.uint8), labels.astype(np.uint8)


def make_dataset(folder, name, train, test, side=SIDE):
    """Writes what `bitreplay data` would: a dataset with this many images of each class."""
    for seed, (split, count) in enumerate({"train": train, "test": test}.items()):
        images, labels = synthetic_images(CLASSES[name], count, seed + 1, side)
        np.save(folder / f"{name}_{split}_images.npy", images)
        np.save(folder / f"{name}_{split}_labels.npy", labels)


def macs_of_layers(path):
    """(MACs inside the image, MACs with padding) of each binary convolution of a model, counted tap by tap."""
    with safe_open(path, "np") as file:
        graph = json.loads(file.metadata()["graph"])
    (height, width, channels), found = graph["image"], []
    for layer in graph["layers"]:
        if layer["op"] == "latent":  # which is pooled, in the shipped models and in the small one
            height, width = height // 2, width // 2
        if layer["op"] not in ("conv2d", "bconv2d"):
            continue
        cout, kernel, stride, padding = (layer[name] for name in ("cout", "kernel", "stride", "padding"))
        rows = [range(top, top + kernel) for top in range(-padding, height + padding - kernel + 1, stride)]
        columns = [range(left, left + kernel) for left in range(-padding, width + padding - kernel + 1, stride)]
        inside = sum(y in range(height) and x in range(width) for r in rows for c in columns for y in r for x in c)
        each = channels // layer.get("groups", 1) * cout
        if layer["op"] == "bconv2d":
            found.append((inside * each, len(rows) * len(columns) * kernel * kernel * each))
        height, width, channels = len(rows), len(columns), cout
    return found


def paint(folder, names=tuple(COLOURS), count=10, first=0):
    """Writes FOLDER/NAME/0.png and on: a coloured square on noise, which a model of random weights tells apart."""
    for name in names:
        (folder / name).mkdir(parents=True, exist_ok=True)
        for n in range(first, first + count):
            rng = np.random.default_rng([list(COLOURS).index(name), n])
            pixels = rng.integers(0, 60, (8, 8, 3), np.uint8)
            pixels[1:7, 1:7] = COLOURS[name] + rng.integers(-20, 21, (6, 6, 3))
            Image.fromarray(pixels).save(folder / name / f"{n}.png")
    return folder


def tone(hertz=700, seconds=0.4, rate=8000):
    """Samples of a tone."""
    return np.rint(6000 * np.sin(2 * np.pi * hertz / rate * np.arange(round(rate * seconds)))).astype("<i2")


def write_wav(path, samples, rate=8000, width=2, channels=1):
    """Writes a recording, of samples in as many bytes; returns the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(samples.tobytes())
    return path
