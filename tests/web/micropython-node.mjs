#!/usr/bin/env node
// The webassembly port in node, called as the unix port is: micropython-node.mjs [-X heapsize=64m] SCRIPT.py [ARGUMENT...]
// BITREPLAY_WASM names its micropython.mjs. Files that the arguments name are copied into the module's memory, and
// those that a JSON file among them names.
import fs from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";

// Emscripten 3.1.6's code for node expects these, which an ES module lacks; and would fetch() a path, which is no URL.
const module = path.resolve(process.env.BITREPLAY_WASM);
globalThis.require = createRequire(import.meta.url);
globalThis.__dirname = path.dirname(module);
globalThis.fetch = undefined;

const [option, heap, ...others] = process.argv[2] === "-X" ? process.argv.slice(2) : ["", "", ...process.argv.slice(2)];
const [script, ...names] = others;
process.argv.length = 1; // the module would take itself for the program

let output = [];
function flush() {
    fs.writeSync(1, Buffer.from(output));
    output = [];
}

function collect([byte]) {
    output.push(byte);
    if (byte === 10) flush();
}

function copy(name) {
    const file = path.resolve(name);
    if (!fs.existsSync(file) || !fs.statSync(file).isFile()) return null;
    const content = fs.readFileSync(file);
    mp.FS.mkdirTree(path.dirname(file));
    mp.FS.writeFile(file, content);
    return content;
}

const { loadMicroPython } = await import(module);
const heapsize = option ? Number(/\d+/.exec(heap)) << 20 : 16 << 20;
const mp = await loadMicroPython({ pystack: 16384, heapsize, linebuffer: false, stdout: collect });
mp.FS.mkdirTree(process.cwd());
mp.FS.chdir(process.cwd());
for (const name of names) {
    const content = copy(name);
    if (content && name.endsWith(".json")) {
        JSON.parse(content, (key, value) => (typeof value === "string" && copy(value), value));
    }
}
try {
    mp.runPython(`import sys\nsys.argv[:] = ${JSON.stringify(others)}`);
    mp.runPython(fs.readFileSync(script, "utf8"));
} catch (error) {
    if (error.name !== "PythonError") throw error;
    if (error.type !== "SystemExit") {
        console.error(error.message);
        process.exitCode = 1;
    }
}
flush();
