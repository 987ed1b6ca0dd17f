// The 256-bit vectors of `mul_mat_kernel.hpp`, all but `add_words` and `add_bytes`. No include guard, as
// there.

using Integers = __m256i;
using Quants = __m256i;
constexpr int vector_bytes = 32;

inline __m256i load(const void *from) {
    return _mm256_loadu_si256(static_cast<const __m256i *>(from));
}
inline Integers extended(__m256i x) { return x; }
inline Integers add_integers(Integers a, Integers b) { return _mm256_add_epi32(a, b); }
inline Integers add_products(Integers sums, Quants quants, const int8_t *activations,
                             Integers scales) {
    return add_words(sums, _mm256_maddubs_epi16(quants, load(activations)), scales);
}

inline __m256i low_nibbles(__m256i x) { return _mm256_and_si256(x, _mm256_set1_epi8(15)); }
inline __m256i high_nibbles(__m256i x) { return low_nibbles(_mm256_srli_epi16(x, 4)); }

inline Quants quants_q4k(const uint8_t *low_bits, int step) {
    const __m256i both = load(low_bits + step / 2 * 32);
    return step % 2 ? high_nibbles(both) : low_nibbles(both);
}
inline Integers spread_q4k(__m128i scales) { return _mm256_broadcastsi128_si256(scales); }
inline Integers scales_q4k(Integers scales, int step) {
    return _mm256_shuffle_epi8(scales, _mm256_set1_epi16(word_bytes(step)));
}

// Bit `place` of all bytes, moved to bit `wanted`. What is moved along has to be masked.
inline __m256i moved(__m256i x, int place, int wanted) {
    return place < wanted ? _mm256_slli_epi16(x, wanted - place)
                          : _mm256_srli_epi16(x, place - wanted);
}
inline Quants quants_q5k(const uint8_t *low_bits, const uint8_t *high_bits, int step) {
    const __m256i high = moved(load(high_bits), step, 4);
    return _mm256_or_si256(quants_q4k(low_bits, step),
                           _mm256_and_si256(high, _mm256_set1_epi8(0x10)));
}
inline Quants quants_q3k(const uint8_t *low_bits, const uint8_t *high_bits, int step) {
    const __m256i low = moved(load(low_bits + step / 4 * 32), step % 4 * 2, 0);
    const __m256i high = moved(load(high_bits), step, 2);
    return _mm256_or_si256(_mm256_and_si256(low, _mm256_set1_epi8(3)),
                           _mm256_and_si256(high, _mm256_set1_epi8(4)));
}

inline Quants quants_q6k(const uint8_t *low_bits, const uint8_t *high_bits, int step) {
    const int part = step % 4;
    const __m256i both = load(low_bits + step / 4 * 64 + part % 2 * 32);
    const __m256i high = load(high_bits + step / 4 * 32);
    const __m256i two_bits =
        _mm256_and_si256(moved(high, 2 * part, 4), _mm256_set1_epi8(0x30));
    return _mm256_or_si256(part < 2 ? low_nibbles(both) : high_nibbles(both), two_bits);
}
// Eight words for each of the step's two groups.
inline Integers scales_of_16(__m256i scales, int step) {
    const __m128i half =
        step < 4 ? _mm256_castsi256_si128(scales) : _mm256_extracti128_si256(scales, 1);
    const int group = 2 * (step % 4);
    const __m256i order =
        _mm256_set_m128i(_mm_set1_epi16(word_bytes(group + 1)), _mm_set1_epi16(word_bytes(group)));
    return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(half), order);
}

// Products of each group's scale with its sums of four quants.
inline Integers quad_products(__m256i scales, const int16_t (&sums)[4][8][2]) {
    Integers products = _mm256_setzero_si256();
    for (int i = 0; i < 4; i++) {
        const __m128i half =
            i < 2 ? _mm256_castsi256_si128(scales) : _mm256_extracti128_si256(scales, 1);
        const auto pair = [&](int first) {
            return _mm_set1_epi32(word_bytes(first) | word_bytes(first + 2) << 16);
        };
        const __m256i order = _mm256_set_m128i(pair(i % 2 * 4 + 1), pair(i % 2 * 4));
        products = add_words(products, load(sums[i]),
                             _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(half), order));
    }
    return products;
}

