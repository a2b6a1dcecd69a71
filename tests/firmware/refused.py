"""Models that are refused: how each is made of one that is not, and what it is told."""

import json

import numpy as np

import models


def graph(**fields):
    return lambda m: m.metadata.update(graph=json.dumps({"image": m.image, "layers": m.layers, **fields}))


def metadata(**fields):
    return lambda m: m.metadata.update(fields)


def without(field):
    return lambda m: m.metadata.pop(field)


def layer(op, nth=0, **fields):
    return lambda m: m.layer(op, nth).update(fields)


def dropped(op, field):
    return lambda m: m.layer(op).pop(field)


def layers(edit):
    """edit(layers, {op: the first such layer})."""
    return lambda m: edit(m.layers, {one["op"]: one for one in reversed(m.layers)})


def labels(value):
    return lambda m: m.metadata.update(labels=value if isinstance(value, str) else json.dumps(value))


def tensor(name, change):
    def edit(m):
        m.tensors[name] = change(m.tensors[name])

    return edit


def filled(name, value, at=...):
    def edit(m):
        m.tensors[name][at] = value

    return edit


def both(*edits):
    return lambda m: [edit(m) for edit in edits]


def int8_slope(m):
    m.tensors["stem.slope"][5, 1] = -32768
    m.tensors["stem.weight"][5] = 127


EXPAND = {"op": "expand", "tensor": "expand"}
POOL = {"op": "max_pool", "size": 2, "repeat": 1}
POOL_BITS = {"op": "max_pool_bits", "size": 2}
BINARIZE = {"op": "binarize", "tensor": "block"}

