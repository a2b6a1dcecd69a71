// The cards of classes: name, the button that is held to teach, the bar, counts.
const place = document.getElementById("classes");
const template = document.getElementById("class");
const NAMES = ["First thing", "Second thing", "Third thing"];

export const cards = [];

// acts: teach(card, hold), rename(card, name), forget(card), files(card, files); hold is {on} until it is let go.
let acts;
export function onCards(functions) {
    acts = functions;
}

export class Card {
    constructor(name, label = null) {
        this.element = template.content.firstElementChild.cloneNode(true);
        const find = (name) => this.element.querySelector(name);
        this.input = find(".name");
        this.button = find(".teach");
        this.meter = find(".track");
        this.fill = find(".fill");
        this.percent = find(".percent");
        this.counts = find(".counts");
        this.files = find(".file");
        this.forget = find(".forget");
        this.label = label; // what the learner knows it by: a text or a number; null until it was taught
        this.name = name;
        this.#listen();
        place.append(this.element);
        cards.push(this);
    }

    get name() {
        return this.shownName;
    }

    set name(name) {
        this.shownName = this.input.value = name;
        this.input.setAttribute("aria-label", `Name of the class ${name}`);
        this.button.setAttribute("aria-label", `Hold to teach ${name}`);
        this.meter.setAttribute("aria-label", `How likely it is ${name}`);
        this.files.setAttribute("aria-label", `Pictures for ${name}`);
        this.forget.setAttribute("aria-label", `Forget ${name}`);
    }

    #listen() {
        this.input.onchange = () => acts.rename(this, this.input.value.trim());
        this.input.onkeydown = (event) => event.key === "Enter" && this.input.blur();
        this.forget.onclick = () => acts.forget(this);
        this.files.onchange = async () => {
            await acts.files(this, [...this.files.files]);
            this.files.value = "";
        };
        this.#listenToHolds();
    }

    // A pointer or a key that is held; a click without either, of a screen reader or by voice, is a hold of a second.
    #listenToHolds() {
        const button = this.button;
        const begin = () => {
            if (this.hold?.on || button.disabled) return;
            this.hold = { on: true };
            button.classList.add("held");
            acts.teach(this, this.hold);
        };
        const end = () => {
            if (this.hold) this.hold.on = false;
            button.classList.remove("held");
        };
        button.onpointerdown = (event) => {
            if (event.button) return;
            button.setPointerCapture(event.pointerId);
            begin();
        };
        button.onpointerup = button.onpointercancel = button.onblur = end;
        button.onkeydown = (event) => {
            if (event.key !== " " && event.key !== "Enter") return;
            event.preventDefault();
            if (!event.repeat) begin();
        };
        button.onkeyup = end;
        button.onclick = (event) => {
            if (event.detail) return;
            begin();
            setTimeout(end, 1000);
        };
        button.oncontextmenu = (event) => event.preventDefault(); // of a long press
    }

    // known: what status() of the worker says of the class; nothing, for one that is not taught.
    show(known) {
        if (!known) {
            this.counts.textContent = "nothing yet";
            this.score(null, false);
            return;
        }
        const tested = known.tested ? `, ${known.right} of ${known.tested} held back right` : "";
        this.counts.textContent = `${known.kept} remembered${tested}`;
    }

    score(share, best) {
        const percent = Math.round(100 * (share ?? 0));
        this.fill.style.width = `${percent}%`;
        this.meter.setAttribute("aria-valuenow", percent);
        this.percent.textContent = share === null ? "–" : `${percent} %`;
        this.element.classList.toggle("best", best);
    }

    remove() {
        this.element.remove();
        cards.splice(cards.indexOf(this), 1);
    }
}

// A card with a name that no other has.
export function addCard() {
    const taken = new Set(cards.map((card) => card.name));
    for (let i = 0; ; i++) {
        const name = NAMES[i] ?? `Thing ${i + 1}`;
        if (!taken.has(name)) return new Card(name);
    }
}

// The cards of another learner take the place of these, which are returned.
export function exchange(others) {
    place.replaceChildren(...others.map((card) => card.element));
    return cards.splice(0, cards.length, ...others);
}

// Cards as the learner has classes. forgetNames: those that are not taught go, too.
export function match(classes, forgetNames) {
    const known = new Map(classes.map((one) => [one.label, one]));
    const lost = cards.filter((card) => card.label !== null && !known.has(card.label));
    const gained = classes.filter(({ label }) => !cards.some((card) => card.label === label));
    if (lost.length === 1 && gained.length === 1) {
        // It has another name now.
        lost[0].label = gained[0].label;
        lost[0].name = String(gained[0].label);
        lost.pop();
        gained.pop();
    }
    for (const card of lost) card.label = null;
    for (const card of cards.slice()) {
        if (card.label === null && (forgetNames || known.has(card.name))) card.remove();
    }
    for (const { label } of gained) new Card(String(label), label);
    while (cards.length < 2) addCard();
    for (const card of cards) card.show(known.get(card.label));
}
