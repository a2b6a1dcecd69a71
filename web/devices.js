// The camera and the microphone, or why there is none.
const OTHERS = { camera: "draw, or choose pictures", microphone: "draw, use the camera, or choose pictures" };

export async function openDevice(device, wanted) {
    if (!navigator.mediaDevices) throw new Error(`A ${device} needs a page from https or from localhost.`);
    const why = {
        NotAllowedError: `The ${device} is not allowed: change that where your browser shows this page's address.`,
        NotFoundError: `There is no ${device} here: plug one in, or ${OTHERS[device]}.`,
        NotReadableError: `The ${device} is in use by another program: end that, and press the button again.`,
    };
    try {
        return await navigator.mediaDevices.getUserMedia(wanted);
    } catch (error) {
        throw new Error(why[error.name] ?? `The ${device} does not start: ${error.message}`);
    }
}
