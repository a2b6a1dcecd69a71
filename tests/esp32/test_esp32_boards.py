"""Our boards with an ESP32, S3 or C3: partitions that fit, and MicroPython's port configured and compiled for each.

Compiled against a stub of ESP-IDF (stub_idf/README.md): this finds what breaks the build, not what breaks the link.
"""

import re
from dataclasses import dataclass, field

import pytest
from stub_build import BOARDS, ROOT, build, read, run

MB = 1 << 20
FIRMWARE = 0x1F0000  # MicroPython's own place for an ESP32's firmware
START = 0x9000  # of the first partition: before it are the bootloader and the table itself
PAGE = 0x10000  # that the flash is mapped by


@dataclass
class Board:
    machine: str
    binutils: str
    flash_bytes: int
    core: bool  # whether MicroPython's core is compiled too: once for each processor
    settings: dict = field(default_factory=dict)  # of ESP-IDF


XTENSA, RISC_V = ("Tensilica Xtensa Processor", "xtensa-lx106-elf-"), ("RISC-V", "riscv64-unknown-elf-")
QUAD = {"CONFIG_SPIRAM": "1", "CONFIG_SPIRAM_MODE_QUAD": "1", "CONFIG_SPIRAM_MODE_OCT": None}
OCTAL = {"CONFIG_SPIRAM": "1", "CONFIG_SPIRAM_MODE_QUAD": None, "CONFIG_SPIRAM_MODE_OCT": "1"}
# Native modules need RAM that code can run from.
ALL = {"CONFIG_ESP_SYSTEM_MEMPROT_FEATURE": None, "CONFIG_PARTITION_TABLE_CUSTOM": "1"}
EXPECTED = {
    "ESP32_GENERIC": Board(*XTENSA, 4 * MB, True, {"CONFIG_IDF_TARGET_ESP32": "1", "CONFIG_SPIRAM": None}),
    "ESP32_GENERIC_C3": Board(*RISC_V, 4 * MB, True, {"CONFIG_IDF_TARGET_ESP32C3": "1"}),
    "ESP32_GENERIC_S3": Board(*XTENSA, 8 * MB, False, {"CONFIG_IDF_TARGET_ESP32S3": "1", **QUAD}),
    "ESP32_GENERIC_S3_N16R8": Board(*XTENSA, 16 * MB, False, {"CONFIG_IDF_TARGET_ESP32S3": "1", **OCTAL}),
}


def partitions(table):
    """{name: (type, offset, size)} of a partition table."""
    found = {}
    for line in read(table).splitlines():
        if line and not line.startswith("#"):
            name, kind, _, offset, size = (part.strip() for part in line.split(","))
            found[name] = kind, int(offset, 16), int(size, 16)
    return found


def test_every_board_is_tested():
    assert sorted(EXPECTED) == sorted(folder.name for folder in BOARDS.iterdir() if folder.is_dir())


@pytest.mark.parametrize("table", sorted(BOARDS.glob("*.csv")), ids=lambda table: table.stem)
def test_partitions(table):
    """One after the other without a gap, from the table's end to that of a flash of the size in the file's name."""
    found = partitions(table)
    end = START
    for kind, offset, size in found.values():
        assert offset == end and size > 0
        assert offset % (PAGE if kind == "app" else 0x1000) == 0
        end = offset + size
    assert end == int(re.search(r"(\d+)MiB", table.name)[1]) * MB
    assert found["factory"] == ("app", 0x10000, FIRMWARE)
    assert found["vfs"][2] >= MB
    _, offset, size = found["romfs"]
    assert offset % PAGE == 0 and size % PAGE == 0
    assert size > 2 * (ROOT / "models" / "backbone.safetensors").stat().st_size


@pytest.mark.parametrize("name", EXPECTED)
def test_board_compiles(name):
    board, folder = EXPECTED[name], build(name, EXPECTED[name].core)
    settings = dict(re.findall(r"^#define (\w+) (.+)$", read(folder / "config" / "sdkconfig.h"), re.M))
    expected = ALL | board.settings | {f"CONFIG_ESPTOOLPY_FLASHSIZE_{board.flash_bytes // MB}MB": "1"}
    assert {setting: settings.get(setting) for setting in expected} == expected
    assert len([setting for setting in settings if re.fullmatch(r"CONFIG_ESPTOOLPY_FLASHSIZE_\d+MB", setting)]) == 1
    table = BOARDS / f"partitions-{board.flash_bytes // MB}MiB.csv"
    assert settings["CONFIG_PARTITION_TABLE_CUSTOM_FILENAME"].strip('"') == str(table)

    assert "MODULE_DEF__BITREPLAY" in read(folder / "genhdr" / "moduledefs.h")
    frozen = read(folder / "frozen_content.c")
    modules = [path.name for path in (ROOT / "firmware" / "bitreplay").glob("*.py")]
    assert [module for module in modules if f'"bitreplay/{module}\\0"' not in frozen] == []
    assert '"rom_ioctl"' in read(folder / "genhdr" / "qstrdefs.generated.h")

    library = folder / "main" / "lib__idf_main.a"
    assert set(re.findall(r"Machine: +(.+)", run(board.binutils + "readelf", "-h", library))) == {board.machine}
    symbols = re.findall(r"^\S* +([A-Za-z]) (\w+)$", run(board.binutils + "nm", library), re.M)
    defined = {symbol for kind, symbol in symbols if kind in "TDR"}
    assert {
        "bitreplay_user_cmodule",
        "br_bconv2d",
        "br_hamming_distances",
        "mp_vfs_rom_ioctl",
        "mp_type_vfs_rom",
    } <= defined
    assert ("mp_call_function_0" in defined) == board.core
    # What the module calls of its own is there.
    assert {symbol for kind, symbol in symbols if kind == "U" and symbol.startswith("br_")} <= defined
