"""A camera: a film of two scenes, one after the other."""

import pytest
from browser import Browser
from lessons import says, teach_scenes

SIDE, SECONDS, RATE = 128, 3, 10
# The middle pixel of what the network gets, dark or bright.
MIDDLE = "document.getElementById('seen').getContext('2d').getImageData(16, 16, 1, 1).data[0]"
SCENES = (f"{MIDDLE} < 90", f"{MIDDLE} > 170")


def film(path):
    """Three seconds of a dark square in a bright frame, and three of the opposite, in YUV4MPEG2."""
    half = bytes([128]) * (SIDE * SIDE // 4)
    with path.open("wb") as file:
        file.write(b"YUV4MPEG2 W%d H%d F%d:1 Ip A1:1 C420jpeg\n" % (SIDE, SIDE, RATE))
        for inside, outside in ((20, 230), (230, 20)):
            edge = bytes([outside]) * (SIDE // 4)
            whole, cut = bytes([outside]) * SIDE, edge + bytes([inside]) * (SIDE // 2) + edge
            scene = whole * (SIDE // 4) + cut * (SIDE // 2) + whole * (SIDE // 4)
            for _ in range(SECONDS * RATE):
                file.write(b"FRAME\n" + scene + half + half)
    return path


@pytest.fixture
def with_camera(chromium, site, tmp_path):
    fake = f"--use-file-for-fake-video-capture={film(tmp_path / 'film.y4m')}"
    with Browser(chromium, "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream", fake) as browser:
        browser.size(1200, 800)
        browser.open(site)
        yield browser


def test_what_a_camera_sees_is_taught_and_recognized(with_camera):
    browser = with_camera
    browser.press("#camera")
    browser.until("!document.getElementById('video').hidden")
    teach_scenes(browser, SCENES, 0.8)
    browser.press("#draw")
    assert browser.js("document.getElementById('video').srcObject") is None


def test_no_camera_is_told(browser):
    browser.press("#camera")
    says(browser, "camera")
    assert browser.js("document.getElementById('draw').getAttribute('aria-pressed')") == "true"
