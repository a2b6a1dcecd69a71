"""bconv2d, bconv2d_masks, bconv2d_sign."""

import numpy as np
import pytest
from agreement import WORD, affines, agree, arrays, geometries, outputs, unpack, windows
from bitreplay_host.onboard.kernel_arguments import square
from hypothesis import given
from hypothesis import strategies as st

NONE = np.zeros(0, np.uint32)


@st.composite
def binary_convolutions(draw, cout_words=False):
    """geometry, x, weight, oh * ow."""
    groups, words = draw(st.integers(1, 3)), draw(st.sampled_from((1, 1, 2, 3, 4, 8)))
    cout = groups * draw(st.sampled_from((32, 64)) if cout_words else st.integers(1, 12))
    geometry = draw(geometries(32 * words * groups, cout, groups))
    height, width, _, _, kernel_h, kernel_w, *_ = (int(v) for v in geometry)
    x = draw(arrays(np.uint32, height * width * words * groups, *WORD))
    weight = draw(arrays(np.uint32, cout * kernel_h * kernel_w * words, *WORD))
    return geometry, x, weight, int(np.prod(outputs(geometry)))


def naive_sums(geometry, x, weight):
    """The sums of products of +-1, tap by tap; taps outside the image are left out."""
    height, width, cin, cout, kernel_h, kernel_w, *_, groups = (int(v) for v in geometry)
    x, weight = unpack(x, height, width, cin), unpack(weight, cout, kernel_h, kernel_w, cin // groups)
    acc = np.zeros((*outputs(geometry), cout), np.int64)
    for row, column, i, j, r, c in windows(geometry):
        for o in range(cout):
            first = o // (cout // groups) * (cin // groups)
            acc[row, column, o] += x[r, c, first : first + cin // groups] @ weight[o, i, j]
    return acc


@given(binary_convolutions(), st.data())
def test_bconv2d(convolution, data):
    geometry, x, weight, positions = convolution
    cout = int(geometry[3])
    agree(
        "bconv2d", geometry, x, weight, *data.draw(affines(cout)), NONE, data.draw(arrays(np.int8, positions * cout))
    )


@st.composite
def masked_convolutions(draw):
    """As binary_convolutions; words of cout may be shared by groups."""
    if draw(st.booleans()):
        return draw(binary_convolutions(cout_words=True))
    groups, side, kernel = draw(st.sampled_from((2, 4, 8))), draw(st.integers(3, 5)), draw(st.integers(1, 3))
    geometry = np.array(square(side, side, 32 * groups, 96, kernel, 1, 0, groups), np.uint16)
    x = draw(arrays(np.uint32, side * side * groups, *WORD))
    return geometry, x, draw(arrays(np.uint32, 96 * kernel * kernel, *WORD)), (side - kernel + 1) ** 2


@given(masked_convolutions(), st.data())
def test_bconv2d_masks(convolution, data):
    geometry, x, weight, positions = convolution
    cout = int(geometry[3])
    folded, y = data.draw(affines(cout)), data.draw(arrays(np.int8, positions * cout))
    masks = np.zeros(y.size // 32, np.uint32), np.zeros(y.size // 32, np.uint32)
    scratch = np.zeros(1024 + cout // int(geometry[10]) - data.draw(st.sampled_from((0, 1))), np.uint32)
    arguments = geometry, x, weight, *folded, scratch, y, *masks
    _, (*_, after, passes, negative) = agree("bconv2d_masks", *arguments, scratch=(6,))
    _, (*_, expected) = agree("bconv2d", geometry, x, weight, *folded, NONE, y)
    np.testing.assert_array_equal(after, expected)
    # Where it passes, the stream has moved by what the affine says; where it does not, it is at a limit.
    stopped = unpack(passes, -1) < 0
    assert set(after[stopped].tolist()) <= {-128, 127}
    assert not stopped[(after > -128) & (after < 127)].any()


@pytest.mark.parametrize("words", (1, 4, 7, 8))
@pytest.mark.parametrize("sides", ((1, 1), (2, 2), (3, 5)))
def test_bconv2d_masks_of_layers_of_one_tap(words, sides):
    """With tables, where the scratch has room: all inputs may equal those of a filter, or none."""
    random, geometry = np.random.default_rng(6), np.array([*sides, 64 * words, 128, *[1] * 4, 0, 0, 2], np.uint16)
    pixels = sides[0] * sides[1]
    x, weight = (random.integers(0, 2**32, n * words, np.uint32) for n in (2 * pixels, 128))
    weight[:words] = x[:words]
    weight[words : 2 * words] = ~x[:words]
    slope, bias = random.integers(-900, 900, 256, np.int16), random.integers(-9000, 9000, 128, np.int32)
    y = random.integers(-128, 128, pixels * 128, np.int8)
    found = []
    for room in 1024 + 64, 1024 + 63, 0:
        masks = np.zeros(pixels * 4, np.uint32), np.zeros(pixels * 4, np.uint32)
        arguments = geometry, x, weight, slope, bias, 5, np.zeros(room, np.uint32), y, *masks
        _, after = agree("bconv2d_masks", *arguments, scratch=(6,))
        found.append(after[7:])
    for other in found[1:]:
        np.testing.assert_array_equal(np.concatenate(found[0], dtype=np.int64), np.concatenate(other, dtype=np.int64))


def test_bconv2d_masks_are_what_they_say():
    random = np.random.default_rng(4)
    geometry = np.array(square(4, 3, 64, 32, 3, 1, 1, 2), np.uint16)
    x, weight = random.integers(0, 2**32, 24, np.uint32), random.integers(0, 2**32, 32 * 9, np.uint32)
    slope, bias = random.integers(-900, 900, 64, np.int16), random.integers(-9000, 9000, 32, np.int32)
    y = random.integers(-128, 128, 12 * 32, np.int8)
    arguments = geometry, x, weight, slope, bias, 5, NONE, y, np.zeros(12, np.uint32), np.zeros(12, np.uint32)
    _, (*_, passes, negative) = agree("bconv2d_masks", *arguments)
    acc = naive_sums(geometry, x, weight)
    total = y.reshape(acc.shape) + ((acc * np.where(acc < 0, slope[1::2], slope[::2]) + bias + 16) >> 5)
    np.testing.assert_array_equal(unpack(negative, *acc.shape) > 0, acc < 0)
    np.testing.assert_array_equal(unpack(passes, *acc.shape) > 0, (total >= -128) & (total <= 127))
    assert 0.2 < (unpack(passes, -1) > 0).mean() < 0.8


@given(binary_convolutions(cout_words=True), st.data())
def test_bconv2d_sign(convolution, data):
    geometry, x, weight, positions = convolution
    cout = int(geometry[3])
    low, high = data.draw(st.sampled_from(((None, None), (-40, 40))))
    threshold = data.draw(arrays(np.int16, cout, low, high))
    flip = data.draw(arrays(np.uint32, cout // 32, *WORD))
    agree("bconv2d_sign", geometry, x, weight, threshold, flip, NONE, np.zeros(positions * cout // 32, np.uint32))


@st.composite
def convolutions_with_scratch(draw, cout_words=False):
    """As binary_convolutions, most of them such as tables serve, and scratch: too little, or for some filters."""
    groups, words, kernels = (
        draw(st.integers(1, 2)),
        draw(st.sampled_from((2, 2, 4, 1))),
        draw(st.sampled_from((3, 7))),
    )
    cout = groups * draw(st.sampled_from((32, 64, 96)) if cout_words else st.integers(22, 80))
    geometry = draw(geometries(32 * words * groups, cout, groups, sides=11, kernels=kernels))
    height, width, _, _, kernel_h, kernel_w, *_ = (int(v) for v in geometry)
    x = draw(arrays(np.uint32, height * width * words * groups, *WORD))
    weight = draw(arrays(np.uint32, cout * kernel_h * kernel_w * words, *WORD))
    scratch = draw(arrays(np.uint32, draw(st.sampled_from((100, 2048, 2900, 3584, 5120, 9000))), *WORD))
    return geometry, x, weight, int(np.prod(outputs(geometry))), scratch


@given(convolutions_with_scratch(), st.data())
def test_bconv2d_is_the_same_with_scratch(convolution, data):
    geometry, x, weight, positions, scratch = convolution
    cout = int(geometry[3])
    y = data.draw(arrays(np.int8, positions * cout))
    agree("bconv2d", geometry, x, weight, *data.draw(affines(cout)), scratch, y, scratch=(6,))


@given(convolutions_with_scratch(cout_words=True), st.data())
def test_bconv2d_sign_is_the_same_with_scratch(convolution, data):
    geometry, x, weight, positions, scratch = convolution
    cout = int(geometry[3])
    threshold = data.draw(arrays(np.int16, cout, -40, 40))
    flip, y = data.draw(arrays(np.uint32, cout // 32, *WORD)), np.zeros(positions * cout // 32, np.uint32)
    agree("bconv2d_sign", geometry, x, weight, threshold, flip, scratch, y, scratch=(5,))


# As in models: 3x3 at each width, down-sampling, 1x1 with groups, and windows of sensors.
SHAPES = (
    square(16, 16, 64, 64, 3, 1, 1, 1),
    square(8, 8, 128, 128, 3, 1, 1, 1),
    square(4, 4, 256, 256, 3, 1, 1, 1),
    square(16, 16, 64, 128, 3, 2, 1, 1),
    square(7, 9, 96, 6, 5, 2, 2, 3),
    square(8, 8, 128, 256, 3, 2, 1, 1),
    square(12, 13, 64, 96, 2, 1, 1, 1),
    square(6, 6, 128, 128, 5, 1, 0, 2),
    square(8, 1, 64, 64, 1, 1, 0, 1),
    square(4, 4, 256, 256, 1, 1, 0, 2),
    square(4, 4, 512, 512, 1, 1, 0, 1),
    square(1, 1, 1024, 1024, 1, 1, 0, 32),
    square(9, 9, 1024, 3, 7, 1, 6, 1),
    (128, 1, 32, 64, 5, 1, 2, 1, 2, 0, 1),
    (1, 100, 96, 32, 1, 7, 1, 2, 0, 3, 1),
    (9, 5, 1024, 3, 7, 2, 2, 1, 6, 1, 1),
)


@pytest.mark.parametrize("words", (0, 2400, 4096, 5120, 9000))
@pytest.mark.parametrize("shape", SHAPES)
def test_bconv2d_shapes(shape, words):
    random = np.random.default_rng(2)
    height, width, cin, cout, kernel_h, kernel_w, *_, groups = shape
    geometry = np.array(shape, np.uint16)
    x = random.integers(*WORD, height * width * cin // 32, np.uint32, endpoint=True)
    weight = random.integers(*WORD, cout * kernel_h * kernel_w * cin // groups // 32, np.uint32, endpoint=True)
    slope, bias = random.integers(-300, 300, cout * 2, np.int16), random.integers(-5000, 5000, cout, np.int32)
    positions = int(np.prod(outputs(geometry)))
    y = random.integers(-128, 128, positions * cout, np.int8)
    scratch = np.full(words, 2**32 - 1, np.uint32)
    agree("bconv2d", geometry, x, weight, slope, bias, 8, scratch, y, scratch=(6,))
    if cout % 32 == 0:
        threshold, flip = random.integers(-20, 20, cout, np.int16), random.integers(0, 2**32, cout // 32, np.uint32)
        y = np.zeros(positions * cout // 32, np.uint32)
        agree("bconv2d_sign", geometry, x, weight, threshold, flip, scratch, y, scratch=(5,))


MEANT = (
    square(1, 1, 32, 4, 1, 1, 0, 1),
    square(1, 1, 32, 4, 7, 1, 6, 1),
    square(5, 4, 64, 6, 3, 1, 1, 2),
    square(5, 6, 32, 4, 3, 2, 1, 1),
    square(4, 4, 96, 3, 5, 2, 4, 3),
    square(3, 3, 64, 5, 2, 1, 1, 1),
    (9, 1, 32, 4, 5, 1, 2, 1, 2, 0, 1),
    (3, 5, 64, 6, 2, 3, 1, 2, 0, 2, 2),
    (1, 1, 32, 4, 1, 7, 1, 2, 0, 6, 1),
)


@pytest.mark.parametrize("shape", MEANT)
def test_bconv2d_is_a_convolution(shape):
    """slope 2, shift 1: y = sat8(y + acc)."""
    random = np.random.default_rng(3)
    height, width, cin, cout, kernel_h, kernel_w, *_, groups = shape
    geometry = np.array(shape, np.uint16)
    x = random.integers(0, 2**32, height * width * cin // 32, np.uint32)
    weight = random.integers(0, 2**32, cout * kernel_h * kernel_w * cin // groups // 32, np.uint32)
    acc = naive_sums(geometry, x, weight)
    y = random.integers(-128, 128, acc.size, np.int8)
    unit = np.full(cout * 2, 2, np.int16), np.zeros(cout, np.int32), 1
    _, (*_, total) = agree("bconv2d", geometry, x, weight, *unit, NONE, y)
    np.testing.assert_array_equal(total, np.clip(y + acc.ravel(), -128, 127))


def test_bconv2d_sign_is_a_comparison():
    random = np.random.default_rng(4)
    geometry = np.array(square(4, 3, 64, 32, 3, 1, 1, 2), np.uint16)
    x, weight = random.integers(0, 2**32, 24, np.uint32), random.integers(0, 2**32, 32 * 9, np.uint32)
    threshold, flip = random.integers(-9, 9, 32, np.int16), np.array([0xF0F0F0F0], np.uint32)
    _, (*_, y) = agree("bconv2d_sign", geometry, x, weight, threshold, flip, NONE, np.zeros(12, np.uint32))
    expected = (naive_sums(geometry, x, weight) >= threshold) ^ (unpack(flip, 32) > 0)
    np.testing.assert_array_equal(unpack(y, 4, 3, 32) > 0, expected)
