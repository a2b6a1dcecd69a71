// The emulated Pico: power, resets, and the loop that runs the core.
import { takeSnapshot } from './snapshot.mjs';
import { UsbHost } from './usb.mjs';

const SLICE = 200_000; // instructions between two looks at sockets and commands: some milliseconds
const TOLERANCE_NS = 2e6; // that the chip's clock may be ahead of ours: timers are no finer
const FOREVER_NS = 50e6; // to sleep when the chip has set no alarm

const now = () => performance.now() * 1e6;

export class Machine {
  // Chip: its class. tell(event, details): what happened. output(bytes): from the serial port. onDrained: see UsbHost.
  constructor(Chip, flash, bootrom, { tell, output, onDrained }) {
    Object.assign(this, { Chip, flash, bootrom, tell, output, onDrained });
    this.state = 'off'; // or running, bootsel, stopped
    this.paused = false; // the host does not keep up with the serial port
    this.stopped = null; // why the core must not execute the next instruction
    this.boots = 0;
    this.cycles = 0; // these three are of the chips before this one
    this.nanos = 0;
    this.busyNs = 0;
    this.cutAt = null;
    this.snapshot = null; // a function that puts everything back
    flash.onPowerCut = (details) => this.#stop('cut', details);
  }

  // Boots from flash. A chip that a watchdog reset hands over some of its state.
  boot(old = null) {
    this.#retire();
    this.boots++;
    this.chip = new this.Chip(this.flash, this.bootrom, (reason) => this.#stop(reason));
    if (old) {
      this.chip.inherit(old);
    }
    this.cycleNs = 1e9 / this.chip.clkSys;
    this.chip.addClockListener((hertz) => {
      this.cycleNs = 1e9 / hertz;
    });
    this.usb = new UsbHost(this.chip.usbCtrl, {
      onConfigured: () => this.tell('usb'),
      onData: this.output,
      onDrained: this.onDrained,
    });
    this.stopped = null;
    this.state = 'running';
    this.#schedulePowerCut();
    this.onDrained(); // what was on its way to the chip before is gone
    this.#soon();
  }

  #retire() {
    this.#unschedule();
    if (this.chip) {
      this.cycles += this.chip.core.cycles;
      this.nanos += this.chip.clock.nanos;
      this.chip = null;
      this.usb = null;
    }
    this.ahead = 0; // of our clock, in ns
    this.lead = null; // the difference of the two clocks when that was last computed
  }

  powerOff(details = {}) {
    this.#retire();
    this.state = 'off';
    this.cutAt = null;
    this.flash.cut = null;
    this.tell('cut', details);
  }

  // Cuts power after so many cycles of 125 MHz, which pass during sleep too.
  cutAfterCycles(cycles) {
    this.cutAt = this.nanos + this.chip.clock.nanos + cycles * 8;
    this.#schedulePowerCut();
  }

  #schedulePowerCut() {
    if (this.cutAt !== null) {
      const alarm = this.chip.clock.createAlarm(() => this.#stop('cut', { during: null }));
      alarm.schedule(this.cutAt - this.nanos - this.chip.clock.nanos);
    }
  }

  // Keeps the state of everything for restore(): the chip and the alarms it waits for, its flash and its USB host.
  takeSnapshot() {
    this.#wake();
    const { chip, usb, boots, cycles, nanos, cutAt } = this;
    const putBack = takeSnapshot(chip, usb, this.flash);
    this.snapshot = () => {
      putBack();
      Object.assign(this, { chip, usb, boots, cycles, nanos, cutAt, cycleNs: 1e9 / chip.clkSys });
    };
  }

  // Goes on from where the snapshot was taken, whatever happened since, as if it had not.
  restore() {
    this.#retire();
    this.snapshot();
    this.flash.rewrite();
    this.stopped = null;
    this.state = 'running';
    this.onDrained();
    this.#soon();
  }

  // Bytes for the serial port; without power there is none. Returns how many bytes wait.
  receive(bytes) {
    this.#wake();
    this.usb?.send(bytes);
    return this.usb?.waiting ?? 0;
  }

  stats() {
    const { core, clock } = this.chip ?? { core: { cycles: 0 }, clock: { nanos: 0 } };
    const cycles = this.cycles + core.cycles;
    return {
      state: this.state,
      cycles, // that the core executed: sleep is not counted
      seconds: (this.nanos + clock.nanos) / 1e9,
      boots: this.boots,
      erases: this.flash.erases,
      programs: this.flash.programs,
      wall_seconds: performance.now() / 1e3,
      busy_seconds: this.busyNs / 1e9,
    };
  }

  #stop(reason, details) {
    this.stopped ??= { reason, details };
  }

  #afterStop() {
    const { reason, details } = this.stopped;
    this.stopped = null;
    if (reason === 'watchdog') {
      this.tell('reset');
      this.boot(this.chip);
    } else if (reason === 'cut') {
      this.powerOff(details);
    } else {
      this.state = reason === 'bootsel' ? 'bootsel' : 'stopped';
      this.tell(this.state, reason === 'bootsel' ? {} : { reason });
    }
  }

  // -- time ----------------------------------------------------------------------------------------------------------

  #soon() {
    this.#unschedule();
    this.immediate = setImmediate(() => this.#run());
  }

  #unschedule() {
    clearImmediate(this.immediate);
    clearTimeout(this.timer);
    this.timer = null;
  }

  resume() {
    if (this.paused) {
      this.paused = false;
      if (!this.timer) {
        this.#soon();
      }
    }
  }

  // Ends a sleep early: the chip's clock is put to where ours is.
  #wake() {
    if (this.timer) {
      this.chip.clock.tick(Math.min(now() - this.sleepStart, this.sleepNs));
      this.#soon();
    }
  }

  #run() {
    if (this.paused || this.state !== 'running') {
      return;
    }
    const start = now();
    const awake = this.#slice();
    this.busyNs += now() - start;
    if (this.stopped) {
      this.#afterStop();
    } else if (awake) {
      this.#soon();
    }
  }

  // Runs the core for a while; false if it sleeps now.
  #slice() {
    const { core, clock } = this.chip;
    for (let n = SLICE; n > 0 && this.stopped === null; n--) {
      if (!core.waiting) {
        const ns = core.executeInstruction() * this.cycleNs;
        if (clock.nextAlarm !== null && clock.nextAlarm.nanos <= clock.nanosCounter + ns) {
          clock.tick(ns);
        } else {
          clock.nanosCounter += ns; // what tick() does when no alarm is due
        }
      } else if (!this.#skipSleep(clock)) {
        return false;
      }
    }
    return true;
  }

  // The core waits for an interrupt. What is left until the next alarm passes at once if it is short; else a timer is
  // set, so that the chip's clock is never ahead of ours. When it is behind, after work, that is forgiven.
  #skipSleep(clock) {
    const next = clock.nextAlarm ? clock.nanosToNextAlarm : FOREVER_NS;
    const wall = now();
    const lead = clock.nanos - wall;
    this.ahead = this.lead === null ? 0 : Math.max(0, this.ahead + lead - this.lead);
    this.lead = lead;
    if (this.ahead + next < TOLERANCE_NS) {
      clock.tick(next);
      return true;
    }
    this.sleepStart = wall;
    this.sleepNs = next;
    this.timer = setTimeout(() => {
      this.timer = null;
      clock.tick(next);
      this.#run();
    }, (this.ahead + next) / 1e6);
    return false;
  }
}
