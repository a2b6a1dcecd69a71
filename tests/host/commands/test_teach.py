"""bitreplay teach: folders of pictures to a learner's state, here and on an emulated Pico; nothing lost."""

import errno
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import bitreplay
import numpy as np
import pytest
from bitreplay_host import cli, paths
from bitreplay_host.datasets import labelled
from bitreplay_host.device.emulator import EmulatedPico
from bitreplay_host.teaching import confusion, lesson
from PIL import Image
from synthetic_data import paint, tone, write_wav

STATE = Path("me.safetensors")


def load(model, path=STATE):
    return bitreplay.Learner.load(bitreplay.load(model), path)


def test_a_folder_is_learned_and_what_was_held_back_is_tested(run, photos, small_model):
    status, out, error = run("teach", photos, "--epochs", "8")
    assert status == 0, error
    assert "4 classes, 40 pictures: 32 to learn, 8 held back" in out
    me = load(small_model)
    assert sorted(me.labels) == ["cup", "dish", "mug", "pot"] and me.replay.n == 32 and me.config["classes"] == 10
    assert f"digest {me.digest()[:16]}" in out and f"{STATE.stat().st_size} bytes" in out
    # The same split, tested by the very learner.
    data = labelled.load_split(photos, (8, 8, 3))
    right = sum(me.predict(data.images[i])[0] == data.names[data.labels[i]] for i in np.flatnonzero(data.held))
    assert f"accuracy on what was held back: {100 * right / 8:.1f} % ({right} of 8)" in out
    assert right >= 6
    rows = [line for line in out.splitlines() if re.match(r"\d (cup|dish|mug|pot) ", line)]
    assert sum(int(n) for row in rows for n in row.split()[2:-1]) == 8
    with Image.open("me.confusion.png") as picture:
        assert picture.format == "PNG"


def test_the_same_pictures_give_the_same_bits(run, photos):
    assert run("teach", photos)[0] == run("teach", photos, "-o", "again.safetensors")[0] == 0
    assert run("teach", photos, "-o", "seed.safetensors", "--seed", "2")[0] == 0
    first, again, other = (Path(f"{name}.safetensors").read_bytes() for name in ("me", "again", "seed"))
    assert first == again != other


def test_more_samples_than_fresh_are_learned_one_portion_after_the_other(run, photos, small_model):
    assert run("teach", photos, "--fresh", "10", "--replay", "20", "--train", "1")[0] == 0
    me = load(small_model)
    assert (me.experiences, me.replay.n, me.fresh.n, me.config["train"]) == (4, 20, 0, 1)


def test_an_archive_and_folders_for_the_test(run, photos, tmp_path):
    images, labels, names = labelled.load(photos, (8, 8, 3))
    np.savez(tmp_path / "a.npz", images=images, labels=labels, names=names)
    assert run("teach", tmp_path / "a.npz")[0] == run("teach", photos, "-o", "b.safetensors")[0] == 0
    assert STATE.read_bytes() == Path("b.safetensors").read_bytes()
    paint(tmp_path / "two" / "train", count=3)
    paint(tmp_path / "two" / "test", count=2, first=3)
    status, out, _ = run("teach", tmp_path / "two", "-o", "c.safetensors")
    assert status == 0 and "20 pictures: 12 to learn, 8 held back" in out


def test_without_a_test_nothing_is_told_of_one(run, photos):
    status, out, _ = run("teach", photos, "--test", "0%")
    assert status == 0 and "40 to learn, 0 held back" in out and "accuracy" not in out
    assert sorted(path.name for path in Path().iterdir()) == ["me.safetensors"]


