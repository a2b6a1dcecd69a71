"""What was taught in the page, moved to the emulated Pico that runs in it."""

import pytest
from builds import need

pytestmark = pytest.mark.emulator


def test_the_pico_in_the_page_gets_what_was_taught(browser, pictures):
    """The Pico's digest is that of the page."""
    need("web/pico/firmware.bin", "web")
    assert browser.js("document.getElementById('pico').disabled")
    for nth, name in enumerate(pictures):
        browser.files(".class input[type=file]", pictures[name][:5], nth=nth)
        browser.until(f"document.querySelectorAll('.counts')[{nth}].textContent.includes('remembered')")
    browser.until("!document.getElementById('pico').disabled")
    browser.press("#pico")
    said = browser.until("/(.*every bit.*)/.exec(document.getElementById('message').textContent)?.[1]", 120)
    digest = browser.js("document.getElementById('digest').textContent")
    assert said.startswith("It is on the Raspberry Pi Pico") and said.endswith(
        f"the same in every bit: {digest[:16]}."
    )
