// node --test boards/emulator/test/*.test.mjs
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { takeSnapshot } from '../snapshot.mjs';

function machine() {
  const bytes = new Uint8Array([1, 2, 3, 4]);
  const alarm = { nanos: 5, next: null, callback: null };
  const it = { bytes, words: new Uint32Array(bytes.buffer), alarm, list: [1, { n: 2 }], map: new Map([[1, { n: 3 }]]) };
  alarm.owner = it; // a circle
  return Object.assign(it, { set: new Set([alarm]), nothing: null });
}

test('everything is as it was, in the same objects, each time', () => {
  const it = machine();
  const { bytes, alarm, list, map } = it;
  const inner = list[1];
  const restore = takeSnapshot(it);
  for (let i = 0; i < 2; i++) {
    it.words[0] = 0;
    inner.n = 9;
    map.get(1).n = 9;
    map.set(2, 2);
    list.push(3);
    Object.assign(it, { alarm: null, list: [], bytes: new Uint8Array(1), nothing: 1, added: 1 });
    it.set.clear();
    restore();
    assert.deepEqual(it, machine());
    assert.ok(it.bytes === bytes && it.alarm === alarm && it.list === list && list[1] === inner && it.map === map);
    assert.ok(it.set.has(alarm));
  }
});
