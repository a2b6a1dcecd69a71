// board.js at a port, for a line of JSON for each call of it, [name, arguments...], answered by {"value"} or {"error"}:
//     node at_board.mjs TCP_PORT       that of an emulated Pico
//     node at_board.mjs FOLDER MODEL   pico.js with what build/web/pico has, and a model
// An argument {"file": PATH} is the bytes of a file. What else a name can be is in `others`.
import { webcrypto } from "node:crypto";
import fs from "node:fs";
import net from "node:net";
import path from "node:path";
import readline from "node:readline";
import { Duplex } from "node:stream";
import { Worker } from "node:worker_threads";

import * as boards from "../../web/board.js";
import { EmulatedPico } from "../../web/pico.js";

globalThis.crypto ??= webcrypto; // of node 18

const [place, model] = process.argv.slice(2);
const bytesOf = (file) => new Uint8Array(fs.readFileSync(file));
let socket, pico;
if (model) {
  const worker = new Worker(new URL("as_in_browsers.mjs", import.meta.url), {
    workerData: path.resolve(place, "worker.js"),
  });
  worker.on("message", (data) => worker.onmessage({ data }));
  pico = new EmulatedPico({ name: path.basename(model), bytes: bytesOf(model) }, worker);
} else {
  socket = net.connect(+place, "127.0.0.1");
  socket.on("error", () => {});
}
const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);

let board;
const others = {
  // bite: bytes that come first, as of an answer whose beginning was lost.
  async connect({ bite = "" }) {
    if (pico) {
      board = await boards.connect(pico);
      return;
    }
    const { readable, writable } = Duplex.toWeb(socket);
    const bitten = new TransformStream({ start: (controller) => controller.enqueue(Buffer.from(bite)) });
    board = await boards.connect({ readable: readable.pipeThrough(bitten), writable });
  },
  disconnect: () => boards.disconnect(board),
  reset: () => pico.reset(),
  exec: (code) => board.exec(code),
  // Cuts the cable when so many bytes of a call have gone.
  cut: (name, after, ...rest) => boards[name](board, ...rest, (done) => done >= after && socket.destroy()),
  // Pastes half of a statement.
  async half(code) {
    await board.writer.write(Buffer.from(`\x05A\x01${code.slice(0, 200)}`));
  },
  twice: (name) => Promise.all([boards[name](board), boards[name](board)]),
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
