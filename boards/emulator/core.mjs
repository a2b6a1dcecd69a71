// The instructions that programs mostly consist of, on plain memory. rp2040js looks for an instruction's code through a
// chain of comparisons, which takes most of the time; here the code selects a function. Results and cycles are those of
// rp2040js. All else is left to it: what has to do with peripherals, interrupts and faults, and the few results that
// differ from a chip's, which are not repeated here.
import { add, addThree, immediate, register, shiftImmediate, subtract } from './arithmetic.mjs';
import { special } from './specials.mjs';
import {
  isReturn, loadByte, loadHalf, loadMultiple, loadWord, LR, NOT_OURS, PC, pop, push, SP,
  storeByte, storeHalf, storeMultiple, storeWord, transferRegister,
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

  // Executes up to `count` instructions, with cycles of `cycleNs`, and stops before one that is not ours, or during which
  // an alarm may be due. Returns how many it executed.
  run(count, cycleNs) {
    const { core, clock, r, halves } = this;
    if (core.interruptsUpdated || (core.N && core.Z)) {
      return 0;
    }
    const end = clock.nextAlarm === null ? Infinity : clock.nextAlarm.nanos - LONGEST * cycleNs;
    let nanos = clock.nanosCounter;
    let sum = 0;
    let done = 0;
    let space = r[PC] >>> 28;
    let memory = halves[space];
    this.nz = core.Z ? 0 : core.N ? -1 : 1;
    this.c = core.C;
    this.v = core.V;
    for (; done < count && nanos < end; done++) {
      const pc = r[PC];
      if (pc >>> 28 !== space) {
        space = pc >>> 28;
        memory = halves[space];
      }
      const at = (pc & 0xfffffff) >>> 1;
      if (at >= memory.length) {
        break;
      }
      r[PC] = pc + 2;
      const cycles = execute(this, r, memory[at]);
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

  // Executes the next instruction, whatever it is. Returns its cycles, which are not on the clock yet.
  step() {
    const { core } = this;
    const cycles = core.interruptsUpdated ? NOT_OURS : special(core, core.readUint16(core.PC & ~1));
    core.cycles += cycles;
    return cycles === NOT_OURS ? core.executeInstruction() : cycles;
  }
}

// Executes an instruction, with PC at the next one already. Returns its cycles, as do the functions for each kind.

function execute(s, r, op) {
  switch (op >>> 11) {
    case 0:
    case 1:
    case 2:
      return shiftImmediate(s, op);
    case 3:
      return addThree(s, op);
    case 4:
    case 5:
    case 6:
    case 7:
      return immediate(s, op);
    case 8:
      return op & 0x0400 ? highRegisters(s, op) : register(s, op);
    case 9:
      return loadWord(s, ((r[PC] + 2) & ~3) + ((op & 0xff) << 2), (op >>> 8) & 7);
    case 10:
    case 11:
      return transferRegister(s, op);
    case 12:
      return storeWord(s, r[(op >>> 3) & 7] + ((op >>> 4) & 0x7c), op & 7);
    case 13:
      return loadWord(s, r[(op >>> 3) & 7] + ((op >>> 4) & 0x7c), op & 7);
    case 14:
      return storeByte(s, r[(op >>> 3) & 7] + ((op >>> 6) & 0x1f), op & 7);
    case 15:
      return loadByte(s, r[(op >>> 3) & 7] + ((op >>> 6) & 0x1f), op & 7);
    case 16:
      return storeHalf(s, r[(op >>> 3) & 7] + ((op >>> 5) & 0x3e), op & 7);
    case 17:
      return loadHalf(s, r[(op >>> 3) & 7] + ((op >>> 5) & 0x3e), op & 7);
    case 18:
      return storeWord(s, r[SP] + ((op & 0xff) << 2), (op >>> 8) & 7);
    case 19:
      return loadWord(s, r[SP] + ((op & 0xff) << 2), (op >>> 8) & 7);
    case 20:
    case 21:
      return addressOf(s, op);
    case 22:
    case 23:
      return miscellaneous(s, op);
    case 24:
      return storeMultiple(s, op);
    case 25:
      return loadMultiple(s, op);
    case 26:
    case 27:
      return branchIf(s, op);
    case 28:
      return branch(s, 2 + ((op << 21) >> 20), 2);
    case 30:
      return branchAndLink(s, op);
    default:
      return NOT_OURS;
  }
}

// ADR, and ADD with SP.
function addressOf(s, op) {
  const { r } = s;
  r[(op >>> 8) & 7] = (op & 0x0800 ? r[SP] : (r[PC] + 2) & ~3) + ((op & 0xff) << 2);
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
