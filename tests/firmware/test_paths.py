"""Where a file's path belongs: anything else is refused by name, before a file is touched."""

import os
from pathlib import Path

import pytest
from bitreplay import Learner, load

import models

SCRIPT = """
import os, sys
import bitreplay

folder = sys.argv[1]
net = bitreplay.load(folder + "/model.safetensors")
os.chdir(folder)
before = sorted(os.listdir(folder))
me = bitreplay.Learner(net)
for path in (None, 123, b"me.safetensors", [], "", folder + "/a\\0b", folder, folder + "/sub"):
    for name, step in (
        ("load", bitreplay.load),
        ("Learner.load", lambda path: bitreplay.Learner.load(net, path)),
        ("save", me.save),
    ):
        try:
            step(path)
        except (TypeError, ValueError, OSError) as error:
            print(name, type(error).__name__, str(error).replace("[Errno 21] ", "").replace("EISDIR: ", ""))
print(sorted(os.listdir(folder)) == before, os.listdir(folder + "/sub"))
"""
STEPS = "load", "Learner.load", "save"


@pytest.mark.parametrize("implementation", ["micropython", "cpython"])
def test_what_is_no_path_is_refused(tmp_path, request, implementation):
    models.tiny_model(tmp_path / "model.safetensors")
    (tmp_path / "sub").mkdir()
    *lines, untouched = request.getfixturevalue(implementation)(SCRIPT, tmp_path).splitlines()
    expected = []
    for kind in ("NoneType", "int", "bytes", "list"):
        expected += [f"{step} TypeError path: must be a string, the name of a file, got {kind}" for step in STEPS]
    expected[1] = (
        "Learner.load TypeError path: is missing; call Learner.load(net, path), with net from bitreplay.load()"
    )
    empty = "path: is empty or has a null character; give the name of a file"
    expected += 2 * [f"{step} ValueError {empty}" for step in STEPS]
    # IsADirectoryError is CPython's name of it.
    folder = "OSError" if implementation == "micropython" else "IsADirectoryError"
    for path in (tmp_path, tmp_path / "sub"):
        expected += [f"{step} {folder} {path}: is a folder; give another name" for step in STEPS]
    assert lines == expected
    assert untouched == "True []"


@pytest.mark.parametrize("implementation", ["micropython", "cpython"])
def test_a_link_in_the_way_of_a_save_leads_nowhere(tmp_path, request, implementation):
    models.tiny_model(tmp_path / "model.safetensors")
    (tmp_path / "mine").write_text("mine")
    (tmp_path / "me.safetensors.new").symlink_to("mine")
    save = "import sys, bitreplay; net = bitreplay.load(sys.argv[1] + '/model.safetensors'); "
    save += "bitreplay.Learner(net).save(sys.argv[1] + '/me.safetensors')"
    request.getfixturevalue(implementation)(save, tmp_path)
    assert (tmp_path / "mine").read_text() == "mine"
    assert sorted(os.listdir(tmp_path)) == ["me.safetensors", "mine", "model.safetensors"]
    assert not (tmp_path / "me.safetensors").is_symlink()


DEVICES = """
import sys, bitreplay
folder = sys.argv[1]
net = bitreplay.load(folder + "/model.safetensors")
me = bitreplay.Learner(net)
for path in (folder + "/pipe", folder + "/device", folder + "/me"):
    for step in (me.save, lambda path: bitreplay.Learner.load(net, path), lambda path: bitreplay.record(path, 1)):
        try:
            step(path)
            print("done")
        except OSError as error:
            print(str(error).split("] ")[-1].replace("EINVAL: ", ""))
"""


@pytest.mark.parametrize("implementation", ["micropython", "cpython"])
def test_what_is_no_regular_file_is_left_alone(tmp_path, request, implementation):
    """A pipe would be waited for; a device is reached by a link, which a save would replace."""
    models.tiny_model(tmp_path / "model.safetensors")
    for name in ("pipe", "me.new"):
        os.mkfifo(tmp_path / name)
    (tmp_path / "device").symlink_to("/dev/full")
    lines = request.getfixturevalue(implementation)(DEVICES, tmp_path).splitlines()
    paths = [tmp_path / name for name in 3 * ["pipe"] + 3 * ["device"] + 2 * ["me.new"]]
    told = "{}: is no regular file, but a device or the like; give another name"
    # A record has no .new.
    assert lines == [told.format(path) for path in paths] + ["done"]
    assert (tmp_path / "pipe").is_fifo() and (tmp_path / "me.new").is_fifo() and (tmp_path / "device").is_symlink()
    assert sorted(os.listdir(tmp_path)) == ["device", "me", "me.new", "model.safetensors", "pipe"]


def test_pathlib(tmp_path):
    """On the host a pathlib.Path is a path too, or anything else that os.fspath takes."""

    class Entry:
        def __fspath__(self):
            return str(tmp_path / "me.safetensors")

    models.tiny_model(tmp_path / "model.safetensors")
    net = load(tmp_path / "model.safetensors")
    me = Learner(net)
    me.save(Entry())
    assert Learner.load(net, tmp_path / "me.safetensors").digest() == Learner.load(net, Entry()).digest()
    assert sorted(os.listdir(tmp_path)) == ["me.safetensors", "model.safetensors"]
    with pytest.raises(TypeError, match="path: must be a string, the name of a file, got bytes"):
        me.save(type("Bytes", (), {"__fspath__": lambda _: b"me.safetensors"})())
    with pytest.raises(IsADirectoryError, match="is a folder"):
        me.save(Path(tmp_path))
