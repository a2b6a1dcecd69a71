# A learner's settings, its memory budget, its digest, and its state as a file (docs/formats.md, "Learner state").

import binascii
import gc
import hashlib

import _bitreplay as kernels

from . import safetensors
from .replay import BATCH
from .safetensors import quote

FORMAT, VERSION = "bitreplay-learner", "1"
METADATA = ("format", "version", "model", "config", "labels", "experiences")
MAX_LABEL = 64
MOST = (1 << 30) - 1  # samples of a class, experiences
NUMBER = "%.6g"  # how a setting that is no integer is written: the same in single and double precision

# What a learner is made with.


def _show(value):
    """A value in a message, whatever a hostile file made of it."""
    return repr(value)[:40] if type(value) in (int, float, bool, str) else type(value).__name__


def check(name, value, low, high):
    """An integer in low..high, or ValueError."""
    if type(value) is not int or not low <= value <= high:
        raise ValueError("%s: must be an integer, %d..%d, got %s" % (name, low, high, _show(value)))
    return value


def check_one_of(name, value, allowed):
    for one in allowed:
        if type(value) is type(one) and value == one:
            return value
    raise ValueError("%s: must be %s, got %s" % (name, " or ".join([repr(one) for one in allowed]), _show(value)))


def check_rate(name, value):
    """A learning rate, rounded as it is saved. The kernels' exponents can express any in this range."""
    if type(value) not in (int, float) or not 1e-5 <= value <= 1000:
        raise ValueError("%s: must be a number, 0.00001..1000, got %s" % (name, _show(value)))
    return float(NUMBER % value)


def check_label(label):
    """A str of 1..64 characters (that UTF-8 can encode) or an int of 64 bits, or ValueError."""
    good = False
    if type(label) is int:
        good = -(1 << 63) <= label < 1 << 63
    elif type(label) is str:
        good = 0 < len(label) <= MAX_LABEL and label.encode()
    if not good:
        raise ValueError(
            "label: must be a str of 1..%d characters or an int of 64 bits, got %s" % (MAX_LABEL, _show(label))
        )


def scratch_bytes(net, q_b):
    """Working memory of bconv_backward."""
    return 4 * kernels.bconv_scratch(net.tail.geometry, BATCH, q_b)


def buffers(net, config):
    """Bytes of every buffer of a learner with these settings, by formula, before they are there: "part.buffer".

    replay, fresh: M * (latent bits / 8 + label). weights: cw, its quantized copy with a shift a class, the binary
    layer's latent weights and their signs. gradients: tw and its velocity, and what a minibatch needs.
    """
    classes, n, latent = config["classes"], net.features, net.latent_bytes
    found = {}
    for part in ("replay", "fresh"):
        found[part + ".latents"], found[part + ".classes"] = config[part] * latent, config[part]
    found["weights.cw"], found["weights.quantized"], found["weights.shift"] = 2 * classes * n, classes * n, classes
    found["weights.past"], found["weights.rng"] = 4 * classes, 4
    master = classes * n * config["head_bits"] // 8
    found["gradients.tw"], found["gradients.velocity"] = master, master
    found["gradients.x"], found["gradients.e"] = BATCH * latent, 2 * BATCH * classes
    found["gradients.scores"], found["gradients.active"] = 4 * classes, classes
    if len(net.spare) < BATCH * n:
        found["gradients.f"] = BATCH * n
    if net.tail:
        found["weights.packed"] = len(net.tail.weight) // 8
    if config["conv"]:
        found["weights.weight"] = len(net.tail.weight)
        found["gradients.xt"], found["gradients.scratch"] = BATCH * latent, scratch_bytes(net, config["q_b"])
    return found


def memory(net, config):
    """The buffers() in bytes, summed by part.

    activations: the network's scratch, which exists already. total: all of them, that is, all but the frozen weights.
    """
    budget = {"replay": 0, "fresh": 0, "weights": 0, "gradients": 0}
    for name, size in buffers(net, config).items():
        budget[name.split(".")[0]] += size
    budget["activations"] = net.scratch_bytes
    budget["total"] = sum(budget.values())
    return budget


def heap():
    """Bytes of MicroPython's heap: {"used", "free", "block"}; block is the largest that is free in one piece.

    Some hundred bytes may be missing in block; to find it takes some ten collections. {} on CPython.
    """
    if not hasattr(gc, "mem_free"):
        return {}
    gc.collect()
    used, free, block, step = gc.mem_alloc(), gc.mem_free(), 0, 1
    while step <= free:
        step *= 2
    while step > 64:
        step //= 2
        try:
            bytearray(block + step)
            block += step
        except MemoryError:
            pass
    return {"used": used, "free": free, "block": block}


def budget_text(net, config):
    """What a learner needs that is not there yet, for people."""
    budget = memory(net, config)
    return "needs %d bytes of RAM (replay %d, fresh %d, weights %d, gradients %d), %d of them in one block" % (
        budget["total"] - budget["activations"],
        budget["replay"],
        budget["fresh"],
        budget["weights"],
        budget["gradients"],
        max(buffers(net, config).values()),
    )


# The state.


def save(learner, path):
    """Writes the whole state; the file at path is the old one or the new one, whatever happens meanwhile."""
    metadata = {
        "format": FORMAT,
        "version": VERSION,
        "model": learner.net.digest,
        "config": "{%s}" % ",".join(['"%s":%s' % (k, _json(learner.config[k])) for k in sorted(learner.config)]),
        "labels": _labels(learner),
        "experiences": str(learner.experiences),
    }
    safetensors.write(path, metadata, _tensors(learner))


