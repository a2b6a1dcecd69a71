"""The network for pictures and that for sounds: each keeps its classes while the other is in use."""

import bitreplay
import lessons
from builds import ROOT
from lessons import CROSS, DIGEST, LABEL, NETWORK, PRESSED, RING, says, taught
from test_microphone import SCENES, beeps, ears, listen


def in_use(browser, text):
    browser.until(f"{NETWORK} === {text!r}")


def test_sounds_after_pictures_and_back(chromium, site, tmp_path):
    with ears(chromium, tmp_path / "sounds.wav", beeps(300), beeps(2500)) as browser:
        browser.size(1200, 800)
        browser.open(site)
        in_use(browser, "The network for pictures is in use.")
        lessons.rename(browser, 0, "ring")
        lessons.rename(browser, 1, "cross")
        for nth, (name, lines) in enumerate((("ring", [RING]), ("cross", CROSS))):
            lessons.draw(browser, *lines)
            lessons.hold(browser, nth)
            says(browser, f"Learned {name}")
        pictures = browser.js(DIGEST)

        listen(browser)
        in_use(
            browser, "The network for sounds is in use. The 2 classes of pictures wait: press Draw, Camera or Picture."
        )
        taught(browser, "First thing", "Second thing")
        assert browser.js("document.getElementById('undo').disabled")
        lessons.teach_scenes(browser, SCENES, 1.5)
        sounds = browser.js(DIGEST)
        assert sounds != pictures

        browser.press("#draw")
        in_use(browser, "The network for pictures is in use. The 2 classes of sounds wait: press Sound.")
        taught(browser, "ring", "cross")
        assert browser.js(DIGEST) == pictures
        browser.until(f"{LABEL} === 'cross'")
        lessons.draw(browser, RING)
        browser.until(f"{LABEL} === 'ring'")
        # Undo is of what this network learned last.
        browser.press("#undo")
        says(browser, "Undone: teaching cross")

        listen(browser)
        in_use(
            browser, "The network for sounds is in use. The class of pictures waits: press Draw, Camera or Picture."
        )
        taught(browser, "First thing", "Second thing")
        assert browser.js(DIGEST) == sounds
        for scene, name in zip(SCENES, ("First thing", "Second thing"), strict=True):
            browser.until(f"{scene} && {LABEL} === {name!r}")
        assert browser.complaints() == []


def test_a_file_brings_its_network_into_use(browser, saved, pictures):
    for name, network, pressed in (("speech", "sounds", ""), ("backbone", "pictures", "draw")):
        path, digest = saved[name]
        browser.files("#load", [path])
        says(browser, f"Loaded {path.name}")
        assert browser.js(NETWORK).startswith(f"The network for {network} is in use.")
        assert browser.js(DIGEST) == digest
        assert browser.js(PRESSED) == pressed
        taught(browser, f"{name} 0", f"{name} 1")
        if name == "speech":
            # No microphone is on before somebody presses Sound, and pictures teach no sounds.
            browser.press(".teach", 0.1)
            says(browser, "The microphone is off: press Sound")
            assert browser.js("getComputedStyle(document.querySelector('.about .button')).display") == "none"
            browser.files(".class .file", pictures["ring"][:1])
            says(browser, "The network for sounds is in use: press Draw")
            assert browser.js(DIGEST) == digest


def test_a_file_that_cannot_be_loaded_changes_no_network(browser, saved, tmp_path):
    torn = tmp_path / "torn.safetensors"
    torn.write_bytes(saved["speech"][0].read_bytes()[:-4])
    other = tmp_path / "other.safetensors"
    net = bitreplay.load(str(ROOT / "models" / "small.safetensors"))
    bitreplay.Learner(net).save(str(other))
    for path, why in (torn, "torn.safetensors: "), (other, "the learner belongs to another model"):
        browser.files("#load", [path])
        says(browser, why)
        in_use(browser, "The network for pictures is in use.")
        assert browser.js(PRESSED) == "draw"
