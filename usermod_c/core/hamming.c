// Hamming distances of one run of words and many filters: what binary layers spend their time on.
#include "internal.h"

// hamming_armv6m.S has the same for Cortex-M0+; BR_PLAIN_C leaves it out.
#if !defined(__ARM_ARCH_6M__) || defined(BR_PLAIN_C)

// Of runs that have no more than a chunk's words in all.
static BR_INLINE void br_count_few(const br_runs_t *runs, size_t many, size_t words, const uint32_t *filter,
    size_t count, uint32_t *out, br_operation_t operation) {
    for (const uint32_t *end = out + count; out != end; filter += runs->filter_next) {
        const uint32_t *x = runs->x;
        br_count_t bits = { 0 };
        for (size_t left = many;;) {
            br_add_words(&bits, x, filter, words, operation);
            filter += words;
            if (--left == 0) {
                break;
            }
            x += words + runs->x_skip;
            filter += runs->filter_skip;
        }
        *out++ = br_count_total(&bits);
    }
}

static BR_INLINE void br_count_many(const br_runs_t *runs, const uint32_t *filter, size_t count, uint32_t *out,
    br_operation_t operation) {
    size_t words = runs->words;
    for (size_t i = 0; i < count; i++, filter += runs->filter_next) {
        const uint32_t *x = runs->x;
        uint32_t sum = 0;
        for (size_t left = runs->runs; left; left--) {
            sum += br_count_bits(x, filter, words, operation);
            x += words + runs->x_skip;
            filter += words + (left > 1 ? runs->filter_skip : 0);
        }
        out[i] = sum;
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
    size_t words = runs->words, many = runs->runs;
    if (words * many > BR_CHUNK) {
        br_count_many(runs, filter, count, out, operation);
    } else if (many > 1) {
        br_count_few(runs, many, words, filter, count, out, operation);
    } else if (words == 4) {
        br_count_few(runs, 1, 4, filter, count, out, operation);
    } else {
        br_count_few(runs, 1, words, filter, count, out, operation);
    }
}

void BR_HOT br_hamming_distances(const br_runs_t *runs, const uint32_t *filter, size_t count, uint32_t *out) {
    br_count_runs(runs, filter, count, out, BR_XOR);
}

void br_overlaps(const br_runs_t *runs, const uint32_t *filter, size_t count, uint32_t *out) {
    br_count_runs(runs, filter, count, out, BR_AND);
}
#endif
