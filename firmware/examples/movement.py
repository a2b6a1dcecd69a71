# Teach a board how a person moves: an accelerometer with a gyroscope (docs/examples.md).
#
#     mpremote run firmware/examples/movement.py + repl                       a board with an MPU-6050
#     build/unix/micropython firmware/examples/movement.py hapt 21         recordings of a person instead
#
# A sensor, for Window, is an object with read(values): fills values[0..5] with acceleration (1/16384 g) x, y, z and
# rotation (1/65.5 degrees per second) x, y, z.

import sys
from array import array

import bitreplay

MODEL = "imu.safetensors"
SAMPLES, PERIOD = 128, 20  # of a window; milliseconds from one sample to the next


class Mpu6050:
    """An MPU-6050 on an I2C bus."""

    def __init__(self, i2c, address=0x68):
        self.i2c, self.address, self.raw = i2c, address, bytearray(14)
        # Awake; a low-pass filter of 20 Hz; 500 degrees per second; 2 g.
        for register, value in ((0x6B, 1), (0x1A, 4), (0x1B, 8), (0x1C, 0)):
            i2c.writeto_mem(address, register, bytes([value]))

    def read(self, values):
        raw = self.raw
        self.i2c.readfrom_mem_into(self.address, 0x3B, raw)
        # Between acceleration and rotation there is a temperature.
        for i, p in enumerate((0, 2, 4, 8, 10, 12)):
            v = raw[p] << 8 | raw[p + 1]
            values[i] = v - 65536 if v > 32767 else v


class Window:
    """The last 128 samples of a sensor, 2.56 s, as the model's image."""

    def __init__(self, sensor):
        self.sensor, self.values = sensor, array("h", bytes(12))
        # A level of a pixel is 256/16384 g, or 128/65.5 degrees per second: +-2 g, +-250 degrees per second.
        self.window = bitreplay.window(units=(256, 128), samples=SAMPLES, hop=SAMPLES // 2)

    def look(self):
        """Waits for half a window of new samples, at first for a whole one; returns the window as an image, a buffer
        that is used again."""
        from time import sleep_ms, ticks_add, ticks_diff, ticks_ms

        due = ticks_ms()
        while not self.add():
            due = ticks_add(due, PERIOD)
            sleep_ms(max(0, ticks_diff(due, ticks_ms())))
        return self.window.image()

    def add(self):
        """One sample, now."""
        self.sensor.read(self.values)
        return self.window.add(self.values)


# What `bitreplay data hapt` left.

ACTIVITIES = "walking", "upstairs", "downstairs", "sitting", "standing", "lying"


def column(folder, name):
    """A one-byte column of an .npy file."""
    with open(folder + "/hapt_" + name + ".npy", "rb") as file:
        data = file.read()
    return data[10 + data[8] + 256 * data[9] :]


def turn(samples):
    """As if the sensor were turned by a right angle about its z axis."""
    for i in range(0, len(samples), 3):
        samples[i], samples[i + 1] = samples[i + 1], -max(-32767, samples[i])


def windows(folder, person, recording, turned):
    """(image, activity) of a person's windows, in the order of time; one buffer for all."""
    people, recordings, labels = [column(folder, name) for name in ("people", "recordings", "labels")]
    window, samples = bitreplay.window(units=(256, 128), samples=SAMPLES), array("h", bytes(12 * SAMPLES))
    size = 12 * SAMPLES
    with open(folder + "/hapt_windows.npy", "rb") as file:
        head = file.read(10)
        start = 10 + head[8] + 256 * head[9]
        for i in range(len(people)):
            if people[i] == person and recordings[i] == recording:
                file.seek(start + size * i)
                file.readinto(samples)
                if turned:
                    turn(samples)
                for at in range(0, 6 * SAMPLES, 6):
                    window.add(samples[at : at + 6])
                yield window.image(), ACTIVITIES[labels[i]]


def on_recordings(folder, person, turned):
    """Learns a person's first recording, one activity after the other, and tests it with the second."""
    net = bitreplay.load("models/" + MODEL)
    learner = bitreplay.Learner(net, replay=200, fresh=100)
    for activity in ACTIVITIES:
        for image, label in windows(folder, person, 0, turned):
            if label == activity:
                learner.see(image, label)
        learner.learn(progress=False)
    before = after = total = 0
    for image, label in windows(folder, person, 1, turned):
        before += net.classify(image)[0] == label
        after += learner.predict(image)[0] == label
        total += 1
    print("person %d, %d windows: pretrained %d right, after learning %d right" % (person, total, before, after))


if __name__ == "__main__":
    if sys.platform in ("rp2", "esp32"):
        from machine import I2C

        try:
            net = bitreplay.load("/rom/" + MODEL)
        except OSError:
            net = bitreplay.load("/" + MODEL)  # where `bitreplay upload` puts it on firmware without ROMFS
        me = bitreplay.Learner(net, replay=200)
        window = Window(Mpu6050(I2C(0)))
        print('me.see(window.look(), "walking")  me.learn()  me.predict(window.look())  me.save("/me.safetensors")')
    elif sys.argv[3:] in ([], ["turned"]) and len(sys.argv) > 2:
        on_recordings(sys.argv[1], int(sys.argv[2]), len(sys.argv) == 4)
    else:
        print("FOLDER PERSON are missing: a folder with HAPT (bitreplay data hapt), and a person, 21..30 [turned]")
        sys.exit(2)
