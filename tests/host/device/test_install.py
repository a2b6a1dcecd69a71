"""Which native module a board gets, what it is told if there is none, and what is replaced on a board."""

import json
import re

import pytest
from bitreplay_host.device import install
from bitreplay_host.device.board import NEW
from bitreplay_host.errors import UserError

BOARD = "/dev/ttyACM0", "1.25.0"
MINOR = 3 << 8
CONTENTS = {"_bitreplay.mpy": b"M1", "bitreplay/learner.mpy": b"M2", "bitreplay/__init__.mpy": b"M3"}
RECORDED = install.MARK + "\nbitreplay/learner.mpy\nbitreplay/old.mpy\n../boot.py\nmine.py\nbitreplay/mine.txt\n"


@pytest.fixture
def packages(tmp_path):
    """A folder with packages for some architectures."""
    for name in ("armv6m", "armv7emsp", "rv32imc"):
        (tmp_path / "6.3" / name).mkdir(parents=True)
        (tmp_path / "6.3" / name / "package.json").touch()
    return tmp_path


# The numbers are MicroPython's: 4 an RP2040, 7 an RP2350, 8 a board with double precision, 11 an ESP32-C3.
@pytest.mark.parametrize(
    ("number", "name"), [(4, "armv6m"), (5, "armv6m"), (7, "armv7emsp"), (8, "armv7emsp"), (11, "rv32imc")]
)
def test_architectures(packages, number, name):
    assert install.find(packages, *BOARD, number << 10 | MINOR | 6) == packages / "6.3" / name


@pytest.mark.parametrize(
    ("mpy", "message"),
    [
        (0, "has MicroPython 1.25.0, which loads no .mpy files; give it BitReplay's firmware"),
        (
            4 << 10 | 2 << 8 | 6,
            "native modules have ABI 6.2, and BitReplay's have 6.3: give the board MicroPython 1.23 or newer",
        ),
        (4 << 10 | MINOR | 5, "have ABI 5.3, and BitReplay's have 6.3: give the board MicroPython 1.23"),
        (4 << 10 | MINOR | 7, "have ABI 7.3, and BitReplay's have 6.3: get a newer BitReplay"),
        (
            9 << 10 | MINOR | 6,
            "which loads no native module that BitReplay has: give a board with RISC-V MicroPython 1.25",
        ),
        (MINOR | 6, "which loads no native module that BitReplay has: give a board with RISC-V MicroPython 1.25"),
        (10 << 10 | MINOR | 6, "6.3/xtensawin/package.json is missing: run `make mip`"),
    ],
)
def test_what_there_is_none_for(packages, mpy, message):
    with pytest.raises(UserError, match=re.escape(message)):
        install.find(packages, *BOARD, mpy)


def test_an_esp32_whose_collector_frees_what_is_used_gets_nothing(packages):
    mpy = 10 << 10 | MINOR | 6
    with pytest.raises(UserError, match=r"MicroPython 1\.23\.0, whose collector .* MicroPython 1\.24 or newer"):
        install.find(packages, "/dev/ttyUSB0", "1.23.0", mpy)
    (packages / "6.3" / "xtensawin").mkdir()
    (packages / "6.3" / "xtensawin" / "package.json").touch()
    for version in "1.24.0", "1.100.0", "2.0.0":
        assert install.find(packages, "/dev/ttyUSB0", version, mpy).name == "xtensawin"


def put(files, contents):
    for name, content in contents.items():
        (files / name).parent.mkdir(parents=True, exist_ok=True)
        if content is None:
            (files / name).mkdir()
        else:
            (files / name).write_text(content)


def tree(files):
    return {str(path.relative_to(files)): path.read_text() for path in files.rglob("*") if path.is_file()}


def package(folder, listing):
    for name, content in CONTENTS.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)
    (folder / "package.json").write_text(listing)
    return folder


def listing(*names):
    return json.dumps({"urls": [[name, name] for name in names], "deps": [], "version": "1.2"})


def test_read(tmp_path):
    contents, version = install.read(package(tmp_path, listing("bitreplay/__init__.mpy", *CONTENTS)))
    assert (contents, version) == (CONTENTS, "1.2")
    assert list(contents)[-1] == "bitreplay/__init__.mpy"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "junk",
        "{}",
        "[]",
        "1",
        '{"urls": [], "version": "1"}',
        '{"urls": 1, "version": "1"}',
        '{"urls": [1], "version": "1"}',
        '{"urls": [[1, 2]], "version": "1"}',
        listing("_bitreplay.mpy"),
        listing("bitreplay/__init__.mpy"),
        listing(*CONTENTS, "bitreplay/../../boot.mpy"),
        listing(*CONTENTS, "../boot.py"),
        listing(*CONTENTS, "/boot.py"),
        listing(*CONTENTS, "boot.py"),
        listing(*CONTENTS, "bitreplay/learner.mpy\n"),
    ],
)
def test_a_package_that_is_not_ours(tmp_path, text):
    with pytest.raises(UserError, match=f"^{tmp_path}/package.json is not BitReplay's"):
        install.read(package(tmp_path, text))


