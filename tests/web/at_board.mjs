// board.js at the serial port of an emulated Pico: node at_board.mjs TCP_PORT, then a line of JSON for each call of it,
// [name, arguments...], answered by {"value"} or {"error"}. An argument {"file": PATH} is the bytes of a file. What
// else a name can be is in `others`.
import { webcrypto } from "node:crypto";
import fs from "node:fs";
import net from "node:net";
import readline from "node:readline";
import { Duplex } from "node:stream";

import * as boards from "../../web/board.js";

globalThis.crypto ??= webcrypto; // of node 18

const socket = net.connect(+process.argv[2], "127.0.0.1");
socket.on("error", () => {});
const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);

const bytesOf = (file) => new Uint8Array(fs.readFileSync(file));

let board;
const others = {
  // bite: bytes that come first, as of an answer whose beginning was lost.
  async connect({ bite = "" }) {
    const { readable, writable } = Duplex.toWeb(socket);
    const bitten = new TransformStream({ start: (controller) => controller.enqueue(Buffer.from(bite)) });
    board = await boards.connect({ readable: readable.pipeThrough(bitten), writable });
  },
  exec: (code) => board.exec(code),
  // Cuts the cable when so many bytes of a call have gone.
  cut: (name, after, ...rest) => boards[name](board, ...rest, (done) => done >= after && socket.destroy()),
  // Pastes half of a statement.
  async half(code) {
    await board.writer.write(Buffer.from(`\x05A\x01${code.slice(0, 200)}`));
  },
  async sameFile(path, bytes) {
    return Buffer.from(await boards.get(board, path)).equals(Buffer.from(bytes));
  },
  async predictions(n) {
    const found = [];
    await boards.live(board, () => (found.length < n ? new Uint8Array(3072).fill(found.length) : null),
      (...one) => found.push(one));
    return found;
  },
  async moveFromBoard() {
    const { state, digest } = await boards.moveFromBoard(board);
    return { digest, labels: boards.describe(state).labels };
  },
  async installFrom(folder) {
    const read = (file) => (fs.existsSync(`${folder}/${file}`) ? bytesOf(`${folder}/${file}`) : null);
    await boards.install(board, await boards.packageFor(await boards.check(board), read));
  },
};

function taken(argument) {
  return argument?.file ? bytesOf(argument.file) : argument;
}

for await (const line of readline.createInterface({ input: process.stdin })) {
  const [name, ...rest] = JSON.parse(line);
  try {
    const call = others[name] ?? ((...all) => boards[name](board, ...all));
    const value = await call(...rest.map(taken));
    say({ value: value ?? null });
  } catch (error) {
    say({ error: error.message });
  }
}
process.exit(0);
