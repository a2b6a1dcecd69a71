# A learner's state as a file (docs/formats.md, "Learner state"), and its digest.

import binascii
import hashlib

from . import safetensors
from .checks import MAX_COUNT, RATE_FORMAT, check_integer, check_label, check_path, check_sizes, plain
from .header import RESERVE, escape, header_bytes, quote
from .metadata import check_fields, parse_field
from .safetensors import MAX_HEADER, fail

FORMAT, VERSION = "bitreplay-learner", "2"
FIELDS = ("format", "version", "model", "config", "labels", "experiences")
WRITER = "Learner.save()"


def reserve():
    """A bytearray of that size, or of less if small objects have got into its place; None if there is no room."""
    for size in range(RESERVE, RESERVE // 2, -64):
        try:
            return bytearray(size)
        except MemoryError:
            pass


def save(learner, path):
    """Writes the whole state; the file at path is the old one or the new one, whatever happens meanwhile."""
    _by_reserve(learner, lambda: safetensors.write(path, _metadata(learner, learner.labels), _tensors(learner)))


def _by_reserve(learner, call):
    learner.net.reserve = None
    try:
        return call()
    finally:
        learner.net.reserve = reserve()


def check_room(learner, label):
    """ValueError if a header has no room for another label."""
    parts = len(learner.trainer.parts) if learner.trainer else 0
    # Most have room for labels and names of any length, and need not be written to know it.
    if 512 * len(learner.labels) + 1024 * parts < MAX_HEADER // 2:
        return
    tensors = _tensors(learner)
    # Numbers that grow, of samples and bytes, may have more digits then.
    size = header_bytes(_metadata(learner, learner.labels + [label]), tensors) + 64 + 16 * len(tensors)
    if size > MAX_HEADER:
        raise ValueError(
            "label: with it a saved learner's header could have %d bytes, at most %d are allowed; use shorter labels"
            % (size, MAX_HEADER)
        )


def _metadata(learner, labels):
    return {
        "format": FORMAT,
        "version": VERSION,
        "model": learner.net.digest,
        "config": "{%s}" % ",".join(['"%s":%s' % (k, _json(learner.config[k])) for k in sorted(learner.config)]),
        "labels": lambda: _labels(labels),
        "experiences": str(learner.experiences),
    }


def _json(value):
    # json.dumps gives other texts under MicroPython than under CPython.
    if type(value) is bool:
        return "true" if value else "false"
    if type(value) is int:
        return str(value)
    return quote(value) if type(value) is str else RATE_FORMAT % value


def _labels(labels):
    """Their JSON, in pieces."""
    yield "["
    before = ""
    for label in labels:
        yield before
        if type(label) is int:
            yield str(label)
        else:
            yield '"'
            # In short pieces, as there may be no more memory than the reserve.
            for i in range(0, len(label), 16):
                yield escape(label[i : i + 16])
            yield '"'
        before = ", "
    yield "]"


def _tensors(learner, classes=None):
    """(name, dtype, shape, buffer) of everything that is learned. classes: of the head, all unless told."""
    features, past, cw = learner.net.features, learner.head.past, learner.head.cw
    if classes is None:
        classes = learner.config["classes"]
    else:
        past, cw = memoryview(past)[:classes], memoryview(cw)[: classes * features]
    tensors = [
        ("rng", "U32", (1,), learner.rng),
        ("past", "U32", (classes,), past),
        ("head", "I16", (classes, features), cw),
    ]
    if learner.trainer:
        for part in learner.trainer.parts:
            tensors.append((part.layer.name + ".weight", "I8", (len(part.channels), part.fan_in), part.weight))
    for name, samples in (("replay", learner.replay), ("fresh", learner.fresh)):
        tensors.append((name + ".latents", "U32", (samples.n, samples.latent_bytes // 4), samples.filled()))
        tensors.append((name + ".classes", "U8", (samples.n,), memoryview(samples.classes)[: samples.n]))
    return tensors


def digest(learner):
    """sha256 (hex) of labels, experiences and all tensors of the file. Settings do not count."""
    return _by_reserve(learner, lambda: _digest(learner))


def _digest(learner):
    sha = hashlib.sha256()
    for piece in _labels(learner.labels):
        sha.update(piece.encode())
    sha.update(str(learner.experiences).encode())
    for name, _, _, data in _tensors(learner):
        sha.update(name.encode())
        sha.update(data)
    return binascii.hexlify(sha.digest()).decode()


# Loading. The learner is made first and filled then, so that there is no other copy; it is out only after all checks.


def load(make, net, path, larger):
    """A learner on net from a file that save() wrote. make: its class. larger: settings that are to grow, a dict.

    ValueError names the field or tensor that is wrong, MemoryError the bytes that were needed.
    """
    # What a learner left room for by its reserve is room for the file's header here.
    kept = net.reserve is not None
    try:
        net.reserve = False
        learner = _load(make, net, check_path(path), larger)
        kept = True
        return learner
    finally:
        net.reserve = reserve() if kept else None


def _load(make, net, path, larger):
    # The header is read twice, so that none of it lies between the learner's buffers: that may be the last room.
    config = _config(net, path)
    classes = config.get("classes")
    learner = _make(make, net, path, _grown(path, config, larger))
    metadata, tensors = safetensors.scan(path)
    learner.experiences = parse_field(path, metadata, "experiences", "", WRITER)
    learner.labels = parse_field(path, metadata, "labels", "[]", WRITER)
    del metadata  # labels may be long
    try:
        check_integer("experiences", learner.experiences, 0, MAX_COUNT)
        check_integer("labels", len(learner.labels), 0, learner.config["classes"])
        for label in learner.labels:
            check_label(label)
            if learner.labels.count(label) > 1:
                raise ValueError("labels: %r is there twice" % label)
    except ValueError as error:
        raise ValueError("%s: %s" % (path, error))
    _read_tensors(path, learner, tensors, classes)
    _check_tensors(path, learner)
    if learner.trainer:
        learner.trainer.pack()
    return learner


def _config(net, path):
    """The settings of the learner in a file, which is one on this network."""
    metadata, _ = safetensors.scan(path)
    check_fields(path, metadata, FORMAT, VERSION, FIELDS, (), WRITER)
    if metadata["model"] != net.digest:
        digests = metadata["model"][:8], net.digest[:8]
        fail(path, "model", "the learner belongs to another model (sha256 %s..., this one has %s...)" % digests)
    return parse_field(path, metadata, "config", "{}", WRITER)


def _grown(path, config, larger):
    """The settings with larger sizes. ValueError for sizes that cannot be, of the file or the caller's."""
    sizes = {name: config.get(name) for name in ("replay", "fresh", "classes")}
    for name in larger:
        if name not in sizes:
            raise TypeError("%s: cannot be changed; only replay, fresh and classes can grow" % name)
    if larger:
        try:
            check_sizes(sizes)
        except ValueError as error:
            fail(path, "config", str(error))
        sizes.update({name: plain(value) for name, value in larger.items()})
        for name, value in check_sizes(sizes).items():
            if value < config[name]:
                raise ValueError("%s: the learner in the file has %d; give as many or more" % (name, config[name]))
            config[name] = value
    return config


def _make(make, net, path, config):
    try:
        learner = make(net, **config)
    except TypeError:
        fail(path, "config", "has a field that this release does not know; update BitReplay")
    except ValueError as error:
        raise ValueError("%s: config: %s" % (path, error))
    for field in sorted(learner.config):
        if field not in config:
            fail(path, "config", "%s is missing; save the learner again" % field)
    # None and "all" are for those who make one; a file has what became of them.
    for field in ("train", "cwr"):
        if type(config[field]) is not type(learner.config[field]):
            fail(path, "config", "%s: must be %s" % (field, {"train": "a number", "cwr": "true or false"}[field]))
    if len(config) != len(learner.config):
        fail(path, "config", "has a field too many")
    return learner


def _read_tensors(path, learner, tensors, classes):
    """classes: of the head in the file, at most the learner's."""
    for samples, name in ((learner.replay, "replay.classes"), (learner.fresh, "fresh.classes")):
        tensor = tensors.get(name)
        if tensor is None or len(tensor.shape) != 1 or tensor.shape[0] > samples.capacity:
            fail(path, name, "must be there and have at most %d elements" % samples.capacity)
        samples.n = tensor.shape[0]
    for name, dtype, shape, data in _tensors(learner, classes):
        tensor = tensors.pop(name, None)
        if tensor is None:
            fail(path, name, "is missing; it must be %s %s" % (dtype, shape))
        if tensor.dtype != dtype or tensor.shape != shape:
            fail(path, name, "is %s %s, but the learner has %s %s" % (tensor.dtype, tensor.shape, dtype, shape))
        safetensors.fill(path, tensor, data)
    for name in tensors:
        fail(path, name, "is a tensor that this learner does not have")


def _check_tensors(path, learner):
    known = len(learner.labels)
    for samples, name in ((learner.replay, "replay.classes"), (learner.fresh, "fresh.classes")):
        for i in range(samples.n):
            if samples.classes[i] >= known:
                fail(path, name, "there are %d labels, but a sample of class %d" % (known, samples.classes[i]))
    past = learner.head.past
    for c in range(len(past)):
        if past[c] > (MAX_COUNT if c < known else 0):
            fail(path, "past", "%d samples of class %d are too many" % (past[c], c))
    for part in learner.trainer.parts if learner.trainer else ():
        if b"\x80" in part.weight:
            fail(path, part.layer.name + ".weight", "must be -127..127, got -128")
    if learner.rng[0] == 0:
        fail(path, "rng", "must not be 0")
