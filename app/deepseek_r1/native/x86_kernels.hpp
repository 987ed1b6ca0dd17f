// Whether the kernels for x86 processors are compiled, and a helper for their vectors.
#pragma once

// GCC compiles parts of a program for newer instructions (`#pragma GCC target`). On Windows it does not
// align the stack for their vectors (its bug 54412).
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && __GNUC__ >= 11 && \
    !defined(_WIN32)
#define HAS_X86_KERNELS 1
#else
#define HAS_X86_KERNELS 0
#endif

namespace streaming {

// The two bytes of word `number` of a vector, as a shuffle of bytes takes them.
constexpr short word_bytes(int number) { return static_cast<short>(0x0100 + 0x0202 * number); }

}  // namespace streaming
