// `mul_mat_lanes.hpp` for Q4_K and Q6_K. No include guard, as there; it has to be included before.

namespace lanes {

// What both have: groups of values with a scale each, and what is subtracted, as a product of 16-bit words
// in pairs with the sums of the activations of each group.
template <class BlockType, int GROUPS>
struct alignas(64) UnpackedK {
    using Block = BlockType;
    using Activations = KActivations;
    static constexpr int values = k_values, at_once = 4;
    static constexpr int quads = k_values / 4, quads_of_group = quads / GROUPS;

    __m512i weights[quads];  // without a sign
    __m512 scales[GROUPS];
    __m512i offsets[GROUPS / 2];
    __m512 offset_scale;

    static const int16_t *sums(const KActivations &y, int row) {
        return GROUPS == 8 ? y.pair_sums[row] : y.sums[row];
    }
    void add_products(const KActivations &y, __m512 (&results)[group_rows]) const {
        __m512 found[group_rows];
#pragma GCC unroll 8
        for (int row = 0; row < group_rows; row++) {
            __m512i all = _mm512_setzero_si512();
#pragma GCC unroll 8
            for (int pair = 0; pair < GROUPS / 2; pair++)
                all = _mm512_dpwssd_epi32(all, offsets[pair], repeated_word(sums(y, row) + 2 * pair));
            found[row] = _mm512_mul_ps(offset_scale, _mm512_cvtepi32_ps(all));
        }
        for (int group = 0; group < GROUPS; group++) {
            const __m512i *quad = weights + group * quads_of_group;
            __m512i products[group_rows]{};
#pragma GCC unroll 8
            for (int i = 0; i < quads_of_group; i++)
#pragma GCC unroll 8
                for (int row = 0; row < group_rows; row++)
                    products[row] = _mm512_dpbusd_epi32(
                        products[row], quad[i],
                        repeated_word(y.quants[row] + 4 * (group * quads_of_group + i)));
#pragma GCC unroll 8
            for (int row = 0; row < group_rows; row++)
                found[row] =
                    _mm512_fmadd_ps(scales[group], _mm512_cvtepi32_ps(products[row]), found[row]);
        }
#pragma GCC unroll 8
        for (int row = 0; row < group_rows; row++)
            results[row] =
                _mm512_fmadd_ps(_mm512_set1_ps(y.scales[row][0]), found[row], results[row]);
    }
};

// The f16 in the lower or the upper half of each lane.
inline __m512 from_f16(__m512i halves) { return _mm512_cvtph_ps(_mm512_cvtepi32_epi16(halves)); }

// Byte `first` of each lane and the next as 16-bit words, times 256 if `high`.
inline __m512i two_words(__m512i bytes, int first, bool high) {
    const auto place = [&](int byte) { return high ? byte << 8 | 0x80 : 0x8000 | byte; };
    const auto of_lane = [&](int lane) {
        return place(4 * lane + first) | place(4 * lane + first + 1) << 16;
    };
    return _mm512_shuffle_epi8(bytes, _mm512_broadcast_i32x4(_mm_setr_epi32(of_lane(0), of_lane(1),
                                                                            of_lane(2), of_lane(3))));
}

struct UnpackedLanesQ4K : UnpackedK<BlockQ4K, 8> {
    void unpack(Rows rows, int64_t offset) {
        __m512i head[4];  // both scales, and the packed ones
        transpose(rows, offset, head);
        const __m512i low = _mm512_set1_epi32(0x0f0f0f0f), two = _mm512_set1_epi32(0x03030303);
        const __m512i six = _mm512_set1_epi32(0x3f3f3f3f);
        const auto with_upper = [&](__m512i nibbles, __m512i others) {
            const __m512i upper = _mm512_and_si512(_mm512_srli_epi32(others, 6), two);
            return _mm512_or_si512(_mm512_and_si512(nibbles, low), _mm512_slli_epi32(upper, 4));
        };
        const __m512i of_groups[2] = {_mm512_and_si512(head[1], six), with_upper(head[3], head[1])};
        const __m512i minimums[2] = {_mm512_and_si512(head[2], six),
                                     with_upper(_mm512_srli_epi32(head[3], 4), head[2])};
        const __m512 scale = from_f16(head[0]);
        for (int group = 0; group < 8; group++) {
            const __m512i bytes = _mm512_and_si512(
                _mm512_srli_epi32(of_groups[group / 4], static_cast<unsigned>(group % 4 * 8)),
                _mm512_set1_epi32(255));
            scales[group] = _mm512_mul_ps(scale, _mm512_cvtepi32_ps(bytes));
        }
        for (int pair = 0; pair < 4; pair++)
            offsets[pair] = two_words(minimums[pair / 2], pair % 2 * 2, false);
        offset_scale = _mm512_sub_ps(_mm512_setzero_ps(), from_f16(_mm512_srli_epi32(head[0], 16)));
        const __m512i mask = _mm512_set1_epi8(15);
        for (int part = 0; part < 4; part++) {
            __m512i *to = weights + 16 * part;
            const auto at = offset + static_cast<int64_t>(offsetof(BlockQ4K, low_bits)) + 32 * part;
            transpose(rows, at, to);
            transpose(rows, at + 16, to + 4);
            for (int i = 0; i < 8; i++) {
                to[i + 8] = _mm512_and_si512(_mm512_srli_epi16(to[i], 4), mask);
                to[i] = _mm512_and_si512(to[i], mask);
            }
        }
    }
};

struct UnpackedLanesQ6K : UnpackedK<BlockQ6K, 16> {
    void unpack(Rows rows, int64_t offset) {
        const auto at = [&](size_t member) { return offset + static_cast<int64_t>(member); };
        __m512i bytes[4];
        transpose(rows, at(offsetof(BlockQ6K, scales)), bytes);
        const __m512 scale = f16_lanes(rows, at(offsetof(BlockQ6K, scale)));
        for (int group = 0; group < 16; group++) {
            const __m512i raised = _mm512_slli_epi32(bytes[group / 4],
                                                     static_cast<unsigned>(24 - group % 4 * 8));
            scales[group] =
                _mm512_mul_ps(scale, _mm512_cvtepi32_ps(_mm512_srai_epi32(raised, 24)));
        }
        for (int pair = 0; pair < 8; pair++)
            offsets[pair] = _mm512_srai_epi16(two_words(bytes[pair / 2], pair % 2 * 2, true), 8);
        offset_scale = _mm512_mul_ps(scale, _mm512_set1_ps(-32));
        const __m512i four = _mm512_set1_epi8(15), two = _mm512_set1_epi8(0x30);
        for (int half = 0; half < 2; half++) {
            __m512i low[16], high[8], *to = weights + 32 * half;
            for (int i = 0; i < 4; i++)
                transpose(rows, at(offsetof(BlockQ6K, low_bits)) + 64 * half + 16 * i, low + 4 * i);
            for (int i = 0; i < 2; i++)
                transpose(rows, at(offsetof(BlockQ6K, high_bits)) + 32 * half + 16 * i, high + 4 * i);
            const auto both = [&](__m512i nibbles, __m512i upper) {
                return _mm512_or_si512(_mm512_and_si512(nibbles, four), _mm512_and_si512(upper, two));
            };
            for (int i = 0; i < 8; i++) {
                to[i] = both(low[i], _mm512_slli_epi16(high[i], 4));
                to[i + 8] = both(low[i + 8], _mm512_slli_epi16(high[i], 2));
                to[i + 16] = both(_mm512_srli_epi16(low[i], 4), high[i]);
                to[i + 24] = both(_mm512_srli_epi16(low[i + 8], 4), _mm512_srli_epi16(high[i], 2));
            }
        }
    }
};

}  // namespace lanes

template <>
constexpr MultiplyFunction part_of<UnpackedQ4K> = lanes::multiply_part<lanes::UnpackedLanesQ4K>;
template <>
constexpr MultiplyFunction part_of<UnpackedQ6K> = lanes::multiply_part<lanes::UnpackedLanesQ6K>;