def test_a_package_that_is_not_whole(tmp_path):
    with pytest.raises(UserError, match=f"^{tmp_path}/bitreplay/other.mpy is missing"):
        install.read(package(tmp_path, listing(*CONTENTS, "bitreplay/other.mpy")))


def test_clear_removes_what_we_put_there(board, files):
    mine = {"lib/mine.py": "", "boot.py": "", "lib/bitreplay/mine.txt": "", "lib/bitreplay/learner.mpy.new": ""}
    put(files, {**mine, "lib/bitreplay/installed.txt": RECORDED})
    put(files, {"lib/bitreplay/learner.mpy": "of ours", "lib/bitreplay/old.mpy": "", f"lib/_bitreplay.mpy{NEW}": ""})
    assert install.clear(board, "/lib", CONTENTS) is False
    assert tree(files) == {**mine, "lib/bitreplay/installed.txt": RECORDED}


def test_clear_removes_what_mip_put_there(board, files):
    put(files, {"lib/bitreplay/learner.mpy": "M", "lib/_bitreplay.mpy": "M", "lib/bitreplay/mine.mpy": "M"})
    assert install.clear(board, "/lib", CONTENTS) is True
    assert tree(files) == {"lib/bitreplay/mine.mpy": "M"}


def test_clear_makes_folders(board, files):
    assert install.clear(board, "/lib", CONTENTS) is False
    assert (files / "lib" / "bitreplay").is_dir() and not tree(files)


@pytest.mark.parametrize(
    ("there", "named"),
    [
        ({"lib/bitreplay/learner.mpy": "mine"}, "/lib/bitreplay/learner.mpy"),
        ({"lib/_bitreplay.mpy": ""}, "/lib/_bitreplay.mpy"),
        ({"lib/_bitreplay.mpy": None}, "/lib/_bitreplay.mpy"),
        ({f"lib/_bitreplay.mpy{NEW}": None}, f"/lib/_bitreplay.mpy{NEW}"),
        ({"lib/bitreplay/installed.txt": "bitreplay/old.mpy\n"}, "/lib/bitreplay/installed.txt"),
        ({"lib/bitreplay/installed.txt": "Mine"}, "/lib/bitreplay/installed.txt"),
        ({"lib/bitreplay/installed.txt": ""}, "/lib/bitreplay/installed.txt"),
        ({"lib/bitreplay/installed.txt": None}, "/lib/bitreplay/installed.txt"),
        ({"lib/bitreplay/installed.txt": RECORDED, "lib/bitreplay/old.mpy": None}, "/lib/bitreplay/old.mpy"),
        ({"lib": "mine"}, "/lib"),
        ({"lib/bitreplay": "mine"}, "/lib/bitreplay"),
    ],
)
def test_what_is_in_the_way_is_named_and_nothing_removed(board, files, there, named):
    put(files, there)
    if "lib" not in there and "lib/bitreplay" not in there:
        put(files, {"lib/bitreplay/__init__.mpy": "M", f"lib/bitreplay/__init__.mpy{NEW}": ""})
    before = tree(files)
    with pytest.raises(UserError, match=f"^{re.escape(named)} is on the board and .*: rename it, and repeat this$"):
        install.clear(board, "/lib", CONTENTS)
    assert tree(files) == before


IMPORTED = """
import sys
sys.path[:] = ['', '/lib']
sys.modules.clear()
class Module:
    __file__ = {!r}
sys.modules['_bitreplay'] = Module
"""
OURS = "__version__ = '1.2'\n__file__ = __file__.replace('.py', '.mpy')\nload = 1"


def test_check(board, files):
    put(files, {"lib/bitreplay/__init__.py": OURS})
    board.exec(IMPORTED.format("/lib/_bitreplay.mpy"))
    install.check(board, "/lib", "1.2")
    with pytest.raises(UserError, match="^/lib/bitreplay/__init__.mpy has version 1.2 and not 1.3"):
        install.check(board, "/lib", "1.3")


@pytest.mark.parametrize(
    ("there", "module", "named"),
    [
        ({"bitreplay.py": "print('hello')"}, "/lib/_bitreplay.mpy", "bitreplay.py is imported instead of /lib/bit"),
        ({"bitreplay/mine.txt": ""}, "/lib/_bitreplay.mpy", "bitreplay is imported instead of /lib/bitreplay/"),
        ({}, "/_bitreplay.py", "/_bitreplay.py is imported instead of /lib/_bitreplay.mpy: rename it"),
    ],
)
def test_check_names_what_is_imported_instead(board, files, there, module, named):
    put(files, {"lib/bitreplay/__init__.py": OURS, **there})
    board.exec(IMPORTED.format(module))
    with pytest.raises(UserError, match=f"^{re.escape(named)}"):
        install.check(board, "/lib", "1.2")
