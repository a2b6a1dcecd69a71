// The emulated Pico at the other end of a port of messages: {start: image of ROMFS or null}, {bytes} of its serial port,
// {reset}. Its own are {bytes}, {event: "usb"} when the serial port is there, and {event: "stopped", reason}.
import { Chip } from "./chip.mjs";
import { Flash } from "./flash.mjs";
import { Machine } from "./machine.mjs";

const ROMFS = 512 << 10; // where that partition begins: boards/rp2/RPI_PICO/mpconfigboard.h

// read(name): the bytes of a file of this folder.
export function serve(port, read) {
  let machine;

  async function start(romfs) {
    const [firmware, rom] = await Promise.all([read("firmware.bin"), read("bootrom.bin")]);
    const flash = new Flash();
    flash.load(0, firmware);
    flash.load(ROMFS, romfs ?? new Uint8Array());
    machine = new Machine(Chip, flash, new Uint32Array(rom.slice().buffer), {
      tell: (event, details) => port.postMessage({ event, ...details }),
      output: (bytes) => port.postMessage({ bytes: bytes.slice() }), // the chip's own are written anew
      onDrained: () => {},
    });
    machine.boot();
  }

  port.onmessage = ({ data }) => {
    if (data.bytes) {
      machine.receive(data.bytes);
    } else if (data.reset) {
      machine.boot();
    } else {
      start(data.start).catch((error) => port.postMessage({ event: "stopped", reason: error.message }));
    }
  };
}
