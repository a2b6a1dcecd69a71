// The page: what is shown goes to the learner, what it says to the cards.
import { answer, noAnswer, showFound } from "./answer.js";
import { addCard, cards, exchange, match, onCards } from "./classes.js";
import { onProgress } from "./learner.js";
import * as moves from "./move.js";
import { inUse, owner, pictures, sounds, unsaved, wayTo } from "./networks.js";
import * as source from "./source.js";

const GLANCE = 50; // ms between two predictions
const SOUNDS = [
    "Hold a blue button and say a word, or make a sound, a few times: that teaches it.",
    "Hold the other button and make another sound, a few times.",
    "Make one of the sounds again: it says which. Teach what it gets wrong.",
];
const part = (id) => document.getElementById(id);
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

let used = pictures; // the other one waits
let device = null; // the learner that a board has
let busy = 1; // what waits for the learner, or is at work with it
let queue = Promise.resolve();
let last = null; // the picture that was looked at
let live = false; // whether a board answers
// Over, when something else is shown, and when something else is asked for before it is there.
let shown = new AbortController();
let coming = null;

const ask = (what, more) => used.ask(what, more);

function tell(text, wrong = false) {
    part("message").textContent = text;
    part("message").classList.toggle("wrong", wrong);
}

function hint() {
    const taught = used.status.classes.length;
    if (source.hearing() && !source.listening()) return void (part("hint").textContent = "Press Sound, and make one of the sounds: it says which.");
    if (source.hearing()) return void (part("hint").textContent = SOUNDS[taught] ?? SOUNDS[2]);
    const verb = source.drawing() ? "Draw" : "Show";
    const first = `${verb} something below. Then hold a blue button for a second or two: that teaches it.`;
    const second = `${source.drawing() ? "Clear, and draw" : "Show"} something else, and hold the other button.`;
    part("hint").textContent = [first, second][taught] ?? `${verb} one of them again: it says which. Teach what it gets wrong.`;
}

// Another learner comes into use, with its network and its classes.
function use(learner) {
    if (learner === used) return;
    source.fit(learner.shape);
    used.cards = exchange(learner.cards);
    used = learner;
    part("classes").classList.toggle("sounds", used !== pictures);
    tell("");
    update(used.status);
}

// What has changed is shown.
function update(found, forgetNames = false) {
    used.status = found;
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
    part("network").textContent = inUse(used);
    buttons();
}

function buttons() {
    const { classes, room, undo } = used.status;
    part("undo").disabled = !undo;
    for (const id of ["save", "board", "pico"]) part(id).disabled = !classes.length;
    part("add").disabled = cards.length >= room;
    for (const card of cards) card.button.disabled = card.label === null && classes.length >= room;
}

