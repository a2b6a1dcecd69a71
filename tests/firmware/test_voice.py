"""examples/voice.py on the unix port: with spoken digits where they are, and with tones."""

import os
import re
import wave
from pathlib import Path

import bitreplay
import numpy as np
import pytest
from example_data import ROOT

# The Free Spoken Digit Dataset in one file, as `bitreplay data fsdd --from` takes it.
DIGITS = Path(os.environ.get("BITREPLAY_FSDD", ROOT.parent / "shared" / "data" / "fsdd.npz"))


def write_wav(path, samples, rate=8000):
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples.astype("<i2").tobytes())


def tone(hertz, seconds=0.4, rate=8000):
    return np.rint(6000 * np.sin(2 * np.pi * hertz / rate * np.arange(int(rate * seconds))))


@pytest.mark.skipif(not DIGITS.exists(), reason="no spoken digits: BITREPLAY_FSDD names their .npz")
def test_digits_are_learned(run_example, tmp_path, record_property):
    """Two speakers whom the model never heard, five recordings each; five of the digits are new to it, too."""
    with np.load(DIGITS) as file:
        digits = {name: file[name] for name in file.files}
    for i in range(len(digits["take"])):
        if digits["take"][i] < 10 and digits["speaker"][i] in ("jackson", "theo"):
            name = f"{digits['digit'][i]}_{digits['speaker'][i]}_{digits['take'][i]}.wav"
            write_wav(tmp_path / name, digits["wave"][digits["start"][i] : digits["start"][i + 1]])
    shown = run_example("voice.py", tmp_path)
    right, total = map(int, re.fullmatch(r"(\d+) of (\d+) recordings right\n", shown).groups())
    record_property("measured", f"examples/voice.py: {right} of {total} recordings right after 10 of each digit")
    assert total == 100 and right >= 85


def test_tones_are_learned(run_example, tmp_path):
    for label, hertz in (("low", 300), ("high", 1500)):
        for take in range(6):
            write_wav(tmp_path / f"{label}_{take}.wav", tone(hertz * (1 + take / 50), 0.3 + take / 50))
    assert run_example("voice.py", tmp_path) == "6 of 6 recordings right\n"


WAV = """
import json, voice
try:
    found = list(voice.wav(sys.argv[1]))
except ValueError as error:
    found = str(error)
print(json.dumps(found))
"""


def test_wav_files(call_example, tmp_path):
    path = tmp_path / "a.wav"
    samples = np.array([0, 1, -1, 32767, -32768])
    write_wav(path, samples)
    whole = path.read_bytes()
    assert call_example(WAV, path) == samples.tolist()
    path.write_bytes(whole[:12] + b"LIST\3\0\0\0abc\0" + whole[12:])  # of an odd size, and so padded
    assert call_example(WAV, path) == samples.tolist()
    path.write_bytes(whole[:-3])
    assert call_example(WAV, path) == samples[:3].tolist()
    for content in (b"", whole[:30], b"RIFX" + whole[4:]):
        path.write_bytes(content)
        assert "must be a WAV file of one channel, 8000 samples" in call_example(WAV, path)
    write_wav(path, samples, 16000)
    assert "8000 samples a second" in call_example(WAV, path)


SENSOR = """
import json, voice
from array import array

class Bus:
    def readinto(self, buffer):
        file.readinto(buffer)

file = open(sys.argv[1], "rb")
samples = array("h", bytes(16))
voice.Inmp441(Bus()).read(samples)
print(json.dumps(list(samples)))
"""


def test_microphone_is_read(call_example, tmp_path):
    """Words of 24 bits, left-justified: 16 times as loud, and clipped."""
    words = np.array([0, 4096, -4096, 4095, -1, 1 << 27, (1 << 31) - 256, -(1 << 31)], np.int32)
    (tmp_path / "words").write_bytes(words.astype("<i4").tobytes())
    assert call_example(SENSOR, tmp_path / "words") == (words >> 12).clip(-32768, 32767).tolist()


HEAR = """
import json, voice

class Recorded:
    def read(self, samples):
        assert file.readinto(samples) == 2 * len(samples)

file = open(sys.argv[1], "rb")
ear = voice.Ear(Recorded())
print(json.dumps([list(ear.hear()), list(ear.hear())]))
"""


def test_words_are_heard(call_example, tmp_path):
    """Two words in noise, of a constant offset as such microphones have: each begins after a third of its picture."""
    noise = np.random.default_rng(0).normal(500, 20, 60000)
    for start in (12000, 35000):
        noise[start : start + 3200] += tone(700)
    (tmp_path / "sound").write_bytes(np.rint(noise).astype("<i2").tobytes())
    for picture in call_example(HEAR, tmp_path / "sound"):
        loud = np.reshape(picture, (32, 32, 3))[:, :, 0].max(axis=0) > 200
        columns = np.flatnonzero(loud)
        assert 9 <= columns[0] <= 11 and len(columns) in (13, 14) and loud[columns[0] : columns[-1] + 1].all()
    assert bitreplay.logmel().hop == 248
