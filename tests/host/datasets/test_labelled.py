"""Labelled samples of a user: folders of pictures and archives, what is held back, and what is told of mistakes."""

import os

import numpy as np
import pytest
from bitreplay_host.datasets import labelled
from bitreplay_host.errors import UserError
from PIL import Image
from synthetic_data import tone, write_wav

SHAPE = 8, 8, 3


def paint(path, colour):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (16, 12), colour).save(path)
    return path


@pytest.fixture
def folder(tmp_path):
    """Two classes, of two pictures and one."""
    paint(tmp_path / "in" / "mug" / "1.png", "red")
    paint(tmp_path / "in" / "mug" / "more" / "1.png", "blue")
    paint(tmp_path / "in" / "a cup" / "x.bmp", "lime")
    return tmp_path / "in"


def told(path, shape=SHAPE):
    with pytest.raises(UserError) as error:
        labelled.load(path, shape)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_folders_are_classes(folder):
    images, labels, names = labelled.load(folder, SHAPE)
    assert images.shape == (3, *SHAPE) and images.dtype == np.uint8
    assert [names[label] for label in labels] == ["a cup", "mug", "mug"] and names == ["a cup", "mug"]
    assert images[:, 0, 0].tolist() == [[0, 255, 0], [255, 0, 0], [0, 0, 255]]


def test_a_model_of_grey_pictures_gets_grey(folder):
    images, _, _ = labelled.load(folder, (4, 4, 1))
    assert images[:, 0, 0, 0].tolist() == [150, 76, 29]


def test_what_cannot_be_read_is_named_and_left_out(folder, capsys):
    (folder / "mug" / "broken\n.jpg").write_text("no")
    (folder / "mug" / "notes.txt").write_text("no picture")
    (folder / "notes.txt").write_text("no picture")
    assert len(labelled.load(folder, SHAPE)[0]) == 3
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == f"left out: {folder / 'notes.txt'}"
    assert lines[1] == "1 file is beside the folders of classes, and left out"
    assert lines[2:4] == [
        f"left out: {folder / 'mug' / 'notes.txt'}",
        "1 file is no pictures by their names, and left out",
    ]
    assert len(lines) == 6
    assert lines[-2].endswith("broken .jpg is not a picture that can be read")
    assert lines[-1] == "1 file is unreadable, and left out"


def test_only_what_systems_make_is_passed_over(folder, capsys):
    for name in ".git", "__MACOSX", "mug/@eaDir", "mug/.more":
        paint(folder / name / "1.png", "white")
    for name in "mug/Thumbs.db", "Desktop.ini", "mug/._1.png":
        (folder / name).write_text("no picture")
    paint(folder / "__x" / "1.png", "white")
    assert labelled.load(folder, SHAPE)[2] == ["__x", "a cup", "mug"]
    assert capsys.readouterr().err == ""


def test_links_to_folders_are_followed_and_loops_end(folder, tmp_path, capsys):
    paint(tmp_path / "far" / "dish" / "old" / "1.png", "white")
    paint(tmp_path / "more" / "1.png", "black")
    (folder / "dish").symlink_to(tmp_path / "far" / "dish")
    (folder / "mug" / "a").symlink_to(tmp_path / "more")
    for name, target in ("mug/up", folder), ("mug/b", tmp_path / "more"), ("mug/here", folder / "mug" / "more"):
        (folder / name).symlink_to(target)
    _, labels, names = labelled.load(folder, SHAPE)
    assert [names[label] for label in labels] == ["a cup", "dish", "mug", "mug", "mug"]
    lines = capsys.readouterr().err.splitlines()
    assert lines[:-1] == [
        f"left out: {folder / 'mug' / name} is a folder that is read already" for name in ("b", "here", "up")
    ]


def test_a_class_that_is_a_link_tells_the_kind(tmp_path):
    write_wav(tmp_path / "far" / "1.wav", tone())
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "yes").symlink_to(tmp_path / "far")
    assert labelled.kind(tmp_path / "in") is labelled.SOUNDS


