#include "attention.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <new>

namespace streaming {

namespace {

constexpr int64_t wanted_items = 16;  // so that all threads of a laptop have work
constexpr int64_t least_cells = 256;  // of an item: llama.cpp enlarges a cache's view by as many
constexpr int64_t state_floats = 2;  // a RowState
constexpr uint16_t f16_minus_infinity = 0xFC00;
constexpr int scale_offset = 0, bias_offset = 4, soft_cap_offset = 8;  // in the parameters
constexpr int32_t type_f16 = 1, type_q4_0 = 2, type_q8_0 = 8;  // enum ggml_type

CacheType cache_type(int32_t type) {
    if (type == type_q8_0) return CacheType::q8_0;
    return type == type_q4_0 ? CacheType::q4_0 : CacheType::f16;
}

// Bytes of a block of one of the types of caches; 0 for other types.
int64_t block_bytes(int32_t type) {
    if (type == type_f16) return 2;
    if (type == type_q8_0) return 34;
    return type == type_q4_0 ? 18 : 0;
}

constexpr int operands = 4, most_operands = 10;  // queries, keys, values, mask; GGML_MAX_SRC

}  // namespace

bool AttentionNode::find_visible(int64_t row, int64_t rows, int64_t cell, int64_t count,
                                 bool *visible) const {
    std::fill_n(visible, count, mask == nullptr);
    bool any = mask == nullptr;
    const int64_t last = mask == nullptr ? -1 : (row + rows - 1) / group_heads();
    for (int64_t token = row / group_heads(); token <= last; token++) {
        const char *from = mask + token * mask_stride + 2 * cell;
        for (int64_t i = 0; i < count; i++) {
            const bool seen = read_as<uint16_t>(from + 2 * i) != f16_minus_infinity;
            visible[i] = visible[i] || seen;
            any = any || seen;
        }
    }
    return any;
}

void Scratch::begin(const AttentionNode &node, const Block &block) {
    queries.resize(std::max<size_t>(queries.size(), block_rows * node.key_width));
    keys.resize(std::max<size_t>(keys.size(), tile_cells * node.key_width));
    values.resize(std::max<size_t>(values.size(), tile_cells * node.value_width));
    scores.resize(block_rows * tile_cells);
    outputs.resize(std::max<size_t>(outputs.size(), block_rows * node.value_width));
    states.assign(block_rows, {-std::numeric_limits<float>::infinity(), 0.0f});
    std::fill_n(outputs.begin(), block.rows * node.value_width, 0.0f);
    for (int64_t row = 0; row < block.rows; row++) {
        const float *query = node.query_at(block.group, block.row + row);
        for (int64_t i = 0; i < node.key_width; i++)
            queries[row * node.key_width + i] = query[i] * node.scale;
    }
}

// The items that threads take: rows of a group over a range of cells. They depend on the node alone,
// not on the number of threads, and so do the results.
struct Attention::Division {
    int64_t blocks, ranges, range_cells, rows, row_floats;

