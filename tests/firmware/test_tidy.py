"""What was taught, put right: undo, rename, forget, counts, and a learner that grows."""

import numpy as np
import pytest
from bitreplay import Learner
from learners import learned, name, run, taught
from synthetic import teach


def several(synthetic, classes, samples=20):
    """Latents of each of these classes."""
    return [bytes(synthetic.latent(c)) for c in classes for _ in range(samples)]


BOTH = pytest.mark.parametrize("implementation", ["micropython", "cpython"])


def test_undo_takes_back_one_sample(net, synthetic):
    me = learned(net, synthetic)
    before, labels = me.digest(), list(me.labels)
    me.see_latent(synthetic.latent(0), 0)
    assert me.undo() == 0 and me.digest() == before
    me.see_latent(synthetic.latent(3), "new")
    me.see_latent(synthetic.latent(3), "new")
    assert me.undo() == "new" and me.labels == [*labels, "new"]
    assert me.undo() == "new" and me.labels == labels and me.digest() == before
    for _ in range(me.fresh.n):
        me.undo()
    with pytest.raises(ValueError, match=r"undo: no sample waits for learn\(\); forget\(label\) removes what was"):
        me.undo()
    assert me.labels == labels  # they are learned


def test_undo_keeps_a_label_that_something_else_has(net, synthetic):
    me = Learner(net)
    me.see_latent(synthetic.latent(0), "first")
    me.see_latent(synthetic.latent(1), "second")
    me.see_latent(synthetic.latent(0), "first")
    assert me.undo() == "first" and me.labels == ["first", "second"]
    assert me.undo() == "second" and me.labels == ["first"]


def test_rename(net, synthetic):
    me = learned(net, synthetic)
    latent, (old, *_) = synthetic.latent(0), me.labels
    _, probability = me.predict_latent(latent)
    me.rename(old, np.str_("cup"))
    assert me.predict_latent(latent) == ("cup", probability) and type(me.labels[0]) is str
    for arguments, message in (
        ((old, "x"), f"label: there is no class {old!r}; counts"),
        (("cup", 1), "new: there is a class 1 already"),
        (("cup", ""), "label: must be a str of 1..64 characters"),
        (("cup", None), "label: must be a str"),
        ((True, "x"), "label: must be a str"),
    ):
        with pytest.raises(ValueError, match=message):
            me.rename(*arguments)
    assert me.labels == ["cup", 1, 2]


def test_counts(net, synthetic):
    me = learned(net, synthetic, classes=(0, 1), samples=10, replay=14)
    assert me.counts() == {0: (2, 7, 10), 1: (2, 7, 10)}
    me.see_latent(synthetic.latent(2), "new")
    assert me.counts()["new"] == (1, 0, 0)


def test_what_is_forgotten_is_gone(net, synthetic):
    me = learned(net, synthetic)
    before = me.counts()
    latents = several(synthetic, (0, 2))
    kept = [me.predict_latent(latent)[0] for latent in latents]
    me.forget(1)
    assert me.labels == [0, 2] and 1 not in me.counts()
    assert me.counts() == {label: count for label, count in before.items() if label != 1}
    for samples in (me.fresh, me.replay):
        assert all(samples.classes[i] < 2 for i in range(samples.n))
    assert not any(me.head.past[2:]) and not any(me.head.cw_rows[2])
    now = [me.predict_latent(latent)[0] for latent in latents]
    assert all(after == before for before, after in zip(kept, now, strict=True) if before != 1)
    assert 1 not in now


def test_a_forgotten_class_leaves_its_place(net, synthetic):
    small = Learner(net, classes=3, fresh=40)
    teach(small, synthetic, (0, 1, 2), 10)
    small.learn(2, progress=False)
    with pytest.raises(ValueError, match="label: 'new' would be class 4"):
        small.see_latent(synthetic.latent(3), "new")
    small.forget(0)
    teach(small, synthetic, (3,), 10)
    small.learn(4, progress=False)
    assert small.labels == [1, 2, 3] and small.counts()[3] == (0, 10, 10)
    assert 3 in [small.predict_latent(latent)[0] for latent in several(synthetic, (3,))]
    with pytest.raises(ValueError, match="label: there is no class 'other'"):
        small.forget("other")


def test_all_can_be_forgotten(net, synthetic):
    me = learned(net, synthetic)
    for label in list(me.labels):
        me.forget(label)
    empty = Learner(net, replay=20)
    empty.rng[0], empty.experiences = me.rng[0], me.experiences
    assert me.digest() == empty.digest()


@BOTH
def test_the_same_everywhere(deep_model, tmp_path, request, implementation, cpython):
    script = """
me = bitreplay.Learner(net, replay=24, fresh=40, classes=5, train=2)
for classes in ((0, 1), (2, 1)):
    teach(me, synthetic, classes, 15, lambda c: ["mug", 7, "Tür", -3, "new"][c])
    me.learn(2, progress=False)
teach(me, synthetic, (1, 3), 3, lambda c: ["mug", 7, "Tür", -3, "new"][c])
me.forget(7)
me.rename("mug", "cup")
me.see_latent(synthetic.latent(4), "x")
me.undo()
me.save(sys.argv[3])
again = bitreplay.Learner.load(net, sys.argv[3], classes=9, replay=60)
teach(again, synthetic, (4,), 5)
again.learn(2, progress=False)
found = [again.nearest_latent(synthetic.latent(c)) for c in range(5)]
counts, digests = [me.counts()[label] for label in me.labels], [me.digest(), again.digest()]
show(labels=me.labels, counts=counts, digests=digests, nearest=found)
"""
    found = run(request.getfixturevalue(implementation), script, deep_model, tmp_path / "me.safetensors")
    assert found == run(cpython, script, deep_model, tmp_path / "me.safetensors")
    assert found[0]["labels"] == ["cup", "Tür", -3]


def test_a_learner_grows(net, synthetic, tmp_path):
    path = tmp_path / "me.safetensors"
    me = taught(net)
    me.save(path)
    same = Learner.load(net, path, replay=24, classes=5)
    assert same.digest() == me.digest()
    larger = Learner.load(net, path, classes=np.int64(20), replay=100, fresh=200)
    assert larger.labels == me.labels and larger.counts() == me.counts()
    assert [larger.config[k] for k in ("classes", "replay", "fresh")] == [20, 100, 200]
    for latent in several(synthetic, range(4)):
        assert larger.predict_latent(latent) == me.predict_latent(latent)
    for c in range(4, 15):
        larger.see_latent(synthetic.latent(c), f"class {c}")
    larger.learn(1, progress=False)
    larger.save(path)
    assert Learner.load(net, path).digest() == larger.digest()


def test_what_cannot_grow(net, tmp_path):
    path = tmp_path / "me.safetensors"
    me = taught(net)
    me.save(path)
    for larger, error, message in (
        ({"classes": 4}, ValueError, "classes: the learner in the file has 5; give as many or more"),
        ({"replay": 256 << 10}, ValueError, "replay: must be an integer, 0..32768"),
        ({"fresh": "x"}, ValueError, "^fresh: must be an integer, 1..32768, got 'x'"),
        ({"q_b": 8}, TypeError, "q_b: cannot be changed; only replay, fresh and classes can grow"),
    ):
        with pytest.raises(error, match=message):
            Learner.load(net, path, **larger)
    assert Learner.load(net, path).digest() == me.digest() and name(0) in me.labels
