// The types with 32 values a block and no minimum, with 512-bit vectors: blocks of two rows of weights,
// a half each. Floats are added up in the order of `mul_mat_blocks.hpp`, so that no bit of the results
// differs from its. No include guard, as in `mul_mat_kernel.hpp`, which has to be included before.

#include "mul_mat_block_quants.hpp"

namespace blocks {

// Its quants are bytes without a sign: 128 more than they stand for.
struct ShiftedActivations : BlockActivations {
    void add(const BlockQ80 &found, int64_t row, int number) {
        BlockActivations::add(found, row, number);
        for (int8_t &each : quants[row]) each = static_cast<int8_t>(each ^ 0x80);
    }
};

inline __m512i signed_quants(const BlockQ80 &first, const BlockQ80 &second) {
    return _mm512_inserti64x4(_mm512_castsi256_si512(signed_quants(first)), signed_quants(second), 1);
}
// The first quarter of a half has the lower bits of the bytes, the second the higher ones.
inline __m512i nibbles(const uint8_t *first, const uint8_t *second) {
    const __m128i a = _mm_loadu_si128(reinterpret_cast<const __m128i *>(first));
    const __m128i b = _mm_loadu_si128(reinterpret_cast<const __m128i *>(second));
    const __m512i both = _mm512_mask_broadcast_i32x4(_mm512_broadcast_i32x4(a), 0xff00, b);
    constexpr long long fours = 0x0004000400040004;
    const __m512i places = _mm512_set_epi64(fours, fours, 0, 0, fours, fours, 0, 0);
    return _mm512_and_si512(_mm512_srlv_epi16(both, places), _mm512_set1_epi8(15));
}
inline __m512i signed_quants(const BlockQ40 &first, const BlockQ40 &second) {
    return _mm512_sub_epi8(nibbles(first.low_bits, second.low_bits), _mm512_set1_epi8(8));
}
// Where the fifth bit is not set, 16 is subtracted.
inline __m512i signed_quants(const BlockQ50 &first, const BlockQ50 &second) {
    uint32_t bits[2];
    std::memcpy(bits, first.high_bits, 4);
    std::memcpy(bits + 1, second.high_bits, 4);
    const __m512i low = nibbles(first.low_bits, second.low_bits);
    return _mm512_mask_sub_epi8(low, ~(bits[0] | static_cast<uint64_t>(bits[1]) << 32), low,
                                _mm512_set1_epi8(16));
}
inline __m512 scales_of(uint16_t first, uint16_t second) {
    return _mm512_cvtph_ps(_mm256_mask_set1_epi16(
        _mm256_set1_epi16(static_cast<short>(first)), 0xff00, static_cast<short>(second)));
}

template <class Block, int ROWS>
inline void multiply_rows(const MulMatNode &group, const BlockActivations *activations,
                          int64_t first, int64_t end) {
    constexpr int vectors = 2;  // that share what is loaded of the activations
    constexpr int outputs_at_once = 2 * vectors;
    constexpr auto step_bytes = static_cast<int64_t>(outputs_at_once * sizeof(Block));
    const int64_t blocks = group.width / block_values;
    for (int64_t output = first; output < end; output += outputs_at_once) {
        const int64_t count = std::min<int64_t>(outputs_at_once, end - output);
        const Block *rows[outputs_at_once];
        group.set_weights(output, end, rows);
        __m512 sums[ROWS][vectors]{};
        for (int64_t i = 0; i < blocks; i++) {
            // The next four rows, in the order in which they lie in memory: fetched row by row, one row of
            // activations took 1.2 to 1.5 times as long (docs/measurements/kernels.md).
            const char *next = reinterpret_cast<const char *>(rows[0]) +
                               outputs_at_once * group.weight_stride + i * step_bytes;
            for (int64_t at = 0; at < step_bytes; at += 64) _mm_prefetch(next + at, _MM_HINT_T0);
            const BlockActivations &y = activations[i];
            __m512i quants[vectors], starts[vectors];
            __m512 scales[vectors];
#pragma GCC unroll 2
            for (int v = 0; v < vectors; v++) {
                const Block *const a = rows[2 * v] + i, *const b = rows[2 * v + 1] + i;
                quants[v] = signed_quants(*a, *b);
                scales[v] = scales_of(a->scale, b->scale);
                // What the 128 of the activations add.
                starts[v] = _mm512_sub_epi32(
                    _mm512_setzero_si512(),
                    _mm512_dpbusd_epi32(_mm512_setzero_si512(),
                                        _mm512_set1_epi8(static_cast<char>(128)), quants[v]));
            }
#pragma GCC unroll 8
            for (int row = 0; row < ROWS; row++) {
                const __m512i other = repeated_bytes(y.quants[row]);
                const __m512 scale = _mm512_set1_ps(y.scales[row]);
#pragma GCC unroll 2
                for (int v = 0; v < vectors; v++) {
                    const __m512i products = _mm512_dpbusd_epi32(starts[v], other, quants[v]);
                    sums[row][v] = _mm512_fmadd_ps(_mm512_mul_ps(scales[v], scale),
                                                   _mm512_cvtepi32_ps(products), sums[row][v]);
                }
            }
        }
        for (int row = 0; row < ROWS; row++)
            for (int64_t i = 0; i < count; i++) {
                const __m512d both = _mm512_castps_pd(sums[row][i / 2]);
                group.results_at(row)[output + i] = total(_mm256_castpd_ps(
                    i % 2 ? _mm512_extractf64x4_pd(both, 1) : _mm512_castpd512_pd256(both)));
            }
    }
}

inline void quantize(const Quantizers &quantizers, const MulMatNode &group, int64_t number,
                     void *block) {
    quantize_blocks<ShiftedActivations>(q8_0_of(quantizers), group, number, block);
}

}  // namespace blocks
