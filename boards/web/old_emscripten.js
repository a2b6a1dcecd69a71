// Emscripten 3.1.6 takes no arrow functions in a library, which the port's library.js has.
mergeInto(LibraryManager.library, {
    mp_js_ticks_ms: function () {
        return Date.now() - MP_JS_EPOCH;
    },
    mp_js_time_ms: function () {
        return Date.now();
    },
    mp_js_random_u32: function () {
        return globalThis.crypto.getRandomValues(new Uint32Array(1))[0];
    },
});