REFUSED = [
    # metadata
    (without("format"), "format: is not bitreplay-model"),
    (metadata(format="pt"), "format: is not bitreplay-model"),
    (without("version"), "version: is not 2, which this release reads; update BitReplay"),
    (metadata(version="3"), "version: is not 2, which this release reads; update BitReplay"),
    (
        metadata(version="1"),
        "version: is 1, which this release no longer reads; use `bitreplay export` of this",
    ),
    (without("name"), "name: is missing; use `bitreplay export` again"),
    (metadata(name=""), "name: must have"),
    (metadata(name="n" * 65), "name: must have 1..64"),
    (metadata(label="[]"), "label: is not a field of the metadata"),
    (metadata(graph=""), "graph: is not valid JSON"),
    (metadata(graph="{"), "graph: "),
    (metadata(graph="[]"), "graph: is not valid JSON"),
    (metadata(graph="{}"), "graph: must have exactly the fields image and layers"),
    (metadata(graph='{"image": [8, 8, 3]}'), "graph: must have exactly"),
    (graph(more=1), "graph: must have exactly"),
    # image
    (graph(image=[8, 8]), "graph: image must"),
    (graph(image=[8, 8, 3, 1]), "graph: image must"),
    (graph(image="883"), "graph: image must"),
    (graph(image=[0, 8, 3]), "graph: image must"),
    (graph(image=[-8, 8, 3]), "graph: image must"),
    (graph(image=[257, 8, 3]), "graph: image must"),
    (graph(image=[8, 257, 3]), "graph: image must"),
    (graph(image=[8, 8, 17]), "graph: image must"),
    (graph(image=[8, 8.0, 3]), "graph: image must"),
    (graph(image=[8, 8, True]), "graph: image must"),
    (graph(image=[8, 8, None]), "graph: image must"),
    (graph(image=[1, 8, 3]), r"block.weight|graph: layer"),
    # layers
    (graph(layers={}), "graph: layers must be a list"),
    (graph(layers=[]), "graph: layers must be a list"),
    (graph(layers=[{"op": "latent"}] * 257), "graph: layers must be a list of 1..256"),
    (graph(layers=[7]), "graph: layer 0: op must be one of avg_pool, bconv2d"),
    (graph(layers=[{}]), "graph: layer 0: op must"),
    (graph(layers=[{"op": []}]), "graph: layer 0: op must"),
    (graph(layers=[{"op": "relu"}]), "graph: layer 0: op must"),
    (graph(layers=[{"op": "latent"}]), r"graph: layer 0 \(latent\): conv2d comes at the start"),
    (layer("conv2d", more=1), r"graph: layer 0 \(conv2d\): field more is unknown"),
    (layer("conv2d", groups=1), r"\(conv2d\): field groups is unknown"),
    (dropped("conv2d", "shift"), r"\(conv2d\): field shift is missing"),
    (dropped("bconv2d", "residual"), r"layer 2 \(bconv2d\): field residual is missing"),
    (dropped("binarize", "tensor"), r"\(binarize\): field tensor is missing"),
    (dropped("avg_pool", "repeat"), r"\(avg_pool\): field repeat is missing"),
    (dropped("expand", "tensor"), r"\(expand\): field tensor is missing"),
    *[
        (layer("binarize", flip=value), r"\(binarize\): flip must be true, or left out")
        for value in (False, 1, None, "true")
    ],
    (layer("expand", flip=True), r"\(expand\): field flip is unknown"),
    (layer("binarize", flip=True), r"block.flip: is missing, or two layers use it; .* needs U32 \(1,\)"),
    (lambda m: m.tensors.update({"block.flip": np.zeros(1, np.uint32)}), "block.flip: no layer uses it"),
    (layer("expand", value=16), r"\(expand\): field value is unknown"),
    (layer("global_avg_pool", size=2), r"\(global_avg_pool\): field size is unknown"),
    (layer("latent", tensor="a"), r"\(latent\): field tensor is unknown"),
    (layer("conv2d", tensor=""), r"\(conv2d\): tensor must be"),
    (layer("conv2d", tensor="t" * 65), r"\(conv2d\): tensor must be"),
    (layer("conv2d", tensor=1), r"\(conv2d\): tensor must be"),
    *[
        (layer(op, **{field: value}), rf"\({op}\): {field} must be an integer")
        for op, field, values in (
            ("conv2d", "cout", (0, 1025, -1, 32.0, "32", True, None, [32])),
            ("conv2d", "kernel", (0, 8, 3.0, [3, 8], [0, 3], [3], [3, 3, 3], [], [3, True], [3, [3]], "33", None)),
            ("conv2d", "stride", (0, 3, False, [2, 3], [2, 2.0])),
            ("conv2d", "padding", (-1, 7, 1.0, [-1, 1], [1, 7])),
            ("conv2d", "shift", (0, 25, 13.0)),
            ("bconv2d", "cout", (0, 1025)),
            ("bconv2d", "groups", (0, 33, 1.0)),
            ("bconv2d", "shift", (0, 25)),
            ("avg_pool", "size", (0, 9, 2.0, [2, 9], [0, 2], [2, 2, 2], {})),
            ("avg_pool", "repeat", (0, 9, True)),
        )
        for value in values
    ],
    (layer("bconv2d", residual=1), r"\(bconv2d\): residual must be true or false"),
    (layer("bconv2d", residual=None), r"\(bconv2d\): residual must be true or false"),
    # geometry
    (layer("conv2d", padding=3), "a kernel of 3 with padding 3 does not fit"),
    (layer("conv2d", padding=[1, 3]), "a kernel of 3 with padding 3 does not fit the 8x8 input"),
    (layer("conv2d", kernel=[1, 3]), "a kernel of 1 with padding 1 does not fit"),
    (layer("conv2d", kernel=[3, 5]), r"stem.weight: is I8 \(32, 3, 3, 3\), but .* needs I8 \(32, 3, 5, 3\)"),
    (
        layer("bconv2d", kernel=[3, 1], padding=[1, 0]),
        r"block.weight: is U32 \(32, 3, 3, 1\), but .* U32 \(32, 3, 1, 1\)",
    ),
    (layer("conv2d", kernel=7, padding=4, stride=1), r"stem.weight: is I8 \(32, 3, 3, 3\), but .* needs I8"),
    (both(graph(image=[1, 1, 3]), layer("conv2d", padding=0)), "kernel of 3|graph"),
    (layer("bconv2d", groups=2), "groups must divide cout 32, and cin 32 into multiples of 32"),
    (layer("bconv2d", groups=3), "groups must divide"),
    (layer("bconv2d", cout=64), r"block.weight: is U32 \(32, 3, 3, 1\), but graph: layer 2 \(bconv2d\) needs U32"),
    (
        both(layer("bconv2d", stride=2), filled("block.bias", 0)),
        r"residual: the stream is \(4, 4, 32\), but the output",
    ),
    (layer("bconv2d", padding=0), r"residual: the stream is \(4, 4, 32\), but the output \(2, 2, 32\)"),
    (layer("avg_pool", size=3), "size must be 1, 2, 4 or 8 and divide"),
    (layer("avg_pool", size=[2, 3]), "size must be 1, 2, 4 or 8 and divide"),
    (layer("avg_pool", size=[8, 2]), "size must be 1, 2, 4 or 8 and divide the 4x4 input"),
    (layer("avg_pool", size=[2, 1], repeat=2), r"repeat must be at most size \(the horizontal one"),
    (layer("avg_pool", size=8), "size must be 1, 2, 4 or 8 and divide the 4x4 input"),
    (layer("avg_pool", repeat=3), "repeat must be at most size"),
    (
        both(
            layer("conv2d", cout=16),
            tensor("stem.weight", lambda a: a[:16]),
            tensor("stem.slope", lambda a: a[:16]),
            tensor("stem.bias", lambda a: a[:16]),
        ),
        "the stream's 16 channels are not a multiple of 32",
    ),
    # order: conv2d binarize bconv2d avg_pool binarize latent expand bconv2d global_avg_pool dense
    (layers(lambda all, one: all.insert(1, one["conv2d"])), r"layer 1 \(conv2d\): binarize, .* comes after conv2d"),
    (layers(lambda all, one: all.remove(one["conv2d"])), r"layer 0 \(binarize\): conv2d comes at the start"),
    (layers(lambda all, one: all.insert(1, EXPAND)), r"layer 1 \(expand\): binarize, .* comes after conv2d"),
    (layers(lambda all, one: all.insert(6, {"op": "latent"})), r"\(latent\): .*, expand, .* comes after latent"),
    (layers(lambda all, one: all.remove(one["latent"])), r"\(expand\): binarize, .*, latent comes after binarize"),
    (layers(lambda all, one: all.insert(9, all[8])), r"\(global_avg_pool\): dense comes after global_avg_pool"),
    (layers(lambda all, one: all.insert(9, {"op": "flatten"})), r"\(flatten\): dense comes after global_avg_pool"),
    (layers(lambda all, one: all.insert(9, all[7])), r"\(bconv2d\): dense comes after global_avg_pool"),
    (layers(lambda all, one: all.append(all[9])), r"\(dense\): nothing comes after dense"),
    (layers(lambda all, one: all.pop(8)), r"layer 8 \(dense\): binarize, .*, flatten comes after bconv2d"),
    (
        layers(lambda all, one: all.insert(4, all[8])),
        r"\(global_avg_pool\): .*, latent comes after avg_pool",
    ),
    *[
        (
            layers(lambda all, one, end=end: all.__delitem__(slice(end, None))),
            "graph: must end in global_avg_pool or",
        )
        for end in (1, 2, 5, 6, 7, 8)
    ],
    # nothing is read that was not written
    (
        layers(lambda all, one: all.remove(one["binarize"])),
        r"layer 1 \(bconv2d\): there are no bits yet; put a",
    ),
    (layers(lambda all, one: all.__setitem__(slice(1, 5), [])), r"layer 1 \(latent\): there are no bits yet"),
    (layers(lambda all, one: all.remove(one["expand"])), r"layer 6 \(bconv2d\): its shortcut would cross the latent"),
    *[
        (
            layers(lambda all, one, new=new: all.insert(6, new)),
            r"layer 6 \(.*there is no stream above the latent yet",
        )
        for new in (BINARIZE, POOL, {**POOL, "op": "avg_pool"}, {"op": "global_avg_pool"}, {"op": "flatten"})
    ],
    # nothing is written that is not read
    (layers(lambda all, one: all.insert(4, all.pop(5))), r"layer 5 \(binarize\): there is no stream above the latent"),
    (layers(lambda all, one: all.insert(3, all.pop(5))), r"layer 4 \(avg_pool\): there is no stream above the latent"),
    (
        layers(lambda all, one: all.pop(4)),
        r"layer 3 \(avg_pool\): no later layer reads its output; remove it",
    ),
    (layers(lambda all, one: all.insert(5, POOL)), r"layer 5 \(max_pool\): no later layer reads its output"),
    (layers(lambda all, one: all.insert(4, BINARIZE)), r"layer 4 \(binarize\): no later layer reads its output"),
    (layers(lambda all, one: all.insert(7, EXPAND)), r"layer 6 \(expand\): no later layer reads its output"),
    (layers(lambda all, one: all[7].update(residual=False)), r"layer 6 \(expand\): no later layer reads its output"),
    (layers(lambda all, one: all.insert(8, BINARIZE)), r"layer 8 \(binarize\): no later layer reads its output"),
    (
        layers(lambda all, one: all.insert(7, BINARIZE) or all.insert(8, EXPAND)),
        r"block.threshold: is missing, or",
    ),
    # pools of bits
    (layers(lambda all, one: all.insert(2, {**POOL_BITS, "size": 3})), "size must be 1, 2, 4 or 8 and divide the 4x4"),
    (
        layers(lambda all, one: all.insert(2, {**POOL_BITS, "size": [2, 8]})),
        "size must be 1, 2, 4 or 8 and divide the",
    ),
    (layers(lambda all, one: all.insert(2, {**POOL_BITS, "repeat": 1})), "field repeat is unknown"),
    (layers(lambda all, one: all.insert(2, {"op": "max_pool_bits"})), "field size is missing"),
    (layers(lambda all, one: all.insert(1, POOL_BITS)), r"layer 1 \(max_pool_bits\): there are no bits yet"),
    (layers(lambda all, one: all.insert(3, POOL_BITS)), r"layer 3 \(max_pool_bits\): no later layer reads its output"),
    (
        layers(lambda all, one: all.insert(2, POOL_BITS)),
        r"residual: the stream is \(4, 4, 32\), but the output \(2, 2, 32",
    ),
    # above the latent
    (
        layer("bconv2d", 1, kernel=3, padding=1),
        r"tail.weight: is U32 .* needs U32 \(32, 3, 3, 1\)",
    ),
    (layer("bconv2d", 1, stride=2), r"residual: the stream is \(2, 2, 32\), but the output \(1, 1, 32\)"),
    (layer("bconv2d", 1, groups=2), "groups must divide cout 32, and cin 32 into multiples of 32"),
    (layer("bconv2d", 1, cout=48), "above the latent, groups must divide cout 48 into multiples of 32, too"),
    # tensors
    (lambda m: m.tensors.pop("stem.weight"), r"stem.weight: is missing, or two layers use it; .* needs I8 \(32, 3, 3"),
    (lambda m: m.tensors.pop("stem.slope"), "stem.slope: is missing"),
    (lambda m: m.tensors.pop("stem.bias"), "stem.bias: is missing"),
    (lambda m: m.tensors.pop("latent.threshold"), "latent.threshold: is missing"),
    (lambda m: m.tensors.pop("block.weight"), "block.weight: is missing"),
    (lambda m: m.tensors.pop("tail.weight"), "tail.weight: is missing"),
    (lambda m: m.tensors.pop("head.weight"), "head.weight: is missing"),
    (lambda m: m.tensors.pop("head.shift"), "head.shift: is missing"),
    (lambda m: m.tensors.update(more=np.zeros(1, np.uint8)), "more: no layer uses it"),
    (layer("binarize", 1, tensor="block"), "block.threshold: is missing, or two layers use it"),
    (tensor("stem.weight", lambda a: a.view(np.uint8)), r"stem.weight: is U8 \(32, 3, 3, 3\), but .* needs I8"),
    (tensor("stem.weight", lambda a: a.reshape(32, 27)), r"stem.weight: is I8 \(32, 27\)"),
    (tensor("stem.slope", lambda a: a.view(np.uint16)), "stem.slope: is U16"),
    (tensor("stem.slope", lambda a: a.reshape(2, 32)), r"stem.slope: is I16 \(2, 32\), but .* needs I16 \(32, 2\)"),
    (tensor("stem.bias", lambda a: a[:31]), r"stem.bias: is I32 \(31,\)"),
    (tensor("block.threshold", lambda a: a.astype(np.int16)), "block.threshold: is I16"),
    (tensor("block.weight", lambda a: a.view(np.int32)), "block.weight: is I32"),
    (tensor("tail.weight", lambda a: a.view(np.int32)), "tail.weight: is I32"),
    (tensor("tail.weight", lambda a: np.zeros((32, 32), np.int8)), r"tail.weight: is I8 \(32, 32\), but .* needs U32"),
    (
        lambda m: m.tensors.pop("expand.levels"),
        r"expand.levels: is missing, or two layers use it; .* needs I8 \(32",
    ),
    (tensor("expand.levels", lambda a: a.view(np.uint8)), "expand.levels: is U8"),
    (
        tensor("expand.levels", lambda a: a.reshape(2, 32)),
        r"expand.levels: is I8 \(2, 32\), but .* needs I8 \(32",
    ),
    (tensor("expand.levels", lambda a: a[:31]), r"expand.levels: is I8 \(31, 2\)"),
    (tensor("head.weight", lambda a: a[:, :31]), r"head.weight: is I8 \(3, 31\)"),
    (tensor("head.shift", lambda a: a[:2]), r"head.shift: is I8 \(2,\)"),
    (filled("head.shift", 7, 1), "head.shift: must be -16..6, got 7"),
    (filled("head.shift", -17, 2), "head.shift: must be -16..6, got -17"),
    # overflow
    (int8_slope, "stem.slope: channel 5 can overflow 32 bits"),
    (filled("stem.bias", 2**31 - 1, 7), "stem.slope: channel 7 can overflow"),
    (filled("block.bias", -(2**31), 31), "block.slope: channel 31 can overflow"),
    (filled("tail.bias", 2**31 - 1, 0), "tail.slope: channel 0 can overflow"),
    # labels
    (lambda m: setattr(m, "labels", None), "labels: must name the classes of the dense layer"),
    (labels(["a", "b"]), r"head.weight: is I8 \(3, 32\), but .* needs I8 \(2, 32\)"),
    (labels([]), "labels: must be a list"),
    (labels({"a": 1}), "labels: is not valid JSON"),
    (labels(["a", "b", 3]), "labels: must be a list of 1..1024 strings"),
    (labels(["a", "b", ""]), "labels: must be a list"),
    (labels(["a", "b", "c" * 65]), "labels: must be a list"),
    (labels(["a", "b", "a"]), "labels: has a label twice"),
    (labels('["a"'), "labels: is not valid JSON"),
    (layers(lambda all, one: all.pop()), "labels: there are labels, but no dense layer"),
]

