// Loads and stores, for core.mjs: from the ROM, flash and SRAM, to SRAM. Each function returns the cycles.

export const [SP, LR, PC] = [13, 14, 15];
export const NOT_OURS = 0; // instead of cycles: nothing was changed, and the instruction is left to rp2040js
const SRAM = 0x20000000;
const HANDLER = 1; // the core's mode in an exception

const COUNT = Uint8Array.from({ length: 256 }, (_, bits) => bits.toString(2).replaceAll('0', '').length);

export function isReturn(s, address) {
  return s.core.currentMode === HANDLER && address >>> 28 === 0xf;
}

// Of a register `t`, at an address.

export function loadWord(s, address, t) {
  const memory = s.words[address >>> 28];
  const at = (address & 0xfffffff) >>> 2;
  if (address & 3 || at >= memory.length) {
    return NOT_OURS;
  }
  s.r[t] = memory[at];
  return 2;
}

export function storeWord(s, address, t) {
  const memory = s.sram;
  const at = (address - SRAM) >>> 2;
  if (address & 3 || at >= memory.length) {
    return NOT_OURS;
  }
  memory[at] = s.r[t];
  return 2;
}

export function loadHalf(s, address, t) {
  const memory = s.halves[address >>> 28];
  const at = (address & 0xfffffff) >>> 1;
  if (address & 1 || at >= memory.length) {
    return NOT_OURS;
  }
  s.r[t] = memory[at];
  return 2;
}

export function storeHalf(s, address, t) {
  const memory = s.sram16;
  const at = (address - SRAM) >>> 1;
  if (address & 1 || at >= memory.length) {
    return NOT_OURS;
  }
  memory[at] = s.r[t];
  return 2;
}

export function loadByte(s, address, t) {
  const memory = s.bytes[address >>> 28];
  const at = (address & 0xfffffff);
  if (at >= memory.length) {
    return NOT_OURS;
  }
  s.r[t] = memory[at];
  return 2;
}

export function storeByte(s, address, t) {
  const memory = s.sram8;
  const at = (address - SRAM) >>> 0;
  if (at >= memory.length) {
    return NOT_OURS;
  }
  memory[at] = s.r[t];
  return 2;
}

export function transferRegister(s, op) {
  const { r } = s;
  const t = op & 7;
  const address = r[(op >>> 6) & 7] + r[(op >>> 3) & 7];
  let cycles;
  switch ((op >>> 9) & 7) {
    case 0:
      return storeWord(s, address, t);
    case 1:
      return storeHalf(s, address, t);
    case 2:
      return storeByte(s, address, t);
    case 3: // LDRSB
      cycles = loadByte(s, address, t);
      r[t] = cycles ? (r[t] << 24) >> 24 : r[t];
      return cycles;
    case 4:
      return loadWord(s, address, t);
    case 5:
      return loadHalf(s, address, t);
    case 6:
      return loadByte(s, address, t);
    default: // LDRSH
      cycles = loadHalf(s, address, t);
      r[t] = cycles ? (r[t] << 16) >> 16 : r[t];
      return cycles;
  }
}

// Where a list of `count` registers begins in `memory`; -1 if it is not all there.
function listIn(memory, address, base, count) {
  const at = (address - base) >>> 2;
  return address & 3 || at + count > memory.length ? -1 : at;
}

export function loadMultiple(s, op) {
  const { r } = s;
  const n = (op >>> 8) & 7;
  const list = op & 0xff;
  const memory = s.words[r[n] >>> 28];
  const start = listIn(memory, r[n], r[n] & 0xf0000000, COUNT[list]);
  if (start < 0) {
    return NOT_OURS;
  }
  const end = r[n] + 4 * COUNT[list];
  loadList(r, list, memory, start);
  if (!(list & (1 << n))) {
    r[n] = end;
  }
  return 1 + COUNT[list];
}

export function storeMultiple(s, op) {
  const { r } = s;
  const n = (op >>> 8) & 7;
  const list = op & 0xff;
  const start = listIn(s.sram, r[n], SRAM, COUNT[list]);
  if (start < 0) {
    return NOT_OURS;
  }
  storeList(r, list, s.sram, start);
  if (!(list & (1 << n))) {
    r[n] += 4 * COUNT[list];
  }
  return 1 + COUNT[list];
}

function loadList(r, list, memory, at) {
  for (let i = 0, bits = list; bits; i++, bits >>>= 1) {
    if (bits & 1) {
      r[i] = memory[at++];
    }
  }
}

function storeList(r, list, memory, at) {
  for (let i = 0, bits = list; bits; i++, bits >>>= 1) {
    if (bits & 1) {
      memory[at++] = r[i];
    }
  }
}

export function push(s, op) {
  const { r, sram } = s;
  const list = op & 0xff;
  const count = COUNT[list] + ((op >>> 8) & 1);
  const start = listIn(sram, r[SP] - 4 * count, SRAM, count);
  if (start < 0) {
    return NOT_OURS;
  }
  storeList(r, list, sram, start);
  if (op & 0x0100) {
    sram[start + COUNT[list]] = r[LR];
  }
  r[SP] -= 4 * count;
  return 1 + COUNT[list];
}

export function pop(s, op) {
  const { r, sram } = s;
  const list = op & 0xff;
  const toPc = (op >>> 8) & 1;
  const start = listIn(sram, r[SP], SRAM, COUNT[list] + toPc);
  if (start < 0 || (toPc && isReturn(s, sram[start + COUNT[list]]))) {
    return NOT_OURS;
  }
  loadList(r, list, sram, start);
  r[SP] += 4 * (COUNT[list] + toPc);
  if (toPc) {
    r[PC] = sram[start + COUNT[list]] & ~1;
  }
  return 1 + COUNT[list] + 2 * toPc;
}
