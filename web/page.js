// The page: what is shown goes to the learner, what it says to the cards.
import { addCard, cards, match, onCards } from "./classes.js";
import { ask, onProgress } from "./learner.js";
import * as moves from "./move.js";
import * as source from "./source.js";

// Another network lies beside the page: ?model=NAME.safetensors
const MODEL = new URLSearchParams(location.search).get("model")?.split("/").pop() ?? "backbone.safetensors";
const GLANCE = 50; // ms between two predictions
const SOUNDS = [
    "Hold a blue button and say a word, or make a sound, a few times: that teaches it.",
    "Hold the other button and make another sound, a few times.",
    "Make one of the sounds again: it says which. Teach what it gets wrong.",
];
const part = (id) => document.getElementById(id);
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

let status = { classes: [], undo: null, room: 10 };
let busy = 1; // what waits for the learner, or is at work with it
let queue = Promise.resolve();
let unsaved = false;
let last = null; // the picture that was looked at
let live = false; // whether a board answers

function tell(text, wrong = false) {
    part("message").textContent = text;
    part("message").classList.toggle("wrong", wrong);
}

function hint() {
    const taught = status.classes.length;
    if (source.hearing()) return void (part("hint").textContent = SOUNDS[taught] ?? SOUNDS[2]);
    const verb = source.drawing() ? "Draw" : "Show";
    const first = `${verb} something below. Then hold a blue button for a second or two: that teaches it.`;
    const second = `${source.drawing() ? "Clear, and draw" : "Show"} something else, and hold the other button.`;
    part("hint").textContent = [first, second][taught] ?? `${verb} one of them again: it says which. Teach what it gets wrong.`;
}

// What has changed is shown.
function update(found, forgetNames = false) {
    status = found;
    last = null;
    match(found.classes, forgetNames);
    const asked = found.classes.reduce((sum, one) => sum + one.tested, 0);
    const right = found.classes.reduce((sum, one) => sum + one.right, 0);
    part("tested").textContent = asked
        ? `Every fifth picture was not taught but held back, to test it: ${right} of ${asked} are right (${Math.round((100 * right) / asked)} %).`
        : "";
    part("digest").textContent = found.digest;
    part("undo").setAttribute("aria-label", found.undo ? `Undo ${found.undo}` : "Undo");
    part("undo").title = found.undo ? `Undo ${found.undo}` : "";
    hint();
    buttons();
}

function buttons() {
    part("undo").disabled = !status.undo;
    for (const id of ["save", "board", "pico"]) part(id).disabled = !status.classes.length;
    part("add").disabled = cards.length >= status.room;
    for (const card of cards) card.button.disabled = card.label === null && status.classes.length >= status.room;
}

// One thing after another; what fails is told, and has changed nothing. A board that answers stops.
function work(act) {
    live = false;
    busy++;
    queue = queue.then(act).catch((error) => tell(error.message, true)).finally(() => {
        busy--;
        last = null;
        buttons();
    });
    return queue;
}

// A lesson: samples while next() gives pictures and there is room, then learning.
async function lesson(card, next) {
    const label = card.label ?? card.name;
    let n = 0;
    let room = 1;
    await ask("lesson", { label });
    try {
        for (let picture; room && (picture = await next(n)); ) {
            room = await ask("see", { picture, label });
            tell(`${card.name}: ${++n} picture${n > 1 ? "s" : ""}`);
        }
        if (!n) throw new Error("Nothing was heard: hold the button and make a sound, louder than what is around.");
        card.label = label;
        update(await ask("learn"));
    } catch (error) {
        update(await ask("undo"));
        throw error;
    }
    unsaved = true;
    return { n, room };
}

function teach(card, hold) {
    return work(async () => {
        source.beginLesson();
        if (source.hearing()) tell("It listens.");
        const { n } = await lesson(card, (n) => source.next(n, hold));
        tell(`Learned ${card.name} from ${n} picture${n > 1 ? "s" : ""}.`);
    });
}

function teachFiles(card, files) {
    return work(async () => {
        const pictures = [];
        for (const file of files) pictures.push(await source.read(file));
        const { n, room } = await lesson(card, async (n) => pictures[n]);
        const more = room ? "" : " That is as many as it learns at once: add the others again.";
        tell(`Learned ${card.name} from ${n} of ${files.length} pictures.${more}`, !room);
    });
}

