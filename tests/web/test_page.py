"""The page in a browser: teaching by every way there is, the same bits as elsewhere, saving, mistakes, undo."""

import json
import subprocess
import time
from pathlib import Path

import lessons
import pytest
from builds import ROOT
from lessons import CROSS, DIGEST, LABEL, RING, says, taught, teach_files, teach_two
from PIL import Image

MODEL = ROOT / "models" / "backbone.safetensors"


@pytest.fixture
def on_unix(micropython, tmp_path):
    """A function: teaches lessons to the unix port; returns the digest after each."""

    def run(taught, **more):
        asked = tmp_path / "lessons.json"
        shown = [[name, [Image.open(path).tobytes().hex() for path in paths]] for name, paths in taught]
        asked.write_text(json.dumps({"model": str(MODEL), "lessons": shown, **more}))
        command = [micropython, "-X", "heapsize=16m", Path(__file__).with_name("onboard_lessons.py"), asked]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()

    return run


def shows(browser, label):
    browser.until(f"{LABEL} === {label!r}")


def test_pictures_give_the_bits_of_the_unix_port_and_a_file_goes_both_ways(browser, pictures, on_unix, tmp_path):
    for nth, name in enumerate(pictures):
        lessons.rename(browser, nth, name)
    digests = []
    for nth, (name, paths) in enumerate(pictures.items()):
        teach_files(browser, nth, name, paths)
        digests.append(browser.js(DIGEST))
    expected = on_unix(pictures.items())
    assert digests == expected

    browser.send("Page.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
    browser.press("#save")
    saved = tmp_path / "taught.safetensors"
    deadline = time.monotonic() + 10
    while not saved.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    # The unix port goes on from the page's file, and the page from the unix port's.
    other = tmp_path / "other.safetensors"
    [after] = on_unix([("ring", pictures["ring"][:3])], state=str(saved), save=str(other))
    browser.files("#load", [other])
    says(browser, "Loaded other.safetensors")
    assert browser.js(DIGEST) == after
    taught(browser, "ring", "cross")
    browser.files("#picture", pictures["cross"][:1])
    shows(browser, "cross")


def test_drawings_are_told_apart_after_two_holds(browser):
    browser.until("document.getElementById('hint').textContent.startsWith('Draw something')")
    lessons.draw(browser, RING)
    browser.until("document.getElementById('sure').textContent.includes('untaught')")
    teach_two(browser)
    shows(browser, "Second thing")
    browser.until("document.querySelectorAll('.percent')[1].textContent > '6'")
    lessons.draw(browser, [(0.1 + x * 0.8, 0.9 - y * 0.8) for x, y in RING])
    shows(browser, "First thing")
    # The remembered picture beside it is one of the ring: dark where the cross is not.
    assert browser.js("document.getElementById('nearest').classList.contains('none')") is False
    assert "held back" in browser.js("document.getElementById('tested').textContent")


def test_what_was_not_taught_is_unknown(browser, pictures, tmp_path):
    for nth, name in enumerate(pictures):
        teach_files(browser, nth, f"{'First' if not nth else 'Second'} thing", pictures[name])
    strange = tmp_path / "strange.png"
    Image.effect_noise((32, 32), 200).convert("RGB").save(strange)
    browser.files("#picture", [strange])
    browser.until("document.getElementById('sure').textContent.endsWith('or unknown: it looks strange')")
    browser.files("#picture", pictures["cross"][:1])
    browser.until("document.getElementById('sure').textContent.endsWith(' %')")
    shows(browser, "Second thing")


def test_undo_rename_and_forget_put_right_what_was_taught(browser):
    teach_two(browser)
    before = browser.js(DIGEST)
    lessons.rename(browser, 0, "ring")
    renamed = browser.js(DIGEST)
    browser.press(".forget", nth=1)
    says(browser, "Forgot Second thing")
    shows(browser, "ring")
    browser.press("#undo")
    says(browser, "Undone: forgetting Second thing")
    assert browser.js(DIGEST) == renamed
    browser.press("#undo")
    says(browser, "Undone: renaming First thing")
    assert browser.js(DIGEST) == before
    taught(browser, "First thing", "Second thing")
    browser.press("#undo")
    says(browser, "Undone: teaching Second thing")
    shows(browser, "First thing")
    teach = browser.js("document.querySelectorAll('.counts')[1].textContent")
    assert teach == "nothing yet"


def test_a_key_a_finger_and_a_click_without_either_teach(browser):
    lessons.draw(browser, RING)
    browser.js("document.querySelectorAll('.teach')[0].focus()")
    browser.key(" ", 0.4)
    says(browser, "Learned First thing")
    assert browser.js("document.activeElement.className") == "teach"
    lessons.draw(browser, *CROSS)
    browser.touch(".teach", 0.4, nth=1)
    says(browser, "Learned Second thing")
    browser.press("#add")
    lessons.draw(browser, [(0.2, 0.5), (0.8, 0.5)])
    browser.js("document.querySelectorAll('.teach')[2].click()")
    says(browser, "Learned Third thing")
    shows(browser, "Third thing")


def test_mistakes_are_told_in_a_line_and_change_nothing(browser, pictures, tmp_path):
    browser.press(".teach", 0.1)
    says(browser, "The paper is empty")
    teach_files(browser, 0, "First thing", pictures["ring"])
    before = browser.js(DIGEST)
    bad = tmp_path / "bad.safetensors"
    bad.write_bytes(b"nothing of the kind")
    browser.files("#load", [bad])
    says(browser, "bad.safetensors: ")
    text = tmp_path / "text.png"
    text.write_text("no picture")
    browser.files(".class .file", [pictures["cross"][0], text], nth=1)
    says(browser, "text.png: this is no picture")
    browser.js("document.querySelectorAll('.name')[1].value = ' First thing'")
    browser.js("document.querySelectorAll('.name')[1].dispatchEvent(new Event('change'))")
    says(browser, "There is a class First thing already")
    assert browser.js("document.getElementById('message').classList.contains('wrong')")
    assert browser.js(DIGEST) == before
    taught(browser, "First thing", "Second thing")


def test_more_pictures_than_can_be_learned_at_once_are_told(browser, pictures):
    browser.files(".class .file", pictures["ring"] * 11)
    says(browser, "Learned First thing from 124 of 132 pictures. That is as many as it learns at once")


def test_ten_classes_are_all(browser, pictures):
    for _ in range(8):
        browser.press("#add")
    assert browser.js("document.getElementById('add').disabled")
    for nth in range(10):
        browser.files(".class .file", pictures["ring"][nth : nth + 1], nth=nth)
    browser.until("document.querySelectorAll('.counts').length === 10")
    browser.until("[...document.querySelectorAll('.counts')].every((one) => one.textContent.includes('remembered'))")