MIXED_REFUSED = [
    (layer("bconv2d_sign", cout=48), "cout must be a multiple of 32"),
    (layer("bconv2d_sign", 1, groups=4), "groups must divide cout 32, and cin 64 into multiples of 32"),
    (layer("bconv2d_sign", shift=3), "field shift is unknown"),
    (tensor("sign0.threshold", lambda a: a.astype(np.int8)), "sign0.threshold: is I8"),
    (tensor("sign0.flip", lambda a: a[:1]), r"sign0.flip: is U32 \(1,\), but .* needs U32 \(2,\)"),
    (tensor("bits.flip", lambda a: a[:2]), r"bits.flip: is U32 \(2,\), but .* needs U32 \(3,\)"),
    (tensor("bits.flip", lambda a: a.view(np.int32)), "bits.flip: is I32"),
    (layer("max_pool", size=2, repeat=8), "repeat must be at most size"),
    (layer("bconv2d", residual=True), r"residual: the stream is \(16, 16, 64\), but the output \(16, 16, 96\)"),
    (layer("conv2d", kernel=1, stride=1, padding=0), "stem.weight: is I8"),
    (layers(lambda all, one: all.insert(8, POOL)), r"layer 8 \(max_pool\): no later layer reads its output"),
    # The stream before the signs is dead long before it is pooled.
    (layers(lambda all, one: all.insert(6, POOL)), r"layer 6 \(max_pool\): no later layer reads its output"),
    (layer("bconv2d", 1, groups=1), r"tail.weight: is U32 \(64, 1, 1, 1\), but .* needs U32 \(64, 1, 1, 2\)"),
    (layer("bconv2d", 1, cout=96), "above the latent, groups must divide cout 96 into multiples of 32, too"),
    (
        both(layers(lambda all, one: all.__setitem__(-1, {"op": "flatten"})), graph(image=[40, 32, 1])),
        "makes 1280 features, at most 1024 are learned from",
    ),
]

