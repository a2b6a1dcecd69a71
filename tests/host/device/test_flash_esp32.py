"""bitreplay flash for an ESP32, C3 or S3: esptool itself, talking to an emulation of a chip's boot loader."""

import struct

import pytest
import serial
from bitreplay_host import cli
from bitreplay_host.device import flash_esp32
from bitreplay_host.errors import UserError
from esp32_rom import ERASE_FLASH, Rom

NUMBERS = {"esp32": 0, "esp32c3": 5, "esp32s3": 9}
MB = 1 << 20


def firmware(chip, files_at=0x300000, flash_bytes=4 * MB):
    """Bytes as of a firmware.bin: headers and partition table are real, what is between them is noise."""
    start = 0x1000 if chip == "esp32" else 0
    header = struct.pack("<BBBBI4xH10x", 0xE9, 1, 2, 0x20, 0x40080000, NUMBERS[chip])
    partitions = [(0, 0, 0x10000, 0x1F0000, b"factory"), (1, 0x81, files_at, flash_bytes - files_at, b"vfs")]
    table = b"".join(b"\xaa\x50" + struct.pack("<BBII16sI", *part, 0) for part in partitions)
    noise = bytes(i * i >> 3 & 0xFF for i in range(1, 9000))
    return header.ljust(0x8000 - start, b"\xff") + table.ljust(0x8000, b"\xff") + noise


@pytest.fixture(autouse=True)
def no_reset(monkeypatch):
    """A pseudo terminal has no lines that reset a chip, which esptool would say, once."""
    monkeypatch.setattr("esptool.reset.ResetStrategy.print_once", lambda self, message: None)


@pytest.fixture
def file(tmp_path):
    """A function: writes a file and returns its path."""

    def write(content):
        path = tmp_path / "firmware.bin"
        path.write_bytes(content)
        return path

    return write


@pytest.fixture
def bitreplay(capsys):
    """A function: runs `bitreplay flash`; returns its exit status, what it printed and complained."""

    def run(*arguments):
        status = cli.main(["flash", *map(str, arguments)])
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return run


@pytest.fixture
def complaint(bitreplay):
    """A function: as bitreplay, of what cannot be done; returns the line that says why."""

    def run(*arguments):
        status, out, error = bitreplay(*arguments)
        assert (status, out) == (2, "") and error.startswith("bitreplay: ") and error.count("\n") == 1, error
        return error

    return run


@pytest.mark.parametrize("chip", NUMBERS)
def test_an_empty_board(chip, file, bitreplay):
    content = firmware(chip)
    with Rom(chip) as rom:
        status, out, error = bitreplay(file(content), "--port", rom.port)
        assert (status, error) == (0, "") and out.startswith("flashed and verified")
    start = 0x1000 if chip == "esp32" else 0
    assert rom.flash[:start] == b"\xff" * start
    assert rom.flash[start : start + len(content)] == content
    assert ERASE_FLASH not in rom.commands


def test_files_stay_or_are_erased_knowingly(file, bitreplay, complaint):
    """A board whose partitions are the firmware's keeps its files; another one is left as it is without --erase."""
    with Rom("esp32s3") as rom:
        assert bitreplay(file(firmware("esp32s3")), "--port", rom.port)[0] == 0
        rom.stub, rom.flash[0x300000:0x300004] = False, b"kept"
        assert bitreplay(file(firmware("esp32s3")), "--port", rom.port)[0] == 0
        before = bytes(rom.flash)
        assert before[0x300000:0x300004] == b"kept"
        other = file(firmware("esp32s3", files_at=0x200000))
        assert "would lose them: copy them (mkdir my_files && mpremote cp -r : my_files), then repeat" in complaint(
            other, "--port", rom.port
        )
        assert rom.flash == before
        assert bitreplay(other, "--port", rom.port, "--erase")[0] == 0
        assert ERASE_FLASH in rom.commands
        assert rom.flash == firmware("esp32s3", files_at=0x200000).ljust(4 * MB, b"\xff")


