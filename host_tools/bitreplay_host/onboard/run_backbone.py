# Runs a model's backbone over images. Works on MicroPython and CPython.
#
# argument: a JSON file {"model", "images" (.npy, n x h x w x c uint8), "rows": [numbers], "out"}. Writes the packed
# latents of those rows, in order, or with "classify" the pretrained head's class, a byte a row; prints {"done": n}
# every 100 rows and at the end.

import json
import sys

import bitreplay
from npy_rows import rows


def main(config):
    net = bitreplay.load(config["model"])
    out = bytearray(1 if config.get("classify") else net.latent_bytes)
    done = 0
    with open(config["out"], "wb") as file:
        for image in rows(config["images"], config["rows"], net.image_bytes):
            if config.get("classify"):
                out[0] = net.labels.index(net.classify(image)[0])
            else:
                net.latent(image, out)
            file.write(out)
            done += 1
            if done % 100 == 0:
                print(json.dumps({"done": done}))
    print(json.dumps({"done": done}))


with open(sys.argv[1]) as configuration:
    main(json.load(configuration))
