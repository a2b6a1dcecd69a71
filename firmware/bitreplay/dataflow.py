# The layers of a model, before their shapes and tensors matter: which come in which order, and what each one reads.

from .checks import is_unicode
from .safetensors import fail

MAX_LAYERS, MAX_NAME = 256, 64

FIELDS = {
    "conv2d": ("tensor", "cout", "kernel", "stride", "padding", "shift"),
    "binarize": ("tensor",),
    "bconv2d": ("tensor", "cout", "kernel", "stride", "padding", "groups", "shift", "residual"),
    "bconv2d_sign": ("tensor", "cout", "kernel", "stride", "padding", "groups"),
    "avg_pool": ("size", "repeat"),
    "max_pool": ("size", "repeat"),
    "max_pool_bits": ("size",),
    "latent": (),
    "expand": ("tensor",),
    "global_avg_pool": (),
    "flatten": (),
    "dense": ("tensor",),
}
OPTIONAL = {"binarize": ("flip",)}  # fields that are true, or left out
EVERYWHERE = ("binarize", "bconv2d", "bconv2d_sign", "avg_pool", "max_pool", "max_pool_bits")
POOLINGS = ("global_avg_pool", "flatten")

# What may follow, from an op on: at first, in the backbone, above the latent, after the features.
FIRST: tuple = ("conv2d",)
FOLLOWING: dict = {
    "conv2d": EVERYWHERE + ("latent",),
    "latent": EVERYWHERE + ("expand",) + POOLINGS,
    "global_avg_pool": ("dense",),
    "flatten": ("dense",),
    "dense": (),
}

# Registers, and which of them an op reads and writes. A bconv2d with residual true reads the stream, too.
STREAM, BITS, FEATURES = 1, 2, 4
READS_WRITES = {
    "conv2d": (0, STREAM),
    "binarize": (STREAM, BITS),
    "bconv2d": (BITS, STREAM),
    "bconv2d_sign": (BITS, BITS),
    "avg_pool": (STREAM, STREAM),
    "max_pool": (STREAM, STREAM),
    "max_pool_bits": (BITS, BITS),
    "latent": (BITS, BITS),
    "expand": (BITS, STREAM),
    "global_avg_pool": (STREAM, FEATURES),
    "flatten": (STREAM, FEATURES),
    "dense": (FEATURES, FEATURES),
}


def is_text(value):
    return type(value) is str and 0 < len(value) <= MAX_NAME and is_unicode(value)


def place(i, op):
    """How messages call a layer."""
    return "graph: layer %d (%s)" % (i, op)


def check(path, layers):
    """ValueError if layers, from a graph's JSON, have other ops or fields, another order, or a flow with gaps.

    Nothing may be read that was not written, and nothing written that is not read.
    """
    if type(layers) is not list or not 0 < len(layers) <= MAX_LAYERS:
        fail(path, "graph", "layers must be a list of 1..%d layers" % MAX_LAYERS)
    op, allowed, written = None, FIRST, 0
    for i in range(len(layers)):
        last, op = op, _op(path, i, layers[i])
        where = place(i, op)
        if op not in allowed:
            after = "after " + last if last else "at the start"
            fail(path, where, "%s comes %s" % (", ".join(allowed) if allowed else "nothing", after))
        _check_fields(path, where, layers[i], op)
        missing = _reads(layers[i]) & ~written
        if missing:
            fail(path, where, _unset(op, missing, "expand" in allowed))
        # Only bits cross the latent.
        written = BITS if op == "latent" else written | READS_WRITES[op][1]
        allowed = FOLLOWING.get(op, allowed)
    if not written & FEATURES:
        fail(path, "graph", "must end in global_avg_pool or flatten, with an optional dense")
    _check_live(path, layers)


def _check_live(path, layers):
    """ValueError for a layer whose output no later one reads: backward from the features."""
    live = FEATURES
    for i in reversed(range(len(layers))):
        op = layers[i]["op"]
        if not READS_WRITES[op][1] & live:
            fail(path, place(i, op), "no later layer reads its output; remove it, or what overwrites it")
        live = live & ~READS_WRITES[op][1] | _reads(layers[i])


def _reads(layer):
    return READS_WRITES[layer["op"]][0] | (STREAM if layer.get("residual") else 0)


def _unset(op, missing, above):
    if missing & BITS:
        return "there are no bits yet; put a binarize before it"
    if not above:
        return "there is no stream yet"
    if op != "bconv2d":
        return "there is no stream above the latent yet; put an expand before it"
    return (
        "its shortcut would cross the latent, but a replayed sample has only its bits, so that replayed and fresh "
        "samples would see different values; put an expand before it, or use residual false"
    )


def _op(path, i, layer):
    op = layer.get("op") if type(layer) is dict else None
    if type(op) is not str or op not in FIELDS:
        fail(path, "graph: layer %d" % i, "op must be one of " + ", ".join(sorted(FIELDS)))
    return op


def _check_fields(path, where, layer, op):
    for field in FIELDS[op]:
        if field not in layer:
            fail(path, where, "field %s is missing" % field)
    optional = OPTIONAL.get(op, ())
    for field in layer:
        if field in optional and layer[field] is not True:
            fail(path, where, "%s must be true, or left out" % field)
        if field != "op" and field not in FIELDS[op] and field not in optional:
            fail(path, where, "field %s is unknown; remove it, or update BitReplay" % str(field)[:MAX_NAME])
    if "tensor" in layer and not is_text(layer["tensor"]):
        fail(path, where, "tensor must be a string of 1..%d characters" % MAX_NAME)
    if "residual" in layer and type(layer["residual"]) is not bool:
        fail(path, where, "residual must be true or false")
