"""The page in Chromium, served as `bitreplay web` serves it; and what it does, done on the unix port."""

import os
import threading
from pathlib import Path

import bitreplay
import pytest
from bitreplay_host import page
from browser import Browser
from builds import BUILD, ROOT, need
from PIL import Image, ImageDraw


@pytest.fixture(scope="session")
def wasm():
    """The webassembly port's module."""
    return need("web/micropython.mjs", "web")


@pytest.fixture(scope="session")
def site(wasm):
    """The address of the page."""
    server, address = page.server(wasm.parent, 0)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield address
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="session")
def chromium():
    return need("chromium/.extracted", "chromium").parent / "chromium"


@pytest.fixture(scope="session")
def opened(chromium):
    """A browser that reaches this machine alone."""
    with Browser(chromium, "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1") as browser:
        yield browser


@pytest.fixture
def browser(opened, site):
    """The page, new."""
    opened.size(1200, 800)
    opened.open(site)
    yield opened
    complaints, opened.events = opened.complaints(), []
    assert complaints == []


@pytest.fixture(scope="session")
def pictures(tmp_path_factory):
    """{"ring": paths, "cross": paths}: twelve pictures of 32 x 32 of each."""
    folder = tmp_path_factory.mktemp("pictures")
    found = {"ring": [], "cross": []}
    for name, paths in found.items():
        for i in range(12):
            image = Image.new("RGB", (32, 32), "white")
            pen, x, y = ImageDraw.Draw(image), i % 4, i // 4
            if name == "ring":
                pen.ellipse((5 + x, 5 + y, 24 + x, 24 + y), outline="black", width=2 + i % 2)
            else:
                pen.line((5 + x, 5 + y, 24 + x, 24 + y), fill="black", width=2 + i % 2)
                pen.line((24 + x, 5 + y, 5 + x, 24 + y), fill="black", width=2 + i % 2)
            paths.append(folder / f"{name}{i}.png")
            image.save(paths[-1])
    return found


@pytest.fixture(scope="session")
def saved(tmp_path_factory):
    """{"backbone": (path, digest), "speech": ...}: learners of two classes, each named after its network."""
    folder, found = tmp_path_factory.mktemp("saved"), {}
    for name in "backbone", "speech":
        net = bitreplay.load(str(ROOT / "models" / f"{name}.safetensors"))
        me = bitreplay.Learner(net, replay=500, fresh=100, classes=10)
        for i in range(10):
            me.see(bytes((j * (i % 2 + 1) + i) & 255 for j in range(net.image_bytes)), f"{name} {i % 2}")
        me.learn(4, False)
        found[name] = folder / f"{name}.safetensors", me.digest()
        me.save(str(found[name][0]))
    return found


@pytest.fixture(scope="session")
def micropython():
    """The unix port; another build can be named."""
    binary = Path(os.environ.get("BITREPLAY_MICROPYTHON", BUILD / "unix" / "micropython"))
    if not binary.exists():
        pytest.fail(f"{binary} is missing: run `make unix`")
    return binary
