"""What the module _bitreplay takes and refuses on the unix port: it computes and says what the reference does."""

import itertools
import re

import numpy as np
import pytest
import test_arguments
from bitreplay_host import reference
from calls import calls

KERNELS = reference.KERNELS
VALUES = calls()
BUFFERS = [(k, n) for k, call in VALUES.items() for n, a in call.items() if isinstance(a, np.ndarray)]
TYPECODES = {"u1": "B", "i1": "b", "u2": "H", "i2": "h", "u4": "I", "i4": "i"}


def fresh(kernel):
    """The arguments of a valid call, by name, to be changed."""
    return {name: a.copy() if isinstance(a, np.ndarray) else a for name, a in VALUES[kernel].items()}


def spec(value, **how):
    """An argument as onboard_calls.py takes it."""
    if isinstance(value, np.ndarray):
        return {"hex": value.tobytes().hex(), **(how or {"type": "bytearray"})}
    return {"python": repr(value)}


def valid_call(kernel, changes=(), how=lambda name, value: {}):
    """A valid call of a kernel, with some arguments changed to other specs; how(name, value) tells how buffers are."""
    arguments = {name: spec(value, **how(name, value)) for name, value in VALUES[kernel].items()}
    return {"kernel": kernel, "arguments": list((arguments | dict(changes)).values())}


def buffers(kernel):
    return {name: value for name, value in VALUES[kernel].items() if isinstance(value, np.ndarray)}


def changed(kernel, name, value):
    return fresh(kernel) | {name: value}


WRITTEN = {kernel: test_arguments.written(kernel) for kernel in KERNELS}


def expected(kernel, arguments=None):
    """What the reference answers, as onboard_calls.py would."""
    arguments = arguments or fresh(kernel)
    result = getattr(reference, kernel)(**arguments)
    return answer(result, arguments.values())


def answer(result, arguments):
    """A reply of onboard_calls.py to a call that is taken."""
    after = [a.tobytes().hex() if isinstance(a, np.ndarray) else None for a in arguments]
    return {"result": result, "error": None, "buffers": after, "intact": True}


def without_scratch(kernel, reply):
    named = zip(VALUES[kernel], reply["buffers"], strict=True)
    kept = ("result", "error", "intact")
    return {"buffers": {name: b for name, b in named if name != "scratch"}, **{key: reply[key] for key in kept}}


def compare(call, cases):
    """Makes the calls of the cases, (kernel, call, what is expected), and compares all answers."""
    replies = call([one for _, one, _ in cases])
    for (kernel, one, wanted), reply in zip(cases, replies, strict=True):
        assert without_scratch(kernel, reply) == without_scratch(kernel, wanted), one


def refuse(call, cases):
    """Makes the calls of the cases, (call, error, pattern): each is refused with that message, nothing is written."""
    replies = call([one for one, _, _ in cases])
    for (one, error, pattern), reply in zip(cases, replies, strict=True):
        assert reply["error"] is not None, one
        assert reply["error"][0] == error, (one, reply["error"])
        assert re.fullmatch(pattern, reply["error"][1]), (one, reply["error"])
        assert reply["intact"] and not reply["written"], one


# What is taken.


@pytest.mark.parametrize("call", ["unix", "unix-asan"], indirect=True)
@pytest.mark.parametrize("kind", ["bytearray", "array", "array of bytes", "subclass", "slice", "inputs as bytes"])
def test_outputs_are_those_of_the_reference(call, kind):
    def how(kernel):
        return lambda name, value: {
            "bytearray": {"type": "bytearray"},
            "array": {"type": TYPECODES[value.dtype.str[1:]]} if isinstance(value, np.ndarray) else {},
            "array of bytes": {"type": "B"},
            "subclass": {"type": "Sub"},
            "slice": {"offset": 4},
            "inputs as bytes": {"type": "bytearray" if name in WRITTEN[kernel] else "bytes"},
        }[kind]

    compare(call, [(kernel, valid_call(kernel, how=how(kernel)), expected(kernel)) for kernel in KERNELS])


def test_buffers_may_touch(call):
    """All buffers of a call side by side in one block: what is written and read ends where it should."""
    cases = []
    for kernel in KERNELS:
        one, position = valid_call(kernel), 0
        for argument in one["arguments"]:
            if "hex" in argument:
                size = len(argument["hex"]) // 2
                argument.update(block=position, size=size)
                position += size + -size % 4
        cases.append((kernel, one, expected(kernel)))
    compare(call, cases)


def test_inputs_may_overlap(call):
    x = np.arange(64, dtype=np.int8)
    y, flip = np.zeros(2, np.uint32), x[:8].view(np.uint32)
    shared = [{"block": 0, "size": 64, "hex": x.tobytes().hex()}, {"block": 0, "size": 64}, {"block": 0, "size": 8}]
    one = {"kernel": "binarize", "arguments": [*shared, spec(y)]}
    compare(call, [("binarize", one, expected("binarize", {"x": x, "threshold": x, "flip": flip, "y": y}))])
    assert y.any()


