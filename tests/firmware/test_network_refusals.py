"""Every way in which a model is refused."""

import os
import re

import pytest
from bitreplay import load
from refused import OTHERS, REFUSED, metadata

import models


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "model.safetensors")


@pytest.mark.parametrize("edit, message", REFUSED, ids=range(len(REFUSED)))
def test_refuses(path, edit, message):
    models.tiny_model(path, edit)
    with pytest.raises(ValueError, match=f"^{re.escape(path)}: .*({message})"):
        load(path)


def test_refuses_a_model_without_graph(path):
    header, data = models.tiny().header_and_data()
    del header["__metadata__"]["graph"]
    with open(path, "wb") as file:
        file.write(models.encode(header, data))
    with pytest.raises(ValueError, match=f"^{re.escape(path)}: graph: is missing; use `bitreplay export` again$"):
        load(path)


@pytest.mark.parametrize("nested", ["[", '{"a":'])
def test_refuses_deep_graph(path, nested):
    deep = '{"image":' + nested * 5000 + "1" + {"[": "]"}.get(nested, "}") * 5000 + "}"
    models.tiny_model(path, metadata(graph=deep))
    with pytest.raises(ValueError, match=r"graph: is not valid JSON \(RecursionError\)"):
        load(path)


@pytest.mark.parametrize("make, edit, message", OTHERS, ids=range(len(OTHERS)))
def test_refuses_of_others(path, make, edit, message):
    model = make()
    edit(model)
    with pytest.raises(ValueError, match=f"^{re.escape(path)}: .*({message})"):
        load(models.save(path, model))


def test_output_larger_than_a_kernel_takes(path):
    model = models.mixed()
    model.image = [256, 256, 1]
    model.layer("conv2d")["padding"] = 4
    with pytest.raises(ValueError, match=r"layer 0 \(conv2d\): its output is 260x260"):
        load(models.save(path, model))


@pytest.mark.parametrize("name, terms", [("block", 288), ("tail", 32)])
def test_overflow_bound_is_exact(path, name, terms):
    model = models.tiny()
    model.tensors[f"{name}.slope"][3] = [300, -32768]
    largest = 2**31 - 1 - terms * 32768 - (1 << 7)
    model.tensors[f"{name}.bias"][3] = -largest
    load(models.save(path, model))
    model.tensors[f"{name}.bias"][3] = largest + 1
    with pytest.raises(ValueError, match=f"{name}.slope: channel 3 can overflow"):
        load(models.save(path, model))


def test_overflow_bound_of_conv2d_is_exact(path):
    model = models.tiny()
    model.tensors["stem.slope"][3] = [-500, 20]
    largest = 2**31 - 1 - 500 * 128 * int(abs(model.tensors["stem.weight"][3].astype(int)).sum()) - (1 << 12)
    model.tensors["stem.bias"][3] = largest
    load(models.save(path, model))
    model.tensors["stem.bias"][3] = largest + 1
    with pytest.raises(ValueError, match="stem.slope: channel 3 can overflow"):
        load(models.save(path, model))


def test_accepts_extremes(path):
    """The ends of the ranges, which the tests above step over."""
    model = models.tiny()
    model.tensors["head.shift"][:] = [-16, 6, 0]
    model.tensors["expand.levels"][:] = [-128, 127]
    model.metadata["name"] = "n" * 64
    model.labels[0] = "l" * 64
    load(models.save(path, model)).classify(models.image())


def test_accepts_1024_features(path):
    model = models.mixed()
    model.layers[-1] = {"op": "flatten"}
    assert load(models.save(path, model)).features == 1024


def test_accepts_what_reads_twice(path):
    """A register that is read again, and a layer without shortcut whose stream was read before, are no mistakes."""
    model = models.tiny()
    model.layer("bconv2d")["residual"] = False
    model.layers.insert(8, {**model.layers[7], "tensor": "again"})
    for part in ("weight", "slope", "bias"):
        model.tensors[f"again.{part}"] = model.tensors[f"tail.{part}"]
    load(models.save(path, model)).classify(models.image())


# Damaged files.


def test_truncation(path):
    models.tiny_model(path)
    for size in reversed(range(os.stat(path).st_size)):
        os.truncate(path, size)
        with pytest.raises(ValueError, match=f"^{re.escape(path)}: "):
            load(path)


REFUSE = """
import gc, sys
from bitreplay.network import load
if hasattr(gc, "freeze"):
    gc.freeze()  # CPython would look through all of NumPy for each layer of a model
for path in sys.argv[1:]:
    try:
        load(path)
        print("accepted")
    except ValueError as error:
        print(str(error)[len(path):].split("(JSON")[0].split("(Value")[0])
"""


def test_refuses_the_same_under_micropython(tmp_path, micropython, cpython):
    paths = [models.tiny_model(tmp_path / str(i), edit) for i, (edit, _) in enumerate(REFUSED)]
    for i, (make, edit, _) in enumerate(OTHERS):
        model = make()
        edit(model)
        paths.append(models.save(tmp_path / f"other{i}", model))
    ours, theirs = micropython(REFUSE, *paths).split("\n"), cpython(REFUSE, *paths).split("\n")
    different = [(a, b) for a, b in zip(ours, theirs) if a != b]
    assert different == []
    assert "accepted" not in ours
