// One run of words against many filters: what binary layers spend their time on.
#include "internal.h"

// distances_armv6m.S has the same for Cortex-M0+; BR_PLAIN_C leaves it out.
#if !defined(__ARM_ARCH_6M__) || defined(BR_PLAIN_C)

static BR_INLINE void br_count_run(const br_runs_t *runs, size_t words, const uint32_t *filter, size_t count, uint32_t *out,
    int both) {
    const uint32_t *x = runs->x;
    size_t next = words + runs->filter_next;
    for (const uint32_t *end = out + count; out != end; filter += next) {
        *out++ = br_count_chunk(x, filter, words, both);
    }
}

static BR_INLINE void br_count_runs(const br_runs_t *runs, const uint32_t *filter, size_t count, uint32_t *out, int both) {
    // One run is what most windows are. Of four words, as where layers are trained, it is unrolled.
    size_t words = runs->words;
    if (runs->runs == 1 && words == 4) {
        br_count_run(runs, 4, filter, count, out, both);
        return;
    }
    if (runs->runs == 1 && words <= BR_CHUNK) {
        br_count_run(runs, words, filter, count, out, both);
        return;
    }
    for (size_t i = 0; i < count; i++, filter += runs->filter_next) {
        const uint32_t *x = runs->x;
        uint32_t sum = 0;
        for (size_t left = runs->runs; left; left--) {
            sum += words <= BR_CHUNK ? br_count_chunk(x, filter, words, both) : br_count_bits(x, filter, words, both);
            x += words + runs->x_skip;
            filter += words + (left > 1 ? runs->filter_skip : 0);
        }
        out[i] = sum;
    }
}

void BR_HOT br_distances(const br_runs_t *runs, const uint32_t *filter, size_t count, uint32_t *out) {
    br_count_runs(runs, filter, count, out, 0);
}

void BR_HOT br_overlaps(const br_runs_t *runs, const uint32_t *filter, size_t count, uint32_t *out) {
    br_count_runs(runs, filter, count, out, 1);
}
#endif
