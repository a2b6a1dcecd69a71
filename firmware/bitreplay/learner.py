# The learner: a CWR* head, binary latent replay and one trainable binary layer. docs/learning.md tells the algorithm.
#
# CWR*: Lomonaco, Maltoni and Pellegrini 2020, "Rehearsal-free continual learning over small non-i.i.d. batches"
# (arXiv 1907.03799). Latent replay: Pellegrini, Graffieti, Lomonaco and Maltoni 2020 (arXiv 1912.01100). Both in bits:
# Vorabbi, Maltoni and Santi 2023 (arXiv 2308.15308); Vorabbi, Maltoni, Borghi and Santi 2024 (arXiv 2401.09916).

import gc
from array import array

import _bitreplay as kernels

from . import budget, state
from .checks import MAX_COUNT, check_integer, check_label, check_one_of, check_rate
from .fixed import fixed, isqrt
from .interrupts import held
from .network import check_network
from .replay import BATCH, Balanced, Reservoir, Samples

try:
    from time import time
except ImportError:  # the QEMU port has no clock

    def time():  # type: ignore[misc]
        return 0


ONE = 1 << 14  # probability 1
POLICIES: dict = {"balanced": Balanced, "reservoir": Reservoir}


def _rows(buffer, count):
    """Views of the `count` equal parts of a buffer."""
    view = memoryview(buffer)
    size = len(view) // count
    return [view[i * size : (i + 1) * size] for i in range(count)]


