// The operands of one matrix multiplication of llama.cpp's graph, and the kernels for it.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "x86_kernels.hpp"

namespace streaming {

constexpr int64_t group_rows = 8;  // the most rows for which a block of weights is unpacked once

// `rows` rows of activations times `outputs` rows of weights. Strides are bytes from row to row.
struct MulMatNode {
    const char *weights, *activations;
    char *results;
    int64_t width, outputs, rows;
    int64_t weight_stride, activation_stride, result_stride;

    int64_t groups() const { return (rows + group_rows - 1) / group_rows; }
    // The part of it with at most `count` of the rows from `first`.
    MulMatNode part(int64_t first, int64_t count) const {
        MulMatNode found = *this;
        found.rows = std::min(count, rows - first);
        found.activations += first * activation_stride;
        found.results += first * result_stride;
        return found;
    }
    MulMatNode group(int64_t number) const { return part(number * group_rows, group_rows); }
    // Sets the blocks at which rows of weights begin, from row `first` on: the last one before `end` again
    // where there are fewer.
    template <class Block, size_t COUNT>
    void set_weights(int64_t first, int64_t end, const Block *(&rows)[COUNT]) const {
        for (size_t i = 0; i < COUNT; i++) {
            const int64_t row = std::min(first + static_cast<int64_t>(i), end - 1);
            rows[i] = reinterpret_cast<const Block *>(weights + row * weight_stride);
        }
    }
    const float *activations_at(int64_t row) const {
        return reinterpret_cast<const float *>(activations + row * activation_stride);
    }
    float *results_at(int64_t row) const {
        return reinterpret_cast<float *>(results + row * result_stride);
    }
};

// Calls a function with a number from 1 to `most` as a constant.
template <int most = group_rows, class Function>
void with_constant(int64_t number, const Function &function) {
    if (number == most) return function(std::integral_constant<int, most>());
    if constexpr (most > 1) with_constant<most - 1>(number, function);
}

// ggml's `quantize_row_q8_K_ref` and the others; `count` values.
using QuantizeFunction = void (*)(const float *from, void *blocks, int64_t count);
struct Quantizers {
    QuantizeFunction q8_k, q8_0, q8_1;
};

// Computes results for the weights from row `first` to before row `end`.
using MultiplyFunction = void (*)(const MulMatNode &, const void *activations, int64_t first,
                                  int64_t end);

// How the kernels for one kind of processor multiply weights of one type.
struct WeightFormat {
    int32_t type;              // an enum ggml_type
    int64_t values, bytes;     // of a block of weights
    int64_t activation_bytes;  // of a block of the activations of one group, a multiple of 64
    bool ggml_has_vectors;     // else it computes this type one number at a time

    // Quantizes block `number` of the rows of a group.
    void (*quantize)(const Quantizers &, const MulMatNode &group, int64_t number, void *block);
    MultiplyFunction multiply;  // a group
    // All groups of a part with many rows; null where `multiply` computes one after another.
    MultiplyFunction multiply_part = nullptr;
};

// The formats that the kernels for one kind of processor multiply.
class WeightFormats {
  public:
    WeightFormats() = default;
    template <size_t COUNT>
    WeightFormats(const WeightFormat (&formats)[COUNT]) : first_(formats), end_(formats + COUNT) {}

    // Null where they do not multiply weights of this type.
    const WeightFormat *find(int32_t type) const {
        const auto *found =
            std::find_if(first_, end_, [&](const auto &each) { return each.type == type; });
        return found == end_ ? nullptr : found;
    }

  private:
    const WeightFormat *first_ = nullptr, *end_ = nullptr;
};

// None where the compiler cannot make them for this kind of processor.
WeightFormats formats_sse42();
WeightFormats formats_avx2();
WeightFormats formats_avx_vnni();
WeightFormats formats_avx512_vnni();
WeightFormats formats_neon();
WeightFormats formats_neon_dotprod();

// Whether this is an ARM processor with dot products of bytes.
bool has_dotprod();

}  // namespace streaming