function rename(card, name) {
    if (name === card.name) return;
    const refuse = (why) => {
        card.name = card.name;
        tell(why, true);
    };
    if (!name) return refuse("A class needs a name.");
    if (cards.some((other) => other !== card && other.name === name)) return refuse(`There is a class ${name} already.`);
    if (card.label === null) return void (card.name = name);
    return work(async () => {
        try {
            const found = await ask("rename", { old: card.label, name });
            card.label = card.name = name;
            update(found);
            unsaved = true;
        } finally {
            card.name = card.name;
        }
    });
}

function forget(card) {
    return work(async () => {
        const found = card.label === null ? status : await ask("forget", { label: card.label });
        unsaved ||= card.label !== null;
        tell(card.label === null ? "" : `Forgot ${card.name}. Undo brings it back.`);
        card.remove();
        update(found);
    });
}

function undo() {
    return work(async () => {
        const found = await ask("undo");
        update(found, !found.undone.startsWith("teaching"));
        tell(`Undone: ${found.undone}.`);
    });
}

async function save() {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([await ask("save")], { type: "application/octet-stream" }));
    link.download = "taught.safetensors";
    link.click();
    URL.revokeObjectURL(link.href);
    unsaved = false;
    tell("Saved taught.safetensors, as a board saves it.");
}

function load(file) {
    return work(async () => {
        const bytes = new Uint8Array(await file.arrayBuffer());
        update(await ask("load", { bytes, name: file.name }), true);
        tell(`Loaded ${file.name}. Its pictures are not in it: it remembers bits.`);
    });
}

function move(way) {
    return work(async () => onDevice(await way({ state: await ask("save"), digest: status.digest })));
}

function onDevice(machine) {
    part("device").hidden = false;
    part("machine").textContent = machine;
}

function fromBoard(which = async () => {}) {
    return work(async () => {
        await which();
        const { state, digest, machine } = await moves.fromBoard(tell);
        const found = await ask("load", { bytes: state, name: "the board's learner" });
        update(found, true);
        unsaved = true;
        onDevice(machine);
        const same = digest === found.digest ? ", the same in every bit" : ""; // a file has no digest there
        tell(`This is what the ${machine} knows${same}.`);
    });
}

// The board answers until the button is pressed again, or there is something else to do.
function letItAnswer() {
    if (live) return void (live = false);
    return work(async () => {
        live = true;
        part("live").setAttribute("aria-pressed", true);
        for (const card of cards) card.score(null, false);
        showNearest(null);
        const machine = part("machine").textContent;
        answer("…", `the ${machine} answers`);
        let n = 0;
        tell(`The pictures go to the ${machine}.`);
        const next = async () => {
            while (live && (document.hidden || source.isBlank())) await sleep(GLANCE);
            return live ? source.look() : null;
        };
        try {
            await moves.live(next, (label, share) => {
                answer(label, `${Math.round(100 * share)} %, says the ${machine}`);
                tell(`The ${machine} has answered ${++n} time${n > 1 ? "s" : ""}.`);
            });
        } finally {
            live = false;
            part("live").setAttribute("aria-pressed", false);
        }
    });
}

// What it says of the picture.

function answer(label, sure) {
    part("label").textContent = label;
    part("sure").textContent = sure;
}

function showNearest(nearest, picture) {
    part("nearest").classList.toggle("none", !nearest);
    if (!nearest) return;
    source.paint(part("memory"), picture);
    part("alike").textContent = picture ? `Most like\n${Math.round(100 * nearest[1])} % of bits` : `Most like a ${nearest[0]}, no picture`;
}