def _json(value):
    # json.dumps gives other texts under MicroPython than under CPython.
    if type(value) is bool:
        return "true" if value else "false"
    if type(value) is int:
        return str(value)
    return quote(value) if type(value) is str else NUMBER % value


def _labels(learner):
    return "[%s]" % ", ".join([_json(label) for label in learner.labels])


def _tensors(learner):
    """(name, dtype, shape, buffer) of everything that is learned."""
    classes, features = learner.config["classes"], learner.net.features
    tensors = [
        ("rng", "U32", (1,), learner.rng),
        ("past", "U32", (classes,), learner.past),
        ("head", "I16", (classes, features), learner.cw),
    ]
    if learner.weight is not None:
        tensors.append(("tail", "I8", (len(learner.weight),), learner.weight))
    for name, samples in (("replay", learner.replay), ("fresh", learner.fresh)):
        latents = memoryview(samples.latents)[: samples.n * samples.latent_bytes]
        tensors.append((name + ".latents", "U32", (samples.n, samples.latent_bytes // 4), latents))
        tensors.append((name + ".classes", "U8", (samples.n,), memoryview(samples.classes)[: samples.n]))
    return tensors


def digest(learner):
    """sha256 (hex) of labels, experiences and all tensors of the file. Settings do not count."""
    sha = hashlib.sha256()
    sha.update(_labels(learner).encode())
    sha.update(str(learner.experiences).encode())
    for name, _, _, data in _tensors(learner):
        sha.update(name.encode())
        sha.update(data)
    return binascii.hexlify(sha.digest()).decode()


# Loading. The learner is made first and filled then, so that there is no other copy; it is out only after all checks.


def load(make, net, path):
    """A learner on net from a file that save() wrote. make: its class.

    ValueError names the field or tensor that is wrong, MemoryError the bytes that were needed.
    """
    path = str(path)
    metadata, tensors = safetensors.scan(path)
    _check_metadata(path, metadata, net)
    learner = _make(make, net, path, _parse(path, metadata, "config", "{}"))
    learner.experiences = _parse(path, metadata, "experiences", "")
    learner.labels = _parse(path, metadata, "labels", "[]")
    try:
        check("experiences", learner.experiences, 0, MOST)
        check("labels", len(learner.labels), 0, learner.config["classes"])
        for label in learner.labels:
            check_label(label)
            if learner.labels.count(label) > 1:
                raise ValueError("labels: %r is there twice" % label)
    except ValueError as error:
        raise ValueError("%s: %s" % (path, error))
    _read_tensors(path, learner, tensors)
    _check_tensors(path, learner)
    if learner.weight is not None:
        learner.pack()
    return learner


def _fail(path, field, what):
    raise ValueError("%s: %s: %s" % (path, field, what))


def _check_metadata(path, metadata, net):
    if metadata.get("format") != FORMAT:
        _fail(path, "format", "is not %s; is it a file that Learner.save() wrote?" % FORMAT)
    if metadata.get("version") != VERSION:
        _fail(path, "version", "is not %s, which this release reads; update BitReplay" % VERSION)
    for field in METADATA:
        if field not in metadata:
            _fail(path, field, "is missing; save the learner again")
    for field in metadata:
        if field not in METADATA:
            _fail(path, field[:64], "is not a field of the metadata; update BitReplay")
    if metadata["model"] != net.digest:
        both = (metadata["model"][:8], net.digest[:8])
        _fail(path, "model", "the learner is one of another model (sha256 %s..., this one has %s...)" % both)


def _parse(path, metadata, field, brackets):
    try:
        # An integer has no brackets.
        return safetensors.loads(metadata[field], brackets) if brackets else int(metadata[field])
    except (ValueError, TypeError, RuntimeError) as error:
        _fail(path, field, "is not valid (%s); save the learner again" % type(error).__name__)


def _make(make, net, path, config):
    try:
        learner = make(net, **config)
    except TypeError:
        _fail(path, "config", "has a field that this release does not know; update BitReplay")
    except ValueError as error:
        raise ValueError("%s: config: %s" % (path, error))
    for field in sorted(learner.config):
        if field not in config:
            _fail(path, "config", "%s is missing; save the learner again" % field)
    if len(config) != len(learner.config):
        _fail(path, "config", "has a field too many")
    return learner


def _read_tensors(path, learner, tensors):
    for samples, name in ((learner.replay, "replay.classes"), (learner.fresh, "fresh.classes")):
        shape = tensors[name].shape if name in tensors else ()
        if len(shape) != 1 or shape[0] > samples.capacity:
            _fail(path, name, "must be there and have at most %d elements" % samples.capacity)
        samples.n = shape[0]
    for name, dtype, shape, data in _tensors(learner):
        tensor = tensors.pop(name, None)
        if tensor is None:
            _fail(path, name, "is missing; it must be %s %s" % (dtype, shape))
        if tensor.dtype != dtype or tensor.shape != shape:
            _fail(path, name, "is %s %s, but the learner has %s %s" % (tensor.dtype, tensor.shape, dtype, shape))
        safetensors.fill(path, tensor, data)
    for name in tensors:
        _fail(path, name, "is a tensor that this learner does not have")


def _check_tensors(path, learner):
    known = len(learner.labels)
    for samples, name in ((learner.replay, "replay.classes"), (learner.fresh, "fresh.classes")):
        for i in range(samples.n):
            if samples.classes[i] >= known:
                _fail(path, name, "there are %d labels, but a sample of class %d" % (known, samples.classes[i]))
    for c in range(len(learner.past)):
        if learner.past[c] > (MOST if c < known else 0):
            _fail(path, "past", "%d samples of class %d are too many" % (learner.past[c], c))
    if learner.rng[0] == 0:
        _fail(path, "rng", "must not be 0")
