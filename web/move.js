// Moves what was taught here to a board, with whatever the board lacks for it, and back; and asks the board.
import * as boards from "./board.js";
import { EmulatedPico } from "./pico.js";

const PACKAGES = "../mip/"; // of the release, beside the page's folder

export const hasSerial = "serial" in navigator;

let port = null; // of the board that was used last

async function fetched(path) {
    const reply = await fetch(path);
    return reply.ok ? new Uint8Array(await reply.arrayBuffer()) : null;
}

// One that the user chooses.
export async function choose() {
    port = await navigator.serial.requestPort().catch(() => {
        throw new Error("No board was chosen: plug it in, and choose it from the list.");
    });
}

// act(board, what it is), with the board that was used last.
async function withBoard(act) {
    const board = await boards.connect(port);
    try {
        const found = await boards.check(board);
        found.machine = found.machine.split(" with ")[0]; // not its processor's name
        return await act(board, found);
    } finally {
        await boards.disconnect(board).catch(() => {});
    }
}

const progress = (tell, what) => (done, all) => tell(`${what}: ${Math.round((100 * done) / all)} %`);

// To a board that the user chooses. This and toPico() return what the board is.
export async function toBoard(learner, model, replace, tell) {
    await choose();
    return move(learner, model, replace, tell);
}

// To a Pico in this page, new each time.
export async function toPico(learner, model, tell) {
    tell("Starting a Pico …");
    port?.end?.(); // another one in this page would go on for nobody
    port = new EmulatedPico({ name: model, bytes: await fetched(model) });
    return move(learner, model, true, tell);
}

// What `me` on the board knows, as {state, digest, machine}.
export function fromBoard(tell) {
    return withBoard(async (board, { machine }) => {
        const found = await boards.moveFromBoard(board, { onProgress: progress(tell, "Getting what it knows") });
        return { ...found, machine };
    });
}

// What `me` on the board says of pictures: live() of board.js.
export function live(next, onPrediction) {
    return withBoard((board) => boards.live(board, next, onPrediction));
}

function move({ state, digest }, model, replace, tell) {
    return withBoard(async (board, found) => {
        if (found.bitreplay === null) {
            tell("The board lacks BitReplay: installing it …");
            const onProgress = progress(tell, "Installing BitReplay");
            const release = await boards.packageFor(found, (path) => fetched(PACKAGES + path));
            await boards.install(board, release, { replace, onProgress });
        }
        if (!found.files.some((file) => file.sha256 === boards.describe(state).model)) {
            const onProgress = progress(tell, "Sending the network");
            await boards.putModel(board, model, await fetched(model), { replace, onProgress });
        }
        const onProgress = progress(tell, "Sending what was taught");
        const there = await boards.moveToBoard(board, state, digest, { replace, onProgress });
        tell(`It is on the ${found.machine}, as ${there.path}, the same in every bit: ${there.digest.slice(0, 16)}.`);
        return found.machine;
    });
}
