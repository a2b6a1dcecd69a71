# What learn() does. docs/learning.md tells the algorithm.

import _bitreplay as kernels

from .ending import Ending
from .interrupts import held, kernels_held
from .replay import contrast

try:
    from time import time
except ImportError:  # the QEMU port has no clock

    def time():  # type: ignore[misc]
        return 0


FEW = 256  # samples of a new class, up to which its weights start from them
RARE = 32  # samples of an epoch by classes, up to which all new ones do so: each class is drawn but a few times


class Learning:
    """The part of a Learner (learner.py) that learns: it has no state of its own."""

    def _learn(self, epochs, progress):
        if self.fresh.n + self.replay.n == 0:
            raise ValueError("learn: no samples; call see() first")
        self._learned, generator = None, self.rng[0]
        try:
            self.learning = True
            classes = self._classes()
            present = self._begin(classes)
            ending, steps = Ending(epochs, len(classes), self.trainer), -(-len(classes) // self.batch)
            batches, step = self.policy.minibatches(classes, self.batch, self.rng), 0
            samples = self.fresh.filled(), self.replay.filled(), classes
            while ending.epoch < ending.epochs:
                start, hits, total = time(), 0, steps * self.batch
                for _ in range(steps):
                    hits += self._minibatch(next(batches), samples)
                    self._set_rates(step, ending.falls * steps)
                    kernels_held(self._step, present)
                    step += 1
                if ending.after(hits, total):
                    step = 0
                self._report(progress, ending, 100 * hits / total, time() - start)
            held(self._end, True)
        except:  # noqa: E722 - to compare with a class is a branch, where another Ctrl-C may come
            try:
                self._give_up(generator)
            except KeyboardInterrupt:
                self._give_up(generator)
            raise
        finally:
            self.learning = False

    def _give_up(self, generator):
        """What an exception leaves: what was learned, or all as it was. May be called again."""
        if self._learned is None:
            self.rng[0] = generator
        if self.learning:
            held(self._end, False)

    def _end(self, absorb):
        """What must not be interrupted."""
        if self._learned is not None:
            self._consolidate(self._learned, absorb)
        self.learning = False

    def _report(self, progress, ending, percent, seconds):
        if progress is True:
            line = "epoch %d/%d: %.1f %% of the minibatches' samples right, %d s"
            line %= ending.epoch, ending.epochs, percent, seconds
            print(line + ("; stopped: " + ending.reason if ending.epoch == ending.epochs and ending.reason else ""))
        elif progress:
            progress(ending.epoch, ending.epochs, percent)

    def _classes(self):
        """The class of every sample: fresh ones first, then replayed ones."""
        return self.fresh.classes[: self.fresh.n] + self.replay.classes[: self.replay.n]

    def _begin(self, classes):
        """classes: of all samples. Returns how many samples each class has."""
        if self.trainer:
            self.trainer.begin()
        present = self.head.begin(len(self.labels), classes)
        # CWR* alone starts every new class from 0, as published; so do classes of many samples, which end better so.
        if self.replay.capacity and any(self.head.past):
            few = FEW if len(classes) > RARE * sum([n > 0 for n in present]) else len(classes)
            new = [c for c in range(len(self.labels)) if 0 < present[c] <= few and not self.head.past[c]]
            if new:
                self._start(new, classes)
        return present

    def _start(self, new, classes):
        """Starts the weights of new classes from their samples, so that few are enough."""
        for c in new:
            for i, weight in contrast(classes, c):
                self.above.features(self._latent(i), self._f_rows[0])
                self.head.add(c, self._f_rows[0], weight)
        self.head.scale(new)

    def _latent(self, i):
        """A view of the latent of the sample that is numbered i in _classes()."""
        fresh = self.fresh.n
        return self.fresh.latent(i) if i < fresh else self.replay.latent(i - fresh)

    def _minibatch(self, numbers, samples):
        """The gradients of the samples with these numbers, u16; returns how many are right.

        It leaves no garbage but slices, where a layer above the latent moves or clears a buffer. samples: the latents
        of all fresh ones, those of all replayed ones, the classes of both.
        """
        fresh, replayed, classes = samples
        labels, best, hits = self._batch_labels, self._batch_best, 0
        kernels.gather_rows(numbers, fresh, replayed, self._x)
        kernels.gather_rows(numbers, classes, b"", labels)
        self.above.serve()
        kernels.run(self._calls, self._rows, self.batch)
        for i in range(self.batch):
            if best[i] == labels[i]:
                hits += 1
        return hits

    def _set_rates(self, step, steps):
        """For one of so many steps in which they fall; 0 steps if they stay."""
        # A head alone learns as well or better with one rate from first to last.
        if self.trainer:
            self.head.set_rate(step, steps)
            self.trainer.set_rate(step, steps)

    def _step(self, present):
        """One step of all that is trained, by the gradients of a minibatch.

        It may be interrupted between two kernels: any layers may have taken the step, and in the first minibatch none
        does but the head, in weights that count only if `learned` says so.
        """
        if self.trainer:
            self.trainer.update(self._x, self.rng)
        self.head.update(self._e, self._f, self.rng)
        self._learned = present

    def _consolidate(self, present, absorb):
        """absorb: the experience is complete, so its fresh samples go to the replay memory."""
        here, mean, alphas = self.head.consolidation(len(self.labels), present)
        # From here on, and from the first change in absorb(), nothing allocates: nothing is left half done.
        if absorb:
            self._strange = None
            self.policy.absorb(self.replay, self.fresh, self.head.past, self.experiences + 1, self.rng)
        self.head.consolidate(here, mean, alphas, present, absorb)
        if absorb:
            self.experiences += 1
            self.fresh.n = 0