class Learner:
    """Learns classes from the latents of a Network.

    net: a Network. replay: latents kept for replay, 0..32768. seed: 1..2^32-1; two learners with one seed and one
    history are equal in every bit. fresh: samples that can be seen before learn() is called, 1..32768. classes:
    capacity for labels, 2..255. policy: "balanced" or "reservoir" (replay.py). conv: train the binary layer too. cwr:
    consolidate the head by CWR*, else its weights simply go on. q_f: bits of the head's weights in the forward pass,
    2..8; head_bits: of its master copy, 16 or 32; q_b: of the binary layer's gradient, 2..16, rounded "stochastic" or
    "nearest". rate, conv_rate: learning rates of the head and of the binary layer, 0.00001..1000; four bits count.

    ValueError names the argument that is wrong; MemoryError tells the bytes that were needed.
    """

    def __init__(
        self,
        net,
        replay=500,
        seed=1,
        fresh=100,
        classes=10,
        policy="balanced",
        conv=True,
        cwr=True,
        q_f=8,
        head_bits=16,
        q_b=4,
        rounding="stochastic",
        rate=0.005,
        conv_rate=20.0,
    ):
        self.net = check_network(net)
        self.config = {
            # Together at most 65536, as minibatches number samples in 16 bits.
            "replay": check_integer("replay", replay, 0, 32768),
            "fresh": check_integer("fresh", fresh, 1, 32768),
            "classes": check_integer("classes", classes, 2, 255),
            "policy": check_one_of("policy", policy, ("balanced", "reservoir")),
            "conv": check_one_of("conv", conv, (True, False)),
            "cwr": check_one_of("cwr", cwr, (True, False)),
            "q_f": check_integer("q_f", q_f, 2, 8),
            "head_bits": check_one_of("head_bits", head_bits, (16, 32)),
            "q_b": check_integer("q_b", q_b, 2, 16),
            "rounding": check_one_of("rounding", rounding, ("stochastic", "nearest")),
            "rate": check_rate("rate", rate),
            "conv_rate": check_rate("conv_rate", conv_rate),
        }
        if conv and not net.trainable:
            raise ValueError("conv: the model has no trainable layer; use conv=False")
        self.policy = POLICIES[policy]()
        self.rng = array("I", [check_integer("seed", seed, 1, 0xFFFFFFFF)])
        self.labels = []  # str or int, by class
        self.experiences = 0  # that learn() ended
        self.learning = self.ready = False  # ready: the consolidated head is quantized
        needed = budget.describe(net, self.config)
        try:
            self._allocate()
        except MemoryError:
            # What is free is what was free before.
            for name in list(self.__dict__):
                setattr(self, name, None)
            left = budget.heap()
            if left:
                needed += "; %d are free, %d of them in one block" % (left["free"], left["block"])
            raise MemoryError("Learner: %s; make replay or fresh smaller" % needed)

    def _allocate(self):
        net, classes, n = self.net, self.config["classes"], self.net.features
        master = "h" if self.config["head_bits"] == 16 else "i"
        gc.collect()
        self.replay = Samples(self.config["replay"], net.latent_bytes)
        self.fresh = Samples(self.config["fresh"], net.latent_bytes)
        self.tw = array(master, bytes(self.config["head_bits"] // 8 * classes * n))
        self.cw = array("h", bytes(2 * classes * n))
        self.velocity = bytearray(self.config["head_bits"] // 8 * classes * n)
        self.tw_rows, self.cw_rows, self.velocity_rows = [_rows(w, classes) for w in (self.tw, self.cw, self.velocity)]
        self.quantized, self.shift = bytearray(classes * n), bytearray(classes)
        self.past = array("I", bytes(4 * classes))  # samples of each class that were learned, every time counted
        self.active = bytearray(classes)
        self.scores = array("i", bytes(4 * classes))
        # A minibatch: latents, features (in the network's scratch if they fit), errors of the head.
        self.x = bytearray(BATCH * net.latent_bytes)
        self.f = net.spare[: BATCH * n] if len(net.spare) >= BATCH * n else bytearray(BATCH * n)
        self.e = array("h", bytes(2 * BATCH * classes))
        self.x_rows, self.f_rows, self.e_rows = [_rows(buffer, BATCH) for buffer in (self.x, self.f, self.e)]
        self.weight = self.packed = None
        if net.trainable:
            self.packed = net.pack_signs()
        if self.config["conv"]:
            self.weight = bytearray(net.trainable.weight)
            self.xt = bytearray(len(self.x))
            self.scratch = bytearray(budget.scratch_bytes(net, self.config["q_b"]))

    def pack(self):
        """Sets the binary layer's weights to the signs of its latent weights."""
        kernels.binarize(self.weight, bytes(len(self.weight) // self.net.features), self.packed)

    # Seeing and predicting.

    def see(self, image, label):
        """Keeps the latent of an image (uint8 buffer of net.image_bytes) as a fresh sample of a label.

        label: a str of 1..64 characters or an int (64 bits); 5 and "5" are different. A new one takes one of the
        learner's `classes`. ValueError if that or `fresh` is used up, or the image has another size; then nothing has
        changed.
        """
        index = self._index(label)
        self.net.latent(image, self.x_rows[0])
        self._keep(index, label)

    def see_latent(self, latent, label):
        """As see(), for a latent that was computed before (buffer of net.latent_bytes)."""
        index = self._index(label)
        self._take(latent)
        self._keep(index, label)

    def _index(self, label):
        """The class of a label, which may be new; refuses what cannot be seen."""
        self._check_idle()
        if self.fresh.n == self.fresh.capacity:
            raise ValueError(
                "see: %d fresh samples are waiting; call learn(), or make the learner with fresh=%d"
                % (self.fresh.n, min(2 * self.fresh.n, 32768))
            )
        check_label(label)
        if label in self.labels:
            return self.labels.index(label)
        if len(self.labels) == self.config["classes"]:
            raise ValueError(
                "label: %r would be class %d, but classes=%d was fixed when the learner was made; make one with more"
                % (label, len(self.labels) + 1, len(self.labels))
            )
        return len(self.labels)

    def _take(self, latent):
        if len(latent) != self.net.latent_bytes:
            raise ValueError("latent: expected %d bytes, got %d" % (self.net.latent_bytes, len(latent)))
        self.x_rows[0][:] = latent

    def _keep(self, index, label):
        # In this order Ctrl-C leaves at most a label without samples, and a MemoryError nothing.
        self.fresh.write(self.fresh.n, self.x_rows[0], index)
        if index == len(self.labels):
            self.labels.append(label)
        self.fresh.n += 1

    def predict(self, image):
        """(label, probability 0..1) of the most probable class of an image (uint8 buffer of net.image_bytes).

        Classes that were learned compete; ValueError if there are none, or if the image has another size.
        """
        self._check_idle()
        self.net.latent(image, self.x_rows[0])
        return self._predict()

    def predict_latent(self, latent):
        """As predict(), for a latent that was computed before (buffer of net.latent_bytes)."""
        self._check_idle()
        self._take(latent)
        return self._predict()

    def _predict(self):
        if not any(self.past):
            raise ValueError("predict: nothing is learned yet; call see() and learn() first")
        if not self.ready:
            self._quantize(self.cw, 16)
            for c in range(len(self.past)):
                self.active[c] = self.past[c] > 0
            self.ready = True
        self.net.features_of(self.x_rows[0], self.packed, self.f_rows[0])
        kernels.dense(self.f_rows[0], self.quantized, self.shift, self.scores)
        best = kernels.softmax(self.scores, self.active, -1, self.e_rows[0])
        return self.labels[best], self.e_rows[0][best] / ONE

    def _check_idle(self):
        if self.learning:
            raise RuntimeError("learn() is running, and the buffers are in use; wait until it returns")

    def _quantize(self, weight, bits):
        kernels.head_quantize(weight, bits, self.config["q_f"], self.quantized, self.shift)

    # Learning.

    def learn(self, epochs=4, progress=True):
        """Learns the fresh samples together with the replayed ones, then keeps some of them for replay.

        epochs: 1..1000000. progress: True prints a line an epoch; or a function called with (epoch, epochs, percent of
        the minibatches' samples that were right); else nothing. ValueError if there are no samples.

        Ctrl-C, or another exception, stops early: what was learned so far is consolidated, and the fresh samples wait
        for another learn(). Before the end of the first minibatch that is nothing: on a board the learner is as
        it was. (On CPython a Ctrl-C then may find the binary layer trained and the head not.)
        """
        self._check_idle()
        check_integer("epochs", epochs, 1, 1000000)
        if self.fresh.n + self.replay.n == 0:
            raise ValueError("learn: no samples; call see() first")
        self.learning, learned, generator = True, None, self.rng[0]
        try:
            present = self._begin()
            for epoch in range(epochs):
                start, hits, total = time(), 0, 0
                for batch in self.policy.minibatches(self._classes(), self.rng):
                    hits += self._minibatch(batch)
                    total += BATCH
                    learned = present
                self._report(progress, epoch + 1, epochs, 100 * hits / total, time() - start)
            held(self._end, learned, True)
        except BaseException:
            if learned is None:
                self.rng[0] = generator
            if self.learning:
                held(self._end, learned, False)
            raise
        finally:
            self.learning = False

    def _end(self, present, absorb):
        """What must not be interrupted. present: what _begin() returned, or None if nothing was learned."""
        if present is not None:
            self._consolidate(present, absorb)
        if self.config["conv"] and not absorb:
            # A kernel in NumPy can be interrupted between a weight and its sign.
            self.pack()
        self.learning = False

    def _report(self, progress, epoch, epochs, percent, seconds):
        if progress is True:
            print("epoch %d/%d: %.1f %% of the minibatches' samples right, %d s" % (epoch, epochs, percent, seconds))
        elif progress:
            progress(epoch, epochs, percent)

    def _classes(self):
        """The class of every sample: fresh ones first, then replayed ones."""
        return self.fresh.classes[: self.fresh.n] + self.replay.classes[: self.replay.n]

    def _begin(self):
        """Sets the training weights and the kernels' settings; returns how many samples each class has."""
        self.ready = False
        present = array("I", bytes(4 * len(self.past)))
        for c in self._classes():
            present[c] += 1
        zeros = bytes(len(self.velocity_rows[0]))
        scale = 1 << (self.config["head_bits"] - 16)
        # CWR* alone has the whole output layer in its softmax, as published: rows of 0 stand for what is not here.
        whole = self.config["cwr"] and not self.config["replay"]
        for c in range(len(self.past)):
            self.active[c] = whole or c < len(self.labels)
            self.velocity_rows[c][:] = zeros
            # CWR*: classes that are not here start from 0 and are not consolidated.
            here = present[c] or not self.config["cwr"]
            row, cw = self.tw_rows[c], self.cw_rows[c]
            for i in range(len(row)):
                row[i] = cw[i] * scale if here else 0
        self._quantize(self.tw, self.config["head_bits"])
        self._set_hyper()
        return present

    def _set_hyper(self):
        config = self.config
        mantissa, exponent = fixed(config["rate"] * 128)  # / BATCH * 2^12
        self.head_hyper = array("b", [config["head_bits"], mantissa, exponent, 3, 0])
        if config["conv"]:
            shift, value = self.net.trainable.shift, self.net.expand_value
            mantissa, exponent = fixed(config["conv_rate"])
            stochastic = config["rounding"] == "stochastic"
            # The units of errors, features and latent weights, and the means over a minibatch and over positions.
            positions = self.net.latent_shape[0] * self.net.latent_shape[1]
            exponent = max(-64, exponent - 15 - len(bin(positions)) + 2 - shift)
            setting = [shift, value, config["q_b"], stochastic, mantissa, exponent, config["head_bits"]]
            self.conv_hyper = array("b", setting)

    def _minibatch(self, batch):
        """One step of both layers on the samples numbered in batch; returns how many were right before it."""
        hits = 0
        for row in range(BATCH):
            i = batch[row]
            samples = self.fresh
            if i >= samples.n:
                i, samples = i - samples.n, self.replay
            x, f, e = self.x_rows[row], self.f_rows[row], self.e_rows[row]
            x[:] = samples.latent(i)
            self.net.features_of(x, self.packed, f)
            kernels.dense(f, self.quantized, self.shift, self.scores)
            label = samples.classes[i]
            hits += kernels.softmax(self.scores, self.active, label, e) == label
        if self.config["conv"]:
            self._update_trainable()
        kernels.head_update(self.e, self.f, self.active, self.tw, self.velocity, self.head_hyper, self.rng)
        self._quantize(self.tw, self.config["head_bits"])
        return hits

    def _update_trainable(self):
        t = self.net.trainable
        words = self.net.latent_shape[2] // 32
        kernels.transpose(self.x, words, self.xt)
        first = (t.geometry, self.x, self.xt, self.e, self.tw, self.weight, self.packed)
        kernels.bconv_backward(*first, t.slope, t.bias, self.conv_hyper, self.scratch, self.rng)

    def _consolidate(self, present, absorb):
        """CWR*: cw = (cw * w + tw - mean) / (w + 1) with w = sqrt(past / present), mean one over all rows trained.

        absorb: the experience is complete, so its fresh samples go to the replay memory.
        """
        bits, cwr = self.config["head_bits"], self.config["cwr"]
        here = [c for c in range(len(self.labels)) if present[c] or not cwr]
        mean, alphas = 0, [0] * len(here)
        if cwr:
            mean = sum([kernels.head_sum(self.tw_rows[c], bits) for c in here]) // (len(here) * self.net.features)
            alphas = [self._alpha(self.past[c], present[c]) for c in here]
        # From here on, and from the first change in absorb(), nothing allocates: nothing is left half done.
        if absorb:
            self.policy.absorb(self.replay, self.fresh, self.past, self.experiences + 1, self.rng)
        for i in range(len(here)):
            c = here[i]
            kernels.consolidate(self.cw_rows[c], self.tw_rows[c], bits, mean, alphas[i])
            # An interrupted experience counts as one sample, so that its classes are known.
            self.past[c] = min(self.past[c] + present[c], MAX_COUNT) if absorb else max(1, self.past[c])
        if absorb:
            self.experiences += 1
            self.fresh.n = 0
        self.ready = False

    def _alpha(self, past, present):
        """w / (w + 1) with w = sqrt(past / present), Q15."""
        w = isqrt((past << 30) // present)
        return (w << 15) // (w + (1 << 15))

    # The state.

    def save(self, path):
        """Writes the learner to a file, whole or not at all; load() gives it back."""
        state.save(self, path)

    @classmethod
    def load(cls, net, path=None):
        """The learner that save() wrote, on the same model. ValueError names what is wrong with the file."""
        if path is None:
            raise TypeError("path: is missing; call Learner.load(net, path), with net from bitreplay.load()")
        return state.load(cls, check_network(net), path)

    def digest(self):
        """sha256 (hex) of all that was seen and learned: the same on every board after the same history."""
        return state.digest(self)

    def memory(self):
        """Bytes of each kind of buffer, and in all: a dict."""
        return budget.memory(self.net, self.config)

    def buffers(self):
        """Bytes of each buffer: a dict. The largest is the block of RAM that must be free in one piece."""
        return budget.buffers(self.net, self.config)

    def __repr__(self):
        labels = ", ".join([repr(label) for label in self.labels[:10]]) + (", ..." if len(self.labels) > 10 else "")
        parts = (
            "<Learner of %d/%d classes [%s]" % (len(self.labels), self.config["classes"], labels),
            "replay %d/%d" % (self.replay.n, self.replay.capacity),
            "fresh %d/%d" % (self.fresh.n, self.fresh.capacity),
            "experiences %d; %.1f KB of RAM" % (self.experiences, self.memory()["total"] / 1024),
            "model %.1f KB in %s>" % (self.net.weights_bytes / 1024, "flash" if self.net.in_place else "RAM"),
        )
        return ", ".join(parts)
