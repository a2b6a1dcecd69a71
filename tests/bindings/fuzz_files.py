# Runs in MicroPython: damaged and made-up model and learner files (arguments: noise.py, a folder to work in, models).
#
# A file must be refused by an error that names it, or else work in everything that is done with it, to the last bit
# of memory.

import json
import random
import struct
import sys

import bitreplay
import noise
from bitreplay import safetensors
from noise import content

SIZES = {"U8": 1, "I8": 1, "U16": 2, "I16": 2, "U32": 4, "I32": 4}
VALUES = [0, 1, 2, 3, 4, 5, 7, 8, 9, 16, 17, 24, 25, 31, 32, 33, 64, 96, 127, 128, 255, 256, 257, 1023, 1024, 1025]
VALUES += [65535, 65536, 1 << 31, 1 << 32, 1 << 64, 1.5, True, False, None, "", "block", [], {}, [1], "1"]
TEXTS = [json.dumps(value) for value in VALUES]
OPS = ["conv2d", "binarize", "bconv2d", "bconv2d_sign", "avg_pool", "max_pool", "latent", "expand", "dense"]
PUNCTUATION = b'{}[]",:0123456789 -tu\\'
MARGIN = 32


# Damage.


def damage(whole):
    """Some bytes changed, most of them in the header."""
    data = bytearray(whole)
    header = 8 + struct.unpack("<Q", whole[:8])[0]
    for _ in range(random.randint(1, 3)):
        at = random.randrange(header if random.getrandbits(3) else len(data))
        if random.getrandbits(1):
            data[at] ^= 1 << random.getrandbits(3)
        else:
            data[at] = random.choice(PUNCTUATION)
    return data


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
            value[random.choice(("x", "tensor", "shift", "value", "name", "groups"))] = value[key]
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


def tweak(graph):
    """A setting of a layer that does not decide the size of its tensors."""
    layer = random.choice(graph["layers"])
    for field in ("shift", "padding", "stride", "size", "repeat", "value"):
        if field in layer and random.getrandbits(1):
            layer[field] = random.randint(0, 8)
    if "residual" in layer:
        layer["residual"] = random.getrandbits(1) == 1


def change_header(whole):
    """Something changed in the JSON, most of all in the JSON in its metadata."""
    header, data = split(whole)
    metadata = header["__metadata__"]
    if random.getrandbits(2):
        field = random.choice([field for field in ("graph", "labels", "config") if field in metadata])
        parsed = json.loads(metadata[field])
        for _ in range(random.randint(1, 2)):
            if field == "graph" and random.getrandbits(2):
                tweak(parsed)
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


# Models of all shapes.


