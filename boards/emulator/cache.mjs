// The cache in front of the flash, as far as time goes: which lines it has, and how long the core waits for others.
// What is read comes from the flash itself, so that a line that should have been flushed is late to be seen, never wrong.

export const LINE = 8; // bytes
export const WAYS = 2;
export const SETS = 1024;
// A line in quad mode: nibbles of address and mode, clocks of nothing, nibbles of data; at half of the core's clock.
export const MISS_CYCLES = 2 * (8 + 4 + 2 * LINE);
export const FLUSH_CYCLES = SETS;

const VALID = 1 << 21; // above the numbers of lines, of which 16 MB have so many

export class XipCache {
  constructor() {
    this.lines = new Int32Array(WAYS * SETS); // of each set that of the last use, and the other
    this.stall = 0; // cycles that the core has yet to wait
    this.accesses = 0;
    this.hits = 0;
  }

  flush() {
    this.lines.fill(0);
    this.stall += FLUSH_CYCLES;
  }

  read(address) {
    const { lines } = this;
    const line = ((address & 0xffffff) >>> 3) | VALID;
    const set = WAYS * (line & (SETS - 1));
    this.accesses++;
    if (lines[set] === line) {
      this.hits++;
      return;
    }
    if (lines[set + 1] === line) {
      this.hits++;
    } else {
      this.stall += MISS_CYCLES;
    }
    lines[set + 1] = lines[set];
    lines[set] = line;
  }

  // What a write to the window does: the line is no longer there.
  forget(address) {
    const { lines } = this;
    const line = ((address & 0xffffff) >>> 3) | VALID;
    const set = WAYS * (line & (SETS - 1));
    if (lines[set] === line) {
      lines[set] = lines[set + 1];
      lines[set + 1] = 0;
    } else if (lines[set + 1] === line) {
      lines[set + 1] = 0;
    }
  }
}
