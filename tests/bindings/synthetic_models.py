# For the fuzzer of files, in MicroPython and CPython: models of all shapes.

import json
import random
import struct

from damage import SIZES, join
from noise import content


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
        header = {"__metadata__": {"format": "bitreplay-model", "version": "1", "name": "synthetic", "graph": graph}}
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
