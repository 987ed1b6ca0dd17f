// The eval callback of contexts without streamed weights.
#pragma once

#include "layer_outputs.hpp"
#include "node_kernels.hpp"

namespace streaming {

struct ContextCallback {
    NodeKernels kernels;
    LayerOutputs *outputs;  // null where no layer's outputs are copied

    // A ggml_backend_sched_eval_callback.
    bool on_node(char *node, bool ask) const {
        if (ask) kernels.substitute(node);
        if (ask) return outputs != nullptr && outputs->is_copied(node);
        if (outputs != nullptr) outputs->copy(node);
        return true;
    }
};

}  // namespace streaming
