// Firmware images: UF2, for the RP2040.
import fs from 'node:fs';

import { FLASH_SIZE } from './flash.mjs';

const BLOCK = 512;
const MAGIC = [[0, 0x0a324655], [4, 0x9e5d5157], [508, 0x0ab16f30]];
const RP2040 = 0xe48bff56;
const FLASH_START = 0x10000000;

// [{ address, bytes }], addresses from the start of flash; throws an Error that names the file.
export function readUf2(file) {
  const content = fs.readFileSync(file);
  if (!content.length || content.length % BLOCK) {
    throw new Error(`${file} is not a whole UF2 file`);
  }
  const blocks = [];
  for (let start = 0; start < content.length; start += BLOCK) {
    const block = content.subarray(start, start + BLOCK);
    if (MAGIC.some(([offset, value]) => block.readUInt32LE(offset) !== value)) {
      throw new Error(`${file} is not a whole UF2 file`);
    }
    const [address, size, family] = [12, 16, 28].map((offset) => block.readUInt32LE(offset));
    if (family !== RP2040) {
      throw new Error(`${file} is for another chip than the RP2040`);
    }
    if (address < FLASH_START || size > 476 || address + size > FLASH_START + FLASH_SIZE) {
      throw new Error(`${file} has data for 0x${address.toString(16)}, which is not in the flash of a Pico`);
    }
    blocks.push({ address: address - FLASH_START, bytes: block.subarray(32, 32 + size) });
  }
  return blocks;
}

// Whether all blocks of a UF2 file that is being copied have arrived.
export function isWholeUf2(file) {
  const header = Buffer.alloc(BLOCK);
  const fd = fs.openSync(file);
  try {
    const read = fs.readSync(fd, header, 0, BLOCK, 0);
    return read === BLOCK && fs.fstatSync(fd).size >= header.readUInt32LE(24) * BLOCK;
  } finally {
    fs.closeSync(fd);
  }
}
