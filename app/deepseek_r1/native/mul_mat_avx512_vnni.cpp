// Matrix multiplication with the 512-bit vectors of AVX-512 and its VNNI.
#include <cstring>
#include <type_traits>

#include "activations.hpp"

#if HAS_X86_KERNELS
#include <immintrin.h>
TARGET_BEGIN("avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512vnni")

namespace streaming::mul_mat_avx512_vnni {

#include "quantize_q8_0.hpp"

using Integers = __m512i;
using Quants = __m512i;
constexpr int vector_bytes = 64;

// Adds the sums of four neighbouring products of bytes.
inline __m256i add_bytes(__m256i sums, __m256i quants, __m256i activations) {
    return _mm256_dpbusd_epi32(sums, quants, activations);
}
inline Integers extended(__m256i x) { return _mm512_zextsi256_si512(x); }
inline Integers add_integers(Integers a, Integers b) { return _mm512_add_epi32(a, b); }
// Clang would make two instructions of `_mm512_dpwssd_epi32`.
inline Integers add_products(Integers sums, Quants quants, const int8_t *activations,
                             Integers scales) {
    const __m512i words = _mm512_maddubs_epi16(quants, _mm512_loadu_si512(activations));
    asm("vpdpwssd %2, %1, %0" : "+v"(sums) : "v"(words), "v"(scales));
    return sums;
}

// All words of the lower half, and all of the upper half.
inline __m512i halves(int lower, int upper) {
    return _mm512_inserti64x4(_mm512_set1_epi16(static_cast<short>(lower)),
                              _mm256_set1_epi16(static_cast<short>(upper)), 1);
}
inline __m512i twice(const uint8_t *from) {
    return _mm512_broadcast_i64x4(_mm256_loadu_si256(reinterpret_cast<const __m256i *>(from)));
}

inline Quants quants_q4k(const uint8_t *low_bits, int step) {
    return _mm512_and_si512(_mm512_srlv_epi16(twice(low_bits + 32 * step), halves(0, 4)),
                            _mm512_set1_epi8(15));
}
inline Integers spread_q4k(__m128i scales) { return _mm512_broadcast_i32x4(scales); }
inline Integers scales_q4k(Integers scales, int step) {
    return _mm512_shuffle_epi8(scales, halves(word_bytes(2 * step), word_bytes(2 * step + 1)));
}

// Bits `lower` and `upper` of all bytes of the two halves, moved to bit `wanted`.
inline __m512i moved(__m512i x, int lower, int upper, int wanted) {
    return lower < wanted ? _mm512_sllv_epi16(x, halves(wanted - lower, wanted - upper))
                          : _mm512_srlv_epi16(x, halves(lower - wanted, upper - wanted));
}
inline Quants quants_q5k(const uint8_t *low_bits, const uint8_t *high_bits, int step) {
    const __m512i high = moved(twice(high_bits), 2 * step, 2 * step + 1, 4);
    return _mm512_or_si512(quants_q4k(low_bits, step),
                           _mm512_and_si512(high, _mm512_set1_epi8(0x10)));
}
inline Quants quants_q3k(const uint8_t *low_bits, const uint8_t *high_bits, int step) {
    const int first = step % 2 * 4;
    const __m512i low = moved(twice(low_bits + step / 2 * 32), first, first + 2, 0);
    const __m512i high = moved(twice(high_bits), 2 * step, 2 * step + 1, 2);
    return _mm512_or_si512(_mm512_and_si512(low, _mm512_set1_epi8(3)),
                           _mm512_and_si512(high, _mm512_set1_epi8(4)));
}

inline Quants quants_q6k(const uint8_t *low_bits, const uint8_t *high_bits, int step) {
    const __m512i both = _mm512_loadu_si512(low_bits + step / 2 * 64);
    const __m512i high = twice(high_bits + step / 2 * 32);
    const __m512i nibbles =
        _mm512_and_si512(step % 2 ? _mm512_srli_epi16(both, 4) : both, _mm512_set1_epi8(15));
    const __m512i two_bits = moved(high, step % 2 * 4, step % 2 * 4 + 2, 4);
    return _mm512_or_si512(nibbles, _mm512_and_si512(two_bits, _mm512_set1_epi8(0x30)));
}
// Eight words for each of the step's four groups.
inline Integers scales_of_16(__m256i scales, int step) {
    constexpr long long ones = 0x0001000100010001;  // four words
    const __m512i groups =
        _mm512_set_epi64(3 * ones, 3 * ones, 2 * ones, 2 * ones, ones, ones, 0, 0);
    const __m512i order = _mm512_add_epi16(groups, _mm512_set1_epi16(static_cast<short>(4 * step)));
    return _mm512_permutexvar_epi16(order, _mm512_castsi256_si512(scales));
}

// Products of each group's scale with its sums of four quants.
inline Integers quad_products(__m256i scales, const int16_t (&sums)[4][8][2]) {
    constexpr long long ones = 0x0001000100010001, next = 0x0002000000020000;
    const __m512i order =
        _mm512_add_epi16(_mm512_set_epi64(5 * ones, 5 * ones, 4 * ones, 4 * ones, ones, ones, 0, 0),
                         _mm512_set1_epi64(next));
    const auto of_half = [&](int half) {
        return _mm512_permutexvar_epi16(
            _mm512_add_epi16(order, _mm512_set1_epi16(static_cast<short>(8 * half))),
            _mm512_castsi256_si512(scales));
    };
    const __m512i first = _mm512_madd_epi16(_mm512_load_si512(sums[0]), of_half(0));
    return _mm512_dpwssd_epi32(first, _mm512_load_si512(sums[2]), of_half(1));
}

// The sums of all rows: 8 lanes of products, and 4 of minimums, each.
template <int ROWS>
class Sums {
  public:
    Sums() {
        for (__m512 &each : products_) each = _mm512_setzero_ps();
        for (__m512 &each : minimums_) each = _mm512_setzero_ps();
    }
    void add_products(const Integers (&products)[ROWS], float weight_scale, const KActivations &y) {
        const __m512 weights = _mm512_set1_ps(weight_scale);
#pragma GCC unroll 4
        for (int row = 0; row < ROWS; row += 2) {
            const Integers a = products[row], b = products[row + (row + 1 < ROWS)];
            const __m512i exact = _mm512_add_epi32(_mm512_shuffle_i64x2(a, b, 0x44),
                                                   _mm512_shuffle_i64x2(a, b, 0xee));
            const __m256 both = _mm256_load_ps(y.scales[row]);
            const __m512 scales =
                _mm512_mul_ps(weights, _mm512_shuffle_f32x4(_mm512_castps256_ps512(both),
                                                            _mm512_castps256_ps512(both), 0x50));
            products_[row / 2] =
                _mm512_fmadd_ps(scales, _mm512_cvtepi32_ps(exact), products_[row / 2]);
        }
    }
    // `adds_up`: each of the four lanes gets the sum of all.
    template <bool adds_up>
    void add_minimums(__m128i minimums, float minimum_scale, const KActivations &y) {
        const __m512 weights = _mm512_set1_ps(minimum_scale);
        const __m512i repeated = _mm512_broadcast_i32x4(minimums);
#pragma GCC unroll 2
        for (int row = 0; row < ROWS; row += 4) {
            __m512i found = _mm512_madd_epi16(repeated, _mm512_load_si512(y.pair_sums[row]));
            if constexpr (adds_up) {
                found = _mm512_add_epi32(found, _mm512_shuffle_epi32(found, _MM_PERM_ENUM(0x4e)));
                found = _mm512_add_epi32(found, _mm512_shuffle_epi32(found, _MM_PERM_ENUM(0xb1)));
            }
            const __m512 scales = _mm512_mul_ps(weights, _mm512_load_ps(y.scales[row]));
            minimums_[row / 4] =
                _mm512_fmadd_ps(scales, _mm512_cvtepi32_ps(found), minimums_[row / 4]);
        }
    }
    __m256 products(int row) const {
        const __m512 both = products_[row / 2];
        return row % 2 ? _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(both), 1))
                       : _mm512_castps512_ps256(both);
    }
    __m128 minimums(int row) const {
        alignas(64) float all[16];
        _mm512_store_ps(all, minimums_[row / 4]);
        return _mm_load_ps(all + row % 4 * 4);
    }

  private:
    __m512 products_[(ROWS + 1) / 2], minimums_[(ROWS + 3) / 4];
};

