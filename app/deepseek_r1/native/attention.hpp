// Computes the attention of llama.cpp's graph.
//
// llama.cpp's own flash attention takes one row at a time for fewer than 64 tokens, and always with a
// quantized cache: it reads and converts keys and values again for each head of a group and each token
// of a batch, which costs most in long conversations and with drafts. The eval callback turns each
// attention node that these kernels can compute into a custom node of ggml, which calls `compute`; the
// others stay as they are.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <vector>

#include "attention_node.hpp"
#include "custom_node.hpp"

namespace streaming {

// The attention of one context. It keeps memory between computations: 104 KiB for each thread where
// keys and values are 128 wide, in proportion to their width, and the partial results of a node.
class Attention {
  public:
    explicit Attention(AttendFunction attend) : attend_(attend) {}

    void set_layout(const CustomNodeLayout &layout) { layout_ = layout; }

    // Turns a node that is about to be computed into a custom node, where it is one of attention that
    // these kernels can compute and there is memory for it. For the thread that computes.
    void substitute(char *node) noexcept;

    // A ggml_custom_op_t but for its type: thread `thread` of `threads` computes its share.
    void compute(const char *node, int thread, int threads);

  private:
    struct Division;

    AttentionNode read(const Tensor &result, float scale) const;
    bool can_compute(const Tensor &result) const;
    void write_output(const AttentionNode &node, const Block &block, const Scratch &scratch) const;
    void keep_partial(const Division &division, int64_t item, const Block &block, const Scratch &scratch);
    void join(const AttentionNode &node, const Division &division) const;

    static constexpr int most_threads = 512;  // ggml's GGML_MAX_N_THREADS

    const AttendFunction attend_;
    CustomNodeLayout layout_{};
    std::array<Scratch, most_threads> scratch_;
    std::vector<float> partial_;  // for each item and row: its state, then its output
    std::atomic<int64_t> next_item_{0};
    std::atomic<int> finished_threads_{0};
};

}  // namespace streaming
