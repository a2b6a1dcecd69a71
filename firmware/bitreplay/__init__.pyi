# The types of what `bitreplay` offers, for editors and type checkers. Not for boards.

from collections.abc import Callable, Sequence
from os import PathLike
from typing import Any, Literal, Self, TypedDict, overload

from _typeshed import ReadableBuffer, WriteableBuffer

_Label = str | int

class _Memory(TypedDict):
    """Bytes by kind of buffer."""

    replay: int
    fresh: int
    weights: int
    gradients: int
    reserve: int
    activations: int
    total: int

class _Heap(TypedDict, total=False):
    """Bytes of MicroPython's heap; nothing on CPython."""

    used: int
    free: int
    block: int

__version__: str

def load(path: str | PathLike[str]) -> Network:
    """The Network in a model file. ValueError names the field or tensor that is wrong."""

def heap() -> _Heap:
    """Bytes of the heap: used, free, and the largest free block."""

def plan(
    net: Network, replay: int = 500, fresh: int = 100, classes: int = 10
) -> list[tuple[Literal["head"] | int, float, int]]:
    """Prints what a learner would need with each choice of train and channels; returns [(train, channels, bytes)]."""

def ctrl_c(code: int) -> None:
    """micropython.kbd_intr(code), restored after learn(): -1 for a program that reads binary data from stdin."""

class _LogMel:
    """The last sound as a picture, bands x columns x channels."""

    rate: int
    channels: int
    bands: int  # the picture's height
    width: int  # its columns
    frame: int  # samples of a column
    hop: int  # samples from one column to the next

    def add(self, samples: ReadableBuffer) -> None:
        """Takes the next hop samples of a stream, int16: the picture moves by one column."""

    def loudness(self) -> float:
        """The base-2 logarithm of the power in the loudest band of the newest column."""

    def image(self) -> bytearray:
        """The picture, in a buffer that the next call overwrites."""

    def of(self, samples: ReadableBuffer) -> bytearray:
        """The picture of a recording, int16: of its middle, or padded with silence."""

class _Window:
    """The last readings of sensors as a picture, 32 x 32 x 3."""

    units: tuple[float, ...]
    samples: int
    hop: int

    def add(self, values: Sequence[float]) -> bool:
        """Takes a reading, x, y, z of each sensor. Returns True every hop readings, when a picture is due."""

    def image(self) -> bytearray:
        """The picture, in a buffer that the next call overwrites."""

class _Record:
    """An .npy file that grows row by row."""

    path: str
    shape: tuple[int, ...]
    dtype: str
    rows: int

    def append(self, row: ReadableBuffer | list[int] | list[float] | tuple[float, ...]) -> None:
        """Appends a row: a buffer of this type, or its numbers."""

    def flush(self) -> None:
        """Makes all rows so far readable by numpy.load(), even after a power cut."""

    def close(self) -> None:
        """Flushes and closes the file."""

    def __enter__(self) -> Self: ...
    def __exit__(self, *_: object) -> None: ...

def logmel(rate: int = 8000, channels: int = 3, bands: int = 32, columns: int = 32) -> _LogMel:
    """Sound as images of bands x columns. rate: 8000 or 16000 samples a second. docs/numbers.md (Sound)"""

def window(units: Sequence[float] = (256, 128), samples: int = 128, hop: int = 64) -> _Window:
    """Sensors with three axes as images. units: for each, the reading that is one of 256 levels."""

def record(path: str | PathLike[str], shape: int | Sequence[int], dtype: str = "uint8") -> _Record:
    """An .npy file of rows, new or continued. dtype: uint8, int8, uint16, int16, uint32, int32 or float32."""

class Network:
    """A pretrained model, ready to run. Made by load()."""

    name: str
    image_shape: tuple[int, int, int]
    latent_shape: tuple[int, int, int]
    image_bytes: int
    latent_bytes: int
    features: int
    labels: list[str] | None
    binary_macs: int
    int8_macs: int
    scratch_bytes: int
    weights_bytes: int
    in_place: bool
    digest: str
    above: list[Any]  # the layers above the latent, which can be trained
    pooling: Literal["global_avg_pool", "flatten"]
    scratch: list[memoryview]

    def __init__(self, path: str, name: str, plan: Any, view: ReadableBuffer, file: Any, weights_bytes: int) -> None:
        """load() calls this."""

    def latent(self, image: ReadableBuffer, out: WriteableBuffer) -> None:
        """Runs the frozen part: image (uint8, image_bytes) to out (latent_bytes)."""

    def classify(self, image: ReadableBuffer) -> tuple[str, float]:
        """(label, probability) by the pretrained head."""