// For 16 rows of weights in Q2_0.
using Lanes = __m512i;
using LaneFloats = __m512;

// 16 bytes each of rows `number`, `number` + 4, + 8 and + 12.
inline Lanes every_fourth(const char *const (&rows)[16], int64_t offset, int number) {
    const auto at = [&](int row) {
        return _mm_loadu_si128(reinterpret_cast<const __m128i *>(rows[number + row] + offset));
    };
    __m512i all = _mm512_inserti32x4(_mm512_castsi128_si512(at(0)), at(4), 1);
    all = _mm512_inserti32x4(all, at(8), 2);
    return _mm512_inserti32x4(all, at(12), 3);
}
inline Lanes low_words(Lanes a, Lanes b) { return _mm512_unpacklo_epi32(a, b); }
inline Lanes high_words(Lanes a, Lanes b) { return _mm512_unpackhi_epi32(a, b); }
inline Lanes low_pairs(Lanes a, Lanes b) { return _mm512_unpacklo_epi64(a, b); }
inline Lanes high_pairs(Lanes a, Lanes b) { return _mm512_unpackhi_epi64(a, b); }
inline LaneFloats f16_lanes(const char *const (&rows)[16], int64_t offset) {
    const auto at = [&](int number) { return word_at(rows[number] + offset); };
    return _mm512_cvtph_ps(_mm256_setr_epi16(at(0), at(1), at(2), at(3), at(4), at(5), at(6), at(7),
                                             at(8), at(9), at(10), at(11), at(12), at(13), at(14),
                                             at(15)));
}
inline Lanes two_bits(Lanes word, int place) {
    return _mm512_and_si512(_mm512_srli_epi32(word, static_cast<unsigned>(2 * place)),
                            _mm512_set1_epi8(3));
}
inline Lanes add_quad(Lanes products, Lanes quants, int32_t quad) {
    return _mm512_dpbusd_epi32(products, quants, _mm512_set1_epi32(quad));
}
inline LaneFloats floats(Lanes products, int32_t sum) {
    return _mm512_cvtepi32_ps(_mm512_sub_epi32(products, _mm512_set1_epi32(sum)));
}
inline LaneFloats repeated(float x) { return _mm512_set1_ps(x); }

