// The Xtensa cores of the ESP32, ESP32-S2 and ESP32-S3, for GCC 13 and binutils 2.40 or newer (XTENSA_GNU_CONFIG).
//
// Code must run on all three, so this is what they share: no zero-overhead loops (S2), MAC16, 32-bit high products and
// floating point. QEMU's dc233c and de233_fpu, which have no high products, run such code too. The order of the
// numbers, and the names, are those of include/xtensa-dynconfig.h of binutils.

int plugin_is_GPL_compatible;

#define V1(X) \
    X(XCHAL_HAVE_BE, 0) \
    X(XCHAL_HAVE_DENSITY, 1) \
    X(XCHAL_HAVE_CONST16, 0) \
    X(XCHAL_HAVE_ABS, 1) \
    X(XCHAL_HAVE_ADDX, 1) \
    X(XCHAL_HAVE_L32R, 1) \
    X(XSHAL_USE_ABSOLUTE_LITERALS, 0) \
    X(XSHAL_HAVE_TEXT_SECTION_LITERALS, 1) \
    X(XCHAL_HAVE_MAC16, 0) \
    X(XCHAL_HAVE_MUL16, 1) \
    X(XCHAL_HAVE_MUL32, 1) \
    X(XCHAL_HAVE_MUL32_HIGH, 0) \
    X(XCHAL_HAVE_DIV32, 1) \
    X(XCHAL_HAVE_NSA, 1) \
    X(XCHAL_HAVE_MINMAX, 1) \
    X(XCHAL_HAVE_SEXT, 1) \
    X(XCHAL_HAVE_LOOPS, 0) \
    X(XCHAL_HAVE_THREADPTR, 1) \
    X(XCHAL_HAVE_RELEASE_SYNC, 1) \
    X(XCHAL_HAVE_S32C1I, 0) \
    X(XCHAL_HAVE_BOOLEANS, 0) \
    X(XCHAL_HAVE_FP, 0) \
    X(XCHAL_HAVE_FP_DIV, 0) \
    X(XCHAL_HAVE_FP_RECIP, 0) \
    X(XCHAL_HAVE_FP_SQRT, 0) \
    X(XCHAL_HAVE_FP_RSQRT, 0) \
    X(XCHAL_HAVE_FP_POSTINC, 0) \
    X(XCHAL_HAVE_DFP, 0) \
    X(XCHAL_HAVE_DFP_DIV, 0) \
    X(XCHAL_HAVE_DFP_RECIP, 0) \
    X(XCHAL_HAVE_DFP_SQRT, 0) \
    X(XCHAL_HAVE_DFP_RSQRT, 0) \
    X(XCHAL_HAVE_WINDOWED, 1) \
    X(XCHAL_NUM_AREGS, 64) \
    X(XCHAL_HAVE_WIDE_BRANCHES, 0) \
    X(XCHAL_HAVE_PREDICTED_BRANCHES, 0) \
    X(XCHAL_ICACHE_SIZE, 0) \
    X(XCHAL_DCACHE_SIZE, 0) \
    X(XCHAL_ICACHE_LINESIZE, 16) \
    X(XCHAL_DCACHE_LINESIZE, 16) \
    X(XCHAL_ICACHE_LINEWIDTH, 4) \
    X(XCHAL_DCACHE_LINEWIDTH, 4) \
    X(XCHAL_DCACHE_IS_WRITEBACK, 0) \
    X(XCHAL_HAVE_MMU, 0) \
    X(XCHAL_MMU_MIN_PTE_PAGE_SIZE, 1) \
    X(XCHAL_HAVE_DEBUG, 1) \
    X(XCHAL_NUM_IBREAK, 2) \
    X(XCHAL_NUM_DBREAK, 2) \
    X(XCHAL_DEBUGLEVEL, 6) \
    X(XCHAL_MAX_INSTRUCTION_SIZE, 3) \
    X(XCHAL_INST_FETCH_WIDTH, 4) \
    X(XSHAL_ABI, 0) \
    X(XTHAL_ABI_WINDOWED, 0) \
    X(XTHAL_ABI_CALL0, 1)
#define V2(X) \
    X(XCHAL_M_STAGE, 3) \
    X(XTENSA_MARCH_LATEST, 260003) \
    X(XTENSA_MARCH_EARLIEST, 260003)
#define V3(X) \
    X(XCHAL_HAVE_CLAMPS, 1) \
    X(XCHAL_HAVE_DEPBITS, 0) \
    X(XCHAL_HAVE_EXCLUSIVE, 0) \
    X(XCHAL_HAVE_XEA3, 0)
#define V4(X) \
    X(XCHAL_DATA_WIDTH, 4) \
    X(XCHAL_UNALIGNED_LOAD_EXCEPTION, 1) \
    X(XCHAL_UNALIGNED_STORE_EXCEPTION, 1) \
    X(XCHAL_UNALIGNED_LOAD_HW, 0) \
    X(XCHAL_UNALIGNED_STORE_HW, 0)

#define VALUE(name, value) value,
const int xtensa_config_v1[] = { V1(VALUE) };
const int xtensa_config_v2[] = { V2(VALUE) };
const int xtensa_config_v3[] = { V3(VALUE) };
const int xtensa_config_v4[] = { V4(VALUE) };

// Macros that the compiler predefines.
#define MACRO(name, value) "__" #name "=" #value,
const char *const xtensa_config_strings[] = { V1(MACRO) V2(MACRO) V3(MACRO) V4(MACRO) 0 };