class Learner:
    """Learns classes from the latents of a Network, and replays old ones so as not to forget."""

    net: Network
    labels: list[_Label]
    experiences: int
    learning: bool
    config: dict[str, Any]
    batch: int  # samples of a minibatch
    head: Any  # head.py
    trainer: Any  # trainer.py, or None
    replay: Any  # Samples of replay.py
    above: Any  # above.py

    def __init__(
        self,
        net: Network,
        replay: int = 500,
        seed: int = 1,
        fresh: int = 100,
        classes: int = 10,
        policy: Literal["balanced", "reservoir"] = "balanced",
        train: Literal["head", "all"] | int = "head",
        channels: float = 1.0,
        cwr: bool | None = None,
        q_f: int = 8,
        head_bits: Literal[16, 32] = 16,
        q_b: int = 4,
        rounding: Literal["stochastic", "nearest"] = "stochastic",
        rate: float = 0.005,
        conv_rate: float = 0.005,
        start: bool = False,
    ) -> None:
        """replay: latents kept. fresh: the most samples before a learn(). classes: the most labels. train: "head", or
        also that many binary layers from the top; channels: the share of their channels. start: with the model's own
        classes. docs/learning.md"""

    def see(self, image: ReadableBuffer, label: _Label) -> None:
        """Keeps the latent of an image (uint8, net.image_bytes) as a fresh sample of a label."""

    def see_latent(self, latent: ReadableBuffer, label: _Label) -> None:
        """As see(), for a latent that net.latent() computed."""

    def undo(self) -> _Label:
        """Takes back the last see() since the last learn(); returns its label."""

    def rename(self, old: _Label, new: _Label) -> None:
        """Gives a class another label."""

    def forget(self, label: _Label) -> None:
        """Removes a class: its samples, and what the head learned of it."""

    def counts(self) -> dict[_Label, tuple[int, int, int]]:
        """{label: (fresh samples, replayed samples, samples learned, counted each time)}"""

    def nearest(self, image: ReadableBuffer) -> tuple[_Label, int, int]:
        """(label, bits that differ, index) of the most similar sample. Needs no learn()."""

    def nearest_latent(self, latent: ReadableBuffer) -> tuple[_Label, int, int]:
        """As nearest(), for a latent that net.latent() computed."""

    def scores(self, image: ReadableBuffer) -> list[tuple[_Label, float]]:
        """[(label, probability)] of all classes that were learned, the most probable first."""

    @overload
    def predict(self, image: ReadableBuffer) -> tuple[_Label, float]:
        """(label, probability) of the most probable class. Before learn(): nearest()'s label, and the share of equal
        bits."""

    @overload
    def predict(self, image: ReadableBuffer, unknown: float | None) -> tuple[_Label | None, float]:
        """unknown: a share, such as 0.05. The label is None if the image is stranger than all but this share of known
        images."""

    @overload
    def predict_latent(self, latent: ReadableBuffer) -> tuple[_Label, float]:
        """As predict(), for a latent that net.latent() computed."""

    @overload
    def predict_latent(self, latent: ReadableBuffer, unknown: float | None) -> tuple[_Label | None, float]:
        """As predict(), for a latent that net.latent() computed."""

    def learn(
        self, epochs: int | None = None, progress: bool | Callable[[int, int, float], object] | None = True
    ) -> None:
        """Learns the fresh samples with the replayed ones. Without epochs it stops by itself, after 4 to 20.
        progress: True prints; or f(epoch, epochs, percent)."""

    def save(self, path: str | PathLike[str]) -> None:
        """Writes the learner to a file. A power cut leaves the old file or the new one."""

    @classmethod
    def load(
        cls, net: Network, path: str | PathLike[str], *, replay: int = ..., fresh: int = ..., classes: int = ...
    ) -> Self:
        """The learner that save() wrote, on the same model. replay, fresh and classes can be made larger."""

    def digest(self) -> str:
        """sha256 (hex) of all that was seen and learned."""

    def memory(self) -> _Memory:
        """Bytes of each kind of buffer, and the total."""

    def buffers(self) -> dict[str, int]:
        """Bytes of each buffer: "part.buffer"."""
