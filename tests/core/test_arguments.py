"""What the reference takes and refuses, and the names that specification, reference, tests and module share."""

import array
import inspect
import re
from pathlib import Path

import _bitreplay
import numpy as np
import pytest
from bitreplay_host import reference
from bitreplay_host.onboard import kernel_arguments
from bitreplay_host.onboard.kernel_arguments import square
from calls import calls

ROOT = Path(__file__).resolve().parents[2]
SPECIFICATION = (ROOT / "docs" / "numbers.md").read_text()
KERNELS = reference.KERNELS


def test_names_are_those_of_the_specification():
    specified = dict(re.findall(r"^\| `(\w+)\((.*?)\)` \|", SPECIFICATION, re.MULTILINE))
    ours = {name: ", ".join(inspect.signature(getattr(reference, name)).parameters) for name in reference.__all__}
    assert ours == specified


def test_names_are_those_of_the_description():
    described = {kernel: list(arguments) for kernel, arguments in calls().items()}
    assert described == {kernel: list(inspect.signature(getattr(reference, kernel)).parameters) for kernel in KERNELS}
    assert set(kernel_arguments.KERNELS) == set(KERNELS)


def test_names_are_those_of_the_modules():
    assert _bitreplay.__all__ == reference.__all__
    for name in reference.__all__:
        assert getattr(_bitreplay, name) is getattr(reference, name)
    table = (ROOT / "usermod_c" / "bindings" / "modbitreplay.c").read_text()
    assert sorted(re.findall(r"X\(MP_QSTR_(\w+), mod_\1, \d+\)", table)) == sorted(reference.__all__)


def refused(kernel, arguments, message, error=ValueError):
    """The call is refused, with the message, and leaves every buffer as it was."""
    buffers = [a for a in arguments.values() if isinstance(a, np.ndarray)]
    before = [a.copy() for a in buffers]
    with pytest.raises(error, match=message):
        getattr(reference, kernel)(**arguments)
    for a, b in zip(buffers, before, strict=True):
        np.testing.assert_array_equal(a, b)


ANY_SIZE = [(kernel, "scratch") for kernel in ("bconv2d", "bconv2d_masks", "bconv2d_sign")]
ANY_SIZE += [("gather_rows", "first"), ("gather_rows", "second")]
NOT_EMPTY = ("head_sum", "weight"), ("draw_balanced", "numbers"), ("gradient_record", "kept")


def any_size(kernel, name, value):
    """Whether a buffer of this size will do, as the kernel asks for no other."""
    return (kernel, name) in ANY_SIZE or ((kernel, name) in NOT_EMPTY and value.size > 0)


BUFFERS = [(kernel, name) for kernel, call in calls().items() for name, a in call.items() if isinstance(a, np.ndarray)]


@pytest.mark.parametrize(("kernel", "name"), BUFFERS)
def test_wrong_sizes_are_refused(kernel, name):
    """Another size leads to an error that names a buffer: this one, or the one that no longer fits to it."""
    buffers = "|".join(buffer for k, buffer in BUFFERS if k == kernel)
    for change in (lambda a: a[:-1], lambda a: a[:0], lambda a: np.append(a, a[-1:])):
        call = calls()[kernel]
        call[name] = change(call[name])
        if any_size(kernel, name, call[name]):
            getattr(reference, kernel)(**call)
            continue
        reasons = r"expected \d+ bytes, got \d+|\d+ bytes are not 1\.\.\d+ elements|must ascend to"
        refused(kernel, call, rf"^({buffers}): ({reasons})")


@pytest.mark.parametrize("kernel", ("bconv2d", "bconv2d_masks", "bconv2d_sign"))
def test_scratch_of_any_size_is_words_that_can_be_written(kernel):
    odd, constant = (calls()[kernel] | {"scratch": scratch} for scratch in (np.zeros(7, np.uint8), bytes(8)))
    refused(kernel, odd, "^scratch: must be words of 4 bytes, got 7 bytes")
    refused(kernel, constant, "^scratch: must be writable", TypeError)