def test_what_is_no_file_is_named(folder, capsys):
    (folder / "mug" / "2.png").symlink_to(folder / "none.png")
    os.mkfifo(folder / "mug" / "3.png")
    (folder / "dish").symlink_to(folder / "none")
    assert len(labelled.load(folder, SHAPE)[0]) == 3
    assert capsys.readouterr().err.splitlines() == [
        f"left out: {folder / 'dish'}",
        "1 file is beside the folders of classes, and left out",
        f"left out: {folder / 'mug' / '2.png'} is a broken link",
        f"left out: {folder / 'mug' / '3.png'} is no regular file",
        "2 files are not to be read, and left out",
    ]


def test_a_class_of_which_nothing_can_be_read_is_an_error(folder):
    (folder / "dish").mkdir()
    assert "dish has no pictures in it (.jpg, " in told(folder)
    (folder / "dish" / "1.jpg").write_text("no")
    assert "dish: none of its pictures can be read; " in told(folder)


def test_mistakes_are_told(folder, tmp_path):
    assert "there is no such folder or file" in told(tmp_path / "none")
    assert "no folders in it: make one for each class" in told(folder / "a cup")
    assert "neither a folder nor an .npz" in told(folder / "mug" / "1.png")
    assert "which no picture has: choose another --model" in told(folder, (8, 1, 6))
    paint(folder / ("x" * 65) / "1.png", "red")
    assert "label: must be a str of 1..64 characters" in told(folder)


def test_most_files_tell_what_a_folder_has(folder, capsys):
    write_wav(folder / "mug" / "1.wav", tone())
    (folder / "labels.csv").write_text("mug,1")
    assert labelled.kind(folder) is labelled.PICTURES and len(labelled.load(folder, SHAPE)[0]) == 3
    for label in "mug", "a cup":
        for name in "1", "2", "3":
            write_wav(folder / label / f"{name}.WAV", tone(300))
    assert labelled.kind(folder) is labelled.SOUNDS
    assert labelled.load(folder, (32, 32, 1))[1].tolist() == [0] * 3 + [1] * 4
    assert "no recordings by their names, and left out" in capsys.readouterr().err
    (folder / "dish").mkdir()
    assert "dish has no recordings in it (.wav, .flac, .ogg, .mp3): add some" in told(folder, (32, 32, 1))


def test_a_picture_of_two_classes_is_told(folder, capsys):
    labelled.load(folder, SHAPE)
    assert capsys.readouterr().err == ""
    paint(folder / "a cup" / "y.png", "blue")
    labelled.load(folder, SHAPE)
    told = "1 of the pictures is in more than one class (such as a cup and mug): no learner can tell these apart\n"
    assert capsys.readouterr().err == told


def test_long_recordings_are_told(tmp_path, capsys):
    for name, seconds in ("yes", 0.4), ("no", 1.5):
        write_wav(tmp_path / name / "1.wav", tone(seconds=seconds))
    labelled.load(tmp_path, (32, 32, 3))
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].endswith("1.wav has 1.5 s: the second in its middle counts")
    assert lines[1:] == ["1 file is longer than what counts of them"]


def write_readings(path, count, seed=1):
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savetxt(path, np.random.default_rng(seed).integers(-9000, 9000, (count, 6)), "%d", ",")


def test_of_readings_the_end_is_held_back(tmp_path):
    """No window of the test shares readings with one that is learned."""
    write_readings(tmp_path / "walk" / "1.csv", 128 + 9 * 64)
    write_readings(tmp_path / "walk" / "2.csv", 128, 2)
    write_readings(tmp_path / "rest" / "1.csv", 128 + 4 * 64, 3)
    images, labels, names = labelled.load(tmp_path)
    assert names == ["rest", "walk"] and labels.tolist() == [0] * 5 + [1] * 11
    found = labelled.load_split(tmp_path)
    assert (found.images == np.delete(images, [3, 5 + 7], axis=0)).all() and found.what == "windows"
    assert np.flatnonzero(found.held).tolist() == [3, 4 + 7, 4 + 8]
    assert not labelled.load_split(tmp_path, share=0).held.any()
    assert len(labelled.load_split(tmp_path, share=0).images) == 16


