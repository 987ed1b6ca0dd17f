#pragma once  // `installer/release.py` starts a build that asks for it as well
// Included before all of llama.cpp where GCC compiles it: its _tile_loadconfig tells the compiler of
// 8 of the 64 bytes that the instruction reads, so the others may never be written, and the engine
// ends at its first product (https://gcc.gnu.org/bugzilla/show_bug.cgi?id=114098, mended in GCC 11.5,
// 12.4 and 13.3; Debian 12 has 12.2, Ubuntu 22.04 has 11.4).
#if defined(__AMX_TILE__) && defined(__GNUC__) && !defined(__clang__)
#include <immintrin.h>
static inline void load_tile_config(const void *config) {
    __asm__ volatile("ldtilecfg %0" : : "m"(*(const char(*)[64])config));
}
#define _tile_loadconfig load_tile_config
#endif