// The sums of all rows: 8 lanes of products, and 4 of minimums, each.
template <int ROWS>
class Sums {
  public:
    Sums() {
        for (__m256 &each : products_) each = _mm256_setzero_ps();
        for (__m256 &each : minimums_) each = _mm256_setzero_ps();
    }
    void add_products(const Integers (&products)[ROWS], float weight_scale, const KActivations &y) {
        const __m256 weights = _mm256_set1_ps(weight_scale);
#pragma GCC unroll 8
        for (int row = 0; row < ROWS; row++) {
            const __m256 scale = _mm256_mul_ps(weights, _mm256_broadcast_ss(y.scales[row]));
            products_[row] =
                _mm256_fmadd_ps(scale, _mm256_cvtepi32_ps(products[row]), products_[row]);
        }
    }
    // `adds_up`: each of the four lanes gets the sum of all.
    template <bool adds_up>
    void add_minimums(__m128i minimums, float minimum_scale, const KActivations &y) {
        const __m256 weights = _mm256_set1_ps(minimum_scale);
        const __m256i twice = _mm256_broadcastsi128_si256(minimums);
#pragma GCC unroll 4
        for (int row = 0; row < ROWS; row += 2) {
            __m256i found = _mm256_madd_epi16(twice, load(y.pair_sums[row]));
            if constexpr (adds_up) {
                found = _mm256_add_epi32(found, _mm256_shuffle_epi32(found, 0x4e));
                found = _mm256_add_epi32(found, _mm256_shuffle_epi32(found, 0xb1));
            }
            const __m256 scale = _mm256_mul_ps(weights, _mm256_load_ps(y.scales[row]));
            minimums_[row / 2] =
                _mm256_fmadd_ps(scale, _mm256_cvtepi32_ps(found), minimums_[row / 2]);
        }
    }
    __m256 products(int row) const { return products_[row]; }
    __m128 minimums(int row) const {
        const __m256 both = minimums_[row / 2];
        return row % 2 ? _mm256_extractf128_ps(both, 1) : _mm256_castps256_ps128(both);
    }

  private:
    __m256 products_[ROWS], minimums_[(ROWS + 1) / 2];
};

// For eight rows of weights in Q2_0.
using Lanes = __m256i;
using LaneFloats = __m256;

// 16 bytes each of rows `number` and `number` + 4.
inline Lanes every_fourth(const char *const (&rows)[8], int64_t offset, int number) {
    return _mm256_loadu2_m128i(reinterpret_cast<const __m128i *>(rows[number + 4] + offset),
                               reinterpret_cast<const __m128i *>(rows[number] + offset));
}
inline Lanes low_words(Lanes a, Lanes b) { return _mm256_unpacklo_epi32(a, b); }
inline Lanes high_words(Lanes a, Lanes b) { return _mm256_unpackhi_epi32(a, b); }
inline Lanes low_pairs(Lanes a, Lanes b) { return _mm256_unpacklo_epi64(a, b); }
inline Lanes high_pairs(Lanes a, Lanes b) { return _mm256_unpackhi_epi64(a, b); }
inline LaneFloats f16_lanes(const char *const (&rows)[8], int64_t offset) {
    const auto at = [&](int number) { return word_at(rows[number] + offset); };
    return _mm256_cvtph_ps(_mm_setr_epi16(at(0), at(1), at(2), at(3), at(4), at(5), at(6), at(7)));
}
inline Lanes two_bits(Lanes word, int place) {
    return _mm256_and_si256(_mm256_srli_epi32(word, 2 * place), _mm256_set1_epi8(3));
}
// Words: the sums of eight pairs of products fit into them.
inline Lanes add_quad(Lanes products, Lanes quants, int32_t quad) {
    return _mm256_add_epi16(products, _mm256_maddubs_epi16(quants, _mm256_set1_epi32(quad)));
}
inline LaneFloats floats(Lanes products, int32_t sum) {
    const __m256i totals = _mm256_madd_epi16(products, _mm256_set1_epi16(1));
    return _mm256_cvtepi32_ps(_mm256_sub_epi32(totals, _mm256_set1_epi32(sum)));
}
inline LaneFloats repeated(float x) { return _mm256_set1_ps(x); }

// For one row of weights in Q1_0.
using SignSums = __m256i;
using SignFloats = __m256;

inline SignSums zero_or_two(const BlockQ10 *const *rows, int64_t block, int number) {
    uint32_t bits;
    std::memcpy(&bits, rows[0][block].bits + 4 * number, 4);
    const __m256i bit = _mm256_set1_epi64x(static_cast<long long>(0x8040201008040201));
    const __m256i order = _mm256_setr_epi64x(0, 0x0101010101010101, 0x0202020202020202,
                                             0x0303030303030303);
    const __m256i bytes =
        _mm256_shuffle_epi8(_mm256_set1_epi32(static_cast<int>(bits)), order);
    const __m256i is_set = _mm256_cmpeq_epi8(_mm256_and_si256(bytes, bit), bit);
    return _mm256_and_si256(is_set, _mm256_set1_epi8(2));
}
inline SignSums repeated_bytes(const void *from) { return load(from); }
inline SignFloats sign_floats(SignSums sums, SignSums twos, SignSums quants) {
    return _mm256_cvtepi32_ps(add_bytes(sums, twos, quants));
}
inline SignFloats multiply_add(SignFloats a, SignFloats b, SignFloats c) {
    return _mm256_fmadd_ps(a, b, c);
}
inline SignFloats block_scales(const BlockQ10 *const *rows, int64_t block) {
    return _mm256_set1_ps(_cvtsh_ss(rows[0][block].scale));
}