def test_a_learner_goes_on(run, refused, photos, small_model, tmp_path):
    paint(tmp_path / "more", ["pot"], 5, first=20)
    few = paint(tmp_path / "few", ["cup", "mug"])
    assert run("teach", few, "--fresh", "30")[0] == 0
    before = STATE.read_bytes()
    assert "is there already: --add goes on" in refused("teach", photos)
    assert STATE.read_bytes() == before
    status, out, _ = run("teach", tmp_path / "more", "--add", "--replay", "600")
    assert status == 0 and "1 class, 5 pictures" in out
    me = load(small_model)
    assert me.labels[2:] == ["pot"] and me.replay.n == 20 and me.experiences == 2
    assert me.config["replay"] == 600 and me.config["fresh"] == 30
    before = STATE.read_bytes()
    assert "me.safetensors keeps all 4 samples already: there is nothing to add" in refused(
        "teach", tmp_path / "more", "--add"
    )
    assert STATE.read_bytes() == before
    paint(tmp_path / "more", ["cup"], 5, first=40)
    status, out, _ = run("teach", tmp_path / "more", "--add")
    assert status == 0 and " of the samples to learn are in me.safetensors already, and left out" in out
    assert load(small_model).counts()["pot"][1] == 4
    assert "were fixed when the learner was made" in refused("teach", photos, "--add", "--train", "1")
    assert "give as many or more" in refused("teach", photos, "--add", "--replay", "10")
    assert "is not there, and --add" in refused("teach", photos, "--add", "-o", "none.safetensors")


