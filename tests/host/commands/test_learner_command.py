"""bitreplay learner: what is in a state, and what changes it; the file is the old one or the new one."""

from pathlib import Path

import bitreplay
import numpy as np
import pytest
from bitreplay_host import cli, paths
from bitreplay_host.teaching import state
from PIL import Image
from synthetic_data import paint

STATE = Path("me.safetensors")


@pytest.fixture
def taught(run, tmp_path, small_model):
    """A function: the learner in a file. me.safetensors has learned cup and mug, other.safetensors mug and pot."""
    assert run("teach", paint(tmp_path / "a", ["cup", "mug"]), "--test", "0%")[0] == 0
    other = paint(tmp_path / "b", ["mug", "pot"], 6, first=5)
    assert run("teach", other, "--test", "0%", "-o", "other.safetensors")[0] == 0
    return lambda path=STATE: bitreplay.Learner.load(bitreplay.load(small_model), path)


def test_what_is_in_it_is_told(run, taught):
    before = STATE.read_bytes()
    status, out, _ = run("learner", STATE)
    assert status == 0 and STATE.read_bytes() == before
    assert f"me.safetensors: {len(before)} bytes, a learner on tiny" in out
    assert "classes=10, " in out and "train=head" in out and "replay=500" in out
    assert f"1 experience; digest {taught().digest()[:16]}" in out
    assert "2 classes of 10, 0 fresh samples of 100, 20 replayed of 500" in out
    rows = [line.split() for line in out.splitlines()]
    assert ["cup", "0", "10", "10"] in rows and ["mug", "0", "10", "10"] in rows


def test_a_shipped_model_is_found_by_its_digest(tmp_path, capsys, refused, small_model):
    path = tmp_path / "me.safetensors"
    me = bitreplay.Learner(bitreplay.load(paths.model("small")), replay=3)
    for label in (5, "5", 7):
        me.see_latent(bytes(me.net.latent_bytes), label)
    me.save(path)
    assert cli.main(["learner", str(path)]) == 0
    assert [line.split()[:2] for line in capsys.readouterr().out.splitlines()[-3:]] == [
        ["5", "1"],
        ["'5'", "1"],
        ["7", "1"],
    ]
    assert cli.main(["learner", str(path), "--forget", "7"]) == 0
    assert cli.main(["learner", str(path), "--forget", "5"]) == 2
    assert "there are two classes 5, an integer and a string" in capsys.readouterr().err
    assert "the learner belongs to another model" in refused("learner", path)


def test_classes_are_renamed_and_forgotten(run, taught):
    assert run("learner", STATE, "--rename", "cup=a=b", "--rename", "a=b=x=y", "-o", "new.safetensors")[0] == 0
    assert sorted(taught().labels) == ["cup", "mug"]
    assert sorted(taught("new.safetensors").labels) == ["mug", "x=y"]
    assert run("learner", STATE, "--rename", "cup=mug 2", "--forget", "mug")[0] == 0
    assert taught().labels == ["mug 2"] and taught().replay.n == 10
    assert sorted(path.name for path in Path().iterdir()) == ["me.safetensors", "new.safetensors", "other.safetensors"]


def test_it_grows(run, refused, taught):
    digest = taught().digest()
    assert run("learner", STATE, "--classes", "20")[0] == 0
    assert taught().config["classes"] == 20 and taught().digest() != digest
    assert "classes: the learner in the file has 20; give as many or more" in refused(
        "learner", STATE, "--classes", "5"
    )
    for classes in ("256", "1"):
        assert f"--classes must be 2..255, got {classes}" in refused("learner", STATE, "--classes", classes)


def test_samples_of_another_are_merged(run, refused, taught, tmp_path):
    status, out, _ = run("learner", STATE, "--merge", "other.safetensors", "-o", "both.safetensors")
    # mug 5..9 are in both.
    assert status == 0 and "7 samples of other.safetensors are learned" in out
    both = taught("both.safetensors")
    assert {label: counts[1] for label, counts in both.counts().items()} == {"cup": 10, "mug": 11, "pot": 6}
    assert both.experiences == 2 and both.predict(paint_one("pot"))[0] == "pot"
    assert "keeps no sample that the learner does not have" in refused("learner", STATE, "--merge", STATE)
    assert "there is no such file; --merge" in refused("learner", STATE, "--merge", "none")


