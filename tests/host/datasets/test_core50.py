"""`bitreplay data core50` on a small tree of the official layout, what is refused, and protocols of its lists."""

import json

import numpy as np
import pytest
from bitreplay_host import cli
from bitreplay_host.datasets import core50, registry
from bitreplay_host.errors import UserError
from bitreplay_host.experiments import protocols
from bitreplay_host.experiments.class_incremental import ClassIncremental
from PIL import Image

OBJECTS, SESSIONS, FRAMES = (1, 2, 6, 50), (1, 2, 3, 10, 11), 3
TRAIN = [session for session in SESSIONS if session not in core50.TEST_SESSIONS]


def name(session, number, frame):
    return f"s{session}/o{number}/C_{session:02}_{number:02}_{frame:03}.png"


def write_lists(folder, batches):
    """batches: (sessions, objects) of each; the official labels count objects in the order of their coming."""
    folder.mkdir(parents=True)
    for n, (sessions, objects) in enumerate(batches):
        lines = [f"{name(s, o, f)} {objects.index(o)}\n" for s in sessions for o in objects for f in range(FRAMES)]
        (folder / f"train_batch_{n:02}_filelist.txt").write_text("".join(lines))
    (folder / "test_filelist.txt").write_text("")


@pytest.fixture
def archive(tmp_path):
    rng = np.random.default_rng(0)
    for session in SESSIONS:
        for number in OBJECTS:
            for frame in range(FRAMES):
                path = tmp_path / "core50" / "core50_128x128" / name(session, number, frame)
                path.parent.mkdir(parents=True, exist_ok=True)
                small = rng.integers(0, 256, (32, 32, 3), np.uint8)
                Image.fromarray(small.repeat(4, axis=0).repeat(4, axis=1)).save(path)
    lists = tmp_path / "core50" / "batches_filelists"
    write_lists(lists / "NC_inc" / "run0", [(TRAIN, [2, 50]), (TRAIN, [1]), (TRAIN, [6])])
    write_lists(lists / "NC_inc" / "run1", [(TRAIN, [1, 6]), (TRAIN, [50]), (TRAIN, [2])])
    write_lists(lists / "NI_inc" / "run0", [([s], list(OBJECTS)) for s in (2, 11, 1)])
    single = [([s], [o]) for o in OBJECTS for s in TRAIN]
    write_lists(tmp_path / "core50" / "NIC_v2_79" / "run0", [([1], [1, 2]), *single[1:3], *single[4:]])
    return tmp_path / "core50"


@pytest.fixture
def data(archive, tmp_path):
    assert cli.main(["data", "core50", "--dir", str(tmp_path / "data"), "--from", str(archive)]) == 0
    return tmp_path / "data"


