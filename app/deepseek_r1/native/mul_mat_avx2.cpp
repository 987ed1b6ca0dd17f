// Matrix multiplication with the 256-bit vectors of AVX2, FMA and F16C.
#include <cstring>
#include <type_traits>

#include "activations.hpp"

#if HAS_X86_KERNELS
#include <immintrin.h>
TARGET_BEGIN("avx2,fma,f16c")

namespace streaming::mul_mat_avx2 {

// Adds the 32-bit sums of neighbouring words x scale.
inline __m256i add_words(__m256i sums, __m256i words, __m256i scales) {
    return _mm256_add_epi32(sums, _mm256_madd_epi16(words, scales));
}

// Adds the sums of four neighbouring products of bytes.
inline __m256i add_bytes(__m256i sums, __m256i quants, __m256i activations) {
    return add_words(sums, _mm256_maddubs_epi16(quants, activations), _mm256_set1_epi16(1));
}

#include "quantize_q8_0.hpp"
#include "mul_mat_256.hpp"
#include "mul_mat_kernel.hpp"
#include "mul_mat_blocks.hpp"
#include "mul_mat_formats.hpp"

}  // namespace streaming::mul_mat_avx2

TARGET_END

streaming::WeightFormats streaming::formats_avx2() { return mul_mat_avx2::formats; }
#else
streaming::WeightFormats streaming::formats_avx2() { return {}; }
#endif
