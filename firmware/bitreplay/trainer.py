# Training of the binary layers above the latent, by low-bit gradients. docs/learning.md tells the algorithm.
#
# Vorabbi, Maltoni, Borghi and Santi 2024, "Enabling On-Device Continual Learning with Binary Neural Networks and
# Latent Replay" (arXiv 2401.09916). A step is scaled by a power of two that follows the layer's gradient.

from array import array

import _bitreplay as kernels

from .above import Above
from .calls import move
from .checks import short
from .fixed import decayed, fixed, log2, rows
from .graph import STREAM, count

LATENT_WEIGHT = 13  # of 127: what a latent weight is in size before it is trained
FALL = 32  # steps in which the exponent of a layer's gradient falls by one at most
UNKNOWN = -128  # exponent of a layer whose gradient was not measured yet in this learn()
MAX_BATCH = 8  # samples of a minibatch
MAX_POSITIONS = 4096  # of a layer, in a minibatch: what bconv2d_dw takes
PASSED = "expand", "binarize", "bconv2d", "avg_pool"  # by a gradient


def most(net):
    """How many binary convolutions, from the top, a gradient reaches."""
    return _reach(net)[0]


def _reach(net):
    """(most(net), the Layer that lets no gradient pass, if that is why)"""
    found = readers = widest = 0
    for layer in reversed(net.above):
        if layer.op not in PASSED:
            return found, layer
        if layer.op == "bconv2d":
            widest = max(widest, layer.shape[0] * layer.shape[1])
            if minibatch(layer) * widest > MAX_POSITIONS:
                break
            found, readers = found + 1, readers + 1
            # There is a buffer for the gradient that one convolution has for its bits.
            if readers == 2:
                break
        elif layer.op == "binarize":
            readers = 0
    return found, None


def check_train(net, train):
    """How many binary layers `train` ("head", "all" or a number of them) stands for, or ValueError."""
    layers, (reached, stop) = sum([layer.op == "bconv2d" for layer in net.above]), _reach(net)
    if train == "head" and type(train) is str:
        return 0
    if train == "all" and type(train) is str:
        if layers == 0:
            raise ValueError('train: the model has no binary layers above its latent; use train="head"')
        train = layers
    if type(train) is not int or train < 0:
        raise ValueError('train: must be "head", "all" or how many binary layers from the top, got ' + short(train))
    if train > layers:
        raise ValueError("train: the model has %d binary layers above its latent, got %d" % (layers, train))
    if train > reached:
        text = "train: of %d binary layers only the upper %d can be trained" % (layers, reached)
        if stop:
            text += ", as no gradient passes the %s%s" % (stop.op, " " + stop.name if stop.name else "")
        raise ValueError(text + " (docs/learning.md)")
    return train


