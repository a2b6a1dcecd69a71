// The host at the other end of the USB cable, which knows one thing: a serial port (CDC).
//
// rp2040js has such a host, but that one completes each transfer to the device at once, with nothing in it if there is
// nothing to send. The interrupts of that take most of the core's time. Here a transfer is held until there are bytes.
import { DescriptorType, createSetupPacket, getDescriptorPacket, setDeviceAddressPacket, setDeviceConfigurationPacket }
  from 'rp2040js';

const HEADER_SIZE = 9; // of a configuration descriptor
const CDC_DATA = 10;
const BULK = 2;
const SET_CONTROL_LINE_STATE = createSetupPacket({
  dataDirection: 0, type: 1, recipient: 1, bRequest: 0x22, wValue: 3, wIndex: 0, wLength: 0, // DTR and RTS
});

// The numbers of the two endpoints of the first interface for serial data.
function serialEndpoints(descriptors) {
  const endpoints = {};
  let data = false;
  for (let i = 0; i < descriptors.length && descriptors[i] > 1; i += descriptors[i]) {
    const type = descriptors[i + 1];
    if (type === DescriptorType.Interface) {
      data = descriptors[i + 5] === CDC_DATA;
    } else if (type === DescriptorType.Endpoint && data && (descriptors[i + 3] & 3) === BULK) {
      endpoints[descriptors[i + 2] & 0x80 ? 'in' : 'out'] ??= descriptors[i + 2] & 0xf;
    }
  }
  return endpoints;
}

export class UsbHost {
  // onConfigured(): the port is there. onData(bytes): from the device. onDrained(): all bytes for it are on their way.
  constructor(usb, { onConfigured, onData, onDrained }) {
    this.usb = usb;
    this.onConfigured = onConfigured;
    this.onDrained = onDrained;
    this.configured = false;
    this.queue = [];
    this.armed = 0; // bytes that the device is ready to take
    this.endpoints = {};
    usb.onUSBEnabled = () => usb.resetDevice();
    usb.onResetReceived = () => this.#enumerate();
    usb.onEndpointRead = (endpoint, size) => {
      if (endpoint === this.endpoints.out) {
        this.armed = size;
        this.#pump();
      }
    };
    usb.onEndpointWrite = (endpoint, bytes) => {
      if (endpoint === 0) {
        this.#control.next(bytes);
      } else if (endpoint === this.endpoints.in) {
        onData(bytes);
      }
    };
  }

  #control = null;

  #enumerate() {
    this.armed = 0;
    this.endpoints = {};
    this.#control = this.#requests();
    this.#control.next();
  }

  // Each yield waits for what the device answers on endpoint 0.
  *#requests() {
    this.usb.sendSetupPacket(setDeviceAddressPacket(1));
    yield;
    this.usb.sendSetupPacket(getDescriptorPacket(DescriptorType.Configration, HEADER_SIZE));
    const header = yield;
    const size = header[2] | (header[3] << 8);
    this.usb.sendSetupPacket(getDescriptorPacket(DescriptorType.Configration, size));
    const descriptors = [];
    while (descriptors.length < size) {
      descriptors.push(...(yield));
    }
    this.endpoints = serialEndpoints(descriptors);
    this.usb.sendSetupPacket(setDeviceConfigurationPacket(1));
    yield;
    this.usb.sendSetupPacket(SET_CONTROL_LINE_STATE);
    yield;
    this.configured = true;
    this.onConfigured();
  }

  get waiting() {
    return this.queue.reduce((sum, bytes) => sum + bytes.length, 0);
  }

  send(bytes) {
    this.queue.push(new Uint8Array(bytes)); // a copy: a snapshot puts back all of what is behind it
    this.#pump();
  }

  #pump() {
    if (!this.armed || !this.queue.length) {
      return;
    }
    const size = Math.min(this.armed, this.queue[0].length);
    this.usb.endpointReadDone(this.endpoints.out, this.queue[0].subarray(0, size));
    this.armed = 0;
    this.queue[0] = this.queue[0].subarray(size);
    if (!this.queue[0].length) {
      this.queue.shift();
      if (!this.queue.length) {
        this.onDrained();
      }
    }
  }
}
