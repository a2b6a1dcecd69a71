# When a learn() ends.

LIMIT = 20  # epochs, where none were asked for
LEAST = 4  # epochs, even if all are right: probabilities still grow
PATIENCE = 2  # epochs that are no better than one before, after which it ends
SURE = 1000  # samples that these epochs must have in all, as few samples are right by chance
FALLING = 4  # epochs in which the rates of binary layers fall, at the end


class Ending:
    """How many epochs a learn() takes: as many as were asked for, or until no more of the samples become right.

    samples: of an epoch. trained: whether binary layers are; their rates stay until then, and fall in FALLING epochs.
    epochs: how many in all, as far as is known. falls: the epochs in which the rates fall, 0 while they stay.
    """

    def __init__(self, epochs, samples, trained):
        self.epoch, self.epochs, self.falls = 0, epochs or LIMIT, epochs or 0
        self.known = bool(epochs)
        self.fall = FALLING if trained else 0
        self.patience = max(PATIENCE, -(-SURE // samples))
        self.best, self.waited = -1, 0
        self.reason = ""

    def after(self, hits, total):
        """Counts an epoch in which so many samples of so many were right; returns whether rates begin to fall."""
        self.epoch += 1
        if self.known:
            return False
        self.waited = self.waited + 1 if hits <= self.best else 0
        self.best = max(self.best, hits)
        if self.epoch + self.fall < LEAST:
            return False
        if hits == total:
            self.reason = "all were right"
        elif self.waited >= self.patience:
            self.reason = "no better for %d epochs" % self.waited
        elif self.epoch == LIMIT - self.fall:
            self.reason = "limit"
        else:
            return False
        self.known, self.falls, self.epochs = True, self.fall, self.epoch + self.fall
        return self.fall > 0
