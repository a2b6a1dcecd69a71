"""examples/buttons.py on the unix port, with CIFAR-10's pictures and presses."""

import json
import re

import pytest
from example_data import EXAMPLES, ROOT, pictures


def test_buttons_learn(run_example, tmp_path, record_property):
    """20 presses of each of three buttons, in turns; then nobody presses, and the LEDs tell."""
    labels = ["ship", "frog", "horse"]
    for button, images in enumerate(pictures(labels, 40).values()):
        for i, image in enumerate(images):
            (tmp_path / f"{i:02}{button}.rgb").write_bytes(image.tobytes())
    # After the presses one line without a button, at which learning starts.
    lines = "0\n1\n2\n" * 20 + "\n" + "\n" * 60
    leds = re.findall(r"^LED (\w+)$", run_example("buttons.py", tmp_path, *labels, lines=lines), re.M)
    assert leds[:60] == ["0", "1", "2"] * 20 and leds[60] == leds[-1] == "off" and len(leds) == 122
    right = sum(led == expected for led, expected in zip(leds[61:121], "012" * 20))
    record_property("measured", f"examples/buttons.py: {right} of 60 pictures right after 20 presses of each button")
    assert right >= 45


PANEL = """
import json
import bitreplay, buttons

class Panel:
    def __init__(self, held):
        self.held, self.shown = iter(held), []
    def pressed(self):
        for number in self.held:
            return number
        raise KeyboardInterrupt
    def show(self, number):
        self.shown.append(number)

def source():
    return bytes([20 if panel.shown[-1:] == [0] else 200]) * 3072

net = bitreplay.load("models/backbone.safetensors")
"""


TRAINER = """
me = buttons.remembered(net, sys.argv[1], fresh=8)
panel = Panel([0] * 3 + [1] * 3 + [None] * 3 + [1] * 8 + [None])
trainer = buttons.Trainer(me, panel, source, ["dark", "light"], patience=3, path=sys.argv[1])
steps = []
for _ in range(18):
    trainer.step()
    steps.append(me.experiences)
again = buttons.remembered(net, sys.argv[1])
print(json.dumps([steps, panel.shown, again.digest() == me.digest()]))
"""


@pytest.fixture
def teach(micropython):
    """A function: runs a script with buttons; returns the lines of the program, and what the script prints, JSON."""

    def run(script, *arguments):
        shown = micropython(
            f"import sys; sys.path.append({str(EXAMPLES)!r})\n{PANEL}{script}", *arguments
        ).splitlines()
        return [line for line in shown if line.startswith("buttons:")] + [json.loads(shown[-1])]

    return run


def test_buttons_start_learning(teach, tmp_path):
    """When the last was let go for a while, or when no more samples can be kept; what was learned is saved."""
    path = tmp_path / "me.safetensors"
    steps, leds, remembered = teach(TRAINER, path)[-1]
    assert steps == [0] * 8 + [1] * 8 + [2] * 2
    assert leds[:7] == [0] * 3 + [1] * 3 + [None] and leds[7:16] == [1] * 8 + [None]
    assert remembered


# Teaches "dark" and "light", and saves; then what was saved goes on, with the labels and presses of the arguments.
AGAIN = """
path, labels, held = sys.argv[1], json.loads(sys.argv[2]), json.loads(sys.argv[3])
first = bitreplay.Learner(net, fresh=8, classes=3)
for value, label in ((20, "dark"), (200, "light")) * 4:
    first.see(bytes([value]) * 3072, label)
first.learn(progress=False)
first.save(path)
saved = first.digest()
me = buttons.remembered(net, path)
panel = Panel(held)
values = iter(json.loads(sys.argv[4]))
source = lambda: bytes([next(values)]) * 3072
buttons.Trainer(me, panel, source, labels, patience=1, path=path).run(0)
print(json.dumps([panel.shown, bitreplay.Learner.load(net, path).digest() == saved, me.labels, me.experiences]))
"""


TOLD = [0, None, 1, None] * 3  # by two LEDs


