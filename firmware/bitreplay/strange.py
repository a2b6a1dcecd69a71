# Whether an image is of a class that a learner knows: docs/learning.md, "What it does not know".
#
# The strangeness of a latent: how far the nearest class is, 4096 where it is as far as an average one. Far is by the
# mean Hamming distance of a class's NEAR most similar samples. Where strange begins, the replayed samples tell, each
# among the others.

from array import array

import _bitreplay as kernels

NEAR = 3
ONE = 1 << 12
FAR = (1 << 30) - 1  # no distance
MOST = 100  # replayed samples that tell the limit: seconds on a Pico


def strangeness(samples, latent, near, found, leave=-1):
    """Of a latent, among Samples of two classes or more; None for fewer. Allocates only views.

    near: i32[NEAR * classes] and found u32[2] to work in. leave: a sample that is left out.
    """
    for j in range(len(near)):
        near[j] = FAR
    for i in range(samples.n):
        if i != leave:
            kernels.nearest(latent, samples.latent(i), found)
            _insert(near, NEAR * samples.classes[i], found[1])
    total = classes = 0
    least = FAR
    for first in range(0, len(near), NEAR):
        own = n = 0
        while n < NEAR and near[first + n] != FAR:
            own, n = own + near[first + n], n + 1
        if n:
            own = 6 * own // n  # whole numbers for 1, 2, 3
            total, classes, least = total + own, classes + 1, min(least, own)
    if classes < 2:
        return None
    return least * classes * ONE // total if total else ONE


def _insert(near, first, distance):
    """Puts a distance in its place among a class's least ones."""
    j = first + NEAR
    while j > first and near[j - 1] > distance:
        j -= 1
        if j + 1 < first + NEAR:
            near[j + 1] = near[j]
    if j < first + NEAR:
        near[j] = distance


def known(samples, near, found):
    """The strangeness of replayed samples among the others, in order: array u16. ValueError if nothing tells."""
    told, step = [], max(1, -(-samples.n // MOST))
    counts = samples.counts(len(near) // NEAR)
    for i in range(0, samples.n, step):
        if counts[samples.classes[i]] > 1:
            told.append(strangeness(samples, samples.latent(i), near, found, i))
    if not told or None in told:
        raise ValueError("unknown: needs two classes with two replayed samples each; call see() and learn() first")
    return array("H", sorted(told))


def is_strange(value, told, share):
    """Whether a strangeness is above that of all but this share (in thousandths) of the known() ones."""
    return value > told[len(told) - 1 - min(len(told) - 1, share * len(told) // 1000)]