def test_a_file_with_a_huge_number_is_left_out(tmp_path, capsys):
    for name in "walk", "rest":
        write_readings(tmp_path / name / "1.csv", 200, ord(name[0]))
    for name, value in ("2", "1" * 400), ("3", "1e308"):
        (tmp_path / "walk" / f"{name}.csv").write_text(f"1,2,3,4,5,{value}\n" * 130)
    assert len(labelled.load(tmp_path, units=(256, 0.5))[0]) == 4
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3 and lines[2] == "2 files are unreadable, and left out"
    for name, line in zip(("2", "3"), lines, strict=False):
        assert f"{name}.csv, line 1: must be 6 numbers" in line and "at most 1e+30" in line
    for units in (10**400, 1), (float("inf"), 1):
        with pytest.raises(UserError, match="^units: must be "):
            labelled.load(tmp_path, units=units)


def test_train_and_test_have_one_kind(folder, tmp_path):
    write_readings(tmp_path / "whole" / "test" / "mug" / "1.csv", 200)
    folder.rename(tmp_path / "whole" / "train")
    with pytest.raises(UserError, match="train has pictures in it, and test readings; both need the same"):
        labelled.load_split(tmp_path / "whole")


def test_train_and_test_are_kept_apart(folder, tmp_path):
    whole = tmp_path / "whole"
    folder.rename(tmp_path / "train")
    whole.mkdir()
    (tmp_path / "train").rename(whole / "train")
    paint(whole / "test" / "mug" / "9.png", "white")
    found = labelled.load_split(whole, SHAPE)
    assert found.names == ["a cup", "mug"] and found.labels.tolist() == [0, 1, 1, 1]
    assert found.held.tolist() == [False, False, False, True]
    assert "has the folders train and test: name one of them" in told(whole)
    paint(whole / "test" / "dish" / "9.png", "white")
    with pytest.raises(UserError, match="test.dish: there is no such class in train"):
        labelled.load_split(whole, SHAPE)
    paint(whole / "val" / "mug" / "9.png", "white")
    with pytest.raises(UserError, match="beside train and test there can be no other folder"):
        labelled.load_split(whole, SHAPE)


def test_what_is_in_train_is_not_tested(folder, tmp_path, capsys):
    paint(tmp_path / "test" / "mug" / "copy.png", "red")
    paint(tmp_path / "test" / "mug" / "new.png", "white")
    (tmp_path / "notes.txt").write_text("no picture")
    folder.rename(tmp_path / "train")
    found = labelled.load_split(tmp_path, SHAPE)
    assert found.labels.tolist() == [0, 1, 1, 1] and found.held.tolist() == [False] * 3 + [True]
    assert (found.images[3] == 255).all()
    assert capsys.readouterr().err.splitlines() == [
        f"left out: {tmp_path / 'notes.txt'}",
        "1 file is beside train and test, and left out",
        "1 of the pictures in test is in train, too: not tested",
    ]


def test_no_copy_of_what_is_taught_is_held_back(capsys):
    images = np.random.default_rng(1).integers(0, 256, (40, *SHAPE), np.uint8)
    labels = np.repeat([0, 1], 20)
    images[:9], images[25] = images[0], images[15]  # copies in a class, and in two
    for seed in range(1, 20):
        held = labelled.split(images, labels, 0.2, seed)
        assert not {image.tobytes() for image in images[held]} & {image.tobytes() for image in images[~held]}
        assert np.bincount(labels[held]).tolist() == [4, 4]
        told = "9 of the samples are copies of others: no sample is both taught and tested\n"
        assert capsys.readouterr().err == told
    assert not labelled.split(images[:9], labels[:9], 0.2, 1).any()


