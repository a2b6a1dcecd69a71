"""Packages for `mip`, one for each ABI and architecture of native modules: ABI/ARCH/package.json and what it lists.

`make mip` runs this: build/mip comes from build/natmod and firmware/. The paths in package.json are relative, so that
a folder and a web server serve alike.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from pathlib import Path

import bitreplay

from .. import paths

MODULE = "_bitreplay.mpy"
ABI = "6.3"  # of native modules: MicroPython 1.23 and newer


def main() -> None:
    natmods, mpy_cross = paths.built("natmod", "natmods"), paths.built("mpy-cross/mpy-cross", "mpy-cross")
    folder = natmods.parent / "mip"
    shutil.rmtree(folder, ignore_errors=True)
    with tempfile.TemporaryDirectory() as name:
        compiled = Path(name)
        for source in sorted(Path(bitreplay.__file__).parent.glob("*.py")):
            target = compiled / f"{source.stem}.mpy"
            # Its name in tracebacks is as in the repository.
            subprocess.run([mpy_cross, "-s", f"bitreplay/{source.name}", "-o", target, source], check=True)
        for module in sorted(natmods.glob(f"*/{MODULE}")):
            pack(module, compiled, folder / ABI / module.parent.name)


def pack(module: Path, compiled: Path, folder: Path) -> None:
    """Fills a folder with a native module, the compiled package and the package.json that lists both."""
    head = module.read_bytes()
    if f"{head[1]}.{head[2] & 3}" != ABI:
        raise SystemExit(f"{module} has another ABI than {ABI}; change it in {__file__} if that is meant")
    shutil.copytree(compiled, folder / "bitreplay")
    (folder / "bitreplay").chmod(0o755)  # a temporary folder is its owner's alone
    shutil.copy(module, folder / MODULE)
    names = [MODULE, *(f"bitreplay/{path.name}" for path in sorted(compiled.iterdir()))]
    package = {"urls": [[name, name] for name in names], "deps": [], "version": version()}
    (folder / "package.json").write_text(json.dumps(package, indent=2) + "\n")


def version() -> str:
    """The version of the package on the board."""
    return bitreplay.__version__


if __name__ == "__main__":
    main()
