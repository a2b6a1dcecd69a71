"""The instructions of kernels on the processors of boards, at the shapes of a model, under QEMU.

The code is that of the native modules (`make natmods`), linked with boards/instructions/harness.c for QEMU's user-mode
emulation. QEMU logs each block of instructions when it translates it and whenever it is executed: counts are exact and
the same on every machine. They say how much work a kernel is, not how long it takes: cycles also depend on the
processor's pipeline and memory. What memset and memcpy do, which are the firmware's, is not in them, nor are the
exceptions of Xtensa's register windows, which QEMU handles. Every result is compared with the reference.
"""

from __future__ import annotations

import copy
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from bitreplay import budget, trainer
from tqdm import tqdm

from .. import models, paths, reference
from ..errors import UserError
from ..onboard import kernel_arguments
from ..tables import table

TOOLS = "arm/usr/bin", "cross/usr/bin"  # in the build folder
FLAGS = ["-O2", "-std=c99", "-Wall", "-Wextra", "-Werror", "-ffreestanding", "-nostdlib", "-static", "-Wl,--no-relax"]
CALL_WORDS = 14  # of the harness's `call`, before its memory
CLASSES = 10
CHANNELS = 8  # that are trained

# Arguments of the C functions: those of their references, numbers of the shape, and structures: `affine`, `trained`.
CORE = {
    "conv2d": "geometry x weight affine y",
    "bconv2d": "geometry x weight affine scratch scratch_words y",
    "bconv2d_sign": "geometry x weight threshold flip scratch scratch_words y",
    "binarize": "x threshold flip n channels y",
    "dot_tables": "q words rows count scratch out",
    "dot_signs": "q n x words out",
    "transpose": "x rows words y",
    "dense": "x weight shift n classes y",
    "softmax": "z active classes label e",
    "head_update": "e f active samples classes n weight velocity hyper rng",
    "bconv2d_masks": "geometry x weight affine scratch scratch_words y passes negative",
    "near_threshold": "x threshold n channels y",
    "head_backward": "e weight bits classes n df copies exponents",
    "gradient_mask": "g mask words",
    "gradient_add": "g d mask flip n channels add exponents",
    "gradient_record": "g negative slope n cout channels count exponents out width kept sample",
    "bconv2d_dx": "geometry g negative slope shift weight bits stochastic scratch d rng exponents",
    "bconv2d_dw": "geometry samples x g shifts slope trained packed hyper scratch rng square",
}


@dataclass
class Architecture:
    """tools: the prefix of their names. emulator: its command. thumb: whether addresses of functions are odd."""

    tools: str
    flags: list[str]
    emulator: list[str]
    thumb: bool = False


ARCHITECTURES = {
    "armv6m": Architecture("arm-none-eabi-", ["-mthumb", "-mcpu=cortex-m0"], ["qemu-arm", "-cpu", "cortex-m0"], True),
    "armv7emsp": Architecture(
        "arm-none-eabi-",
        ["-mthumb", "-mcpu=cortex-m4", "-mfpu=fpv4-sp-d16", "-mfloat-abi=hard"],
        ["qemu-arm", "-cpu", "cortex-m4"],
        True,
    ),
    "rv32imc": Architecture("riscv64-unknown-elf-", ["-march=rv32imac", "-mabi=ilp32"], ["qemu-riscv32"]),
    "rv32imc-zbb": Architecture(
        "riscv64-unknown-elf-", ["-march=rv32imac_zbb", "-mabi=ilp32"], ["qemu-riscv32", "-cpu", "rv32,zbb=on"]
    ),
    "xtensawin": Architecture("xtensa-lx106-elf-", ["-mabi=windowed"], ["qemu-xtensa", "-cpu", "de233_fpu"]),
}


