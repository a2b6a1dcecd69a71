# The types of the C module's kernels and of their NumPy references. Shapes, ranges and results: docs/numbers.md.

from collections.abc import Sequence
from typing import Any

from _typeshed import ReadableBuffer, WriteableBuffer

# Inference.

def conv2d(
    geometry: ReadableBuffer,
    x: ReadableBuffer,
    weight: ReadableBuffer,
    slope: ReadableBuffer,
    bias: ReadableBuffer,
    shift: int,
    y: WriteableBuffer,
    /,
) -> None:
    """The first layer: 8-bit pixels, 8-bit weights."""

def bconv2d(
    geometry: ReadableBuffer,
    x: ReadableBuffer,
    weight: ReadableBuffer,
    slope: ReadableBuffer,
    bias: ReadableBuffer,
    shift: int,
    scratch: WriteableBuffer,
    y: WriteableBuffer,
    /,
) -> None:
    """A binary convolution, added to the shortcut in y. scratch: working memory of any size."""

def bconv2d_scratch(geometry: ReadableBuffer, /) -> int:
    """How many u32 of scratch make bconv2d and bconv2d_sign faster on this processor; 0 if none do."""

def bconv2d_masks(
    geometry: ReadableBuffer,
    x: ReadableBuffer,
    weight: ReadableBuffer,
    slope: ReadableBuffer,
    bias: ReadableBuffer,
    shift: int,
    scratch: WriteableBuffer,
    y: WriteableBuffer,
    passes: WriteableBuffer,
    negative: WriteableBuffer,
    /,
) -> None:
    """bconv2d, and for its backward pass where y did not saturate and where the sum was negative."""

def bconv2d_sign(
    geometry: ReadableBuffer,
    x: ReadableBuffer,
    weight: ReadableBuffer,
    threshold: ReadableBuffer,
    flip: ReadableBuffer,
    scratch: WriteableBuffer,
    y: WriteableBuffer,
    /,
) -> None:
    """A binary convolution to bits."""

def binarize(x: ReadableBuffer, threshold: ReadableBuffer, flip: ReadableBuffer, y: WriteableBuffer, /) -> None:
    """Stream to bits: x >= threshold, or the reverse."""

def near_threshold(x: ReadableBuffer, threshold: ReadableBuffer, y: WriteableBuffer, /) -> None:
    """Where the gradient of binarize passes: abs(x - threshold) < 16."""

def expand(x: ReadableBuffer, levels: ReadableBuffer, y: WriteableBuffer, /) -> None:
    """Bits to stream: one of two levels of the channel."""

def global_avg_pool(x: ReadableBuffer, y: WriteableBuffer, /) -> None:
    """The mean of each channel over all positions, rounded half up."""

def avg_pool(shape: ReadableBuffer, x: ReadableBuffer, y: WriteableBuffer, /) -> None:
    """Averages windows, rounded half up."""

def max_pool(shape: ReadableBuffer, x: ReadableBuffer, y: WriteableBuffer, /) -> None:
    """The maximum of windows."""

def max_pool_bits(shape: ReadableBuffer, x: ReadableBuffer, y: WriteableBuffer, /) -> None:
    """The maximum of windows of bits: 1 where one of them is."""

def dense(x: ReadableBuffer, weight: ReadableBuffer, shift: ReadableBuffer, y: WriteableBuffer, /) -> None:
    """Scores of the head."""

# Sound.

def logmel(
    samples: ReadableBuffer,
    window: ReadableBuffer,
    cosine: ReadableBuffer,
    spans: ReadableBuffer,
    weights: ReadableBuffer,
    logarithm: ReadableBuffer,
    scratch: WriteableBuffer,
    out: WriteableBuffer,
    /,
) -> None:
    """A column of a spectrogram: logarithms of a frame's power in bands of frequency."""

def logmel_image(x: ReadableBuffer, bands: int, first: int, channels: int, y: WriteableBuffer, /) -> None:
    """A ring of columns as an image, whose black is 12 nepers below the loudest."""

# The generator.

def nearest(x: ReadableBuffer, rows: ReadableBuffer, found: WriteableBuffer, /) -> None:
    """The row at the smallest Hamming distance, and that."""

def random(rng: WriteableBuffer, n: int, /) -> int:
    """One draw from 0..n-1."""

# A minibatch.

def draw_balanced(
    order: ReadableBuffer, ends: ReadableBuffer, numbers: WriteableBuffer, rng: WriteableBuffer, /
) -> None:
    """Draws samples: for each a class, then one of its samples."""

def gather_rows(
    numbers: ReadableBuffer, first: ReadableBuffer, second: ReadableBuffer, out: WriteableBuffer, /
) -> None:
    """Copies the rows with these numbers: those of first, then those of second."""

def run(calls: Sequence[Any], rows: Sequence[tuple[list[Any], int, Any]], n: int, /) -> None:
    """Makes the calls, (function, arguments) or (function, arguments, results), for each of n samples.

    Before those for sample i, arguments[place] = values[i] for each (arguments, place, values) of rows.
    """

# The head.

