// "Move to my board": a learner, its model and BitReplay itself, to and from a board with MicroPython.
//
// port: Web Serial's, that of pico.js, or anything with such streams. What fails is an Error whose message is one
// sentence for the user. A path is that of a file in the board's files, or an absolute one.
import * as scripts from "./onboard.js";
import { BoardError, Repl } from "./repl.js";
import { image as romfs, MAGIC } from "./romfs.js";

const BAUD = 115200;
const LONG = 120; // seconds until a board has loaded a model, or hashed it
const CHUNK = 2048; // bytes of a file in one statement: the heap of a board that learns may have no larger piece
const READ = 8; // such pieces that are read by one statement
const PAGE = 256; // of flash, programmed at once
const SPARE = 4096; // bytes that a filesystem needs beside a file
const NEW = ".bitreplay"; // ends the name of a file that is not whole yet, as for the command `bitreplay`
const RECORD = "bitreplay/installed.txt"; // in the folder for packages: MARK, and what an installation put there
const MARK = "BitReplay's files, removed by the next installation:";
const STATE = "me.safetensors";
const DIFFERS = "is not what was sent: repeat this, and if it fails twice, the board's flash may be worn out.";
const NO_BITREPLAY = "The board has no BitReplay: install it, or give the board BitReplay's firmware.";
const NO_LEARNER = "This is no file of a learner: take one that a learner was saved to.";

const hex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
export const sha256 = async (bytes) => hex(new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)));
const base64 = (bytes) => btoa(String.fromCharCode(...bytes));
const literal = (value) => JSON.stringify(value); // of a text or a number, which Python reads alike

// One thing at a time: two would answer each other's questions.
const alone = (work) => async (board, ...rest) => {
  if (board.busy) {
    throw new Error("The board is busy with something else: wait until that has ended.");
  }
  board.busy = true;
  try {
    return await work(board, ...rest);
  } finally {
    board.busy = false;
  }
};

// Runs a script with values, among names of its own, and returns what it prints, which is JSON, last.
async function ask(board, script, values = {}, seconds = undefined) {
  const code = `exec(${literal(script)}, {"there": globals(), ` +
    `"values": __import__("json").loads(${literal(JSON.stringify(values))})})`;
  const answer = (await board.exec(code, seconds)).split("\n").pop();
  try {
    return JSON.parse(answer);
  } catch {
    throw new Error("The board's answer is garbled: close what else prints on its port, and repeat this.");
  }
}

// A board at its prompt: what ran there was interrupted, and its memory is as it was.
export async function connect(port) {
  try {
    await port.open?.({ baudRate: BAUD, bufferSize: 1 << 16 });
  } catch (error) {
    if (!(error instanceof DOMException)) {
      throw error; // pico.js says what to do
    }
    throw new Error(`The port cannot be opened (${error.message}): close what else uses it, or plug the board in again.`);
  }
  const board = new Repl(port);
  try {
    await board.enter();
  } catch (error) {
    await board.close();
    throw error;
  }
  return board;
}

export const disconnect = (board) => board.close();

// {machine, version, abi, architecture, bitreplay, frozen, free, files}: what the board is, its MicroPython, for which
// native modules, the version of BitReplay or null, whether that is the firmware's, free bytes, and the safetensors
// files as {path, bytes, sha256}: its models and learners.
export const check = alone((board) => look(board));
const look = (board) => ask(board, scripts.LOOK, {}, LONG);

// Writes a file, whole or not at all. onProgress(bytes done, bytes in all).
export const put = alone((board, path, bytes, onProgress) => replace(board, path, bytes, onProgress));

// accept(path): throws if the whole file, which has another name yet, is not to take its place.
async function replace(board, path, bytes, onProgress, accept = () => {}) {
  const free = await ask(board, scripts.FREE, { path: path + NEW });
  if (free < bytes.length + SPARE) {
    throw new Error(`${path} needs ${bytes.length} bytes, and ${free} are free on the board: remove files there.`);
  }
  try {
    await write(board, path + NEW, bytes, onProgress);
    if ((await ask(board, scripts.DIGEST, { path: path + NEW }, LONG)) !== (await sha256(bytes))) {
      throw new Error(`${path} ${DIFFERS}`);
    }
    await accept(path + NEW);
    await board.exec(`import os; os.rename(${literal(path + NEW)}, ${literal(path)})`);
  } catch (error) {
    // Of a board that is gone the file that is not whole stays: the next one takes its place.
    await ask(board, scripts.REMOVE, { path: path + NEW }).catch(() => {});
    throw error;
  }
}

async function write(board, path, bytes, onProgress = () => {}) {
  await board.exec(`from binascii import a2b_base64 as _a; _f = open(${literal(path)}, "wb")`);
  for (let start = 0; start < bytes.length; start += CHUNK) {
    const part = bytes.subarray(start, start + CHUNK);
    await board.exec(`_n = _f.write(_a("${base64(part)}"))`);
    onProgress(start + part.length, bytes.length);
  }
  await board.exec("_f.close(); del _a, _f");
}