@dataclass
class Case:
    """A call of a kernel: arguments of its reference, and of the C function, which share arrays.

    Of the C arguments arrays are passed by their address, and so are structures, tuples of what they consist of.
    """

    kernel: str
    shape: str
    reference: tuple[Any, ...]
    core: tuple[Any, ...]
    binary_macs: int = 0
    layers: int = 0  # of the model, that are binary convolutions of this shape
    scratch: frozenset[int] = frozenset()  # places of the reference's arguments that may hold anything afterwards


class Program:
    """The kernels of a native module, linked to run under QEMU."""

    def __init__(self, name: str, directory: Path):
        self.name, self.architecture, self.elf = name, ARCHITECTURES[name], directory / f"{name}.elf"
        module = paths.built(f"natmod/{name}/_bitreplay.mpy", "natmods").parent
        # Of each kernel's file; some are for one processor.
        sources = sorted(paths.clone("usermod_c/core").glob("*.[cS]"))
        objects = [path for path in (module / f"{source.stem}.o" for source in sources) if path.exists()]
        tools = self.architecture.tools
        harness = paths.clone("boards/instructions/harness.c")
        run(tools + "gcc", *self.architecture.flags, *FLAGS, harness, *objects, "-o", self.elf)
        lines = [line.split() for line in run(tools + "nm", self.elf).splitlines()]
        self.symbols = {words[-1]: int(words[0], 16) for words in lines if len(words) == 3}
        sections = [line.split() for line in run(tools + "size", "-A", "-d", self.elf).splitlines()]
        self.size, self.start = next((int(w[1]), int(w[2])) for w in sections if w and w[0] == ".text")

    def count(self, case: Case) -> int:
        """The instructions that the kernel executes. The case's arrays become what it leaves in them."""
        request = Request(self.symbols["call"] + 4 * CALL_WORDS)
        arguments = [request.word(argument) for argument in case.core]
        arguments += [0] * (CALL_WORDS - 1 - len(arguments))
        kernel = self.symbols[f"br_{case.kernel}"] | self.architecture.thumb
        content = np.array([kernel, *arguments], np.uint32).tobytes() + request.memory
        log = ["-d", "in_asm,exec,nochain", "-dfilter", f"{self.start:#x}+{self.size:#x}"]
        program, *options = self.architecture.emulator
        with tempfile.TemporaryFile() as stdin, tempfile.TemporaryFile() as stdout:
            stdin.write(content)
            stdin.seek(0)
            command = [tool(program), *options, *log, str(self.elf)]
            with subprocess.Popen(command, stdin=stdin, stdout=stdout, stderr=subprocess.PIPE) as process:
                assert process.stderr
                executed = count_instructions(process.stderr)
            stdout.seek(0)
            reply = stdout.read()
        if process.returncode or len(reply) != len(content):
            raise UserError(f"{case.kernel} ended with status {process.returncode} on {self.name}")
        request.read(reply[4 * CALL_WORDS :])
        return executed


class Request:
    """What a call's arguments point to, as it lies in memory from an address on."""

    def __init__(self, address: int):
        self.address, self.memory = address, bytearray()
        self.places: dict[int, tuple[np.ndarray, int]] = {}  # by identity: arrays and their offsets

    def word(self, argument: Any) -> int:
        """An argument as the kernel gets it."""
        if isinstance(argument, tuple):
            argument = np.array([self.word(member) for member in argument], np.uint32)
        if not isinstance(argument, np.ndarray):
            return int(argument) & 0xFFFFFFFF
        if id(argument) not in self.places:
            self.places[id(argument)] = argument, len(self.memory)
            self.memory += argument.tobytes()
            self.memory += bytes(-len(self.memory) % 4)
        return self.address + self.places[id(argument)][1]

    def read(self, memory: bytes) -> None:
        """Takes over what a kernel left in memory."""
        for array, offset in self.places.values():
            array[:] = np.frombuffer(memory, array.dtype, array.size, offset)


