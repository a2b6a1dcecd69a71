// The raw REPL of a board with MicroPython, over the streams of a serial port.
// What fails is an Error whose message is one sentence for the user.
const SECONDS = 10; // until a board has answered
const ANSWER = 5; // until it has taken a window of what is pasted
const TRIES = 3; // to get a prompt, of so many seconds
const TRY = 3;
const BANNER = "raw REPL; CTRL-B to exit\r\n>";
const [CTRL_A, CTRL_B, CTRL_C, CTRL_D, CTRL_E] = [1, 2, 3, 4, 5];
const [R, PROMPT] = [82, 62];
const SILENT = "The board does not answer as MicroPython does: close what else uses its port, press its reset button, " +
  "or give it firmware.";
const BROKEN = "The connection broke off: plug the board in again, and repeat this.";

const toBytes = new TextEncoder();
const toText = new TextDecoder();

// A statement that failed on the board; `reason` is the last line of its traceback.
export class BoardError extends Error {
  constructor(reason) {
    super(`The board stopped with ${reason}: press its reset button, and repeat this.`);
    this.reason = reason;
  }
}

export class Repl {
  #got = new Uint8Array(0); // that came and was not looked at
  #wake = () => {};
  #ended = false;
  #atPrompt = false; // its raw prompt; after a failure nobody knows
  busy = false; // with what board.js does, many statements

  constructor(port) {
    this.port = port;
    this.reader = port.readable.getReader();
    this.writer = port.writable.getWriter();
    this.#listen();
  }

  async #listen() {
    try {
      for (let part = await this.reader.read(); !part.done; part = await this.reader.read()) {
        if (!part.value.length) {
          continue; // a packet of USB that only ends what was before it
        }
        const all = new Uint8Array(this.#got.length + part.value.length);
        all.set(this.#got);
        all.set(part.value, this.#got.length);
        this.#got = all;
        this.#wake();
      }
    } catch {
      // It is said by whoever waits.
    }
    this.#ended = true;
    this.#wake();
  }

  async #more(deadline) {
    const before = this.#got.length;
    let timer;
    const woken = new Promise((resolve) => {
      this.#wake = resolve;
      timer = setTimeout(resolve, deadline - performance.now());
    });
    if (!this.#ended) {
      await woken;
    }
    clearTimeout(timer);
    if (this.#got.length === before || performance.now() > deadline) {
      throw new Error(this.#ended ? BROKEN : SILENT);
    }
  }

  #take(size) {
    const taken = this.#got.slice(0, size);
    this.#got = this.#got.slice(size);
    return taken;
  }

  async #read(size, seconds) {
    const deadline = performance.now() + 1000 * seconds;
    while (this.#got.length < size) {
      await this.#more(deadline);
    }
    return this.#take(size);
  }

  // What comes before an end, which is taken, too.
  async #until(end, seconds) {
    const deadline = performance.now() + 1000 * seconds; // a program may print for ever
    for (let from = 0; ; ) {
      for (; from + end.length <= this.#got.length; from++) {
        if (end.every((byte, i) => this.#got[from + i] === byte)) {
          return this.#take(from + end.length).subarray(0, from);
        }
      }
      await this.#more(deadline);
    }
  }

  async #send(bytes) {
    let timer;
    const late = new Promise((_, fail) => {
      timer = setTimeout(() => fail(new Error(SILENT)), 1000 * ANSWER); // a board that hangs takes nothing
    });
    const sent = this.writer.write(Uint8Array.from(bytes)).catch(() => {
      throw new Error(BROKEN);
    });
    try {
      await Promise.race([sent, late]);
    } finally {
      clearTimeout(timer);
    }
  }

  // Ends what runs, also half of what was pasted before; what came until then is nobody's.
  async enter() {
    for (let n = 1; ; n++) {
      await this.#send([13, CTRL_C, CTRL_C, 13, CTRL_A]);
      try {
        await this.#until(toBytes.encode(BANNER), TRY);
        this.#atPrompt = true;
        return;
      } catch (error) {
        if (n === TRIES || error.message !== SILENT) {
          throw error;
        }
      }
    }
  }

  // Starts MicroPython anew, without main.py: its memory is empty then.
  async reset() {
    if (!this.#atPrompt) {
      await this.enter();
    }
    this.#atPrompt = false;
    await this.#send([CTRL_D]);
    await this.#until(toBytes.encode(BANNER), SECONDS);
    this.#atPrompt = true;
  }

  // Runs code, and returns what it printed.
  async exec(code, seconds = SECONDS) {
    if (!this.#atPrompt) {
      await this.enter();
    }
    this.#atPrompt = false;
    await this.#paste(toBytes.encode(code));
    const [output, error] = [await this.#until([CTRL_D], seconds), await this.#until([CTRL_D], seconds)];
    await this.#until([PROMPT], seconds);
    this.#atPrompt = true;
    if (error.length) {
      throw new BoardError(toText.decode(error).trim().split("\n").pop());
    }
    return toText.decode(output).trim();
  }

  // Raw-paste mode: the board says when it takes another window of bytes, and so is never flooded.
  async #paste(source) {
    await this.#send([CTRL_E, 65, 1]);
    let answer;
    do {
      await this.#until([R], ANSWER);
      [answer] = await this.#read(1, ANSWER);
    } while (answer > 1); // that R was in something else
    if (answer === 0) {
      throw new Error("The board has no raw-paste mode: give it MicroPython 1.23 or newer.");
    }
    const [low, high] = await this.#read(2, ANSWER);
    const step = low | (high << 8);
    let window = step;
    for (let sent = 0; sent < source.length; ) {
      while (window === 0 || this.#got.length) {
        const [byte] = await this.#read(1, ANSWER);
        if (byte === CTRL_D) { // no more, as it has failed
          await this.#send([CTRL_D]);
          return;
        }
        window += byte === 1 ? step : 0;
      }
      const part = source.subarray(sent, sent + window);
      await this.#send(part);
      window -= part.length;
      sent += part.length;
    }
    await this.#send([CTRL_D]);
    await this.#until([CTRL_D], ANSWER);
  }

  // Leaves the board at its friendly prompt.
  async close() {
    const ignore = () => {};
    await this.#send([CTRL_C, CTRL_B]).catch(() => this.writer.abort().catch(ignore));
    await this.reader.cancel().catch(ignore);
    this.reader.releaseLock();
    this.writer.releaseLock();
    await Promise.resolve(this.port.close?.()).catch(ignore);
  }
}
