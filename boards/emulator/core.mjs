// The instructions that programs mostly consist of, on plain memory. rp2040js looks for an instruction's code through a
// chain of comparisons, which takes most of the time; here a code selects a function. Results and cycles are those of
// rp2040js. It executes all other instructions itself: those with peripherals, interrupts, faults, or a result that differs
// from the chip's, which we do not want to repeat.

import {
  byte, half, isReturn, loadLiteral, loadMultiple, LR, NOT_OURS, PC, pop, push, SP, storeMultiple, transferRegister, word,
} from './transfers.mjs';

const LONGEST = 16; // cycles: more than any instruction here takes

export class FastCore {
  constructor(chip) {
    this.core = chip.core;
    this.clock = chip.clock;
    this.r = new Int32Array(chip.core.registers.buffer);
    // Memory by the upper four bits of addresses.
    const spaces = (Type) => Array.from({ length: 16 }, (_, n) => (
      new Type([chip.bootrom, chip.flash, chip.sram][n]?.buffer ?? 0)
    ));
    this.words = spaces(Int32Array);
    this.halves = spaces(Uint16Array);
    this.bytes = spaces(Uint8Array);
    this.sram = new Int32Array(chip.sram.buffer);
    this.sram16 = new Uint16Array(chip.sram.buffer);
    this.sram8 = chip.sram;
    this.nz = 0; // a number whose sign and zeroness are the flags N and Z
    this.c = false;
    this.v = false;
  }

  // Executes up to `count` instructions of cycles of `cycleNs`, and stops before the first that is not ours, or in whose
  // time an alarm may be due. Returns how many it executed.
  run(count, cycleNs) {
    const { core, clock, r, halves } = this;
    if (core.interruptsUpdated || (core.N && core.Z)) {
      return 0;
    }
    const end = clock.nextAlarm === null ? Infinity : clock.nextAlarm.nanos - LONGEST * cycleNs;
    let nanos = clock.nanosCounter;
    let sum = 0;
    let done = 0;
    this.nz = core.Z ? 0 : core.N ? -1 : 1;
    this.c = core.C;
    this.v = core.V;
    for (; done < count && nanos < end; done++) {
      const pc = r[PC];
      const memory = halves[pc >>> 28];
      const at = (pc & 0xfffffff) >>> 1;
      if (at >= memory.length) {
        break;
      }
      r[PC] = pc + 2;
      const cycles = execute(this, memory[at]);
      if (cycles === NOT_OURS) {
        r[PC] = pc;
        break;
      }
      sum += cycles;
      nanos += cycles * cycleNs; // one at a time: sums of floating-point numbers depend on their order
    }
    core.N = this.nz < 0;
    core.Z = this.nz === 0;
    core.C = this.c;
    core.V = this.v;
    core.cycles += sum;
    clock.nanosCounter = nanos;
    return done;
  }
}

// Each of the functions below executes an instruction, with PC at the next one, and returns the cycles.

function execute(s, op) {
  switch (op >>> 12) {
    case 0x0:
      return shiftImmediate(s, op);
    case 0x1:
      return op & 0x0800 ? addThree(s, op) : shiftImmediate(s, op);
    case 0x2:
    case 0x3:
      return immediate(s, op);
    case 0x4:
      return op & 0x0800 ? loadLiteral(s, op) : op & 0x0400 ? highRegisters(s, op) : register(s, op);
    case 0x5:
      return transferRegister(s, op);
    case 0x6:
      return word(s, op & 0x0800, s.r[(op >>> 3) & 7] + ((op >>> 4) & 0x7c), op & 7);
    case 0x7:
      return byte(s, op & 0x0800, s.r[(op >>> 3) & 7] + ((op >>> 6) & 0x1f), op & 7);
    case 0x8:
      return half(s, op & 0x0800, s.r[(op >>> 3) & 7] + ((op >>> 5) & 0x3e), op & 7);
    case 0x9:
      return word(s, op & 0x0800, s.r[SP] + ((op & 0xff) << 2), (op >>> 8) & 7);
    case 0xa:
      s.r[(op >>> 8) & 7] = (op & 0x0800 ? s.r[SP] : (s.r[PC] + 2) & ~3) + ((op & 0xff) << 2);
      return 1;
    case 0xb:
      return miscellaneous(s, op);
    case 0xc:
      return op & 0x0800 ? loadMultiple(s, op) : storeMultiple(s, op);
    case 0xd:
      return branchIf(s, op);
    case 0xe:
      return op & 0x0800 ? NOT_OURS : branch(s, 2 + ((op << 21) >> 20), 2);
    default:
      return branchAndLink(s, op);
  }
}