def count_instructions(log: Iterable[bytes]) -> int:
    """The instructions executed by QEMU's log: blocks are listed when translated, and have a line when executed."""
    blocks: dict[bytes, tuple[int, bytes, bytes]] = {}  # how many instructions, the first and the last one's address
    listed: list[bytes] = []
    executed, previous = 0, b""
    for line in log:
        if line.startswith(b"Trace"):
            if listed:
                blocks[line], listed = (len(listed), listed[0], listed[-1]), []
            length, first, last = blocks[line]
            # An exception of a register window ends a block before its last instruction, where the next one starts.
            executed += length - (first == previous)
            previous = last
        elif line.startswith(b"0x"):
            listed.append(line.partition(b":")[0])
    return executed


def run(name: str, *arguments: object) -> str:
    """What a tool prints."""
    result = subprocess.run(
        [tool(name), *map(str, arguments)],
        capture_output=True,
        text=True,
        env={**os.environ, "XTENSA_GNU_CONFIG": str(paths.built("cross/esp32.so", "cross"))},
    )
    if result.returncode:
        raise UserError(f"{name}: {(result.stderr.strip() or 'failed').splitlines()[-1]}")
    return result.stdout


def tool(name: str) -> str:
    folders = [str(paths.BUILD / folder) for folder in TOOLS] if paths.BUILD else []
    found = shutil.which(name, path=os.pathsep.join([*folders, os.environ.get("PATH", "")]))
    if not found:
        raise UserError(f"{name} is missing; run `make arm cross` first")
    return found


def make_case(kernel: str, text: str, random: np.random.Generator, shape: dict[str, Any], **given: Any) -> Case:
    """A case of that shape. given: settings and buffers by name; other inputs are noise, and outputs zeros."""

    def number(name, low, high):
        return given[name]

    def content(argument):
        if argument.name in given:
            return given[argument.name]
        if argument.role == "input":
            return random.integers(argument.low, argument.high, argument.count, argument.typecode, endpoint=True)
        return np.full(argument.count, argument.name == "rng", argument.typecode)

    describe: Any = kernel_arguments.KERNELS[kernel]
    described = describe(**shape)
    values = kernel_arguments.values(described, number, content)
    known = {a.name: v if a.role == "scalar" else np.asarray(v) for a, v in zip(described, values, strict=True)}
    expected = tuple(known.values())
    if "bias" in known:
        known["affine"] = known["slope"], known["bias"], known["shift"]
    if "scratch" in known:
        known["scratch_words"] = known["scratch"].size
    if "packed" in known:
        known["trained"] = known["channels"], shape["count"], known["weight"]
    scratch = frozenset(i for i, argument in enumerate(described) if argument.role == "scratch")
    core = tuple((shape | known)[name] for name in CORE[kernel].split())
    return Case(kernel, text, expected, core, scratch=scratch)


def describe_geometry(geometry: tuple[int, ...]) -> str:
    """It as text."""
    height, width, cin, cout, kernel_h, kernel_w, *_, groups = geometry
    oh, ow = kernel_arguments.output_sides(geometry)
    text = f"{height}x{width}x{cin} to {oh}x{ow}x{cout}, {kernel_h}x{kernel_w}"
    return text + (f", {groups} groups" if groups > 1 else "")


def executed_macs(geometry: tuple[int, ...]) -> int:
    """Binary MACs of a convolution, those in the padding left out."""
    rows, columns = kernel_arguments.executed_taps(geometry)
    return rows * columns * geometry[2] // geometry[10] * geometry[3]


def convolutions(layers: Iterable[Any], random: np.random.Generator) -> list[Case]:
    """Each shape of convolution among a model's layers, on random inputs and weights."""
    cases: dict[tuple[str, str], Case] = {}
    for layer in layers:
        if not layer.geometry:
            continue
        op, geometry, text = layer.op, tuple(layer.geometry), describe_geometry(tuple(layer.geometry))
        if (op, text) not in cases:
            cases[op, text] = make_case(op, text, random, {"geometry": geometry}, **channels(layer, random))
        if op != "conv2d":
            cases[op, text].binary_macs = executed_macs(geometry)
            cases[op, text].layers += 1
    return list(cases.values())