@pytest.mark.parametrize(
    ("chip", "board", "name"), [("esp32", "esp32c3", "ESP32-C3"), ("esp32c3", "esp32s2", "ESP32-S2")]
)
def test_another_chip(chip, board, name, file, complaint):
    path = file(firmware(chip))
    with Rom(board) as rom:
        line = complaint(path, "--port", rom.port)
    assert line.endswith(
        f"{path} is for {flash_esp32.CHIPS[NUMBERS[chip]][0]}, and the board at {rom.port} has an {name}\n"
    )
    assert rom.flash == b"\xff" * (4 * MB)


def test_a_flash_that_is_too_small(file, complaint):
    with Rom("esp32s3", megabytes=8) as rom:
        line = complaint(file(firmware("esp32s3", flash_bytes=16 * MB)), "--port", rom.port)
    assert "is for 16 MB of flash, and the board" in line and line.endswith("has 8MB\n")
    assert rom.flash == b"\xff" * (8 * MB)


def test_a_flash_that_keeps_other_bits(file, complaint):
    with Rom("esp32c3", spoils=True) as rom:
        line = complaint(file(firmware("esp32c3")), "--port", rom.port)
    assert line == f"bitreplay: {rom.port}: MD5 of file does not match data in flash!\n"


def test_no_board(file, complaint, tmp_path, monkeypatch):
    path = file(firmware("esp32"))
    assert f"{tmp_path / 'none'} is not there; `mpremote connect list`" in complaint(path, "--port", tmp_path / "none")
    monkeypatch.setattr("serial.tools.list_ports.comports", list)
    for port in ("auto", "id:123"):
        assert "no board found on USB; plug it in" in complaint(path, "--port", port)


def test_a_port_in_use(file, complaint):
    with Rom("esp32") as rom, serial.Serial(rom.port, exclusive=True):
        assert f"{rom.port} is in use; close what else has it open" in complaint(
            file(firmware("esp32")), "--port", rom.port
        )


def test_a_board_that_does_not_answer(file, complaint, monkeypatch):
    monkeypatch.setattr("esptool.loader.SYNC_TIMEOUT", 0.01)
    with Rom("esp32") as rom:
        rom.answer = lambda command, data: None
        line = complaint(file(firmware("esp32")), "--port", rom.port)
    assert f"no ESP32 answers at {rom.port}; hold its button BOOT" in line


def port(device, serial_number, vid=0x303A):
    return type("Port", (), {"device": device, "serial_number": serial_number, "vid": vid})


def test_ports(monkeypatch):
    found = [port("/dev/ttyS0", None, None), port("/dev/ttyACM0", "123")]
    monkeypatch.setattr("serial.tools.list_ports.comports", lambda: found)
    assert [flash_esp32.find_port(name) for name in ("auto", "id:123", "COM3")] == [
        "/dev/ttyACM0",
        "/dev/ttyACM0",
        "COM3",
    ]
    found.append(port("/dev/ttyUSB0", "456"))
    assert flash_esp32.find_port("id:456") == "/dev/ttyUSB0"
    with pytest.raises(UserError, match="more than one board is on USB.*: /dev/ttyACM0, /dev/ttyUSB0"):
        flash_esp32.find_port("auto")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is not a firmware.bin"),
        (firmware("esp32")[:0x7000], "is not a firmware.bin"),
        (b"x" + firmware("esp32")[1:], "is not a firmware.bin"),
        (firmware("esp32s3")[:12] + b"\x0d\0" + firmware("esp32s3")[14:], "another chip (number 13)"),
        # The firmware alone, without what comes before it.
        (
            firmware("esp32c3").replace(b"\xaa\x50", b"\0\0"),
            "no partition table where an ESP32-C3 has it; take firmware.bin",
        ),
        (firmware("esp32s3")[:12] + b"\0\0" + firmware("esp32s3")[14:], "no partition table where an ESP32 has it"),
    ],
)
def test_broken_files(content, message, file, complaint, tmp_path):
    assert message in complaint(file(content), "--port", tmp_path / "none")


def test_a_pico_is_not_erased(complaint):
    assert "--erase goes with the firmware.bin of an ESP32" in complaint("--erase")
