"""Models of all shapes compute what plain NumPy does, whatever takes turns in the buffers, while they learn, too."""

import json
import random
from collections import Counter

import _bitreplay as kernels
import direct
import numpy as np
from bitreplay import Learner, load
from bitreplay.above import Above
from bitreplay.graph import LATENT
from damage import split
from synthetic_models import SyntheticModel

import models

DTYPES = {name: np.dtype(dtype) for dtype, name in models.DTYPES.items()}
KINDS = [
    "expand",
    "binarize",
    "bconv2d",
    "bconv2d_sign",
    "avg_pool",
    "max_pool",
    "max_pool_bits",
    "global_avg_pool",
    "flatten",
]
KINDS += ["both buffers of bits above", "latent read late", "trained", "two sides", "flipped"]
REASONS = "can overflow 32 bits", "does not fit the", "shape must be", "features, at most"


def parsed(data):
    """The models.Model in a file."""
    header, data = split(data)
    metadata = header.pop("__metadata__")
    graph, labels = json.loads(metadata["graph"]), metadata.get("labels")
    tensors = {}
    for name, entry in header.items():
        start, end = entry["data_offsets"]
        tensors[name] = np.frombuffer(data[start:end], DTYPES[entry["dtype"]]).reshape(entry["shape"])
    return models.Model(metadata["name"], graph["image"], graph["layers"], labels and json.loads(labels), tensors)


def pack(bits):
    return np.packbits(bits.astype(bool), axis=-1, bitorder="little").tobytes()


def trainer_of(net):
    """What computes features while all layers are learned, or None if they cannot be."""
    try:
        return Learner(net, replay=0, fresh=1, classes=2, train="all").trainer
    except ValueError as error:
        assert str(error).startswith("train: "), error


def test_synthetic_models(tmp_path):
    random.seed(1)
    seen = Counter()
    for number in range(150):
        data = SyntheticModel().model()
        (tmp_path / "model").write_bytes(data)
        try:
            net = load(tmp_path / "model")
        except ValueError as error:
            # By chance a sum can overflow, or an image is too small for a kernel.
            assert any(reason in str(error) for reason in REASONS), error
            seen["refused"] += 1
            continue
        model = parsed(data)
        above, latent, features = Above(net), bytearray(net.latent_bytes), bytearray(net.features)
        trainer = trainer_of(net)
        for seed in range(2):
            image = models.image(seed + number, model.image)
            bits, expected, _ = direct.evaluate(model, image)
            net.latent(image, latent)
            above.features(latent, features)
            assert latent == pack(bits), model.layers
            assert features == expected.astype(np.int8).tobytes(), model.layers
            if trainer:
                calls, rows = trainer.minibatch([latent] * 2, [bytearray(net.features), features])
                kernels.run(calls, rows, 2)
                assert features == expected.astype(np.int8).tobytes(), model.layers
        seen.update({"accepted": 1, "trained": trainer is not None})
        seen.update({layer.op for layer in net.above} | {net.pooling})
        slots = [layer.target for layer in net.above if layer.op in ("binarize", "bconv2d_sign", "max_pool_bits")]
        seen["both buffers of bits above"] += len(set(slots)) == 2
        seen["two sides"] += any(
            layer.op == "bconv2d" and layer.geometry[4] != layer.geometry[5] for layer in net.above
        )
        seen["flipped"] += any(layer.op == "binarize" and any(bytes(layer.flip)) for layer in net.above)
        seen["latent read late"] += any(layer.source == LATENT for layer in net.above[1:])
    assert seen["accepted"] > 100 and all(seen[kind] for kind in KINDS), seen
