"""`bitreplay upload --install`: the package and its native module onto a board whose firmware was built without it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from ..errors import UserError
from .board import SPARE, Board
from .mip import ABI, MODULE

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
# What lies in files may be broken, or for another board: it is not to be imported.
ASK = """
import sys
mp, path = sys.implementation, sys.path[:]
sys.path[:] = ()
try:
    import _bitreplay
    print('firmware')
except ImportError:
    print('files')
sys.path[:] = path
print('.'.join(str(n) for n in mp.version[:3]), getattr(mp, '_mpy', 0))
print(*(p for p in path if p.endswith('/lib') and not p.startswith('/rom')))
"""


def install(board: Board, packages: Path) -> str:
    """Puts the package for a board's architecture in its files; returns what was done. UserError if there is none."""
    place, version, mpy, *folders = board.exec(ASK).split()
    if place == "firmware":
        return "the firmware has BitReplay in it: nothing to install"
    package = find(packages, f"{board.port} has MicroPython {version}", int(mpy))
    if not folders:
        raise UserError(f"{board.port} has no folder for packages in sys.path; use `mpremote mip install --target`")
    lib = folders[0]
    # The package itself last: until then there is none, whatever cuts this short.
    files = [target for target, _ in json.loads((package / "package.json").read_text())["urls"]]
    files.sort(key=lambda file: "__init__" in file)
    contents = {f"{lib}/{file}": (package / file).read_bytes() for file in files}
    clear(board, lib, contents)
    for path, content in contents.items():
        # Under a name of its own until it is whole: MicroPython never returns from loading half a native module.
        board.put(content, f"{path}.new", path)
        if board.sha256(f"{path}.new") != hashlib.sha256(content).hexdigest():
            raise UserError(f"{path} is not what was sent; install again; if that helps not, mistrust the flash")
        board.exec(f"import os; os.rename({path + '.new'!r}, {path!r})")
    board.soft_reset()
    board.exec("from bitreplay import load")
    size = sum(map(len, contents.values()))
    return f"{lib}/bitreplay and {lib}/_bitreplay.mpy for {package.name}: {size} bytes, verified"


def find(packages: Path, board: str, mpy: int) -> Path:
    """The package for what sys.implementation._mpy says of a board; UserError tells why there is none."""
    abi, architecture = f"{mpy & 0xFF}.{mpy >> 8 & 3}", ARCHITECTURES.get(mpy >> 10 & 0xF)
    if not mpy:
        raise UserError(f"{board}, which loads no .mpy files; give it BitReplay's firmware: bitreplay flash")
    if abi != ABI:
        old = [int(n) for n in abi.split(".")] < [int(n) for n in ABI.split(".")]
        todo = "give the board MicroPython 1.23 or newer" if old else "get a newer BitReplay"
        raise UserError(f"{board}, whose native modules have ABI {abi}, and BitReplay's have {ABI}: {todo}")
    if architecture is None:
        raise UserError(
            f"{board}, which loads no native module that BitReplay has: give a board with RISC-V MicroPython 1.25 or "
            "newer, and another one firmware with BitReplay in it"
        )
    folder = packages / abi / architecture
    if not (folder / "package.json").exists():
        raise UserError(f"{folder}/package.json is missing: run `make mip`, or name the folder with --packages")
    return folder


def clear(board: Board, lib: str, contents: dict[str, bytes]) -> None:
    """Removes what another release left in `lib`, and makes folders; UserError, before that, if there is no room."""
    folder, module = f"{lib}/bitreplay", f"{lib}/{MODULE}"
    for path in (lib, folder):
        board.exec(f"import os\ntry: os.mkdir({path!r})\nexcept OSError: pass")
    old = [f"{folder}/{name}" for name in board.exec(f"print(*os.listdir({folder!r}))").split()]
    old += [module, f"{module}.new"]
    free = board.free_bytes(lib) + sum(board.size(path) or 0 for path in old)
    needed = sum(map(len, contents.values())) + SPARE * len(contents)
    if free < needed:
        raise UserError(f"BitReplay needs {needed} bytes of files, and only {free} are free on the board")
    for path in sorted(old, key=lambda path: "__init__" not in path):
        board.remove(path)