def channels(layer: Any, random: np.random.Generator) -> dict[str, Any]:
    """What a convolution has for each channel, so that its outputs have all values, and few are saturated."""
    cout, steep = layer.geometry[3], 999 if layer.op == "conv2d" else 20000
    if layer.op == "bconv2d_sign":
        return {"threshold": random.integers(-20, 20, cout, np.int16)}
    slope = random.integers(-steep, steep, 2 * cout, np.int16)
    return {"slope": slope, "bias": random.integers(-50, 50, cout, np.int32) << layer.shift, "shift": layer.shift}


def others(net: Any, random: np.random.Generator) -> Iterator[Case]:
    """The kernels that learning spends its time on, as a learner with 16-bit head weights calls them."""

    def case(kernel: str, text: str, shape: dict[str, int], **given: Any) -> Case:
        return make_case(kernel, text, random, shape, **given)

    layers = [layer for layer in net.above if layer.op == "bconv2d"]
    for layer in {tuple(layer.geometry): layer for layer in layers}.values():
        yield from gradients(layer, case)
    batches = [budget.HEAD_BATCH]
    if layers:
        batches.append(trainer.minibatch(layers[0]))
        yield from parts(layers[0], random, case)
    n, text = net.features, f"{CLASSES} classes, {net.features} features"
    yield case("dense", text, {"n": n, "classes": CLASSES}, shift=np.full(CLASSES, -3, np.int8))
    active, z = np.ones(CLASSES, np.uint8), random.integers(-9000, 9000, CLASSES, np.int32)
    yield case("softmax", f"{CLASSES} classes", {"classes": CLASSES}, z=z, active=active, label=0)
    weight = random.integers(-(2**15), 2**15, CLASSES * n).astype(np.int16)
    e = random.integers(-3000, 3000, CLASSES, np.int16)
    yield case("head_backward", text, {"classes": CLASSES, "n": n, "bits": 16, "copies": 1}, e=e, weight=weight)
    for samples in batches:
        e = random.integers(-3000, 3000, samples * CLASSES, np.int16)
        shape = {"samples": samples, "classes": CLASSES, "n": n, "bits": 16}
        given = {"e": e, "active": active, "weight": weight.copy(), "mantissa": 10, "exponent": -4}
        yield case("head_update", f"minibatch of {samples}, {text}", shape, **given, momentum=3, decay=0)


