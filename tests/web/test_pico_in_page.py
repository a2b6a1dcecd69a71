"""What was taught in the page, moved to the emulated Pico that runs in it."""

import pytest
from builds import need
from lessons import DIGEST, LABEL, MESSAGE, NETWORK, RING, draw, says

pytestmark = pytest.mark.emulator

SURE = "document.getElementById('sure').textContent"


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

    # It answers there, until something else is done; what it knows comes back.
    browser.files("#picture", pictures["cross"][:1])
    browser.press("#live")
    browser.until(f"{SURE}.endsWith('says the Raspberry Pi Pico') && {LABEL} === 'Second thing'", 60)
    browser.files("#picture", pictures["ring"][:1])
    browser.until(f"{SURE}.endsWith('says the Raspberry Pi Pico') && {LABEL} === 'First thing'", 60)
    assert browser.js("document.getElementById('live').getAttribute('aria-pressed')") == "true"
    browser.press(".forget")
    says(browser, "Forgot First thing")
    assert browser.js("document.getElementById('live').getAttribute('aria-pressed')") == "false"
    browser.press("#back")
    browser.until(f"{MESSAGE} === 'This is what the Raspberry Pi Pico knows, the same in every bit.'", 60)
    assert browser.js(DIGEST) == digest


def test_the_pico_gets_the_network_in_use_and_gives_back_to_it(browser, saved):
    need("web/pico/firmware.bin", "web")
    path, digest = saved["speech"]
    browser.files("#load", [path])
    says(browser, "Loaded speech")
    browser.press("#pico")
    browser.until(f"{MESSAGE}.endsWith('the same in every bit: {digest[:16]}.')", 120)

    # Drawings are nothing for what it has.
    browser.press("#draw")
    browser.until(f"{NETWORK}.startsWith('The network for pictures is in use.')")
    draw(browser, RING)
    browser.press("#live")
    says(browser, "What was learned of sounds is there: press Sound, and let it answer then.")
    browser.press("#back")
    browser.until(f"{MESSAGE} === 'This is what the Raspberry Pi Pico knows, the same in every bit.'", 60)
    assert browser.js(NETWORK) == "The network for sounds is in use."
    assert browser.js(DIGEST) == digest
