"""bitreplay images: what a learner takes, from photographs and from CIFAR-10."""

import errno
import os
import struct
from pathlib import Path

import numpy as np
import pytest
from bitreplay_host import cli
from PIL import Image, ImageColor


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


def made_of(path, tmp_path, side=8):
    assert cli.main(["images", str(path), "--side", str(side), "--out", str(tmp_path / "out")]) == 0
    return read(tmp_path / "out" / f"{path.stem}.rgb", side)


@pytest.mark.parametrize("name", ["a.png", "a.tiff", "a.pgm", "turned.png"])
def test_16_bits_keep_their_brightness(name, tmp_path):
    values = np.arange(64, dtype=np.uint16).reshape(8, 8) * 1040
    photo = Image.fromarray(values)
    exif = photo.getexif()
    exif[0x0112] = 3  # to be shown turned by 180 degrees
    photo.save(tmp_path / name, **({"exif": exif} if name == "turned.png" else {}))
    expected = (values >> 8)[::-1, ::-1] if name == "turned.png" else values >> 8
    assert np.array_equal(made_of(tmp_path / name, tmp_path), np.stack([expected] * 3, axis=-1))


def tiff(path, packed, bits, white_is_zero):
    """Writes a grey TIFF of 8x8 pixels by hand, as Pillow writes none whose 0 is white."""
    tags = {256: 8, 257: 8, 258: bits, 259: 1, 262: not white_is_zero, 273: 8, 277: 1, 278: 8, 279: len(packed)}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    header = b"II*\0" + struct.pack("<I", 8 + len(packed))
    path.write_bytes(header + packed + struct.pack("<H", len(tags)) + entries + bytes(4))


@pytest.mark.parametrize("white_is_zero", [False, True])
@pytest.mark.parametrize("bits", [8, 12, 16])
def test_tiffs_of_any_bits_whose_zero_may_be_white(bits, white_is_zero, tmp_path):
    values = (np.arange(64).reshape(8, 8) * 4 + 1) << (bits - 8)
    if bits == 12:
        nibbles = "".join(f"{value:03x}" for value in values.flat)
        packed = bytes.fromhex(nibbles)
    else:
        packed = values.astype(f"<u{bits // 8}").tobytes()
    tiff(tmp_path / "scan.tiff", packed, bits, white_is_zero)
    grey = values >> (bits - 8)
    if (bits, white_is_zero) == (12, True):  # which Pillow does not know
        assert cli.main(["images", str(tmp_path / "scan.tiff"), "--out", str(tmp_path / "out")]) == 2
        return
    found = made_of(tmp_path / "scan.tiff", tmp_path)
    assert np.array_equal(found, np.stack([255 - grey if white_is_zero else grey] * 3, axis=-1))


def transparent(mode):
    """8x8 pixels: the left half hides red, or what a mode has for it; the right half is blue, or dark grey."""
    pixels = np.zeros((8, 8, 4), np.uint8)
    pixels[:, :4], pixels[:, 4:] = (255, 0, 0, 0), (0, 0, 255, 255)
    picture = Image.fromarray(pixels)
    if mode == "P":
        picture = picture.convert("RGB").convert("P", palette=Image.Palette.ADAPTIVE, colors=2)
        picture.info["transparency"] = picture.getpixel((0, 0))
    elif mode == "RGB":
        picture = picture.convert("RGB")
        picture.info["transparency"] = (255, 0, 0)
    return picture if mode == "RGBA" else picture.convert(mode)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "RGB"])
def test_what_is_transparent_is_white(mode, tmp_path):
    picture = transparent(mode)
    more = {"transparency": picture.info["transparency"]} if "transparency" in picture.info else {}
    picture.save(tmp_path / "logo.png", **more)
    found = made_of(tmp_path / "logo.png", tmp_path)
    assert (found[:, :4] == 255).all()
    assert (found[:, 4:] == ((29, 29, 29) if mode == "LA" else (0, 0, 255))).all()


