"""The type stubs: what a type checker says of programs on `bitreplay`, and that they agree with the modules."""

import ast
import os
import re
import subprocess
import sys

from synthetic_data import ROOT

STUBS = {
    "bitreplay/__init__.pyi": ROOT / "firmware" / "bitreplay" / "__init__.pyi",
    "_bitreplay-stubs/__init__.pyi": ROOT / "host_tools" / "_bitreplay-stubs" / "__init__.pyi",
}

GOOD = """
from array import array

import _bitreplay
import bitreplay

net = bitreplay.load("model.safetensors")
me = bitreplay.Learner(net, replay=500, fresh=100, classes=10, seed=1, policy="reservoir", q_b=8)
image = bytearray(net.image_bytes)
me.see(image, "mug")
me.see(memoryview(image), 7)
me.learn(epochs=4, progress=lambda epoch, epochs, percent: print(epoch / epochs, percent))
label, probability = me.predict(image)
print("%.2f" % probability, me.labels.index(label), me.memory()["total"], bitreplay.heap().get("free"))
me.save("me.safetensors")
me = bitreplay.Learner.load(net, "me.safetensors")
latent = bytearray(net.latent_bytes)
net.latent(image, latent)
print(me.predict_latent(latent)[0], net.classify(image)[0].upper(), me.digest()[:8])
print(_bitreplay.random(array("I", [1]), 6) + 1)
sound = bitreplay.logmel(16000, channels=1)
sound.add(array("h", bytes(2 * sound.hop)))
print(me.predict(sound.image())[1] + sound.loudness())
window = bitreplay.window(units=(1 / 64, 2), hop=32)
if window.add([0.5, 0, 1, 0, 0, 0]):
    me.see(window.image(), "rest")
with bitreplay.record("log.npy", (2, 3), "int16") as log:
    log.append([1, 2, 3, 4, 5, 6])
    print(log.rows + 1)
_bitreplay.expand(latent, bytes(2 * net.latent_shape[2]), bytearray(8 * net.latent_bytes))
"""

# Each line that is wrong names its error.
BAD = """
import _bitreplay
import bitreplay

net = bitreplay.load(3)  # arg-type
me = bitreplay.Learner("model.safetensors")  # arg-type
me = bitreplay.Learner(net, replays=500)  # call-arg
me = bitreplay.Learner(net, policy="newest")  # arg-type
me = bitreplay.Learner(net, head_bits=8)  # arg-type
me.see("mug", bytes(3072))  # arg-type
me.see(bytes(3072))  # call-arg
me.see(bytes(3072), 1.5)  # arg-type
me.teach(bytes(3072), "mug")  # attr-defined
label: str = me.predict(bytes(3072))  # assignment
me.memory()["everything"]  # typeddict-item
me = bitreplay.Learner.load(net)  # call-arg
net = bitreplay.Network()  # call-arg
bitreplay.learn(me)  # attr-defined
bitreplay.logmel().hear()  # attr-defined
bitreplay.window(unit=(1, 2))  # call-arg
bitreplay.record("log.npy")  # call-arg
_bitreplay.random(1, 6)  # arg-type
_bitreplay.head_sum(weight=bytes(4), bits=16)  # call-arg
_bitreplay.expand(bytes(4), bytes(64))  # call-arg
"""

# What stubtest finds in the two modules and is meant so.
ALLOWED = r"""
_bitreplay\.__all__  # the C module has none
bitreplay\.Learner\.load  # at run time the path may be missing, for the sake of the message
bitreplay\..*-redefinition  # one definition for each port
"""


def run(folder, tool, *arguments):
    # Where users have them, the packages are one beside the other.
    path = os.pathsep.join([str(ROOT / "host_tools"), str(ROOT / "firmware")])
    return subprocess.run(
        [sys.executable, "-m", tool, *arguments],
        cwd=folder,
        env={**os.environ, "MYPYPATH": path, "PYTHONPATH": path},
        capture_output=True,
        text=True,
    )


def mypy(folder, program):
    """The lines with errors, {number: kind}."""
    (folder / "program.py").write_text(program)
    done = run(folder, "mypy", "--strict", "--disallow-any-expr", "program.py")
    assert done.returncode < 2 and not done.stderr, done
    return {int(n): kind for n, kind in re.findall(r"^program\.py:(\d+): error: .*\[([\w-]+)\]$", done.stdout, re.M)}


def test_good_program(tmp_path):
    """Not even one expression of unknown type."""
    assert mypy(tmp_path, GOOD) == {}


def test_bad_program(tmp_path):
    lines = enumerate(BAD.splitlines(), 1)
    assert mypy(tmp_path, BAD) == {n: line.split("  # ")[1] for n, line in lines if "  # " in line}


def test_stubs_are_as_the_modules(tmp_path):
    """Names, parameters and defaults, on CPython; the C module takes no keywords."""
    (tmp_path / "allowed").write_text(ALLOWED)
    options = ["--ignore-positional-only", "--allowlist=allowed", f"--mypy-config-file={ROOT / 'pyproject.toml'}"]
    found = run(tmp_path, "mypy.stubtest", *options, "bitreplay", "_bitreplay")
    assert found.returncode == 0, found.stdout + found.stderr


def test_stub_is_as_the_c_module(micropython):
    """Names, and how many arguments each takes."""
    tree = ast.parse(STUBS["_bitreplay-stubs/__init__.pyi"].read_text())
    expected = {f.name: len(f.args.posonlyargs) for f in tree.body if isinstance(f, ast.FunctionDef)}
    script = """
import _bitreplay
for name in dir(_bitreplay):
    if name[0] != "_":
        try:
            getattr(_bitreplay, name)()
        except TypeError as error:
            print(name, error)
"""
    shown = subprocess.run([micropython, "-c", script], check=True, capture_output=True, text=True).stdout
    found = {name: int(count) for name, count in re.findall(r"(\w+) .*takes (\d+) positional arguments", shown)}
    assert found == expected and len(found) == len(shown.splitlines())


def test_stubs_are_installed(tmp_path):
    """What setuptools puts into a wheel: the stubs, and the mark that the package has types."""
    build = ["-q", "build_py", "--build-lib", str(tmp_path)]
    subprocess.run([sys.executable, "-c", "import setuptools; setuptools.setup()", *build], cwd=ROOT, check=True)
    for name, source in STUBS.items():
        assert (tmp_path / name).read_bytes() == source.read_bytes()
    assert (tmp_path / "bitreplay" / "py.typed").exists()
