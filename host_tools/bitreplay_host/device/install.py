"""`bitreplay upload --install`: the package and its native module onto a board whose firmware was built without it."""

from __future__ import annotations

import json
import re
from pathlib import Path

from ..errors import UserError
from .board import MOUNTED, NEW, SPARE, Board
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
RECORD = "bitreplay/installed.txt"  # in the board's folder for packages: MARK, then the files that we put there
MARK = "BitReplay's files, removed by the next installation:"
PACKAGE = re.compile(r"bitreplay/\w+\.mpy")
# What lies in files may be broken, or for another board: it is not to be imported.
ASK = f"""{MOUNTED}
mp, path = sys.implementation, sys.path[:]
sys.path[:] = ()
try:
    import _bitreplay
    print('firmware')
except ImportError:
    print('files')
sys.path[:] = path
print('.'.join(str(n) for n in mp.version[:3]), getattr(mp, '_mpy', 0))
print(*(p for p in path if p.endswith('/lib') and not p.startswith('/rom') and mounted(p)))
"""


# For each path: whether it is a folder, bytes and the first one of a file; or None.
LOOK = """
import json, os
def look(path):
    try:
        found = os.stat(path)
    except OSError:
        return None
    if found[0] & 0x4000:
        return [True, 0]
    with open(path, "rb") as file:
        return [False, found[6]] + list(file.read(1))
print(json.dumps([look(path) for path in PATHS]))
"""
WHERE = """
import json
import bitreplay, _bitreplay
found = [getattr(m, "__file__", getattr(m, "__path__", "the firmware's")) for m in (bitreplay, _bitreplay)]
print("\\n" + json.dumps(found + [getattr(bitreplay, "__version__", None)]))
"""


def install(board: Board, packages: Path) -> str:
    """Puts the package for a board's architecture in its files; returns what was done. UserError if there is none."""
    place, version, mpy, *folders = board.exec(ASK).split()
    if place == "firmware":
        return "the firmware has BitReplay in it: nothing to install"
    package = find(packages, board.port, version, int(mpy))
    if not folders:
        raise UserError(f"{board.port} has no folder for packages in sys.path; use `mpremote mip install --target`")
    lib = folders[0]
    contents, release = read(package)
    replaced = clear(board, lib, contents)
    board.replace("".join(f"{line}\n" for line in (MARK, *contents)).encode(), f"{lib}/{RECORD}", "writing")
    for file, content in contents.items():
        # MicroPython never returns from loading half a native module.
        board.replace(content, f"{lib}/{file}", f"{lib}/{file}")
    board.soft_reset()
    check(board, lib, release)
    size = sum(map(len, contents.values()))
    how = ", replaced what mip had put there" if replaced else ""
    return f"{lib}/bitreplay and {lib}/_bitreplay.mpy for {package.name}: {size} bytes, verified{how}"


def find(packages: Path, port: str, version: str, mpy: int) -> Path:
    """The package for what sys.implementation says of a board: its version, its _mpy; UserError if there is none."""
    board = f"{port} has MicroPython {version}"
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
    if architecture == "xtensawin" and [int(n) for n in version.split(".")] < [1, 24]:
        raise UserError(
            f"{board}, whose collector frees memory that a native module still uses, and then crashes: give the board "
            "MicroPython 1.24 or newer"
        )
    folder = packages / abi / architecture
    if not (folder / "package.json").exists():
        raise UserError(f"{folder}/package.json is missing: run `make mip`, or name the folder with --packages")
    return folder


def read(package: Path) -> tuple[dict[str, bytes], str]:
    """The files of a package, the package's __init__ last, and its version. UserError if it is none of BitReplay's."""
    listing = package / "package.json"
    try:
        content = json.loads(listing.read_bytes())
        version, files = str(content["version"]), [file for file, _ in content["urls"]]
        ours = all(file == MODULE or PACKAGE.fullmatch(file) for file in files)
    except (ValueError, LookupError, TypeError):
        ours = False
    if not ours or not {MODULE, "bitreplay/__init__.mpy"} <= {*files}:
        raise UserError(f"{listing} is not BitReplay's: run `make mip`, or name another folder with --packages")
    # Until the package itself is there, there is none, whatever cuts this short.
    files.sort(key=lambda file: "__init__" in file)
    for file in files:
        if not (package / file).is_file():
            raise UserError(f"{package / file} is missing, which {listing} lists: run `make mip`, or get it again")
    return {file: (package / file).read_bytes() for file in files}, version


def clear(board: Board, lib: str, contents: dict[str, bytes]) -> bool:
    """Removes what an installation before this left in `lib`, and nothing else; makes folders.

    Returns whether files of mip's were among that. UserError, before anything is removed, if there is no room, or
    something of the user's in the way.
    """
    for path in (lib, f"{lib}/bitreplay"):
        if board.is_folder(path) is False:
            raise UserError(f"{path} is on the board and is not a folder: rename it, and repeat this")
        board.exec(f"import os\ntry: os.mkdir({path!r})\nexcept OSError: pass")
    for file in contents:
        source = f"{lib}/{file.removesuffix('.mpy')}.py"
        if board.size(source) is not None:
            raise UserError(f"{source} is on the board and would be imported instead of {file}: move it, repeat this")
    listed, files = recorded(board, lib), [*contents, RECORD]
    ours = {*listed, *files, *(file + NEW for file in files)}
    paths = [f"{lib}/{file}" for file in sorted(ours, key=lambda file: "__init__" not in file)]
    old = {path: found for path, found in zip(paths, look(board, paths), strict=True) if found}
    for path, (is_folder, _, *first) in old.items():
        known = path.removeprefix(f"{lib}/") in listed or path.endswith(NEW)
        # mip leaves no record of what it installs.
        if is_folder or not known and not (path.endswith(".mpy") and first == [ord("M")]):
            raise UserError(f"{path} is on the board and does not belong to BitReplay: rename it, and repeat this")
    free = board.free_bytes(lib) + sum(size for _, size, *_ in old.values())
    needed = sum(map(len, contents.values())) + SPARE * len(contents)
    if free < needed:
        raise UserError(f"BitReplay needs {needed} bytes of files, and only {free} are free on the board")
    for path in old:
        if path != f"{lib}/{RECORD}":
            board.remove(path)
    return any(path.removeprefix(f"{lib}/") not in listed and not path.endswith(NEW) for path in old)


def recorded(board: Board, lib: str) -> set[str]:
    """The files that an installation before this put in `lib`, and its record of them."""
    path = f"{lib}/{RECORD}"
    if board.is_folder(path) is not False:
        return set()
    mark, *files = board.read(path, 0, board.size(path) or 0).decode("utf-8", "replace").splitlines() or [""]
    if mark != MARK:
        return set()
    return {RECORD, *(file for file in files if file == MODULE or PACKAGE.fullmatch(file))}


def look(board: Board, paths: list[str]) -> list[list[int] | None]:
    """For each path on the board: whether it is a folder, its bytes and the first of them if there is one; or None."""
    return json.loads(board.exec(LOOK.replace("PATHS", repr(paths))))


def check(board: Board, lib: str, version: str) -> None:
    """UserError if something else is imported than what was installed."""
    package, module, found = json.loads(board.exec(WHERE).splitlines()[-1])
    for file, ours in ((package, f"{lib}/bitreplay/__init__.mpy"), (module, f"{lib}/{MODULE}")):
        if file != ours:
            raise UserError(f"{file} is imported instead of {ours}: rename it, and repeat this")
    if found != version:
        raise UserError(f"{package} has version {found} and not {version}: repeat this")
    board.exec("from bitreplay import load")
