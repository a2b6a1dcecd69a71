// The Pico's flash: 2 MB of NOR, kept in a file if there is one, and the serial chip that the SSI talks to.
import fs from 'node:fs';

export const FLASH_SIZE = 2 << 20;
export const SECTOR = 4096;
export const PAGE = 256;
const UNIQUE_ID = [0xe6, 0x61, 0x42, 0x52, 0x50, 0x4c, 0x41, 0x59];
const JEDEC_ID = [0xef, 0x40, 0x15]; // Winbond W25Q16

// What flash does: an erase sets bits, a program clears bits, and a power cut can tear either.
export class Flash {
  constructor(file) {
    this.bytes = new Uint8Array(FLASH_SIZE).fill(0xff);
    this.erases = 0;
    this.programs = 0;
    this.cut = null;
    this.onPowerCut = () => {};
    if (file) {
      this.#open(file);
    }
  }

  #open(file) {
    this.fd = fs.openSync(file, fs.constants.O_RDWR | fs.constants.O_CREAT, 0o644);
    const size = fs.readSync(this.fd, this.bytes, 0, FLASH_SIZE, 0);
    if (size && fs.fstatSync(this.fd).size !== FLASH_SIZE) {
      throw new Error(`${file} is no file with a flash, which has ${FLASH_SIZE} bytes; it is left as it was`);
    }
    this.#keep(size, FLASH_SIZE);
  }

  // Written at once, so that a killed emulator has lost nothing.
  #keep(start, end) {
    if (this.fd !== undefined && start < end) {
      fs.writeSync(this.fd, this.bytes, start, end - start, start);
    }
  }

  // From now, `operations` erases and programs are done. The next one is not, or only in part, and power is cut.
  cutAfter(operations, torn) {
    this.cut = { operations, torn };
  }

  erase(address) {
    this.#change('erase', address & ~(SECTOR - 1), new Uint8Array(SECTOR).fill(0xff));
  }

  // As the chip does it: addresses wrap within the page, and only the last 256 bytes count.
  program(address, bytes) {
    const start = address & ~(PAGE - 1);
    const page = new Uint8Array(PAGE).fill(0xff);
    bytes.forEach((byte, i) => {
      page[(address + i) % PAGE] = byte;
    });
    this.#change('program', start, page.map((byte, i) => byte & this.bytes[start + i]));
  }

  // What a programmer does, which knows of no operations: the emulated chip is not involved.
  load(address, bytes) {
    this.bytes.set(bytes, address);
    this.#keep(address, address + bytes.length);
  }

  // To the file too, all of it.
  rewrite() {
    this.#keep(0, FLASH_SIZE);
  }

  #change(kind, address, wanted) {
    const cut = this.cut && this.cut.operations-- === 0 ? this.cut : null;
    if (cut === null) {
      this.load(address, wanted);
      this[`${kind}s`]++;
      return;
    }
    this.cut = null;
    if (cut.torn) {
      this.load(address, this.#torn(address, wanted));
    }
    this.onPowerCut({ during: kind, address, torn: cut.torn });
  }

  // Half of the bits that were to change have changed: which ones depends on the operations so far, so it is repeatable.
  #torn(address, wanted) {
    let random = Math.imul(this.erases + this.programs + 1, 0x9e3779b1);
    return wanted.map((byte, i) => {
      random ^= random << 13;
      random ^= random >>> 17;
      random ^= random << 5;
      return this.bytes[address + i] ^ ((this.bytes[address + i] ^ byte) & random);
    });
  }
}

// The chip's serial side: bytes between two edges of chip select are a command, which takes effect at the second edge.
export class SerialFlash {
  constructor(flash) {
    this.flash = flash;
    this.selected = false;
    this.writable = false;
    this.command = [];
  }

  select() {
    if (!this.selected) {
      this.selected = true;
      this.command = [];
    }
  }

  deselect() {
    if (this.selected) {
      this.selected = false;
      this.#execute();
    }
  }

  // The byte that comes out while another goes in.
  shift(byte) {
    const n = this.command.push(byte) - 2; // bytes since the code
    switch (this.command[0]) {
      case 0x05: // status 1: write enable latch; never busy
        return this.writable ? 2 : 0;
      case 0x35: // status 2: quad I/O is enabled
        return 2;
      case 0x4b:
        return UNIQUE_ID[n - 4] ?? 0;
      case 0x9f:
        return JEDEC_ID[n] ?? 0;
      default:
        return 0xff;
    }
  }

  #execute() {
    const [code, high, middle, low] = this.command;
    const address = ((high << 16) | (middle << 8) | low) % FLASH_SIZE;
    const enough = this.command.length >= 4;
    if (code === 0x06 || code === 0x04) {
      this.writable = code === 0x06;
    } else if (this.writable && enough && (code === 0x20 || code === 0x02)) {
      this.writable = false;
      if (code === 0x20) {
        this.flash.erase(address);
      } else {
        this.flash.program(address, this.command.slice(4));
      }
    }
  }
}
