// A Pico without a Pico, in a Worker: the port of a board for connect() of board.js, as Web Serial's ports are.
// It runs the firmware that a Pico gets; what is not emulated says boards/emulator/README.md.
import { image } from "./romfs.js";

const START = () => new Worker(new URL("pico/worker.js", import.meta.url), { type: "module" });

export class EmulatedPico {
  #controller = null; // of the stream that somebody reads; what is said while nobody does is lost
  #told; // {ready, fail} of the promise that its serial port is there

  // model: {name, bytes} of a model that is in its ROMFS, or null. worker: what has the messages of one.
  constructor(model = null, worker = START()) {
    this.worker = worker;
    worker.onmessage = ({ data }) => this.#take(data);
    worker.onerror = (event) => this.#fail(event.message);
    this.#boot({ start: model && image(model.name, model.bytes) });
  }

  #boot(message) {
    this.there = new Promise((ready, fail) => {
      this.#told = { ready, fail };
    });
    this.there.catch(() => {}); // open() tells
    this.worker.postMessage(message);
  }

  #take({ bytes, event, reason }) {
    if (bytes) {
      this.#controller?.enqueue(bytes);
    } else if (event === "usb") {
      this.#told.ready();
    } else if (event === "stopped") {
      this.#fail(reason);
    }
  }

  #fail(reason) {
    const failed = new Error(`The emulated Pico stopped (${reason ?? "its files are missing"}): reload the page.`);
    this.#told.fail(failed);
    this.#controller?.error(failed);
    this.#controller = null;
  }

  async open() {
    await this.there;
    this.readable = new ReadableStream({
      start: (controller) => {
        this.#controller = controller;
      },
      cancel: () => {
        this.#controller = null;
      },
    });
    this.writable = new WritableStream({ write: (bytes) => this.worker.postMessage({ bytes }) });
  }

  async close() {
    this.#controller = null;
  }

  // It runs no more.
  end() {
    this.worker.terminate();
  }

  // As the pin RUN does; its files stay. open() waits until its port is there again.
  reset() {
    this.#boot({ reset: true });
  }
}
