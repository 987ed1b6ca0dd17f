// Matrix multiplication with the 256-bit vectors of AVX2, FMA, F16C and AVX-VNNI.
#include <cstring>
#include <type_traits>

#include "activations.hpp"

#if HAS_X86_KERNELS
#include <immintrin.h>
#pragma GCC push_options
#pragma GCC target("avx2,fma,f16c,avxvnni")

namespace streaming::mul_mat_avx_vnni {

// Adds the 32-bit sums of neighbouring words x scale.
inline __m256i add_words(__m256i sums, __m256i words, __m256i scales) {
    return _mm256_dpwssd_avx_epi32(sums, words, scales);
}

// Adds the sums of four neighbouring products of bytes.
inline __m256i add_bytes(__m256i sums, __m256i quants, __m256i activations) {
    return _mm256_dpbusd_avx_epi32(sums, quants, activations);
}

#include "quantize_q8_0.hpp"
#include "mul_mat_256.hpp"
#include "mul_mat_kernel.hpp"

}  // namespace streaming::mul_mat_avx_vnni

#pragma GCC pop_options

streaming::WeightFormats streaming::formats_avx_vnni() { return mul_mat_avx_vnni::formats; }
#else
streaming::WeightFormats streaming::formats_avx_vnni() { return {}; }
#endif
