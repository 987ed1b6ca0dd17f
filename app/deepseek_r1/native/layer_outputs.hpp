// Copies the outputs of some layers while llama.cpp computes them.
//
// llama.cpp names the output node of layer N "l_out-N". Another node soon uses its memory, so the
// eval callback ends a run of nodes there and copies the output. For the thread that computes.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "tensor_offsets.hpp"

namespace streaming {

class LayerOutputs {
  public:
    // An output has `width` floats for each token; `rows` is the most tokens of one computation.
    LayerOutputs(TensorOffsets offsets, int64_t width, int64_t rows)
        : offsets_(offsets), width_(width), rows_(rows) {}

    // Copies this layer's outputs from now on; `destination` has space for `rows` x `width` floats.
    void add(int layer, float *destination) { layers_.push_back({layer, destination}); }
    // Copies nothing from now on.
    void clear() { layers_.clear(); }

    // Whether a node is the output of a layer that is copied.
    bool is_copied(const char *node) const { return find(node) != nullptr; }
    // Copies a computed node if it is such an output; not if its type or shape is unexpected.
    void copy(const char *node);
    // How many nodes were copied since the last call.
    int take_count() { return std::exchange(count_, 0); }

  private:
    struct Layer {
        int number;
        float *destination;
    };

    const Layer *find(const char *node) const;

    const TensorOffsets offsets_;
    const int64_t width_, rows_;
    std::vector<Layer> layers_;
    int count_ = 0;
};

}  // namespace streaming
