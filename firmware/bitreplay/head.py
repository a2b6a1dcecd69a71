# The CWR* head: a dense layer with hybrid quantization, and its consolidation. docs/learning.md tells the algorithm.
#
# CWR*: Lomonaco, Maltoni and Pellegrini 2020, "Rehearsal-free continual learning over small non-i.i.d. batches"
# (arXiv 1907.03799). Few bits forward, more backward: Vorabbi, Maltoni and Santi 2023 (arXiv 2308.15308).

from array import array

import _bitreplay as kernels

from .checks import MAX_COUNT
from .fixed import decayed, fixed, isqrt, rows


class Head:
    """Consolidated weights `cw` and training weights `tw`, i16 or i32 [classes][features], and how to learn them.

    config: a learner's. batch: samples of a minibatch. velocity: its memory, if there is any.
    """

    def __init__(self, features, batch, config, velocity=None):
        classes, bits = config["classes"], config["head_bits"]
        self.features, self.bits, self.q_f, self.cwr = features, bits, config["q_f"], config["cwr"]
        # CWR* alone has the whole output layer in its softmax, as published: rows of 0 stand for what is not here.
        self.whole = self.cwr and not config["replay"]
        self.tw = array("h" if bits == 16 else "i", bytes(bits // 8 * classes * features))
        self.cw = array("h", bytes(2 * classes * features))
        self.velocity = velocity or bytearray(bits // 8 * classes * features)
        self.tw_rows, self.cw_rows = rows(self.tw, classes), rows(self.cw, classes)
        self.quantized, self.shift = bytearray(classes * features), bytearray(classes)
        self.past = array("I", bytes(4 * classes))  # samples of each class that were learned, every time counted
        self.active = bytearray(classes)
        self.scores = array("i", bytes(4 * classes))
        self.ready = False  # whether what is quantized is cw
        self.rate = fixed(config["rate"] * 4096 / batch)
        self.hyper = array("b", [bits, self.rate[0], self.rate[1], 3, 0])

    def quantize(self, weight, bits):
        kernels.head_quantize(weight, bits, self.q_f, self.quantized, self.shift)

    def classify(self, features, errors):
        """The most probable active class of features (i8[features]). errors i16[classes]: probabilities, Q14."""
        kernels.dense(features, self.quantized, self.shift, self.scores)
        return kernels.softmax(self.scores, self.active, -1, errors)

    def minibatch(self, features, errors, labels, best):
        """(calls, rows) for kernels.run: what classify() does for each sample; best: its results.

        features, errors: rows of the minibatch; labels: its classes, at which errors are the probabilities less one.
        """
        dense, softmax = [None, self.quantized, self.shift, self.scores], [self.scores, self.active, None, None]
        rows = [(dense, 0, features), (softmax, 2, labels), (softmax, 3, errors)]
        return [(kernels.dense, dense), (kernels.softmax, softmax, best)], rows

    def predict(self, features, errors):
        """As classify(), by the consolidated weights of the classes that were learned."""
        if not self.ready:
            self.quantize(self.cw, 16)
            for c in range(len(self.past)):
                self.active[c] = self.past[c] > 0
            self.ready = True
        return self.classify(features, errors)

    def begin(self, known, classes):
        """Sets the training weights for samples of these classes; returns how many each of them has: u32[classes].

        known: how many labels there are.
        """
        self.ready = False
        present = array("I", bytes(4 * len(self.past)))
        for c in classes:
            present[c] += 1
        here = bytearray(len(self.past))
        for c in range(len(self.past)):
            self.active[c] = self.whole or c < known
            # CWR*: classes that are not here start from 0 and are not consolidated.
            here[c] = not self.cwr or present[c] > 0
        kernels.head_begin(self.cw, here, self.bits, self.tw, self.velocity)
        self.quantize(self.tw, self.bits)
        return present

    def add(self, c, features, weight):
        """Adds features i8[features], times a weight, to the training weights of class c."""
        kernels.head_add(features, weight, self.bits, self.tw_rows[c])

    def scale(self, classes):
        """Scales the training weights of classes: each row's sum of sizes becomes the mean of the learned rows'."""
        learned = [k for k in range(len(self.past)) if self.past[k]]
        size = sum([sum(map(abs, self.cw_rows[k])) for k in learned]) // len(learned) << (self.bits - 16)
        limit = (1 << (self.bits - 1)) - 1
        for c in classes:
            row = self.tw_rows[c]
            own = sum(map(abs, row)) or 1
            for i in range(len(row)):
                row[i] = max(-limit, min(limit, row[i] * size // own))
        self.quantize(self.tw, self.bits)

    def set_rate(self, step, steps):
        """Sets the rate for one of so many steps."""
        self.hyper[1], self.hyper[2] = decayed(self.rate[0], self.rate[1], step, steps)

    def update(self, errors, features, rng):
        """One step of a minibatch: errors i16[batch * classes], features i8[batch * features]."""
        kernels.head_update(errors, features, self.active, self.tw, self.velocity, self.hyper, rng)
        self.quantize(self.tw, self.bits)

    def consolidation(self, known, present):
        """What consolidate() needs, so that it allocates nothing: (classes, their mean, their alphas)."""
        here = [c for c in range(known) if present[c] or not self.cwr]
        mean, alphas = 0, [0] * len(here)
        if self.cwr:
            mean = sum([kernels.head_sum(self.tw_rows[c], self.bits) for c in here]) // (len(here) * self.features)
            alphas = [self._alpha(self.past[c], present[c]) for c in here]
        return here, mean, alphas

    def consolidate(self, here, mean, alphas, present, whole):
        """CWR*: cw = (cw * w + tw - mean) / (w + 1) with w = sqrt(past / present), mean one over all rows trained.

        whole: the experience is complete. An interrupted one counts as a sample of each of its classes at least, so
        that they are known.
        """
        for i in range(len(here)):
            c = here[i]
            kernels.consolidate(self.cw_rows[c], self.tw_rows[c], self.bits, mean, alphas[i])
            if whole:
                self.past[c] = min(self.past[c] + present[c], MAX_COUNT)
            elif present[c]:
                self.past[c] = max(self.past[c], 1)
        self.ready = False

    def _alpha(self, past, present):
        """w / (w + 1) with w = sqrt(past / present), Q15."""
        w = isqrt((past << 30) // present)
        return (w << 15) // (w + (1 << 15))
