// The operands of one matrix multiplication of llama.cpp's graph, and the kernels for it.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "x86_kernels.hpp"

namespace streaming {

enum class WeightType { q4_k, q6_k };

constexpr int64_t block_values = 256;  // of weights or activations in one block

constexpr int64_t group_rows = 8;  // the most rows for which a block of weights is unpacked once

// One block of each row of a group of activations: ggml's block_q8_K, arranged for vectors. Rows that
// a node does not have hold anything.
struct alignas(64) ActivationBlock {
    int8_t quants[group_rows][block_values];
    int16_t sums[group_rows][16];      // of 16 quants each
    int16_t pair_sums[group_rows][8];  // of 32 quants each
    float scales[group_rows][4];       // four times the same
};

// The kernels load sums and scales of several rows as one aligned vector.
static_assert(offsetof(ActivationBlock, pair_sums) % 64 == 0);
static_assert(offsetof(ActivationBlock, scales) % 64 == 0);

// `rows` rows of activations times `outputs` rows of weights. Strides are bytes from row to row.
struct MulMatNode {
    const char *weights, *activations;
    char *results;
    int64_t width, outputs, rows;
    int64_t weight_stride, activation_stride, result_stride;
    WeightType type;

    int64_t blocks() const { return width / block_values; }
    int64_t groups() const { return (rows + group_rows - 1) / group_rows; }
    // The part of it with the rows of one group.
    MulMatNode group(int64_t number) const {
        MulMatNode part = *this;
        part.rows = std::min(group_rows, rows - number * group_rows);
        part.activations += number * group_rows * activation_stride;
        part.results += number * group_rows * result_stride;
        return part;
    }
    const float *activations_at(int64_t row) const {
        return reinterpret_cast<const float *>(activations + row * activation_stride);
    }
    float *results_at(int64_t row) const {
        return reinterpret_cast<float *>(results + row * result_stride);
    }
};

// The two bytes of word `number` of a vector, as a shuffle of bytes takes them.
constexpr short word_bytes(int number) { return static_cast<short>(0x0100 + 0x0202 * number); }

// Computes the results of a node of one group for the weights from row `first` to before row `end`.
// There are `node.blocks()` blocks of activations.
using MultiplyFunction = void (*)(const MulMatNode &, const ActivationBlock *activations,
                                  int64_t first, int64_t end);

// Null where the compiler cannot make them for this kind of processor.
MultiplyFunction multiply_avx2();
MultiplyFunction multiply_avx_vnni();
MultiplyFunction multiply_avx512_vnni();

}  // namespace streaming
