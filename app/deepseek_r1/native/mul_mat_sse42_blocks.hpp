// The types with 32 values a block, for `mul_mat_sse42.cpp`, which includes it in its namespace.
//
// Four rows of weights are multiplied at once: the sums of their blocks become one vector, whose
// lanes are scaled and added up as ggml does it for each.

namespace block_types {

constexpr int outputs_at_once = 4;

// The fifth bits of 16 values, in their places: value i has bit i of `bits`.
inline __m128i fifth_bits(uint32_t bits) {
    const __m128i bytes =
        _mm_shuffle_epi8(_mm_cvtsi32_si128(static_cast<int>(bits)),
                         _mm_set_epi8(1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0));
    const __m128i bit = _mm_set1_epi64x(static_cast<long long>(0x8040201008040201));
    return _mm_and_si128(_mm_cmpeq_epi8(_mm_and_si128(bytes, bit), bit), _mm_set1_epi8(16));
}

// The quants of a block, none of them negative.
struct UnsignedQuants {
    __m128i first, second;  // 16 each

    UnsignedQuants(const uint8_t *low_bits, const uint8_t *high_bits) : UnsignedQuants(low_bits) {
        uint32_t bits;
        std::memcpy(&bits, high_bits, 4);
        first = _mm_or_si128(first, fifth_bits(bits & 0xffff));
        second = _mm_or_si128(second, fifth_bits(bits >> 16));
    }
    explicit UnsignedQuants(const uint8_t *low_bits) {
        const __m128i both = load(low_bits);
        first = low_nibbles(both);
        second = high_nibbles(both);
    }
    // Four sums of their products with a row of activations.
    __m128i products(__m128i y0, __m128i y1) const {
        return _mm_madd_epi16(
            _mm_add_epi16(_mm_maddubs_epi16(first, y0), _mm_maddubs_epi16(second, y1)),
            _mm_set1_epi16(1));
    }
};

struct UnpackedQ41 : UnsignedQuants {
    using Block = BlockQ41;
    static constexpr bool has_minimums = true;
    static constexpr int offset = 0;
    explicit UnpackedQ41(const Block &block) : UnsignedQuants(block.low_bits) {}
};

struct UnpackedQ50 : UnsignedQuants {
    using Block = BlockQ50;
    static constexpr bool has_minimums = false;
    static constexpr int offset = 16;
    explicit UnpackedQ50(const Block &block) : UnsignedQuants(block.low_bits, block.high_bits) {}
};

struct UnpackedQ51 : UnsignedQuants {
    using Block = BlockQ51;
    static constexpr bool has_minimums = true;
    static constexpr int offset = 0;
    explicit UnpackedQ51(const Block &block) : UnsignedQuants(block.low_bits, block.high_bits) {}
};

struct UnpackedQ80 {
    using Block = BlockQ80;
    static constexpr bool has_minimums = false;
    static constexpr int offset = 0;

    __m128i first, second, first_magnitudes, second_magnitudes;

    explicit UnpackedQ80(const Block &block)
        : first(load(block.quants)),
          second(load(block.quants + 16)),
          first_magnitudes(_mm_abs_epi8(first)),
          second_magnitudes(_mm_abs_epi8(second)) {}
    // No activation is -128: a sum of two products fits into 16 bits, four do not.
    __m128i products(__m128i y0, __m128i y1) const {
        const __m128i ones = _mm_set1_epi16(1);
        const __m128i words0 = _mm_maddubs_epi16(first_magnitudes, _mm_sign_epi8(y0, first));
        const __m128i words1 = _mm_maddubs_epi16(second_magnitudes, _mm_sign_epi8(y1, second));
        return _mm_add_epi32(_mm_madd_epi16(words0, ones), _mm_madd_epi16(words1, ones));
    }
};

// Word `number` of the same block of four rows of weights.
template <class Block>
inline __m128 f16_of(const Block *const (&from)[outputs_at_once], int64_t block, int number) {
    __m128i bits = _mm_setzero_si128();
    uint16_t words[outputs_at_once];
    for (int i = 0; i < outputs_at_once; i++)
        std::memcpy(words + i, reinterpret_cast<const char *>(from[i] + block) + 2 * number, 2);
    bits = _mm_insert_epi16(bits, words[0], 0);
    bits = _mm_insert_epi16(bits, words[1], 2);
    bits = _mm_insert_epi16(bits, words[2], 4);
    bits = _mm_insert_epi16(bits, words[3], 6);
    return from_f16(bits);
}

template <class Unpacked, int ROWS>
inline void multiply_rows(const MulMatNode &group, const BlockActivations *activations,
                          int64_t first, int64_t end) {
    using Block = typename Unpacked::Block;
    const int64_t blocks = group.width / block_values;
    for (int64_t output = first; output < end; output += outputs_at_once) {
        const int64_t count = std::min<int64_t>(outputs_at_once, end - output);
        const Block *weights[outputs_at_once];
        group.set_weights(output, end, weights);
        __m128 results[ROWS];
        for (__m128 &each : results) each = _mm_setzero_ps();
        for (int64_t i = 0; i < blocks; i++) {
            const Unpacked unpacked[] = {Unpacked(weights[0][i]), Unpacked(weights[1][i]),
                                         Unpacked(weights[2][i]), Unpacked(weights[3][i])};
            const __m128 scales = f16_of(weights, i, 0);
            __m128 minimums;
            if constexpr (Unpacked::has_minimums) minimums = f16_of(weights, i, 1);
            const BlockActivations &y = activations[i];
#pragma GCC unroll 8
            for (int row = 0; row < ROWS; row++) {
                const __m128i y0 = load(y.quants[row]), y1 = load(y.quants[row] + 16);
                const __m128i products[] = {
                    unpacked[0].products(y0, y1), unpacked[1].products(y0, y1),
                    unpacked[2].products(y0, y1), unpacked[3].products(y0, y1)};
                __m128i sums = lane_sums(products);
                if constexpr (Unpacked::offset != 0)
                    sums =
                        _mm_sub_epi32(sums, _mm_set1_epi32(Unpacked::offset * y.quant_sums[row]));
                __m128 found = _mm_mul_ps(_mm_mul_ps(scales, _mm_set1_ps(y.scales[row])),
                                          _mm_cvtepi32_ps(sums));
                if constexpr (Unpacked::has_minimums)
                    found = _mm_add_ps(found, _mm_mul_ps(minimums, _mm_set1_ps(y.sums[row])));
                results[row] = _mm_add_ps(results[row], found);
            }
        }
        for (int row = 0; row < ROWS; row++) {
            float found[outputs_at_once];
            _mm_storeu_ps(found, results[row]);
            std::copy_n(found, count, group.results_at(row) + output);
        }
    }
}

template <class Unpacked>
void multiply(const MulMatNode &group, const void *activations, int64_t first, int64_t end) {
    const auto *y = static_cast<const BlockActivations *>(activations);
    with_constant(group.rows,
                  [&](auto rows) { multiply_rows<Unpacked, rows>(group, y, first, end); });
}

template <class Unpacked>
constexpr WeightFormat format_of(int32_t type) {
    return {type,
            block_values,
            sizeof(typename Unpacked::Block),
            sizeof(BlockActivations),
            false,
            Unpacked::has_minimums ? quantize_q8_1 : quantize_q8_0,
            multiply<Unpacked>};
}

}  // namespace block_types
