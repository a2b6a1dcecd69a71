// The networks that lie beside the page, with a learner each: one for what is seen, one for what is heard.
import { describe } from "./board.js";
import { Learner } from "./learner.js";

// ?model=NAME.safetensors takes another one, for both.
const named = new URLSearchParams(location.search).get("model")?.split("/").pop();
export const pictures = new Learner(named ?? "backbone.safetensors", "pictures");
export const sounds = named ? pictures : new Learner("speech.safetensors", "sounds");
const WAYS = new Map([[pictures, "Draw, Camera or Picture"], [sounds, "Sound"]]);

// The first learner that is not saved; undefined without any.
export const unsaved = () => [pictures, sounds].find((learner) => learner.unsaved);

// How to bring a learner into use.
export const wayTo = (learner) => `press ${WAYS.get(learner)}`;

function modelOf(bytes) {
    try {
        return describe(bytes).model;
    } catch {
        return null; // loading tells
    }
}

// The learner on whose network the one in a file is; undefined if no network here is that.
export async function owner(bytes) {
    const model = modelOf(bytes);
    for (const learner of model ? [pictures, sounds] : []) {
        await learner.begin();
        if (learner.digest === model) return learner;
    }
}

// Which network is in use, and what waits.
export function inUse(used) {
    if (named) return `The network ${named} is in use.`;
    const other = used === pictures ? sounds : pictures;
    const n = other.status.classes.length;
    const waiting = n > 1 ? `The ${n} classes of ${other.kind} wait` : `The class of ${other.kind} waits`;
    return `The network for ${used.kind} is in use.${n ? ` ${waiting}: ${wayTo(other)}.` : ""}`;
}