@pytest.mark.parametrize("labels", [["dark", "bright"], ["bright", "dim"]], ids=["one renamed", "all renamed"])
def test_a_learner_with_labels_that_no_button_has_is_told_and_kept(teach, tmp_path, labels):
    """It goes on: a prediction of such a label lights no LED, other labels can be taught, the file is not touched."""
    lines = teach(AGAIN, tmp_path / "me.safetensors", json.dumps(labels), "[null, null, 0, null]", "[200, 20, 20]")
    told, again, (leds, kept, known, experiences) = lines
    assert told == again and "which no button has" in told and "'light'" in told
    assert leds == TOLD + [None, 0 if labels[0] == "dark" else None, 0, None] + TOLD + [None]
    assert kept and experiences == 2 and known == list(dict.fromkeys(["dark", "light", labels[0]]))


def test_a_learner_with_a_label_that_was_removed_is_told_and_kept(teach, tmp_path):
    told, (leds, kept, _, _) = teach(AGAIN, tmp_path / "me.safetensors", '["dark"]', "[null, null]", "[200, 20]")
    assert "the learner knows ['light']" in told
    assert leds == [0, None] * 3 + [None, 0, None] and kept


def test_labels_in_another_order_light_their_leds(teach, tmp_path):
    """And are saved, with one that is new."""
    labels = '["light", "dark", "grey"]'
    leds, kept, known, experiences = teach(
        AGAIN, tmp_path / "me.safetensors", labels, "[null, null, 2, null]", "[200, 20, 110]"
    )[0]
    assert leds == [0, 1, 2, None, None] and not kept
    assert known == ["dark", "light", "grey"] and experiences == 2


def test_a_step_that_fails_is_told_and_the_next_follows(teach, tmp_path):
    """More labels than the learner takes, a button without one."""
    labels, held = '["dark", "light", "grey", "red"]', "[2, 3, 4, null, null]"
    capacity, button, (leds, kept, known, experiences) = teach(
        AGAIN, tmp_path / "me.safetensors", labels, held, "[110, 250, 200]"
    )
    assert "would be class 4, with room for classes=3" in capacity and "button 4 has no label" in button
    assert known == ["dark", "light", "grey"] and experiences == 2 and not kept and leds[-2:] == [1, None]


WAITING = """
first = bitreplay.Learner(net, fresh=4)
for value, label in ((20, "dark"), (200, "light")) * 2:
    first.see(bytes([value]) * 3072, label)
first.save(sys.argv[1])
me = buttons.remembered(net, sys.argv[1])
panel = Panel(json.loads(sys.argv[2]))
buttons.Trainer(me, panel, source, ["dark", "light"], patience=2, path=sys.argv[1]).run(0)
again = bitreplay.Learner.load(net, sys.argv[1])
print(json.dumps([panel.shown, again.experiences, again.fresh.n, me.fresh.n]))
"""


def test_samples_that_were_saved_are_learned_first(teach, tmp_path):
    """Where no more can be kept, a button that is held is seen after that."""
    leds, *numbers = teach(WAITING, tmp_path / "me.safetensors", "[1, 1, 1]")[-1]
    assert leds == [None, 1, 1, None] and numbers == [1, 0, 2]


UNLOADED = """
panel = Panel([0, 1, None, None])
before = open(sys.argv[1], "rb").read()
me = buttons.remembered(net, sys.argv[1], fresh=8)
buttons.Trainer(me, panel, source, ["dark", "light"], patience=1, path=sys.argv[1]).run(0)
print(json.dumps([panel.shown[:-2], open(sys.argv[1], "rb").read() == before, me.experiences]))
"""


def test_a_file_that_cannot_be_loaded_is_told_and_kept(teach, tmp_path):
    (tmp_path / "me.safetensors").write_bytes((ROOT / "models" / "small.safetensors").read_bytes()[:5000])
    reason, told, again, (leds, kept, experiences) = teach(UNLOADED, tmp_path / "me.safetensors")
    assert "me.safetensors" in reason and "has another learner: nothing is saved" in told and told == again
    assert leds == TOLD + [0, 1, None] + TOLD and kept and experiences == 1


FULL = """
path = sys.argv[1] + "/missing/me.safetensors"
panel = Panel([0, None, None])
me = buttons.remembered(net, path, fresh=8)
buttons.Trainer(me, panel, source, ["dark", "light"], patience=1, path=path).run(0)
print(json.dumps([panel.shown, me.experiences]))
"""


def test_a_save_that_fails_is_told_and_the_learner_goes_on(teach, tmp_path):
    told, (leds, experiences) = teach(FULL, tmp_path)
    assert "could not be written; check its folder and the free space" in told
    assert leds == [0, None] + TOLD + [0, None] and experiences == 1
