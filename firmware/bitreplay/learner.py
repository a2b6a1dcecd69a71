# The learner: a CWR* head, a binary latent replay, and binary layers that are trained. docs/learning.md tells how.
#
# Latent replay: Pellegrini, Graffieti, Lomonaco and Maltoni 2020 (arXiv 1912.01100). With binary networks: Vorabbi,
# Maltoni and Santi 2023 (arXiv 2308.15308); Vorabbi, Maltoni, Borghi and Santi 2024 (arXiv 2401.09916).

from array import array

from . import budget, config, state, tidy
from .busy import idle
from .checks import check_epochs, check_integer, check_label, check_one_of, check_progress, plain
from .inside import ONE, Inside
from .interrupts import held
from .network import check_network, shadow
from .replay import Balanced, Reservoir
from .start import begin, check_start

POLICIES: dict = {"balanced": Balanced, "reservoir": Reservoir}


class Learner(Inside):
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
        self._learned = None  # samples of each class, once a minibatch was learned
        self._strange = None  # how strange replayed samples are, once that was asked for
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
            self.net._run(image, self._x_rows[0])
            self._keep(index, label)

    def see_latent(self, latent, label):
        """As see(), for a latent that was computed before (buffer of net.latent_bytes)."""
        label = plain(label)
        with idle(self.net.busy):
            index = self._index(label)
            self._take(latent)
            self._keep(index, label)

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

    # Predicting.

    def nearest(self, image):
        """(label, distance, index) of the sample whose latent is most similar to an image's, without any learning.

        distance: how many bits differ. index: fresh samples are 0, 1, ... in the order that they were seen, replayed
        ones follow. ValueError if there are no samples, or if the image has another size.
        """
        with idle(self.net.busy):
            self.net._run(image, self._x_rows[0])
            return self._nearest()

    def nearest_latent(self, latent):
        """As nearest(), for a latent that was computed before (buffer of net.latent_bytes)."""
        with idle(self.net.busy):
            self._take(latent)
            return self._nearest()

    def predict(self, image, unknown=None):
        """(label, probability 0..1) of the most probable class of an image (uint8 buffer of net.image_bytes).

        Classes that were learned compete. Before any learn() it is the label of the nearest() sample, and the share of
        bits that are equal. unknown: a share of known images, such as 0.05, that may be refused: what is as strange as
        they has the label None. The replayed samples tell what strange is: the first time after a learn() this takes
        longer. ValueError if nothing was seen, or if the image has another size.
        """
        with idle(self.net.busy):
            self.net._run(image, self._x_rows[0])
            return self._predict(unknown)

    def predict_latent(self, latent, unknown=None):
        """As predict(), for a latent that was computed before (buffer of net.latent_bytes)."""
        with idle(self.net.busy):
            self._take(latent)
            return self._predict(unknown)

    def scores(self, image):
        """[(label, probability 0..1)] of all classes that were learned, the most probable first.

        ValueError if there are none, or if the image has another size.
        """
        with idle(self.net.busy):
            if not any(self.head.past):
                raise ValueError("scores: nothing is learned yet; call see() and learn() first")
            self.net._run(image, self._x_rows[0])
            self._probabilities()
            known = [c for c in range(len(self.labels)) if self.head.past[c]]
            known.sort(key=lambda c: (-self._e_rows[0][c], c))
            return [(self.labels[c], self._e_rows[0][c] / ONE) for c in known]

    # Learning.

    def learn(self, epochs=None, progress=True):
        """Learns the fresh samples together with the replayed ones, then keeps some of them for replay.

        epochs: 1..1000000, or None: until the minibatches' samples that are right become no more, 20 at most.
        progress: True prints a line an epoch; or a function called with (epoch, epochs, percent of the minibatches'
        samples that were right), epochs as far as is known; False or None nothing. ValueError if there are no
        samples.

        Ctrl-C, or another exception, stops early: what was learned so far is consolidated, and the fresh samples wait
        for another learn(). Before the end of the first minibatch that is nothing: on a board the learner is as
        it was.
        """
        epochs, progress = None if epochs is None else check_epochs(plain(epochs)), check_progress(progress)
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
