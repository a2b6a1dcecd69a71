"""The replay memory: capacity, the two policies, and what a minibatch is drawn from."""

import json
from array import array
from collections import Counter
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from bitreplay.replay import CONTRAST, Balanced, Reservoir, Samples, by_class, contrast, shuffled
from hypothesis import given
from hypothesis import strategies as st

HERE = Path(__file__).parent
POLICIES = [Balanced, Reservoir]
SIZE = 4  # bytes of a latent here
BATCH = 32


def generator(seed=1):
    return array("I", [seed])


def fill(samples, classes, first=0):
    """Numbered latents of these classes; returns the next number."""
    for i, c in enumerate(classes):
        samples.write(i, (first + i).to_bytes(SIZE, "little"), c)
    samples.n = len(classes)
    return first + len(classes)


def contents(samples):
    """[(number, class)]"""
    return [(int.from_bytes(samples.latent(i), "little"), samples.classes[i]) for i in range(len(samples))]


class Stream:
    """Experiences that go through a policy into a memory; checks what must always be true."""

    def __init__(self, policy, capacity, seed=1, classes=10):
        self.policy, self.rng = policy(), generator(seed)
        self.memory = Samples(capacity, SIZE)
        self.past = array("I", [0] * classes)
        self.numbers, self.experience, self.seen = 0, 0, {}

    def absorb(self, classes):
        fresh = Samples(max(1, len(classes)), SIZE)
        first, self.numbers = self.numbers, fill(fresh, classes, self.numbers)
        self.seen.update(zip(range(first, self.numbers), classes))
        self.experience += 1
        before = {number for number, _ in contents(self.memory)}
        self.policy.absorb(self.memory, fresh, self.past, self.experience, self.rng)
        after = contents(self.memory)
        for c in classes:
            self.past[c] += 1
        # Never more than fits, nothing twice, nothing unknown, every latent with its own class.
        assert len(after) == min(self.memory.capacity, len(before) + len(classes))
        assert len({number for number, _ in after}) == len(after)
        assert all(self.seen[number] == c for number, c in after)
        assert len(fresh) == len(classes)
        return sum(number >= first for number, _ in after)


experiences = st.lists(st.lists(st.integers(0, 9), max_size=30), max_size=8)


@pytest.mark.parametrize("policy", POLICIES)
@given(experiences=experiences, capacity=st.integers(0, 40), seed=st.integers(1, 2**32 - 1))
def test_memory_holds_samples_that_were_seen_and_no_more_than_fit(policy, experiences, capacity, seed):
    stream = Stream(policy, capacity, seed)
    for classes in experiences:
        stream.absorb(classes)


@pytest.mark.parametrize("policy", POLICIES)
def test_everything_is_kept_while_there_is_room(policy):
    stream = Stream(policy, 40)
    for start in range(4):
        assert stream.absorb([start] * 10) == 10
    assert sorted(number for number, _ in contents(stream.memory)) == list(range(40))


@pytest.mark.parametrize("policy", POLICIES)
def test_one_seed_gives_one_memory_and_another_seed_another(policy):
    def run(seed):
        stream = Stream(policy, 25, seed)
        for i in range(6):
            stream.absorb([i, i + 1, i + 2] * 7)
        return contents(stream.memory), stream.rng[0]

    assert run(1) == run(1)
    assert run(1) != run(2)


