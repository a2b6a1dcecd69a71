// node --test boards/emulator/test/*.test.mjs, after `make emulator`: rp2040js lies beside the copy in build/emulator.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Flash } from '../flash.mjs';

const { Chip } = await import('../../../build/emulator/chip.mjs');

const INSTRUCTIONS = 200_000;
const CODE = 0x20001000;
const SRAM_SIZE = 264 << 10;
console.warn = () => {}; // rp2040js says so when there is no such peripheral
const STATE = ['N', 'Z', 'C', 'V', 'PM', 'SPSEL', 'bankedSP', 'interruptsUpdated', 'waiting', 'cycles'];
const RARE = [0xb662, 0xb672, 0xbf00, 0xf3ef, 0xf380, 0xf387, 0xf3bf];
// Where carries, signs, borders of memory and peripherals are.
const EDGES = [
  0, 1, 2, 31, 32, 33, 0x7ffffffe, 0x7fffffff, 0x80000000, 0x80000001, 0xfffffffe, 0xffffffff,
  0x20000000, 0x20002000, 0x20002001, 0x20002002, 0x20041ffc, 0x20041ffe, 0x20041fff, 0x20042000,
  0x3ffc, 0x4000, 0x10000000, 0x101ffffc, 0x10200000, 0x1ffffffc, 0x40054028, 0x4005402a, 0xd0000000, 0xfffffff9,
];

let seed = 1;
function random(limit) {
  seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
  return Math.floor((seed / 2 ** 32) * limit);
}

const any = () => (random(3) ? EDGES[random(EDGES.length)] : random(2 ** 32));

const flash = new Flash();
flash.load(0, Uint8Array.from({ length: 4096 }, () => random(256)));
const rom = Uint32Array.from({ length: 4096 }, () => random(2 ** 32));

function setUp({ core, clock, sram, sramView }, start) {
  sram.fill(start.filler, 0x1800, 0x2800);
  sram.fill(start.filler, SRAM_SIZE - 0x200);
  sram.fill(start.filler, 0, 0x200);
  sramView.setUint16(CODE - 0x20000000, start.code, true);
  sramView.setUint16(CODE + 2 - 0x20000000, start.next, true);
  core.registers.set(start.registers);
  Object.assign(core, start.flags, { currentMode: start.mode, cycles: 0, waiting: false, PM: false });
  core.interruptsUpdated = false;
  clock.nanosCounter = 0;
}

const outcome = ({ core, clock }) => [...core.registers, ...STATE.map((name) => core[name]), clock.nanos];

function randomStart() {
  const registers = Array.from({ length: 16 }, any);
  registers[13] = [0x20002000, 0x20041ff0, 0x20042000, 0x20000004][random(4)];
  registers[15] = CODE;
  const [N, C, V] = [0, 1, 2].map(() => random(2) === 1);
  const flags = { N, Z: !N && random(2) === 1, C, V };
  const code = random(20) ? random(2 ** 16) : RARE[random(RARE.length)];
  const next = random(4) ? random(2 ** 16) | 0xd000 : 0x8800 | random(2 ** 5);
  return { code, next, registers, flags, mode: random(2), filler: random(256) };
}

test('each instruction does what it does in rp2040js, in as many cycles', () => {
  const [fast, slow] = [0, 1].map(() => new Chip(flash, rom, () => {}));
  const kinds = new Set();
  for (let i = 0; i < INSTRUCTIONS; i++) {
    const start = randomStart();
    setUp(fast, start);
    if (fast.fastCore.run(1, 8) === 1) {
      kinds.add(start.code >>> 6);
    } else {
      fast.clock.nanosCounter += fast.fastCore.step() * 8;
    }
    setUp(slow, start);
    slow.clock.nanosCounter += slow.core.executeInstruction() * 8;
    assert.deepEqual(outcome(fast), outcome(slow), `instruction 0x${start.code.toString(16)}`);
    assert.ok(Buffer.compare(fast.sram, slow.sram) === 0, `memory after instruction 0x${start.code.toString(16)}`);
  }
  assert.ok(kinds.size > 800, `${kinds.size} of 1024 kinds were executed`);
});
