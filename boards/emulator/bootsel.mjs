// The drive that a Pico in BOOTSEL mode is: a folder here, with INFO_UF2.TXT, which goes when firmware was copied to it.
import fs from 'node:fs';
import path from 'node:path';

import { isWholeUf2, readUf2 } from './image.mjs';

const INFO = 'UF2 Bootloader v3.0\r\nModel: Raspberry Pi RP2\r\nBoard-ID: RPI-RP2\r\n';
const POLL_MS = 20;

export class BootselDrive {
  // onFlashed(): firmware is in flash. onError(message): a file was not what it should be; the drive stays.
  constructor(folder, flash, { onFlashed, onError }) {
    Object.assign(this, { folder, flash, onFlashed, onError });
    if (fs.existsSync(folder)) {
      throw new Error(`${folder} exists already: the drive would be made there, and removed`);
    }
    this.refused = new Set();
  }

  appear() {
    fs.mkdirSync(this.folder);
    fs.writeFileSync(path.join(this.folder, 'INFO_UF2.TXT'), INFO);
    this.timer = setInterval(() => this.#look(), POLL_MS);
  }

  disappear() {
    if (this.timer) {
      clearInterval(this.timer);
      this.timer = null;
      fs.rmSync(this.folder, { recursive: true, force: true });
    }
  }

  #look() {
    const names = fs.readdirSync(this.folder).filter((name) => /\.uf2$/i.test(name) && !this.refused.has(name));
    for (const name of names) {
      const file = path.join(this.folder, name);
      if (isWholeUf2(file)) {
        this.#program(name, file);
        return;
      }
    }
  }

  #program(name, file) {
    let blocks;
    try {
      blocks = readUf2(file);
    } catch (error) {
      this.refused.add(name);
      this.onError(error.message);
      return;
    }
    for (const { address, bytes } of blocks) {
      this.flash.load(address, bytes);
    }
    this.disappear();
    this.onFlashed();
  }
}
