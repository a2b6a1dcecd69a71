"""Which orders of layers are accepted, against another definition: the features depend on every layer."""

import random
from collections import Counter

from bitreplay import dataflow

REGISTERS = {
    # op: (reads the stream, reads the bits, what it writes)
    "binarize": (True, False, "bits"),
    "bconv2d": (False, True, "stream"),
    "bconv2d_sign": (False, True, "bits"),
    "avg_pool": (True, False, "stream"),
    "max_pool": (True, False, "stream"),
    "max_pool_bits": (False, True, "bits"),
    "expand": (False, True, "stream"),
    "latent": (False, True, "bits"),
    "global_avg_pool": (True, False, "features"),
    "flatten": (True, False, "features"),
}
BELOW = ["binarize", "bconv2d", "bconv2d_sign", "avg_pool", "max_pool", "max_pool_bits"]


def layer(op, residual):
    fields = dict.fromkeys(dataflow.FIELDS[op], 1)
    if "tensor" in fields:
        fields["tensor"] = "t"
    if op == "bconv2d":
        fields["residual"] = residual
    return {"op": op, **fields}


def judged(layers):
    """("unset", the layer) that reads what is not there, ("dead", layers) that the features do not depend on, or fine.

    What a register holds is known by the layers that made it.
    """
    held = {"stream": {0}, "bits": None}
    for i, one in enumerate(layers[1:], 1):
        stream, bits, target = REGISTERS[one["op"]]
        sources = ["stream"] * (stream or one.get("residual", False)) + ["bits"] * bits
        if any(held[source] is None for source in sources):
            return "unset", {i}
        held[target] = {i}.union(*[held[source] for source in sources])
        if one["op"] == "latent":
            held["stream"] = None
    dead = set(range(len(layers))) - held["features"]
    return ("dead" if dead else "fine"), dead


def some(draw, ops, most):
    # More binarize, as much that needs bits would have none.
    ops = [*ops, *2 * ["binarize"]]
    return [layer(draw.choice(ops), draw.random() < 0.5) for _ in range(draw.randint(0, most))]


def a_graph(draw):
    below = [*some(draw, BELOW, 3), layer("binarize", None)]
    above = [layer("expand", None)] * draw.randint(0, 1) + some(draw, [*BELOW, "bconv2d", "expand"], 5)
    features = layer(draw.choice(("global_avg_pool", "flatten")), None)
    return [layer("conv2d", None), *below, layer("latent", None), *above, features]


def told(layers):
    """What check() says: as judged(), but only one of the layers that are dead."""
    try:
        dataflow.check("model", layers)
    except ValueError as error:
        number = int(str(error).split("layer ")[1].split(" ")[0])
        assert f"model: graph: layer {number} ({layers[number]['op']}): " in str(error)
        return "dead" if "no later layer reads its output" in str(error) else "unset", number
    return "fine", None


def test_every_layer_counts():
    draw, seen = random.Random(1), Counter()
    for _ in range(20000):
        layers = a_graph(draw)
        (verdict, guilty), (answer, number) = judged(layers), told(layers)
        assert answer == verdict and (verdict == "fine" or number in guilty), layers
        seen[verdict] += 1
    assert min(seen[verdict] for verdict in ("unset", "dead", "fine")) > 1000, seen