// For two rows of weights in Q1_0, a half each.
using SignSums = __m512i;
using SignFloats = __m512;

inline SignSums zero_or_two(const BlockQ10 *const *rows, int64_t block, int number) {
    uint32_t bits[2];
    for (int i = 0; i < 2; i++) std::memcpy(bits + i, rows[i][block].bits + 4 * number, 4);
    return _mm512_maskz_mov_epi8(bits[0] | static_cast<uint64_t>(bits[1]) << 32,
                                  _mm512_set1_epi8(2));
}
inline SignSums repeated_bytes(const void *from) {
    return _mm512_broadcast_i64x4(_mm256_load_si256(static_cast<const __m256i *>(from)));
}
inline SignFloats sign_floats(SignSums sums, SignSums twos, SignSums quants) {
    return _mm512_cvtepi32_ps(_mm512_dpbusd_epi32(sums, twos, quants));
}
inline SignFloats multiply_add(SignFloats a, SignFloats b, SignFloats c) {
    return _mm512_fmadd_ps(a, b, c);
}
inline SignFloats block_scales(const BlockQ10 *const *rows, int64_t block) {
    const __m256 first = _mm256_set1_ps(_cvtsh_ss(rows[0][block].scale));
    const __m256 second = _mm256_set1_ps(_cvtsh_ss(rows[1][block].scale));
    return _mm512_castpd_ps(_mm512_insertf64x4(
        _mm512_castps_pd(_mm512_castps256_ps512(first)), _mm256_castps_pd(second), 1));
}

#include "mul_mat_kernel.hpp"
#include "mul_mat_block_pairs.hpp"
#include "mul_mat_lanes.hpp"
#include "mul_mat_block_lanes.hpp"
#include "mul_mat_k_lanes.hpp"
#include "mul_mat_formats.hpp"

}  // namespace streaming::mul_mat_avx512_vnni

TARGET_END

streaming::WeightFormats streaming::formats_avx512_vnni() { return mul_mat_avx512_vnni::formats; }
#else
streaming::WeightFormats streaming::formats_avx512_vnni() { return {}; }
#endif
