# The replay memory: packed latents and their labels in one buffer each, and two policies.
#
# Reservoir is the published one (Pellegrini et al. 2020, algorithm 1): after the i-th experience h = M / i of its samples
# replace random old ones, and minibatches mix fresh and replayed samples in proportion to their numbers.
# Balanced keeps the classes equally frequent (class-balancing reservoir sampling, Chrysakis and Moens 2020) and draws
# minibatches by class.

from array import array

from _bitreplay import random

BATCH = 32  # samples of a minibatch


class Samples:
    """Up to `capacity` latents of `latent_bytes` bytes with a class each (0..255)."""

    def __init__(self, capacity, latent_bytes):
        self.capacity = capacity
        self.latent_bytes = latent_bytes
        self.n = 0
        self.latents = bytearray(capacity * latent_bytes)
        self.classes = bytearray(capacity)
        self._view = memoryview(self.latents)

    def __len__(self):
        return self.n

    def latent(self, i):
        """A view of the i-th latent."""
        return self._view[i * self.latent_bytes : (i + 1) * self.latent_bytes]

    def put(self, i, latent, label):
        """Stores a latent at i, which is at most the number stored."""
        self.latent(i)[:] = latent
        self.classes[i] = label
        if i == self.n:
            self.n += 1

    def counts(self, classes):
        """How many samples each of the classes 0..classes-1 has."""
        counts = array("H", [0] * classes)
        for i in range(self.n):
            counts[self.classes[i]] += 1
        return counts



def shuffled(n, rng):
    """0..n-1 in random order (Fisher and Yates)."""
    order = array("H", range(n))
    for i in range(n - 1, 0, -1):
        j = random(rng, i + 1)
        order[i], order[j] = order[j], order[i]
    return order


class Reservoir:
    """Samples by experience, minibatches in proportion."""

    name = "reservoir"

    def absorb(self, memory, fresh, seen, experience, rng):
        """Moves fresh samples into the memory after the experience of this number (from 1)."""
        room = memory.capacity - memory.n
        replace = min(memory.capacity // experience, fresh.n) if room < fresh.n else 0
        order = shuffled(fresh.n, rng)
        victims = shuffled(memory.n, rng)
        used = 0
        for i in order:
            if memory.n < memory.capacity:
                slot = memory.n
            elif used < replace and used < len(victims):
                slot = victims[used]
                used += 1
            else:
                break
            memory.put(slot, fresh.latent(i), fresh.classes[i])

    def minibatches(self, classes, rng):
        """One epoch over the samples whose classes are given: yields arrays of BATCH sample numbers."""
        n = len(classes)
        order = shuffled(n, rng)
        batch = array("H", [0] * BATCH)
        for start in range(0, n, BATCH):
            for i in range(BATCH):
                batch[i] = order[(start + i) % n]
            yield batch


class Balanced:
    """Samples and minibatches by class."""

    name = "balanced"

    def absorb(self, memory, fresh, seen, experience, rng):
        """Moves fresh samples into the memory; seen[c] counts all samples of class c before these."""
        counts = memory.counts(len(seen))
        seen = array("I", seen)
        for i in shuffled(fresh.n, rng):
            label = fresh.classes[i]
            seen[label] += 1
            if memory.n < memory.capacity:
                slot = memory.n
            elif memory.capacity == 0:
                break
            else:
                largest = 0
                for c in range(1, len(counts)):
                    if counts[c] > counts[largest]:
                        largest = c
                if counts[label] == counts[largest]:
                    # One of the largest classes: an ordinary reservoir within the class.
                    largest = label
                    if random(rng, min(seen[label], 65536)) >= counts[label]:
                        continue
                slot = self._pick(memory, largest, random(rng, counts[largest]))
                counts[largest] -= 1
            memory.put(slot, fresh.latent(i), label)
            counts[label] += 1

    def _pick(self, memory, label, nth):
        for i in range(memory.n):
            if memory.classes[i] == label:
                if nth == 0:
                    return i
                nth -= 1

    def minibatches(self, classes, rng):
        """As many draws as there are samples: a class at random, then one of its samples at random."""
        n = len(classes)
        members = {}
        for i in range(n):
            members.setdefault(classes[i], array("H")).append(i)
        members = [members[c] for c in sorted(members)]
        batch = array("H", [0] * BATCH)
        for _ in range(0, n, BATCH):
            for i in range(BATCH):
                one = members[random(rng, len(members))]
                batch[i] = one[random(rng, len(one))]
            yield batch
