// The binding of spectrograms.
#include "modbitreplay.h"

// The weights of all bands, which must lie in bins 0..last.
static size_t check_spans(const br_bands_t *bands, size_t last) {
    size_t weights = 0;
    for (size_t i = 0; i < 2 * bands->count; i += 2) {
        mp_int_t first = br_check(bands->spans[i], "spans: first bin", 0, (mp_int_t)last);
        weights += (size_t)br_check(bands->spans[i + 1], "spans: bins", 1, (mp_int_t)last + 1 - first);
    }
    return weights;
}

// logmel(samples, window, cosine, spans, weights, logarithm, scratch, out)
mp_obj_t mod_logmel(size_t n_args, const mp_obj_t *a) {
    br_args_t args;
    args.n = 0;
    br_bands_t bands;
    size_t n = 4 * br_count(a[0], "samples", 8, BR_MAX_FRAME / 4);
    bands.count = br_count(a[7], "out", 2, BR_MAX_SIDE);
    const int16_t *samples = br_input(&args, a[0], "samples", n * 2, 2);
    const int16_t *window = br_input(&args, a[1], "window", n * 2, 2);
    const int16_t *cosine = br_input(&args, a[2], "cosine", (n + n / 4) * 2, 2);
    bands.spans = br_input(&args, a[3], "spans", bands.count * 4, 2);
    size_t weights = check_spans(&bands, n / 2);
    bands.weights = br_input(&args, a[4], "weights", weights * 2, 2);
    for (size_t i = 0; i < weights; i++) {
        br_check(bands.weights[i], "weights", 0, 1024);
    }
    const uint8_t *logarithm = br_input(&args, a[5], "logarithm", 256, 1);
    uint32_t *scratch = br_output(&args, a[6], "scratch", br_logmel_scratch(n) * 4, 4);
    uint16_t *out = br_output(&args, a[7], "out", bands.count * 2, 2);
    br_logmel(samples, window, cosine, n, &bands, logarithm, scratch, out);
    return mp_const_none;
}

// logmel_image(x, bands, first, channels, y)
mp_obj_t mod_logmel_image(size_t n_args, const mp_obj_t *a) {
    br_args_t args;
    args.n = 0;
    size_t bands = (size_t)br_int(a[1], "bands", 1, BR_MAX_SIDE);
    size_t columns = br_count(a[0], "x", 2 * bands, BR_MAX_SIDE);
    size_t first = (size_t)br_int(a[2], "first", 0, (mp_int_t)columns - 1);
    size_t channels = (size_t)br_int(a[3], "channels", 1, BR_MAX_FIRST_CIN);
    const uint16_t *x = br_input(&args, a[0], "x", columns * bands * 2, 2);
    br_logmel_image(x, columns, bands, first, channels, br_output(&args, a[4], "y", columns * bands * channels, 1));
    return mp_const_none;
}