// The bytes of a file.
export const get = alone((board, path, onProgress) => fetchFile(board, path, onProgress));

async function fetchFile(board, path, onProgress = () => {}) {
  const size = await ask(board, scripts.SIZE, { path });
  if (size === null) {
    throw new Error(`There is no ${path} on the board: save the learner there first.`);
  }
  const bytes = new Uint8Array(size);
  await board.exec(`from binascii import b2a_base64 as _b; _f = open(${literal(path)}, "rb")`);
  for (let done = 0, before = -1; done < size && done > before; onProgress(done, size)) {
    before = done; // a file that became shorter meanwhile ends early
    const lines = await board.exec(`for _n in range(${READ}): print(_b(_f.read(${CHUNK})).decode(), end="")`);
    for (const line of lines.split("\n")) {
      const part = Uint8Array.from(atob(line.trim()), (letter) => letter.charCodeAt(0));
      bytes.set(part, done);
      done += part.length;
    }
  }
  await board.exec("_f.close(); del _b, _f");
  if ((await ask(board, scripts.DIGEST, { path }, LONG)) !== (await sha256(bytes))) {
    throw new Error(`${path} came otherwise than it is on the board: repeat this.`);
  }
  return bytes;
}

// Empties the board's memory by a new start, and refuses to lose `me` that is there, or a file.
async function restart(board, path, over) {
  if (!over && (await ask(board, scripts.HAS_LEARNER))) {
    throw new Error("There is a learner in the board's memory: get it from there first, or allow that it is replaced.");
  }
  if (!over && path && (await ask(board, scripts.EXISTS, { path }))) {
    throw new Error(`There is a ${path} on the board: get it from there first, or allow that it is replaced.`);
  }
  await board.reset();
}

// Writes a model where it is used in place, in ROMFS, or on a board without that to its files; returns its path.
// Meanwhile there is no filesystem in ROMFS, and never half of one. replace: what restart() asks for.
export const putModel = alone(async (board, name, bytes, { replace: over, onProgress } = {}) => {
  const rom = await ask(board, scripts.ROM);
  if (rom === null) {
    await restart(board, name, over);
    await replace(board, name, bytes, onProgress);
    return name;
  }
  const others = rom.names.filter((one) => one !== name);
  if (others.length) {
    throw new Error(`The board's ROMFS has ${others.join(", ")}, which would be lost: put ${name} beside that by the ` +
      "command `bitreplay upload`.");
  }
  const image = romfs(name, bytes);
  if (image.length > rom.bytes) {
    throw new Error(`${name} needs ${image.length} bytes, and the ROMFS has ${rom.bytes}: take a smaller model.`);
  }
  const path = `/rom/${name}`;
  await restart(board, path, over);
  await writeRom(board, image, rom.block, onProgress);
  await board.reset();
  if ((await ask(board, scripts.DIGEST, { path }, LONG)) !== (await sha256(bytes))) {
    throw new Error(`${path} ${DIFFERS}`);
  }
  return path;
});

// Block 0 is erased first, and its magic comes last, as in host_tools/bitreplay_host/device/upload.py.
async function writeRom(board, image, block, onProgress = () => {}) {
  await board.exec(scripts.OPEN_ROM);
  const program = (size, bytes, n, offset = "") => {
    const whole = new Uint8Array(size).fill(0xff);
    whole.set(bytes);
    return board.exec(`_p.writeblocks(${n}, _a("${base64(whole)}")${offset})`);
  };
  for (let start = block; start < image.length; start += block) {
    await program(block, image.subarray(start, start + block), start / block); // without an offset it is erased before
    onProgress(start, image.length);
  }
  const first = image.slice(0, block);
  const magic = first.slice(0, MAGIC.length);
  first.fill(0xff, 0, MAGIC.length);
  await program(block, first, 0, ", 0");
  await program(PAGE, magic, 0, ", 0");
  onProgress(image.length, image.length);
}

// {version, files} of the release's package for what check() found. read(path): the bytes of a file in the release's
// folder mip, or null if there is none.
export async function packageFor(found, read) {
  const folder = `${found.abi}/${found.architecture}`;
  const listing = await read(`${folder}/package.json`);
  if (!listing) {
    throw new Error(`There is no package for a board with MicroPython ${found.version} and native modules ${folder}: ` +
      "give the board MicroPython 1.25, or BitReplay's firmware.");
  }
  const [major, minor] = found.version.split(".").map(Number);
  if (found.architecture === "xtensawin" && major === 1 && minor < 24) {
    throw new Error(`The board's MicroPython ${found.version} frees memory that a native module still uses: give it ` +
      "MicroPython 1.24 or newer.");
  }
  const { version, urls } = JSON.parse(new TextDecoder().decode(listing));
  const files = {};
  for (const [file] of urls) {
    files[file] = await read(`${folder}/${file}`);
    if (!files[file]) {
      throw new Error(`${folder}/${file} is missing from the release: get it again.`);
    }
  }
  return { version, files };
}

