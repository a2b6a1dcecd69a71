"""Models with several layers above the latent, of random weights: what a learner may train, and what it may not."""

import numpy as np

import models

# By name: the layers above the latent, 4x4x32 bits; what a binary layer is not given is as in DEFAULTS.
RESIDUAL = {"kernel": 3, "padding": 1, "residual": True}
LAYERS = {
    # As backbones are made: blocks with shortcuts, a pool that doubles the channels.
    "blocks": [
        ("expand", {}),
        ("bconv2d", RESIDUAL),
        ("binarize", {}),
        ("bconv2d", RESIDUAL),
        ("avg_pool", {"size": 2, "repeat": 2}),
        ("binarize", {}),
        ("bconv2d", {"groups": 2, "residual": True}),
        ("global_avg_pool", {}),
    ],
    # No stream comes from below; even kernels, a stride, a border that is left out.
    "strided": [
        ("bconv2d", {"kernel": 2, "cout": 64, "padding": 1}),
        ("binarize", {}),
        ("bconv2d", {"kernel": 3, "stride": 2, "cout": 32, "padding": 1}),
        ("binarize", {}),
        ("bconv2d", {"kernel": 3, "cout": 64}),
        ("global_avg_pool", {}),
    ],
    # Some channels are flipped: their gradient changes its sign, with a shortcut and without.
    "flipped": [
        ("bconv2d", {"kernel": 2, "cout": 64, "padding": 1}),
        ("binarize", {"flip": True}),
        ("bconv2d", {**RESIDUAL, "cout": 64}),
        ("binarize", {"flip": True}),
        ("bconv2d", {"kernel": 3, "cout": 32}),
        ("global_avg_pool", {}),
    ],
    # A strided layer with a pooled shortcut, and bits that become the stream again; single features.
    "flat": [
        ("expand", {}),
        ("bconv2d", RESIDUAL),
        ("binarize", {}),
        ("avg_pool", {"size": 2, "repeat": 1}),
        ("bconv2d", {**RESIDUAL, "stride": 2}),
        ("binarize", {}),
        ("expand", {}),
        ("bconv2d", RESIDUAL),
        ("flatten", {}),
    ],
    # Other kernels, strides, padding and pools vertically than horizontally.
    "oblong": [
        ("expand", {}),
        ("bconv2d", {"kernel": [1, 3], "padding": [0, 1], "residual": True}),
        ("binarize", {}),
        ("avg_pool", {"size": [1, 2], "repeat": 2}),
        ("bconv2d", {"kernel": [3, 2], "stride": [1, 2], "padding": [1, 0], "cout": 64, "residual": True}),
        ("binarize", {}),
        ("bconv2d", {"kernel": [2, 3], "stride": [2, 1], "padding": [0, 2], "groups": 2}),
        ("avg_pool", {"size": [1, 4], "repeat": 1}),
        ("flatten", {}),
    ],
    # As little as two layers need.
    "little": [
        ("expand", {}),
        ("bconv2d", {"residual": True}),
        ("binarize", {}),
        ("bconv2d", {"residual": True}),
        ("global_avg_pool", {}),
    ],
    # Two layers read the same bits: the latent, and what a layer makes.
    "twice": [("expand", {}), ("bconv2d", RESIDUAL), ("bconv2d", {"residual": True}), ("global_avg_pool", {})],
    "made twice": [
        ("expand", {}),
        ("bconv2d", RESIDUAL),
        ("binarize", {}),
        ("bconv2d", RESIDUAL),
        ("bconv2d", {"residual": True}),
        ("global_avg_pool", {}),
    ],
    # No gradient passes the signs, nor a maximum.
    "signs": [
        ("expand", {}),
        ("bconv2d", RESIDUAL),
        ("binarize", {}),
        ("bconv2d_sign", {"kernel": 3, "padding": 1}),
        ("expand", {}),
        ("bconv2d", RESIDUAL),
        ("binarize", {}),
        ("bconv2d", RESIDUAL),
        ("global_avg_pool", {}),
    ],
    "pooled bits": [
        ("max_pool_bits", {"size": [1, 2]}),
        ("expand", {}),
        ("bconv2d", RESIDUAL),
        ("binarize", {}),
        ("max_pool_bits", {"size": 2}),
        ("bconv2d", {"kernel": 2, "padding": 1, "cout": 64}),
        ("binarize", {"flip": True}),
        ("bconv2d", {}),
        ("global_avg_pool", {}),
    ],
    "maximum": [
        ("bconv2d", RESIDUAL | {"residual": False}),
        ("max_pool", {"size": 2, "repeat": 1}),
        ("binarize", {}),
        ("bconv2d", {}),
        ("global_avg_pool", {}),
    ],
}
DEFAULTS = {"kernel": 1, "stride": 1, "padding": 0, "groups": 1}


def deep(name="blocks", seed=0):
    """An 8x8x3 image, a latent of 4x4x32 bits (64 bytes), these layers and no head."""
    rng = np.random.default_rng(seed)
    stem = models._conv("conv2d", "stem", 32, 3, 2, 1, shift=13)
    layers = [stem, {"op": "binarize", "tensor": "latent"}, {"op": "latent"}]
    tensors = {
        **models._stem(rng),
        "latent.threshold": models._threshold(rng, 32),
    }
    channels = bits = 32
    for i, (op, fields) in enumerate(LAYERS[name]):
        layer, tensor = {"op": op, **fields}, f"{op}{i}"
        if op in ("expand", "binarize", "bconv2d", "bconv2d_sign"):
            layer["tensor"] = tensor
        if op == "expand":
            channels = bits
            tensors[f"{tensor}.levels"] = models._levels(rng, bits)
        elif op == "binarize":
            bits = channels
            tensors[f"{tensor}.threshold"] = models._threshold(rng, bits)
            if "flip" in fields:
                tensors[f"{tensor}.flip"] = models._words(rng, bits // 32)
        elif op.startswith("bconv2d"):
            layer = {**layer, **{"cout": bits, **DEFAULTS, **fields}}
            cout, kernel, terms = layer["cout"], models.pair(layer["kernel"]), bits // layer["groups"]
            tensors[f"{tensor}.weight"] = models._words(rng, cout, *kernel, terms // 32)
            if op == "bconv2d":
                layer = {**layer, "shift": 8, "residual": fields.get("residual", False)}
                # Some sums saturate, most do not.
                tensors.update(models._affine(rng, tensor, cout, int(6000 / np.sqrt(kernel[0] * kernel[1] * terms))))
                channels = cout
            else:
                tensors.update(models._sign(rng, tensor, cout))
                bits = cout
        elif op.endswith("_pool") and op != "global_avg_pool":
            channels *= fields["repeat"]
        layers.append(layer)
    return models.Model(name, [8, 8, 3], layers, None, tensors)


def any_model(name):
    """The synthetic model of this name, of all there are."""
    if name in LAYERS:
        return deep(name)
    return models.tiny(trainable=False) if name == "nothing" else getattr(models, name)()
