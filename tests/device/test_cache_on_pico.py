"""The model of the cache in front of an RP2040's flash: exact counts of what programs read and run there."""

import ast
import json

import pytest
from bitreplay_host import cli
from bitreplay_host.device.board import Board

import models

LINE, SIZE = 8, 16384  # bytes of the cache
MISS = 56  # cycles
FILES = 0x10100000  # where the flash's filesystem begins
# These run from SRAM without interrupts, so that nothing but what they read or call in flash passes through the cache.
# Each leaves accesses, hits and, by SysTick, which counts down, cycles of each pass.
PROGRAM = """
import array, machine, micropython, rp2
XIP, SYSTICK = 0x14000000, 0xe000e010
@micropython.viper
def read(xip: ptr32, timer: ptr32, counts: ptr32, passes: int, address: int, end: int, step: int):
    for i in range(passes):
        place = address
        start = timer[2]
        xip[3] = xip[4] = 0
        while place < end:
            word = ptr32(place)
            word[0]
            place += step
        counts[3 * i] = xip[4]
        counts[3 * i + 1] = xip[3]
        counts[3 * i + 2] = start - timer[2] & 0xffffff
@micropython.asm_thumb
def call(r0, r1, r2):
    mov(r7, r2)
    mov(r6, 2)
    label(PASS)
    mov(r4, 0)
    str(r4, [r1, 0x0c])
    str(r4, [r1, 0x10])
    bl(CALL)
    ldr(r3, [r1, 0x10])
    str(r3, [r7, 0])
    ldr(r3, [r1, 0x0c])
    str(r3, [r7, 4])
    add(r7, 12)
    sub(r6, 1)
    bne(PASS)
    b(END)
    label(CALL)
    bx(r0)
    label(END)
def measure(passes, function, *arguments, flush=True):
    counts = array.array("I", 3 * passes * [0])
    state = machine.disable_irq()
    if flush:
        machine.mem32[XIP + 4] = 1
    function(*[counts if argument is None else argument for argument in arguments])
    machine.enable_irq(state)
    for i in range(0, len(counts), 3):
        print((counts[i], counts[i] - counts[i + 1], counts[i + 2]))
def read_all(passes, start, size, step, flush=True):
    measure(passes, read, XIP, SYSTICK, None, passes, start, start + size, step, flush=flush)
machine.mem32[SYSTICK + 4] = 0xffffff
machine.mem32[SYSTICK] = 5
"""


@pytest.fixture
def run(emulator, mpremote):
    """A function: what Python code prints on a Pico with the cache: (accesses, misses, cycles) of each pass."""
    with emulator(cache=True) as pico:
        yield lambda code: [ast.literal_eval(line) for line in mpremote(pico, "exec", PROGRAM + code).splitlines()]


@pytest.mark.parametrize("start", [FILES, FILES + 0x1238])
def test_what_fits_misses_once_and_what_does_not_each_time(run, start):
    small = run(f"read_all(3, {start}, {SIZE}, 8)")
    assert [counts[:2] for counts in small] == [(SIZE // LINE, SIZE // LINE), *[(SIZE // LINE, 0)] * 2]
    large = run(f"read_all(3, {start}, {3 * SIZE // 2}, 8)")
    assert [counts[:2] for counts in large[1:]] == [(1.5 * SIZE // LINE, 1.5 * SIZE // LINE)] * 2
    overhead = 100  # of a pass, in cycles
    assert large[2][2] - 1.5 * small[2][2] == pytest.approx(1.5 * SIZE // LINE * MISS, abs=overhead)


@pytest.mark.parametrize("size, step, lines", [(256, 4, 32), (256, 8, 32), (256, 64, 4), (2048, 4, 256)])
def test_the_first_word_of_a_line_misses_and_that_takes_its_cycles(run, size, step, lines):
    first, again = run(f"read_all(2, {FILES:#x}, {size}, {step})")
    assert first[:2] == (size // step, lines) and again[:2] == (size // step, 0)
    assert first[2] - again[2] == lines * MISS


def test_reads_that_bypass_the_cache_are_not_counted(run):
    assert [counts[:2] for counts in run(f"read_all(2, {FILES + 0x3000000:#x}, 256, 4)")] == [(0, 0)] * 2


def test_instructions_are_fetched_a_word_at_a_time(run):
    """A program of 256 bytes in flash, with an instruction of two halves in two words, and its way back."""
    program = "bytes([0xc0, 0x46]) * 63 + bytes([0xbf, 0xf3, 0x4f, 0x8f]) + bytes([0xc0, 0x46]) * 62 + b'pG'"
    code = f"rp2.Flash().writeblocks(0, {program} + bytes(4096 - 256))\nmeasure(2, call, {FILES + 1:#x}, XIP, None)"
    assert [counts[:2] for counts in run(code)] == [(64, 32), (64, 0)]


def test_programming_the_flash_flushes_the_cache(run):
    """Half of the cache is filled: some of it survives a read of flash, and nothing a program."""
    code = f"""
flash, page = rp2.Flash(), bytearray(256)
for function in flash.readblocks, flash.writeblocks:
    read_all(2, {FILES:#x}, {SIZE // 2}, 8)
    function(0, page, 0)
    read_all(1, {FILES:#x}, {SIZE // 2}, 8, flush=False)
"""
    _, full, read, _, full_again, written = run(code)
    assert full[1] == full_again[1] == 0 and written[1] == SIZE // 2 // LINE
    assert read[1] < 0.9 * written[1]


def test_without_the_model_the_counters_are_0(pico, mpremote):
    code = "import machine; m = machine.mem32; m[0x1400000c] = m[0x14000010] = m[0x14000004] = 1; "
    code += "print(m[0x1400000c], m[0x14000010], m[0x14000004])"
    assert mpremote(pico, "exec", code) == "0 0 0"


def test_bench_prints_misses(tmp_path, capsys):
    out = tmp_path / "cache.json"
    arguments = ["bench", "--board", "emulated", "--flash-cache", "--train", "head", "--replay", "8", "--fresh", "4"]
    model = models.tiny_model(tmp_path / "tiny.safetensors")
    assert cli.main([*arguments, "--model", model, "--out", str(out)]) == 0, capsys.readouterr().err
    printed = capsys.readouterr().out
    assert "the flash's cache are as a model has them" in printed and printed.splitlines()[2].split()[-1] == "misses"
    kernels = json.loads(out.read_text())["kernels"]
    assert all(0 < kernel["misses"] * MISS < kernel["cycles"] for kernel in kernels)


def test_another_chip_counts_no_misses(pico, small_model, monkeypatch, capsys):
    monkeypatch.setattr(Board, "machine", lambda board: "Raspberry Pi Pico2 with RP2350")
    assert cli.main(["bench", "--port", pico.port, "--flash-cache", "--model", str(small_model)]) == 2
    told = "Raspberry Pi Pico2 with RP2350 is no RP2040 and has no such counters; leave it out"
    assert capsys.readouterr().err == f"bitreplay: --flash-cache: {told}\n"
