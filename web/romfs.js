// An image of MicroPython's ROMFS with one file in it, as host_tools/bitreplay_host/device/romfs.py builds it.
export const MAGIC = [0xd2, 0xcd, 0x31];
const HEADER = 8; // bytes: the magic and a length of five digits, so that the first record is aligned
const [PADDING, DATA, FILE] = [1, 2, 5];
const ALIGNMENT = 4; // of what is a file's content; a Cortex-M0+ reads no other words

// n in base 128, the high digits first; all but the last have bit 7. At least so many digits.
function number(n, digits = 1) {
  const found = [n & 127];
  for (n >>= 7; n || found.length < digits; n >>= 7) {
    found.unshift((n & 127) | 128);
  }
  return found;
}

export function image(name, content) {
  const encoded = [...new TextEncoder().encode(name)];
  const start = [...number(encoded.length), ...encoded, DATA, ...number(content.length)];
  const record = [FILE, ...number(start.length + content.length), ...start];
  const padding = -(HEADER + record.length) & (ALIGNMENT - 1);
  // A record has at least two bytes: its kind and its length.
  const fill = (padding - 2) & (ALIGNMENT - 1);
  const before = padding ? [PADDING, fill, ...new Array(fill).fill(0), ...record] : record;
  const header = [...MAGIC, ...number(before.length + content.length, HEADER - MAGIC.length)];
  const whole = new Uint8Array(HEADER + before.length + content.length);
  whole.set(header);
  whole.set(before, HEADER);
  whole.set(content, HEADER + before.length);
  return whole;
}