@pytest.mark.parametrize("kernel", ["avg_pool", "max_pool"])
def test_pooling_in_place(call, kernel):
    """y may start where x does, and then holds what it would elsewhere."""
    cases, sizes = [], [(h, w, columns) for h in (1, 2, 4, 8) for w in (1, 2, 4, 8) for columns in (3, 1)]
    for size_h, size_w, columns in sizes:
        height, width = 2 * size_h, columns * size_w
        most = size_h if width == 1 else size_w
        for channels, repeat in itertools.product((1, 3, 32), {1, (most + 1) // 2, most}):
            shape = np.array([height, width, channels, size_h, size_w, repeat], np.uint16)
            x = np.random.default_rng(size_w).integers(-128, 127, height * width * channels, np.int8, endpoint=True)
            y = np.zeros(2 * columns * channels * repeat, np.int8)
            getattr(reference, kernel)(shape, x, y)
            after = np.concatenate([y, x[y.size :]])
            one = [
                spec(shape),
                {"block": 4, "size": x.size, "hex": x.tobytes().hex()},
                {"block": 4, "size": y.size},
            ]
            cases.append((kernel, {"kernel": kernel, "arguments": one}, answer(None, (shape, after, y))))
    compare(call, cases)


@pytest.mark.parametrize("kernel", ["avg_pool", "max_pool"])
def test_pooling_in_place_starts_where_x_does(call, kernel):
    x, y = ({"block": 16, "size": 48}, {"size": 12})
    shape = buffers(kernel)["shape"]
    cases = []
    for start in [*range(5, 16), *range(17, 64)]:
        cases.append((valid_call(kernel, {"x": x, "y": {**y, "block": start}}), "ValueError", "y: must not overlap x"))
    for start in (0, 11):
        block = {"shape": spec(shape, block=0, size=12), "x": {"block": 12, "size": 48}, "y": {**y, "block": start}}
        cases.append((valid_call(kernel, block), "ValueError", "y: must not overlap shape"))
    refuse(call, cases)


def test_any_alignment_will_do_for_bytes(call):
    def how(name, value):
        return {"offset": 3 if value.dtype.itemsize == 1 else 4} if isinstance(value, np.ndarray) else {}

    compare(call, [(kernel, valid_call(kernel, how=how), expected(kernel)) for kernel in KERNELS])


def test_integers_of_any_kind(call):
    """A bool, and a long integer of a small value."""
    cases = []
    for expression in ("True", "(1 << 70) // (1 << 70)", "(1 << 70) - (1 << 70) + 1"):
        for kernel, name in (
            ("random", "n"),
            ("gradient_add", "add"),
            ("update_weights", "mantissa"),
            ("consolidate", "mean"),
        ):
            one = valid_call(kernel, {name: {"python": expression}})
            cases.append((kernel, one, expected(kernel, changed(kernel, name, 1))))
    compare(call, cases)


def table(test):
    """The cases of a parametrized test of the reference."""
    (mark,) = [m for m in test.pytestmark if m.name == "parametrize"]
    return mark.args[1]


def scratch_call(function, arguments):
    geometry, *others = arguments
    return {"kernel": function, "arguments": [spec(one) for one in (np.array(geometry, np.uint16), *others)]}


def test_scratch(call):
    replies = call([scratch_call(*case[:2]) for case in test_arguments.SCRATCH])
    assert [reply["result"] for reply in replies] == [words for *_, words in test_arguments.SCRATCH]
    refuse(call, [(scratch_call(*c[:2]), "ValueError", re.escape(c[2])) for c in test_arguments.SCRATCH_REFUSED])


# What is refused.


def as_reference(kernel, arguments):
    """The case of a call that the reference refuses with a ValueError, for `refuse`."""
    one = {"kernel": kernel, "arguments": [spec(value) for value in arguments.values()]}
    with pytest.raises(ValueError) as refused:
        getattr(reference, kernel)(**arguments)
    return one, "ValueError", re.escape(str(refused.value))


def test_wrong_sizes(call):
    cases = []
    for kernel, name in BUFFERS:
        value = VALUES[kernel][name]
        for other in (value[:-1], value[:0], np.append(value, value[-1:])):
            if not test_arguments.any_size(kernel, name, other):
                cases.append(as_reference(kernel, changed(kernel, name, other)))
    refuse(call, cases)


def test_sizes_that_are_no_whole_elements(call):
    cases = []
    for kernel, name in BUFFERS:
        content = buffers(kernel)[name].tobytes().hex()
        names = "|".join(buffers(kernel))
        for other in (content[:-2], content + "00"):
            if buffers(kernel)[name].itemsize > 1:
                one = valid_call(kernel, {name: {"hex": other, "type": "bytearray"}})
                cases.append(
                    (
                        one,
                        "ValueError",
                        rf"({names}): (expected \d+ bytes, got \d+|\d+ bytes are not 1\.\..*|must be words .*)",
                    )
                )
    refuse(call, cases)


def test_scalars_out_of_range(call):
    cases = []
    huge = [sign * (1 << bits) for bits in (30, 31, 32, 62, 63, 64, 100) for sign in (1, -1)]
    for kernel, name, values in table(test_arguments.test_scalars_out_of_range_are_refused):
        valid = VALUES[kernel][name]
        for value in (*values, *huge, valid + 2**32, valid + 2**64, valid - 2**64):
            cases.append(as_reference(kernel, changed(kernel, name, value)))
    refuse(call, cases)
    tried = {(one[0], one[1]) for one in table(test_arguments.test_scalars_out_of_range_are_refused)}
    scalars = {(kernel, name) for kernel, one in VALUES.items() for name in one if name not in buffers(kernel)}
    assert scalars <= tried


def test_contents_out_of_range(call):
    cases = []
    for kernel, name, index, value, message in table(test_arguments.test_contents_out_of_range_are_refused):
        arguments = fresh(kernel)
        arguments[name][index] = value
        one, error, pattern = as_reference(kernel, arguments)
        assert re.escape(message) in pattern
        cases.append((one, error, pattern))
    refuse(call, cases)


def test_wrong_types(call):
    """The argument is named. What has __int__ is no integer: it could change the buffers that were checked before."""
    cases = []
    for kernel, arguments in VALUES.items():
        for name, value in arguments.items():
            if isinstance(value, np.ndarray):
                message = "must be a buffer, such as bytes or bytearray"
                wrong = ["None", "1.5", "7", "'text'", "[1, 2]", "(1, 2)", "{}", "object()", "bytearray", "range(9)"]
                wrong.append(repr("a" * value.nbytes))
            else:
                message = "must be an integer"
                wrong = ["None", "1.5", "'1'", "b'1'", "[1]", "object()", "int", f"{value}.0"]
                wrong.append(f"Int({value}, [b for b in buffers if type(b) is bytearray][0])")
            for expression in wrong:
                if not (expression.startswith("Int") and name == next(iter(arguments))):
                    cases.append(
                        (valid_call(kernel, {name: {"python": expression}}), "TypeError", f"{name}: {message}")
                    )
    refuse(call, cases)


def test_number_of_arguments(call):
    cases = []
    for kernel in KERNELS:
        for change in (lambda a: a[:-1], lambda a: [*a, a[-1]], lambda a: []):
            one = valid_call(kernel)
            one["arguments"] = change(one["arguments"])
            cases.append((one, "TypeError", "function .*takes.*"))
    refuse(call, cases)


def test_read_only_outputs(call):
    cases = []
    for kernel in KERNELS:
        for name in WRITTEN[kernel]:
            for how in ({"type": "bytes"}, {"readonly": True}):
                one = valid_call(kernel, {name: spec(buffers(kernel)[name], **how)})
                cases.append((one, "TypeError", f"{name}: must be writable"))
    assert len(cases) > 2 * len(KERNELS)
    refuse(call, cases)


def alignment(kernel, name):
    return buffers(kernel)[name].itemsize


def test_misaligned_buffers(call):
    """On a Cortex-M0+ they would end in a fault."""
    cases = []
    for kernel, name in BUFFERS:
        value = buffers(kernel)[name]
        for offset in range(1, 8):
            if offset % alignment(kernel, name):
                one = valid_call(kernel, {name: spec(value, offset=offset)})
                cases.append((one, "ValueError", f"{name}: must be aligned to {alignment(kernel, name)} bytes"))
    assert len(cases) > 100
    refuse(call, cases)


@pytest.mark.exhaustive
def test_overlapping_outputs(call):
    """Every output with every other buffer: by its first bytes, its last, in the middle, and as a whole."""
    cases = []
    for kernel in KERNELS:
        for output in WRITTEN[kernel]:
            for other in buffers(kernel):
                if other == output:
                    continue
                a, b = buffers(kernel)[other], buffers(kernel)[output]
                start, step = 24576, alignment(kernel, output)
                last = (a.nbytes - 1) // step * step
                first = -((b.nbytes - 1) // a.itemsize) * a.itemsize
                middle = a.nbytes // 2 // step * step
                for offset in {last, first + -first % step, 0, middle}:
                    if offset == 0 and (kernel, output, other) in IN_PLACE:
                        continue
                    both = {
                        # What is checked before the overlap, the content of `other`, is as it should be.
                        output: {"block": start + offset, "size": b.nbytes},
                        other: spec(a, block=start, size=a.nbytes),
                    }
                    names = f"({output}: must not overlap {other}|{other}: must not overlap {output})"
                    cases.append((valid_call(kernel, both), "ValueError", names))
    assert len(cases) > 200
    refuse(call, cases)


IN_PLACE = {("avg_pool", "y", "x"), ("max_pool", "y", "x")}
