# What a Learner (learner.py) does inside. help(me) shows the methods of its own class alone: these are of another.

import gc
from array import array

import _bitreplay as kernels

from . import budget, state
from .above import Above
from .checks import check_buffer, check_label, check_share, plain
from .fixed import rows
from .head import Head
from .header import RESERVE
from .learning import Learning
from .replay import Samples
from .trainer import Trainer

ONE = 1 << 14  # probability 1


class Inside(Learning):
    """The part of a Learner that is not for users: its buffers, its classes, what it answers."""

    def _allocate(self):
        net, settings, n = self.net, self.config, self.net.features
        gc.collect()
        self.replay = Samples(settings["replay"], net.latent_bytes)
        self.fresh = Samples(settings["fresh"], net.latent_bytes)
        self.batch = batch = budget.batch(net, settings)
        self.trainer = Trainer(net, settings, batch) if settings["train"] else None
        self.head = Head(n, batch, settings, self.trainer and self.trainer.velocity)
        self.above = self.trainer or Above(net)
        # A minibatch: latents, features (in the network's scratch if they fit), errors of the head.
        self._x = bytearray(batch * net.latent_bytes)
        self._f = net.spare[len(net.spare) - batch * n :] if len(net.spare) >= batch * n else bytearray(batch * n)
        self._e = array("h", bytes(2 * batch * settings["classes"]))
        self._x_rows, self._f_rows, self._e_rows = [rows(buffer, batch) for buffer in (self._x, self._f, self._e)]
        self._batch_labels, self._batch_best = bytearray(batch), bytearray(batch)
        self._place_calls()
        if net.reserve is None:
            net.reserve = bytearray(RESERVE)
        net.tables.set(self.trainer.lendable() if self.trainer else None)

    def _place_calls(self):
        """What a minibatch does for each sample, for kernels.run."""
        parts = [
            self.above.minibatch(self._x_rows, self._f_rows),
            self.head.minibatch(self._f_rows, self._e_rows, self._batch_labels, self._batch_best),
        ]
        if self.trainer:
            parts.append(self.trainer.backward(self._e_rows, self.head, self.rng))
        self._calls, self._rows = [], []
        for part in parts:
            self._calls += part[0]
            self._rows += part[1]

    def _index(self, label):
        """The class of a label, which may be new; refuses what cannot be seen."""
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
                "label: %r would be class %d, with room for classes=%d; save() and Learner.load(net, path, classes=N)"
                % (label, len(self.labels) + 1, len(self.labels))
            )
        state.check_room(self, label)
        return len(self.labels)

    def _take(self, latent):
        size = self.net.latent_bytes
        latent = check_buffer("latent", latent, (size,), size)
        self._x_rows[0][:] = latent

    def _keep(self, index, label):
        # In this order Ctrl-C leaves at most a label without samples, and a MemoryError nothing.
        self.fresh.write(self.fresh.n, self._x_rows[0], index)
        if index == len(self.labels):
            self.labels.append(label)
        self.fresh.n += 1

    def _known(self, label):
        """The class of a label that is there, or ValueError."""
        label = plain(label)
        check_label(label)
        if label not in self.labels:
            raise ValueError("label: there is no class %r; counts() lists the classes" % (label,))
        return self.labels.index(label)

    def _nearest(self):
        found, best, first = memoryview(self.head.scores)[:2], None, 0
        for samples in (self.fresh, self.replay):
            if samples.n:
                kernels.nearest(self._x_rows[0], samples.filled(), found)
                if best is None or found[1] < best[1]:
                    best = self.labels[samples.classes[found[0]]], found[1], first + found[0]
            first += samples.n
        if best is None:
            raise ValueError("nearest: nothing was seen yet; call see() first")
        return best

    def _predict(self, unknown):
        refused = unknown is not None and self._is_strange(check_share("unknown", plain(unknown)))
        if not any(self.head.past):
            label, distance, _ = self._nearest()
            probability = 1 - distance / (8 * self.net.latent_bytes)
        else:
            best = self._probabilities()
            label, probability = self.labels[best], self._e_rows[0][best] / ONE
        return None if refused else label, probability

    def _is_strange(self, share):
        """Whether the first row's latent is stranger than all but this share of the replayed samples."""
        from . import strange  # where the package is in RAM, only those who ask give it some

        near = array("i", bytes(4 * strange.NEAR * len(self.labels)))
        found = memoryview(self.head.scores)[:2]
        if self._strange is None:
            self._strange = strange.known(self.replay, near, found)
        value = strange.strangeness(self.replay, self._x_rows[0], near, found)
        return strange.is_strange(value, self._strange, int(share * 1000 + 0.5))

    def _probabilities(self):
        """The most probable class of the first row's latent; _e_rows[0] has all probabilities."""
        self.above.features(self._x_rows[0], self._f_rows[0])
        return self.head.predict(self._f_rows[0], self._e_rows[0])
