// Whether the kernels for x86 processors are compiled, how parts of a file are compiled for newer
// instructions, and a helper for their vectors.
#pragma once

// On Windows GCC does not align the stack for newer instructions' vectors (its bug 54412).
#if defined(__x86_64__) && \
    (defined(__clang__) || (defined(__GNUC__) && __GNUC__ >= 11 && !defined(_WIN32)))
#define HAS_X86_KERNELS 1
#else
#define HAS_X86_KERNELS 0
#endif

// Functions between the two are compiled for the instructions that are named, after the headers of
// the system and the compiler.
#define AS_PRAGMA(text) _Pragma(#text)
#ifdef __clang__
#define TARGET_BEGIN(names) \
    AS_PRAGMA(clang attribute push(__attribute__((target(names))), apply_to = function))
#define TARGET_END _Pragma("clang attribute pop")
#else
#define TARGET_BEGIN(names) _Pragma("GCC push_options") AS_PRAGMA(GCC target(names))
#define TARGET_END _Pragma("GCC pop_options")
#endif

namespace streaming {

// The two bytes of word `number` of a vector, as a shuffle of bytes takes them.
constexpr short word_bytes(int number) { return static_cast<short>(0x0100 + 0x0202 * number); }

// Instructions that the processor has and the system has turned on; none on other processors.
struct X86Features {
    bool sse42 = false;
    bool avx2 = false;  // with FMA and F16C
    bool avx_vnni = false;
    bool avx512 = false;  // its F and VL
    bool avx512_vnni = false;  // with BW as well
};
const X86Features &x86_features();

}  // namespace streaming
