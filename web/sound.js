// What is heard, as pictures. Each sound that begins is one, as in firmware/examples/voice.py; what is going on is shown.
import { openDevice } from "./devices.js";

// Hz: pictures end at 4000, and what would fold into them begins at 12000.
const FILTERS = [["highpass", 40], ["lowpass", 5000], ["lowpass", 5000]];
const ONSET = 6; // octaves of power, 18 dB, above the background: a sound begins
const SLOW = 0.02; // octaves that the background may grow in a column
const QUIET = 64; // power that is below any sound
const BEFORE = 5 / 16; // of a picture is before the sound
const SHIFTS = [0, -2, 2]; // columns by which the pictures of a lesson are moved, so that few sounds are enough
const GLANCE = 50; // ms from one picture of what is going on to the next
const most = Math.max(...SHIFTS);
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

let context = null;
let latest = null; // the picture of the sound that was heard last
let lesson = []; // pictures that no lesson has had
let making = 0; // sounds whose pictures are being made
let ask, shape, recent, background, since;

export const last = () => latest;
export const isOpen = () => context !== null;

// learner: whose images the pictures are. show(picture): what is going on, again and again until the signal is aborted.
export async function open(learner, show, signal) {
    const its = await learner.ask("listen");
    const plain = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
    const stream = await openDevice("microphone", { audio: plain }, signal);
    const here = new AudioContext();
    signal.addEventListener("abort", () => close(here));
    await connect(here, stream, its);
    signal.throwIfAborted();
    context = here;
    ask = learner.ask.bind(learner);
    shape = its;
    recent = new Int16Array(shape.samples + 2 * most * shape.hop);
    background = since = latest = null;
    display(here, show);
}

function close(here) {
    here.close();
    if (here === context) context = latest = null;
}

async function connect(here, stream, { rate, hop }) {
    await here.audioWorklet.addModule("tap.js");
    const processorOptions = { rate, hop };
    const tap = new AudioWorkletNode(here, "tap", { channelCount: 1, channelCountMode: "explicit", processorOptions });
    tap.port.onmessage = ({ data }) => here === context && take(data);
    const filters = FILTERS.map(([type, frequency]) => new BiquadFilterNode(here, { type, frequency }));
    const chain = [here.createMediaStreamSource(stream), ...filters, tap, here.destination]; // the tap is silent
    for (let i = 1; i < chain.length; i++) chain[i - 1].connect(chain[i]);
    await here.resume();
}

async function display(here, show) {
    while (here === context) {
        const picture = await ask("hear", { samples: cut(most) });
        if (here === context) show(picture);
        await sleep(GLANCE);
    }
}

// The samples of a picture that ends so many columns later than that of a sound that has just been heard.
function cut(shift) {
    const end = recent.length - (most - shift) * shape.hop;
    return recent.slice(end - shape.samples, end);
}

function take(column) {
    recent.copyWithin(0, column.length);
    recent.set(column, recent.length - column.length);
    // The background is the least that was heard, and follows slowly what grows.
    const power = column.reduce((sum, value) => sum + value * value, 0) / column.length;
    if (!power) return; // as before the device has started
    const loudness = Math.log2(power + QUIET);
    background = Math.min((background ?? loudness) + SLOW, loudness);
    if (since !== null) since++;
    else if (loudness - background >= ONSET) since = 0;
    if (since === shape.width - 1 - Math.round(BEFORE * shape.width) + most) heard();
}

async function heard() {
    const here = context;
    since = null;
    making++;
    try {
        const cuts = SHIFTS.map(cut);
        const pictures = await Promise.all(cuts.map((samples) => ask("hear", { samples })));
        if (here !== context) return; // the microphone was closed meanwhile
        latest = pictures[0];
        lesson.push(...pictures);
    } finally {
        making--;
    }
}

// What was heard before counts no more: a lesson begins.
export function forget() {
    lesson = [];
}

// The next picture of a lesson, whose button is hold.on; null at its end. A sound that has begun is waited for.
export async function next(hold) {
    while (!lesson.length && (hold.on || since !== null || making)) await sleep(GLANCE);
    return lesson.shift() ?? null;
}