DEEP_REFUSED = [
    (layers(lambda all, one: all.pop(7)), r"residual: the stream is \(4, 8, 32\), but the output \(2, 4, 64\)"),
    (layers(lambda all, one: all.pop(6)), "down.threshold: no layer uses it"),
    (layers(lambda all, one: all.pop(11)), "top.levels: no layer uses it"),
    (layers(lambda all, one: all.pop(10)), r"layer 9 \(avg_pool\): no later layer reads its output"),
    (layers(lambda all, one: all.pop(3)), r"layer 3 \(binarize\): there is no stream above the latent yet"),
    (layer("bconv2d", 1, residual=False), r"layer 7 \(avg_pool\): no later layer reads its output"),
    (layer("avg_pool", 1, size=4), "size must be 1, 2, 4 or 8 and divide the 2x4 input"),
    (layers(lambda all, one: all.__delitem__(slice(9, 11))), r"layer 8 \(bconv2d\): no later layer reads its output"),
    (layer("bconv2d", 2, groups=3), "groups must divide"),
    (filled("down.bias", 2**31 - 1, 63), "down.slope: channel 63 can overflow"),
    (tensor("latent.levels", lambda a: a[:, :1]), r"latent.levels: is I8 \(32, 1\)"),
    (lambda m: m.tensors.update({"same.levels": m.tensors["latent.levels"]}), "same.levels: no layer uses it"),
]

