// Runs a Worker of browsers, whose path is workerData, in a thread of node.
import fs from "node:fs";
import { parentPort, workerData } from "node:worker_threads";

delete globalThis.setImmediate; // which browsers have not
globalThis.fetch = async (url) => new Response(fs.readFileSync(url));
globalThis.postMessage = (message) => parentPort.postMessage(message);
await import(workerData);
parentPort.on("message", (data) => globalThis.onmessage({ data }));
