# The learner: a CWR* head, a binary latent replay, and binary layers that are trained. docs/learning.md tells how.
#
# Latent replay: Pellegrini, Graffieti, Lomonaco and Maltoni 2020 (arXiv 1912.01100). With binary networks: Vorabbi,
# Maltoni and Santi 2023 (arXiv 2308.15308); Vorabbi, Maltoni, Borghi and Santi 2024 (arXiv 2401.09916).

import gc
from array import array

import _bitreplay as kernels

from . import budget, config, state, strange, tidy
from .above import Above
from .busy import idle
from .checks import check_buffer, check_epochs, check_integer, check_label, check_one_of, check_share, plain
from .fixed import rows
from .head import Head
from .header import RESERVE
from .interrupts import held
from .learning import Learning
from .network import check_network, shadow
from .replay import Balanced, Reservoir, Samples
from .start import begin, check_start
from .trainer import Trainer

ONE = 1 << 14  # probability 1
POLICIES: dict = {"balanced": Balanced, "reservoir": Reservoir}


class Learner(Learning):
    """Learns classes from the latents of a Network.

    net: a Network. replay: latents kept for replay, 0..32768. seed: 1..2^32-1; two learners with one seed and one
    history are equal in every bit. fresh: samples that can be seen before learn() is called, 1..32768. classes:
    capacity for labels, 2..255. policy: "balanced" or "reservoir" (replay.py). train: which layers: "head", or also as
    many binary ones from the top as a number says, or "all". channels: the share of their output channels, above 0
    and at most 1. cwr: consolidate the head by CWR*, else its weights simply go on; None does so if nothing below the
    head is trained. q_f: bits of the head's weights in the forward pass, 2..8; head_bits: of its master copy, 16 or
    32; q_b: of the binary layers' gradients, 2..16, rounded "stochastic" or "nearest". rate, conv_rate: learning rates
    of the head and of the binary layers, 0.00001..100; four bits count. start: whether it starts with the classes of
    the model's pretrained head, which it then knows as the model does.

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
        train="head",
        channels=1.0,
        cwr=None,
        q_f=8,
        head_bits=16,
        q_b=4,
        rounding="stochastic",
        rate=0.005,
        conv_rate=0.005,
        start=False,
    ):
        self.net = check_network(net)
        self.config = config.check(
            net,
            {
                "replay": replay,
                "fresh": fresh,
                "classes": classes,
                "policy": policy,
                "train": train,
                "channels": channels,
                "cwr": cwr,
                "q_f": q_f,
                "head_bits": head_bits,
                "q_b": q_b,
                "rounding": rounding,
                "rate": rate,
                "conv_rate": conv_rate,
            },
        )
        if check_one_of("start", plain(start), (True, False)):
            check_start(net, self.config)
        self.policy = POLICIES[self.config["policy"]]()
        self.rng = array("I", [check_integer("seed", plain(seed), 1, 0xFFFFFFFF)])
        self.labels = []  # str or int, by class
        self.experiences = 0  # that learn() ended
        self.learning = False
        self.learned = None  # samples of each class, once a minibatch was learned
        self.known = None  # how strange replayed samples are, once that was asked for
        needed = budget.describe(net, self.config)
        net.tables.set(None)
        try:
            self._allocate()
        except MemoryError:
            # What is free is what was free before.
            for name in list(self.__dict__):
                setattr(self, name, None)
            left = budget.heap()
            if left:
                needed += "; %d are free, %d of them in one block" % (left["free"], left["block"])
            raise MemoryError("Learner: %s%s; make replay or fresh smaller" % (needed, shadow()))
        if start:
            begin(self)

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
        self.x = bytearray(batch * net.latent_bytes)
        self.f = net.spare[len(net.spare) - batch * n :] if len(net.spare) >= batch * n else bytearray(batch * n)
        self.e = array("h", bytes(2 * batch * settings["classes"]))
        self.x_rows, self.f_rows, self.e_rows = [rows(buffer, batch) for buffer in (self.x, self.f, self.e)]
        self.minibatch = list(zip(range(batch), self.x_rows, self.f_rows, self.e_rows))
        if net.reserve is None:
            net.reserve = bytearray(RESERVE)
        net.tables.set(self.trainer.lendable() if self.trainer else None)

    # Seeing, and what was seen.

    def see(self, image, label):
        """Keeps the latent of an image (uint8 buffer of net.image_bytes) as a fresh sample of a label.

        label: a str of 1..64 characters or an int (64 bits); 5 and "5" are different. A new one takes one of the
        learner's `classes`. ValueError if that or `fresh` is used up, or the image has another size; then nothing has
        changed.
        """
        label = plain(label)
        with idle(self.net.busy):
            index = self._index(label)
            self.net._run(image, self.x_rows[0])
            self._keep(index, label)

    def see_latent(self, latent, label):
        """As see(), for a latent that was computed before (buffer of net.latent_bytes)."""
        label = plain(label)
        with idle(self.net.busy):
            index = self._index(label)
            self._take(latent)
            self._keep(index, label)

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
                "label: %r would be class %d of classes=%d; save it, and Learner.load(net, path, classes=N) is larger"
                % (label, len(self.labels) + 1, len(self.labels))
            )
        state.check_room(self, label)
        return len(self.labels)

    def _take(self, latent):
        size = self.net.latent_bytes
        latent = check_buffer("latent", latent, (size,), size)
        self.x_rows[0][:] = latent

    def _keep(self, index, label):
        # In this order Ctrl-C leaves at most a label without samples, and a MemoryError nothing.
        self.fresh.write(self.fresh.n, self.x_rows[0], index)
        if index == len(self.labels):
            self.labels.append(label)
        self.fresh.n += 1

    def undo(self):
        """Takes back the last see() since the last learn(), and returns its label. ValueError if there is none."""
        with idle(self.net.busy):
            if self.fresh.n == 0:
                raise ValueError("undo: no sample waits for learn(); forget(label) removes what was learned")
            label = self.labels[self.fresh.classes[self.fresh.n - 1]]
            held(tidy.undo, self)
            return label

    def rename(self, old, new):
        """Gives the class of a label another label, which no class has yet."""
        with idle(self.net.busy):
            c, new = self._known(old), plain(new)
            check_label(new)
            if new in self.labels:
                raise ValueError("new: there is a class %r already" % (new,))
            state.check_room(self, new)
            self.labels[c] = new

    def forget(self, label):
        """Removes the class of a label: its samples, and what the head learned of it. Another can have its place.

        Binary layers that are trained stay as they are.
        """
        with idle(self.net.busy):
            held(tidy.forget, self, self._known(label))

    def counts(self):
        """{label: (fresh samples, replayed samples, samples learned, every time counted)}"""
        fresh, replayed = [samples.counts(len(self.labels)) for samples in (self.fresh, self.replay)]
        return {label: (fresh[c], replayed[c], self.head.past[c]) for c, label in enumerate(self.labels)}

    def _known(self, label):
        """The class of a label that is there, or ValueError."""
        label = plain(label)
        check_label(label)
        if label not in self.labels:
            raise ValueError("label: there is no class %r; counts() has those that there are" % (label,))
        return self.labels.index(label)

    # Predicting.

    def nearest(self, image):
        """(label, distance, index) of the sample whose latent is most similar to an image's, without any learning.

        distance: how many bits differ. index: fresh samples are 0, 1, ... in the order that they were seen, replayed
        ones follow. ValueError if there are no samples, or if the image has another size.
        """
        with idle(self.net.busy):
            self.net._run(image, self.x_rows[0])
            return self._nearest()

    def nearest_latent(self, latent):
        """As nearest(), for a latent that was computed before (buffer of net.latent_bytes)."""
        with idle(self.net.busy):
            self._take(latent)
            return self._nearest()

    def _nearest(self):
        found, best, first = memoryview(self.head.scores)[:2], None, 0
        for samples in (self.fresh, self.replay):
            if samples.n:
                latents = memoryview(samples.latents)[: samples.n * samples.latent_bytes]
                kernels.nearest(self.x_rows[0], latents, found)
                if best is None or found[1] < best[1]:
                    best = self.labels[samples.classes[found[0]]], found[1], first + found[0]
            first += samples.n
        if best is None:
            raise ValueError("nearest: nothing was seen yet; call see() first")
        return best

    def predict(self, image, unknown=None):
        """(label, probability 0..1) of the most probable class of an image (uint8 buffer of net.image_bytes).

        Classes that were learned compete. Before any learn() it is the label of the nearest() sample, and the share of
        bits that are equal. unknown: a share of known images, such as 0.05, that may be refused: what is as strange as
        they has the label None. The replayed samples tell what strange is: the first time after a learn() this takes
        longer. ValueError if nothing was seen, or if the image has another size.
        """
        with idle(self.net.busy):
            self.net._run(image, self.x_rows[0])
            return self._predict(unknown)

    def predict_latent(self, latent, unknown=None):
        """As predict(), for a latent that was computed before (buffer of net.latent_bytes)."""
        with idle(self.net.busy):
            self._take(latent)
            return self._predict(unknown)

    def _predict(self, unknown):
        refused = unknown is not None and self._is_strange(check_share("unknown", plain(unknown)))
        if not any(self.head.past):
            label, distance, _ = self._nearest()
            probability = 1 - distance / (8 * self.net.latent_bytes)
        else:
            best = self._probabilities()
            label, probability = self.labels[best], self.e_rows[0][best] / ONE
        return None if refused else label, probability

    def _is_strange(self, share):
        """Whether the first row's latent is stranger than all but this share of the replayed samples."""
        near = array("i", bytes(4 * strange.NEAR * len(self.labels)))
        found = memoryview(self.head.scores)[:2]
        if self.known is None:
            self.known = strange.known(self.replay, near, found)
        value = strange.strangeness(self.replay, self.x_rows[0], near, found)
        return strange.is_strange(value, self.known, int(share * 1000 + 0.5))

    def _probabilities(self):
        """The most probable class of the first row's latent; e_rows[0] has all probabilities."""
        self.above.features(self.x_rows[0], self.f_rows[0])
        return self.head.predict(self.f_rows[0], self.e_rows[0])

    def scores(self, image):
        """[(label, probability 0..1)] of all classes that were learned, the most probable first.

        ValueError if there are none, or if the image has another size.
        """
        with idle(self.net.busy):
            if not any(self.head.past):
                raise ValueError("scores: nothing is learned yet; call see() and learn() first")
            self.net._run(image, self.x_rows[0])
            self._probabilities()
            known = [c for c in range(len(self.labels)) if self.head.past[c]]
            known.sort(key=lambda c: (-self.e_rows[0][c], c))
            return [(self.labels[c], self.e_rows[0][c] / ONE) for c in known]

    # Learning.

    def learn(self, epochs=None, progress=True):
        """Learns the fresh samples together with the replayed ones, then keeps some of them for replay.

        epochs: 1..1000000, or None: until the minibatches' samples that are right become no more, 20 at most.
        progress: True prints a line an epoch; or a function called with (epoch, epochs, percent of the minibatches'
        samples that were right), epochs as far as is known; else nothing. ValueError if there are no samples.

        Ctrl-C, or another exception, stops early: what was learned so far is consolidated, and the fresh samples wait
        for another learn(). Before the end of the first minibatch that is nothing: on a board the learner is as
        it was.
        """
        epochs = None if epochs is None else check_epochs(plain(epochs))
        with idle(self.net.busy):
            self._learn(epochs, progress)

    # The state.

    def save(self, path):
        """Writes the learner to a file, whole or not at all; load() gives it back."""
        with idle(self.net.busy):
            state.save(self, path)

    @classmethod
    def load(cls, net, path=None, **larger):
        """The learner that save() wrote, on the same model. ValueError names what is wrong with the file.

        larger: replay, fresh or classes, as Learner takes them, for a learner with room for more. None can be smaller
        than it was. One whose `classes` grow has another digest(), as the head has more rows.
        """
        if path is None:
            raise TypeError("path: is missing; call Learner.load(net, path), with net from bitreplay.load()")
        return state.load(cls, check_network(net), path, larger)

    def digest(self):
        """sha256 (hex) of all that was seen and learned: the same on every board after the same history."""
        with idle(self.net.busy):
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
            "trains " + budget.trained(self.config),
            "experiences %d; %.1f KB of RAM" % (self.experiences, self.memory()["total"] / 1024),
            "model %.1f KB in %s>" % (self.net.weights_bytes / 1024, "flash" if self.net.in_place else "RAM"),
        )
        return ", ".join(parts)