PLAIN_REFUSED = [
    (layer("bconv2d", residual=True), r"layer 5 \(bconv2d\): its shortcut would cross the latent"),
    (layers(lambda all, one: all.insert(5, POOL)), r"layer 5 \(max_pool\): there is no stream above the latent yet"),
    (layers(lambda all, one: all.pop(5)), r"layer 5 \(max_pool\): there is no stream above the latent yet"),
    (layers(lambda all, one: all.pop(7)), r"layer 6 \(max_pool\): no later layer reads its output"),
    (
        layers(lambda all, one: all.__delitem__(slice(5, 9))),
        r"layer 5 \(flatten\): there is no stream above the",
    ),
    (layers(lambda all, one: all.insert(9, all[4])), r"layer 9 \(bconv2d_sign\): no later layer reads its output"),
    (layer("bconv2d_sign", 1, cout=48), "cout must be a multiple of 32"),
    (
        layers(lambda all, one: all.__setitem__(9, {"op": "global_avg_pool"})),
        r"head.weight: is I8 .* needs I8 \(3, 32\)",
    ),
    (tensor("sign.threshold", lambda a: a.astype(np.int8)), "sign.threshold: is I8"),
]

OTHERS = [(models.mixed, *case) for case in MIXED_REFUSED]
OTHERS += [(models.deep, *case) for case in DEEP_REFUSED] + [(models.plain, *case) for case in PLAIN_REFUSED]
