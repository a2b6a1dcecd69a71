"""make in a folder whose path make, CMake and shells take apart: it works, and nothing else is touched."""

import ctypes
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NAMES = "my clone", 'my $HOME `x` (it\'s) 50% #1: "é"; rm -rf my'
OWN = "build/unix/micropython", "build/rp2/RPI_PICO/firmware.uf2", "build/unix.log"


@pytest.fixture(params=NAMES, ids=["space", "everything"])
def clone(request, tmp_path, files):
    """The project in such a folder; beside it, and in it, folders that unquoted paths would name."""
    folder = tmp_path / request.param
    for name in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, folder / name)
    for kept in (tmp_path / "my", folder / "clone" / "build" / "unix", folder / "rp2", folder / "mpy-cross"):
        write(kept / "kept")
    return folder


def write(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("kept")


def tree(folder):
    """What is in a folder, and when it was changed."""
    return {str(path): path.lstat().st_mtime_ns for path in folder.rglob("*")}


def assert_refused(done, *words):
    assert done.returncode != 0 and done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert all(word in line for word in words), line


@pytest.mark.exhaustive
def test_clean(clone, make, tmp_path):
    assert make(clone, "lib").returncode == 0
    ctypes.CDLL(clone / "build" / "libbitreplay.so")
    for name in (*OWN, "build/data/kept", "build/venv/kept"):
        write(clone / name)
    before = tree(tmp_path)
    done = make(clone, "clean")
    assert done.returncode == 0, done.stderr
    assert not [name for name in (*OWN, "build/libbitreplay.so") if (clone / name).exists()]
    assert (clone / "build" / "data" / "kept").exists() and (clone / "build" / "venv" / "kept").exists()
    outside = {path: when for path, when in before.items() if "/cache/" not in path}
    assert {path: when for path, when in tree(tmp_path).items() if "/cache/" not in path} == outside


def test_clean_where_nothing_was_built(clone, make, tmp_path):
    before = tree(tmp_path)
    assert make(clone, "clean").returncode == 0 and make(clone).returncode == 0
    after = tree(tmp_path)
    assert {path: after.get(path) for path in before if path != str(clone)} == {
        path: when for path, when in before.items() if path != str(clone)
    }


def test_a_cache_folder_that_is_no_better(clone, make, tmp_path):
    before = tree(tmp_path)
    assert_refused(
        make(clone, "clean", cache="my cache"), "make cannot build in a folder of this name", "XDG_CACHE_HOME="
    )
    assert tree(tmp_path) == before


def test_a_build_from_before_the_folder_had_this_name(clone, make, tmp_path):
    write(clone / "build" / "kept")
    before = tree(tmp_path)
    for target in ("clean", "lib", "release"):
        assert_refused(make(clone, target), "build/ was made when this folder had another name: remove it first")
    assert tree(tmp_path) == before


def test_a_copy_with_the_link_to_the_builds_of_the_first(clone, make, tmp_path):
    assert make(clone).returncode == 0
    write(clone / "build" / "unix" / "kept")
    copy = tmp_path / "copy"
    shutil.copytree(clone, copy, symlinks=True)
    assert_refused(make(copy, "clean"), "build/ is that of a folder with another name: remove this link first")
    assert (clone / "build" / "unix" / "kept").exists()


@pytest.mark.parametrize("cache", ["", "relative"])
def test_no_cache_folder(clone, make, cache, monkeypatch):
    monkeypatch.setenv("HOME", "")
    monkeypatch.setenv("XDG_CACHE_HOME", cache)
    assert_refused(make(clone, "clean", cache=None), "set HOME= or XDG_CACHE_HOME=")
    assert not (clone / "relative").exists() and not (clone / "build").exists()


@pytest.mark.parametrize("setting", ["MICROPYTHON_DIR", "ARM_BIN", "PYTHON"])
@pytest.mark.parametrize("path", ["/a b", "/it's", "/$(x)"])
def test_a_setting_with_such_a_path(setting, path, make):
    assert_refused(make(ROOT, "clean", f"{setting}={path.replace('$', '$$')}"), f"{setting}={path}")


def test_a_release_takes_the_place_of_a_release_only(make, tmp_path):
    write(tmp_path / "my release" / "kept")
    write(tmp_path / "my release" / "SHA256SUMS")  # others have that, too
    for folder in ("", "/", str(tmp_path / "my release")):
        done = make(ROOT, "release", f"DIST={folder}")
        assert done.returncode != 0 and done.stdout == ""
        assert done.stderr.startswith(f"DIST={folder} ")
    assert (tmp_path / "my release" / "kept").exists()


@pytest.mark.slow  # MicroPython is compiled: a minute
def test_builds(clone, make):
    """The same bytes as here, and a MicroPython that runs."""
    build = clone / "build"
    assert make(clone, "lib").returncode == 0
    (build / "src").mkdir()
    for name in ("venv", "arm", "cross", "mpy-cross"):
        (build / name).symlink_to(ROOT / "build" / name)
    for path in (ROOT / "build" / "src").iterdir():
        if path.name != ".used":
            (build / "src" / path.name).symlink_to(path)
    (build / "src" / ".used").write_text(f"{build.resolve()}/src/{micropython().name}\n")
    done = make(clone, "unix", "natmod", "lint", "ARCH=armv6m")
    assert done.returncode == 0, done.stdout + done.stderr
    pages = []
    if (ROOT / "build" / "web" / ".made").exists():
        (build / "emscripten").symlink_to(ROOT / "build" / "emscripten")
        assert make(clone, "web").returncode == 0
        pages = [f"web/{path.name}" for path in (ROOT / "build" / "web").iterdir()]
    run = [build / "unix" / "micropython", "-c", "import bitreplay; print(bitreplay.__version__)"]
    assert subprocess.run(run, capture_output=True, text=True, check=True).stdout.strip()
    for name in ("unix/micropython", "natmod/armv6m/_bitreplay.mpy", *pages):
        assert (build / name).read_bytes() == (ROOT / "build" / name).read_bytes()


def micropython():
    return next((ROOT / "build" / "src").glob("micropython-1.25*"))
