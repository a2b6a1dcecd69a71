"""Baselines that train nothing: against their definitions, on the features of the small model; and as methods."""

import threading

import bitreplay
import numpy as np
import pytest
from bitreplay.above import Above
from bitreplay_host.errors import UserError
from bitreplay_host.experiments import baselines, class_incremental
from bitreplay_host.experiments.class_incremental import ClassIncremental
from bitreplay_host.experiments.latents import Places

CLASSES = 5
ARGUMENTS = {"classes": 6, "replay": 20, "seed": 3}


@pytest.fixture
def features(small_model):
    return baselines.Features(bitreplay.load(small_model))


@pytest.fixture
def samples(features):
    """(latents, labels) of five classes: a pattern of bits for each, an eighth of them wrong; labels 0 and 2..5."""
    rng = np.random.default_rng(0)
    labels = np.array([0, 2, 3, 4, 5])[np.arange(60) % CLASSES]
    patterns = rng.integers(0, 256, (6, features.net.latent_bytes), np.uint8)
    noise = np.packbits(rng.random((60, 8 * features.net.latent_bytes)) < 0.125, axis=1)
    return patterns[labels] ^ noise, labels


def test_features_are_the_heads(features, samples):
    net, out = features.net, bytearray(features.net.features)
    found = features(samples[0])
    assert found.dtype == np.int8 and found.std() > 1
    for latent, row in zip(samples[0], found, strict=True):
        Above(net).features(bytearray(latent.tobytes()), out)
        np.testing.assert_array_equal(np.frombuffer(out, np.int8), row)
    np.testing.assert_array_equal(features(samples[0][::-1]), found[::-1])


def test_class_mean(features, samples):
    latents, labels = samples
    ncm = baselines.NearestClassMean(features, ARGUMENTS)
    for part in (slice(0, 30), slice(30, 40)):
        ncm.observe(latents[part], labels[part])
    x = features(latents).astype(float)
    seen = sorted(set(labels))
    means = np.array([x[:40][labels[:40] == c].mean(axis=0) for c in seen])
    distances = ((x[:, None] - means) ** 2).sum(axis=2)
    np.testing.assert_array_equal(ncm.predict(latents), np.array(seen)[distances.argmin(axis=1)])
    assert (ncm.predict(latents[40:]) == labels[40:]).mean() > 0.8
    assert ncm.bytes == 6 * (4 * features.net.features + 4)


def test_classes_that_were_not_seen_are_not_predicted(features, samples):
    latents, labels = samples
    for kind in baselines.BASELINES.values():
        baseline = kind(features, ARGUMENTS)
        few = np.isin(labels, (3, 5))
        baseline.observe(latents[few], labels[few])
        assert set(baseline.predict(latents)) == {3, 5}, kind


def test_nearest_latent(features, samples):
    latents, labels = samples
    nearest = baselines.NearestLatent(features, ARGUMENTS)
    nearest.observe(latents[:50], labels[:50])
    assert nearest.bytes == 20 * (features.net.latent_bytes + 1)
    # Balanced: four of each of five classes, which are some of those that were seen.
    memory = nearest.memory
    assert memory.n == 20 and list(memory.counts(6)) == [4, 0, 4, 4, 4, 4]
    kept = [(bytes(memory.latent(i)), memory.classes[i]) for i in range(20)]
    assert set(kept) <= {(row.tobytes(), c) for row, c in zip(latents[:50], labels[:50].tolist(), strict=True)}
    expected = []
    for row in latents:
        x = int.from_bytes(row.tobytes(), "little")
        distances = [(x ^ int.from_bytes(latent, "little")).bit_count() for latent, _ in kept]
        expected.append(kept[int(np.argmin(distances))][1])
    np.testing.assert_array_equal(nearest.predict(latents), expected)
    assert (nearest.predict(latents[50:]) == labels[50:]).mean() > 0.8
    again = baselines.NearestLatent(features, ARGUMENTS)
    again.observe(latents[:50], labels[:50])
    assert again.memory.latents == memory.latents
    other = baselines.NearestLatent(features, ARGUMENTS | {"seed": 4})
    other.observe(latents[:50], labels[:50])
    assert other.memory.latents != memory.latents


