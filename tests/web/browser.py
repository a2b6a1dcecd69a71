"""Headless Chromium by its DevTools protocol over a pipe."""

import base64
import itertools
import json
import os
import select
import signal
import subprocess
import tempfile
import time

OPTIONS = [
    *["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"],
    *["--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage"],
    "--remote-debugging-pipe",
]


class Browser:
    """A browser with one page, to be used in a with statement. options: of Chromium, besides OPTIONS."""

    def __init__(self, program, *options):
        self._profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        (its_in, self._in), (self._out, its_out) = os.pipe(), os.pipe()
        command = [program, *OPTIONS, f"--user-data-dir={self._profile.name}", *options, "about:blank"]
        # The shell moves the pipes to 3 and 4, where Chromium looks for them.
        words = ["bash", "-c", f'exec "$@" 3<&{its_in} 4>&{its_out}', "bash", *map(str, command)]
        self._process = subprocess.Popen(
            words,
            pass_fds=(its_in, its_out),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        os.close(its_in)
        os.close(its_out)
        self._buffer, self._ids, self._session = b"", itertools.count(1), None
        self.events = []
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in "Page", "Runtime", "DOM", "Log", "Network":
            self.send(f"{domain}.enable")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.killpg(self._process.pid, signal.SIGKILL)  # all of its processes
        self._process.wait()
        os.close(self._in)
        os.close(self._out)
        self._profile.cleanup()

    def _message(self, deadline):
        while b"\0" not in self._buffer:
            if not select.select([self._out], [], [], max(0, deadline - time.monotonic()))[0]:
                raise TimeoutError("Chromium does not answer")
            data = os.read(self._out, 1 << 20)
            if not data:
                raise EOFError("Chromium ended")
            self._buffer += data
        message, self._buffer = self._buffer.split(b"\0", 1)
        return json.loads(message)

    def send(self, method, **params):
        """Calls a method of the protocol; returns its result. Events that come before it are kept in `events`."""
        message = {"id": next(self._ids), "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._in, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + 60
        while (reply := self._message(deadline)).get("id") != message["id"]:
            self.events.append(reply)
        if "error" in reply:
            raise RuntimeError(f"{method}: {reply['error']['message']}")
        return reply["result"]

    def requests(self):
        """The addresses that the page and its workers asked for."""
        self.js("0")
        return [e["params"]["request"]["url"] for e in self.events if e.get("method") == "Network.requestWillBeSent"]

    def complaints(self):
        """What was thrown and not caught, and errors in the console."""
        self.js("0")
        thrown = [e["params"] for e in self.events if e.get("method") == "Runtime.exceptionThrown"]
        logged = [e["params"]["entry"] for e in self.events if e.get("method") == "Log.entryAdded"]
        return thrown + [entry for entry in logged if entry["level"] == "error"]

    def js(self, code):
        """The value of an expression, awaited."""
        reply = self.send("Runtime.evaluate", expression=code, awaitPromise=True, returnByValue=True, userGesture=True)
        if "exceptionDetails" in reply:
            raise RuntimeError(reply["exceptionDetails"].get("exception", {}).get("description"))
        return reply["result"].get("value")

    def until(self, code, seconds=30):
        """Waits until an expression is true; returns its value."""
        deadline = time.monotonic() + seconds
        while not (value := self.js(code)):
            if time.monotonic() > deadline:
                said = self.js("document.body?.innerText")
                raise TimeoutError(f"{code} stays {value!r}; the page says: {said}")
            time.sleep(0.03)
        return value

    def open(self, url):
        """Opens the page anew, and waits until it is ready. What was taught is not asked about."""
        self.js("window.onbeforeunload = null")
        self.send("Page.navigate", url=url)
        self.until("document.documentElement?.dataset.ready")

    def size(self, width, height, dark=False):
        """The size of the window, of a phone's kind if it is narrow, and light or dark colours."""
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.send("Emulation.setEmulatedMedia", features=[scheme])
        self.send(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )

    def screenshot(self, path):
        content = self.send("Page.captureScreenshot", format="png", captureBeyondViewport=True)["data"]
        path.write_bytes(base64.b64decode(content))

    def at(self, selector, x=0.5, y=0.5, nth=0):
        """Where a point of an element is, of its width and height."""
        box = f"document.querySelectorAll({selector!r})[{nth}].getBoundingClientRect()"
        return self.js(f"(() => {{ const b = {box}; return [b.x + b.width * {x}, b.y + b.height * {y}] }})()")

    def mouse(self, kind, x, y, buttons=1):
        self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", buttons=buttons, clickCount=1)

    def press(self, selector, seconds=0.0, nth=0):
        """Holds the mouse on an element."""
        self.js(f"document.querySelectorAll({selector!r})[{nth}].scrollIntoView({{block: 'nearest'}})")
        x, y = self.at(selector, nth=nth)
        self.mouse("mousePressed", x, y)
        time.sleep(seconds)
        self.mouse("mouseReleased", x, y, 0)

    def draw(self, points):
        """Draws a line on the paper, through points of its width and height."""
        places = [self.at("#paper", x, y) for x, y in points]
        self.mouse("mousePressed", *places[0])
        for place in places[1:]:
            self.mouse("mouseMoved", *place)
        self.mouse("mouseReleased", *places[-1], 0)

    def key(self, key, seconds=0.0):
        """Holds a key."""
        code = {" ": 32, "Enter": 13, "Tab": 9}[key]
        text = {"text": key} if key == " " else {"text": "\r"} if key == "Enter" else {}
        about = {"key": key, "windowsVirtualKeyCode": code, **text}
        self.send("Input.dispatchKeyEvent", type="keyDown", **about)
        time.sleep(seconds)
        self.send("Input.dispatchKeyEvent", type="keyUp", **{"key": key, "windowsVirtualKeyCode": code})

    def touch(self, selector, seconds, nth=0):
        """Holds a finger on an element."""
        x, y = self.at(selector, nth=nth)
        self.send("Input.dispatchTouchEvent", type="touchStart", touchPoints=[{"x": x, "y": y}])
        time.sleep(seconds)
        self.send("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])

    def files(self, selector, paths, nth=0):
        """Chooses files in an input."""
        found = self.send("Runtime.evaluate", expression=f"document.querySelectorAll({selector!r})[{nth}]")["result"]
        self.send("DOM.setFileInputFiles", objectId=found["objectId"], files=[str(path) for path in paths])
