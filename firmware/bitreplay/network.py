# A pretrained binary network: image to latent, latent to features, and with a pretrained head to a label.

import binascii
import gc
import hashlib
import sys
from array import array

import _bitreplay as kernels

from . import graph, safetensors
from .above import Above
from .busy import Lock, idle
from .calls import add_calls
from .checks import check_buffer, check_path
from .dataflow import MAX_NAME, is_text
from .metadata import check_fields, parse_field
from .safetensors import fail
from .tables import Tables

FORMAT, VERSION = "bitreplay-model", "2"
FIELDS, OPTIONAL = ("format", "version", "name", "graph"), ("labels",)
WRITER = "`bitreplay export`"
ONE = 1 << 14  # probability 1


def load(path):
    """The Network in a model file (docs/formats.md).

    Everything is checked before the first kernel runs. ValueError names the field or tensor that is wrong, MemoryError
    the bytes that were needed, OSError the file that could not be read.
    """
    path = check_path(path)
    try:
        return _load(path)
    except MemoryError as error:
        hint = shadow()
        if not hint or hint in str(error):
            raise
        raise MemoryError("%s: %s%s" % (path, error, hint))


def _load(path):
    view, file = safetensors.open_view(path)
    metadata, tensors = safetensors.parse(path, view, file)
    check_fields(path, metadata, FORMAT, VERSION, FIELDS, OPTIONAL, WRITER)
    if not is_text(metadata["name"]):
        fail(path, "name", "must have 1..%d characters" % MAX_NAME)
    found = parse_field(path, metadata, "graph", "{}", WRITER)
    if len(found) != 2 or "image" not in found or "layers" not in found:
        fail(path, "graph", "must have exactly the fields image and layers")
    if not graph.check_shape(found["image"]):
        fail(path, "graph", "image must be [height, width, channels], at most 256, 256, 16")
    weights_bytes = sum(tensor.size for tensor in tensors.values())
    plan = graph.Graph(path, tuple(found["image"]), found["layers"], _labels(path, metadata), tensors)
    return Network(path, metadata["name"], plan, view, file, weights_bytes)


def check_network(net):
    """net. TypeError if it is none."""
    if not isinstance(net, Network):
        raise TypeError("net: must be a Network, which bitreplay.load(path) returns, got " + type(net).__name__)
    return net


def _labels(path, metadata):
    if "labels" not in metadata:
        return None
    labels = parse_field(path, metadata, "labels", "[]", WRITER)
    most = graph.MAX_CHANNELS
    if not 0 < len(labels) <= most or not all(is_text(s) for s in labels):
        fail(path, "labels", "must be a list of 1..%d strings of 1..%d characters" % (most, MAX_NAME))
    if len(set(labels)) != len(labels):
        fail(path, "labels", "has a label twice")
    return labels


def _sha256(view):
    sha = hashlib.sha256()
    for i in range(0, len(view), 4096):
        sha.update(view[i : i + 4096])
    return binascii.hexlify(sha.digest()).decode()


def shadow():
    """A hint, where a copy of the package in RAM, as of a mounted folder, hides the one in a board's firmware."""
    path = str(sys.modules[__name__.split(".")[0]].__path__)
    # Firmware that has the kernels has the package too; the module of an installation is a file.
    if sys.platform in ("linux", "darwin", "win32") or hasattr(kernels, "__file__") or path.startswith(".frozen"):
        return ""
    return "; the package is in RAM, from %s: rename that folder, or leave it, to use the firmware's" % path