def minibatch(layer):
    """Samples of a minibatch where this layer is the lowest trained one.

    Each takes memory for its gradients. Where the layer has many positions, fewer samples learn better, and four words
    of them are enough for speed.
    """
    return max(2, min(MAX_BATCH, 128 // (layer.shape[0] * layer.shape[1])))


def columns(batch, positions):
    """Positions of a minibatch, filled up to whole words of bits."""
    return (batch * positions + 31) // 32 * 32


class Part:
    """A trained layer: which output channels are trained, and the sizes that follow.

    index: its place in net.above; source: of the layer whose bits it reads, None for the latent; passes: whether
    a trained layer lies below those bits; channels u16[T]; fan_in: weights of a channel; positions: of its output;
    columns: of a minibatch, a multiple of 32. A Trainer adds weight, the latent weights i8[T * fan_in]; packed, the
    signs of the layer; and what it needs of a minibatch, its gradient in memory.
    """

    weight = packed = memory = gradient = exponents = x = scratch = None

    def __init__(self, net, index, lowest, config, batch):
        self.index, self.layer = index, net.above[index]
        g = self.layer.geometry
        number = (g[3] * int(config["channels"] * 1000 + 0.5) + 500) // 1000
        if number == 0:
            raise ValueError(
                "channels: %.3g of the %d channels of %s is less than one; give more"
                % (config["channels"], g[3], self.layer.name)
            )
        # Evenly spread, so that every group has its share.
        self.channels = array("H", [i * g[3] // number for i in range(number)])
        self.fan_in = g[4] * g[5] * (g[2] // g[10])
        self.positions = self.layer.shape[0] * self.layer.shape[1]
        self.columns = columns(batch, self.positions)
        self.source = None
        for i in range(index):
            if net.above[i].target != STREAM:
                self.source = i
        self.passes = self.source is not None and self.source > lowest

    def row(self, t):
        """The latent weights of the t-th trained channel, and its signs."""
        size, first = self.fan_in, self.channels[t] * self.fan_in // 8
        return memoryview(self.weight)[t * size : (t + 1) * size], memoryview(self.packed)[first : first + size // 8]


def _start(part):
    """Sets the latent weights of a layer to its signs times a small magnitude."""
    levels = bytes([256 - LATENT_WEIGHT, LATENT_WEIGHT]) * 32
    for t in range(len(part.channels)):
        weight, packed = part.row(t)
        kernels.expand(packed, levels, weight)


def _planes(layer):
    """How many bit planes the backward pass needs of a layer."""
    return {"bconv2d": 2, "binarize": 1}.get(layer.op, 0)


def parts(net, config, batch):
    """The Parts that a learner with this config trains, from the lowest up."""
    if config["train"] == 0:
        return []
    found = [i for i in range(len(net.above)) if net.above[i].op == "bconv2d"]
    found = found[-config["train"] :]
    return [Part(net, i, found[0], config, batch) for i in found]


def _largest(trained):
    """The one of these Parts whose gradient takes the most memory."""
    return max(trained, key=lambda part: len(part.channels) * part.columns)


def _features(net, batch):
    """Bytes of a minibatch's features at the end of the network's stream, if they have room there."""
    features = batch * net.features
    return features if features <= len(net.spare) else 0


def idle_bytes(net, batch):
    """Bytes of the network's stream that are free after a forward pass: all but the features."""
    return len(net.scratch[STREAM]) - _features(net, batch)


def work(net, batch):
    """The part of the network's stream that is idle in a forward pass of the layers above: before the features."""
    return net.spare[: (len(net.spare) - _features(net, batch)) // 4 * 4]


def velocity_bytes(net, config):
    """Bytes of the velocity of the Head with this config."""
    return config["classes"] * net.features * config["head_bits"] // 8


def buffers(net, config, batch):
    """Bytes of the buffers of a Trainer, by formula: {"part.name": bytes}; part is weights or gradients.

    The largest gradient has the head's velocity in its buffer, as what is lent (tables.py) is one piece.
    """
    found, trained = {}, parts(net, config, batch)
    if not trained:
        return found
    lowest, bits, sources, scratch, masks, g, d = trained[0].index, config["q_b"], [], 0, 0, 0, 0
    for part in trained:
        name, channels = part.layer.name, len(part.channels)
        found["weights." + name] = channels * part.fan_in
        found["weights.%s.packed" % name] = len(memoryview(part.layer.weight))
        found["gradients." + name] = 2 * channels * part.columns
        if part.source is not None and part.source not in sources:
            sources.append(part.source)
            found["gradients.%s.x" % name] = batch * count(part.layer.shape_in) // 8
        found["gradients.%s.exponents" % name] = 2 * batch
        found["gradients.%s.channels" % name] = 2 * channels
        scratch = max(scratch, kernels.bconv2d_dw_scratch(part.layer.geometry, batch, channels))
        if part.passes:
            scratch = max(scratch, kernels.bconv2d_dx_scratch(part.layer.geometry, bits))
            d = max(d, 4 * count(part.layer.shape_in))
    for i in range(lowest, len(net.above)):
        layer = net.above[i]
        size, size_in = 2 * count(layer.shape), 2 * count(layer.shape_in)
        masks += _planes(layer) * size // 16
        g = max(g, size)
        if i > lowest:
            g = max(g, size_in)
            if layer.op in ("binarize", "expand"):
                d = max(d, size)
    found["gradients." + _largest(trained).layer.name] += velocity_bytes(net, config)
    found["gradients.masks"], found["gradients.g"], found["gradients.d"] = masks, g, d
    if 4 * scratch > idle_bytes(net, batch):
        found["gradients.scratch"] = 4 * scratch
    found["gradients.shifts"], found["gradients.square"], found["gradients.hyper"] = batch, 8, 5
    found["gradients.exponents"] = 4
    found["weights.exponents"] = len(trained)
    return found


class Trainer(Above):
    """Trains binary layers above the latent, a minibatch at a time: forward and backward a sample, then update().

    A gradient is i16 with an exponent a sample: its value is g * 2^exponent. config: a learner's. batch: samples of a
    minibatch. velocity: memory for the Head's.
    """

    def __init__(self, net, config, batch):
        self.batch, self.bits = batch, config["q_b"]
        self.stochastic = int(config["rounding"] == "stochastic")
        self.parts = parts(net, config, batch)
        self.fall = 0
        self.rate = self.now = fixed(config["conv_rate"] * 128)
        sizes = buffers(net, config, batch)
        self.g, self.d = bytearray(sizes["gradients.g"]), bytearray(sizes["gradients.d"])
        scratch = sizes.get("gradients.scratch")
        self.scratch = bytearray(scratch) if scratch else net.scratch[STREAM]
        self.planes = bytearray(sizes["gradients.masks"])
        self.exponents = array("b", [UNKNOWN] * len(self.parts))
        self.square, self.shifts = array("i", [0, 0]), bytearray(batch)
        self.sample_exponents = array("h", [0, 0])  # of its gradients: of the stream, and of bits
        self.hyper = array("b", [self.bits, self.stochastic, 1, 0, 0])
        self.by_index, self.packed, self.masks, kept, bits = {}, {}, {}, {}, {}
        for part in self.parts:
            name = part.layer.name
            part.weight = bytearray(sizes["weights." + name])
            part.packed = bytearray(part.layer.weight)
            size = 2 * len(part.channels) * part.columns
            part.memory = bytearray(sizes["gradients." + name])
            part.gradient = memoryview(part.memory)[:size]
            if part is _largest(self.parts):
                self.velocity = memoryview(part.memory)[size:]
            part.exponents = array("h", bytes(2 * batch))
            self.by_index[part.index], self.packed[part.index] = part, part.packed
            if part.source is not None:
                if part.source not in bits:
                    bits[part.source] = bytearray(sizes["gradients.%s.x" % name])
                    kept[part.source] = rows(bits[part.source], batch)
                part.x = bits[part.source]
            size = kernels.bconv2d_dw_scratch(part.layer.geometry, batch, len(part.channels))
            part.scratch = memoryview(self.scratch)[: 4 * size]
            _start(part)
        self._place_masks(net)
        super().__init__(net, self.packed, kept, self.masks, work(net, batch))

    def _place_masks(self, net):
        """Where the bit planes are: (passes, negative) of a convolution, (near,) of a binarize."""
        view, at = memoryview(self.planes), 0
        for i in range(self.parts[0].index, len(net.above)):
            size = count(net.above[i].shape) // 8
            planes = _planes(net.above[i])
            if planes:
                self.masks[i] = tuple([view[at + k * size : at + (k + 1) * size] for k in range(planes)])
                at += planes * size

    def lendable(self):
        """The largest of the buffers that hold nothing but while a learner learns."""
        return max([self.g, self.d, self.planes] + [part.memory for part in self.parts], key=len)

    def pack(self):
        """Sets the signs of the trained layers to those of their latent weights."""
        zeros = bytes(32)
        flip = zeros[:4]
        for part in self.parts:
            for t in range(len(part.channels)):
                weight, packed = part.row(t)
                kernels.binarize(weight, zeros, flip, packed)

    def backward(self, errors, head, rng):
        """(calls, rows) for kernels.run: the backward pass of each sample, down to the lowest trained layer.

        It follows the sample's forward pass. errors: rows of the minibatch, i16[classes] of the Head.
        """
        above, g, d, exponents = self.net.above, memoryview(self.g), memoryview(self.d), self.sample_exponents
        # Each position gets that of the features, without the mean's divisor: a step does not depend on its scale.
        first = [None, head.tw, head.bits, g[: 2 * count(above[-1].shape)], exponents]
        calls: list = [(kernels.head_backward, first)]
        rows = [(first, 0, errors)]
        stream, bits = 1, 0  # whether they have a gradient yet
        for i in range(len(above) - 1, self.parts[0].index - 1, -1):
            layer, op = above[i], above[i].op
            size, size_in = 2 * count(layer.shape), 2 * count(layer.shape_in)
            if op == "bconv2d":
                self._bconv2d(calls, rows, self.by_index[i], g[:size], d[: 2 * size_in], rng)
                stream, bits = int(layer.residual), bits or int(self.by_index[i].passes)
            elif op == "binarize":
                near = self.masks[i][0]
                calls.append((kernels.gradient_add, (g[:size], d[:size], near, layer.flip, stream, exponents)))
                stream, bits = 1, 0
            elif op == "expand":
                calls.append((kernels.expand_backward, (g[:size], layer.levels, d[:size], bits, exponents)))
                stream, bits = 0, 1
            else:
                calls.append((move, (g[:size], g[size_in - size : size_in])))
                calls.append((kernels.avg_pool_backward, (layer.pool, g[:size_in], exponents)))
        return calls, rows

    def _bconv2d(self, calls, rows, part, g, d, rng):
        layer, (passes, negative) = part.layer, self.masks[part.index]
        record = [g, negative, layer.slope, part.channels, self.sample_exponents, part.gradient, part.exponents, None]
        calls.append((kernels.gradient_mask, (g, passes)))
        calls.append((kernels.gradient_record, record))
        rows.append((record, len(record) - 1, range(self.batch)))
        if part.passes:
            scratch = memoryview(self.scratch)[: 4 * kernels.bconv2d_dx_scratch(layer.geometry, self.bits)]
            how = part.packed, self.bits, self.stochastic, scratch, d, rng, self.sample_exponents
            calls.append((kernels.bconv2d_dx, (layer.geometry, g, negative, layer.slope, layer.shift) + how))

    def begin(self):
        """Before a learn(): how large the gradients are is not known."""
        for j in range(len(self.exponents)):
            self.exponents[j] = UNKNOWN

    def set_rate(self, step, steps):
        """Sets the rate for one of so many steps."""
        self.now = decayed(self.rate[0], self.rate[1], step, steps)
        self.fall = 1 if step % FALL == 0 else 0

    def update(self, latents, rng):
        """One step of the trained layers, by the gradients of the minibatch. latents: its bits, u8[batch * bytes]."""
        for j in range(len(self.parts)):
            part, shifts = self.parts[j], self.shifts
            exponents = part.exponents
            top = max(exponents)
            for n in range(self.batch):
                less = top - exponents[n]
                shifts[n] = less if less < 31 else 31
            top -= part.layer.shift
            known = self.exponents[j]
            self.hyper[2] = self.now[0]
            self.hyper[3] = max(-128, min(127, self.now[1] + top - 14 - known))
            self.hyper[4] = known != UNKNOWN
            kernels.bconv2d_dw(
                part.layer.geometry,
                latents if part.source is None else part.x,
                part.gradient,
                self.shifts,
                part.layer.slope,
                part.channels,
                part.weight,
                part.packed,
                self.hyper,
                part.scratch,
                rng,
                self.square,
            )
            if self.square[0]:
                # Half the power of two of the mean square, rounded, is that of its root.
                power = log2(self.square[0], len(part.weight)) + self.square[1]
                self.exponents[j] = max(known - self.fall, -127, min(127, ((power + 1) >> 1) + top - 14))