def test_nearest_latent_keeps_old_classes(features, samples):
    latents, labels = samples
    nearest = baselines.NearestLatent(features, ARGUMENTS)
    for c in (0, 2, 3, 4, 5):
        nearest.observe(latents[labels == c], labels[labels == c])
    assert list(nearest.memory.counts(6)) == [4, 0, 4, 4, 4, 4]
    assert list(nearest.past) == [12, 0, 12, 12, 12, 12]


def test_nearest_latent_of_none(features):
    with pytest.raises(UserError, match="needs --replay of at least 1"):
        baselines.NearestLatent(features, ARGUMENTS | {"replay": 0})


def test_streaming_lda(features, samples):
    """Seen in any pieces, it is what the definition gives, a sample at a time."""
    latents, labels = samples
    slda = baselines.StreamingLDA(features, ARGUMENTS)
    for part in (slice(0, 1), slice(1, 35), slice(35, 50)):
        slda.observe(latents[part], labels[part])
    x = features(latents) / 16
    covariance, means, counts = np.zeros((x.shape[1],) * 2), {}, {}
    for t, (z, c) in enumerate(zip(x[:50], labels[:50].tolist(), strict=True)):
        means.setdefault(c, z)
        difference = z - means[c]
        covariance = (t * covariance + t / (t + 1) * np.outer(difference, difference)) / (t + 1)
        counts[c] = counts.get(c, 0) + 1
        means[c] = means[c] + difference / counts[c]
    for c in means:
        np.testing.assert_allclose(means[c], x[:50][labels[:50] == c].mean(axis=0), atol=1e-12)
    np.testing.assert_allclose(slda.covariance, covariance, atol=1e-12)
    inverse = np.linalg.inv((1 - 1e-4) * covariance + 1e-4 * np.eye(len(covariance)))
    seen = sorted(means)
    # The most likely class of normal distributions that have this covariance.
    away = x[:, None] - np.array([means[c] for c in seen])
    likely = -np.einsum("ncf,fg,ncg->nc", away, inverse, away)
    np.testing.assert_array_equal(slda.predict(latents), np.array(seen)[likely.argmax(axis=1)])
    size = features.net.features
    assert slda.bytes == 4 * (size * (size + 1) // 2 + 6 * size + 6 + 1)


def test_as_methods(micropython, synthetic_data, small_model, tmp_path):
    """On the samples and in the order of the learners; better than a guess on what is easy."""
    places = Places(micropython, synthetic_data, tmp_path)
    plan = ClassIncremental(step=4, learner={"replay": 60})
    runs = [class_incremental.Run(method, 2) for method in baselines.BASELINES]
    results = class_incremental.run(small_model, plan, runs, places)
    for result in results:
        assert set(result) == {"classes", "curve", "groups", "matrix", "memory"} and result["classes"] == [2, 6, 10]
        assert len(result["curve"]) == 3 and result["curve"][-1] > 50
    assert results[1]["memory"] == {"total": 60 * 17}
    assert class_incremental.run(small_model, plan, runs, places) == results


def test_a_run_ends_when_it_is_stopped(features, samples, tmp_path):
    latents, labels = samples
    (tmp_path / "latents").write_bytes(latents.tobytes())
    (tmp_path / "classes").write_bytes(labels.astype(np.uint8).tobytes())
    split = {"latents": tmp_path / "latents", "classes": tmp_path / "classes"}
    configuration = {"train": split, "test": split, "experiences": [[0, 1], [2]], "learner": ARGUMENTS}
    configuration["labels"] = list("abcdef")
    stop, advanced = threading.Event(), []
    result = baselines.run("ncm", configuration, features, lambda: advanced.append(1), stop)
    assert len(result["right"]) == len(advanced) == 2
    stop.set()
    with pytest.raises(KeyboardInterrupt):
        baselines.run("ncm", configuration, features, lambda: None, stop)