@pytest.mark.parametrize(
    ("kernel", "name", "values"),
    [
        ("conv2d", "shift", (0, 25)),
        ("bconv2d", "shift", (0, 25, -1)),
        ("bconv2d_masks", "shift", (0, 25)),
        ("random", "n", (0, 65537)),
        ("softmax", "label", (-2, 3, 1)),
        ("head_backward", "bits", (8, 0, 64)),
        ("head_quantize", "bits", (8,)),
        ("head_quantize", "q_f", (1, 9)),
        ("head_begin", "bits", (8, 33)),
        ("head_add", "bits", (8, 33)),
        ("head_add", "factor", (-32768, 32768)),
        ("head_sum", "bits", (24,)),
        ("consolidate", "bits", (1,)),
        ("consolidate", "mean", (-32769, 32768)),
        ("consolidate", "alpha", (-1, 32769)),
        ("transpose", "words", (0, 33, -1)),
        ("update_weights", "mantissa", (0, 16)),
        ("update_weights", "exponent", (-32, 9)),
        ("gradient_add", "add", (-1, 2)),
        ("expand_backward", "add", (-1, 2)),
        ("gradient_record", "sample", (-1, 5)),
        ("logmel_image", "bands", (0, 257)),
        ("logmel_image", "first", (-1, 4)),
        ("logmel_image", "channels", (0, 17)),
        ("bconv2d_dx", "shift", (0, 25)),
        ("bconv2d_dx", "bits", (1, 17)),
        ("bconv2d_dx", "stochastic", (-1, 2)),
    ],
)
def test_scalars_out_of_range_are_refused(kernel, name, values):
    for value in values:
        refused(kernel, calls()[kernel] | {name: value}, f"^{name}: (must be|its class is not active)")


