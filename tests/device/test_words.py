"""An emulated Pico learns words by the model for speech, from the samples of recordings, as it does here."""

from pathlib import Path

import numpy as np

MODEL = Path(__file__).resolve().parents[2] / "models" / "speech.safetensors"
LENGTH, TAUGHT, TAKES = 4000, 4, 6  # samples of a recording; recordings of a word

# A module for the board, and for here.
LESSON = f"""
from array import array
import bitreplay

def teach(model, path):
    sound = bitreplay.logmel()
    me = bitreplay.Learner(bitreplay.load(model), replay=20, fresh=20, classes=4, seed=3)
    right = 0
    with open(path, "rb") as file:
        for take in range({TAKES}):
            for word in ("fall", "hiss", "rise"):
                image = sound.of(array("h", file.read({2 * LENGTH})))
                if take < {TAUGHT}:
                    me.see(image, word)
                else:
                    right += me.predict(image)[0] == word
            if take == {TAUGHT} - 1:
                me.learn(6, progress=False)
    return right, me.digest()
"""


def words():
    """int16 (TAKES, 3, LENGTH): a falling buzz, a hiss, a rising buzz; each take has its own pitch and loudness."""
    rng, t = np.random.default_rng(1), np.arange(LENGTH) / 8000
    found = []
    for take in range(TAKES):
        pitch = 2 * np.pi * (1 + take / 20)
        falls, rises = (
            np.sign(np.sin(pitch * (hertz * t + bend * t**2))) for hertz, bend in ((900, -700), (200, 700))
        )
        word = np.stack([falls, rng.normal(0, 0.5, LENGTH), rises]) * np.hanning(LENGTH)
        found.append((3000 + 500 * take) * word)
    return np.rint(found).astype("<i2")


def test_words_are_learned(pico, mpremote, bitreplay, tmp_path):
    (tmp_path / "words.bin").write_bytes(words().tobytes())
    (tmp_path / "lesson.py").write_text(LESSON)
    (tmp_path / "run.py").write_text(
        "import lesson\nprint(*lesson.teach('/rom/speech.safetensors', '/remote/words.bin'))"
    )
    here = {}
    exec(LESSON, here)
    right, digest = here["teach"](MODEL, tmp_path / "words.bin")
    assert right == 3 * (TAKES - TAUGHT)
    assert bitreplay(pico, "upload", "speech")[0] == 0
    printed = mpremote(pico, "mount", tmp_path, "run", tmp_path / "run.py")
    assert printed.splitlines()[-1] == f"{right} {digest}"
