"""What was built for the tests of the page; not every machine can have it."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("BITREPLAY_BUILD", ROOT / "build"))


def need(file, goal):
    """A file of the build; without it a test skips, and says why."""
    if not (BUILD / file).exists():
        pytest.skip(f"{BUILD / file} is missing: run `make {goal}`, where Debian's packages can be fetched")
    return BUILD / file