class Network:
    """A model, ready to run; its weights stay where they are, in flash if they can. Made by load().

    above: the Layers (graph.py) from after the latent to before the features. pooling: what makes the features of the
    stream, "global_avg_pool" or "flatten". scratch: the stream and two buffers of bits; latent() and Above work there,
    while busy, a Lock, is taken: for each call of this or of a learner. tables: the memory for Tables.
    """

    def __init__(self, path, name, plan, view, file, weights_bytes):
        self.name = name
        self.image_shape, self.latent_shape = plan.image, plan.latent
        self.image_bytes = graph.count(plan.image)
        self.latent_bytes = graph.count(plan.latent) // 8
        self.above, self.pooling, self.features = plan.above, plan.pooling, plan.features
        self.labels, self.head = plan.labels, plan.head  # head: weight and shift of the classes, or None
        self.binary_macs, self.int8_macs = plan.binary_macs, plan.int8_macs
        self.weights_bytes, self.in_place = weights_bytes, file is not None
        self.digest = _sha256(view)
        self._file = file  # the weights are views of it
        self._buffers = None
        self.busy = Lock()
        self.reserve = None  # of state.py
        self._allocate(path, plan.sizes[: graph.LATENT])
        # What is left of the stream while the layers above the latent run; a learner works there.
        self.spare = self.scratch[graph.STREAM][_stream(plan.above) :]
        calls = []
        for layer in plan.backbone:
            add_calls(calls, layer, self.scratch)
        self._first: list = calls[0][1]
        self._calls, self._last = calls[1:-1], calls[-1]
        self._served = calls[1:]
        self.tables = Tables(plan.backbone + plan.above)

    def _allocate(self, path, sizes):
        self.scratch_bytes = sum(sizes)
        gc.collect()
        try:
            self.scratch = [memoryview(bytearray(size)) for size in sizes]
        except MemoryError:
            raise MemoryError(
                "%s: running it needs %d bytes of RAM, %d of them in one piece%s; free some, or use a smaller model"
                % (path, self.scratch_bytes, max(sizes), shadow())
            )

    def latent(self, image, out):
        """Runs the frozen part: image (uint8 buffer of image_bytes, image_shape) to out (buffer of latent_bytes).

        ValueError names the buffer that has another size. RuntimeError if another call has not ended.
        """
        with idle(self.busy):
            self._run(image, out)

    def _run(self, image, out):
        """latent() of a caller that has taken `busy`."""
        self.tables.serve(self._served)
        first = self._first
        first[1] = check_buffer("image", image, self.image_shape, self.image_bytes)
        try:
            kernels.conv2d(*first)
        except ValueError:
            raise ValueError("image: expected %d bytes, uint8 of shape %s" % (self.image_bytes, self.image_shape))
        finally:
            first[1] = None
        kernels.run(self._calls, (), 1)
        kernel, arguments = self._last
        arguments[-1] = out
        try:
            kernel(*arguments)
        except TypeError:
            raise TypeError(
                "out: must be a buffer of %d bytes to write to, such as bytearray, got %s"
                % (self.latent_bytes, type(out).__name__)
            )
        except ValueError:
            raise ValueError("out: expected %d bytes, aligned to 4" % self.latent_bytes)
        finally:
            arguments[-1] = None

    def classify(self, image):
        """(label, probability) by the pretrained head, which learns nothing. ValueError if the model has none."""
        if not self.head:
            raise ValueError("classify: the model has no pretrained head; make a Learner and teach it")
        with idle(self.busy):
            return self._classify(image)

    def _classify(self, image):
        if not self._buffers:
            self._buffers = Buffers(self)
        b = self._buffers
        self._run(image, b.latent)
        b.above.features(b.latent, b.features)
        weight, shift = self.head
        kernels.dense(b.features, weight, shift, b.scores)
        best = kernels.softmax(b.scores, b.active, -1, b.errors)
        return self.labels[best], b.errors[best] / ONE

    def __repr__(self):
        image, latent = ("%dx%dx%d" % shape for shape in (self.image_shape, self.latent_shape))
        return (
            "<Network %s: image %s, latent %s (%d bytes), %.1f M binary and %.1f M int8 MACs, "
            "%d bytes of scratch in RAM, %d bytes of weights in %s>"
        ) % (
            self.name,
            image,
            latent,
            self.latent_bytes,
            self.binary_macs / 1e6,
            self.int8_macs / 1e6,
            self.scratch_bytes,
            self.weights_bytes,
            "flash" if self.in_place else "RAM",
        )


def _stream(layers):
    """Bytes of the stream that these layers read and write."""
    size = 0
    for layer in layers:
        if layer.source == graph.STREAM:
            size = max(size, graph.count(layer.shape_in))
        if layer.target == graph.STREAM:
            size = max(size, graph.count(layer.shape))
    return size


class Buffers:
    """What classify() works in, allocated when it is first called."""

    def __init__(self, net):
        classes = len(net.labels)
        self.latent, self.features = bytearray(net.latent_bytes), bytearray(net.features)
        self.above = Above(net)
        self.scores, self.errors = array("i", bytes(4 * classes)), array("h", bytes(2 * classes))
        self.active = b"\1" * classes