@pytest.mark.parametrize(
    ("kernel", "name", "index", "value", "message"),
    [
        ("conv2d", "geometry", 2, 17, "geometry: cin: must be 1..16"),
        ("conv2d", "geometry", 10, 2, "geometry: groups: must be 1..1"),
        ("bconv2d", "geometry", 0, 0, "geometry: height: must be 1..256"),
        ("bconv2d", "geometry", 1, 257, "geometry: width: must be 1..256"),
        ("bconv2d", "geometry", 2, 48, "geometry: cin / groups must be a multiple of 32, and cout of groups"),
        ("bconv2d", "geometry", 2, 2048, "geometry: cin: must be 1..1024"),
        ("bconv2d", "geometry", 4, 8, "geometry: kernel_h: must be 1..7"),
        ("bconv2d", "geometry", 5, 0, "geometry: kernel_w: must be 1..7"),
        ("bconv2d", "geometry", 6, 3, "geometry: stride_h: must be 1..2"),
        ("bconv2d", "geometry", 7, 0, "geometry: stride_w: must be 1..2"),
        ("bconv2d", "geometry", 8, 3, "geometry: padding_h: must be 0..2"),
        ("bconv2d", "geometry", 9, 3, "geometry: padding_w: must be 0..2"),
        ("bconv2d", "geometry", 4, 7, "geometry: kernel is larger than the padded image"),
        ("bconv2d", "geometry", 5, 7, "geometry: kernel is larger than the padded image"),
        ("bconv2d", "geometry", 10, 0, "geometry: groups: must be 1..32"),
        ("bconv2d", "geometry", 10, 4, "geometry: cin / groups must be a multiple of 32, and cout of groups"),
        ("bconv2d_sign", "geometry", 3, 33, "geometry: cout must be a multiple of 32"),
        ("bconv2d_masks", "geometry", 3, 33, "geometry: cout must be a multiple of 32"),
        ("avg_pool", "shape", 3, 3, "shape: size_h: must be 1, 2, 4 or 8 and divide the height"),
        ("avg_pool", "shape", 3, 8, "shape: size_h: must be 1, 2, 4 or 8 and divide the height"),
        ("avg_pool", "shape", 3, 0, "shape: size_h: must be 1, 2, 4 or 8 and divide the height"),
        ("avg_pool", "shape", 4, 16, "shape: size_w: must be 1, 2, 4 or 8 and divide the width"),
        ("avg_pool", "shape", 1, 3, "shape: size_w: must be 1, 2, 4 or 8 and divide the width"),
        ("max_pool", "shape", 5, 3, "shape: repeat: must be 1..2"),
        ("max_pool", "shape", 4, 1, "shape: repeat: must be 1..1"),
        # In a column repeat may be as large as the vertical size: it is the buffer that is wrong.
        ("max_pool", "shape", slice(1, 5, 3), 1, "x: expected 12 bytes, got 48"),
        ("max_pool_bits", "shape", 2, 48, "shape: channels must be a multiple of 32, and repeat 1"),
        ("max_pool_bits", "shape", 5, 2, "shape: channels must be a multiple of 32, and repeat 1"),
        ("max_pool_bits", "shape", 4, 8, "shape: size_w: must be 1, 2, 4 or 8 and divide the width"),
        ("avg_pool_backward", "shape", 3, 3, "shape: size_h: must be 1, 2, 4 or 8 and divide the height"),
        ("avg_pool_backward", "shape", 0, 257, "shape: height: must be 1..256"),
        ("dense", "shift", 1, 7, "shift: must be -16..6"),
        ("dense", "shift", 1, -17, "shift: must be -16..6"),
        ("softmax", "active", 0, 2, "active: must be 0..1"),
        ("softmax", "active", slice(None), 0, "active: no class is active"),
        ("head_update", "hyper", 0, 8, "bits: must be 16 or 32"),
        ("head_update", "hyper", 1, 0, "hyper: mantissa: must be 1..15"),
        ("head_update", "hyper", 2, 16, "hyper: exponent: must be -31..15"),
        ("head_update", "hyper", 3, 32, "hyper: momentum: must be 0..31"),
        ("head_update", "hyper", 4, -1, "hyper: decay: must be 0..31"),
        ("head_update", "active", 0, 2, "active: must be 0..1"),
        ("head_begin", "here", 0, 2, "here: must be 0..1"),
        ("logmel", "spans", 0, 9, "spans: first bin: must be 0..8"),
        ("logmel", "spans", 1, 0, "spans: bins: must be 1..9"),
        ("logmel", "spans", 5, 2, "spans: bins: must be 1..1"),
        ("logmel", "spans", 1, 3, "weights: expected 16 bytes, got 14"),
        ("logmel", "weights", 6, 1025, "weights: must be 0..1024"),
        ("draw_balanced", "ends", 0, 5, "ends: must ascend to 8"),
        ("draw_balanced", "ends", 2, 9, "ends: must ascend to 8"),
        ("gather_rows", "numbers", 2, 5, "numbers: must be 0..4"),
        ("gradient_record", "channels", 1, 0, "channels: must ascend and be below 64"),
        ("gradient_record", "channels", 2, 64, "channels: must ascend and be below 64"),
        ("bconv2d_dx", "geometry", 3, 48, "geometry: cout / groups must be a multiple of 32"),
        ("bconv2d_dx", "geometry", 10, 2, "geometry: cin / groups must be a multiple of 32, and cout of groups"),
        ("bconv2d_dw", "geometry", 10, 0, "geometry: groups: must be 1..32"),
        ("bconv2d_dw", "geometry", slice(2), 256, "shifts: 9 bytes are not 1..0 elements of 1 bytes"),
        ("bconv2d_dw", "geometry", slice(2), 64, "shifts: 9 bytes are not 1..4 elements of 1 bytes"),
        ("bconv2d_dw", "shifts", 8, 32, "shifts: must be 0..31"),
        ("bconv2d_dw", "channels", 0, 10, "channels: must ascend and be below 32"),
        ("bconv2d_dw", "channels", 2, 32, "channels: must ascend and be below 32"),
        ("bconv2d_dw", "hyper", 0, 1, "hyper: bits: must be 2..16"),
        ("bconv2d_dw", "hyper", 1, 2, "hyper: stochastic: must be 0..1"),
        ("bconv2d_dw", "hyper", 2, 0, "hyper: mantissa: must be 1..15"),
        ("bconv2d_dw", "hyper", 4, -1, "hyper: update: must be 0..1"),
        *((kernel, "rng", 0, 0, "rng: state must not be 0") for kernel, name in BUFFERS if name == "rng"),
    ],
)
def test_contents_out_of_range_are_refused(kernel, name, index, value, message):
    call = calls()[kernel]
    call[name][index] = value
    refused(kernel, call, "^" + re.escape(message))


