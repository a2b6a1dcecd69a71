// What is shown to the network: a drawing, the camera or a picture, as 32 x 32 pixels of RGB.
const SIDE = 32;
const INK = 26;
const part = (id) => document.getElementById(id);
const paper = part("paper");
const photo = part("photo");
const video = part("video");
const pen = paper.getContext("2d");
const work = document.createElement("canvas").getContext("2d", { willReadFrequently: true });

let source = paper;
let blank = true;

export const drawing = () => source === paper;
export const isBlank = () => source === paper && blank;

export function clear() {
    pen.fillStyle = "#fff";
    pen.fillRect(0, 0, paper.width, paper.height);
    blank = true;
}

// A drawing is a little moved, turned and sized each time, so that one is enough to teach by.
function shaken() {
    const random = (most) => (2 * Math.random() - 1) * most;
    const half = paper.width / 2;
    return new DOMMatrix()
        .translate(half + random(0.06) * half, half + random(0.06) * half)
        .rotate(random(8))
        .scale(1 + random(0.08))
        .translate(-half, -half);
}

// The square in the middle of a source, halved until it is 32 x 32: a smooth picture of it all.
function small(from, matrix) {
    const width = from.videoWidth || from.width;
    const height = from.videoHeight || from.height;
    const side = Math.min(width, height);
    let size = SIDE;
    while (size * 2 <= side) size *= 2;
    work.canvas.width = work.canvas.height = size;
    work.imageSmoothingQuality = "high";
    work.fillStyle = "#fff";
    work.fillRect(0, 0, size, size);
    if (matrix) work.setTransform(new DOMMatrix().scale(size / side).multiply(matrix).multiply(new DOMMatrix().scale(side / size)));
    work.drawImage(from, (width - side) / 2, (height - side) / 2, side, side, 0, 0, size, size);
    work.resetTransform();
    for (; size > SIDE; size /= 2) work.drawImage(work.canvas, 0, 0, size, size, 0, 0, size / 2, size / 2);
    return rgb(work.getImageData(0, 0, SIDE, SIDE).data);
}

function rgb(rgba) {
    const out = new Uint8Array((rgba.length / 4) * 3);
    for (let i = 0, j = 0; i < rgba.length; i += 4, j += 3) {
        out[j] = rgba[i];
        out[j + 1] = rgba[i + 1];
        out[j + 2] = rgba[i + 2];
    }
    return out;
}

// The picture now; for a lesson a drawing is shaken.
export function look({ lesson = false } = {}) {
    return small(source, lesson && source === paper ? shaken() : null);
}

// A picture of 32 x 32 on a canvas of that size; nothing, for none.
export function paint(canvas, picture) {
    const image = new ImageData(SIDE, SIDE);
    for (let i = 0, j = 0; picture && i < image.data.length; i += 4, j += 3) {
        image.data.set([picture[j], picture[j + 1], picture[j + 2], 255], i);
    }
    canvas.getContext("2d").putImageData(image, 0, 0);
}

export function show(what) {
    source = { draw: paper, camera: video, picture: photo }[what];
    for (const one of [paper, photo, video]) one.hidden = one !== source;
    if (source !== video) {
        for (const track of video.srcObject?.getTracks() ?? []) track.stop();
        video.srcObject = null;
    }
}

const REFUSED = {
    NotAllowedError: "The camera is not allowed: change that where your browser shows this page's address.",
    NotFoundError: "There is no camera: draw, or choose pictures.",
    NotReadableError: "The camera is in use by another program.",
};

export async function openCamera() {
    if (!navigator.mediaDevices) throw new Error("A camera needs a page from https or from localhost.");
    try {
        const wanted = { width: { ideal: 640 }, height: { ideal: 480 }, facingMode: "environment" };
        video.srcObject = await navigator.mediaDevices.getUserMedia({ video: wanted });
    } catch (error) {
        throw new Error(REFUSED[error.name] ?? `The camera does not start: ${error.message}`);
    }
    await video.play();
}

async function decoded(file) {
    try {
        return await createImageBitmap(file);
    } catch {
        throw new Error(`${file.name}: this is no picture that the browser can read.`);
    }
}

export async function showPicture(file) {
    const bitmap = await decoded(file);
    const side = Math.min(bitmap.width, bitmap.height);
    photo.width = photo.height = side;
    photo.getContext("2d").drawImage(bitmap, (side - bitmap.width) / 2, (side - bitmap.height) / 2);
}

// A file's picture, 32 x 32, without showing it.
export async function read(file) {
    return small(await decoded(file));
}

function place(event) {
    const box = paper.getBoundingClientRect();
    return [((event.clientX - box.x) / box.width) * paper.width, ((event.clientY - box.y) / box.height) * paper.height];
}

clear();
Object.assign(pen, { lineWidth: INK, lineCap: "round", lineJoin: "round", strokeStyle: "#101418" });
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
