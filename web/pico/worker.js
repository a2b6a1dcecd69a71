// The Worker of ../pico.js.
import { serve } from "./serve.js";

// Browsers have no setImmediate(), and setTimeout() waits: a message to ourselves lets other messages come in between.
const { port1, port2 } = new MessageChannel();
const waiting = new Map();
let count = 0;
port1.onmessage = ({ data }) => {
  const call = waiting.get(data);
  waiting.delete(data);
  call?.();
};
globalThis.setImmediate = (call) => {
  waiting.set(++count, call);
  port2.postMessage(count);
  return count;
};
globalThis.clearImmediate = (number) => waiting.delete(number);

async function read(name) {
  const answer = await fetch(new URL(name, import.meta.url));
  if (!answer.ok) {
    throw new Error(`${name} is missing`);
  }
  return new Uint8Array(await answer.arrayBuffer());
}

serve(globalThis, read);