def softmax(z: ReadableBuffer, active: ReadableBuffer, label: int, e: WriteableBuffer, /) -> int:
    """Probabilities, or with a label errors; returns the class of the first largest score."""

def head_backward(
    e: ReadableBuffer, weight: ReadableBuffer, bits: int, df: WriteableBuffer, exponents: WriteableBuffer, /
) -> None:
    """The gradient of a sample's features; the first of the exponents is its."""

def head_update(
    e: ReadableBuffer,
    f: ReadableBuffer,
    active: ReadableBuffer,
    weight: WriteableBuffer,
    velocity: WriteableBuffer,
    hyper: ReadableBuffer,
    rng: WriteableBuffer,
    /,
) -> None:
    """One step of SGD with momentum and weight decay."""

def head_quantize(
    weight: ReadableBuffer, bits: int, q_f: int, out: WriteableBuffer, shift: WriteableBuffer, /
) -> None:
    """Weights of the forward pass, of q_f bits."""

def head_begin(
    cw: ReadableBuffer, here: ReadableBuffer, bits: int, weight: WriteableBuffer, velocity: WriteableBuffer, /
) -> None:
    """Training weights from consolidated ones, or 0 where a class is not here; velocities of 0."""

def head_add(f: ReadableBuffer, factor: int, bits: int, weight: WriteableBuffer, /) -> None:
    """Adds features, times a factor, to the training weights of a class."""

def head_sum(weight: ReadableBuffer, bits: int, /) -> int:
    """The sum of the weights' upper halves."""

def consolidate(cw: WriteableBuffer, tw: ReadableBuffer, bits: int, mean: int, alpha: int, /) -> None:
    """CWR*: a row of consolidated weights and one of training weights, averaged."""

# Binary gradients.

def transpose(x: ReadableBuffer, words: int, y: WriteableBuffer, /) -> None:
    """A bit matrix, transposed."""

def dot_tables(q: ReadableBuffer, rows: ReadableBuffer, scratch: WriteableBuffer, out: WriteableBuffer, /) -> None:
    """Sums of two rows of numbers times +1 or -1, looked up in tables."""

def dot_signs(q: ReadableBuffer, x: ReadableBuffer, out: WriteableBuffer, /) -> None:
    """The plain reference of dot_tables."""

def update_weights(
    weight: WriteableBuffer,
    dw: ReadableBuffer,
    mantissa: int,
    exponent: int,
    packed: WriteableBuffer,
    rng: WriteableBuffer,
    /,
) -> None:
    """One step of SGD on latent weights, rounded stochastically."""

def avg_pool_backward(shape: ReadableBuffer, g: WriteableBuffer, exponents: WriteableBuffer, /) -> None:
    """The gradient of an average's input."""

def gradient_mask(g: WriteableBuffer, mask: ReadableBuffer, /) -> None:
    """0 where the mask is 0."""

def gradient_add(
    g: WriteableBuffer,
    d: ReadableBuffer,
    mask: ReadableBuffer,
    flip: ReadableBuffer,
    add: int,
    exponents: WriteableBuffer,
    /,
) -> None:
    """The gradient of binarize's input; add: to what is in g."""

def expand_backward(
    g: ReadableBuffer, levels: ReadableBuffer, d: WriteableBuffer, add: int, exponents: WriteableBuffer, /
) -> None:
    """The gradient of expand's bits; add: to what is in d."""

def gradient_record(
    g: ReadableBuffer,
    negative: ReadableBuffer,
    slope: ReadableBuffer,
    channels: ReadableBuffer,
    exponents: ReadableBuffer,
    out: WriteableBuffer,
    kept: WriteableBuffer,
    sample: int,
    /,
) -> None:
    """Keeps a sample's gradient at the sums of the trained channels, for bconv2d_dw."""

def bconv2d_dx_scratch(geometry: ReadableBuffer, bits: int, /) -> int:
    """The size of bconv2d_dx's scratch, in i32."""

def bconv2d_dx(
    geometry: ReadableBuffer,
    g: ReadableBuffer,
    negative: ReadableBuffer,
    slope: ReadableBuffer,
    shift: int,
    weight: ReadableBuffer,
    bits: int,
    stochastic: int,
    scratch: WriteableBuffer,
    d: WriteableBuffer,
    rng: WriteableBuffer,
    exponents: WriteableBuffer,
    /,
) -> None:
    """The gradient of a binary convolution's input, of one sample; the second of the exponents is its."""

def bconv2d_dw_scratch(geometry: ReadableBuffer, samples: int, channels: int, /) -> int:
    """The size of bconv2d_dw's scratch, in i32."""

def bconv2d_dw(
    geometry: ReadableBuffer,
    x: ReadableBuffer,
    g: WriteableBuffer,
    shifts: ReadableBuffer,
    slope: ReadableBuffer,
    channels: ReadableBuffer,
    weight: WriteableBuffer,
    packed: WriteableBuffer,
    hyper: ReadableBuffer,
    scratch: WriteableBuffer,
    rng: WriteableBuffer,
    square: WriteableBuffer,
    /,
) -> None:
    """The gradient of the trained channels' weights over a minibatch: its size, and the update."""