// One thing after another; what fails is told, and has changed nothing. A board that answers stops.
function work(act) {
    const its = used;
    live = false;
    busy++;
    const begin = () => {
        if (its !== used) throw new Error(`The network for ${used.kind} has come into use meanwhile: do that again.`);
        return act();
    };
    queue = queue.then(begin).catch((error) => tell(error.message, true)).finally(() => {
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
    used.unsaved = true;
    return { n, room };
}

function teach(card, hold) {
    return work(async () => {
        source.beginLesson();
        if (source.hearing()) tell("It listens.");
        const { n } = await lesson(card, (n) => source.next(n, hold));
        tell(`Learned ${card.name}: it saw ${n} picture${n > 1 ? "s" : ""}.`);
    });
}

function teachFiles(card, files) {
    return work(async () => {
        if (used !== pictures) throw new Error("The network for sounds is in use: press Draw, then add pictures to a class.");
        const read = [];
        for (const file of files) read.push(await source.read(file));
        const { n, room } = await lesson(card, async (n) => read[n]);
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
            used.unsaved = true;
        } finally {
            card.name = card.name;
        }
    });
}

function forget(card) {
    return work(async () => {
        const found = card.label === null ? used.status : await ask("forget", { label: card.label });
        used.unsaved ||= card.label !== null;
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
    used.unsaved = false;
    const other = unsaved();
    tell(`Saved taught.safetensors, as a board saves it.${other ? ` What it learned of ${other.kind} is not in it.` : ""}`);
}

// A saved learner, in place of the one on the same network, which comes into use.
async function restore(bytes, name) {
    const learner = (await owner(bytes)) ?? used; // which says what is wrong with the file
    const found = await learner.ask("load", { bytes, name });
    if (learner !== used) show(learner === sounds ? "microphone" : "draw", new AbortController(), learner);
    update(found, true);
    return found;
}

function load(file) {
    return work(async () => {
        const bytes = new Uint8Array(await file.arrayBuffer());
        await restore(bytes, file.name);
        tell(`Loaded ${file.name}. Its pictures are not in it: it remembers bits.`);
    });
}

function move(way) {
    return work(async () => onDevice(await way({ state: await ask("save"), digest: used.status.digest })));
}

function onDevice(machine) {
    part("device").hidden = false;
    part("machine").textContent = machine;
    device = used;
}

function fromBoard(which = async () => {}) {
    return work(async () => {
        await which();
        const { state, digest, machine } = await moves.fromBoard(tell);
        const found = await restore(state, "the board's learner");
        used.unsaved = true;
        onDevice(machine);
        const same = digest === found.digest ? ", the same in every bit" : ""; // a file has no digest there
        tell(`This is what the ${machine} knows${same}.`);
    });
}

// The board answers until the button is pressed again, or there is something else to do.
function letItAnswer() {
    if (live) return void (live = false);
    return work(async () => {
        if (device !== used) throw new Error(`What was learned of ${device.kind} is there: ${wayTo(device)}, and let it answer then.`);
        live = true;
        part("live").setAttribute("aria-pressed", true);
        noAnswer();
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
            noAnswer();
            continue;
        }
        try {
            const found = await ask("look", { picture });
            if (!busy && last === picture) showFound(found, used.status.bytes);
        } catch (error) {
            tell(error.message, true);
        }
    }
}

async function choose(what, file) {
    const learner = what === "microphone" ? sounds : pictures;
    coming?.abort();
    const mine = (coming = new AbortController());
    try {
        await learner.begin();
        if (what === "camera") await source.openCamera(mine.signal);
        if (what === "picture") await source.showPicture(file, mine.signal);
        if (what === "microphone") await source.openMicrophone(learner, mine.signal);
    } catch (error) {
        if (!mine.signal.aborted) tell(error.message, true);
        return mine.abort();
    }
    if (learner === used) show(what, mine, learner);
    else await work(() => show(what, mine, learner));
}

// mine: aborted when it is over.
function show(what, mine, learner) {
    if (mine.signal.aborted) return;
    if (coming !== mine) coming?.abort();
    coming = null;
    shown.abort();
    shown = mine;
    source.show(what);
    use(learner);
    const pressed = what === "microphone" && !source.listening() ? null : what;
    for (const id of ["draw", "camera", "microphone"]) part(id).setAttribute("aria-pressed", pressed === id);
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
    part("board").onclick = () => move((learner) => moves.toBoard(learner, used.model, part("replace").checked, tell));
    part("pico").onclick = () => move((learner) => moves.toPico(learner, used.model, tell));
    part("from").onclick = () => fromBoard(moves.choose);
    part("back").onclick = () => fromBoard();
    part("live").onclick = letItAnswer;
    window.onbeforeunload = (event) => unsaved() && event.preventDefault();
}

listen();
match([], false);
buttons();
try {
    await used.begin();
    source.fit(used.shape);
    update(used.status);
    busy = 0;
    document.documentElement.dataset.ready = "yes"; // for tests
    watch();
} catch (error) {
    part("hint").textContent = "It did not start.";
    tell(error.message, true);
}
navigator.serviceWorker?.register("service-worker.js");
