// What is shown to the network: a drawing, the camera, a picture or a sound, as pictures of the size that it takes.
import { openDevice } from "./devices.js";
import * as sound from "./sound.js";

const INK = 26;
const PACE = 100; // ms from one picture of a lesson to the next
const part = (id) => document.getElementById(id);
const paper = part("paper");
const photo = part("photo");
const video = part("video");
const waves = part("waves");
const pen = paper.getContext("2d");
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const work = document.createElement("canvas").getContext("2d", { willReadFrequently: true });

let source = paper;
let blank = true;
let height, width, channels;

export const drawing = () => source === paper;
export const hearing = () => source === waves;
export const listening = () => hearing() && sound.isOpen();
export const isBlank = () => (source === paper && blank) || (source === waves && !sound.last());

// The shape of a network's images. What was drawn stays if it fits.
export function fit(shape) {
    if (String(shape) === String([height, width, channels])) return;
    [height, width, channels] = shape;
    if (channels !== 1 && channels !== 3) {
        throw new Error(`The network's images have ${channels} channels, and pictures have 1 or 3: take another network.`);
    }
    paper.height = Math.round((paper.width * height) / width);
    part("view").style.aspectRatio = `${width} / ${height}`;
    clear();
}

export function clear() {
    pen.fillStyle = "#fff";
    pen.fillRect(0, 0, paper.width, paper.height);
    Object.assign(pen, { lineWidth: INK, lineCap: "round", lineJoin: "round", strokeStyle: "#101418" });
    blank = true;
}

// In a lesson a picture is another one each time, as if it were shown again: one is enough to teach by, and what is shown
// the next time is not taken for something unknown. Of these a drawing is moved, turned and sized, on paper that has no
// end, and of what else there is a part is looked at. width, height: of what is shown.
const random = (most) => (2 * Math.random() - 1) * most;
const centred = (change, width, height) => change.translate(-width / 2, -height / 2);

function redrawn(width, height) {
    const place = new DOMMatrix().translate((0.5 + random(0.1)) * width, (0.5 + random(0.1)) * height);
    return centred(place.rotate(random(12)).scale(0.9 + random(0.2)), width, height);
}

function nearer(width, height) {
    const size = 1 + 0.4 * Math.random();
    const spare = (size - 1) / 2;
    const place = new DOMMatrix().translate((0.5 + random(spare)) * width, (0.5 + random(spare)) * height);
    return centred(place.scale(size), width, height);
}

// The middle of a source, halved until it has the size of a picture: smooth, and all of it.
function small(from, change) {
    const [wide, high] = [from.videoWidth || from.width, from.videoHeight || from.height];
    const pixel = Math.min(wide / width, high / height); // of the picture, in the source
    let times = 1;
    while (times * 2 <= pixel) times *= 2;
    const [x, y] = [pixel * width, pixel * height];
    Object.assign(work.canvas, { width: times * width, height: times * height });
    work.imageSmoothingQuality = "high";
    work.fillStyle = "#fff";
    work.fillRect(0, 0, times * width, times * height);
    if (change) work.setTransform(change(work.canvas.width, work.canvas.height));
    work.drawImage(from, (wide - x) / 2, (high - y) / 2, x, y, 0, 0, times * width, times * height);
    work.resetTransform();
    for (; times > 1; times /= 2) {
        const [w, h] = [times * width, times * height];
        work.drawImage(work.canvas, 0, 0, w, h, 0, 0, w / 2, h / 2);
    }
    return pixels(work.getImageData(0, 0, width, height).data);
}

// Of RGBA; grey as the host's tools have it, which is ITU-R 601-2.
function pixels(rgba) {
    const out = new Uint8Array((rgba.length / 4) * channels);
    for (let i = 0, j = 0; i < rgba.length; i += 4, j += channels) {
        if (channels === 3) out.set(rgba.subarray(i, i + 3), j);
        else out[j] = (19595 * rgba[i] + 38470 * rgba[i + 1] + 7471 * rgba[i + 2] + 32768) >> 16;
    }
    return out;
}

// The picture now: of sounds that of the last one, or null.
export function look() {
    return source === waves ? sound.last() : small(source);
}

// What goes before the first picture of a lesson.
export function beginLesson() {
    if (hearing() && !sound.isOpen()) throw new Error("The microphone is off: press Sound, then hold the button.");
    if (hearing()) return sound.forget();
    if (isBlank()) throw new Error("The paper is empty: draw something, then hold the button.");
}

// Picture n of a lesson, whose button is hold.on; null at its end. There is one at least, but of sounds.
export async function next(n, hold) {
    if (source === waves) return sound.next(hold);
    if (n) await sleep(PACE);
    return n && !hold.on ? null : small(source, source === paper ? redrawn : nearer);
}

// A picture on a canvas; nothing, for none.
export function paint(canvas, picture) {
    Object.assign(canvas, { width, height });
    if (!picture) return;
    const image = new ImageData(width, height);
    for (let i = 0; i < width * height; i++) {
        for (let color = 0; color < 3; color++) image.data[4 * i + color] = picture[channels * i + (color % channels)];
        image.data[4 * i + 3] = 255;
    }
    canvas.getContext("2d").putImageData(image, 0, 0);
}

export function show(what) {
    source = { draw: paper, camera: video, picture: photo, microphone: waves }[what];
    for (const one of [paper, photo, video, waves]) one.hidden = one !== source;
    if (source === waves && !sound.isOpen()) paint(waves, null);
}

// The camera and the microphone are on until the signal is aborted.
export async function openCamera(signal) {
    const wanted = { width: { ideal: 640 }, height: { ideal: 480 }, facingMode: "environment" };
    const stream = await openDevice("camera", { video: wanted }, signal);
    signal.addEventListener("abort", () => {
        if (video.srcObject === stream) video.srcObject = null;
    });
    video.srcObject = stream;
    await video.play();
}

export const openMicrophone = (learner, signal) => sound.open(learner, (picture) => paint(waves, picture), signal);

async function decoded(file) {
    try {
        return await createImageBitmap(file);
    } catch {
        throw new Error(`${file.name}: this is no picture that the browser can read.`);
    }
}

export async function showPicture(file, signal) {
    const bitmap = await decoded(file);
    signal.throwIfAborted();
    const pixel = Math.min(bitmap.width / width, bitmap.height / height);
    Object.assign(photo, { width: pixel * width, height: pixel * height });
    photo.getContext("2d").drawImage(bitmap, (photo.width - bitmap.width) / 2, (photo.height - bitmap.height) / 2);
}

// A file's picture, without showing it.
export async function read(file) {
    return small(await decoded(file));
}

fit([32, 32, 3]);

function place(event) {
    const box = paper.getBoundingClientRect();
    return [((event.clientX - box.x) / box.width) * paper.width, ((event.clientY - box.y) / box.height) * paper.height];
}

paper.onpointerdown = (event) => {
    if (event.button) return;
    paper.setPointerCapture(event.pointerId);
    pen.beginPath();
    pen.moveTo(...place(event));
    pen.lineTo(...place(event));
    pen.stroke();
    blank = false;
};
paper.onpointermove = (event) => {
    if (!event.buttons) return;
    for (const one of event.getCoalescedEvents?.() ?? [event]) pen.lineTo(...place(one));
    pen.stroke();
};
