"""The commands for boards where there is no board, or not the right file: one line says what to do."""

import os
import pty
import struct

import pytest
import serial
from bitreplay_host import cli, paths
from bitreplay_host.device import flash
from bitreplay_host.errors import UserError

RP2040, RP2350 = 0xE48BFF56, 0xE48BFF59


def uf2(blocks=3, family=RP2040):
    """A UF2 file of so many blocks."""
    content = b""
    for number in range(blocks):
        head = b"UF2\nWQ]\x9e" + struct.pack("<6I", 0x2000, 0x10000000 + 256 * number, 256, number, blocks, family)
        content += head + bytes(476) + b"\x30\x6f\xb1\x0a"
    return content


@pytest.fixture
def complaint(capsys):
    """A function: runs a command that cannot be done; returns the line that says why."""

    def run(*arguments):
        assert cli.main([str(a) for a in arguments]) == 2
        printed = capsys.readouterr()
        assert printed.err.startswith("bitreplay: ") and printed.err.count("\n") == 1, printed.err
        return printed.err

    return run


@pytest.fixture
def silent_port():
    """A port at which nobody answers."""
    master, slave = pty.openpty()
    yield os.ttyname(slave)
    os.close(master)
    os.close(slave)


@pytest.fixture
def drive(tmp_path):
    """A folder like the drive of a Pico in BOOTSEL mode."""
    folder = tmp_path / "RPI-RP2"
    folder.mkdir()
    (folder / "INFO_UF2.TXT").write_text("UF2 Bootloader v3.0\r\nModel: Raspberry Pi RP2\r\nBoard-ID: RPI-RP2\r\n")
    return folder


@pytest.mark.parametrize("command", ["upload", "verify"])
def test_no_such_port(command, small_model, tmp_path, complaint):
    model = [small_model] if command == "upload" else ["--model", small_model]
    line = complaint(command, *model, "--port", tmp_path / "none")
    assert f"there is no {tmp_path / 'none'};" in line and "mpremote connect list" in line


@pytest.mark.parametrize(
    ("port", "message"),
    [
        ("id:none", "no device with serial number none; `mpremote connect list`"),
        ("nonsense://x", "--port nonsense://x: "),
        ("socket://127.0.0.1:1", "failed to access socket://127.0.0.1:1"),
    ],
)
def test_ports_that_are_none(port, message, small_model, complaint):
    assert message in complaint("upload", small_model, "--port", port)


def test_no_board_on_usb(small_model, complaint, monkeypatch):
    monkeypatch.setattr("serial.tools.list_ports.comports", list)
    assert "no board found on USB; plug it in, or name its port with --port" in complaint("upload", small_model)


def test_a_port_in_use(small_model, silent_port, complaint):
    with serial.Serial(silent_port, exclusive=True):
        assert "in use by another program" in complaint("upload", small_model, "--port", silent_port)


@pytest.mark.exhaustive
def test_a_silent_port(small_model, silent_port, complaint):
    line = complaint("upload", small_model, "--port", silent_port)
    assert f"{silent_port} does not answer as MicroPython does" in line and "bitreplay flash" in line


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["NONE"], "NONE: "),
        (["TEXT"], "TEXT: "),
        (["MODEL", "--name", "a/b"], "--name"),
        (["MODEL", "--name", ""], "no board found"),  # as without
        (["MODEL", "--name", "é"], "--name"),
        (["MODEL", "--name", "a" * 60], "--name"),
    ],
)
def test_upload_checks_first(arguments, message, small_model, tmp_path, complaint, monkeypatch):
    monkeypatch.setattr("serial.tools.list_ports.comports", list)
    (tmp_path / "TEXT").write_text("text")
    places = {"NONE": tmp_path / "NONE", "TEXT": tmp_path / "TEXT", "MODEL": small_model}
    assert message in complaint("upload", *(places.get(a, a) for a in arguments))


def test_whole_files(tmp_path):
    file = tmp_path / "firmware.uf2"
    # Some files for the RP2350 begin with a block for all chips, which has a number of its own.
    for content in (uf2(), uf2(1), uf2(2, 0xE48BFF57)[:512].replace(b"\2\0\0\0W", b"\1\0\0\0W") + uf2(3, RP2350)):
        file.write_bytes(content)
        assert flash.read(file) == content


@pytest.mark.parametrize(
    "content",
    [b"", b"text", uf2()[:-512], uf2()[:-1], uf2()[512:], uf2() + uf2()[:512], b"x" + uf2()[1:], uf2()[:-1] + b"x"],
)
def test_broken_files(content, tmp_path, drive, complaint):
    file = tmp_path / "firmware.uf2"
    file.write_bytes(content)
    assert f"{file} is not a whole UF2 file" in complaint("flash", file, "--drive", drive)
    assert len(list(drive.iterdir())) == 1


@pytest.mark.parametrize(("family", "name"), [(RP2350, "RP2350"), (0x1C5F21B0, "another chip"), (0, "another chip")])
def test_another_chip(family, name, tmp_path, drive, complaint):
    file = tmp_path / "firmware.uf2"
    file.write_bytes(uf2(family=family))
    assert f"{file} is for {name}, and the board has an RP2040" in complaint("flash", file, "--drive", drive)
    assert len(list(drive.iterdir())) == 1


def test_firmware_that_was_not_built(tmp_path, drive, complaint, monkeypatch):
    monkeypatch.setattr(paths, "BUILD", tmp_path)
    assert "make firmware BOARD=RPI_PICO" in complaint("flash", "--drive", drive)
    assert "none.uf2" in complaint("flash", "none.uf2", "--drive", drive)


def test_a_drive_that_fails(tmp_path, drive):
    (drive / "firmware.uf2").symlink_to("/dev/full")
    with pytest.raises(UserError, match="No space left on device; plug the board in again, BOOTSEL held"):
        flash.copy(uf2(), drive)


def test_a_drive_that_stays(drive, monkeypatch):
    monkeypatch.setattr(flash, "DRIVE_SECONDS", 0.3)
    with pytest.raises(UserError, match="is still there: the board did not take the firmware"):
        flash.copy(uf2(), drive)


def test_no_drive_and_no_board(tmp_path, complaint, monkeypatch):
    monkeypatch.setattr("serial.tools.list_ports.comports", list)
    (tmp_path / "firmware.uf2").write_bytes(uf2())
    (tmp_path / "mount").mkdir()  # where the drive will be, once there is one
    for drive in ("none", "mount"):
        line = complaint("flash", tmp_path / "firmware.uf2", "--drive", tmp_path / drive)
        assert "no drive of a board in BOOTSEL mode is mounted, and no board found on USB" in line
        assert "hold BOOTSEL while you plug it in" in line


def test_a_drive_that_never_comes(tmp_path, drive, monkeypatch):
    monkeypatch.setattr(flash, "DRIVE_SECONDS", 0.3)
    assert flash.wait_for_drive(drive) == drive
    (tmp_path / "mount").mkdir()
    with pytest.raises(UserError, match="has no INFO_UF2.TXT; mount the board's drive there"):
        flash.wait_for_drive(tmp_path / "mount")
