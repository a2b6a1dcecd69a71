"""What tests do with the page, by its buttons."""

import math

RING = [(0.5 + 0.33 * math.cos(a / 5), 0.5 + 0.33 * math.sin(a / 5)) for a in range(33)]
CROSS = [(0.2, 0.2), (0.8, 0.8)], [(0.8, 0.2), (0.2, 0.8)]
MESSAGE = "document.getElementById('message').textContent"
LABEL = "document.getElementById('label').textContent"
DIGEST = "document.getElementById('digest').textContent"
NETWORK = "document.getElementById('network').textContent"
PRESSED = "[...document.querySelectorAll('[aria-pressed=true]')].map((one) => one.id).join()"


def says(browser, text):
    """Waits until the page has told this."""
    browser.until(f"{MESSAGE}.includes({text!r})")


def draw(browser, *lines):
    browser.press("#clear")
    for line in lines:
        browser.draw(line)


def hold(browser, nth, pictures=5):
    """Holds the mouse on a button until there are so many pictures: every fifth is held back."""
    x, y = browser.at(".teach", nth=nth)
    browser.mouse("mousePressed", x, y)
    browser.until(f"/: (\\d+) picture/.exec({MESSAGE})?.[1] >= {pictures}")
    browser.mouse("mouseReleased", x, y, 0)


def teach_two(browser):
    """Teaches a ring and a cross, drawn with the mouse."""
    draw(browser, RING)
    hold(browser, 0)
    says(browser, "Learned First thing")
    draw(browser, *CROSS)
    hold(browser, 1)
    says(browser, "Learned Second thing")


def teach_scenes(browser, scenes, seconds):
    """Teaches two scenes that come in turn, each from where it begins, and waits until both are recognized."""
    for nth, (scene, other) in enumerate(zip(scenes, scenes[::-1], strict=True)):
        browser.until(other)
        browser.until(scene)
        browser.press(".teach", seconds, nth=nth)
        says(browser, f"Learned {('First', 'Second')[nth]} thing")
    for scene, name in zip(scenes, ("First thing", "Second thing"), strict=True):
        browser.until(f"{scene} && {LABEL} === {name!r}")


def rename(browser, nth, name):
    browser.js(f"document.querySelectorAll('.name')[{nth}].value = {name!r}")
    browser.js(f"document.querySelectorAll('.name')[{nth}].dispatchEvent(new Event('change'))")
    browser.until(
        f"document.querySelectorAll('.teach')[{nth}].getAttribute('aria-label') === {'Hold to teach ' + name!r}"
    )


def teach_files(browser, nth, name, paths):
    browser.files(".class .file", paths, nth=nth)
    says(browser, f"Learned {name} from {len(paths)} of {len(paths)} pictures")


def taught(browser, *expected):
    """Waits until the cards are of these classes."""
    names = "[...document.querySelectorAll('.name')].map((one) => one.value).join()"
    browser.until(f"{names} === {','.join(expected)!r}")
