// Multiplies the weights of llama.cpp's graph with rows of activations.
//
// For fewer than eight rows (tokens), ggml unpacks each block of quantized weights again for each row;
// from eight on it unpacks whole tiles, which needs many more rows to be worth it. Drafts, the ends of
// prompts and several answers at once have few rows. And without AVX, ggml computes most types one
// number at a time. The eval callback turns such nodes into custom nodes, which call `compute`. Each
// row of their results has the bits that ggml computes for this row alone; of many rows, for which
// `mul_mat_lanes.hpp` unpacks weights first, those of an order of its own, beside any number of rows.
#pragma once

#include <atomic>
#include <cstdint>
#include <unordered_map>
#include <vector>

#include "custom_node.hpp"
#include "mul_mat_node.hpp"

namespace streaming {

// The multiplications of one context. It keeps memory for the activations of at most 64 rows of one
// node: up to 28 KiB for each 256 of their width.
class MulMat {
  public:
    MulMat(WeightFormats formats, Quantizers quantizers)
        : formats_(formats), quantizers_(quantizers) {}

    void set_layout(const CustomNodeLayout &layout) { layout_ = layout; }
    // Nodes of so many rows, from the first number to the second, become custom nodes: with weights of
    // one type, or of all types without a range of their own. Of any number where ggml computes a type
    // one number at a time.
    void set_rows(int64_t least, int64_t most) { rows_ = {least, most}; }
    void set_type_rows(int32_t type, int64_t least, int64_t most) {
        rows_by_type_[type] = {least, most};
    }

    // Turns a node that is about to be computed into a custom node, where it is a multiplication that
    // these kernels compute and there is memory for it. For the thread that computes.
    void substitute(char *node) noexcept;

    // A ggml_custom_op_t but for its type: thread `thread` of `threads` computes its share. All of them
    // have to call it for a node, once each, before one calls it for the next, as ggml's threads do.
    void compute(const char *node, int thread, int threads);

  private:
    struct alignas(64) Line {
        char bytes[64];
    };

    MulMatNode read(const Tensor &result) const;
    bool can_compute(const Tensor &result, const WeightFormat &format) const;
    void compute_part(const MulMatNode &part, const WeightFormat &format, int threads);
    char *activations_at(const WeightFormat &format, int64_t block) {
        return reinterpret_cast<char *>(activations_.data()) + block * format.activation_bytes;
    }

    const WeightFormats formats_;
    const Quantizers quantizers_;
    CustomNodeLayout layout_{};
    struct Rows {
        int64_t least, most;
    };
    Rows rows_{1, 0};  // none
    std::unordered_map<int32_t, Rows> rows_by_type_;
    std::vector<Line> activations_;           // the blocks of one part, those of a group together
    // Of the part that is computed: the block to quantize next, the blocks that are quantized, the row
    // of weights to multiply next, and the threads that have nothing left to do.
    std::atomic<int64_t> next_block_{0}, quantized_blocks_{0}, next_output_{0};
    std::atomic<int> finished_threads_{0};
    std::atomic<int64_t> finished_parts_{0};  // of the node
};

}  // namespace streaming
