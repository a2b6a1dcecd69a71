# Teach a board what its camera sees (docs/examples.md).
#
#     mpremote run firmware/examples/camera_watcher.py + repl                 an ESP32-S3 with a camera
#     build/unix/micropython firmware/examples/camera_watcher.py images      files instead of a camera
#
# A camera, for Watcher, is an object with width, height, format (one of FORMATS) and capture(), which returns the next
# frame, none from before the call: a buffer of that many pixels, row by row, which may change when capture() is called
# again.

import os
import sys

import bitreplay
import micropython

FORMATS = {"grey": 1, "rgb565": 2, "rgb888": 3}  # bytes a pixel; rgb565 with the high byte first, as cameras send it
SIDE = 32  # of the model's images
MODEL = "backbone.safetensors"


class Esp32Camera:
    """The module `camera` of github.com/cnadler86/micropython-camera-API.

    pins: the camera's, as keyword arguments of that module's Camera; firmware for one board knows its own.
    """

    width, height, format = 160, 120, "rgb565"

    def __init__(self, **pins):
        from camera import Camera, FrameSize, PixelFormat

        self.camera = Camera(frame_size=FrameSize.QQVGA, pixel_format=PixelFormat.RGB565, fb_count=1, **pins)

    def capture(self):
        # The driver fills a buffer as soon as it is free, and hands it out when it is asked, however late: one buffer
        # can hold one frame of an earlier scene, which is dropped. GrabMode.LATEST does not help: of two buffers, its
        # most, the module keeps one until the next call, and the frame in the other waits as long.
        self.camera.capture()
        return self.camera.capture()


class FileCamera:
    """Frames from files, one after the other: NAME.rgb as `bitreplay images` makes them, or what a camera captured,
    160 x 120, as NAME.rgb565 or NAME.grey."""

    def __init__(self, paths):
        self.paths = iter(paths)

    def capture(self):
        path = next(self.paths)
        ending = path.split(".")[-1]
        self.format = "rgb888" if ending == "rgb" else ending
        self.width, self.height = (SIDE, SIDE) if ending == "rgb" else (160, 120)
        with open(path, "rb") as file:
            return file.read()


@micropython.viper
def scale(frame: ptr8, width: int, height: int, depth: int, image: ptr8):  # noqa: F821
    # The largest square in the middle; each pixel of the image is the mean of those it covers.
    side = width
    if height < width:
        side = height
    left = (width - side) >> 1
    top = (height - side) >> 1
    for y in range(32):
        first = top + y * side // 32
        last = top + (y + 1) * side // 32
        for x in range(32):
            begin = left + x * side // 32
            end = left + (x + 1) * side // 32
            r = 0
            g = 0
            b = 0
            for row in range(first, last):
                p = (row * width + begin) * depth
                for _ in range(begin, end):
                    if depth == 2:
                        r += frame[p] >> 3
                        g += (frame[p] & 7) << 3 | frame[p + 1] >> 5
                        b += frame[p + 1] & 31
                    elif depth == 3:
                        r += frame[p]
                        g += frame[p + 1]
                        b += frame[p + 2]
                    else:
                        r += frame[p]
                    p += depth
            if depth == 2:
                r = r * 255 // 31
                g = g * 255 // 63
                b = b * 255 // 31
            elif depth == 1:
                g = r
                b = r
            n = (last - first) * (end - begin)
            p = 3 * (32 * y + x)
            image[p] = r // n
            image[p + 1] = g // n
            image[p + 2] = b // n


class Watcher:
    """A learner with a camera."""

    def __init__(self, learner, camera):
        self.learner, self.camera = learner, camera
        self.image = bytearray(3 * SIDE * SIDE)

    def look(self):
        """The next frame as the model's image, in a buffer that is used again."""
        camera = self.camera
        frame = camera.capture()
        depth, pixels = FORMATS[camera.format], camera.width * camera.height
        if len(frame) != depth * pixels or min(camera.width, camera.height) < SIDE:
            raise ValueError("frame: %d bytes are not %dx%d %s, %d or more a side" % (
                len(frame), camera.width, camera.height, camera.format, SIDE))  # fmt: skip
        scale(frame, camera.width, camera.height, depth, self.image)  # type: ignore[arg-type]
        return self.image

    def see(self, label, frames=10):
        """Keeps so many frames as fresh samples of a label. Turn the thing meanwhile."""
        for _ in range(frames):
            self.learner.see(self.look(), label)

    def learn(self, epochs=4):
        self.learner.learn(epochs)

    def predict(self):
        """(label, probability) of the next frame."""
        return self.learner.predict(self.look())


def on_files(folder):
    """Learns the first half of the files of each label, and tests it with the others: mug0.rgb is a mug."""
    labels = {}
    for name in sorted(os.listdir(folder)):
        if name.split(".")[-1] in ("rgb", "rgb565", "grey"):
            labels.setdefault(name.split(".")[0].rstrip("0123456789"), []).append(folder + "/" + name)
    learner = bitreplay.Learner(bitreplay.load("models/" + MODEL), fresh=1000)
    for label, paths in labels.items():
        half = paths[: len(paths) // 2]
        Watcher(learner, FileCamera(half)).see(label, len(half))
    learner.learn()
    right = total = 0
    for label, paths in labels.items():
        watcher = Watcher(learner, FileCamera(paths[len(paths) // 2 :]))
        for _ in range(len(paths) - len(paths) // 2):
            right += watcher.predict()[0] == label
            total += 1
    print("right: %d of %d frames, %d labels" % (right, total, len(labels)))


if __name__ == "__main__":
    if sys.platform == "esp32":
        try:
            net = bitreplay.load("/rom/" + MODEL)
        except OSError:
            net = bitreplay.load("/" + MODEL)  # where `bitreplay upload` puts it on firmware without ROMFS
        me = bitreplay.Learner(net)
        watcher = Watcher(me, Esp32Camera())
        print('watcher.see("mug")  watcher.see("cup")  watcher.learn()  watcher.predict()  me.save("/me.safetensors")')
    elif len(sys.argv) == 2:
        on_files(sys.argv[1])
    else:
        print("FOLDER is missing: the name of a folder with frames, see docs/examples.md")
        sys.exit(2)