    explicit Division(const AttentionNode &node) {
        blocks = (node.group_rows() + block_rows - 1) / block_rows;
        const int64_t whole = node.groups * blocks;
        const int64_t most = std::max<int64_t>(1, node.cells / least_cells);
        ranges = std::clamp<int64_t>((wanted_items + whole - 1) / whole, 1, most);
        range_cells = (node.cells + ranges - 1) / ranges;
        range_cells = (range_cells + tile_cells - 1) / tile_cells * tile_cells;
        ranges = (node.cells + range_cells - 1) / range_cells;
        rows = std::min(block_rows, node.group_rows());
        row_floats = state_floats + node.value_width;
    }
    int64_t items(const AttentionNode &node) const { return node.groups * blocks * ranges; }
    int64_t partial_floats(const AttentionNode &node) const {
        return ranges == 1 ? 0 : items(node) * rows * row_floats;
    }
    int64_t offset(int64_t item, int64_t row) const { return (item * rows + row) * row_floats; }
    Block block(const AttentionNode &node, int64_t item) const {
        const int64_t row = item / ranges % blocks * block_rows;
        const int64_t cell = item % ranges * range_cells;
        return {item / ranges / blocks, row, std::min(block_rows, node.group_rows() - row), cell,
                std::min(cell + range_cells, node.cells)};
    }
};

void Attention::substitute(char *node) noexcept {
    const Tensor result(node, layout_);
    if (result.operation() != layout_.replaced_operation || !can_compute(result)) return;
    const AttentionNode found = read(result, result.parameter<float>(scale_offset));
    try {
        partial_.resize(std::max<size_t>(partial_.size(), Division(found).partial_floats(found)));
    } catch (const std::bad_alloc &) {
        return;
    }
    make_custom(node, layout_);
    std::memcpy(node + layout_.parameters + unused_parameters, &found.scale, sizeof found.scale);
}

AttentionNode Attention::read(const Tensor &result, float scale) const {
    const Tensor queries = result.operand(0), keys = result.operand(1), values = result.operand(2);
    const bool masked = result.has_operand(3);
    const Tensor mask = result.operand(masked ? 3 : 0);
    return {queries.data(), keys.data(), values.data(), masked ? mask.data() : nullptr,
            reinterpret_cast<float *>(result.data()), keys.extent(0), values.extent(0),
            queries.extent(1), keys.extent(1), queries.extent(2), keys.extent(2),
            queries.stride(1), queries.stride(2), keys.stride(1), keys.stride(2),
            values.stride(1), values.stride(2), masked ? mask.stride(1) : 0,
            cache_type(keys.type()), cache_type(values.type()), scale};
}

// Whether the kernels can compute an attention node: not with a bias by distance, a soft cap or sinks.
bool Attention::can_compute(const Tensor &result) const {
    const Tensor queries = result.operand(0), keys = result.operand(1), values = result.operand(2);
    if (result.parameter<float>(bias_offset) != 0 || result.parameter<float>(soft_cap_offset) != 0)
        return false;
    for (int i = operands; i < most_operands; i++)
        if (result.has_operand(i)) return false;
    const int64_t heads = queries.extent(2), groups = keys.extent(2), tokens = queries.extent(1);
    const auto is_cache = [&](const Tensor &cache) {
        return block_bytes(cache.type()) != 0 && cache.stride(0) == block_bytes(cache.type()) &&
               cache.extent(0) % 32 == 0 && cache.extent(1) == keys.extent(1) &&
               cache.extent(2) == groups && cache.extent(3) == 1;
    };
    const auto is_f32 = [&](const Tensor &tensor, int64_t width, int64_t rows, int64_t others) {
        return tensor.type() == layout_.offsets.type_f32 && tensor.stride(0) == 4 &&
               tensor.extent(0) == width && tensor.extent(1) == rows &&
               tensor.extent(2) == others && tensor.extent(3) == 1;
    };
    if (keys.extent(1) == 0 || groups == 0 || heads % groups != 0) return false;
    if (!is_cache(keys) || !is_cache(values)) return false;
    if (!is_f32(queries, keys.extent(0), tokens, heads)) return false;
    if (!is_f32(result, values.extent(0), heads, tokens)) return false;
    if (result.stride(1) != 4 * result.extent(0) || result.stride(2) != heads * result.stride(1))
        return false;
    if (!result.has_operand(3)) return true;
    const Tensor mask = result.operand(3);
    return mask.type() == type_f16 && mask.stride(0) == 2 && mask.extent(0) >= keys.extent(1) &&
           mask.extent(1) >= tokens && mask.extent(2) == 1 && mask.extent(3) == 1;
}

void Attention::compute(const char *node, int thread, int threads) {
    const Tensor result(node, layout_);
    const AttentionNode found = read(result, result.parameter<float>(unused_parameters));
    const Division division(found);
    if (thread < most_threads) {
        Scratch &scratch = scratch_[thread];
        int64_t item;
        while ((item = next_item_.fetch_add(1)) < division.items(found)) {
            const Block block = division.block(found, item);
            attend_(found, block, scratch);
            if (division.ranges == 1)
                write_output(found, block, scratch);
            else
                keep_partial(division, item, block, scratch);
        }
    }
    // ggml lets no thread begin another node before all have ended this one.
    if (finished_threads_.fetch_add(1) + 1 < threads) return;
    if (division.ranges > 1) join(found, division);
    next_item_ = 0;
    finished_threads_ = 0;
}

void Attention::write_output(const AttentionNode &node, const Block &block,
                             const Scratch &scratch) const {
    for (int64_t row = 0; row < block.rows; row++) {
        const float sum = scratch.states[row].sum;
        const float scale = sum == 0 ? 0 : 1 / sum;
        const float *from = scratch.outputs.data() + row * node.value_width;
        float *to = node.output_at(block.group, block.row + row);
        for (int64_t i = 0; i < node.value_width; i++) to[i] = from[i] * scale;
    }
}

void Attention::keep_partial(const Division &division, int64_t item, const Block &block,
                             const Scratch &scratch) {
    const int64_t width = division.row_floats - state_floats;
    for (int64_t row = 0; row < block.rows; row++) {
        float *to = partial_.data() + division.offset(item, row);
        to[0] = scratch.states[row].maximum;
        to[1] = scratch.states[row].sum;
        std::copy_n(scratch.outputs.data() + row * width, width, to + state_floats);
    }
}

void Attention::join(const AttentionNode &node, const Division &division) const {
    for (int64_t first = 0; first < division.items(node); first += division.ranges) {
        const Block block = division.block(node, first);
        for (int64_t row = 0; row < block.rows; row++) {
            float maximum = -std::numeric_limits<float>::infinity(), sum = 0;
            for (int64_t i = 0; i < division.ranges; i++)
                maximum = std::max(maximum, partial_[division.offset(first + i, row)]);
            float *to = node.output_at(block.group, block.row + row);
            std::fill_n(to, node.value_width, 0.0f);
            for (int64_t i = 0; i < division.ranges; i++) {
                const float *partial = partial_.data() + division.offset(first + i, row);
                if (partial[1] == 0) continue;
                const float weight = std::exp(partial[0] - maximum);
                sum += weight * partial[1];
                for (int64_t j = 0; j < node.value_width; j++)
                    to[j] += weight * partial[state_floats + j];
            }
            const float scale = sum == 0 ? 0 : 1 / sum;
            for (int64_t j = 0; j < node.value_width; j++) to[j] *= scale;
        }
    }
}

}  // namespace streaming
