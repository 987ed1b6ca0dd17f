// The eval callback: finds the weight that each graph node needs and waits for it.
//
// llama.cpp calls it before each node. It looks up the node's first operand, waits for that
// weight in the prefetch ring, points the weight's tensor to it, and ends the run of nodes that is
// computed in one go where the next weight has not been read yet. This happens a thousand times per
// token and takes no lock but the ring's, so no other thread of the program can delay it. Rare cases,
// and those that need to know more than the ring does, are left to the handlers.
#pragma once

#include <cstdint>
#include <unordered_map>
#include <vector>

#include "node_kernels.hpp"
#include "prefetch_ring.hpp"
#include "tensor_offsets.hpp"

namespace streaming {

// Functions that return what the callback returns, and 0 where they failed.
struct Handlers {
    // With `ask`: puts what a node needs in place; where that fails, anything readable, since ggml may
    // compute the node before it looks at its abort flag. Without: a run of nodes was computed.
    int (*on_node)(uint64_t node, int ask);
    // A weight is needed for the second time: another pass over the layers begins.
    int (*on_pass)();
};

class EvalCallback {
  public:
    EvalCallback(PrefetchRing &ring, TensorOffsets offsets, Handlers handlers)
        : ring_(ring), offsets_(offsets), handlers_(handlers) {}

    // The weight behind this tensor is not resident any more. `weight` is its number in the ring, or
    // -1 where the handler provides it whenever a node needs it.
    void evict(uint64_t tensor, int weight) { nonresident_[tensor] = {weight, 0}; }
    // The weight behind this tensor is resident from now on.
    void admit(uint64_t tensor) { nonresident_.erase(tensor); }
    // Whether the handler is called for nodes of integers, and after each computed run of nodes.
    void set_filter(bool integer_nodes, bool computed_runs);
    // The kernels that compute nodes from now on.
    void set_kernels(NodeKernels kernels) { kernels_ = kernels; }
    // Records that a node needs a weight. Where this pass has needed it before, another pass begins.
    // False where `on_pass` failed.
    bool touch(uint64_t tensor);
    // Begins another pass; returns the tensors that the last one needed, in order of use.
    std::vector<uint64_t> begin_pass();

    // A ggml_backend_sched_eval_callback.
    bool on_node(char *node, bool ask);

  private:
    bool on_computed(char *node);
    // Puts what a node needs in place; true where the run of nodes has to end with it.
    bool prepare(char *node);

    struct Nonresident {
        int weight;
        int last_pass;  // the pass that needed it last
    };

    PrefetchRing &ring_;
    const TensorOffsets offsets_;
    const Handlers handlers_;
    std::unordered_map<uint64_t, Nonresident> nonresident_;  // by tensor
    std::vector<uint64_t> touched_;                          // in this pass
    int pass_ = 1;
    bool integer_nodes_ = false, computed_runs_ = false;
    NodeKernels kernels_{};
};

}  // namespace streaming
