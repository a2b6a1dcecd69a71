// node --test boards/emulator/test/*.test.mjs
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';

import { FLASH_SIZE, Flash, PAGE, SECTOR, SerialFlash } from '../flash.mjs';

const ADDRESS = 0x12000;
let folder, file;

beforeEach(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'flash-'));
  file = path.join(folder, 'flash.bin');
});

afterEach(() => fs.rmSync(folder, { recursive: true }));

const page = (value) => new Uint8Array(PAGE).fill(value);
const ones = (byte) => byte.toString(2).replaceAll('0', '').length;
const count = (bytes) => bytes.reduce((sum, byte) => sum + ones(byte), 0);
const read = (flash, size = PAGE) => flash.bytes.slice(ADDRESS, ADDRESS + size);

function command(chip, ...bytes) {
  chip.select();
  const out = bytes.map((byte) => chip.shift(byte));
  chip.deselect();
  return out;
}

test('a program clears bits and sets none', () => {
  const flash = new Flash();
  flash.program(ADDRESS, page(0b11001100));
  flash.program(ADDRESS, page(0b10101010));
  assert.deepEqual(read(flash), page(0b10001000));
  assert.equal(flash.programs, 2);
});

test('an erase sets the bits of its sector and of no other', () => {
  const flash = new Flash();
  flash.load(ADDRESS - PAGE, new Uint8Array(SECTOR + 2 * PAGE));
  flash.erase(ADDRESS + 5);
  assert.deepEqual(read(flash, SECTOR), new Uint8Array(SECTOR).fill(0xff));
  assert.equal(flash.bytes[ADDRESS - 1], 0);
  assert.equal(flash.bytes[ADDRESS + SECTOR], 0);
  assert.equal(flash.erases, 1);
});

test('a program wraps in its page, and its last 256 bytes count', () => {
  const flash = new Flash();
  flash.program(ADDRESS + 254, [1, 2, 3]);
  assert.deepEqual([254, 255, 0, 1, 256].map((i) => flash.bytes[ADDRESS + i]), [1, 2, 3, 0xff, 0xff]);
  flash.program(ADDRESS + SECTOR, [...page(0), ...page(7)]);
  assert.equal(flash.bytes[ADDRESS + SECTOR], 7);
});

test('the chip wants the write enable latch, each time', () => {
  const flash = new Flash();
  const chip = new SerialFlash(flash);
  const program = [0x02, 0x01, 0x20, 0x00, 0x55];
  command(chip, ...program);
  assert.equal(flash.bytes[ADDRESS], 0xff);
  command(chip, 0x06);
  assert.equal(command(chip, 0x05, 0)[1], 2);
  command(chip, ...program);
  assert.equal(flash.bytes[ADDRESS], 0x55);
  assert.equal(command(chip, 0x05, 0)[1], 0);
  command(chip, 0x20, 0x01, 0x20, 0x00);
  assert.equal(flash.bytes[ADDRESS], 0x55);
});

test('the chip answers with its identity', () => {
  const chip = new SerialFlash(new Flash());
  assert.deepEqual(command(chip, 0x9f, 0, 0, 0).slice(1), [0xef, 0x40, 0x15]);
  assert.deepEqual(command(chip, 0x4b, ...new Array(12).fill(0)).slice(5).map((b) => b > 0), new Array(8).fill(true));
});

test('a power cut comes in the operation that was said, and does not happen twice', () => {
  const flash = new Flash();
  const cuts = [];
  flash.onPowerCut = (details) => cuts.push(details);
  flash.cutAfter(1, false);
  flash.program(ADDRESS, page(0x0f));
  flash.program(ADDRESS + PAGE, page(0));
  assert.deepEqual(cuts, [{ during: 'program', address: ADDRESS + PAGE, torn: false }]);
  assert.deepEqual(read(flash, 2 * PAGE), new Uint8Array([...page(0x0f), ...page(0xff)]));
  flash.erase(ADDRESS);
  assert.equal(cuts.length, 1);
  assert.equal(flash.bytes[ADDRESS], 0xff);
});

test('a torn operation changes about half of the bits, and the same ones again', () => {
  const torn = (...change) => {
    const flash = new Flash();
    flash.load(ADDRESS, new Uint8Array(SECTOR).fill(0xf0));
    flash.cutAfter(0, true);
    flash[change[0]](ADDRESS, change[1]);
    return read(flash, SECTOR);
  };
  const programmed = torn('program', page(0x3c));
  assert.ok(programmed.every((byte) => (byte & ~0xf0) === 0 && (byte & 0x30) === 0x30));
  assert.ok(programmed.subarray(PAGE).every((byte) => byte === 0xf0));
  const left = count(programmed.subarray(0, PAGE)) - 2 * PAGE; // of 2 bits a byte that were to be cleared
  assert.ok(left > 0.8 * PAGE && left < 1.2 * PAGE);
  const erased = torn('erase');
  assert.ok(erased.every((byte) => (byte & 0xf0) === 0xf0));
  const set = count(erased) - 4 * SECTOR;
  assert.ok(set > 1.8 * SECTOR && set < 2.2 * SECTOR);
  assert.deepEqual(torn('erase'), erased);
});

test('a file has every operation at once, torn ones too', () => {
  const flash = new Flash(file);
  assert.equal(fs.statSync(file).size, FLASH_SIZE);
  flash.program(ADDRESS, page(0x5a));
  flash.cutAfter(0, true);
  flash.erase(ADDRESS);
  assert.notDeepEqual(read(flash), page(0x5a));
  assert.deepEqual(new Flash(file).bytes, flash.bytes);
});

test('an empty file is filled up, and one of another size is refused and left as it is', () => {
  fs.writeFileSync(file, '');
  assert.equal(new Flash(file).bytes[0], 0xff);
  assert.equal(fs.statSync(file).size, FLASH_SIZE);
  for (const size of [5, FLASH_SIZE + 1]) {
    fs.writeFileSync(file, Buffer.alloc(size));
    assert.throws(() => new Flash(file), /is no file with a flash/);
    assert.deepEqual(fs.readFileSync(file), Buffer.alloc(size));
  }
});
