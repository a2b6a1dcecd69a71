// node --test boards/emulator/test/*.test.mjs
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { FLUSH_CYCLES, LINE, MISS_CYCLES, SETS, WAYS, XipCache } from '../cache.mjs';

const XIP = 0x10000000;
const SIZE = LINE * SETS * WAYS;
const misses = (cache) => cache.accesses - cache.hits;

// Reads so many bytes, a word at a time.
function readAll(cache, start, size) {
  for (let offset = 0; offset < size; offset += 4) {
    cache.read(start + offset);
  }
}

test('the first read of a line misses, others hit', () => {
  const cache = new XipCache();
  [0, 4, 7, 8, 3, 15].forEach((offset) => cache.read(XIP + offset));
  assert.deepEqual([cache.accesses, cache.hits, cache.stall], [6, 4, 2 * MISS_CYCLES]);
});

test('as much as there is of it stays, wherever it begins', () => {
  for (const start of [XIP, XIP + 0x1238, XIP + 0xfffff8]) {
    const cache = new XipCache();
    readAll(cache, start, SIZE);
    readAll(cache, start, SIZE);
    assert.equal(misses(cache), SIZE / LINE);
  }
});

test('what is larger, read round and round, misses each line of the sets that are too small', () => {
  for (const [more, missing] of [[1, WAYS + 1], [SETS, SETS * (WAYS + 1)]]) {
    const cache = new XipCache();
    readAll(cache, XIP, SIZE + more * LINE);
    assert.equal(misses(cache), SIZE / LINE + more);
    readAll(cache, XIP, SIZE + more * LINE);
    assert.equal(misses(cache), SIZE / LINE + more + missing);
  }
});

test('of a set, the line that was not used for longest goes', () => {
  const cache = new XipCache();
  const [a, b, c] = [0, 1, 2].map((i) => XIP + i * SETS * LINE);
  [a, b, a, c, a, b].forEach((address) => cache.read(address));
  assert.equal(misses(cache), 4); // a, b, c, and b again
});

test('a flush empties it and takes time; a line can be forgotten', () => {
  const cache = new XipCache();
  const other = XIP + SETS * LINE;
  const missed = (address) => {
    const before = misses(cache);
    cache.read(address);
    return misses(cache) > before;
  };
  assert.deepEqual([XIP, other].map(missed), [true, true]);
  cache.forget(XIP + 4);
  assert.deepEqual([other, XIP, other].map(missed), [false, true, false]);
  cache.forget(other + 4);
  cache.forget(other + LINE);
  assert.deepEqual([XIP, other].map(missed), [false, true]);
  cache.stall = 0;
  cache.flush();
  assert.equal(cache.stall, FLUSH_CYCLES);
  assert.deepEqual([XIP, other].map(missed), [true, true]);
});
