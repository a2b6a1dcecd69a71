// Hamming distances of one run of words and many filters: what binary layers spend their time on.
#include "internal.h"

// hamming_armv6m.S has the same for Cortex-M0+; BR_PLAIN_C leaves it out.
#if !defined(__ARM_ARCH_6M__) || defined(BR_PLAIN_C)

static BR_INLINE void br_count_run(const br_runs_t *runs, size_t words, const uint32_t *filter, size_t count,
    uint32_t *out, br_operation_t operation) {
    const uint32_t *x = runs->x;
    size_t next = words + runs->filter_next;
    for (const uint32_t *end = out + count; out != end; filter += next) {
        *out++ = br_count_chunk(x, filter, words, operation);
    }
}

static BR_INLINE void br_count_runs(const br_runs_t *runs, const uint32_t *filter, size_t count, uint32_t *out,
    br_operation_t operation) {
    #if BR_ASK_PROCESSOR
    if (br_count_by_processor(runs, filter, count, out, operation)) {
        return;
    }
    #endif
    // One run is what most windows are. Of four words, as where layers are trained, it is unrolled.
    size_t words = runs->words;
    if (runs->runs == 1 && words == 4) {
        br_count_run(runs, 4, filter, count, out, operation);
        return;
    }
    if (runs->runs == 1 && words <= BR_CHUNK) {
        br_count_run(runs, words, filter, count, out, operation);
        return;
    }
    for (size_t i = 0; i < count; i++, filter += runs->filter_next) {
        const uint32_t *x = runs->x;
        uint32_t sum = 0;
        for (size_t left = runs->runs; left; left--) {
            sum += words <= BR_CHUNK ? br_count_chunk(x, filter, words, operation)
                                     : br_count_bits(x, filter, words, operation);
            x += words + runs->x_skip;
            filter += words + (left > 1 ? runs->filter_skip : 0);
        }
        out[i] = sum;
    }
}

void BR_HOT br_hamming_distances(const br_runs_t *runs, const uint32_t *filter, size_t count, uint32_t *out) {
    br_count_runs(runs, filter, count, out, BR_XOR);
}

void BR_HOT br_overlaps(const br_runs_t *runs, const uint32_t *filter, size_t count, uint32_t *out) {
    br_count_runs(runs, filter, count, out, BR_AND);
}
#endif