function add(s, a, b) {
  const sum = (a + b) | 0;
  s.nz = sum;
  s.c = sum >>> 0 < a >>> 0;
  s.v = ((a ^ sum) & (b ^ sum)) < 0;
  return sum;
}

function subtract(s, a, b) {
  const difference = (a - b) | 0;
  s.nz = difference;
  s.c = a >>> 0 >= b >>> 0;
  s.v = ((a ^ b) & (a ^ difference)) < 0;
  return difference;
}

function shiftImmediate(s, op) {
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
function addThree(s, op) {
  const { r } = s;
  const a = r[(op >>> 3) & 7];
  const n = (op >>> 6) & 7;
  const b = op & 0x0400 ? n : r[n];
  r[op & 7] = op & 0x0200 ? subtract(s, a, b) : add(s, a, b);
  return 1;
}

// MOVS, CMP, ADDS and SUBS with a byte.
function immediate(s, op) {
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

function register(s, op) {
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

// ADD, CMP and MOV with any registers, and BX, BLX.
function highRegisters(s, op) {
  const { r } = s;
  const m = (op >>> 3) & 0xf;
  const d = ((op >>> 4) & 8) | (op & 7);
  if (m === PC) {
    return NOT_OURS;
  }
  const value = r[m];
  switch ((op >>> 8) & 3) {
    case 0:
      if (d === PC) {
        return NOT_OURS;
      }
      r[d] = d === SP ? (r[d] + value) & ~3 : r[d] + value;
      return 1;
    case 1:
      if (d === PC) {
        return NOT_OURS;
      }
      subtract(s, r[d], value);
      return 1;
    case 2:
      r[d] = d === PC ? value & ~1 : d === SP ? value & ~3 : value;
      return d === PC ? 2 : 1;
    default:
      return branchExchange(s, op, m, value);
  }
}

function branchExchange(s, op, m, address) {
  const link = op & 0x80;
  if (op & 7 || (link ? m === LR : isReturn(s, address))) {
    return NOT_OURS;
  }
  if (link) {
    s.r[LR] = s.r[PC] | 1;
  }
  s.r[PC] = address & ~1;
  return 2;
}

function miscellaneous(s, op) {
  const { r } = s;
  const value = r[(op >>> 3) & 7];
  switch ((op >>> 8) & 0xf) {
    case 0x0:
      r[SP] = (r[SP] + (op & 0x80 ? -((op & 0x7f) << 2) : (op & 0x7f) << 2)) & ~3;
      return 1;
    case 0x2: // SXTH, SXTB, UXTH, UXTB
      switch ((op >>> 6) & 3) {
        case 0:
          r[op & 7] = (value << 16) >> 16;
          return 1;
        case 1:
          r[op & 7] = (value << 24) >> 24;
          return 1;
        case 2:
          r[op & 7] = value & 0xffff;
          return 1;
        default:
          r[op & 7] = value & 0xff;
          return 1;
      }
    case 0x4:
    case 0x5:
      return push(s, op);
    case 0xc:
    case 0xd:
      return pop(s, op);
    default:
      return NOT_OURS;
  }
}

function branch(s, distance, cycles) {
  s.r[PC] += distance;
  return cycles;
}

function branchIf(s, op) {
  const { nz, c, v } = s;
  let holds;
  switch ((op >>> 9) & 7) {
    case 0:
      holds = nz === 0;
      break;
    case 1:
      holds = c;
      break;
    case 2:
      holds = nz < 0;
      break;
    case 3:
      holds = v;
      break;
    case 4:
      holds = c && nz !== 0;
      break;
    case 5:
      holds = nz < 0 === v;
      break;
    case 6:
      holds = nz < 0 === v && nz !== 0;
      break;
    default: // UDF, SVC
      return NOT_OURS;
  }
  return holds === ((op & 0x0100) === 0) ? branch(s, 2 + ((op << 24) >> 23), 2) : 1;
}

function branchAndLink(s, op) {
  const { r } = s;
  const pc = r[PC];
  const memory = s.halves[pc >>> 28];
  const at = (pc & 0xfffffff) >>> 1;
  if (op & 0x0800 || at >= memory.length || (memory[at] & 0xd000) !== 0xd000) {
    return NOT_OURS;
  }
  const low = memory[at];
  const sign = (op << 21) >> 31;
  const i1 = ~((low >>> 13) ^ sign) & 1;
  const i2 = ~((low >>> 11) ^ sign) & 1;
  const distance = (sign << 24) | (i1 << 23) | (i2 << 22) | ((op & 0x3ff) << 12) | ((low & 0x7ff) << 1);
  r[LR] = (pc + 2) | 1;
  r[PC] = pc + 2 + distance;
  return 3;
}
