# The learner: CWR* head, binary latent replay and a trained binary layer. docs/learning.md tells the algorithm.

import math
import time
from array import array

import _bitreplay as kernels

from . import state
from .interrupts import Held
from .replay import BATCH, Balanced, Reservoir, Samples

ONE = 1 << 14  # probability 1
POLICIES = {"balanced": Balanced, "reservoir": Reservoir}


def _fixed(x, name):
    """x as (rate, exponent): x = rate * 2^exponent with rate in 8..15, four bits that are the same on every target."""
    if not x > 0:
        raise ValueError("%s: must be more than 0, got %r" % (name, x))
    mantissa, exponent = math.frexp(x)
    rate = int(mantissa * 16 + 0.5)
    if rate == 16:
        rate, exponent = 8, exponent + 1
    return rate, exponent - 4


def _check(name, value, low, high):
    if not isinstance(value, int) or not low <= value <= high:
        raise ValueError("%s: must be %d..%d, got %r" % (name, low, high, value))
    return value


def _rows(buffer, count):
    """Views of the `count` equal parts of a buffer."""
    view = memoryview(buffer)
    size = len(view) // count
    return [view[i * size : (i + 1) * size] for i in range(count)]


def _isqrt(n):
    root = 1 << (len(bin(n)) - 1) // 2
    while root * root > n or (root + 1) * (root + 1) <= n:
        root = (root + n // root) // 2
    return root


class Learner:
    """Learns classes from the latents of a Network.

    net: a Network with a latent. replay: latents kept (0: none). fresh: samples that can be seen before learn() is
    called. classes: capacity for labels, 1..255. seed: 1..2^32-1; two learners with one seed and one history are equal
    in every bit. policy: "balanced" or "reservoir". conv: train the binary layer too. cwr: consolidate the head by CWR*
    (else its weights simply go on). q_f: 2..8 bits of the head's weights in the forward pass; head_bits: 16 or 32, of its
    master copy; q_b: 2..16 bits of the binary layer's gradient, rounded "stochastic" or "nearest". rate, conv_rate:
    learning rates of head and binary layer. ValueError names the argument; MemoryError says what was needed.
    """

    def __init__(self, net, replay=500, seed=1, fresh=100, classes=10, policy="balanced", conv=True, cwr=True,
                 q_f=8, head_bits=16, q_b=4, rounding="stochastic", rate=0.005, conv_rate=5.0):
        self.net = net
        if conv and net.tail is None:
            raise ValueError("conv: the model has no trainable layer; use conv=False")
        if policy not in POLICIES:
            raise ValueError("policy: must be 'balanced' or 'reservoir', got %r" % (policy,))
        if head_bits not in (16, 32):
            raise ValueError("head_bits: must be 16 or 32, got %r" % (head_bits,))
        if rounding not in ("stochastic", "nearest"):
            raise ValueError("rounding: must be 'stochastic' or 'nearest', got %r" % (rounding,))
        _fixed(rate, "rate")
        _fixed(conv_rate, "conv_rate")
        self.config = {
            "replay": _check("replay", replay, 0, 32768), "fresh": _check("fresh", fresh, 1, 32768),
            "classes": _check("classes", classes, 2, 255), "policy": policy, "conv": bool(conv), "cwr": bool(cwr),
            "q_f": _check("q_f", q_f, 2, 8), "head_bits": head_bits, "q_b": _check("q_b", q_b, 2, 16),
            "rounding": rounding, "rate": rate, "conv_rate": conv_rate,
        }
        self.policy = POLICIES[policy]()
        self.rng = array("I", [_check("seed", seed, 1, 0xFFFFFFFF)])
        self.labels = []
        self.past = array("I", [0] * classes)
        self.experiences = 0
        self._allocate()

    def _allocate(self):
        net, config = self.net, self.config
        classes, n, bits = config["classes"], net.features, config["head_bits"]
        typecode = "h" if bits == 16 else "i"
        self.replay = Samples(config["replay"], net.latent_bytes)
        self.fresh = Samples(config["fresh"], net.latent_bytes)
        self.cw = array("h", bytes(2 * classes * n))
        self.tw = array(typecode, bytes(bits // 8 * classes * n))
        self.velocity = array(typecode, bytes(bits // 8 * classes * n))
        self.quantized, self.shift = bytearray(classes * n), bytearray(classes)
        self.cw_rows, self.tw_rows = _rows(self.cw, classes), _rows(self.tw, classes)
        self.active = bytearray(classes)
        self.scores = array("i", [0] * classes)
        # One minibatch.
        self.x = bytearray(BATCH * net.latent_bytes)
        self.f, self.e = bytearray(BATCH * n), array("h", bytes(2 * BATCH * classes))
        self.x_rows, self.f_rows, self.e_rows = _rows(self.x, BATCH), _rows(self.f, BATCH), _rows(self.e, BATCH)
        self.weight = self.packed = self.df = None
        if net.tail:
            self.packed = net.pack_tail()
        if config["conv"]:
            positions = BATCH * net.latent_shape[0] * net.latent_shape[1]
            filter_size = net.latent_shape[2] // net.tail.geometry[7]
            self.weight = bytearray(net.tail.weight)
            self.df = array("h", bytes(2 * BATCH * n))
            self.df_rows = _rows(self.df, BATCH)
            self.xt = bytearray(len(self.x))
            self.scratch = array("i", bytes(4 * (positions + config["q_b"] * positions // 32 + filter_size)))

    def pack(self):
        """Sets the binary layer's weights to the signs of its latent weights."""
        filter_size = self.net.latent_shape[2] // self.net.tail.geometry[7]
        kernels.binarize(self.weight, bytes(filter_size), self.packed)

    # Seeing and predicting.

    def see(self, image, label):
        """Keeps the latent of an image (uint8 buffer of net.image_bytes) as a fresh sample of a label (str or int)."""
        if self.fresh.n == self.fresh.capacity:
            raise ValueError("see: %d fresh samples are waiting; call learn(), or make the learner with fresh=%d"
                             % (self.fresh.n, 2 * self.fresh.capacity))
        index = self._index(label)
        self.net.latent(image, self.x_rows[0])
        self._keep(self.x_rows[0], index, label)

    def see_latent(self, latent, label):
        """As see(), for a latent that was computed before (buffer of net.latent_bytes)."""
        if len(latent) != self.net.latent_bytes:
            raise ValueError("latent: expected %d bytes, got %d" % (self.net.latent_bytes, len(latent)))
        if self.fresh.n == self.fresh.capacity:
            raise ValueError("see_latent: %d fresh samples are waiting; call learn() first" % self.fresh.n)
        self._keep(latent, self._index(label), label)

    def _index(self, label):
        if not isinstance(label, (str, int)) or isinstance(label, bool):
            raise ValueError("label: must be a str or an int, got %r" % (label,))
        if label in self.labels:
            return self.labels.index(label)
        if len(self.labels) == self.config["classes"]:
            raise ValueError("label: %r would be class %d; make the learner with classes=%d or more"
                             % (label, len(self.labels) + 1, len(self.labels) + 1))
        return len(self.labels)

    def _keep(self, latent, index, label):
        with Held():
            self.fresh.put(self.fresh.n, latent, index)
            if index == len(self.labels):
                self.labels.append(label)

    def predict(self, image):
        """The most probable label of an image and its probability (0..1)."""
        self.net.latent(image, self.x_rows[0])
        return self.predict_latent(self.x_rows[0])

    def predict_latent(self, latent):
        """As predict(), for a latent that was computed before."""
        if not any(self.past):
            raise ValueError("predict: nothing is learned yet; call see() and learn() first")
        self._ready()
        self.net.features_of(latent, self.packed, self.f_rows[0])
        kernels.dense(self.f_rows[0], self.quantized, self.shift, self.scores)
        best = kernels.softmax(self.scores, self.active, -1, self.e_rows[0])
        return self.labels[best], self.e_rows[0][best] / ONE

    def _ready(self):
        """Quantizes the consolidated head for prediction, unless it is."""
        if not self.ready:
            self._quantize(self.cw, 16)
            for c in range(len(self.active)):
                self.active[c] = self.past[c] > 0
            self.ready = True

    ready = False

    def _quantize(self, weight, bits):
        kernels.head_quantize(weight, bits, self.config["q_f"], self.quantized, self.shift)

    # Learning.

    def learn(self, epochs=4, progress=True):
        """Learns the fresh samples together with the replayed ones, then keeps some of them for replay.

        Ctrl-C stops early: what was learned so far is consolidated, and the fresh samples wait for another learn().
        progress: print a line an epoch, or a function called with (epoch, epochs, accuracy in percent).
        """
        _check("epochs", epochs, 1, 1000000)
        if self.fresh.n + self.replay.n == 0:
            raise ValueError("learn: no samples; call see() first")
        present = self._begin()
        try:
            for epoch in range(epochs):
                start = time.time()
                hits = steps = 0
                for batch in self.policy.minibatches(self._classes(), self.rng):
                    hits += self._minibatch(batch)
                    steps += 1
                self._report(progress, epoch + 1, epochs, hits * 100 / (steps * BATCH), time.time() - start)
        except KeyboardInterrupt:
            with Held():
                self._consolidate(present, False)
            raise
        with Held():
            self._consolidate(present, True)

    def _report(self, progress, epoch, epochs, accuracy, seconds):
        if progress is True:
            print("epoch %d/%d: %.1f %% of the minibatches' samples right, %d s" % (epoch, epochs, accuracy, seconds))
        elif progress:
            progress(epoch, epochs, accuracy)

    def _classes(self):
        """The class of every sample: fresh ones first, then replayed ones."""
        return self.fresh.classes[: self.fresh.n] + self.replay.classes[: self.replay.n]

    def _begin(self):
        """Sets the training weights; returns how many samples each class has."""
        self.ready = False
        present = array("I", [0] * len(self.past))
        for c in self._classes():
            present[c] += 1
        for i in range(len(self.velocity)):
            self.velocity[i] = 0
        scale = 1 << (self.config["head_bits"] - 16)
        for c in range(len(self.past)):
            self.active[c] = c < len(self.labels)
            # CWR*: classes that are not here start from 0 and are not consolidated.
            here = present[c] or not self.config["cwr"]
            row, cw = self.tw_rows[c], self.cw_rows[c]
            for i in range(len(row)):
                row[i] = cw[i] * scale if here else 0
        self._quantize(self.tw, self.config["head_bits"])
        rate, exponent = _fixed(self.config["rate"] * 128, "rate")  # / BATCH * 2^12
        self.head_hyper = array("b", [self.config["head_bits"], rate, max(-31, min(15, exponent)), 3, 0])
        if self.config["conv"]:
            shift = self.net.tail.shift
            rate, exponent = _fixed(self.config["conv_rate"], "conv_rate")
            self.conv_hyper = array("b", [
                shift, self.net.expand_value, self.config["q_b"], self.config["rounding"] == "stochastic",
                rate, max(-64, min(8, exponent - 18 - shift)),
            ])
        return present

    def _minibatch(self, batch):
        """One step of both layers on the samples numbered in batch; returns how many were right before it."""
        net, bits, conv = self.net, self.config["head_bits"], self.config["conv"]
        hits = 0
        for row in range(BATCH):
            i = batch[row]
            samples = self.fresh if i < self.fresh.n else self.replay
            i = i if i < self.fresh.n else i - self.fresh.n
            x, f, e = self.x_rows[row], self.f_rows[row], self.e_rows[row]
            x[:] = samples.latent(i)
            net.features_of(x, self.packed, f)
            kernels.dense(f, self.quantized, self.shift, self.scores)
            label = samples.classes[i]
            hits += kernels.softmax(self.scores, self.active, label, e) == label
            if conv:
                kernels.head_backward(e, self.tw, bits, self.df_rows[row])
        kernels.head_update(self.e, self.f, self.active, self.tw, self.velocity, self.head_hyper, self.rng)
        self._quantize(self.tw, bits)
        if conv:
            tail = net.tail
            kernels.transpose(self.x, net.latent_shape[2] // 32, self.xt)
            kernels.bconv_backward(tail.geometry, self.x, self.xt, self.df, self.weight, self.packed, tail.slope,
                                   tail.bias, self.conv_hyper, self.scratch, self.rng)
        return hits

    def _consolidate(self, present, absorb):
        """CWR*: cw = (cw * w + tw - mean) / (w + 1) with w = sqrt(past / present)."""
        bits = self.config["head_bits"]
        here = [c for c in range(len(self.labels)) if present[c] or not self.config["cwr"]]
        mean = 0
        if self.config["cwr"]:
            mean = sum(kernels.head_sum(self.tw_rows[c], bits) for c in here) // (len(here) * self.net.features)
        for c in here:
            alpha = 0
            if self.config["cwr"]:
                w = _isqrt((self.past[c] << 30) // present[c])  # Q15
                alpha = (w << 15) // (w + (1 << 15))
            kernels.consolidate(self.cw_rows[c], self.tw_rows[c], bits, mean, alpha)
        if absorb:
            self.experiences += 1
            self.policy.absorb(self.replay, self.fresh, self.past, self.experiences, self.rng)
            self.fresh.n = 0
        for c in here:
            # An interrupted experience counts as one sample, so that its classes are known.
            self.past[c] = self.past[c] + present[c] if absorb else max(1, self.past[c])
        self.ready = False

    # The state.

    def save(self, path):
        """Writes the learner to a file, whole or not at all; load() gives it back."""
        state.save(self, path)

    @classmethod
    def load(cls, net, path):
        """The learner that save() wrote, on the same model. ValueError names what is wrong with the file."""
        return state.load(cls, net, path)

    def digest(self):
        """sha256 of all that was learned: the same on every board after the same history."""
        return state.digest(self)

    def memory(self):
        """Bytes of each kind of buffer, and in all: a dict."""
        return state.memory(self)

    def __repr__(self):
        return "<Learner of %d/%d classes %r, replay %d/%d, fresh %d/%d, %d experiences; %.1f KB RAM, model %.1f KB>" % (
            len(self.labels), self.config["classes"], self.labels, self.replay.n, self.config["replay"],
            self.fresh.n, self.config["fresh"], self.experiences, self.memory()["total"] / 1024, self.net.weights_bytes / 1024,
        )
