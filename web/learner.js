// The Worker with the learner, as promises: ask("see", {picture, label}).
const worker = new Worker("worker.js", { type: "module" });
const waiting = new Map();
let number = 0;
let progress = () => {};

export function ask(what, more = {}) {
    return new Promise((resolve, reject) => {
        waiting.set(++number, { resolve, reject });
        worker.postMessage({ id: number, what, ...more });
    });
}

// told: function of the epoch and the number of epochs, while it learns.
export function onProgress(told) {
    progress = told;
}

worker.onmessage = ({ data }) => {
    if (data.epoch) return void progress(data.epoch, data.epochs);
    const { resolve, reject } = waiting.get(data.id);
    waiting.delete(data.id);
    if (data.error === undefined) resolve(data.value);
    else reject(new Error(data.error));
};

worker.onerror = (event) => {
    event.preventDefault();
    for (const { reject } of waiting.values()) reject(new Error(event.message || "worker.js could not be loaded"));
    waiting.clear();
};
