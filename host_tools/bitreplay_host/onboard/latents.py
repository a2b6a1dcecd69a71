# Runs a model's backbone over images. Works on MicroPython and CPython.
#
# arguments: a JSON file {"model", "images" (.npy, n x h x w x c uint8), "rows": [numbers], "out"}. Writes the packed
# latents of those rows, in order, and prints a line {"done": n} every 100.

import json
import sys

import bitreplay


def npy_offset(file):
    """Where the data of an open .npy file (version 1 or 2) starts."""
    head = file.read(12)
    if head[:6] != b"\x93NUMPY":
        raise ValueError("not a .npy file")
    if head[6] == 1:
        return 10 + head[8] + 256 * head[9]
    return 12 + int.from_bytes(head[8:12], "little")


def main(config):
    net = bitreplay.load(config["model"])
    image = bytearray(net.image_bytes)
    latent = bytearray(net.latent_bytes)
    with open(config["images"], "rb") as images, open(config["out"], "wb") as out:
        start = npy_offset(images)
        done = 0
        for row in config["rows"]:
            images.seek(start + row * net.image_bytes)
            if images.readinto(image) != len(image):
                raise ValueError("images: row %d is missing" % row)
            net.latent(image, latent)
            out.write(latent)
            done += 1
            if done % 100 == 0:
                print(json.dumps({"done": done}))
    print(json.dumps({"done": done}))


with open(sys.argv[1]) as file:
    configuration = json.load(file)
main(configuration)
