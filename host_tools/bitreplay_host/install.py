"""`bitreplay upload --install`: the package and its native module onto a board whose firmware was built without it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from .board import SPARE, Board
from .errors import UserError
from .mip import ABI, FOLDER

LIB = "/lib"  # where MicroPython looks for packages
# By the number in sys.implementation._mpy (MicroPython's tools/mpy-tool.py), what of ours runs there.
ARCHITECTURES = {
    2: "x64",
    4: "armv6m",
    5: "armv6m",  # an ARMv7-M runs what an ARMv6-M does
    6: "armv6m",
    7: "armv7emsp",
    8: "armv7emsp",
    10: "xtensawin",
    11: "rv32imc",
}
ASK = """
import sys
mp = sys.implementation
print(mp.name, '.'.join(str(n) for n in mp.version[:3]), getattr(mp, '_mpy', 0))
try:
    import _bitreplay
    print(hasattr(_bitreplay, '__file__'))
except ImportError:
    print(True)
"""


def install(board: Board, packages: Path = FOLDER) -> str:
    """Puts the package for a board's architecture in its /lib; returns what was done. UserError if there is none."""
    name, version, mpy, ours = board.exec(ASK).split()
    if ours == "False":
        return "the firmware has BitReplay in it: nothing to install"
    package = find(packages, f"{board.port} has {name.capitalize()} {version}", int(mpy))
    files = [target for target, _ in json.loads((package / "package.json").read_text())["urls"]]
    contents = {f"{LIB}/{file}": (package / file).read_bytes() for file in files}
    clear(board, contents)
    for path, content in contents.items():
        # Under a name of its own until it is whole: MicroPython never returns from loading half a native module.
        board.put(content, f"{path}.new", path)
        if board.sha256(f"{path}.new") != hashlib.sha256(content).hexdigest():
            raise UserError(f"{path} is not what was sent; install again; if that helps not, mistrust the flash")
        board.exec(f"import os; os.rename({path + '.new'!r}, {path!r})")
    board.soft_reset()
    board.exec("import bitreplay")
    size = sum(map(len, contents.values()))
    return f"{LIB}/bitreplay and {LIB}/_bitreplay.mpy for {package.name}: {size} bytes, verified"


def find(packages: Path, board: str, mpy: int) -> Path:
    """The package for what sys.implementation._mpy says of a board; UserError tells why there is none."""
    abi, architecture = f"{mpy & 0xFF}.{mpy >> 8 & 3}", ARCHITECTURES.get(mpy >> 10 & 0xF)
    if not mpy:
        raise UserError(f"{board}, which loads no .mpy files; give it BitReplay's firmware: bitreplay flash")
    if abi != ABI:
        newer = "give the board MicroPython 1.23 or newer" if abi < ABI else "get a newer BitReplay"
        raise UserError(f"{board}, whose native modules have ABI {abi}, and BitReplay's have {ABI}: {newer}")
    if architecture is None:
        raise UserError(f"{board}, for whose processor there is no native module; build firmware with BitReplay")
    folder = packages / abi / architecture
    if not (folder / "package.json").exists():
        raise UserError(f"{folder}/package.json is missing: run `make mip`, or name the folder with --packages")
    return folder


def clear(board: Board, contents: dict[str, bytes]) -> None:
    """Makes the folders, without files of another release; UserError if the new ones do not fit."""
    folder = f"{LIB}/bitreplay"
    for path in (LIB, folder):
        board.exec(f"import os\ntry: os.mkdir({path!r})\nexcept OSError: pass")
    for name in board.exec(f"print(*os.listdir({folder!r}))").split():
        board.remove(f"{folder}/{name}")
    board.remove(f"{LIB}/_bitreplay.mpy")
    needed, free = sum(map(len, contents.values())) + SPARE * len(contents), board.free_bytes()
    if free < needed:
        raise UserError(f"BitReplay needs {needed} bytes of files, and only {free} are free on the board")
