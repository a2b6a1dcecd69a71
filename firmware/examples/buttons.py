# Buttons that teach: one button and one LED for each label (docs/examples.md).
#
#     build/unix/micropython firmware/examples/buttons.py images cat dog      keys and files instead
#
# On a board import it: Trainer(learner, Pins([10, 11], [14, 15]), source, ["mug", "cup"]).run()
#
# source is a function that returns an image, or what else the model takes. A panel is an object with pressed(), the
# number of the button that is held, or None; and show(number), which lights that LED alone, or with None no LED.

import os
import sys
from errno import ENOENT

import bitreplay

TROUBLE = MemoryError, OSError, ValueError  # told, not thrown: main.py goes on


class Pins:
    """Buttons from these pins to ground, LEDs with their resistors from those pins to ground."""

    def __init__(self, buttons, leds):
        from machine import Pin

        self.buttons = [Pin(pin, Pin.IN, Pin.PULL_UP) for pin in buttons]
        self.leds = [Pin(pin, Pin.OUT, value=0) for pin in leds]

    def pressed(self):
        for number, button in enumerate(self.buttons):
            if not button.value():
                return number
        return None

    def show(self, number):
        for n, led in enumerate(self.leds):
            led.value(n == number)


class Keys:
    """A panel of a keyboard and a screen: a line with a number is a button, an empty one none, the end Ctrl-C."""

    def __init__(self, count):
        self.keys = [str(number) for number in range(count)]

    def pressed(self):
        try:
            line = input()
        except EOFError:
            raise KeyboardInterrupt
        return int(line) if line in self.keys else None

    def show(self, number):
        print("LED", "off" if number is None else number)


class Trainer:
    """While a button is held, samples of its label are kept. When it is let go they are learned, and from then on the
    LEDs show the prediction.

    patience: steps without a button after which learning starts. path: where to save what was learned, or None. A
    saved learner that knows other labels, or was not loaded, is not overwritten.
    """

    def __init__(self, learner, panel, source, labels, patience=8, path=None):
        self.learner, self.panel, self.source = learner, panel, source
        self.labels, self.patience, self.path = labels, patience, path
        self.idle = 0  # steps since the last sample
        self.trouble = self._trouble()  # why nothing is saved, or None

    def _trouble(self):
        others = [label for label in self.learner.labels if label not in self.labels]
        if others:
            return (
                "the learner knows %r, which no button has: these light no LED, and nothing is saved; "
                "give buttons these labels, or give another path" % others
            )
        if self.path and not self.learner.labels and not is_missing(self.path):
            return "%s has another learner: nothing is saved; move it away, or give another path" % self.path
        return None

    def tell(self, trouble):
        """Prints a line, and lights all LEDs in turn, three times: no prediction looks like that."""
        from time import sleep_ms

        print("buttons:", trouble)
        for number in list(range(len(self.labels))) * 3:
            self.panel.show(number)
            sleep_ms(60)
            self.panel.show(None)
            sleep_ms(60)

    def step(self):
        """One sample, seen or predicted."""
        learner, fresh = self.learner, self.learner.fresh
        pressed = self.panel.pressed()
        if pressed is not None and pressed >= len(self.labels):
            raise ValueError("button %d has no label; give Trainer one more" % pressed)
        # The learner may have come with samples that wait, as many as it takes.
        if pressed is not None and fresh.n < fresh.capacity:
            learner.see(self.source(), self.labels[pressed])
            self.panel.show(pressed)
            self.idle = 0
        elif fresh.n:
            self.idle += 1
        elif learner.experiences:
            label, _ = learner.predict(self.source())
            self.panel.show(self.labels.index(label) if label in self.labels else None)
        if fresh.n and (self.idle >= self.patience or fresh.n == fresh.capacity):
            self.idle = 0
            self.panel.show(None)
            learner.learn()
            self.save()

    def save(self):
        if self.path and self.trouble:
            self.tell(self.trouble)
        elif self.path:
            self.learner.save(self.path)

    def run(self, pause_ms=100):
        """Steps until Ctrl-C. What goes wrong in one is told, and the next follows."""
        from time import sleep_ms

        try:
            if self.trouble:
                self.tell(self.trouble)
            while True:
                try:
                    self.step()
                except TROUBLE as error:
                    self.tell(error)
                sleep_ms(pause_ms)
        except KeyboardInterrupt:
            self.panel.show(None)


def remembered(net, path, **settings):
    """The learner that was saved there, or else a new one with these settings."""
    try:
        return bitreplay.Learner.load(net, path)
    except TROUBLE as error:
        if getattr(error, "errno", None) != ENOENT:
            print("buttons: %s. A new learner begins" % error)
    return bitreplay.Learner(net, **settings)


def is_missing(path):
    try:
        os.stat(path)
    except OSError as error:
        return error.errno == ENOENT
    return False


def files(folder):
    """A source: the .rgb files in a folder, by name, over and over."""
    paths = [folder + "/" + name for name in sorted(os.listdir(folder)) if name.endswith(".rgb")]

    def source():
        paths.append(paths.pop(0))
        print("next:", paths[0])
        with open(paths[-1], "rb") as file:
            return file.read()

    print("next:", paths[0])
    return source


if __name__ == "__main__":
    if len(sys.argv) < 4:
        print("FOLDER LABEL LABEL ... are missing: a folder with .rgb files, and the names of buttons 0, 1, ...")
        sys.exit(2)
    me = bitreplay.Learner(bitreplay.load("models/backbone.safetensors"))
    Trainer(me, Keys(len(sys.argv) - 2), files(sys.argv[1]), sys.argv[2:], patience=1).run(0)
