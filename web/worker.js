// MicroPython with BitReplay in a Worker: a message, a reply. teacher.py is the other half.
//
// The learner keeps latents alone. Of what was shown here the pictures are kept too: to show the one that is nearest,
// and, of every fifth, which the learner does not get, to test it.
import { loadMicroPython } from "./micropython.mjs";

const CALLS = ["begin", "listen", "hear", "see", "learn", "look", "predict", "rename", "forget", "status", "save", "load"];
const EVERY = 5;
const TESTS = 20; // pictures of a class
const STEPS = 30; // that can be undone
const PICTURES = 5000;
const FOLDER = "/loaded/"; // for what is loaded, by the name that its user knows

let mp, python, shape, sound;
const pictures = new Map(); // of a latent, as text
let tests = []; // {label, picture}
let shown = new Map(); // pictures of a label
let past = []; // {state, tests, shown, what}

// The heap's objects do not move; the views of all memory do, as it grows.
const memory = (address, length) => mp._module.HEAPU8.subarray(address, address + length);
const latent = () => memory(shape.latent, shape.latent_bytes).join();

function put(picture) {
    memory(shape.image, picture.length).set(picture);
}

async function begin({ model }) {
    const [code, bytes] = await Promise.all([fetched("teacher.py", "text"), fetched(model, "arrayBuffer")]);
    mp = await loadMicroPython({ pystack: 16384, heapsize: 4 << 20, stdout: (line) => console.log(line) });
    mp.FS.mkdir(FOLDER);
    mp.FS.writeFile("/model.safetensors", new Uint8Array(bytes));
    mp.runPython(code);
    python = Object.fromEntries(CALLS.map((name) => [name, mp.globals.get(name)]));
    shape = JSON.parse(python.begin("/model.safetensors"));
    return { ...status(), shape: shape.shape, model: shape.model };
}

function listen() {
    sound = JSON.parse(python.listen());
    return sound;
}

// The picture of samples, Int16Array.
function hear({ samples }) {
    memory(sound.address, samples.byteLength).set(new Uint8Array(samples.buffer));
    python.hear();
    return memory(shape.image, shape.shape.reduce((a, b) => a * b)).slice();
}

async function fetched(name, as) {
    const reply = await fetch(name);
    if (!reply.ok) throw new Error(`${name}: the server answers ${reply.status}`);
    return reply[as]();
}

function status() {
    const found = JSON.parse(python.status());
    for (const known of found.classes) {
        const its = tests.filter((test) => test.label === known.label);
        known.tested = its.length;
        known.right = its.filter((test) => test.right).length;
    }
    return { ...found, undo: past.at(-1)?.what ?? null };
}

// The pictures that were held back, asked again.
function test() {
    for (const one of tests) {
        put(one.picture);
        one.right = python.predict() === one.label;
    }
    return status();
}

function saved() {
    python.save("/taught.safetensors");
    return mp.FS.readFile("/taught.safetensors");
}

// What is done next can be undone, unless it fails.
function step(what, act) {
    past.push({ state: saved(), tests: tests.slice(), shown: new Map(shown), what });
    if (past.length > STEPS) past.shift();
    try {
        return act();
    } catch (error) {
        undo();
        throw error;
    }
}

function undo() {
    const { state, what, ...before } = past.pop();
    restore(state);
    ({ tests, shown } = before);
    return what;
}

function restore(bytes, name = "before") {
    mp.FS.writeFile(FOLDER + name, bytes);
    try {
        python.load(FOLDER + name);
    } finally {
        mp.FS.unlink(FOLDER + name);
    }
}

function see({ picture, label }) {
    const n = shown.get(label) ?? 0;
    if (n % EVERY === EVERY - 1) {
        const its = tests.filter((one) => one.label === label);
        tests = tests.filter((one) => its.length < TESTS || one !== its[0]);
        tests.push({ label, picture });
    } else {
        put(picture);
        past.at(-1).room = python.see(label);
        pictures.set(latent(), picture);
        if (pictures.size > PICTURES) pictures.delete(pictures.keys().next().value);
    }
    shown.set(label, n + 1);
    return past.at(-1).room;
}

function rename({ old, name }) {
    python.rename(old, name);
    tests = tests.map((one) => (one.label === old ? { ...one, label: name } : one));
    shown.set(name, shown.get(old) ?? 0);
    shown.delete(old);
    return status();
}

function forget({ label }) {
    python.forget(label);
    tests = tests.filter((one) => one.label !== label);
    shown.delete(label);
    return test();
}

function load({ bytes, name }) {
    restore(bytes, name);
    tests = [];
    shown = new Map();
    return status();
}

function look({ picture }) {
    put(picture);
    const began = performance.now();
    const found = JSON.parse(python.look());
    const nearest = found.nearest && pictures.get(latent());
    return { ...found, picture: nearest, ms: performance.now() - began };
}

const todo = {
    begin,
    listen,
    hear,
    see,
    look,
    lesson: ({ label }) => step(`teaching ${label}`, () => status()),
    learn: () => (python.learn((epoch, epochs) => postMessage({ epoch, epochs })), test()),
    rename: (asked) => step(`renaming ${asked.old}`, () => rename(asked)),
    forget: (asked) => step(`forgetting ${asked.label}`, () => forget(asked)),
    load: (asked) => step("loading a file", () => load(asked)),
    undo: () => ({ undone: undo(), ...test() }),
    save: saved,
};

onmessage = async ({ data }) => {
    try {
        postMessage({ id: data.id, value: await todo[data.what](data) });
    } catch (error) {
        // MicroPython's traceback ends in "ValueError: what is wrong".
        const line = error.message.trim().split("\n").pop();
        postMessage({ id: data.id, error: line.replace(/^\w*(Error|Exception): /, "").replace(FOLDER, "") });
    }
};
