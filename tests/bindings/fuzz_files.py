# Runs in MicroPython and CPython: models, learners and files of tensors that are damaged, changed or synthetic.
# Arguments: those of noise.py, a folder to work in, models.
#
# A file must be refused by an error that names it, or else work in everything that is done with it, to the last bit
# of memory.

import gc
import random
import sys
from array import array

import bitreplay
import noise
from bitreplay import safetensors
from bitreplay.above import Above
from damage import SIZES, change_data, change_header, damage, splice
from noise import content
from synthetic_models import SyntheticModel

MARGIN = 32
CHANGES = {"damaged": damage, "spliced": splice, "changed": change_header, "revalued": change_data}
KINDS = ["model changed", "model revalued", "synthetic", "synthetic changed"]
# What costs less time comes more often.
KINDS += 2 * ["model spliced", "learner"] + 32 * ["model damaged", "tensors"]

# A file of tensors of every type, some of them empty or of no dimension.
TENSORS = [
    ("bytes", "U8", (3,), bytes([1, 2, 3])),
    ("words", "U32", (2, 2), array("I", [1, 2, 3, 1 << 31])),
    ("none", "I16", (0, 5), b""),
    ("halves", "I16", (3,), array("h", [-1, 0, 32767])),
    ("one", "I8", (), memoryview(b"\x80")),
    ("signed", "I32", (1, 1), array("i", [-7])),
    ("unsigned", "U16", (1,), array("H", [65535])),
]

if hasattr(gc, "freeze"):
    gc.freeze()  # CPython would look through all of NumPy for each layer of a model


def content_of(path):
    with open(path, "rb") as file:
        return file.read()


def put(path, data):
    with open(path, "wb") as file:
        file.write(data)


# What is done with a file that was accepted.


def inside(size):
    """A view of that many bytes, and the bytearray around it."""
    whole = bytearray(b"\xa5" * (size + 2 * MARGIN))
    return memoryview(whole)[MARGIN : MARGIN + size], whole


def use_model(net):
    images = [content(net.image_bytes) for _ in range(2)]
    latent, around_latent = inside(net.latent_bytes)
    features, around_features = inside(net.features)
    above, seen = Above(net), []
    for image in (images[0], images[1], images[0]):
        net.latent(image, latent)
        above.features(latent, features)
        seen.append(bytes(latent) + bytes(features))
        if net.labels:
            label, probability = net.classify(image)
            assert label in net.labels and 0 <= probability <= 1
    assert seen[0] == seen[2], "a result depends on the image before"
    for whole in (around_latent, around_features):
        assert set(whole[:MARGIN] + whole[-MARGIN:]) == {0xA5}, "what is around a buffer was written"
    if random.getrandbits(3) == 0:
        learn(net)


def learn(net, me=None):
    """A learner on the model, this or a new one, does all that learners do."""
    if me is None:
        settings = {"replay": random.randint(0, 5), "fresh": 3, "classes": 3, "head_bits": random.choice((16, 32))}
        train, channels = random.choice(("head", 1, 2, "all")), random.choice((1.0, 0.25))
        try:
            me = bitreplay.Learner(net, train=train, channels=channels, q_b=random.randint(2, 16), **settings)
        except ValueError as error:
            assert str(error).startswith(("train: ", "channels: ")), error
            me = bitreplay.Learner(net, **settings)
    for label in "ab":
        if me.fresh.n < me.fresh.capacity and (label in me.labels or len(me.labels) < me.config["classes"]):
            me.see(content(net.image_bytes), label)
    if me.fresh.n + me.replay.n:
        me.learn(1, progress=False)
        label, probability = me.predict(content(net.image_bytes))
        assert label in me.labels and 0 <= probability <= 1
    me.digest()
    return me


def use_learner(net, me, path):
    """It learns, and comes back from a file."""
    learn(net, me)
    me.save(path)
    assert bitreplay.Learner.load(net, path).digest() == me.digest()


def use_tensors(data, metadata, tensors):
    """Together the tensors are all of the file's data, and each has as many bytes as its shape tells."""
    assert all(type(value) is str for value in metadata.values())
    assert sum(len(tensor.data) for tensor in tensors.values()) == len(data) - 8 - int.from_bytes(data[:8], "little")
    for tensor in tensors.values():
        size = SIZES[tensor.dtype]
        for n in tensor.shape:
            size *= n
        assert len(tensor.data) == size


# The cases.

originals = {}  # what original() returned


def original(subject, folder, path):
    """A file that is accepted: the model at path, a learner on it, or tensors."""
    # The case's own random numbers are the same whether the file was made before or not.
    state = random.getrandbits(32)
    if (subject, path) not in originals:
        random.seed(1)
        if subject == "learner":
            learn(bitreplay.load(path)).save(folder + "/original")
        elif subject == "tensors":
            safetensors.write(folder + "/original", {"format": "synthetic", "note": 'T\u00fcr "a\\b"\n'}, TENSORS)
        originals[subject, path] = content_of(path if subject == "model" else folder + "/original")
    random.seed(state)
    return originals[subject, path]


def load_model(data, path):
    opened = safetensors.open_view
    safetensors.open_view = lambda path: (memoryview(data), None)
    try:
        return bitreplay.load(path)
    finally:
        safetensors.open_view = opened


def case(number, folder, *paths, tell=False):
    """One file of a kind is loaded, and used if it is accepted: "KIND accepted" or "KIND refused"."""
    path, kind = paths[number % len(paths)], KINDS[number // len(paths) % len(KINDS)]
    subject, change = kind.split(" ") if kind.startswith("model") else (kind, random.choice(sorted(CHANGES)))
    if subject.startswith("synthetic"):
        data = SyntheticModel().model()
        data = data if subject == "synthetic" else change_header(data)
    else:
        data = CHANGES[change](original(subject, folder, path))
    fuzzed = folder + "/fuzzed"
    if tell:
        print(kind, change, path, bytes(data)[8:3000])
    try:
        if subject == "tensors":
            loaded = safetensors.parse(fuzzed, memoryview(data))
        elif subject == "learner":
            put(fuzzed, data)
            net = bitreplay.load(path)
            loaded = bitreplay.Learner.load(net, fuzzed)
        else:
            loaded = load_model(data, fuzzed)
    except (ValueError, MemoryError) as error:
        assert str(error).startswith(fuzzed + ": ") or str(error).startswith("Learner: needs"), error
        if tell:
            print(error)
        return kind + " refused"
    if subject == "tensors":
        use_tensors(data, *loaded)
    elif subject == "learner":
        use_learner(net, loaded, fuzzed)
    else:
        use_model(loaded)
    return kind + " accepted"


noise.run(case, *sys.argv[1:])
