# Teach a board words: an INMP441, a microphone with I2S (docs/examples.md).
#
#     mpremote run firmware/examples/voice.py + repl                  a Pico or an ESP32 with an INMP441
#     build/unix/micropython firmware/examples/voice.py FOLDER      recordings instead: LABEL_ANYTHING.wav
#
# A microphone, for Ear, is an object with read(samples): fills an array("h") with the next samples, 8000 a second.

import os
import sys
from array import array

import bitreplay
import micropython

MODEL = "speech.safetensors"
RATE = 8000
ONSET = 6  # octaves of power, 18 dB, above the background: something is said
BEFORE = 10  # columns of a picture, of 32, that are before it


@micropython.viper
def louder(words: ptr16, samples: ptr16, n: int):  # noqa: F821
    # Of 24 bits, the upper ones of a word, the 16 below the highest four: speech is far below full scale.
    for i in range(n):
        v = (((words[2 * i + 1] ^ 0x8000) - 0x8000) << 4) | (words[2 * i] >> 12)
        if v < -32768:
            v = -32768
        if v > 32767:
            v = 32767
        samples[i] = v


class Inmp441:
    """An INMP441 on an I2S bus: mono, 32 bits a sample, as it sends 24 of them."""

    def __init__(self, i2s):
        self.i2s, self.words = i2s, bytearray(0)

    def read(self, samples):
        if len(self.words) != 4 * len(samples):
            self.words = bytearray(4 * len(samples))
        self.i2s.readinto(self.words)
        louder(self.words, samples, len(samples))  # type: ignore[arg-type]


class Ear:
    """Hears words, as pictures for a model."""

    def __init__(self, microphone):
        self.microphone, self.sound = microphone, bitreplay.logmel(RATE)
        self.samples, self.background = array("h", bytes(2 * self.sound.hop)), None

    def listen(self):
        """A column, 31 ms. Returns by how many octaves of power it is louder than the background."""
        self.microphone.read(self.samples)
        self.sound.add(self.samples)
        loudness = self.sound.loudness()
        # The background is the least that was heard, and follows slowly what grows.
        self.background = loudness if self.background is None else min(self.background + 0.02, loudness)
        return loudness - self.background

    def hear(self):
        """Waits for a word; returns its picture, a buffer that is used again."""
        while self.listen() < ONSET:
            pass
        for _ in range(31 - BEFORE):
            self.listen()
        return self.sound.image()


# Recordings.


def wav(path):
    """The samples of a WAV file."""
    with open(path, "rb") as file:
        data = file.read()
    at, kind = 12, None
    while data[at : at + 4] not in (b"data", b""):
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        if data[at : at + 4] == b"fmt ":
            kind = [int.from_bytes(data[at + 8 + i : at + 8 + end], "little") for i, end in ((2, 4), (4, 8), (14, 16))]
        at += 8 + size + size % 2
    if data[:4] != b"RIFF" or not data[at:] or kind != [1, RATE, 16]:
        raise ValueError(path + ": must be a WAV file of one channel, 8000 samples a second and 16 bits")
    size = min(int.from_bytes(data[at + 4 : at + 8], "little"), len(data) - at - 8)
    return array("h", data[at + 8 : at + 8 + size - size % 2])


def on_recordings(folder, model):
    """Learns half of each label's recordings, one label after the other, and tests with the others."""
    sound, paths = bitreplay.logmel(RATE), {}
    for name in sorted(os.listdir(folder)):
        if name.endswith(".wav"):
            paths.setdefault(name.split("_")[0], []).append(folder + "/" + name)
    if len(paths) < 2:
        raise ValueError(folder + ": must have recordings of at least two labels, LABEL_ANYTHING.wav")
    learner = bitreplay.Learner(bitreplay.load(model), replay=200, fresh=100, classes=max(2, len(paths)))
    for label in sorted(paths):
        for path in paths[label][::2]:
            learner.see(sound.of(wav(path)), label)
        learner.learn(epochs=12, progress=False)
    right = total = 0
    for label in sorted(paths):
        for path in paths[label][1::2]:
            right += learner.predict(sound.of(wav(path)))[0] == label
            total += 1
    print("%d of %d recordings right" % (right, total))


if __name__ == "__main__":
    if sys.platform in ("rp2", "esp32"):
        from machine import I2S, Pin

        try:
            net = bitreplay.load("/rom/" + MODEL)
        except OSError:
            net = bitreplay.load("/" + MODEL)  # where `bitreplay upload` puts it on firmware without ROMFS
        sck, ws, sd = (10, 11, 12) if sys.platform == "rp2" else (14, 15, 32)
        me = bitreplay.Learner(net, replay=200)
        bus = I2S(0, sck=Pin(sck), ws=Pin(ws), sd=Pin(sd), mode=I2S.RX, bits=32, format=I2S.MONO, rate=RATE, ibuf=8000)
        ear = Ear(Inmp441(bus))
        print('me.see(ear.hear(), "yes")  me.learn()  me.predict(ear.hear())  me.save("/me.safetensors")')
    elif len(sys.argv) in (2, 3):
        on_recordings(sys.argv[1], sys.argv[2] if len(sys.argv) == 3 else "models/" + MODEL)
    else:
        print("FOLDER is missing: a folder with LABEL_ANYTHING.wav [a model]")
        sys.exit(2)
