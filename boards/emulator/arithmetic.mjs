// Arithmetic, logic and shifts of the lower eight registers, for core.mjs. Functions for instructions return the cycles.
import { NOT_OURS } from './transfers.mjs';

export function add(s, a, b) {
  const sum = (a + b) | 0;
  s.nz = sum;
  s.c = sum >>> 0 < a >>> 0;
  s.v = ((a ^ sum) & (b ^ sum)) < 0;
  return sum;
}

export function subtract(s, a, b) {
  const difference = (a - b) | 0;
  s.nz = difference;
  s.c = a >>> 0 >= b >>> 0;
  s.v = ((a ^ b) & (a ^ difference)) < 0;
  return difference;
}

export function shiftImmediate(s, op) {
  const { r } = s;
  const by = (op >>> 6) & 0x1f;
  const value = r[(op >>> 3) & 7];
  let result = value;
  if (op < 0x0800) { // LSLS
    result = value << by;
    s.c = by ? ((value >>> (32 - by)) & 1) === 1 : s.c;
  } else { // LSRS, ASRS: 0 means 32
    const last = by ? by - 1 : 31;
    s.c = ((value >>> last) & 1) === 1;
    result = op < 0x1000 ? (value >>> last) >>> 1 : (value >> last) >> 1;
  }
  r[op & 7] = s.nz = result | 0;
  return 1;
}

// ADDS and SUBS of two registers, or one and a number of three bits.
export function addThree(s, op) {
  const { r } = s;
  const a = r[(op >>> 3) & 7];
  const n = (op >>> 6) & 7;
  const b = op & 0x0400 ? n : r[n];
  r[op & 7] = op & 0x0200 ? subtract(s, a, b) : add(s, a, b);
  return 1;
}

// MOVS, CMP, ADDS and SUBS with a byte.
export function immediate(s, op) {
  const { r } = s;
  const d = (op >>> 8) & 7;
  const value = op & 0xff;
  switch ((op >>> 11) & 3) {
    case 0:
      r[d] = s.nz = value;
      break;
    case 1:
      subtract(s, r[d], value);
      break;
    case 2:
      r[d] = add(s, r[d], value);
      break;
    default:
      r[d] = subtract(s, r[d], value);
  }
  return 1;
}

export function register(s, op) {
  const { r } = s;
  const d = op & 7;
  const a = r[d];
  const b = r[(op >>> 3) & 7];
  switch ((op >>> 6) & 0xf) {
    case 0x0: // ANDS
      r[d] = s.nz = a & b;
      return 1;
    case 0x1: // EORS
      r[d] = s.nz = a ^ b;
      return 1;
    case 0x2:
    case 0x3:
    case 0x4:
    case 0x7:
      return shiftRegister(s, op, a, b & 0xff);
    case 0x5:
    case 0x6:
      return withCarry(s, op, a, b);
    case 0x8: // TST
      s.nz = a & b;
      return 1;
    case 0x9: // RSBS
      r[d] = subtract(s, 0, b);
      return 1;
    case 0xa: // CMP
      subtract(s, a, b);
      return 1;
    case 0xb: // CMN
      add(s, a, b);
      return 1;
    case 0xc: // ORRS
      r[d] = s.nz = a | b;
      return 1;
    case 0xd: // MULS
      r[d] = s.nz = Math.imul(a, b);
      return 1;
    case 0xe: // BICS
      r[d] = s.nz = a & ~b;
      return 1;
    default: // MVNS
      r[d] = s.nz = ~b;
      return 1;
  }
}

// ADCS, SBCS.
function withCarry(s, op, a, b) {
  const subtracts = (op & 0x0080) !== 0;
  const carry = s.c === subtracts ? 0 : 1; // or borrow
  if ((subtracts ? b : a) === 0x7fffffff && carry) {
    return NOT_OURS;
  }
  const result = (subtracts ? a - b - carry : a + b + carry) | 0;
  const sum = (a >>> 0) + (subtracts ? -(b >>> 0) - carry : (b >>> 0) + carry);
  s.nz = result;
  s.c = subtracts ? sum >= 0 : sum > 0xffffffff;
  s.v = ((a ^ result) & (subtracts ? a ^ b : b ^ result)) < 0;
  s.r[op & 7] = result;
  return 1;
}

function shiftRegister(s, op, value, by) {
  if (by === 0 || by > 31) {
    return NOT_OURS;
  }
  s.c = ((value >>> (by - 1)) & 1) === 1;
  switch ((op >>> 6) & 7) {
    case 2: // LSLS
      s.c = ((value >>> (32 - by)) & 1) === 1;
      s.nz = value << by;
      break;
    case 3: // LSRS
      s.nz = (value >>> by) | 0;
      break;
    case 4: // ASRS
      s.nz = value >> by;
      break;
    default: // RORS
      s.nz = (value >>> by) | (value << (32 - by));
  }
  s.r[op & 7] = s.nz;
  return 1;
}
