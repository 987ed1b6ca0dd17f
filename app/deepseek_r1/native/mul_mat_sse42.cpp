// Matrix multiplication with the 128-bit vectors of SSE4.2, where ggml has none: it computes these
// types one number at a time without AVX (`ggml_vec_dot_q4_1_q8_1_generic` and the others). Sums
// within a block are integers, hence exact; floats are added up in the order of those functions,
// so that no bit of the results differs from theirs.
#include <algorithm>
#include <cstring>

#include "activations.hpp"

#if HAS_X86_KERNELS
#include <immintrin.h>
TARGET_BEGIN("sse4.2,no-avx")  // without FMA, whatever the compiler's options are

namespace streaming::mul_mat_sse42 {

inline __m128i load(const void *from) {
    return _mm_loadu_si128(static_cast<const __m128i *>(from));
}
inline __m128i low_nibbles(__m128i x) { return _mm_and_si128(x, _mm_set1_epi8(15)); }
inline __m128i high_nibbles(__m128i x) { return low_nibbles(_mm_srli_epi16(x, 4)); }

// Converts four numbers in f16, each in the lower half of a 32-bit lane.
inline __m128 from_f16(__m128i bits) {
    const __m128i exponent = _mm_set1_epi32(0x7c00);
    const __m128i shifted = _mm_slli_epi32(_mm_and_si128(bits, _mm_set1_epi32(0x7fff)), 13);
    const __m128 magnitude = _mm_mul_ps(_mm_castsi128_ps(shifted),
                                        _mm_castsi128_ps(_mm_set1_epi32(0x77800000)));  // 2^112
    const __m128i is_infinite = _mm_cmpeq_epi32(_mm_and_si128(bits, exponent), exponent);
    const __m128i infinite = _mm_and_si128(is_infinite, _mm_set1_epi32(0x7f800000));
    const __m128i sign = _mm_slli_epi32(_mm_and_si128(bits, _mm_set1_epi32(0x8000)), 16);
    return _mm_or_ps(magnitude, _mm_castsi128_ps(_mm_or_si128(infinite, sign)));
}
inline float from_f16(uint16_t bits) { return _mm_cvtss_f32(from_f16(_mm_cvtsi32_si128(bits))); }

// Lane i of the result is the sum of the lanes of vector number i.
inline __m128i lane_sums(const __m128i (&vectors)[4]) {
    return _mm_hadd_epi32(_mm_hadd_epi32(vectors[0], vectors[1]),
                          _mm_hadd_epi32(vectors[2], vectors[3]));
}

// For four rows of weights in Q2_0.
using Lanes = __m128i;
using LaneFloats = __m128;

inline Lanes every_fourth(const char *const (&rows)[4], int64_t offset, int number) {
    return load(rows[number] + offset);
}
inline Lanes low_words(Lanes a, Lanes b) { return _mm_unpacklo_epi32(a, b); }
inline Lanes high_words(Lanes a, Lanes b) { return _mm_unpackhi_epi32(a, b); }
inline Lanes low_pairs(Lanes a, Lanes b) { return _mm_unpacklo_epi64(a, b); }
inline Lanes high_pairs(Lanes a, Lanes b) { return _mm_unpackhi_epi64(a, b); }
inline LaneFloats f16_lanes(const char *const (&rows)[4], int64_t offset) {
    uint16_t words[4];
    for (int i = 0; i < 4; i++) std::memcpy(words + i, rows[i] + offset, 2);
    return from_f16(_mm_setr_epi32(words[0], words[1], words[2], words[3]));
}
inline Lanes two_bits(Lanes word, int place) {
    return _mm_and_si128(_mm_srli_epi32(word, 2 * place), _mm_set1_epi8(3));
}
// Words: the sums of eight pairs of products fit into them.
inline Lanes add_quad(Lanes products, Lanes quants, int32_t quad) {
    return _mm_add_epi16(products, _mm_maddubs_epi16(quants, _mm_set1_epi32(quad)));
}
inline LaneFloats floats(Lanes products, int32_t sum) {
    const __m128i totals = _mm_madd_epi16(products, _mm_set1_epi16(1));
    return _mm_cvtepi32_ps(_mm_sub_epi32(totals, _mm_set1_epi32(sum)));
}
inline LaneFloats repeated(float x) { return _mm_set1_ps(x); }
inline auto q8_0_of(const Quantizers &quantizers) {
    return [&](const float *from, BlockQ80 &block) { quantizers.q8_0(from, &block, block_values); };
}

#include "mul_mat_q2_0.hpp"
#include "mul_mat_sse42_blocks.hpp"
#include "mul_mat_sse42_k.hpp"

constexpr WeightFormat formats[] = {block_types::format_of<block_types::UnpackedQ41>(type_q4_1),
                                    block_types::format_of<block_types::UnpackedQ50>(type_q5_0),
                                    block_types::format_of<block_types::UnpackedQ51>(type_q5_1),
                                    block_types::format_of<block_types::UnpackedQ80>(type_q8_0),
                                    k_types::format_of<k_types::UnpackedQ3K>(type_q3_k),
                                    k_types::format_of<k_types::UnpackedQ4K>(type_q4_k),
                                    k_types::format_of<k_types::UnpackedQ5K>(type_q5_k),
                                    k_types::format_of<k_types::UnpackedQ6K>(type_q6_k),
                                    q2_0::format};

}  // namespace streaming::mul_mat_sse42

TARGET_END

streaming::WeightFormats streaming::formats_sse42() { return mul_mat_sse42::formats; }
#else
streaming::WeightFormats streaming::formats_sse42() { return {}; }
#endif