def parts(first: Any, random: np.random.Generator, case: Callable[..., Case]) -> Iterator[Case]:
    """What a gradient of a binary convolution, and of what is around it, is made of."""
    batch = trainer.minibatch(first)
    height, width, channels = first.shape
    inputs, positions = first.shape_in[2] // first.geometry[10], trainer.columns(batch, height * width)
    words, text = height * width * channels // 32, f"{height}x{width}x{channels}"
    yield case("binarize", text, {"n": height * width, "channels": channels})
    yield case("near_threshold", text, {"n": height * width, "channels": channels})
    yield case("gradient_mask", text, {"words": words})
    yield case("gradient_add", text, {"n": height * width, "channels": channels}, add=1)
    text = f"{positions} positions, {inputs} inputs"
    yield case("dot_tables", f"two rows of {text}", {"words": positions // 32, "count": inputs})
    yield case("dot_signs", text, {"n": positions, "words": inputs // 32})
    yield case("transpose", f"{positions}x{inputs} bits", {"rows": positions, "words": inputs // 32})


def gradients(layer: Any, case: Callable[..., Case]) -> Iterator[Case]:
    """What training takes at a binary convolution, in a minibatch as if it were the lowest one."""
    geometry, cout = tuple(layer.geometry), layer.geometry[3]
    shape: dict[str, Any] = {"geometry": geometry}
    text = describe_geometry(geometry)
    positions, channels = layer.shape[0] * layer.shape[1], min(CHANNELS, cout)
    batch = trainer.minibatch(layer)
    columns = trainer.columns(batch, positions)
    given = {"slope": np.full(2 * cout, 20000, np.int16), "bias": np.zeros(cout, np.int32), "shift": layer.affine[2]}
    yield case("bconv2d_masks", text, shape, **given)
    record = {"n": positions, "cout": cout, "count": channels, "width": columns}
    yield case("gradient_record", f"{text}, {channels} channels", record, sample=0)
    yield case("bconv2d_dx", f"{text}, 4 bits", {**shape, "bits": 4}, shift=8, stochastic=1)
    g = np.random.default_rng(1).integers(-30000, 30000, channels * columns, np.int16)
    train = {**shape, "samples": batch, "count": channels, "bits": 4}
    text = f"{text}, minibatch of {batch}, {channels} channels, 4 bits"
    given = {"g": g, "shifts": np.zeros(batch, np.uint8), "stochastic": 1, "mantissa": 10, "exponent": -40}
    yield case("bconv2d_dw", text, train, **given, update=1)


def count(program: Program, case: Case) -> int:
    """The instructions of a case. UserError if its result is not that of the reference."""
    case = copy.deepcopy(case)  # in whose copy the reference's arrays and those of the call are the same too
    expected = copy.deepcopy(case.reference)
    getattr(reference, case.kernel)(*expected)
    executed = program.count(case)
    for i, (one, other) in enumerate(zip(case.reference, expected, strict=True)):
        if i not in case.scratch and not np.array_equal(one, other):
            raise UserError(f"{case.kernel} {case.shape} is wrong on {program.name}: it differs from the reference")
    return executed


def bench(model: Path) -> dict:
    """What `bitreplay bench --board instructions` writes."""
    net, random = models.load(model), np.random.default_rng(1)
    cases = [*convolutions([*models.backbone(model), *net.above], random), *others(net, random)]
    kernels = []
    with (
        tempfile.TemporaryDirectory() as directory,
        tqdm(total=len(cases) * len(ARCHITECTURES), desc="kernels", unit="", disable=None, leave=False) as bar,
    ):
        programs = [Program(name, Path(directory)) for name in ARCHITECTURES]
        for case in cases:
            line: dict[str, Any] = {"name": case.kernel, "shape": case.shape, "instructions": {}}
            for program in programs:
                line["instructions"][program.name] = count(program, case)
                bar.update()
            if case.binary_macs:
                line["binary_macs"], line["layers"] = case.binary_macs, case.layers
                line["instructions_per_32_macs"] = {
                    name: round(executed * 32 / case.binary_macs, 2) for name, executed in line["instructions"].items()
                }
            kernels.append(line)
    return {
        "target": "instructions of the native modules' kernels, counted by QEMU: no times, no board",
        "kernels": kernels,
    }


def describe(result: dict) -> str:
    """The result as a table."""
    rows = []
    for kernel in result["kernels"]:
        per_word = kernel.get("instructions_per_32_macs", {})
        cells = [value for name in ARCHITECTURES for value in (kernel["instructions"][name], per_word.get(name, ""))]
        rows.append(
            [f"{kernel['name']} {kernel['shape']}", *(f"{v:.2f}" if isinstance(v, float) else v for v in cells)]
        )
    head = ["kernel", *(title for name in ARCHITECTURES for title in (name, "per 32 MACs"))]
    text = f"{result['target']}.\n\n{table(head, rows)}"
    layers = [kernel for kernel in result["kernels"] if "binary_macs" in kernel]
    if not layers:
        return text
    text += "\n\nall binary convolutions, instructions per 32 MACs:"
    macs = sum(kernel["layers"] * kernel["binary_macs"] for kernel in layers)
    for name in ARCHITECTURES:
        executed = sum(kernel["layers"] * kernel["instructions"][name] for kernel in layers)
        text += f" {name} {executed * 32 / macs:.2f}"
    return text
