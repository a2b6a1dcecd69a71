// An RP2040 that boots: rp2040js with our boot ROM, with flash, and with what else it lacks.
import { RP2040 } from 'rp2040js';

import { XipCache } from './cache.mjs';
import { SerialFlash } from './flash.mjs';
import { QspiPads, Registers, Rosc, Ssi, XipControl } from './peripherals.mjs';

const ROM = 0x00; // upper bytes of addresses
const XIP = 0x10; // of the window whose reads pass through the cache
const SRAM = 0x20000000;
const SRAM_SIZE = 264 << 10;
const WIDE = 0xe800; // from here on, an instruction's first half has a second
const BOOTSEL_BREAKPOINT = 0xb0; // boards/emulator/rom/boot.c

export class Chip extends RP2040 {
  // onStop(reason): the core cannot go on. The reasons are 'watchdog', 'bootsel', and else a sentence.
  constructor(flash, bootrom, onStop) {
    super();
    this.cache = null;
    this.logger = {
      debug() {},
      info() {},
      warn: (component, message) => {
        if (component === 'RP2040') { // an address where there is nothing: a bus fault
          onStop(message);
        }
      },
      error: (component, message) => onStop(message),
    };
    this.#attach(flash);
    this.onBreak = (code) => {
      const place = (this.core.PC - this.core.breakRewind).toString(16);
      onStop(code === BOOTSEL_BREAKPOINT ? 'bootsel' : `breakpoint ${code} at 0x${place}`);
    };
    this.watchdog = this.peripherals[0x40058];
    this.watchdog.onWatchdogTrigger = () => {
      this.watchdog.alarm.enable = false; // rp2040js would set it anew, for the same moment, for ever
      onStop('watchdog');
    };
    this.bootrom.set(bootrom);
    this.core.reset();
  }

  #attach(flash) {
    this.flash = flash.bytes;
    this.flash16 = new Uint16Array(flash.bytes.buffer);
    this.flashView = new DataView(flash.bytes.buffer);
    const ssi = new Ssi(this, new SerialFlash(flash));
    this.peripherals[0x18000] = ssi;
    this.peripherals[0x40018] = new QspiPads(this, ssi);
    this.peripherals[0x14000] = new XipControl(this);
    this.peripherals[0x40060] = new Rosc(this);
    this.peripherals[0x40064] = new Registers(this, 'VREG_AND_CHIP_RESET', { 0x8: 0x100 }); // power-on
  }

  // What a watchdog reset leaves: the scratch registers, the reason, and SRAM.
  inherit(old) {
    this.watchdog.scratchData.set(old.watchdog.scratchData);
    this.watchdog.reason = old.watchdog.reason;
    this.sram.set(old.sram);
  }

  // SRAM first, where most writes go. rp2040js lets programs write to ROM, and to flash through the window.
  writeUint32(address, value) {
    const offset = (address >>> 0) - SRAM;
    if (offset >= 0 && offset + 3 < SRAM_SIZE && !(offset & 3)) {
      this.sramView.setUint32(offset, value, true);
    } else if (address & 3) {
      this.logger.error('RP2040', `write to address ${(address >>> 0).toString(16)}, which is not 32 bit aligned`);
    } else if (address >>> 24 !== XIP && address >>> 24 !== ROM) {
      super.writeUint32(address, value);
    }
  }
}

// The same with the cache in front of the flash, for whose misses the core waits.
export class CachedChip extends Chip {
  constructor(flash, bootrom, onStop) {
    super(flash, bootrom, onStop);
    this.cache = new XipCache();
    this.fetching = false; // the next halfword is an instruction, or a half of one
    this.fetched = -1; // the word of flash or SRAM that the core fetched last, with two instructions in it
    const { core, cache } = this;
    const execute = core.executeInstruction.bind(core);
    core.executeInstruction = () => {
      this.fetching = true;
      const cycles = execute();
      const { stall } = cache;
      cache.stall = 0;
      core.cycles += stall;
      return cycles + stall;
    };
  }

  readUint32(address) {
    if (address >>> 24 === XIP) {
      this.cache.read(address);
    }
    return super.readUint32(address);
  }

  readUint16(address) {
    const value = super.readUint16(address);
    if (this.fetching) {
      this.fetching = value >= WIDE;
      if (this.fetched === address >>> 2) {
        return value;
      }
      this.fetched = address >>> 2;
    }
    if (address >>> 24 === XIP) {
      this.cache.read(address);
    }
    return value;
  }

  readUint8(address) {
    if (address >>> 24 === XIP) {
      this.cache.read(address);
    }
    return super.readUint8(address);
  }

  writeUint32(address, value) {
    if (address >>> 24 === XIP) {
      this.cache.forget(address);
    }
    super.writeUint32(address, value);
  }
}
