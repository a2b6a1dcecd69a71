"""Which samples are in a minibatch, their rows, and many calls for each of them."""

import numpy as np

from .arguments import MAX_ELEMENTS, counted, in_range, input_buffer, output_buffer
from .random import random, state

MAX_ARGUMENTS = 16
MAX_SAMPLES = 65536


def draw_balanced(order, ends, numbers, rng):
    """Draws samples for a minibatch: for each a class, then one of its samples, both uniformly.

    order u16[N], sample numbers by class, N <= 65536; ends u16[K]: where each class has its last one there, ascending
    to N - 1; numbers u16[n]; rng u32[1], not 0: two draws a sample. ValueError for a size or range that differs.
    """
    count = counted("order", order, 2, MAX_SAMPLES)
    classes = counted("ends", ends, 2, count)
    n = counted("numbers", numbers, 2, MAX_SAMPLES)
    order = input_buffer("order", order, np.uint16, count)
    ends = input_buffer("ends", ends, np.uint16, classes).astype(np.int64)
    if (np.diff(ends) <= 0).any() or ends[-1] != count - 1:
        raise ValueError(f"ends: must ascend to {count - 1}")
    numbers = output_buffer("numbers", numbers, np.uint16, n)
    s, starts = state(rng), [0, *(ends[:-1] + 1).tolist()]
    for i in range(n):
        c = random(s, classes)
        numbers[i] = order[starts[c] + random(s, int(ends[c]) + 1 - starts[c])]


def _rows(name, buffer, size):
    """Rows of `size` bytes, of which there may be none."""
    count = counted(name, buffer, size, MAX_SAMPLES) if memoryview(buffer).nbytes else 0
    return input_buffer(name, buffer, np.uint8, count * size).reshape(count, size)


def gather_rows(numbers, first, second, out):
    """Copies rows of bytes, by their numbers: those of `first`, then those of `second`.

    numbers u16[n]; first, second u8[any number of rows, or none]; out u8[n*size], which tells how long a row is.
    ValueError for a size or range that differs.
    """
    n = counted("numbers", numbers, 2, MAX_SAMPLES)
    size = counted("out", out, n, MAX_ELEMENTS)
    numbers = input_buffer("numbers", numbers, np.uint16, n)
    rows = np.concatenate([_rows("first", first, size), _rows("second", second, size)])
    in_range("numbers", int(numbers.max()), 0, len(rows) - 1)
    output_buffer("out", out, np.uint8, n * size)[:] = rows[numbers].ravel()


def _items(obj, refused, low=0, high=MAX_ELEMENTS):
    """What is in a list or tuple of low..high."""
    if not isinstance(obj, (list, tuple)) or not low <= len(obj) <= high:
        raise TypeError(refused)
    return obj


def run(calls, rows, n):
    """Makes many calls as one, for each of n samples: 0..65536.

    rows: of (arguments, place, values), before the calls for sample i `arguments[place] = values[i]`;
    calls: of (function, arguments) or (function, arguments, results), where `results[i]` is what it returns; up to
    16 arguments, which are copied.
    TypeError for what is none of these, and for run itself among the calls, ValueError for an n or a place out of
    range, and whatever a call raises.
    """
    no_rows = "rows: must be a list of (list of arguments, place, values)"
    no_calls = "calls: must be a list of (function, up to 16 arguments[, results])"
    for i in range(in_range("n", n, 0, MAX_SAMPLES)):
        for row in _items(rows, no_rows):
            arguments, place, values = _items(row, no_rows, 3, 3)
            value = values[i]
            if not isinstance(arguments, list):
                raise TypeError(no_rows)
            arguments[in_range("rows: place", place, 0, len(arguments) - 1)] = value
        for call in _items(calls, no_calls):
            function, arguments, *results = _items(call, no_calls, 2, 3)
            if function is run:
                raise TypeError("calls: run cannot run itself")
            result = function(*_items(arguments, no_calls, 0, MAX_ARGUMENTS))
            for into in results:
                into[i] = result
