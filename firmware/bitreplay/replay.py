# The replay memory: packed latents and their classes in one buffer each, and two policies.
#
# Reservoir is the published one (Pellegrini, Graffieti, Lomonaco and Maltoni 2020, "Latent Replay for Real-Time
# Continual Learning", arXiv 1912.01100, algorithm 1): of the i-th experience h = M / i samples get into a memory of M,
# in the place of random old ones, and minibatches mix fresh and replayed samples in proportion to their numbers. h is
# rounded at random, up with the probability of its fraction, so that later experiences than the M-th count too.
# Balanced keeps the classes equally frequent (class-balancing reservoir sampling, Chrysakis and Moens 2020, "Online
# Continual Learning from Imbalanced Data") and draws minibatches by class.
#
# Both are decided by the learner's generator alone, so that one history gives one memory. absorb() allocates what it
# needs before its first change, so that it fails before that or not at all.

from array import array

from _bitreplay import draw_balanced, random

CONTRAST = 32  # samples of a class, and of the others, that its weights start from


def contrast(classes, c):
    """Evenly spaced samples of class c and of the others, at most CONTRAST of each: yields (i, weight).

    classes: of all samples. Both sides have the same weight, of c's positive, of the others' negative. A side's
    weighted sum of int8 fits 16 bits. Nothing, if a side has no sample.
    """
    own = sum(1 for k in classes if k == c)
    there = len(classes) - own, own
    few, many = sorted([min(CONTRAST, n) for n in there])
    # Each sample of the smaller side counts as often as it fits the larger.
    many -= many % few if few else many
    taken = (many, few) if there[0] > own else (few, many)
    seen = [0, 0]
    for i in range(len(classes) if few else 0):
        side = classes[i] == c
        before, seen[side] = seen[side], seen[side] + 1
        if seen[side] * taken[side] // there[side] > before * taken[side] // there[side]:
            yield i, (1 if side else -1) * (many // taken[side])


class Samples:
    """Up to `capacity` latents (0..32768) of `latent_bytes` bytes, with a class (0..255) each; `n` are there."""

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

    def filled(self):
        """A view of the latents that are there."""
        return self._view[: self.n * self.latent_bytes]

    def write(self, i, latent, label):
        """Stores a latent (buffer of latent_bytes) and its class at i, less than capacity. Does not change n."""
        self.latent(i)[:] = latent
        self.classes[i] = label

    def put(self, i, samples, j):
        """Stores the j-th of other samples at i: 0..n, less than capacity. Allocates nothing, so it cannot fail."""
        # Hence byte by byte, as a slice is an allocation; so is an assignment to four names at once.
        size = self.latent_bytes
        source, target = samples.latents, self.latents
        first, to = j * size, i * size
        for k in range(size):
            target[to + k] = source[first + k]
        self.classes[i] = samples.classes[j]
        # Last, so that a new sample is there whole or not at all, whenever Ctrl-C comes.
        if i == self.n:
            self.n += 1

    def counts(self, classes):
        """How many samples each of the classes 0..classes-1 has: array u16[classes]."""
        counts = array("H", [0] * classes)
        for i in range(self.n):
            counts[self.classes[i]] += 1
        return counts


def shuffled(n, rng):
    """0..n-1 (n <= 65536) in random order (Fisher and Yates): array u16[n]."""
    order = array("H", range(n))
    for i in range(n - 1, 0, -1):
        j = random(rng, i + 1)
        order[i], order[j] = order[j], order[i]
    return order


def by_class(classes):
    """Sample numbers by class, ascending: array u16; and where each class that is there has its last one."""
    number = max(classes) + 1
    next_place = array("I", bytes(4 * number))
    for c in classes:
        next_place[c] += 1
    ends, place = array("H"), 0
    for c in range(number):
        count, next_place[c] = next_place[c], place
        place += count
        if count:
            ends.append(place - 1)
    order = array("H", bytes(2 * len(classes)))
    for i in range(len(classes)):
        order[next_place[classes[i]]] = i
        next_place[classes[i]] += 1
    return order, ends


class Reservoir:
    """Samples by experience, minibatches in proportion."""

    def absorb(self, memory, fresh, past, experience, rng):
        """Moves samples from fresh into memory (both Samples) after the experience of this number (from 1).

        While there is room, all are kept. past is not used.
        """
        room = memory.capacity - memory.n
        h = memory.capacity // experience
        rest = memory.capacity - h * experience
        if rest and random(rng, 65536) * experience < rest * 65536:
            h += 1
        replace = min(h, fresh.n) - room
        order = shuffled(fresh.n, rng)
        victims = shuffled(memory.n, rng)
        used = 0
        for i in order:
            if memory.n < memory.capacity:
                slot = memory.n
            elif used < replace:
                slot = victims[used]
                used += 1
            else:
                break
            memory.put(slot, fresh, i)

    def minibatches(self, classes, size, rng):
        """Minibatches of the samples whose classes are given (1..65536 bytes): yields `size` sample numbers, u16.

        In each epoch every sample comes once; the last minibatch is filled up from the start. They do not end. All are
        one array, filled anew.
        """
        n = len(classes)
        batch = array("H", [0] * size)
        while True:
            order = shuffled(n, rng)
            for start in range(0, n, size):
                for i in range(size):
                    batch[i] = order[(start + i) % n]
                yield batch


class Balanced:
    """Samples and minibatches by class."""

    def absorb(self, memory, fresh, past, experience, rng):
        """Moves samples from fresh into memory (both Samples).

        past[c]: on how many samples of class c was trained before. In a full memory a sample takes the place of one of
        the largest class; if its own is one of the largest, it is kept with the probability stored / past. (Replayed
        samples count in past as often as they were learned, so a class that comes again keeps more of its old ones.)
        """
        counts = memory.counts(len(past))
        seen = array("I", past)
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
            memory.put(slot, fresh, i)
            counts[label] += 1

    def _pick(self, memory, label, nth):
        """Where the nth sample of a class is."""
        for i in range(memory.n):
            if memory.classes[i] == label:
                if nth == 0:
                    return i
                nth -= 1

    def minibatches(self, classes, size, rng):
        """As Reservoir's, but every number is a draw: a class at random, then one of its samples at random."""
        order, ends = by_class(classes)
        batch = array("H", [0] * size)
        while True:
            draw_balanced(order, ends, batch, rng)
            yield batch