SCRATCH = [
    # Numbers of the gradient, signs and sums, and tables.
    ("bconv2d_dx_scratch", (square(4, 4, 256, 256, 1, 1, 0, 2), 8), 16 * 256 // 4 + 2 * 128 + 1024),
    ("bconv2d_dx_scratch", (square(5, 4, 64, 32, 3, 2, 1, 1), 2), 6 * 32 // 4 + 2 * 64 + 1024),
    ("bconv2d_dx_scratch", (square(256, 256, 1024, 1024, 7, 1, 6, 1), 9), 262 * 262 * 1024 // 2 + 2 * 1024 + 1024),
    # A tap's input and which of it there is, two rows of dW, exponents, and tables.
    ("bconv2d_dw_scratch", (square(4, 4, 256, 256, 1, 1, 0, 2), 32, 256), 256 * 16 + 16 + 2 * 128 + 256 + 1024),
    ("bconv2d_dw_scratch", (square(5, 4, 64, 32, 3, 2, 1, 1), 6, 1), 64 * 2 + 2 + 2 * 64 + 1 + 1024),
    ("bconv2d_dw_scratch", (square(64, 64, 1024, 1024, 3, 1, 1, 1), 1, 7), 1024 * 128 + 128 + 2 * 1024 + 7 + 1024),
    ("bconv2d_dx_scratch", ((9, 1, 64, 32, 5, 1, 2, 1, 2, 0, 1), 2), 5 * 32 // 4 + 2 * 64 + 1024),
    ("bconv2d_dw_scratch", ((9, 1, 64, 32, 5, 1, 2, 1, 2, 0, 1), 6, 1), 64 + 1 + 2 * 64 + 1 + 1024),
]


@pytest.mark.parametrize(("function", "arguments", "words"), SCRATCH)
def test_scratch(function, arguments, words):
    geometry, *others = arguments
    assert getattr(reference, function)(np.array(geometry, np.uint16), *others) == words


LAYER = square(4, 4, 64, 64, 3, 1, 1, 2)
SCRATCH_REFUSED = [
    ("bconv2d_dx_scratch", (square(4, 4, 64, 48, 3, 1, 1), 8), "geometry: cout / groups must be a multiple of 32"),
    ("bconv2d_dx_scratch", (LAYER, 1), "bits: must be 2..16"),
    ("bconv2d_dx_scratch", (LAYER, 17), "bits: must be 2..16"),
    ("bconv2d_dw_scratch", (square(4, 4, 64, 64, 3, 1, 3, 2), 1, 1), "geometry: padding_h: must be 0..2"),
    ("bconv2d_dw_scratch", (LAYER, 0, 1), "samples: must be 1..256"),
    ("bconv2d_dw_scratch", (LAYER, 257, 1), "samples: must be 1..256"),
    ("bconv2d_dw_scratch", ((65, 64, *LAYER[2:]), 1, 1), "samples: no value is possible beside the other arguments"),
    ("bconv2d_dw_scratch", (LAYER, 8, 0), "channels: must be 1..64"),
    ("bconv2d_dw_scratch", (LAYER, 8, 65), "channels: must be 1..64"),
]


@pytest.mark.parametrize(("function", "arguments", "message"), SCRATCH_REFUSED)
def test_scratch_out_of_range_is_refused(function, arguments, message):
    geometry, *others = arguments
    with pytest.raises(ValueError, match="^" + re.escape(message)):
        getattr(reference, function)(np.array(geometry, np.uint16), *others)


def written(kernel):
    """The buffers that a kernel changes, and scratch."""
    before, after = calls()[kernel], calls()[kernel]
    getattr(reference, kernel)(**after)
    return [name for name, a in after.items() if name == "scratch" or not np.array_equal(a, before[name])]


@pytest.mark.parametrize("kernel", KERNELS)
def test_read_only_outputs_are_refused(kernel):
    for name in written(kernel):
        call = calls()[kernel]
        call[name].flags.writeable = False
        refused(kernel, call, f"^{name}: must be writable", TypeError)


@pytest.mark.parametrize("kernel", KERNELS)
def test_any_buffer_will_do(kernel):
    """bytes or bytearray instead of arrays, array.array of bytes for the largest, and two dimensions."""
    expected, outputs = calls()[kernel], written(kernel)
    result = getattr(reference, kernel)(**expected)
    for convert in (
        bytearray,
        lambda data: array.array("B", data),
        lambda data: np.frombuffer(data, "u1").copy()[None],
    ):
        given = {
            name: a if isinstance(a, int) else convert(a.tobytes()) if name in outputs else a.tobytes()
            for name, a in calls()[kernel].items()
        }
        assert getattr(reference, kernel)(**given) == result
        for name in outputs:
            assert memoryview(given[name]).tobytes() == expected[name].tobytes()


def test_scalars_are_integers():
    with pytest.raises(TypeError):
        reference.random(np.array([1], np.uint32), 10.0)