// Puts a package of packageFor() into the board's files, and tries it. Removes only what an installation before put
// there. replace: what restart() asks for. onProgress(files done, files in all).
export const install = alone(async (board, { version, files }, { replace: over, onProgress = () => {} } = {}) => {
  // Until the package itself is there, there is none, whatever cuts this short.
  const names = Object.keys(files).sort((a, b) => a.includes("__init__") - b.includes("__init__"));
  const bytes = names.reduce((sum, name) => sum + files[name].length + SPARE, 0);
  if ((await look(board)).frozen) {
    throw new Error("The board's firmware has BitReplay in it: there is nothing to install.");
  }
  await restart(board, null, over);
  const { lib, error } = await ask(board, scripts.PREPARE, { names, bytes, record: RECORD, mark: MARK, new: NEW });
  if (error) {
    throw new Error(error);
  }
  const record = new TextEncoder().encode([MARK, ...names, ""].join("\n"));
  await replace(board, `${lib}/${RECORD}`, record);
  for (const [n, name] of names.entries()) {
    await replace(board, `${lib}/${name}`, files[name]);
    onProgress(n + 1, names.length);
  }
  await board.reset();
  const imported = await ask(board, scripts.IMPORTED);
  if (imported.version !== version || imported.files.some((file) => !file.startsWith(`${lib}/`))) {
    throw new Error(`${imported.files[0]} is imported, of version ${imported.version}: rename it, and repeat this.`);
  }
});

// What a file of a learner says of it: {model, labels, config}, model being the sha256 of the model's file.
export function describe(state) {
  try {
    const size = new DataView(state.buffer, state.byteOffset).getUint32(0, true);
    const fields = JSON.parse(new TextDecoder().decode(state.subarray(8, 8 + size)))["__metadata__"];
    if (fields.format === "bitreplay-learner") {
      return { model: fields.model, labels: JSON.parse(fields.labels), config: JSON.parse(fields.config) };
    }
  } catch {
    // It is told below.
  }
  throw new Error(NO_LEARNER);
}

// Sends a learner, loads it there as `me` on `net`, and compares its digest() with that of the browser's: only then it
// takes the place of a file that was there, and that, or one in the board's memory, needs `replace`. Returns {path,
// digest, free}, of the board's RAM. The board needs the model: putModel().
export const moveToBoard = alone(async (board, state, digest, { path = STATE, replace: over, onProgress } = {}) => {
  const { model } = describe(state);
  await restart(board, path, over);
  const found = await look(board);
  if (found.bitreplay === null) {
    throw new Error(NO_BITREPLAY);
  }
  const file = found.files.find((one) => one.sha256 === model);
  if (!file) {
    throw new Error("The board lacks this learner's model: put the model on the board first.");
  }
  let loaded;
  await replace(board, path, state, onProgress, async (whole) => {
    loaded = await load(board, file.path, whole);
    if (loaded.digest !== digest) {
      throw new Error(`The board's learner is another than this one (sha256 ${loaded.digest.slice(0, 8)}...): give ` +
        "the board and this page the same release of BitReplay.");
    }
  });
  return { path, ...loaded };
});

// As the board's user would: the names stay.
async function load(board, model, path) {
  try {
    await board.exec(`import bitreplay; net = bitreplay.load(${literal(model)})`, LONG);
    await board.exec(`me = bitreplay.Learner.load(net, ${literal(path)})`, LONG);
    return await ask(board, scripts.LOADED, {}, LONG);
  } catch (error) {
    throw error instanceof BoardError ? new Error(`The board cannot load the learner: ${error.reason}.`) : error;
  }
}

// {state, digest}: the learner `me` in the board's memory, as it is now, and its digest(); or what the file has, and
// null.
export const moveFromBoard = alone(async (board, { path = STATE, onProgress } = {}) => {
  const aside = path + NEW;
  try {
    const digest = await save(board, aside);
    const state = await fetchFile(board, digest === null ? path : aside, onProgress);
    describe(state);
    return { state, digest };
  } finally {
    await ask(board, scripts.REMOVE, { path: aside }).catch(() => {});
  }
});

// Without a learner in memory, null.
async function save(board, path) {
  try {
    return await ask(board, scripts.SAVE, { path }, LONG);
  } catch (error) {
    throw error instanceof BoardError
      ? new Error(`The board cannot save its learner (${error.reason}): remove files there, and repeat this.`)
      : error;
  }
}

// What `me` on the board says of pictures, each as many bytes as its net's images have. next(): the next one, or null
// to end. onPrediction(label, probability).
export const live = alone(async (board, next, onPrediction) => {
  if (!(await ask(board, scripts.HAS_LEARNER))) {
    throw new Error("There is no learner in the board's memory: move one to the board first.");
  }
  for (let picture = await next(); picture; picture = await next()) {
    await board.exec(`from binascii import a2b_base64 as _a; _image = bytearray(${picture.length})`);
    for (let start = 0; start < picture.length; start += CHUNK) {
      const part = picture.subarray(start, start + CHUNK);
      await board.exec(`_image[${start}:${start + part.length}] = _a("${base64(part)}")`);
    }
    onPrediction(...(await ask(board, scripts.PREDICT, {}, LONG)));
  }
});