def test_a_share_of_each_class_is_held_back():
    rng = np.random.default_rng(1)
    images, labels = rng.integers(0, 256, (26, *SHAPE), np.uint8), np.repeat([0, 1, 2, 3], [10, 13, 2, 1])
    held = labelled.split(images, labels, 0.2, 1)
    assert np.bincount(labels[held], minlength=4).tolist() == [2, 3, 1, 0]
    assert (held == labelled.split(images, labels, 0.2, 1)).all()
    assert (held != labelled.split(images, labels, 0.2, 2)).any()
    assert not labelled.split(images, labels, 0, 1).any()
    order = rng.permutation(26)
    assert (labelled.split(images[order], labels[order], 0.2, 1) == held[order]).all()


def test_an_archive(tmp_path):
    images = np.random.default_rng(1).integers(0, 256, (3, *SHAPE), np.uint8)
    np.savez(tmp_path / "a.npz", images=images, labels=["b", "a", "b"])
    found, labels, names = labelled.load(tmp_path / "a.npz", SHAPE)
    assert (found == images).all() and labels.tolist() == [1, 0, 1] and names == ["a", "b"]
    np.savez(tmp_path / "a.npz", images=images[..., 0], labels=np.array([7, 2, 7], np.uint8))
    found, labels, names = labelled.load(tmp_path / "a.npz", SHAPE)
    assert (found == images[..., :1]).all() and labels.tolist() == [1, 0, 1] and names == ["2", "7"]
    np.savez(tmp_path / "a.npz", images=images, labels=[0, 2, 0], names=["x", "y", "z"])
    assert labelled.load(tmp_path / "a.npz", (4, 4, 3))[2] == ["x", "z"]
    words = [b"chat", "été".encode()]
    for arrays in {"labels": [0, 1, 0], "names": words}, {"labels": [*words, b"chat"]}:
        np.savez(tmp_path / "a.npz", images=images, **arrays)
        assert labelled.load(tmp_path / "a.npz", SHAPE)[2] == ["chat", "été"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"images": np.zeros((3, 8, 8, 3))},
            "images must be uint8, n x height x width, or that x 3; they are float64",
        ),
        ({"images": np.zeros((3, 8, 8, 4), np.uint8)}, "images must be uint8"),
        ({"labels": [1, 2]}, "labels must be 3 integers or strings"),
        ({"labels": [1.0, 2, 3]}, "labels must be 3 integers or strings"),
        ({"labels": np.array([1, "a", None], object)}, "a.npz: labels cannot be read; save numbers or strings"),
        ({"names": np.array(["x", "y", None], object)}, "a.npz: names cannot be read; save numbers or strings"),
        ({"names": np.array("cat")}, "a.npz: names must be strings, in one dimension; they are <U3 ()"),
        ({"names": [["x", "y", "z"]]}, "a.npz: names must be strings, in one dimension; they are <U1 (1, 3)"),
        ({"names": [1, 2, 3]}, "a.npz: names must be strings, in one dimension; they are int64 (3,)"),
        ({"names": [b"x", b"y", b"\xff"]}, "a.npz: names has bytes that are no UTF-8"),
        ({"labels": [b"x", b"y", b"\xff"]}, "a.npz: labels has bytes that are no UTF-8"),
        ({"names": ["x", "y"]}, "with names, labels must be integers, 0..1"),
        ({"names": ["x", "y", "y"]}, "names has a name twice"),
        ({"labels": ["x" * 65] * 3}, "a.npz: label: must be a str of 1..64 characters"),
    ],
)
def test_a_bad_archive_is_told(change, message, tmp_path):
    arrays = {"images": np.zeros((3, *SHAPE), np.uint8), "labels": [0, 1, 2], **change}
    np.savez(tmp_path / "a.npz", **arrays)
    assert message in told(tmp_path / "a.npz")


def test_other_files_are_no_archive(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros(3))
    np.savez(tmp_path / "a.npz", x=np.zeros(3))
    assert "neither a folder nor an .npz" in told(tmp_path / "a.npy")
    assert "has no images or no labels" in told(tmp_path / "a.npz")
