// Copies what some layers give out while llama.cpp computes them.
//
// llama.cpp names the node behind a layer "l_out-N". Its memory belongs to another node soon after,
// so the eval callback ends a run of nodes there and copies it.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "tensor_offsets.hpp"

namespace streaming {

class LayerOutputs {
  public:
    // A layer gives out `width` values for each token, and at most `rows` tokens are computed at once.
    LayerOutputs(TensorOffsets offsets, int64_t width, int64_t rows)
        : offsets_(offsets), width_(width), rows_(rows) {}

    // Copies this layer's outputs to `to`, which has space for all rows, from now on.
    void add(int layer, float *to) { layers_.push_back({layer, to}); }
    void clear() { layers_.clear(); }

    // Whether a node is a layer that is copied.
    bool wants(const char *node) const { return find(node) != nullptr; }
    // Copies a node that was computed, if it is such a layer and is laid out as layers are.
    void copy(const char *node);
    // How many nodes were copied since this was called last.
    int take_count() { return std::exchange(count_, 0); }

    // A ggml_backend_sched_eval_callback for contexts that have no other.
    bool on_node(const char *node, bool ask) {
        if (ask) return wants(node);
        copy(node);
        return true;
    }

  private:
    struct Layer {
        int number;
        float *to;
    };

    const Layer *find(const char *node) const;

    const TensorOffsets offsets_;
    const int64_t width_, rows_;
    std::vector<Layer> layers_;
    int count_ = 0;
};

}  // namespace streaming
