// The types with 32 values a block and no minimum, with 256-bit vectors. No include guard, as in
// `mul_mat_kernel.hpp`, which has to be included before, and `add_bytes` to be defined.

#include "mul_mat_block_quants.hpp"

namespace blocks {

template <class Block, int ROWS>
inline void multiply_rows(const MulMatNode &group, const BlockActivations *activations,
                          int64_t first, int64_t end) {
    const int64_t count = group.width / block_values;
    for (int64_t output = first; output < end; output++) {
        const auto *weights =
            reinterpret_cast<const Block *>(group.weights + output * group.weight_stride);
        __m256 sums[ROWS];
        for (__m256 &each : sums) each = _mm256_setzero_ps();
        for (int64_t i = 0; i < count; i++) {
            prefetch(weights + i);
            const __m256i quants = signed_quants(weights[i]);
            const __m256i magnitudes = _mm256_abs_epi8(quants);
            const float scale = f16(weights[i].scale);
            const BlockActivations &y = activations[i];
#pragma GCC unroll 8
            for (int row = 0; row < ROWS; row++) {
                const __m256i other =
                    _mm256_load_si256(reinterpret_cast<const __m256i *>(y.quants[row]));
                const __m256i products = add_bytes(_mm256_setzero_si256(), magnitudes,
                                                   _mm256_sign_epi8(other, quants));
                sums[row] = _mm256_fmadd_ps(_mm256_set1_ps(scale * y.scales[row]),
                                            _mm256_cvtepi32_ps(products), sums[row]);
            }
        }
        for (int row = 0; row < ROWS; row++) group.results_at(row)[output] = total(sums[row]);
    }
}

inline void quantize(const Quantizers &quantizers, const MulMatNode &group, int64_t number,
                     void *block) {
    quantize_blocks<BlockActivations>(q8_0_of(quantizers), group, number, block);
}

}  // namespace blocks
