// A Raspberry Pi Pico without a Pico: its serial port is a TCP port, its buttons are lines of JSON. See README.md.
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import readline from 'node:readline';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

import { BootselDrive } from './bootsel.mjs';
import { CachedChip, Chip } from './chip.mjs';
import { Flash } from './flash.mjs';
import { readUf2 } from './image.mjs';
import { Machine } from './machine.mjs';

const HERE = path.dirname(fileURLToPath(import.meta.url));
const INPUT_LIMIT = 1 << 16; // bytes that wait for the device before we stop to read more
const OUTPUT_LIMIT = 1 << 20; // bytes that a slow reader may leave with us before time stops for the device

const { values: options } = parseArgs({
  options: {
    image: { type: 'string' },
    flash: { type: 'string' },
    'bootsel-drive': { type: 'string' },
    cache: { type: 'boolean' },
  },
});

// The last line of what we say when we fail tells why.
process.on('uncaughtException', (error) => {
  fs.writeSync(2, `${error.stack}\n${error.message}\n`);
  process.exit(1);
});

const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);
const clients = new Set();

function prepareFlash() {
  const flash = new Flash(options.flash);
  for (const { address, bytes } of options.image ? readUf2(options.image) : []) {
    flash.load(address, bytes);
  }
  return flash;
}

function readBootrom() {
  const rom = fs.readFileSync(path.join(HERE, 'bootrom.bin'));
  return new Uint32Array(rom.buffer.slice(rom.byteOffset, rom.byteOffset + rom.length));
}

function output(bytes) {
  for (const client of clients) {
    client.write(bytes);
    if (client.writableLength > OUTPUT_LIMIT && !machine.paused) {
      machine.paused = true;
      client.once('drain', () => machine.resume());
    }
  }
}

const flash = prepareFlash();
const drive = options['bootsel-drive'] && new BootselDrive(options['bootsel-drive'], flash, {
  onFlashed: () => {
    say({ event: 'flashed' });
    machine.boot();
  },
  onError: (message) => say({ event: 'refused', message }),
});
const machine = new Machine(options.cache ? CachedChip : Chip, flash, readBootrom(), {
  tell: (event, details) => {
    if (event === 'bootsel') {
      drive?.appear();
    }
    say({ event, ...details });
  },
  output,
  onDrained: () => clients.forEach((client) => client.resume()),
});

// All clients are at the one serial port: each sees all that the device sends, and the device takes what any sends.
const server = net.createServer((client) => {
  clients.add(client);
  client.setNoDelay(true);
  client.on('data', (bytes) => {
    if (machine.receive(bytes) > INPUT_LIMIT) {
      client.pause();
    }
  });
  client.on('error', () => {});
  client.on('close', () => {
    clients.delete(client);
    machine.resume();
  });
});

function quit() {
  drive?.disappear();
  process.exit(0);
}

function expect(right, what) {
  if (!right) {
    throw new Error(`${what}: the Pico is ${machine.state}`);
  }
}

const commands = {
  cut({ after_flash_ops: operations, after_cycles: cycles, torn = false }) {
    if (operations !== undefined || cycles !== undefined) {
      expect(machine.state === 'running', 'nothing to wait for');
    }
    if (operations !== undefined) {
      flash.cutAfter(operations, torn);
    } else if (cycles !== undefined) {
      machine.cutAfterCycles(cycles);
    } else {
      expect(machine.state !== 'off', 'no power to cut');
      drive?.disappear();
      machine.powerOff({ during: null });
    }
  },
  power_on() {
    expect(machine.state === 'off', 'it has power');
    machine.boot();
  },
  reset() {
    expect(machine.state !== 'off', 'no reset without power');
    drive?.disappear();
    say({ event: 'reset' });
    machine.boot();
  },
  snapshot() {
    expect(machine.state === 'running' && machine.usb.configured, 'no snapshot before its serial port is there');
    machine.takeSnapshot();
  },
  restore() {
    if (machine.snapshot === null) {
      throw new Error('nothing to restore: no snapshot was taken');
    }
    drive?.disappear();
    clients.forEach((client) => client.destroy()); // what they sent and we have not read was not for this one
    machine.restore();
  },
  stats: () => machine.stats(),
  quit,
};

readline.createInterface({ input: process.stdin }).on('line', (line) => {
  try {
    const { cmd, ...parameters } = JSON.parse(line);
    if (!Object.hasOwn(commands, cmd)) {
      throw new Error(`there is no command ${JSON.stringify(cmd)}, but ${Object.keys(commands).join(', ')}`);
    }
    say({ reply: cmd, ...commands[cmd](parameters) });
  } catch (error) {
    say({ error: error.message });
  }
}).on('close', quit);

server.listen(0, '127.0.0.1', () => {
  say({ event: 'listening', port: server.address().port });
  machine.boot();
});
