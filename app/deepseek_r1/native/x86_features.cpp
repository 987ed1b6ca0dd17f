#include "x86_kernels.hpp"

#if HAS_X86_KERNELS
#include <cpuid.h>

#include <cstdint>
#endif

namespace streaming {

#if HAS_X86_KERNELS
namespace {

struct Registers {
    uint32_t a = 0, b = 0, c = 0, d = 0;  // 0 where the processor does not know the leaf

    explicit Registers(uint32_t leaf, uint32_t part = 0) {
        __get_cpuid_count(leaf, part, &a, &b, &c, &d);
    }
};

constexpr bool has(uint32_t bits, int number) { return bits >> number & 1; }

// Which registers the system saves: XCR0, by XGETBV, which needs OSXSAVE.
uint32_t saved_registers() {
    uint32_t low, high;
    asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}

// Bits of CPUID, of Intel's manual, volume 2A.
X86Features read_features() {
    const Registers basic(1), more(7), newer(7, 1);
    const uint32_t saved = has(basic.c, 27) ? saved_registers() : 0;
    const bool ymm = (saved & 0x06) == 0x06, zmm = (saved & 0xe6) == 0xe6;
    X86Features found;
    found.sse42 = has(basic.c, 20);
    found.avx2 = ymm && has(basic.c, 28) && has(more.b, 5) && has(basic.c, 12) && has(basic.c, 29);
    found.avx_vnni = found.avx2 && more.a >= 1 && has(newer.a, 4);
    found.avx512 = found.avx2 && zmm && has(more.b, 16) && has(more.b, 31);
    found.avx512_vnni = found.avx512 && has(more.b, 30) && has(more.c, 11);
    return found;
}

}  // namespace

const X86Features &x86_features() {
    static const X86Features found = read_features();
    return found;
}
#else
const X86Features &x86_features() {
    static const X86Features none;
    return none;
}
#endif

}  // namespace streaming
