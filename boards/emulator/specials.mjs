// What core.mjs leaves out and is still frequent: loads and stores of peripherals, and what switches interrupts. It is
// rp2040js's work, but not that of its function for any instruction: see pico.mjs.

const [LDRSB, LDRH, LDRB, LDRSH] = [3, 5, 6, 7]; // of eight kinds with a register as offset
const [SP, PC] = [13, 15];

// Executes an instruction; returns its cycles, or 0 if it is none of those.
export function special(core, op) {
  switch (op >>> 12) {
    case 0x4:
      return op & 0x0800 ? load(core, 4, ((core.PC + 4) & ~3) + ((op & 0xff) << 2), (op >>> 8) & 7) : 0;
    case 0x5:
      return byRegister(core, op);
    case 0x6:
      return transfer(core, op, 4, core.registers[(op >>> 3) & 7] + ((op >>> 4) & 0x7c), op & 7);
    case 0x7:
      return transfer(core, op, 1, core.registers[(op >>> 3) & 7] + ((op >>> 6) & 0x1f), op & 7);
    case 0x8:
      return transfer(core, op, 2, core.registers[(op >>> 3) & 7] + ((op >>> 5) & 0x3e), op & 7);
    case 0x9:
      return transfer(core, op, 4, core.registers[SP] + ((op & 0xff) << 2), (op >>> 8) & 7);
    case 0xb:
      return interrupts(core, op);
    case 0xf:
      return wide(core, op, core.readUint16((core.PC & ~1) + 2));
    default:
      return 0;
  }
}

function transfer(core, op, size, address, t) {
  return op & 0x0800 ? load(core, size, address, t) : store(core, size, address, t);
}

function load(core, size, address, t) {
  core.registers[PC] += 2;
  const cycles = 1 + core.cyclesIO(address);
  if (size === 4) {
    core.registers[t] = core.readUint32(address);
  } else if (size === 2) {
    core.registers[t] = core.readUint16(address);
  } else {
    core.registers[t] = core.readUint8(address);
  }
  return cycles;
}

function store(core, size, address, t) {
  core.registers[PC] += 2;
  const cycles = 1 + core.cyclesIO(address, true);
  if (size === 4) {
    core.writeUint32(address, core.registers[t]);
  } else if (size === 2) {
    core.writeUint16(address, core.registers[t]);
  } else {
    core.writeUint8(address, core.registers[t]);
  }
  return cycles;
}

function byRegister(core, op) {
  const kind = (op >>> 9) & 7;
  const address = core.registers[(op >>> 6) & 7] + core.registers[(op >>> 3) & 7];
  if (kind < LDRSB) {
    return store(core, [4, 2, 1][kind], address, op & 7);
  }
  const size = kind === LDRH || kind === LDRSH ? 2 : kind === LDRB || kind === LDRSB ? 1 : 4;
  const cycles = load(core, size, address, op & 7);
  if (kind === LDRSB || kind === LDRSH) {
    core.registers[op & 7] = (core.registers[op & 7] << (32 - 8 * size)) >> (32 - 8 * size);
  }
  return cycles;
}

// CPSID, CPSIE, NOP.
function interrupts(core, op) {
  if (op !== 0xb672 && op !== 0xb662 && op !== 0xbf00) {
    return 0;
  }
  core.registers[PC] += 2;
  if (op !== 0xbf00) {
    core.PM = op === 0xb672;
    core.interruptsUpdated ||= !core.PM;
  }
  return 1;
}

// MRS, MSR, and barriers, which wait for nothing here.
function wide(core, op, second) {
  if (op === 0xf3ef && second >>> 12 === 8) {
    core.registers[PC] += 4; // MRS of a register: none reads PC
    core.registers[(second >>> 8) & 0xf] = core.readSpecialRegister(second & 0xff);
  } else if (op >>> 4 === 0xf38 && second >>> 8 === 0x88) {
    core.registers[PC] += 4;
    core.writeSpecialRegister(second & 0xff, core.registers[op & 0xf]);
  } else if (op === 0xf3bf && second >= 0x8f40 && second <= 0x8f6f) {
    core.registers[PC] += 4;
  } else {
    return 0;
  }
  return 3;
}
