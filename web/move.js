// Moves what was taught here to a board, with whatever the board lacks for it.
import * as boards from "./board.js";
import { EmulatedPico } from "./pico.js";

const PACKAGES = "../mip/"; // of the release, beside the page's folder

export const hasSerial = "serial" in navigator;

async function fetched(path) {
    const reply = await fetch(path);
    return reply.ok ? new Uint8Array(await reply.arrayBuffer()) : null;
}

// To a board that the user chooses.
export async function toBoard(learner, model, replace, tell) {
    const port = await navigator.serial.requestPort().catch(() => {
        throw new Error("No board was chosen: plug it in, and choose it from the list.");
    });
    return move(port, learner, model, replace, tell);
}

// To a Pico in this page, new each time.
export async function toPico(learner, model, tell) {
    tell("Starting a Pico …");
    return move(new EmulatedPico({ name: model, bytes: await fetched(model) }), learner, model, true, tell);
}

async function move(port, { state, digest }, model, replace, tell) {
    const board = await boards.connect(port);
    const told = (what) => (done, all) => tell(`${what}: ${Math.round((100 * done) / all)} %`);
    try {
        const found = await boards.check(board);
        if (found.bitreplay === null) {
            tell("The board lacks BitReplay: installing it …");
            const onProgress = told("Installing BitReplay");
            const release = await boards.packageFor(found, (path) => fetched(PACKAGES + path));
            await boards.install(board, release, { replace, onProgress });
        }
        if (!found.files.some((file) => file.sha256 === boards.describe(state).model)) {
            await boards.putModel(board, model, await fetched(model), { replace, onProgress: told("Sending the network") });
        }
        const there = await boards.moveToBoard(board, state, digest, { replace, onProgress: told("Sending what was taught") });
        tell(`It is on the ${found.machine}, as ${there.path}, the same in every bit: ${there.digest.slice(0, 16)}.`);
        return there;
    } finally {
        await boards.disconnect(board).catch(() => {});
    }
}
