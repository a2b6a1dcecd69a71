// What the learner says of the picture: the best class, the bars of all, and the remembered picture that is most like it.
import { cards } from "./classes.js";
import { paint } from "./source.js";

const part = (id) => document.getElementById(id);

export function answer(label, sure) {
    part("label").textContent = label;
    part("sure").textContent = sure;
}

function showNearest(nearest, picture) {
    part("nearest").classList.toggle("none", !nearest);
    if (!nearest) return;
    paint(part("memory"), picture);
    part("alike").textContent = picture ? `Most like\n${Math.round(100 * nearest[1])} % of bits` : `Most like a ${nearest[0]}, no picture`;
}

export function noAnswer() {
    answer("–", "");
    showNearest(null);
    for (const card of cards) card.score(null, false);
}

// bytes: of the learner, as on a board.
export function showFound({ guess, scores, unknown, nearest, picture, ms }, bytes) {
    const best = scores?.[0]?.[0];
    if (guess) answer(guess[0].replaceAll("_", " "), `its guess, untaught: ${Math.round(100 * guess[1])} %`);
    else if (scores?.length === 1) answer(best, "the only thing it knows");
    else if (scores?.length) answer(best, `${Math.round(100 * scores[0][1])} %${unknown ? ", or unknown: it looks strange" : ""}`);
    else answer(nearest?.[0] ?? "–", nearest ? "the most similar" : "");
    showNearest(nearest, picture);
    const shares = new Map(scores);
    for (const card of cards) card.score(card.label === null ? null : (shares.get(card.label) ?? null), best !== undefined && card.label === best);
    part("speed").textContent = `${ms.toFixed(1)} ms for this answer, ${Math.round(bytes / 1024)} KB of RAM as on a board.`;
}