class Made:
    """A model of random layers, valid but for what comes by chance, with random weights."""

    def __init__(self):
        self.layers, self.tensors, self.names = [], [], 0

    def add(self, op, *tensors, **fields):
        layer = {"op": op}
        layer.update(fields)
        if tensors:
            layer["tensor"] = f"t{self.names}"
            for part, dtype, shape, data in tensors:
                self.tensors.append((layer["tensor"] + "." + part, dtype, shape, data))
            self.names += 1
        self.layers.append(layer)

    def small(self, dtype, shape, low, high):
        size, count = SIZES[dtype], 1
        for n in shape:
            count *= n
        values = [random.randint(low, high) for _ in range(min(count, 64))]
        one = b"".join([struct.pack({1: "b", 2: "<h", 4: "<i"}[size], v) for v in values])
        return (one * (count // len(values) + 1))[: count * size]

    def affine(self, cout):
        slope = self.small("I16", (cout, 2), -300, 300)
        return ("slope", "I16", [cout, 2], slope), ("bias", "I32", [cout], self.small("I32", (cout,), -9999, 9999))

    def convolution(self, op, shape, cout, groups, kernel):
        stride, padding = 1, kernel // 2
        if random.getrandbits(1):
            stride, padding = random.randint(1, 2), random.randrange(kernel)
        height, width, cin = shape
        fields = {"cout": cout, "kernel": kernel, "stride": stride, "padding": padding}
        out = [(side + 2 * padding - kernel) // stride + 1 for side in (height, width)]
        if op == "conv2d":
            weight = "weight", "I8", [cout, kernel, kernel, cin], content(cout * kernel * kernel * cin)
        else:
            words = cin // groups // 32
            weight = "weight", "U32", [cout, kernel, kernel, words], content(4 * cout * kernel * kernel * words)
            fields["groups"] = groups
        if op == "bconv2d_sign":
            threshold = "threshold", "I16", [cout], content(2 * cout)
            self.add(op, weight, threshold, ("flip", "U32", [cout // 32], content(cout // 8)), **fields)
        else:
            if op == "bconv2d":
                fields["residual"] = out + [cout] == shape and random.getrandbits(2) > 0
            self.add(op, weight, *self.affine(cout), shift=random.randint(6, 14), **fields)
        return out + [cout]

    def binarize(self, shape):
        self.add("binarize", ("threshold", "I8", [shape[2]], content(shape[2])))

    def pool(self, shape):
        sizes = [s for s in (1, 2, 4, 8) if shape[0] % s == 0 and shape[1] % s == 0]
        size = random.choice(sizes)
        repeat = random.randint(1, max(1, min(size, 256 // shape[2])))
        self.add(random.choice(("avg_pool", "max_pool")), size=size, repeat=repeat)
        return [shape[0] // size, shape[1] // size, shape[2] * repeat]

    def model(self):
        image = [random.randint(1, 20), random.randint(1, 20), random.randint(1, 4)]
        if random.getrandbits(2):
            image[0] = image[1]
        stream = self.convolution("conv2d", image, 32 * random.randint(1, 3), 1, random.randint(1, 5))
        bits = None
        for _ in range(random.randint(0, 5)):
            kind = random.randrange(4)
            if kind == 0 and min(stream) > 0:
                stream = self.pool(stream)
            elif kind == 1 or bits is None:
                self.binarize(stream)
                bits = stream
            else:
                groups, kernel = random.choice((1, 1, 1, 2)), random.randint(1, 3)
                if bits[2] % (32 * groups):
                    groups = 1
                if kind == 2:
                    stream = self.convolution("bconv2d", bits, random.choice((bits[2], 32, 64)), groups, kernel)
                else:
                    bits = self.convolution("bconv2d_sign", bits, 32 * random.randint(1, 2), groups, kernel)
        side = random.choice([n for n in (1, 2, 4, 8) if n <= min(stream[:2])] or [1])
        for _ in range(3):
            if max(stream[:2]) > side:
                self.binarize(stream)
                stream = self.shrink(stream, min(7, max(stream[:2]) - side + 1))
        self.binarize(stream)
        channels, side = stream[2], stream[0]
        self.add("latent")
        self.add("expand", value=random.randint(1, 127))
        if random.getrandbits(2):
            groups = random.choice([g for g in (1, 2, 3) if channels % (32 * g) == 0])
            weight = "weight", "I8", [channels, channels // groups], content(channels * channels // groups)
            fields = {"cout": channels, "kernel": 1, "stride": 1, "padding": 0, "groups": groups, "shift": 8}
            self.add("bconv2d", weight, *self.affine(channels), residual=True, **fields)
        self.add("avg_pool", size=side, repeat=1)
        labels = None
        if random.getrandbits(1):
            labels = [f"label {i}" for i in range(random.randint(1, 5))]
            weight = "weight", "I8", [len(labels), channels], content(len(labels) * channels)
            shift = self.small("I8", (len(labels),), -16, 6)
            self.add("dense", weight, ("shift", "I8", [len(labels)], shift))
        return self.file(image, labels)

    def shrink(self, shape, kernel):
        words = shape[2] // 32
        weight = "weight", "U32", [32, kernel, kernel, words], content(128 * kernel * kernel * words)
        fields = {"cout": 32, "kernel": kernel, "stride": 1, "padding": 0, "groups": 1, "shift": 8}
        self.add("bconv2d", weight, *self.affine(32), residual=False, **fields)
        return [shape[0] - kernel + 1, shape[1] - kernel + 1, 32]

    def file(self, image, labels):
        graph = json.dumps({"image": image, "layers": self.layers})
        header = {"__metadata__": {"format": "bitreplay-model", "version": "1", "name": "made", "graph": graph}}
        if labels:
            header["__metadata__"]["labels"] = json.dumps(labels)
        data = b""
        for size in (4, 2, 1):
            for name, dtype, shape, values in self.tensors:
                if SIZES[dtype] == size:
                    header[name] = {
                        "dtype": dtype,
                        "shape": shape,
                        "data_offsets": [len(data), len(data) + len(values)],
                    }
                    data += bytes(values)
        return join(header, data)


# What is done with a file that was taken.


def inside(size):
    """A view of that many bytes, and the bytearray around it."""
    whole = bytearray(b"\xa5" * (size + 2 * MARGIN))
    return memoryview(whole)[MARGIN : MARGIN + size], whole


def use(net):
    images = [content(net.image_bytes) for _ in range(2)]
    latent, around_latent = inside(net.latent_bytes)
    features, around_features = inside(net.features)
    seen = []
    for image in (images[0], images[1], images[0]):
        net.latent(image, latent)
        net.features_of(latent, net.trainable and net.pack_signs(), features)
        seen.append(bytes(latent) + bytes(features))
        if net.labels:
            label, probability = net.classify(image)
            assert label in net.labels and 0 <= probability <= 1
    assert seen[0] == seen[2], "a result depends on the image before"
    for whole in (around_latent, around_features):
        assert set(whole[:MARGIN] + whole[-MARGIN:]) == {0xA5}, "what is around a buffer was written"


def learn(net, me=None):
    """A learner on the model, this or a new one, does all that learners do."""
    if me is None:
        settings = {
            "conv": net.trainable is not None and random.getrandbits(2) > 0,
            "head_bits": random.choice((16, 32)),
        }
        settings.update(replay=random.randint(0, 5), fresh=3, classes=3, q_b=random.randint(2, 16))
        me = bitreplay.Learner(net, **settings)
    for label in "ab":
        if me.fresh.n < me.fresh.capacity and (label in me.labels or len(me.labels) < me.config["classes"]):
            me.see(content(net.image_bytes), label)
    if me.fresh.n + me.replay.n:
        me.learn(1, progress=False)
        label, probability = me.predict(content(net.image_bytes))
        assert label in me.labels and 0 <= probability <= 1
    me.digest()
    return me


def case(number, folder, *paths, tell=False):
    """One file: a model that is damaged, changed or made, or a learner that is damaged or changed."""
    path = paths[number % len(paths)]
    with open(path, "rb") as file:
        whole = file.read()
    kind = ("damaged", "changed", "valued", "made", "remade", "learner")[number // len(paths) % 6]
    if kind == "learner":
        return learner_case(folder, path, tell)
    if kind in ("made", "remade"):
        whole = Made().model()
    changes = {"damaged": damage, "changed": change_header, "valued": change_data, "remade": change_header}
    data = changes[kind](whole) if kind in changes else whole
    if tell:
        print(kind, path, bytes(data)[8:3000])
    opened = safetensors.open_view
    safetensors.open_view = lambda path: (memoryview(data), None)
    try:
        net = bitreplay.load("PATH")
    except (ValueError, MemoryError) as error:
        assert str(error).startswith("PATH: "), error
        if tell:
            print(error)
        return kind + " refused"
    finally:
        safetensors.open_view = opened
    use(net)
    if random.getrandbits(3) == 0:
        learn(net)
    return kind + " taken"


LEARNERS = {}  # files by model


def learner_case(folder, path, tell):
    net = bitreplay.load(path)
    saved = folder + "/learner"
    state = random.getrandbits(32)
    if path not in LEARNERS:
        random.seed(1)
        learn(net).save(saved)
        with open(saved, "rb") as file:
            LEARNERS[path] = file.read()
    random.seed(state)
    data = random.choice((damage, change_header, change_data))(LEARNERS[path])
    with open(saved, "wb") as file:
        file.write(data)
    if tell:
        print("learner", path, bytes(data)[8:3000])
    try:
        me = bitreplay.Learner.load(net, saved)
    except (ValueError, MemoryError) as error:
        assert str(error).startswith(saved + ": ") or str(error).startswith("Learner: needs"), error
        if tell:
            print(error)
        return "learner refused"
    learn(net, me)
    me.save(saved)
    bitreplay.Learner.load(net, saved)
    return "learner taken"


noise.run(case, *sys.argv[1:])
