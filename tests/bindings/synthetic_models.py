# For the fuzzer of files, in MicroPython and CPython: models of all shapes.

import json
import random
import struct

from damage import SIZES, join
from noise import content


def pair(value):
    return value if isinstance(value, list) else [value, value]


def field(value):
    """A field of two numbers: as one integer where they are the same, but now and then."""
    return value[0] if value[0] == value[1] and random.randrange(4) else value


def outputs(shape, kernel, stride, padding):
    """Height and width of a convolution's output."""
    return [(shape[i] + 2 * padding[i] - kernel[i]) // stride[i] + 1 for i in range(2)]


class SyntheticModel:
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

    def convolution(self, op, shape, cout, groups, kernel, stride, padding, residual=False):
        cin = shape[2]
        kernel, stride, padding = pair(kernel), pair(stride), pair(padding)
        fields = {"cout": cout, "kernel": field(kernel), "stride": field(stride), "padding": field(padding)}
        out, taps = outputs(shape, kernel, stride, padding), kernel[0] * kernel[1]
        if op == "conv2d":
            weight = "weight", "I8", [cout] + kernel + [cin], content(cout * taps * cin)
        else:
            words = cin // groups // 32
            weight = "weight", "U32", [cout] + kernel + [words], content(4 * cout * taps * words)
            fields["groups"] = groups
        if op == "bconv2d_sign":
            threshold = "threshold", "I16", [cout], content(2 * cout)
            self.add(op, weight, threshold, ("flip", "U32", [cout // 32], content(cout // 8)), **fields)
        else:
            if op == "bconv2d":
                fields["residual"] = residual
            self.add(op, weight, *self.affine(cout), shift=random.randint(6, 14), **fields)
        return out + [cout]

    def image(self):
        """The first layer, of an image of this shape."""
        shape = [random.randint(1, 20), random.randint(1, 20), random.randint(1, 4)]
        if random.getrandbits(2):
            shape[0] = shape[1]
        kernel, stride, padding = self.window(5)
        self.stream = self.convolution("conv2d", shape, 32 * random.randint(1, 3), 1, kernel, stride, padding)
        return shape

    def window(self, largest):
        """A convolution's kernel, stride and padding; a third differs vertically and horizontally."""
        found = [self.steps(random.randint(1, largest)) for _ in range(2)]
        if random.randrange(3):
            found[1] = found[0]
        return [[one[i] for one in found] for i in range(3)]

    def steps(self, kernel):
        """A kernel and its stride and padding, in one direction; most keep the side."""
        if random.getrandbits(1):
            return kernel, random.randint(1, 2), random.randrange(kernel)
        return kernel, 1, kernel // 2

    # One of the registers is always unread: what overwrites the other one, or reads the first, may follow.

    def layer(self):
        """A layer after any other."""
        if self.unread == "stream":
            if self.stream == self.bits and random.getrandbits(1):
                kernel = random.choice((1, 3))
                self.convolution("bconv2d", self.bits, self.bits[2], 1, kernel, 1, kernel // 2, True)
            elif random.getrandbits(1) and min(self.stream) > 0:
                self.pool()
            else:
                self.binarize()
        elif random.randrange(4) == 0:
            self.bits = self.from_bits("bconv2d_sign")
        elif random.randrange(6) == 0 and min(self.bits) > 0:
            size = self.sizes(self.bits)
            self.add("max_pool_bits", size=field(size))
            self.bits = [self.bits[0] // size[0], self.bits[1] // size[1], self.bits[2]]
        elif self.above and random.getrandbits(1):
            self.expand()
        elif self.stream and random.randrange(4) == 0 and max(self.stream[:2]) > 1 and self.stream == self.bits:
            self.down()
        else:
            self.binary()

    def binarize(self):
        channels = self.stream[2]
        threshold = "threshold", "I8", [channels], content(channels)
        if random.randrange(3):
            self.add("binarize", threshold)
        else:
            self.add("binarize", threshold, ("flip", "U32", [channels // 32], content(channels // 8)), flip=True)
        self.bits, self.unread = self.stream, "bits"

    def expand(self):
        self.add("expand", ("levels", "I8", [self.bits[2], 2], content(2 * self.bits[2])))
        self.stream, self.unread = self.bits, "stream"

    def pool(self):
        size = self.sizes(self.stream)
        most = size[0] if self.stream[1] == 1 else size[1]
        self.pool_by(size, random.randint(1, max(1, min(most, 256 // self.stream[2]))))

    def sizes(self, shape):
        """Those of a pool's windows."""
        return [random.choice([s for s in (1, 2, 4, 8) if side % s == 0]) for side in shape[:2]]

    def pool_by(self, size, repeat):
        self.add(random.choice(("avg_pool", "max_pool")), size=field(size), repeat=repeat)
        height, width, channels = self.stream
        self.stream = [height // size[0], width // size[1], channels * repeat]

    def binary(self):
        """A convolution to the stream, with its shortcut if that has the same shape."""
        self.stream, self.unread = self.from_bits("bconv2d"), "stream"

    def from_bits(self, op):
        groups = 2 if random.randrange(4) == 0 and self.bits[2] % 64 == 0 else 1
        cout = random.choice((self.bits[2], 32 * groups, 64))
        kernel, stride, padding = self.window(3)
        out = outputs(self.bits, kernel, stride, padding)
        residual = op == "bconv2d" and self.stream == out + [cout] and random.getrandbits(2) > 0
        return self.convolution(op, self.bits, cout, groups, kernel, stride, padding, residual)

    def down(self):
        """Half the side and twice the channels, with a shortcut, where the sides are even."""
        if self.stream[0] % 2 == 0 and self.stream[1] % 2 == 0 and self.stream[2] <= 128:
            self.pool_by([2, 2], 2)
            self.stream = self.convolution("bconv2d", self.bits, self.stream[2], 1, 3, 2, 1, True)
            self.unread = "stream"
        else:
            self.binary()

    def shrink(self):
        """Sides of at most 8."""
        while max(self.bits[:2]) > 8:
            kernel = min(7, max(self.bits[:2]) - 7, *self.bits[:2])
            stride = 1 if kernel > 1 else 2
            self.stream = self.convolution("bconv2d", self.bits, 32, 1, kernel, stride, 0)
            self.binarize()

    def model(self):
        image = self.image()
        self.bits, self.unread, self.above = None, "stream", False
        for _ in range(random.randint(0, 5)):
            self.layer()
        if self.unread == "stream":
            self.binarize()
        self.shrink()
        self.add("latent")
        self.stream, self.above = None, True
        for _ in range(random.randint(0, 6)):
            self.layer()
        if self.unread == "bits":
            random.choice((self.expand, self.binary))()
        height, width, features = self.stream
        if random.getrandbits(1) and 0 < height * width * features <= 1024:
            self.add("flatten")
            features *= height * width
        else:
            self.add("global_avg_pool")
        labels = None
        if random.getrandbits(1):
            labels = [f"label {i}" for i in range(random.randint(1, 5))]
            weight = "weight", "I8", [len(labels), features], content(len(labels) * features)
            shift = self.small("I8", (len(labels),), -16, 6)
            self.add("dense", weight, ("shift", "I8", [len(labels)], shift))
        return self.file(image, labels)

    def file(self, image, labels):
        graph = json.dumps({"image": image, "layers": self.layers})
        header = {"__metadata__": {"format": "bitreplay-model", "version": "2", "name": "synthetic", "graph": graph}}
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