@given(st.integers(1, 40), st.lists(st.integers(0, 60), min_size=1, max_size=10))
def test_reservoir_takes_h_samples_of_an_experience_or_as_many_as_there_is_room_for(capacity, sizes):
    """Algorithm 1 of Pellegrini et al. 2020: h = M / i of the i-th batch replace random old ones."""
    stream = Stream(Reservoir, capacity)
    for i, size in enumerate(sizes, 1):
        room = capacity - len(stream.memory)
        # h is rounded down or up.
        assert stream.absorb([i % 10] * size) in [min(size, max(room, h)) for h in (capacity // i, -(-capacity // i))]


def of_ten_experiences(capacity, seeds):
    """How many samples of each are in reservoirs of so many seeds at the end; an experience has as many as fit."""
    kept = Counter()
    for seed in range(1, seeds + 1):
        stream = Stream(Reservoir, capacity, seed)
        for e in range(10):
            stream.absorb([e] * capacity)
        kept.update(c for _, c in contents(stream.memory))
    return kept


def test_reservoir_keeps_every_experience_equally():
    """The published algorithm is a reservoir over experiences of equal size: after n, each has M / n samples."""
    kept = of_ten_experiences(50, 40)
    assert all(abs(kept[e] / 40 - 5) < 1.5 for e in range(10)), kept


def test_reservoir_keeps_late_experiences_too():
    """Of twice as many experiences as there is room for, each is there half of the time."""
    kept = of_ten_experiences(5, 300)
    # 150 of 300 times each, give or take 5 standard deviations.
    assert all(abs(kept[e] - 150) < 60 for e in range(10)), kept


def test_reservoir_replaces_old_samples_evenly():
    """No place of the memory is spared."""
    kept = Counter()
    for seed in range(1, 201):
        stream = Stream(Reservoir, 20, seed)
        stream.absorb([0] * 20)
        stream.absorb([1] * 20)
        kept.update(number for number, c in contents(stream.memory) if c == 0)
    # 10 of 20 stay: 100 of 200 times each, give or take 5 standard deviations.
    assert all(abs(kept[number] - 100) < 36 for number in range(20)), kept


@given(experiences, st.integers(1, 40), st.integers(1, 2**32 - 1))
def test_balanced_memory_stays_balanced(experiences, capacity, seed):
    """A class has fewer samples than the largest only if it never had more."""
    stream = Stream(Balanced, capacity, seed)
    for classes in experiences:
        before = Counter(c for _, c in contents(stream.memory))
        stream.absorb(classes)
        counts = Counter(c for _, c in contents(stream.memory))
        given_now = Counter(classes)
        largest = max(counts.values(), default=0)
        for c in set(before) | set(classes):
            # What came now is kept up to the largest class; what was there shrinks only as one of the largest.
            assert counts[c] >= min(before[c] + given_now[c], largest - 1), (c, before, given_now, counts)


def test_balanced_memory_holds_all_classes_equally_when_they_come_one_after_the_other():
    stream = Stream(Balanced, 60)
    for c in range(10):
        stream.absorb([c] * 100)
        counts = Counter(label for _, label in contents(stream.memory))
        assert set(counts) == set(range(c + 1))
        assert max(counts.values()) - min(counts.values()) <= 1
    # ... and a rare class is not lost among frequent ones.
    stream = Stream(Balanced, 20)
    stream.absorb([0] * 200 + [1] * 3)
    for _ in range(10):
        stream.absorb([0, 2] * 100)
    counts = Counter(label for _, label in contents(stream.memory))
    assert counts[1] == 3
    assert abs(counts[0] - counts[2]) <= 1


def test_balanced_is_a_reservoir_within_a_class():
    """Each of n samples of a class is kept with the same probability, whenever it came."""
    kept = Counter()
    for seed in range(1, 301):
        stream = Stream(Balanced, 10, seed)
        for _ in range(4):
            stream.absorb([3] * 10)
        kept.update(number // 10 for number, _ in contents(stream.memory))
    # 750 of each ten in all, give or take 5 standard deviations.
    assert all(abs(kept[i] - 750) < 120 for i in range(4)), kept


def test_a_sample_is_whole_before_it_counts():
    """Ctrl-C between two steps of put() leaves no half sample: the number is the last that changes."""
    samples, others = Samples(3, SIZE), Samples(3, SIZE)
    with pytest.raises((TypeError, ValueError)):
        others.write(0, bytes(SIZE + 1), 1)
    with pytest.raises((TypeError, ValueError)):
        others.write(0, bytes(SIZE), 256)
    for i, latent in enumerate((b"abcd", b"efgh", b"ijkl")):
        others.write(i, latent, i + 1)
    assert len(others) == 0

    class Classes(bytearray):
        """Interrupts what stores a class."""

        def __setitem__(self, *_):
            raise KeyboardInterrupt

    samples.put(0, others, 0)
    classes, samples.classes = samples.classes, Classes(3)
    with pytest.raises(KeyboardInterrupt):
        samples.put(1, others, 1)
    samples.classes = classes
    assert len(samples) == 1
    samples.put(1, others, 1)
    samples.put(0, others, 2)
    assert (len(samples), bytes(samples.latent(0)), bytes(samples.latent(1))) == (2, b"ijkl", b"efgh")
    assert list(samples.counts(4)) == [0, 0, 1, 1]


# Minibatches.


def drawn(policy, classes, seed=1, size=BATCH):
    """The minibatches of an epoch."""
    batches = policy().minibatches(bytes(classes), size, generator(seed))
    return [list(batch) for batch in islice(batches, -(-len(classes) // size))]


@pytest.mark.parametrize("policy", POLICIES)
@given(st.lists(st.integers(0, 9), min_size=1, max_size=100), st.integers(1, 2**32 - 1), st.sampled_from([8, BATCH]))
def test_minibatches_are_full(policy, classes, seed, size):
    batches = drawn(policy, classes, seed, size)
    assert all(len(batch) == size and all(0 <= i < len(classes) for i in batch) for batch in batches)
    assert batches == drawn(policy, classes, seed, size)


@given(st.integers(1, 300), st.integers(1, 2**32 - 1))
def test_reservoir_minibatches_take_every_sample_once_and_fill_up(n, seed):
    every = sum(drawn(Reservoir, [0] * n, seed), [])
    assert sorted(every[:n]) == list(range(n))
    assert every[n:] == (every[:n] * BATCH)[: len(every) - n]


def test_reservoir_minibatches_of_each_epoch_have_another_order():
    batches = Reservoir().minibatches(bytes(64), BATCH, generator())
    first, second = ([list(next(batches)) for _ in range(64 // BATCH)] for _ in range(2))
    assert first != second and sorted(sum(first, [])) == sorted(sum(second, []))


@given(st.binary(min_size=1, max_size=300))
def test_by_class(classes):
    order, ends = by_class(classes)
    assert list(order) == sorted(range(len(classes)), key=lambda i: classes[i])
    assert [classes[order[end]] for end in ends] == sorted(set(classes))
    assert list(np.diff([-1, *ends])) == [count for _, count in sorted(Counter(classes).items())]


def test_balanced_minibatches_take_classes_and_their_samples_equally():
    classes = [0] * 1000 + [5] * 10 + [9] * 50
    counts = Counter()
    for seed in range(1, 11):
        counts.update(sum(drawn(Balanced, classes, seed), []))
    per_class = Counter()
    for i, count in counts.items():
        per_class[classes[i]] += count
    total = sum(per_class.values())
    assert all(abs(per_class[c] / total - 1 / 3) < 0.02 for c in (0, 5, 9)), per_class
    of_ten = [counts[i] for i in range(1000, 1010)]
    assert max(of_ten) < 1.3 * min(of_ten)


@pytest.mark.parametrize("policy", POLICIES)
def test_the_largest_numbers_of_samples_work(policy):
    """32768 fresh and 32768 replayed samples are numbered in 16 bits."""
    rng = generator()
    batches = policy().minibatches(bytes(65536), BATCH, rng)
    seen = {i for _ in range(20) for i in next(batches)}
    assert max(seen) > 60000 and min(seen) < 5000


def test_shuffled_is_a_permutation_and_every_order_comes_equally():
    rng = generator()
    orders = Counter(tuple(shuffled(4, rng)) for _ in range(2400))
    assert len(orders) == 24
    assert all(abs(count - 100) < 50 for count in orders.values())
    assert list(shuffled(0, rng)) == []
    assert list(shuffled(1, rng)) == [0]
    assert np.array_equal(np.sort(shuffled(1000, rng)), np.arange(1000))


SCRIPT = """
import sys
sys.path.append(sys.argv[1])
from array import array
from bitreplay.replay import Balanced, Reservoir, Samples
from synthetic import Synthetic, show

for policy in (Balanced(), Reservoir()):
    synthetic, rng = Synthetic(4, 5), array("I", [77])
    memory, past = Samples(50, 4), array("I", bytes(4 * 300))
    for experience in range(1, 9):
        fresh = Samples(60, 4)
        for i in range(60):
            fresh.write(i, synthetic.latent(i), (synthetic.byte() % experience) * 31)
        fresh.n = 60
        policy.absorb(memory, fresh, past, experience, rng)
        for c in fresh.classes:
            past[c] += 1
        batches = policy.minibatches(fresh.classes + memory.classes, 8, rng)
        show(memory=[list(memory.latents), list(memory.classes)], rng=rng[0], batches=[
            list(next(batches)) for _ in range(20)])
"""


def test_policies_are_the_same_under_micropython(cpython, micropython):
    here, there = [[json.loads(line) for line in run(SCRIPT, HERE).splitlines()] for run in (cpython, micropython)]
    assert here == there
    assert len({step["rng"] for step in here}) == len(here) == 16


@given(st.integers(0, 100), st.integers(0, 100), st.randoms())
def test_contrast_weighs_both_sides_alike_and_takes_evenly_spaced_samples(own, others, random):
    classes = [7] * own + [random.randrange(7) for _ in range(others)]
    random.shuffle(classes)
    found = list(contrast(bytes(classes), 7))
    sides = [[(i, w) for i, w in found if (classes[i] == 7) == side] for side in (True, False)]
    if not own or not others:
        assert not found
        return
    assert all(w > 0 for _, w in sides[0]) and all(w < 0 for _, w in sides[1])
    assert sum(w for _, w in found) == 0 < sum(w for _, w in sides[0]) <= CONTRAST
    for side, there in zip(sides, (own, others), strict=True):
        assert len({w for _, w in side}) == 1
        assert len(side) == there if there <= min(own, others, CONTRAST) else len(side) > min(there, CONTRAST) / 2
    # In each half of the samples of one side lie as many of it, give or take one.
    places = [i for i, c in enumerate(classes) if c == 7]
    half = [i for i, _ in sides[0] if i in places[: own // 2]]
    assert abs(2 * len(half) - len(sides[0])) <= 2
