# The types of what `bitreplay` offers, for editors and type checkers. Not for boards.

from collections.abc import Callable
from os import PathLike
from typing import Any, Literal, Self, TypedDict

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

class Record:
    """Rows of numbers in an .npy file that grows: `with bitreplay.record(...) as log:`; docs/formats.md"""

    path: str
    shape: tuple[int, ...]
    row_bytes: int
    rows: int
    def __init__(self, path: str, shape: tuple[int, ...], descr: str) -> None: ...
    def add(self, row: ReadableBuffer) -> None:
        """Appends a row: a buffer of row_bytes bytes, such as array("h", ...). Another size is a ValueError."""

    def flush(self) -> None:
        """From now on all rows survive a reset, and numpy.load sees them."""

    def close(self) -> None:
        """As flush(); nothing can be added any more."""

    def __enter__(self) -> Self: ...
    def __exit__(self, *error: object) -> None: ...
    def __len__(self) -> int: ...

def record(path: str | PathLike[str], shape: tuple[int, ...] | int, dtype: str = "uint8") -> Record:
    """A Record that appends to the .npy file at path, or begins it.

    shape: of a row, a tuple of 1..4 integers of 1..65535, or one integer. dtype: "uint8", "int8", "uint16", "int16",
    "uint32", "int32" or "float32". ValueError for others, and for a file that has other rows.
    """

def heap() -> _Heap:
    """Bytes of the heap: used, free, and the largest block that is free in one piece."""

def plan(
    net: Network, replay: int = 500, fresh: int = 100, classes: int = 10
) -> list[tuple[Literal["head"] | int, float, int]]:
    """Prints what a learner would need with each choice of train and channels; returns [(train, channels, bytes)]."""

def ctrl_c(code: int) -> None:
    """micropython.kbd_intr(code): -1 for a program that reads binary data from stdin. learn() puts it back."""

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
    """Learns classes, and keeps what it knew, from the latents of a Network."""

    net: Network
    labels: list[_Label]
    experiences: int
    learning: bool
    config: dict[str, Any]
    batch: int  # samples of a minibatch
    head: Any  # head.py
    trainer: Any  # trainer.py, or None
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
    ) -> None:
        """replay: latents kept. fresh: samples seen before learn(). classes: capacity for labels. train: the head, or
        also so many layers from the top; channels: the share of them. docs/learning.md"""

    def see(self, image: ReadableBuffer, label: _Label) -> None:
        """Keeps the latent of an image (uint8, net.image_bytes) as a fresh sample of a label."""

    def see_latent(self, latent: ReadableBuffer, label: _Label) -> None:
        """As see(), for a latent that was computed before."""

    def undo(self) -> _Label:
        """Takes back the last see() since the last learn(); returns its label."""

    def rename(self, old: _Label, new: _Label) -> None:
        """Gives a class another label."""

    def forget(self, label: _Label) -> None:
        """Removes a class: its samples, and what the head learned of it."""

    def counts(self) -> dict[_Label, tuple[int, int, int]]:
        """{label: (fresh samples, replayed samples, samples learned, every time counted)}"""

    def nearest(self, image: ReadableBuffer) -> tuple[_Label, int, int]:
        """(label, bits that differ, index) of the most similar sample; it needs no learn()."""

    def nearest_latent(self, latent: ReadableBuffer) -> tuple[_Label, int, int]:
        """As nearest(), for a latent that was computed before."""

    def scores(self, image: ReadableBuffer) -> list[tuple[_Label, float]]:
        """[(label, probability)] of all classes that were learned, the most probable first."""

    def predict(self, image: ReadableBuffer) -> tuple[_Label, float]:
        """(label, probability) of the likeliest class; before learn() nearest()'s, with the share of equal bits."""

    def predict_latent(self, latent: ReadableBuffer) -> tuple[_Label, float]:
        """As predict(), for a latent that was computed before."""

    def learn(
        self, epochs: int | None = None, progress: bool | Callable[[int, int, float], object] | None = True
    ) -> None:
        """Learns the fresh samples with the replayed ones; without epochs until no more become right. progress: True
        prints; or f(epoch, epochs, percent)."""

    def save(self, path: str | PathLike[str]) -> None:
        """Writes the learner to a file, whole or not at all."""

    @classmethod
    def load(
        cls, net: Network, path: str | PathLike[str], *, replay: int = ..., fresh: int = ..., classes: int = ...
    ) -> Self:
        """The learner that save() wrote, on the same model; with room for more, if you say so."""

    def digest(self) -> str:
        """sha256 (hex) of all that was seen and learned."""

    def memory(self) -> _Memory:
        """Bytes of each kind of buffer, and in all."""

    def buffers(self) -> dict[str, int]:
        """Bytes of each buffer: "part.buffer"."""
