# What was taught, put right by hand: the last sample taken back, a label changed, a class forgotten.
#
# Each is done whole or not at all: what may fail comes first, and what changes the learner is called by held().


def undo(learner):
    """Takes back the last fresh sample, and its label if nothing else has it."""
    fresh = learner.fresh
    c = fresh.classes[fresh.n - 1]
    alone = c == len(learner.labels) - 1 and not learner.head.past[c] and _count(learner, c) == 1
    fresh.n -= 1
    if alone:
        learner.labels.pop()


def _count(learner, c):
    """How many fresh and replayed samples class c has. Allocates nothing."""
    count = 0
    for samples in (learner.fresh, learner.replay):
        for i in range(samples.n):
            if samples.classes[i] == c:
                count += 1
    return count


def forget(learner, c):
    """Removes class c: its samples, its row of the head, its label. Those after it move up. Allocates nothing."""
    head, known = learner.head, len(learner.labels)
    learner._strange = None
    for samples in (learner.fresh, learner.replay):
        kept = 0
        for i in range(samples.n):
            if samples.classes[i] != c:
                samples.put(kept, samples, i)
                if samples.classes[kept] > c:
                    samples.classes[kept] -= 1
                kept += 1
        samples.n = kept
    # Element by element, as a slice is an allocation.
    size, cw, past = head.features, head.cw, head.past
    for i in range(c * size, (known - 1) * size):
        cw[i] = cw[i + size]
    for i in range((known - 1) * size, known * size):
        cw[i] = 0
    for i in range(c, known - 1):
        past[i] = past[i + 1]
    past[known - 1] = 0
    head.ready = False
    learner.labels.pop(c)
