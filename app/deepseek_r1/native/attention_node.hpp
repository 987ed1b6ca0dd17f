// The operands of one attention node of llama.cpp's graph, and the parts that it is computed in.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <new>
#include <vector>

#include "x86_kernels.hpp"

namespace streaming {

enum class CacheType { f16, q8_0, q4_0 };

constexpr int64_t tile_cells = 64;  // cells whose keys and values are converted to f32 together
constexpr int64_t block_rows = 32;  // the most rows for which one conversion is used

// Attention of `tokens` x `heads` queries over `cells` keys and values. Strides are bytes.
struct AttentionNode {
    const char *queries, *keys, *values, *mask;  // mask: f16 for each token and cell, or null
    float *output;                               // value_width floats for each token and head
    int64_t key_width, value_width, tokens, cells, heads, groups;
    int64_t query_stride, query_head_stride;  // from token to token, from head to head
    int64_t key_stride, key_head_stride, value_stride, value_head_stride;  // from cell to cell, ...
    int64_t mask_stride;
    CacheType key_type, value_type;
    float scale;

    int64_t group_heads() const { return heads / groups; }
    int64_t group_rows() const { return tokens * group_heads(); }
    const float *query_at(int64_t group, int64_t row) const {
        return reinterpret_cast<const float *>(queries + row / group_heads() * query_stride +
                                               head(group, row) * query_head_stride);
    }
    float *output_at(int64_t group, int64_t row) const {
        return output + (row / group_heads() * heads + head(group, row)) * value_width;
    }
    const char *key_at(int64_t group, int64_t cell) const {
        return keys + group * key_head_stride + cell * key_stride;
    }
    const char *value_at(int64_t group, int64_t cell) const {
        return values + group * value_head_stride + cell * value_stride;
    }
    const char *mask_at(int64_t row, int64_t cell) const {
        return mask == nullptr ? nullptr : mask + row / group_heads() * mask_stride + 2 * cell;
    }
    // Marks which of `count` cells one of these rows sees; false where there is none.
    bool find_visible(int64_t row, int64_t rows, int64_t cell, int64_t count, bool *visible) const;

  private:
    int64_t head(int64_t group, int64_t row) const {
        return group * group_heads() + row % group_heads();
    }
};

// Rows of a group, over a range of cells.
struct Block {
    int64_t group, row, rows, first_cell, end_cell;
};

struct RowState {
    float maximum;  // of the scores so far
    float sum;      // of the weights so far, relative to that maximum
};

// Memory that begins with a line of the cache, so that no vector lies in two of them.
template <class Value>
struct LineAllocator {
    using value_type = Value;
    LineAllocator() = default;
    template <class Other>
    LineAllocator(const LineAllocator<Other> &) {}
    Value *allocate(size_t count) {
        return static_cast<Value *>(::operator new(count * sizeof(Value), std::align_val_t{64}));
    }
    void deallocate(Value *from, size_t) { ::operator delete(from, std::align_val_t{64}); }
    bool operator==(const LineAllocator &) const { return true; }
    bool operator!=(const LineAllocator &) const { return false; }
};
using Floats = std::vector<float, LineAllocator<float>>;

// What one thread needs for a block.
struct Scratch {
    Floats queries, keys, values, scores, outputs;
    std::vector<RowState> states;

    // Copies the queries of a block, scaled, and clears its outputs.
    void begin(const AttentionNode &node, const Block &block);
};

// Computes `scratch.outputs` and `scratch.states`: sums that are not divided by `sum` yet.
using AttendFunction = void (*)(const AttentionNode &, const Block &, Scratch &);

// Null where the compiler cannot make them for this kind of processor.
AttendFunction attend_avx2();
AttendFunction attend_avx512();
AttendFunction attend_neon();

}  // namespace streaming
