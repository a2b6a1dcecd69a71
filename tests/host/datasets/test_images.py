"""bitreplay images: what a learner takes, from photographs and from CIFAR-10."""

import numpy as np
import pytest
from bitreplay_host import cli
from PIL import Image


def read(path, side):
    return np.frombuffer(path.read_bytes(), np.uint8).reshape(side, side, 3)


def test_photo_is_cropped_and_scaled(tmp_path, capsys):
    # Red, green and blue columns of 32, 64 and 32 pixels: the square in the middle is green.
    wide = np.zeros((64, 128, 3), np.uint8)
    wide[:, :32, 0] = wide[:, 32:96, 1] = wide[:, 96:, 2] = 200
    Image.fromarray(wide).save(tmp_path / "mug.png")
    assert cli.main(["images", str(tmp_path / "mug.png"), "--out", str(tmp_path / "out")]) == 0
    assert np.array_equal(read(tmp_path / "out" / "mug.rgb", 32), np.full((32, 32, 3), (0, 200, 0)))
    assert "1 images of 3072 bytes" in capsys.readouterr().out


def test_photo_is_turned_upright_and_grey_is_rgb(tmp_path):
    dark_top = np.zeros((16, 16), np.uint8)
    dark_top[8:] = 250
    photo = Image.fromarray(dark_top).rotate(90)
    exif = photo.getexif()
    exif[0x0112] = 6  # to be shown turned by 90 degrees to the right
    photo.save(tmp_path / "a.png", exif=exif)
    assert cli.main(["images", str(tmp_path / "a.png"), "--side", "8", "--out", str(tmp_path)]) == 0
    assert np.array_equal(read(tmp_path / "a.rgb", 8)[:, :, 1], dark_top[::2, ::2])


def test_cifar10(synthetic_data, tmp_path):
    assert cli.main(["images", "--cifar10", "2", "--dir", str(synthetic_data), "--out", str(tmp_path)]) == 0
    assert len(list(tmp_path.iterdir())) == 20
    images, labels = (np.load(synthetic_data / f"cifar10_train_{what}.npy") for what in ("images", "labels"))
    second_cat = images[np.flatnonzero(labels == 3)[1]]
    assert (tmp_path / "cat1.rgb").read_bytes() == second_cat.tobytes()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "name photographs"),
        (["x.png", "--cifar10", "1"], "name photographs"),
        (["{}/none.jpg"], "none.jpg: No such file"),
        (["{}/text.jpg"], "text.jpg is not a picture"),
        (["{}/text.jpg", "--side", "0"], "--side"),
        (["--cifar10", "0"], "--cifar10"),
        (["{}/a.png", "{}/a.gif"], "two photographs are called a"),
    ],
)
def test_errors_are_one_line(arguments, message, tmp_path, capsys):
    (tmp_path / "text.jpg").write_text("no")
    for name in ("a.png", "a.gif"):
        Image.new("RGB", (8, 8)).save(tmp_path / name)
    arguments = [a.format(tmp_path) for a in arguments]
    assert cli.main(["images", *arguments, "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert message in error


@pytest.fixture
def photo(tmp_path):
    """A picture that is called like what is made of it."""
    Image.new("RGB", (8, 8), (1, 2, 3)).save(tmp_path / "a.rgb", format="PNG")
    return tmp_path / "a.rgb"


def refused(capsys, message, *arguments):
    assert cli.main(["images", *map(str, arguments)]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def test_what_is_there_is_not_overwritten(photo, tmp_path, capsys):
    before = photo.read_bytes()
    refused(capsys, "is one of the photographs", photo, "--out", tmp_path)
    assert photo.read_bytes() == before
    out = tmp_path / "out"
    out.mkdir()
    (out / "a.rgb").symlink_to(tmp_path / "mine")
    refused(capsys, "is a link", photo, "--out", out)
    assert not (tmp_path / "mine").exists()
    (out / "a.rgb").unlink()
    (out / "a.rgb").write_bytes(b"mine")
    refused(capsys, "is there already and differs", photo, "--out", out)
    assert (out / "a.rgb").read_bytes() == b"mine"


def test_again_is_fine_and_leaves_nothing_else(photo, tmp_path):
    for _ in range(2):
        assert cli.main(["images", str(photo), "--out", str(tmp_path / "out")]) == 0
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a.rgb"]


def test_a_bad_photo_leaves_nothing(photo, tmp_path, capsys):
    (tmp_path / "b.jpg").write_text("no")
    refused(capsys, "b.jpg is not a picture", photo, tmp_path / "b.jpg", "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()
