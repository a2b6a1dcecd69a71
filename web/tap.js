// In the audio's own thread: what the microphone hears, as samples of 16 bits, a column of the picture at a time.
//
// From the rate of the device to that of the pictures by straight lines: sound.js has filtered what that would fold.
class Tap extends AudioWorkletProcessor {
    constructor({ processorOptions: { rate, hop } }) {
        super();
        this.step = sampleRate / rate;
        this.next = this.last = this.n = 0;
        this.samples = new Int16Array(hop);
    }

    process([[input]]) {
        for (const value of input ?? []) {
            for (; this.next < 1; this.next += this.step) this.take(this.last + (value - this.last) * this.next);
            this.next -= 1;
            this.last = value;
        }
        return true;
    }

    take(value) {
        this.samples[this.n++] = Math.max(-32768, Math.min(32767, Math.round(32768 * value)));
        if (this.n < this.samples.length) return;
        this.port.postMessage(this.samples.slice());
        this.n = 0;
    }
}

registerProcessor("tap", Tap);