def test_hidden_colours_do_not_bleed_and_half_is_half(tmp_path):
    pixels = np.zeros((16, 16, 4), np.uint8)
    pixels[:, ::2] = (255, 0, 0, 0)  # hidden beside opaque black: the mean is grey
    pixels[:, 1::2, 3] = 255
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert np.abs(made_of(tmp_path / "a.png", tmp_path).astype(int) - 127).max() <= 1


def test_a_large_picture_is_fine_and_a_huge_one_is_told(tmp_path, capsys, monkeypatch, recwarn):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)  # Pillow warns above it and refuses twice as many
    Image.new("RGB", (10, 15), "red").save(tmp_path / "large.png")
    Image.new("RGB", (20, 15), "red").save(tmp_path / "huge.png")
    assert (made_of(tmp_path / "large.png", tmp_path) == (255, 0, 0)).all()
    assert not recwarn.list
    refused(capsys, "huge.png has too many pixels: save a smaller copy", tmp_path / "huge.png")


@pytest.mark.parametrize("kind", [np.float32, np.int32])
def test_values_of_unknown_range_are_refused(kind, tmp_path, capsys):
    Image.fromarray(np.ones((8, 8), kind)).save(tmp_path / "scan.tiff")
    told = {np.float32: "floating point", np.int32: "32-bit integers"}[kind]
    refused(capsys, f"scan.tiff has pixels of {told}: save it with 8 or 16 bits", tmp_path / "scan.tiff")


@pytest.mark.parametrize(
    ("start", "found"),
    [
        (b"\0\0\0\x18ftypheic", "HEIC"),
        (b"\0\0\0\x18ftypmif1", "HEIC"),
        (b"\0\0\0\x18ftypavif", "AVIF"),
        (b"\0\0\0\x18ftypqt  ", "a video"),
        (b"\xff\x0a\0", "JPEG XL"),
        (b"<svg xmlns=", "SVG"),
    ],
)
def test_a_format_that_cannot_be_read_is_named(start, found, tmp_path, capsys):
    (tmp_path / "mug.jpg").write_bytes(start + bytes(40))
    refused(capsys, f"mug.jpg is {found}: save it as JPEG or PNG", tmp_path / "mug.jpg")


@pytest.mark.parametrize("error", [SyntaxError, RuntimeError, IndexError])
def test_whatever_a_damaged_picture_raises_is_one_line(error, photo, capsys, monkeypatch):
    def fail(*_):
        raise error("broken")

    monkeypatch.setattr("PIL.ImageOps.exif_transpose", fail)
    refused(capsys, "a.rgb is not a picture that can be read", photo)


def test_patterns_are_expanded(tmp_path):
    for name in ("mug1.png", "mug0.png", "cup.png", "mug.txt"):
        Image.new("RGB", (8, 8)).save(tmp_path / name, format="PNG")
    out = tmp_path / "out"
    patterns = [str(tmp_path / name) for name in ("mug?.png", "cup.png")]
    assert cli.main(["images", *patterns, "--out", str(out)]) == 0
    assert sorted(path.name for path in out.iterdir()) == ["cup.rgb", "mug0.rgb", "mug1.rgb"]


def test_a_name_that_is_there_is_no_pattern(tmp_path):
    for name, colour in (("mug[1].png", "red"), ("mug1.png", "blue")):
        Image.new("RGB", (8, 8), colour).save(tmp_path / name)
    assert (made_of(tmp_path / "mug[1].png", tmp_path) == (255, 0, 0)).all()
    assert cli.main(["images", str(tmp_path / "*.png"), "--out", str(tmp_path / "all")]) == 0
    assert len(list((tmp_path / "all").iterdir())) == 2


def test_no_picture_that_a_pattern_matches_is_overwritten(photo, capsys):
    refused(capsys, "is one of the photographs", photo.with_name("*.rgb"), "--out", photo.parent)


