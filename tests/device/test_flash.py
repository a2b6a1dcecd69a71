"""bitreplay flash, end to end: an empty Pico, one that runs MicroPython, and mistakes."""

import pytest
from bitreplay_host.device import flash

GREET = "import sys; print(sys.platform)"


@pytest.fixture
def drive(tmp_path):
    """Where the drive of a Pico in BOOTSEL mode appears."""
    return tmp_path / "RPI-RP2"


@pytest.fixture
def empty_pico(emulator, drive, tmp_path):
    """An emulated Pico with nothing in its flash."""
    with emulator(None, flash=tmp_path / "flash.bin", bootsel_drive=drive) as pico:
        yield pico


def test_an_empty_pico(empty_pico, bitreplay, mpremote, image, drive):
    status, out, error = bitreplay(empty_pico, "flash", image, "--drive", drive)
    assert status == 0 and out.startswith("flashed; ")
    assert "files are lost unless they are in the last 1024 KB" in error and error.count("\n") == 1
    empty_pico.wait_for("usb", timeout=10)
    assert not drive.exists()
    assert mpremote(empty_pico, "exec", GREET) == "rp2"


def test_a_running_pico(emulator, bitreplay, mpremote, image, drive):
    """It is asked for its drive; firmware that has files in the same place leaves them, and nobody is warned."""
    with emulator(bootsel_drive=drive) as pico:
        mpremote(pico, "exec", "with open('/kept', 'w') as file: file.write('kept')")
        status, _, error = bitreplay(pico, "flash", image, "--drive", drive)
        assert (status, error) == (0, "")
        pico.wait_for("usb", timeout=10)
        assert mpremote(pico, "cat", ":/kept") == "kept"


def test_the_drive_is_found(empty_pico, bitreplay, mpremote, image, drive, monkeypatch, tmp_path):
    """Where systems mount drives; of two, one must be named."""
    monkeypatch.setattr(flash, "MOUNTS", [f"{tmp_path}/*"])
    other = tmp_path / "RP2350"
    other.mkdir()
    (other / "INFO_UF2.TXT").write_text("UF2 Bootloader v1.0\nModel: Raspberry Pi RP2350\nBoard-ID: RP2350\n")
    status, _, error = bitreplay(empty_pico, "flash", image)
    assert status == 2 and "more than one board" in error and str(drive) in error and str(other) in error
    (other / "INFO_UF2.TXT").unlink()
    assert bitreplay(empty_pico, "flash", image)[0] == 0
    empty_pico.wait_for("usb", timeout=10)
    assert mpremote(empty_pico, "exec", GREET) == "rp2"


def test_firmware_for_another_chip(emulator, empty_pico, bitreplay, mpremote, image, drive, tmp_path):
    """It gets nowhere: neither to the drive nor is a running board asked for one."""
    content = image.read_bytes()
    wrong = tmp_path / "wrong.uf2"
    wrong.write_bytes(content.replace((0xE48BFF56).to_bytes(4, "little"), (0xE48BFF59).to_bytes(4, "little")))
    status, _, error = bitreplay(empty_pico, "flash", wrong, "--drive", drive)
    assert status == 2 and error == f"bitreplay: {wrong} is for RP2350, and the board has an RP2040\n"
    assert [file.name for file in drive.iterdir()] == ["INFO_UF2.TXT"]
    with emulator() as pico:
        assert bitreplay(pico, "flash", wrong, "--drive", tmp_path / "none")[2] == error
        assert mpremote(pico, "exec", GREET) == "rp2"