def test_a_learner_gets_room_for_its_classes(run, tmp_path, small_model):
    images = np.random.default_rng(1).integers(0, 256, (36, 8, 8, 3), np.uint8)
    np.savez(tmp_path / "a.npz", images=images[:24], labels=np.arange(24) // 2)
    np.savez(tmp_path / "b.npz", images=images[24:], labels=100 + np.arange(12))
    assert run("teach", tmp_path / "a.npz")[0] == 0
    assert load(small_model).config["classes"] == 12
    status, out, _ = run("teach", tmp_path / "b.npz", "--add", "--epochs", "1")
    assert status == 0 and load(small_model).config["classes"] == 24 and "accuracy" not in out


def test_many_classes_are_told_by_their_errors(run, tmp_path):
    images = np.random.default_rng(1).integers(0, 256, (75, 8, 8, 3), np.uint8)
    np.savez(tmp_path / "a.npz", images=images, labels=np.arange(75) % 25)
    status, out, _ = run("teach", tmp_path / "a.npz", "--test", "34%")
    assert status == 0 and "was taken for  times" in out and Path("me.confusion.png").exists()


def test_the_model_of_a_learner_that_goes_on_need_not_be_named(run, photos, tmp_path, micropython):
    more = ["--micropython", micropython, "--cache", tmp_path / "cache"]
    line = ["teach", photos, "--test", "50%", "--epochs", "1", *more]
    assert cli.main([str(a) for a in [*line, "--model", "small"]]) == 0
    assert cli.main([str(a) for a in [*line, "--add", "--seed", "2"]]) == 0
    assert load(paths.model("small")).experiences == 2


def test_sounds_are_learned_as_a_board_hears_them(run, tmp_path):
    for label, hertz in ("low", 300), ("high", 1500):
        for take in range(5):
            write_wav(tmp_path / "words" / label / f"{take}.wav", tone(hertz * (1 + take / 50)))
    status, out, error = run("teach", tmp_path / "words", "--model", paths.model("small"))
    assert status == 0, error
    assert "2 classes, 10 recordings: 8 to learn, 2 held back" in out and "100.0 % (2 of 2)" in out
    me, sound = load(paths.model("small")), bitreplay.logmel()
    assert [me.predict(sound.of(tone(hertz)))[0] for hertz in (310, 1600)] == ["low", "high"]


def test_recordings_choose_the_model_for_them(run, tmp_path, micropython, capsys):
    """And --add that of the learner."""
    for label, hertz in ("low", 300), ("high", 1500):
        for take in range(3):
            write_wav(tmp_path / "words" / label / f"{take}.wav", tone(hertz + take))
    line = ["teach", tmp_path / "words", "--micropython", micropython, "--cache", tmp_path / "cache"]
    for more in [], ["--add", "--test", "0%"]:
        assert cli.main([str(a) for a in [*line, *more]]) == 0
        told = f"{tmp_path / 'words'} has recordings, so the model is speech; --model takes another one\n"
        assert (told in capsys.readouterr().out) == (not more)
    assert load(paths.model("speech")).experiences == 2


def test_readings_are_learned_in_their_units(run, refused, tmp_path):
    """A sensor that lies, and one that is shaken, in g and degrees per second."""
    rng = np.random.default_rng(1)
    for label, size in ("rest", 0.01), ("shaken", 0.7):
        (tmp_path / "moves" / label).mkdir(parents=True)
        readings = rng.normal([0, 0, 1, 0, 0, 0], [size] * 3 + [100 * size] * 3, (1100, 6))
        np.savetxt(tmp_path / "moves" / label / "1.csv", readings, "%.4f", ",", header="ax,ay,az,gx,gy,gz")
    teach = ["teach", tmp_path / "moves", "--model", paths.model("imu")]
    assert "--units 1/64 250/128" in refused(*teach)
    status, out, error = run(*teach, "--units", "1/64", "250/128")
    assert status == 0, error
    assert "2 classes, 30 windows: 24 to learn, 6 held back" in out and "100.0 % (6 of 6)" in out
    moves = ["--evaluate", tmp_path / "moves", "--model", paths.model("imu")]
    assert "--units 1/64" in refused("learner", STATE, *moves)
    assert "accuracy: 100.0 % (32 of 32)" in run("learner", STATE, *moves, "--units", "1/64", "1.953125")[1]
    for units in ("1/0", "3e400/7"):
        assert "must be a number such as 128, 0.5 or 1/64" in refused(*teach, "--units", units)


def test_mistakes_are_one_line_and_leave_nothing(refused, photos, tmp_path):
    cases = {
        "a second class is missing: add a folder": [paint(tmp_path / "one", ["cup"])],
        "there is no such folder or file": [tmp_path / "none"],
        "must be a share such as 20%": [photos, "--test", "0.2"],
        "--seed must be": [photos, "--seed", "0"],
        "epochs: must be an integer": [photos, "--epochs", "0"],
        "replay: must be an integer, 0..32768": [photos, "--replay", "40000"],
        "train: the model has 1 binary layers": [photos, "--train", "2"],
        "--on-board needs a board": [photos, "--on-board"],
        "its name must end with .safetensors": [photos, "-o", "me.state"],
        "imu takes readings (.csv), not pictures: choose another --model": [photos, "--model", "imu"],
        "--units is for readings (.csv), and": [photos, "--units", "256", "128"],
        "speech takes recordings (.wav, .flac, .ogg, .mp3), not pictures": [photos, "--model", "speech"],
        "there is no /dev/nowhere": [photos, "--board", "/dev/nowhere"],
        "No such file": [photos, "--model", tmp_path / "none"],
    }
    for message, arguments in cases.items():
        assert message in refused("teach", *arguments)
    assert not list(Path().iterdir())


def test_more_classes_than_a_learner_has_are_refused(refused, tmp_path):
    images = np.random.default_rng(1).integers(0, 256, (256, 8, 8, 3), np.uint8)
    np.savez(tmp_path / "a.npz", images=images, labels=np.arange(256))
    assert "256 classes, but a learner has 2..255; leave some out" in refused("teach", tmp_path / "a.npz")


def test_ctrl_c_leaves_the_old_state(run, photos, small_model, micropython, tmp_path):
    assert run("teach", photos)[0] == 0
    before = STATE.read_bytes()
    start = "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    start += "from bitreplay_host.cli import main; sys.exit(main())"
    line = [sys.executable, "-c", start, "teach", photos, "--add", "--epochs", "900000", "--test", "0%"]
    line += ["--model", small_model, "--micropython", micropython, "--cache", tmp_path / "cache"]
    process = subprocess.Popen(list(map(str, line)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout.readline().startswith("4 classes")
    time.sleep(1)
    os.kill(process.pid, signal.SIGINT)
    assert process.communicate(timeout=30)[1].splitlines() == ["", "bitreplay: stopped"]
    assert process.returncode == 130 and STATE.read_bytes() == before
    assert sorted(path.name for path in Path().iterdir()) == ["me.confusion.png", "me.safetensors"]


@pytest.mark.parametrize("add", [False, True])
def test_what_another_wrote_meanwhile_stays(run, photos, monkeypatch, add):
    arguments = ["teach", photos]
    if add:
        assert run(*arguments)[0] == 0
        arguments += ["--add", "--seed", "2"]
    teach = lesson.teach

    def slowly(*given):
        found = teach(*given)
        STATE.write_bytes(b"another")
        return found

    monkeypatch.setattr(lesson, "teach", slowly)
    status, out, error = run(*arguments)
    assert status == 0 and STATE.read_bytes() == b"another"
    assert "me.safetensors was changed meanwhile, and is left as it is: this learner goes to me-2.safetensors" in error
    assert f"me-2.safetensors: {Path('me-2.safetensors').stat().st_size} bytes" in out
    # With another seed what is held back was taught before.
    assert Path("me-2.confusion.png").exists() != add


def test_folders_named_by_numbers_are_the_classes_of_numbers(run, photos, small_model):
    assert run("teach", photos)[0] == 0
    me = load(small_model)
    for number, label in enumerate(list(me.labels)):
        me.rename(label, number)
    me.save(STATE)
    more = paint(Path("more"), ["cup", "mug"], 5, first=50)
    for number, name in enumerate(("cup", "mug")):
        (more / name).rename(more / str(number))
    assert run("teach", more, "--add")[0] == 0
    assert sorted(load(small_model).labels) == [0, 1, 2, 3]


def test_ctrl_c_after_the_learner_is_saved_says_so(run, photos, small_model, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(confusion, "plot", stop)
    status, out, error = run("teach", photos)
    assert status == 130 and "accuracy on what was held back" in out and "me.safetensors is saved" in error
    assert load(small_model).experiences == 1 and not Path("me.confusion.png").exists()


def test_a_full_disk_is_told_and_leaves_nothing(refused, photos, monkeypatch):
    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert "me.safetensors: No space left on device; nothing was written" in refused("teach", photos)
    assert not list(Path().iterdir())


@pytest.mark.emulator
def test_a_board_learns_the_same_bits(run, refused, photos, small_model, tmp_path):
    assert run("teach", photos, "-o", "here.safetensors", "--fresh", "16")[0] == 0
    more = paint(tmp_path / "more", ["pot"], 3, first=20)
    with EmulatedPico() as pico:
        there = ["--board", pico.port]
        assert run("teach", photos, *there, "--fresh", "16")[0] == 0
        assert STATE.read_bytes() == Path("here.safetensors").read_bytes()
        _, out, _ = run("teach", photos, *there, "--on-board", "--fresh", "16", "-o", "images.safetensors")
        assert "/images.safetensors: the same on the board" in out
        assert Path("images.safetensors").read_bytes() == STATE.read_bytes()
        STATE.rename("old.safetensors")
        assert "me.confusion.png is there already: remove it, or" in refused("teach", photos, *there)
        Path("me.confusion.png").unlink()
        assert "/me.safetensors is on the board already: name another with -o" in refused("teach", photos, *there)
        Path("old.safetensors").rename(STATE)
        assert run("teach", more, *there, "--add")[0] == 0
        assert run("teach", more, "--add", "-o", "here.safetensors")[0] == 0
        grown = STATE.read_bytes()
        assert grown == Path("here.safetensors").read_bytes()
        assert run("learner", STATE, "--rename", "pot=pan")[0] == 0
        assert "on the board is another learner than the one here" in refused("teach", more, *there, "--add")
        told = refused("teach", photos, *there, "--replay", "20000", "-o", "big.safetensors")
        assert "make replay or fresh smaller" in told and not Path("big.safetensors").exists()
