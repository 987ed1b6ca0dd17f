// Activations of one group of rows, quantized and arranged for the kernels of `mul_mat`.
#pragma once

#include <cstddef>
#include <cstdint>

#include "mul_mat_node.hpp"
#include "weight_blocks.hpp"

namespace streaming {

// One BlockQ8K of each row. Rows beyond the group's last are undefined.
struct alignas(64) KActivations {
    int8_t quants[group_rows][k_values];
    int16_t sums[group_rows][16];      // of 16 quants each
    int16_t pair_sums[group_rows][8];  // of 32 quants each
    float scales[group_rows][4];       // four times the same
};

// The kernels load sums and scales of several rows as one aligned vector.
static_assert(offsetof(KActivations, pair_sums) % 64 == 0);
static_assert(offsetof(KActivations, scales) % 64 == 0);

// The same for a BlockQ3K. Of the sums of four quants, those of 32 quants stand in turns with those of the
// next 32.
struct Q3KActivations : KActivations {
    alignas(64) int16_t quad_sums[group_rows][4][8][2];
};

// One BlockQ80 or BlockQ81 of each row.
struct alignas(64) BlockActivations {
    static constexpr int blocks = 1;
    int8_t quants[group_rows][block_values];
    float scales[group_rows];
    float sums[group_rows];  // BlockQ81's; undefined for a BlockQ80
    int32_t quant_sums[group_rows];

    void add(const BlockQ80 &found, int64_t row, int /*number*/ = 0);
};

// `quantize` of a WeightFormat, whose block is a KActivations or a Q3KActivations.
void quantize_q8_k(const Quantizers &, const MulMatNode &group, int64_t number, void *block);
void quantize_q8_k_quads(const Quantizers &, const MulMatNode &group, int64_t number, void *block);
// The same as the first with other places for the 16 quants of a sixteenth: each of the first eight is followed
// by the one eight places behind it.
void quantize_q8_k_interleaved(const Quantizers &, const MulMatNode &group, int64_t number,
                               void *block);

// The blocks of BlockQ80 that belong to one BlockQ10 of weights.
struct alignas(64) Q10Activations {
    static constexpr int blocks = 4;
    int8_t quants[group_rows][blocks][block_values];
    int32_t negative_sums[group_rows][blocks][8];  // of four quants each
    float scales[group_rows][blocks];

    void add(const BlockQ80 &found, int64_t row, int number);
};

// The blocks of BlockQ80 that belong to one BlockQ20 of weights. Four bytes of its weights hold 16
// values, the first of each byte in its lowest bits: a quad has the quants for one place in the bytes.
struct alignas(64) Q20Activations {
    static constexpr int blocks = 2;
    int32_t quads[group_rows][blocks][8];  // those of the first 16 quants, then of the others
    int32_t sums[group_rows][blocks];
    float scales[group_rows][blocks];

    void add(const BlockQ80 &found, int64_t row, int number);
};

// `quantize` of a WeightFormat whose block is a BlockActivations, Q10Activations or Q20Activations.
// `to_q8_0` makes one BlockQ80.
template <class Activations, class ToQ80>
void quantize_blocks(const ToQ80 &to_q8_0, const MulMatNode &group, int64_t number, void *block) {
    constexpr int64_t values = Activations::blocks * block_values;
    for (int64_t row = 0; row < group.rows; row++) {
        const float *from = group.activations_at(row) + number * values;
        for (int i = 0; i < Activations::blocks; i++) {
            BlockQ80 found{};
            to_q8_0(from + i * block_values, found);
            static_cast<Activations *>(block)->add(found, row, i);
        }
    }
}

// `quantize` of a WeightFormat, whose block is a BlockActivations.
void quantize_q8_0(const Quantizers &, const MulMatNode &group, int64_t number, void *block);
void quantize_q8_1(const Quantizers &, const MulMatNode &group, int64_t number, void *block);

}  // namespace streaming
