"""A microphone: a recording of two sounds, again and again; and the pictures, which are a board's."""

import base64
import shutil
import threading
import wave
from array import array

import bitreplay
import lessons
import numpy as np
from bitreplay_host import page
from browser import Browser
from lessons import LABEL, says, teach_scenes

import models

RATE, SECONDS = 16000, 4
# Where the picture that was heard last is brightest, of its height: low tones are at the bottom.
BRIGHTEST = """(() => {
    const seen = document.getElementById('seen');
    const data = seen.getContext('2d').getImageData(0, 0, seen.width, seen.height).data;
    const sums = Array.from({ length: seen.height }, (_, y) =>
        Array.from({ length: seen.width }, (_, x) => data[4 * (seen.width * y + x)]).reduce((a, b) => a + b));
    return Math.max(...sums) ? sums.indexOf(Math.max(...sums)) / seen.height : -1;
})()"""
SCENES = (f"{BRIGHTEST} > 0.6", f"({BRIGHTEST} > 0 && {BRIGHTEST} < 0.4)")


def beeps(hertz):
    """Four seconds of a short tone a second, above a little noise."""
    t = np.arange(SECONDS * RATE) / RATE
    on = (t % 1 > 0.3) & (t % 1 < 0.5)
    noise = np.random.default_rng(1).normal(0, 20, len(t))
    return np.rint(9000 * on * np.sin(2 * np.pi * hertz * t) + noise).astype("<i2")


def ears(chromium, path, *sounds):
    """A browser that hears these sounds, again and again."""
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))
        file.writeframes(b"".join(one.tobytes() for one in sounds))
    fake = "--use-fake-device-for-media-stream", f"--use-file-for-fake-audio-capture={path}"
    return Browser(chromium, "--use-fake-ui-for-media-stream", *fake)


def listen(browser):
    browser.press("#microphone")
    browser.until("!document.getElementById('waves').hidden")


def test_sounds_are_taught_and_recognized(chromium, site, tmp_path):
    with ears(chromium, tmp_path / "sounds.wav", beeps(300), beeps(2500)) as browser:
        browser.size(1200, 800)
        browser.open(site)
        listen(browser)
        teach_scenes(browser, SCENES, 1.5)
        browser.press("#draw")
        assert browser.js("document.getElementById('waves').hidden")
        assert browser.complaints() == []


def test_where_nothing_is_heard_nothing_is_taught(chromium, site, tmp_path):
    with ears(chromium, tmp_path / "noise.wav", beeps(0)) as browser:
        browser.size(1200, 800)
        browser.open(site)
        listen(browser)
        browser.until("document.getElementById('hint').textContent.includes('make a sound')")
        browser.press(".teach", 0.5)
        says(browser, "Nothing was heard")
        assert browser.js("document.querySelector('.counts').textContent") == "nothing yet"
        assert browser.js(BRIGHTEST) == -1


def heard(browser, samples):
    """The picture that the page's worker makes of samples."""
    text = base64.b64encode(samples.tobytes()).decode()
    return browser.js(
        f"""import("./networks.js").then(async ({{ sounds }}) => {{
            await sounds.begin();
            await sounds.ask("listen");
            const samples = new Int16Array(Uint8Array.from(atob("{text}"), (c) => c.charCodeAt(0)).buffer);
            return [...await sounds.ask("hear", {{ samples }})];
        }})"""
    )


def test_pictures_are_those_of_a_board(browser):
    sound = bitreplay.logmel(RATE)
    samples = array("h", beeps(700)[: 31 * sound.hop + sound.frame].tolist())
    assert heard(browser, samples) == list(sound.of(samples))


def test_pictures_are_of_the_networks_shape(opened, wasm, tmp_path):
    """Of sounds and of drawings, for another network that lies beside the page: 40 x 48, grey."""
    folder = tmp_path / "web"
    shutil.copytree(wasm.parent, folder, ignore=lambda path, names: {"pico"})
    model = models.mixed()
    model.image = [40, 48, 1]
    models.save(folder / "other.safetensors", model)
    server, address = page.server(folder, 0)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    opened.size(1200, 800)
    opened.open(address + "?model=other.safetensors")
    sound = bitreplay.logmel(RATE, 1, 40, 48)
    samples = array("h", beeps(700)[: 47 * sound.hop + sound.frame].tolist())
    assert heard(opened, samples) == list(sound.of(samples))
    lessons.teach_two(opened)
    opened.until(f"{LABEL} === 'Second thing'")
    assert opened.js("[document.getElementById('seen').width, document.getElementById('seen').height]") == [48, 40]
    assert opened.complaints() == []
    server.shutdown()
    server.server_close()


def test_no_microphone_is_told(browser):
    browser.press("#microphone")
    says(browser, "There is no microphone here: plug one in, or draw, use the camera, or choose pictures.")
    assert browser.js("document.getElementById('draw').getAttribute('aria-pressed')") == "true"
