// A network and what it learns, in a Worker of their own, as promises: ask("see", {picture, label}).
let progress = () => {};

// told: function of the epoch and the number of epochs, while one learns.
export function onProgress(told) {
    progress = told;
}

export class Learner {
    status = { classes: [], undo: null, room: 10 };
    cards = []; // while another one is in use
    unsaved = false;
    #waiting = new Map();
    #number = 0;
    #worker = null;
    #begun = null;

    // model: the file of the network. kind: what it is for, in a word.
    constructor(model, kind) {
        this.model = model;
        this.kind = kind;
    }

    // Loads the network when it is first needed. Then shape is that of its images, and digest the file's sha256.
    begin() {
        this.#begun ??= this.#begin().catch((error) => {
            this.#begun = null; // the next one tries again
            throw error;
        });
        return this.#begun;
    }

    async #begin() {
        this.#worker?.terminate();
        this.#worker = new Worker("worker.js", { type: "module" });
        this.#worker.onmessage = ({ data }) => this.#take(data);
        this.#worker.onerror = (event) => {
            event.preventDefault();
            for (const { reject } of this.#waiting.values()) reject(new Error(event.message || "worker.js could not be loaded"));
            this.#waiting.clear();
        };
        const { shape, model, ...status } = await this.ask("begin", { model: this.model });
        Object.assign(this, { shape, digest: model, status });
    }

    ask(what, more = {}) {
        return new Promise((resolve, reject) => {
            this.#waiting.set(++this.#number, { resolve, reject });
            this.#worker.postMessage({ id: this.#number, what, ...more });
        });
    }

    #take(data) {
        if (data.epoch) return void progress(data.epoch, data.epochs);
        const { resolve, reject } = this.#waiting.get(data.id);
        this.#waiting.delete(data.id);
        if (data.error === undefined) resolve(data.value);
        else reject(new Error(data.error));
    }
}
