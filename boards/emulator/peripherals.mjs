// Peripherals that rp2040js lacks.
import { BasePeripheral } from 'rp2040js';

const OUTOVER_LOW = 2;
const OUTOVER_HIGH = 3;

// The synchronous serial interface, which the flash hangs on. Reads through the XIP window do not pass here.
export class Ssi extends BasePeripheral {
  constructor(chip, flash) {
    super(chip, 'SSI');
    this.flash = flash;
    this.forced = false; // chip select is held by the pad's override
    this.received = [];
    this.registers = new Map([[0x58, 0x51535049], [0x5c, 0x3430312a]]); // IDR, SSI_VERSION_ID
  }

  // Without the override, chip select goes up when the transmit FIFO has run empty: programs wait for that in SR.
  #idle() {
    if (!this.forced) {
      this.flash.deselect();
    }
  }

  readUint32(offset) {
    switch (offset) {
      case 0x20: // TXFLR
        return 0;
      case 0x24: // RXFLR
        return this.received.length;
      case 0x28: // SR: transmit FIFO empty and not full, receive FIFO not empty
        this.#idle();
        return 0x6 | (this.received.length ? 8 : 0);
      case 0x60: // DR0
        return this.received.shift() ?? 0;
      default:
        return this.registers.get(offset) ?? 0;
    }
  }

  writeUint32(offset, value) {
    if (offset === 0x60) {
      this.flash.select();
      this.received.push(this.flash.shift(value & 0xff));
      return;
    }
    if (offset === 0x08) { // SSIENR: disabling empties the FIFOs
      this.#idle();
      this.received = [];
    }
    this.registers.set(offset, value);
  }
}

// Registers that hold what is written to them.
export class Registers extends BasePeripheral {
  constructor(chip, name, values = {}) {
    super(chip, name);
    this.values = new Map(Object.entries(values).map(([offset, value]) => [Number(offset), value]));
  }

  readUint32(offset) {
    return this.values.get(offset & 0xfff) ?? 0;
  }

  writeUint32(offset, value) {
    this.values.set(offset & 0xfff, value >>> 0);
  }
}

const saturated = (count = 0) => Math.min(count, 0xffffffff);

// XIP_CTRL: flushes the flash's cache, and tells its counters; where it is not emulated they are 0.
export class XipControl extends Registers {
  constructor(chip) {
    super(chip, 'XIP_CTRL', { 0x0: 3, 0x8: 3 }); // CTRL: enabled; STAT: flushed, FIFO empty
  }

  readUint32(offset) {
    const { cache } = this.rp2040;
    switch (offset & 0xfff) {
      case 0x04: // FLUSH
        return 0;
      case 0x0c: // CTR_HIT
        return saturated(cache?.hits);
      case 0x10: // CTR_ACC
        return saturated(cache?.accesses);
      default:
        return super.readUint32(offset);
    }
  }

  writeUint32(offset, value) {
    const { cache } = this.rp2040;
    switch (cache && (offset & 0xfff)) {
      case 0x04:
        if (value & 1) {
          cache.flush();
        }
        break;
      case 0x0c:
        cache.hits = 0;
        break;
      case 0x10:
        cache.accesses = 0;
        break;
      default:
        super.writeUint32(offset, value);
    }
  }
}

// IO_QSPI: the pads of the flash, of which the override of chip select matters.
export class QspiPads extends Registers {
  constructor(chip, ssi) {
    super(chip, 'IO_QSPI');
    this.ssi = ssi;
  }

  writeUint32(offset, value) {
    super.writeUint32(offset, value);
    if (offset !== 0x0c) { // GPIO_QSPI_SS_CTRL
      return;
    }
    const override = (value >>> 8) & 3;
    this.ssi.forced = override === OUTOVER_LOW || override === OUTOVER_HIGH;
    if (override === OUTOVER_LOW) {
      this.ssi.flash.select();
    } else {
      this.ssi.flash.deselect();
    }
  }
}

// The ring oscillator: stable at once, and its random bit is that of a shift register, the same in every run.
export class Rosc extends Registers {
  constructor(chip) {
    super(chip, 'ROSC');
    this.state = 0xace1;
  }

  readUint32(offset) {
    switch (offset & 0xfff) {
      case 0x18: // STATUS: stable, enabled
        return 0x80001000;
      case 0x1c: // RANDOMBIT
        this.state = (this.state >>> 1) ^ (-(this.state & 1) & 0xb400);
        return this.state & 1;
      default:
        return super.readUint32(offset);
    }
  }
}
