# Runs a model's backbone over images. Works on MicroPython and CPython.
#
# argument: a JSON file {"model", "images" (.npy, n x h x w x c uint8), "rows": [numbers], "out"}. Writes the packed
# latents of those rows, in order; or by "kind" their "streams", the int8 values whose signs are the latent, or the
# pretrained head's "classes", a byte a row. Prints {"done": n} every 100 rows and at the end.

import json
import sys

import bitreplay
from bitreplay.graph import STREAM
from npy_rows import rows


def main(config):
    net = bitreplay.load(config["model"])
    kind = config["kind"]
    out = bytearray(1 if kind == "classes" else net.latent_bytes)
    stream = net.scratch[STREAM][: 8 * net.latent_bytes]  # is what it was when the latent was made of it
    done = 0
    with open(config["out"], "wb") as file:
        for image in rows(config["images"], config["rows"], net.image_bytes):
            if kind == "classes":
                out[0] = net.labels.index(net.classify(image)[0])
            else:
                net.latent(image, out)
            file.write(stream if kind == "streams" else out)
            done += 1
            if done % 100 == 0:
                print(json.dumps({"done": done}))
    print(json.dumps({"done": done}))


with open(sys.argv[1]) as configuration:
    main(json.load(configuration))