def paint_one(name):
    return np.asarray(Image.open(paint(Path("one"), [name], 1, first=30) / name / "30.png")).tobytes()


def test_a_merge_without_room_for_its_classes_is_refused(run, refused, taught, tmp_path):
    images = np.random.default_rng(1).integers(0, 256, (9, 8, 8, 3), np.uint8)
    np.savez(tmp_path / "a.npz", images=images, labels=np.arange(9))
    assert run("teach", tmp_path / "a.npz", "-o", "nine.safetensors")[0] == 0
    before = STATE.read_bytes()
    told = refused("learner", STATE, "--merge", "nine.safetensors")
    assert "together they have 11 classes: make room for them by --classes 11" in told
    assert STATE.read_bytes() == before
    assert run("learner", STATE, "--merge", "nine.safetensors", "--classes", "11")[0] == 0
    assert len(taught().labels) == 11


def test_it_is_tested(run, refused, taught, tmp_path):
    before = STATE.read_bytes()
    status, out, _ = run("learner", STATE, "--evaluate", paint(tmp_path / "test", ["cup", "mug"], 4, first=20))
    me, right = taught(), 0
    for name in ("cup", "mug"):
        for n in range(20, 24):
            right += me.predict(np.asarray(Image.open(tmp_path / "test" / name / f"{n}.png")).tobytes())[0] == name
    assert status == 0 and f"accuracy: {100 * right / 8:.1f} % ({right} of 8)" in out and STATE.read_bytes() == before
    told = refused("learner", STATE, "--evaluate", paint(tmp_path / "test", ["pot"], 1))
    assert "the learner has no class 'pot': --rename one, or leave that folder out" in told


def test_mistakes_are_one_line_and_change_nothing(refused, taught, small_model):
    before = STATE.read_bytes()
    Path("text").write_text("no")
    cases = {
        "there is no such file; name what `bitreplay teach`": ["none"],
        "text: file: 2 bytes are too few for a safetensors file": ["text"],
        "is not the state of a learner": [small_model],
        "write it as OLD=NEW": [STATE, "--rename", "cup"],
        "there is no class 'pan'; the learner has ": [STATE, "--rename", "pan=x"],
        "new: there is a class 'mug' already": [STATE, "--rename", "cup=mug"],
        "label: must be a str of 1..64 characters": [STATE, "--rename", "cup="],
        "there is no class 'pot'": [STATE, "--rename", "cup=x", "--forget", "pot"],
        "-o is for a changed learner": [STATE, "-o", "x.safetensors"],
        "other.safetensors is there already": [STATE, "--forget", "cup", "-o", "other.safetensors"],
        "epochs: must be an integer": [STATE, "--merge", "other.safetensors", "--epochs", "0"],
    }
    for message, arguments in cases.items():
        assert message in refused("learner", *arguments)
        assert STATE.read_bytes() == before


def test_a_model_that_is_not_shipped_must_be_named(taught, capsys):
    assert cli.main(["learner", str(STATE)]) == 2
    assert "is on a model that is not shipped (sha256 " in capsys.readouterr().err


def test_what_another_wrote_meanwhile_stays(refused, taught, monkeypatch):
    merge = state.merge

    def slowly(*given):
        STATE.write_bytes(b"another")
        return merge(*given)

    monkeypatch.setattr(state, "merge", slowly)
    assert "was changed meanwhile and is left as it is" in refused("learner", STATE, "--merge", "other.safetensors")
    assert STATE.read_bytes() == b"another"


def test_a_test_that_fails_leaves_the_file(refused, taught, tmp_path):
    before = STATE.read_bytes()
    assert "there is no such folder" in refused("learner", STATE, "--forget", "cup", "--evaluate", tmp_path / "typo")
    assert STATE.read_bytes() == before


def test_a_link_stays_one_and_its_file_is_written(run, taught):
    Path("link.safetensors").symlink_to(STATE)
    STATE.chmod(0o600)
    assert run("learner", "link.safetensors", "--rename", "cup=pan")[0] == 0
    assert Path("link.safetensors").is_symlink() and STATE.stat().st_mode & 0o777 == 0o600
    assert sorted(taught().labels) == ["mug", "pan"]
