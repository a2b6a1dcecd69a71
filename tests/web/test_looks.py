"""How the page looks: on a phone and a desk, light and dark; that all can use it; and that it asks no other server."""

import threading
from pathlib import Path

import lessons
import pytest
from bitreplay_host import page
from builds import BUILD, need
from PIL import Image

SIZES = {"phone": (390, 844), "tablet": (820, 1000), "desk": (1200, 800)}


@pytest.fixture(scope="module")
def axe():
    return need("axe/node_modules/axe-core/axe.min.js", "chromium").read_text()


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_all_can_use_it(browser, axe, dark):
    """Of what is drawn and taught."""
    lessons.rename(browser, 0, "ring")
    lessons.rename(browser, 1, "cross")
    lessons.draw(browser, lessons.RING)
    browser.press(".teach", 0.6)
    lessons.says(browser, "Learned ring")
    lessons.draw(browser, *lessons.CROSS)
    browser.press(".teach", 0.6, nth=1)
    lessons.says(browser, "Learned cross")
    browser.until(f"{lessons.LABEL} === 'cross'")
    check_sizes(browser, axe, "", dark)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_all_can_use_it_for_sounds(browser, axe, saved, pictures, dark):
    """While the classes of pictures wait."""
    lessons.teach_files(browser, 0, "First thing", pictures["ring"])
    lessons.teach_files(browser, 1, "Second thing", pictures["cross"])
    browser.files("#load", [saved["speech"][0]])
    lessons.says(browser, "Loaded speech")
    check_sizes(browser, axe, "sounds-", dark)


def check_sizes(browser, axe, kind, dark):
    """axe-core finds nothing serious; nothing is wider than a screen. Screenshots go to build/screens."""
    browser.js(axe + "; 0")
    folder = BUILD / "screens"
    folder.mkdir(exist_ok=True)
    for name, (width, height) in SIZES.items():
        browser.size(width, height, dark)
        browser.js("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        shot = folder / f"{kind}{name}-{'dark' if dark else 'light'}.png"
        browser.screenshot(shot)
        corner = Image.open(shot).convert("L").getpixel((2, 2))
        assert corner < 64 if dark else corner > 192
        assert browser.js("document.documentElement.scrollWidth <= innerWidth"), name
        found = browser.js("axe.run().then((found) => found.violations)")
        serious = [(one["id"], one["nodes"][0]["html"]) for one in found if one["impact"] in ("serious", "critical")]
        assert serious == [], name


def test_a_phone_shows_the_paper_and_both_buttons(browser):
    """Of its height bars of the browser take a part."""
    browser.size(390, 664)
    lessons.teach_two(browser)
    for selector in ("#paper", ".class:last-child .teach"):
        box = browser.js(f"document.querySelector({selector!r}).getBoundingClientRect().toJSON()")
        assert box["top"] >= 0 and box["bottom"] <= 664, selector


def test_all_that_is_kept_is_all_there_is(browser, wasm):
    """The service worker's list: the files of the page, and no others."""
    browser.js("navigator.serviceWorker.ready.then(() => 0)")
    there = {path.name for path in wasm.parent.iterdir() if path.is_file()} - {
        "service-worker.js",
        "files.js",
        "licences.txt",
        ".made",
    }
    cached = "caches.keys().then((all) => caches.open(all[0])).then((one) => one.keys())"
    names = f"{cached}.then((all) => all.map((r) => r.url))"
    kept = {url.rsplit("/", 1)[1] for url in browser.until(names)}
    assert kept == there | {""}


def test_it_works_without_the_server(opened, wasm):
    server, address = page.server(Path(wasm).parent, 0)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    opened.open(address)
    opened.js("navigator.serviceWorker.ready.then(() => 0)")
    server.shutdown()
    server.server_close()
    opened.open(address)
    lessons.teach_two(opened)
    opened.until(f"{lessons.LABEL} === 'Second thing'")
    opened.events = []
