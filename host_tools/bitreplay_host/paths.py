"""Where things are: the shipped models, what a clone of the repository has built, and the user's cache folder.

Two settings, read from the environment: BITREPLAY_BUILD names the folder with what `make` built (default: build/ of
the clone that this package runs from), BITREPLAY_CACHE the folder for what is fetched or computed once (default: the
system's place for caches).
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from platformdirs import user_cache_path

from .errors import UserError

HERE = Path(__file__).parent
SUFFIX = ".safetensors"
BACKBONE = "backbone"  # the shipped model that commands take unless they are told


def _clone() -> Path | None:
    root = HERE.parents[1]
    return root if (root / "usermod_c").is_dir() and (root / "Makefile").exists() else None


CLONE = _clone()
MODELS = CLONE / "models" if CLONE else HERE / "shipped"  # a wheel has them there
_SETTING = os.environ.get("BITREPLAY_BUILD")
BUILD = Path(_SETTING).resolve() if _SETTING else CLONE / "build" if CLONE else None
CACHE = Path(os.environ.get("BITREPLAY_CACHE") or user_cache_path("bitreplay", appauthor=False)).absolute()
DATA = CACHE / "data"  # datasets
LATENTS = CACHE / "latents"  # of experiments


def model(name: str | Path) -> Path:
    """A model's path: that of a file, or of the shipped model of this name."""
    path, shipped = Path(name), MODELS / f"{name}{SUFFIX}"
    return shipped if not path.is_file() and path.name == str(name) and shipped.exists() else path


def shipped_models() -> list[Path]:
    """The files of the models that come with BitReplay."""
    return sorted(MODELS.glob(f"*{SUFFIX}"))


def clone(file: str) -> Path:
    """A file of the repository. UserError where this package was installed without one."""
    if CLONE is None:
        raise UserError(f"this needs {file} of BitReplay's repository: run it in a clone, after `make setup`")
    return CLONE / file


def built(file: str, goal: str, instead: str = "") -> Path:
    """What `make GOAL` leaves in the build folder. UserError if it is not there.

    instead: what else the user can do, such as "name it with --image".
    """
    others = f", or {instead}" if instead else ""
    if BUILD is None:
        raise UserError(
            f"{file} is missing: run `make {goal}` in a clone of BitReplay and set BITREPLAY_BUILD to its folder "
            f"build{others}"
        )
    path = BUILD / file
    if not path.exists():
        raise UserError(f"{path} is missing: run `make {goal}`{others}")
    return path


def make_folder(folder: Path) -> None:
    """Makes a folder unless it is there, and tries that files can be made in it; UserError if not."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UserError(f"{folder}: no files can be made there ({error.strerror}); choose another folder") from None


def replace(path: Path, content: bytes) -> None:
    """Writes a file, or what a link stands for: it is the old one or the new one, whole, whatever happens."""
    path = Path(os.path.realpath(path))
    mode = path.stat().st_mode & 0o777 if path.exists() else 0o644
    handle, new = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(new, mode)
        os.replace(new, path)
    except BaseException as error:
        os.unlink(new)
        if isinstance(error, OSError) and not error.filename:  # no space, for example
            raise UserError(f"{path}: {error.strerror}; nothing was written") from error
        raise
