# What a model and a learner take on this board, by formula and measured.
#
# argument: a JSON file {"model", "files": the folder of the board's files, and keyword arguments of Learner}. Prints
# {"start", "loaded", "made": the heap before, with the model and with a learner, "in_place", "scratch": bytes of the
# model's activations, "model": bytes of its weights, "buffers": what Learner.buffers() says, "flash": {that folder and
# "/rom": [size, free]}}.

import json
import os
import sys

import bitreplay


def flash(files):
    status = os.statvfs(files)
    found = {files: [status[1] * status[2], status[0] * status[3]]}
    try:
        from vfs import rom_ioctl  # type: ignore[attr-defined]

        partition = rom_ioctl(2, 0)
        size = partition.ioctl(4, 0) * partition.ioctl(5, 0)
    except (AttributeError, ImportError, OSError, TypeError):
        return found
    found["/rom"] = [size, size]
    try:
        found["/rom"][1] -= sum([os.stat("/rom/" + name)[6] for name in os.listdir("/rom")])
    except OSError:
        pass
    return found


def main(config):
    start = bitreplay.heap()
    net = bitreplay.load(config.pop("model"))
    loaded = bitreplay.heap()
    files = config.pop("files")
    learner = bitreplay.Learner(net, **config)
    result = {
        "start": start,
        "loaded": loaded,
        "made": bitreplay.heap(),
        "in_place": net.in_place,
        "scratch": net.scratch_bytes,
        "model": net.weights_bytes,
        "buffers": learner.buffers(),
        "flash": flash(files),
    }
    print(json.dumps(result))


with open(sys.argv[1]) as configuration:
    main(json.load(configuration))