def test_images_and_labels(data, archive):
    """In the order of session, object and frame; sessions 3 and 10 are for tests; four pixels are one."""
    images, labels = registry.load("core50", "train", data)
    assert labels.tolist() == [number - 1 for _ in TRAIN for number in OBJECTS for _ in range(FRAMES)]
    places = [(s, o, f) for s in TRAIN for o in OBJECTS for f in range(FRAMES)]
    for image, place in zip(images, places, strict=True):
        pixels = np.asarray(Image.open(archive / "core50_128x128" / name(*place)))
        np.testing.assert_array_equal(image, pixels[::4, ::4])
    assert len(registry.load("core50", "test", data)[0]) == 2 * len(OBJECTS) * FRAMES
    same, categories = registry.load("core50_categories", "train", data)
    np.testing.assert_array_equal(same, images)
    np.testing.assert_array_equal(categories, labels // 5)
    names = registry.class_names("core50")
    assert (names[0], names[5], names[49]) == ("plug adapter 1", "mobile phone 1", "remote control 5")
    assert registry.class_names("core50_categories")[9] == "remote control"


def test_what_is_there_is_kept(data, archive, tmp_path):
    assert cli.main(["data", "core50_categories", "--dir", str(data)]) == 0
    with pytest.raises(UserError, match="not fetched: get core50_128x128.zip, .* give that to --from"):
        core50.core50(tmp_path / "other")


def experiences(name, data, seed):
    found = protocols.load(name)
    plan = ClassIncremental(dataset=found["dataset"], samples=found["fresh"], batches=found["batches"])
    labels = registry.load(found["dataset"], "train", data)[1]
    rows = plan.experiences(labels, seed, data)
    return [sorted(set(labels[part].tolist())) for part in rows], rows


def test_experiences_are_the_official_batches(data):
    classes, rows = experiences("core50-nc", data, 1)
    assert classes == [[1, 49], [0], [5]] and sorted(sum(rows, [])) == list(range(36))
    assert experiences("core50-nc", data, 2)[0] == [[0, 5], [49], [1]]
    assert experiences("core50-nc", data, 3)[0] == classes, "from the first run again"
    assert experiences("core50-nc-10", data, 1)[0] == [[0, 9], [0], [1]]
    classes, rows = experiences("core50-ni", data, 1)
    assert classes == [[0, 1, 5, 49]] * 3 and [len(part) for part in rows] == [12] * 3
    assert sorted(rows[0]) == list(range(12, 24)), "session 2 first"
    classes, rows = experiences("core50-nicv2-79", data, 1)
    assert classes[:3] == [[0, 1], [0], [0]] and classes[3:] == [[1]] * 2 + [[5]] * 3 + [[49]] * 3
    assert len(set(sum(rows, []))) == 36


def test_fresh_images_of_a_batch(data):
    labels = registry.load("core50", "train", data)[1]
    plan = ClassIncremental(dataset="core50", samples=2, batches="ni")
    found = plan.experiences(labels, 1, data)
    assert [np.bincount(labels[rows])[[0, 1, 5, 49]].tolist() for rows in found] == [[2] * 4] * 3
    assert found != plan.experiences(labels, 2, data)


def test_learners_meet_known_classes_again(data, micropython, tmp_path):
    """The command, on the shipped model."""
    line = ["experiment", "--protocol", "core50-nicv2-79", "--methods", "cwr", "ncm", "--epochs", "1", "--seeds", "1"]
    line += ["--data", data, "--micropython", micropython, "--cache", tmp_path / "cache", "--out", tmp_path / "out"]
    assert cli.main([str(part) for part in line]) == 0
    told = json.loads((tmp_path / "out" / "results.json").read_text())
    assert told["protocol"]["batches"] == "nicv2_79" and told["protocol"]["dataset"] == "core50"
    for one in told["runs"]:
        assert one["classes"] == [2] * 5 + [3] * 3 + [4] * 3
        assert one["groups"] == [[0, 1], [0], [1], [5], [49]] and one["forgetting"] is not None


def test_an_order_of_ones_own(data, capsys):
    line = ["experiment", "--protocol", "core50-nc", "--order", "seed", "--data", str(data)]
    assert cli.main(line) == 2
    assert "--order: CORe50's lists have an order" in capsys.readouterr().err


def test_lists_that_were_not_there(data):
    with pytest.raises(UserError, match=r"no NIC_v2_391 .* remove .*core50_nicv2_391.npy and run"):
        experiences("core50-nicv2-391", data, 1)
    (data / "core50_nc.npy").unlink()
    with pytest.raises(UserError, match="core50_nc.npy is missing or damaged"):
        experiences("core50-nc", data, 1)


def change(path, old, new):
    path.write_text(path.read_text().replace(old, new))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda nc, images: (nc / "train_batch_01_filelist.txt").unlink(), "run0 has no list of batch 1"),
        (
            lambda nc, images: change(nc / "train_batch_02_filelist.txt", "s1/o6/", "s1/o7/"),
            "s1/o7/C_01_06_000.png is not a training image",
        ),
        (
            lambda nc, images: change(nc / "train_batch_01_filelist.txt", name(1, 1, 0), name(1, 2, 0)),
            "C_01_02_000.png was in batch 0, too",
        ),
        (lambda nc, images: (nc / "train_batch_01_filelist.txt").write_text("\n"), "filelist.txt names no image"),
        (lambda nc, images: (images / name(2, 6, 1)).write_bytes(b"no png"), "C_02_06_001.png cannot be read"),
        (lambda nc, images: (images / name(2, 6, 1)).unlink(), "C_02_06_001.png is not a training image"),
        (lambda nc, images: images.rename(images.with_name("other")), "has no files such as s1/o1"),
        (lambda nc, images: [path.unlink() for path in nc.glob("train*")], "has no train_batch_00_filelist"),
    ],
)
def test_an_archive_that_is_damaged(archive, tmp_path, damage, message):
    damage(archive / "batches_filelists" / "NC_inc" / "run0", archive / "core50_128x128")
    with pytest.raises(UserError, match=message):
        core50.core50(tmp_path / "data", archive)
    assert not list((tmp_path / "data").glob("*.npy"))
