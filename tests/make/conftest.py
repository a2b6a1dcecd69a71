"""make, as from a shell."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def files():
    """The names of the project's files: those that git has."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [name for name in listed.split("\0") if name and (ROOT / name).exists()]


@pytest.fixture
def make(tmp_path):
    """A function: runs make with arguments in a folder; tmp_path / cache is the user's cache folder, if not None."""

    def run(folder, *arguments, cache="cache"):
        # Not as a part of the make that runs the tests.
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
        if cache and folder != ROOT:  # whose build may be there already
            kept["XDG_CACHE_HOME"] = str(tmp_path / cache)
        return subprocess.run(["make", *arguments], cwd=folder, env=kept, capture_output=True, text=True)

    return run
