// The camera and the microphone, or why there is none. They are on until the signal is aborted.
const OTHERS = { camera: "draw, or choose pictures", microphone: "draw, use the camera, or choose pictures" };

export async function openDevice(device, wanted, signal) {
    if (!navigator.mediaDevices) throw new Error(`A ${device} needs a page from https or from localhost.`);
    const why = {
        NotAllowedError: `The ${device} is not allowed: change that where your browser shows this page's address.`,
        NotFoundError: `There is no ${device} here: plug one in, or ${OTHERS[device]}.`,
        NotReadableError: `The ${device} is in use by another program: end that, and press the button again.`,
    };
    let stream;
    try {
        stream = await navigator.mediaDevices.getUserMedia(wanted);
    } catch (error) {
        throw new Error(why[error.name] ?? `The ${device} does not start: ${error.message}`);
    }
    const stop = () => stream.getTracks().forEach((track) => track.stop());
    signal.addEventListener("abort", stop);
    if (signal.aborted) stop(); // while permission was asked for
    signal.throwIfAborted();
    return stream;
}
