# For the fuzzer of files, in MicroPython and CPython: what may happen to a file, by chance or on purpose.

import json
import random
import struct

from noise import content

SIZES = {"U8": 1, "I8": 1, "U16": 2, "I16": 2, "U32": 4, "I32": 4}
VALUES = [0, 1, 2, 3, 4, 5, 7, 8, 9, 16, 17, 24, 25, 31, 32, 33, 64, 96, 127, 128, 255, 256, 257, 1023, 1024, 1025]
VALUES += [65535, 65536, 1 << 31, 1 << 32, 1 << 64, 1.5, True, False, None, "", "block", [], {}, [1], "1"]
TEXTS = [json.dumps(value) for value in VALUES]
OPS = [
    "conv2d",
    "binarize",
    "bconv2d",
    "bconv2d_sign",
    "avg_pool",
    "max_pool",
    "max_pool_bits",
    "latent",
    "expand",
    "dense",
]
OPS += ["global_avg_pool", "flatten"]
PUNCTUATION = b'{}[]",:0123456789 -tu\\'


def damage(whole):
    """Some bytes changed, most of them in the header."""
    data = bytearray(whole)
    header = 8 + struct.unpack("<Q", whole[:8])[0]
    for _ in range(random.randint(1, 3)):
        at = random.randrange(header if random.getrandbits(2) else len(data))
        kind = random.randrange(5)
        if kind < 2:
            data[at] ^= 1 << random.getrandbits(3)
        elif kind < 4:
            data[at] = random.choice(PUNCTUATION)
        else:
            data[at] = random.getrandbits(8)
    return data


def splice(whole):
    """A piece is missing, or there twice; or it ends early, or goes on."""
    a, b = random.randrange(len(whole) + 1), random.randrange(len(whole) + 1)
    return whole[:a] + (whole[b:] if random.getrandbits(2) else content(random.randrange(3)))


def split(whole):
    length = struct.unpack("<Q", whole[:8])[0]
    return json.loads(bytes(whole[8 : 8 + length])), whole[8 + length :]


def join(header, data):
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + data


def change(value):
    """The value, or something in it, replaced by another one."""
    if value and isinstance(value, dict) and random.getrandbits(4):
        key = random.choice(sorted(value))
        kind = random.getrandbits(4)
        if kind == 0:
            del value[key]
        elif kind == 1:
            value[random.choice(("x", "tensor", "shift", "size", "name", "groups"))] = value[key]
        else:
            value[key] = change(value[key])
        return value
    if value and isinstance(value, list) and random.getrandbits(4):
        i = random.randrange(len(value))
        kind = random.getrandbits(4)
        if kind == 0:
            value.pop(i)
        elif kind == 1:
            value.insert(i, value[random.randrange(len(value))])
        elif kind == 2:
            value[i], value[-1] = value[-1], value[i]
        else:
            value[i] = change(value[i])
        return value
    if type(value) is int and random.getrandbits(1):
        return value + random.choice((-1, 1, 2, 31, 32, -32, value))
    if type(value) is str and value in OPS and random.getrandbits(1):
        return random.choice(OPS)
    if type(value) is str and value in SIZES and random.getrandbits(1):
        return random.choice(sorted(SIZES))
    return json.loads(random.choice(TEXTS))


def reorder(graph):
    """Another order of layers, which reads what is not there, or leaves some that nothing needs."""
    layers, kind = graph["layers"], random.randrange(4)
    i = random.randrange(len(layers))
    if kind == 0:
        layers.pop(i)
    elif kind == 1:
        layers.insert(random.randrange(len(layers)), layers.pop(i))
    elif kind == 2:
        layers.insert(i, {"op": random.choice(("avg_pool", "max_pool")), "size": 1, "repeat": 1})
    else:
        layers[i] = {"op": random.choice(("global_avg_pool", "flatten", "latent"))}


def tweak(graph):
    """A setting of a layer that does not decide the size of its tensors."""
    layer = random.choice(graph["layers"])
    for field in ("shift", "padding", "stride", "size", "repeat"):
        if field in layer and random.getrandbits(1):
            numbers = [random.randint(0, 8), random.randint(0, 8)]
            layer[field] = numbers[0] if random.randrange(3) else numbers
    if "residual" in layer:
        layer["residual"] = random.getrandbits(1) == 1


def change_header(whole):
    """Something changed in the JSON, most of all in the JSON in its metadata."""
    header, data = split(whole)
    metadata = header["__metadata__"]
    fields = [field for field in ("graph", "labels", "config") if field in metadata]
    if fields and random.getrandbits(2):
        field = random.choice(fields)
        parsed = json.loads(metadata[field])
        for _ in range(random.randint(1, 2)):
            if field == "graph" and random.getrandbits(2):
                random.choice((tweak, tweak, reorder))(parsed)
            else:
                parsed = change(parsed)
                break
        metadata[field] = json.dumps(parsed)
    else:
        header = change(header)
    return join(header, data)


def change_data(whole):
    """Other values in the tensors."""
    length = 8 + struct.unpack("<Q", whole[:8])[0]
    data = bytearray(whole)
    for _ in range(random.randint(1, 3)):
        start = random.randrange(length, len(data))
        n = random.randint(1, min(64, len(data) - start))
        data[start : start + n] = content(n)
    return data
