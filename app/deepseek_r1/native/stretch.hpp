// Which weights a stretch of llama.cpp's graph needs, seen node by node.
//
// Before each node llama.cpp asks the callback, which sees by the node's first operand which weight
// is needed, waits for it, points the weight's tensor to it, and ends the stretch that is computed
// in one go where the next weight is not there yet. That is a thousand times a token, and takes no
// lock but the ring's: whatever else the program does, nobody waits for it here. What is rare, or
// needs to know more than the ring does, the owner decides.
#pragma once

#include <cstdint>
#include <unordered_map>
#include <vector>

#include "ring.hpp"

namespace streaming {

// Offsets in bytes in a ggml_tensor, and the number that ggml gives to the type of whole numbers.
struct TensorLayout {
    int64_t type, source, data;
    int64_t whole_numbers;
};

// Functions that answer as the callback does, and 0 where they failed.
struct Owner {
    // Have what a node needs in place; or, without `ask`, hear that a stretch was computed.
    int (*on_node)(uint64_t node, int ask);
    // A weight is needed again: another pass over the layers begins.
    int (*on_pass)();
};

class Stretch {
  public:
    Stretch(Ring &ring, TensorLayout layout, Owner owner)
        : ring_(ring), layout_(layout), owner_(owner) {}

    // The weight that this tensor stands for is not at home. It is the ring's weight of this
    // number; or, with -1, the owner has it in place whenever a node needs it.
    void watch(uint64_t tensor, int weight) { watched_[tensor] = {weight, 0}; }
    void forget(uint64_t tensor) { watched_.erase(tensor); }
    // Whether the owner sees nodes of whole numbers, and hears of the end of every stretch.
    void show(bool whole_numbers, bool ends);
    // A node needs a weight; if this pass needed it before, another pass begins.
    bool see(uint64_t tensor);
    // Another pass begins; which weights' tensors the last one needed, in this order.
    std::vector<uint64_t> begin_pass();

    // A ggml_backend_sched_eval_callback.
    bool on_node(char *node, bool ask);

  private:
    struct Watched {
        int weight;
        int pass;  // that needed it last
    };

    Ring &ring_;
    const TensorLayout layout_;
    const Owner owner_;
    std::unordered_map<uint64_t, Watched> watched_;  // by tensor
    std::vector<uint64_t> seen_;                     // in this pass
    int pass_ = 1;
    bool shows_whole_numbers_ = false, shows_ends_ = false;
};

}  // namespace streaming
