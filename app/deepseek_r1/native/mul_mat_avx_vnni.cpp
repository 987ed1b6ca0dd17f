// Matrix multiplication with the 256-bit vectors of AVX2, FMA, F16C and AVX-VNNI.
#include <cstring>
#include <type_traits>

#include "activations.hpp"

#if HAS_X86_KERNELS
#include <immintrin.h>
TARGET_BEGIN("avx2,fma,f16c,avxvnni")

namespace streaming::mul_mat_avx_vnni {

// Adds the 32-bit sums of neighbouring words x scale. Clang would make two instructions of the intrinsic.
inline __m256i add_words(__m256i sums, __m256i words, __m256i scales) {
    asm("%{vex%} vpdpwssd %2, %1, %0" : "+x"(sums) : "x"(words), "x"(scales));
    return sums;
}

// Adds the sums of four neighbouring products of bytes.
inline __m256i add_bytes(__m256i sums, __m256i quants, __m256i activations) {
    return _mm256_dpbusd_avx_epi32(sums, quants, activations);
}

#include "quantize_q8_0.hpp"
#include "mul_mat_256.hpp"
#include "mul_mat_kernel.hpp"
#include "mul_mat_blocks.hpp"
#include "mul_mat_formats.hpp"

}  // namespace streaming::mul_mat_avx_vnni

TARGET_END

streaming::WeightFormats streaming::formats_avx_vnni() { return mul_mat_avx_vnni::formats; }
#else
streaming::WeightFormats streaming::formats_avx_vnni() { return {}; }
#endif
