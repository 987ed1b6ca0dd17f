#include "attention.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace streaming {

namespace {

constexpr int64_t wanted_items = 16;      // of a node: work for all threads of a laptop
constexpr int64_t least_part_cells = 256;  // joining parts costs as much as a few cells
constexpr int64_t state_floats = 2;
constexpr uint16_t f16_minus_infinity = 0xFC00;
constexpr int scale_offset = 48;  // in the parameters of a custom node
constexpr int32_t type_f16 = 1, type_q4_0 = 2, type_q8_0 = 8;  // enum ggml_type

template <class Value>
Value read_as(const char *address) {
    Value value;
    std::memcpy(&value, address, sizeof value);
    return value;
}

bool find_cache_type(int32_t type, CacheType &found) {
    if (type == type_f16) found = CacheType::f16;
    if (type == type_q8_0) found = CacheType::q8_0;
    if (type == type_q4_0) found = CacheType::q4_0;
    return type == type_f16 || type == type_q8_0 || type == type_q4_0;
}

}  // namespace

bool AttentionNode::any_visible(int64_t row, int64_t rows, int64_t cell, int64_t count) const {
    if (mask == nullptr) return true;
    const int64_t last = (row + rows - 1) / group_heads();
    for (int64_t token = row / group_heads(); token <= last; token++) {
        const char *from = mask + token * mask_stride + 2 * cell;
        for (int64_t i = 0; i < count; i++)
            if (read_as<uint16_t>(from + 2 * i) != f16_minus_infinity) return true;
    }
    return false;
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

// The items that threads take: rows of a group over a part of the cells. They depend on the node
// alone, not on the number of threads, and so do the results.
struct Attention::Parts {
    int64_t blocks, ranges, range_cells, rows, row_floats;

    explicit Parts(const AttentionNode &node) {
        blocks = (node.group_rows() + block_rows - 1) / block_rows;
        const int64_t whole = node.groups * blocks;
        const int64_t most = std::max<int64_t>(1, node.cells / least_part_cells);
        ranges = std::clamp<int64_t>((wanted_items + whole - 1) / whole, 1, most);
        range_cells = (node.cells + ranges - 1) / ranges;
        range_cells = (range_cells + tile_cells - 1) / tile_cells * tile_cells;
        ranges = (node.cells + range_cells - 1) / range_cells;
        rows = std::min(block_rows, node.group_rows());
        row_floats = state_floats + node.value_width;
    }
    int64_t items(const AttentionNode &node) const { return node.groups * blocks * ranges; }
    int64_t floats(const AttentionNode &node) const {
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

void Attention::substitute(char *node) {
    if (read_as<int32_t>(node + layout_.operation) != layout_.attention_operation) return;
    char *parameters = node + layout_.parameters;
    AttentionNode known;
    if (!read(node, parameters, known)) return;
    parts_.resize(std::max<size_t>(parts_.size(), Parts(known).floats(known)));
    std::memcpy(parameters, layout_.custom_parameters, parameter_bytes);
    std::memcpy(parameters + scale_offset, &known.scale, sizeof known.scale);
    const auto operation = static_cast<int32_t>(layout_.custom_operation);
    std::memcpy(node + layout_.operation, &operation, sizeof operation);
}

// Reads a node whose scale is at `scale`, before what only nodes of attention have: the bias and the
// soft cap. False where the node is none that is known here.
bool Attention::read(const char *node, const char *scale, AttentionNode &read) const {
    const TensorOffsets &at = layout_.offsets;
    const auto operand = [&](int i) { return read_as<const char *>(node + at.source + 8 * i); };
    const auto extent = [&](const char *tensor, int i) {
        return read_as<int64_t>(tensor + at.extent + 8 * i);
    };
    const auto stride = [&](const char *tensor, int i) {
        return read_as<int64_t>(tensor + layout_.strides + 8 * i);
    };
    const auto data = [&](const char *tensor) { return read_as<char *>(tensor + at.data); };
    const auto type = [&](const char *tensor) { return read_as<int32_t>(tensor + at.type); };
    const char *queries = operand(0), *keys = operand(1), *values = operand(2), *mask = operand(3);
    const char *sinks = operand(4);
    const bool attends = read_as<int32_t>(node + layout_.operation) == layout_.attention_operation;
    const bool plain = !attends || (read_as<float>(scale + 4) == 0 && read_as<float>(scale + 8) == 0);
    read = {data(queries), data(keys), data(values), mask == nullptr ? nullptr : data(mask),
            reinterpret_cast<float *>(data(node)), extent(keys, 0), extent(values, 0),
            extent(queries, 1), extent(keys, 1), extent(queries, 2), extent(keys, 2),
            stride(queries, 1), stride(queries, 2), stride(keys, 1), stride(keys, 2),
            stride(values, 1), stride(values, 2), mask == nullptr ? 0 : stride(mask, 1),
            CacheType::f16, CacheType::f16, read_as<float>(scale)};
    return plain && sinks == nullptr && find_cache_type(type(keys), read.key_type) &&
           find_cache_type(type(values), read.value_type) && type(queries) == at.type_f32 &&
           type(node) == at.type_f32 && extent(queries, 3) == 1 && extent(keys, 3) == 1 &&
           extent(values, 2) == read.groups && read.groups > 0 && read.heads % read.groups == 0 &&
           read.key_width % 32 == 0 && read.value_width % 32 == 0 && read.cells > 0 &&
           (mask == nullptr || (type(mask) == type_f16 && extent(mask, 0) >= read.cells &&
                                extent(mask, 2) == 1 && extent(mask, 3) == 1));
}

void Attention::compute(const char *node, int thread, int threads) {
    AttentionNode known;
    read(node, node + layout_.parameters + scale_offset, known);
    const Parts parts(known);
    if (thread < most_threads) {
        Scratch &scratch = scratch_[thread];
        int64_t item;
        while ((item = next_item_.fetch_add(1)) < parts.items(known)) {
            const Block block = parts.block(known, item);
            attend_(known, block, scratch);
            if (parts.ranges == 1)
                write_output(known, block, scratch);
            else
                keep_part(parts, item, block, scratch);
        }
    }
    // ggml lets no thread begin another node before all have ended this one.
    if (finished_threads_.fetch_add(1) + 1 < threads) return;
    if (parts.ranges > 1) join_parts(known, parts);
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

void Attention::keep_part(const Parts &parts, int64_t item, const Block &block,
                          const Scratch &scratch) {
    const int64_t width = parts.row_floats - state_floats;
    for (int64_t row = 0; row < block.rows; row++) {
        float *to = parts_.data() + parts.offset(item, row);
        to[0] = scratch.states[row].maximum;
        to[1] = scratch.states[row].sum;
        std::copy_n(scratch.outputs.data() + row * width, width, to + state_floats);
    }
}

void Attention::join_parts(const AttentionNode &node, const Parts &parts) const {
    for (int64_t first = 0; first < parts.items(node); first += parts.ranges) {
        const Block block = parts.block(node, first);
        for (int64_t row = 0; row < block.rows; row++) {
            float maximum = -std::numeric_limits<float>::infinity(), sum = 0;
            for (int64_t i = 0; i < parts.ranges; i++)
                maximum = std::max(maximum, parts_[parts.offset(first + i, row)]);
            float *to = node.output_at(block.group, block.row + row);
            std::fill_n(to, node.value_width, 0.0f);
            for (int64_t i = 0; i < parts.ranges; i++) {
                const float *part = parts_.data() + parts.offset(first + i, row);
                if (part[1] == 0) continue;
                const float weight = std::exp(part[0] - maximum);
                sum += weight * part[1];
                for (int64_t j = 0; j < node.value_width; j++)
                    to[j] += weight * part[state_floats + j];
            }
            const float scale = sum == 0 ? 0 : 1 / sum;
            for (int64_t j = 0; j < node.value_width; j++) to[j] *= scale;
        }
    }
}

}  // namespace streaming
