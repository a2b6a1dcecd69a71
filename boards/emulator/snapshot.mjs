// The state of objects: their fields, elements and bytes, and those of all that they refer to. Functions and private
// fields are left alone, and no object is replaced, so that what refers to one still refers to the right one.

// Returns a function that puts everything back to how it is now, as often as it is called.
export function takeSnapshot(...roots) {
  const restorers = new Map();
  const found = [...roots];
  for (const object of found) { // it grows meanwhile
    if (typeof object === 'object' && object !== null && !restorers.has(object)) {
      restorers.set(object, restorer(object, found));
    }
  }
  return () => restorers.forEach((restore) => restore());
}

// Appends what `object` refers to to `found`; returns a function that puts `object` itself back.
function restorer(object, found) {
  if (ArrayBuffer.isView(object)) {
    found.push(object.buffer);
    return () => {};
  }
  if (object instanceof ArrayBuffer) {
    const bytes = new Uint8Array(object);
    const copy = bytes.slice();
    return () => bytes.set(copy);
  }
  if (object instanceof Map || object instanceof Set) {
    const elements = [...object];
    found.push(...(object instanceof Map ? elements.flat() : elements));
    return () => {
      object.clear();
      elements.forEach((element) => (object instanceof Map ? object.set(...element) : object.add(element)));
    };
  }
  const fields = { ...object };
  found.push(...Object.values(fields));
  return () => {
    Object.keys(object).filter((name) => !Object.hasOwn(fields, name)).forEach((name) => delete object[name]);
    if (Array.isArray(object)) {
      object.length = Object.keys(fields).length;
    }
    Object.assign(object, fields);
  };
}
