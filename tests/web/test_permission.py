"""Buttons that are pressed again, or another one, before a device is allowed: nothing stays on that is not shown."""

import pytest
from browser import Browser
from lessons import PRESSED

# Permission is given when allow() is called; the streams are Chromium's own.
LATE = """
window.asked = [];
window.streams = [];
window.allow = () => asked.splice(0).forEach((done) => done());
const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
navigator.mediaDevices.getUserMedia = async (wanted) => {
    await new Promise((done) => asked.push(done));
    const stream = await open(wanted);
    streams.push(stream);
    return stream;
};
0
"""
ON = "streams.flatMap((one) => one.getTracks()).filter((track) => track.readyState === 'live').length"


@pytest.fixture
def late(chromium, site):
    with Browser(chromium, "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream") as browser:
        browser.size(1200, 800)
        browser.open(site)
        browser.js(LATE)
        yield browser
        assert browser.complaints() == []


def press(browser, *buttons):
    """Presses buttons, each when the device of the one before was asked for, and then allows all."""
    devices = 0
    for button in buttons:
        browser.press(button)
        devices += button != "#draw"
        browser.until(f"asked.length === {devices}")
    browser.js("allow()")
    browser.until(f"streams.length === {devices}")


@pytest.mark.parametrize("button", ["#camera", "#microphone"])
def test_one_stream_is_on_after_two_presses_and_none_after_it(late, button):
    press(late, button, button)
    late.until(f"{PRESSED} === {button[1:]!r} && {ON} === 1")
    press_again(late, button)
    late.press("#draw")
    late.until(f"{PRESSED} === 'draw' && {ON} === 0")


def press_again(browser, button):
    """Of one that is on: the new stream takes its place."""
    browser.press(button)
    browser.until("asked.length === 1")
    assert browser.js(ON) == 1
    browser.js("allow()")
    browser.until(f"streams.length === 3 && {ON} === 1")


@pytest.mark.parametrize("button", ["#camera", "#microphone"])
def test_what_was_left_before_permission_stays_off(late, button):
    press(late, button, "#draw")
    late.until(f"{ON} === 0")
    assert late.js(PRESSED) == "draw"


def test_the_last_of_two_devices_is_on(late):
    press(late, "#camera", "#microphone")
    late.until(f"{PRESSED} === 'microphone' && {ON} === 1")
    assert (
        late.js("streams.flatMap((one) => one.getTracks()).find((track) => track.readyState === 'live').kind")
        == "audio"
    )
    assert late.js("document.getElementById('video').srcObject") is None
