# A learner's state as a file (docs/formats.md, "Learner state"), its digest and its memory budget.

import binascii
import hashlib
import json
from array import array

from . import safetensors
from .replay import BATCH

FORMAT, VERSION = "bitreplay-learner", "1"


def save(learner, path):
    """Writes the whole state; the file at path is the old one or the new one, whatever happens meanwhile."""
    metadata = {
        "format": FORMAT,
        "version": VERSION,
        "model": learner.net.digest,
        "config": json.dumps(learner.config),
        "labels": json.dumps(learner.labels),
        "experiences": str(learner.experiences),
    }
    safetensors.write(path, metadata, _tensors(learner))


def _tensors(learner):
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
    """sha256 (hex) of everything learned: equal digests are equal learners."""
    sha = hashlib.sha256()
    sha.update(json.dumps([str(label) for label in learner.labels]).encode())
    sha.update(str(learner.experiences).encode())
    for name, _, _, data in _tensors(learner):
        sha.update(name.encode())
        sha.update(data)
    return binascii.hexlify(sha.digest()).decode()


def _parse(metadata, field, kind, path):
    try:
        value = json.loads(metadata[field])
    except KeyError:
        raise ValueError("%s: field %s is missing; this is not a learner's state" % (path, field))
    except (ValueError, RuntimeError):
        raise ValueError("%s: field %s is not valid JSON" % (path, field))
    if not isinstance(value, kind):
        raise ValueError("%s: field %s has the wrong type" % (path, field))
    return value


def load(make, net, path):
    """A learner on net from a file that save() wrote. make: the class. ValueError names the field or tensor."""
    metadata, tensors = safetensors.read(path)
    if metadata.get("format") != FORMAT or metadata.get("version") != VERSION:
        raise ValueError("%s: format is %r version %r, not %s version %s; is it a learner's state, of this release?"
                         % (path, metadata.get("format"), metadata.get("version"), FORMAT, VERSION))
    if metadata.get("model") != net.digest:
        raise ValueError("%s: model: the state belongs to another model (sha256 %s..., this one is %s...)"
                         % (path, str(metadata.get("model"))[:8], net.digest[:8]))
    config = _parse(metadata, "config", dict, path)
    labels = _parse(metadata, "labels", list, path)
    experiences = _parse(metadata, "experiences", int, path)
    try:
        learner = make(net, **config)
    except TypeError:
        raise ValueError("%s: field config does not fit this release's learner" % path)
    if len(labels) > config["classes"] or len({str(label) for label in labels}) != len(labels):
        raise ValueError("%s: field labels has duplicates or more than %d entries" % (path, config["classes"]))
    for label in labels:
        if not isinstance(label, (str, int)):
            raise ValueError("%s: field labels: %r is neither a string nor an integer" % (path, label))
    if not 0 <= experiences < 1 << 30:
        raise ValueError("%s: field experiences is out of range" % path)
    for samples, name in ((learner.replay, "replay"), (learner.fresh, "fresh")):
        _load_samples(samples, name, tensors, len(labels), path)
    # The learner is new, so what is set from here on was checked against the file or is checked by the next line.
    learner.labels, learner.experiences = labels, experiences
    expected = _tensors(learner)
    if len(expected) != len(tensors):
        raise ValueError("%s: expected %d tensors, got %d" % (path, len(expected), len(tensors)))
    for name, dtype, shape, data in expected:
        _fill(data, name, dtype, shape, tensors, path)
    if learner.rng[0] == 0:
        raise ValueError("%s: tensor rng: state must not be 0" % path)
    for c in range(config["classes"]):
        if learner.past[c] and c >= len(labels) or learner.past[c] >= 1 << 30:
            raise ValueError("%s: tensor past: class %d is not known or out of range" % (path, c))
    if learner.weight is not None:
        learner.pack()
    return learner


def _tensor(name, tensors, path):
    try:
        return tensors[name]
    except KeyError:
        raise ValueError("%s: tensor %s is missing" % (path, name))


def _load_samples(samples, name, tensors, labels, path):
    classes = _tensor(name + ".classes", tensors, path)
    if len(classes.data) > samples.capacity:
        raise ValueError("%s: tensor %s.classes: %d samples do not fit %d" % (path, name, len(classes.data), samples.capacity))
    for c in classes.data:
        if c >= labels:
            raise ValueError("%s: tensor %s.classes: class %d has no label" % (path, name, c))
    samples.n = len(classes.data)


def _fill(data, name, dtype, shape, tensors, path):
    tensor = _tensor(name, tensors, path)
    if tensor.dtype != dtype or tuple(tensor.shape) != shape:
        raise ValueError("%s: tensor %s: expected %s %r, got %s %r" % (path, name, dtype, shape, tensor.dtype, tensor.shape))
    if isinstance(data, array):
        typecode = {"I16": "h", "U32": "I"}[dtype]
        memoryview(data)[:] = memoryview(array(typecode, bytes(tensor.data)))
    else:
        data[:] = tensor.data


def memory(learner):
    """The learner's buffers in bytes, by formula; "total" is all of them, that is, all but the frozen backbone."""
    net, config = learner.net, learner.config
    classes, n, latent = config["classes"], net.features, net.latent_bytes
    weights = classes * (n * (2 + 1) + 1)  # cw, its quantized copy and the shifts
    gradients = classes * n * 2 * config["head_bits"] // 8  # tw and its velocity
    gradients += BATCH * (latent + n + 2 * classes) + 5 * classes  # a minibatch; scores and active classes
    if net.tail:
        filter_size = net.latent_shape[2] // net.tail.geometry[7]
        weights += n * filter_size // 8
        if config["conv"]:
            weights += n * filter_size
            positions = BATCH * net.latent_shape[0] * net.latent_shape[1]
            gradients += BATCH * (latent + 2 * n) + 4 * (positions + config["q_b"] * positions // 32 + filter_size)
    budget = {
        "replay": config["replay"] * (latent + 1),
        "fresh": config["fresh"] * (latent + 1),
        "weights": weights,
        "gradients": gradients,
        "activations": net.scratch_bytes,
    }
    budget["total"] = sum(budget.values())
    return budget