@pytest.mark.parametrize("name", ["none*.jpg", "none[1].jpg"])
def test_a_pattern_that_matches_nothing_is_told(name, tmp_path, capsys):
    refused(capsys, f"{name}: no file has this name or matches it", tmp_path / name)


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
        (["{}/empty"], "empty has no pictures in it (.jpg, .jpeg, .png"),
    ],
)
def test_errors_are_one_line(arguments, message, tmp_path, capsys):
    (tmp_path / "text.jpg").write_text("no")
    (tmp_path / "empty").mkdir()
    arguments = [a.format(tmp_path) for a in arguments]
    assert cli.main(["images", *arguments, "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert message in error


def colours(folder):
    """The colour of each picture that was made, by its path."""
    found = {str(path.relative_to(folder)): path.read_bytes()[:3] for path in folder.rglob("*.rgb")}
    return {path: next(c for c in COLOURS if bytes(ImageColor.getrgb(c)) == colour) for path, colour in found.items()}


COLOURS = "red", "blue", "lime", "white", "black"


def paint(folder, **pictures):
    """Pictures of one colour: a__png="red" is a.png, and cup_a__png is cup/a.png."""
    for name, colour in pictures.items():
        path = folder / name.replace("__", ".").replace("_", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), colour).save(path)


def test_two_of_one_name_are_numbered(tmp_path):
    paint(tmp_path, a__png="red", a__gif="blue", b_a__png="lime", b_c_a__png="white")
    paths = [tmp_path / name for name in ("a.png", "a.gif", "b/a.png", "b/c/a.png")]
    assert cli.main(["images", *map(str, paths), "--out", str(tmp_path / "out")]) == 0
    expected = {"a.rgb": "red", "a-2.rgb": "blue", "a-3.rgb": "lime", "a-4.rgb": "white"}
    assert colours(tmp_path / "out") == expected


def test_the_tree_of_a_folder_is_kept(tmp_path, capsys):
    folder = tmp_path / "in"
    paint(folder, mug_1__png="red", cup_1__png="blue", cup_1__gif="lime", cup_more_1__JPG="white", b__png="black")
    (folder / "notes.txt").write_text("no picture")
    (folder / "._b.png").write_text("of another system")
    assert cli.main(["images", str(folder), "--out", str(tmp_path / "out")]) == 0
    expected = {"mug/1.rgb": "red", "cup/1.rgb": "lime", "cup/1-2.rgb": "blue", "cup/more/1.rgb": "white"}
    assert colours(tmp_path / "out") == expected | {"b.rgb": "black"}
    assert "5 images of 3072 bytes" in capsys.readouterr().out


def test_of_several_folders_each_keeps_its_name(tmp_path):
    paint(tmp_path, mug_1__png="red", cup_1__png="blue")
    assert cli.main(["images", str(tmp_path / "mug"), str(tmp_path / "cup"), "--out", str(tmp_path / "out")]) == 0
    assert colours(tmp_path / "out") == {"mug/1.rgb": "red", "cup/1.rgb": "blue"}


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


def test_a_full_disk_names_the_file_and_leaves_nothing(photo, tmp_path, capsys, monkeypatch):
    def full(path, content):
        with path.open("wb") as file:
            file.write(content[:10])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    out = tmp_path / "out"
    refused(capsys, f"{out / 'a.rgb'} cannot be written: No space left on device", photo, "--out", out)
    assert not list(out.iterdir())


def test_links_to_folders_are_followed_and_what_is_no_file_is_told(tmp_path, capsys):
    folder = tmp_path / "in"
    paint(folder, mug_1__png="red")
    paint(tmp_path, far_1__png="blue")
    (folder / "cup").symlink_to(tmp_path / "far")
    (folder / "mug" / "up").symlink_to(folder)
    (folder / "mug" / "2.png").symlink_to(tmp_path / "none")
    os.mkfifo(folder / "mug" / "3.png")
    assert cli.main(["images", str(folder), "--out", str(tmp_path / "out")]) == 0
    assert colours(tmp_path / "out") == {"mug/1.rgb": "red", "cup/1.rgb": "blue"}
    assert capsys.readouterr().err.splitlines() == [
        f"left out: {folder / 'mug' / '2.png'} is a broken link",
        f"left out: {folder / 'mug' / '3.png'} is no regular file",
        f"left out: {folder / 'mug' / 'up'} is a folder that is read already",
    ]