function showFound({ guess, scores, unknown, nearest, picture, ms }) {
    const best = scores?.[0]?.[0];
    if (guess) answer(guess[0].replaceAll("_", " "), `its guess, untaught: ${Math.round(100 * guess[1])} %`);
    else if (scores?.length === 1) answer(best, "the only thing it knows");
    else if (scores?.length) answer(best, `${Math.round(100 * scores[0][1])} %${unknown ? ", or unknown: it looks strange" : ""}`);
    else answer(nearest?.[0] ?? "–", nearest ? "the most similar" : "");
    showNearest(nearest, picture);
    const shares = new Map(scores);
    for (const card of cards) card.score(card.label === null ? null : (shares.get(card.label) ?? null), best !== undefined && card.label === best);
    part("speed").textContent = `${ms.toFixed(1)} ms for this answer, ${Math.round(status.bytes / 1024)} KB of RAM as on a board.`;
}

const same = (a, b) => a && b && a.every((value, i) => value === b[i]);

async function watch() {
    for (;;) {
        await sleep(GLANCE);
        if (document.hidden) continue;
        const picture = source.look();
        source.paint(part("seen"), picture);
        if (busy || same(last, picture)) continue;
        last = picture;
        if (source.isBlank()) {
            answer("–", "");
            showNearest(null);
            for (const card of cards) card.score(null, false);
            continue;
        }
        try {
            const found = await ask("look", { picture });
            if (!busy && last === picture) showFound(found);
        } catch (error) {
            tell(error.message, true);
        }
    }
}

async function choose(what, file) {
    try {
        if (what === "camera") await source.openCamera();
        if (what === "picture") await source.showPicture(file);
        if (what === "microphone") await began.then(source.openMicrophone);
    } catch (error) {
        return tell(error.message, true);
    }
    source.show(what);
    for (const id of ["draw", "camera", "microphone"]) part(id).setAttribute("aria-pressed", what === id);
    part("sees").textContent = what === "microphone" ? "It heard" : "It sees";
    part("clear").hidden = what !== "draw";
    hint();
}

// Files that are dropped: pictures on a card teach it, on what is shown they are shown, and saved learners are loaded.
function onDrop(element, act) {
    element.ondragover = (event) => {
        event.preventDefault();
        element.classList.add("over");
    };
    element.ondragleave = () => element.classList.remove("over");
    element.ondrop = (event) => {
        event.preventDefault();
        element.classList.remove("over");
        act(event, [...event.dataTransfer.files]);
    };
}

function dropped(event, files) {
    const state = files.find((file) => file.name.endsWith(".safetensors"));
    const on = cards.find((card) => card.element.contains(event.target));
    if (state) return load(state);
    if (on && files.length) return teachFiles(on, files);
    if (files.length) return choose("picture", files[0]);
}

function listen() {
    onCards({ teach, rename, forget, files: teachFiles });
    onProgress((epoch, epochs) => tell(`Learning: ${epoch} of ${epochs}`));
    onDrop(document.body, dropped);
    part("draw").onclick = () => choose("draw");
    part("camera").onclick = () => choose("camera");
    part("microphone").onclick = () => choose("microphone");
    part("picture").onchange = ({ target }) => target.files.length && choose("picture", target.files[0]).then(() => (target.value = ""));
    part("clear").onclick = source.clear;
    part("add").onclick = () => {
        addCard().input.select();
        buttons();
    };
    part("undo").onclick = undo;
    part("save").onclick = () => work(save);
    part("load").onchange = ({ target }) => target.files.length && load(target.files[0]).then(() => (target.value = ""));
    for (const id of ["board", "replacing", "from"]) part(id).hidden = !moves.hasSerial;
    part("no-serial").hidden = moves.hasSerial;
    part("board").onclick = () => move((learner) => moves.toBoard(learner, MODEL, part("replace").checked, tell));
    part("pico").onclick = () => move((learner) => moves.toPico(learner, MODEL, tell));
    part("from").onclick = () => fromBoard(moves.choose);
    part("back").onclick = () => fromBoard();
    part("live").onclick = letItAnswer;
    window.onbeforeunload = (event) => unsaved && event.preventDefault();
}

const began = ask("begin", { model: MODEL });
listen();
match([], false);
buttons();
try {
    const found = await began;
    source.fit(found.shape);
    update(found);
    busy = 0;
    document.documentElement.dataset.ready = "yes"; // for tests
    watch();
} catch (error) {
    part("hint").textContent = "It did not start.";
    tell(error.message, true);
}
navigator.serviceWorker?.register("service-worker.js");
