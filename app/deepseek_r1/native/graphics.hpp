// Multiplies weights with many rows of activations on a graphics processor, through a back end of ggml.
//
// Weights stay where they are, in memory: those of one node are copied into the one buffer that the
// owner allocated, multiplied there, and the results are copied back. The eval callback turns nodes with
// many rows into custom nodes, which call `compute`: one of ggml's threads drives the graphics, the
// others wait. A few results of each node are compared with sums made here. Where they are wrong, or the
// driver reports an error, the computation is aborted, and all later nodes are left to llama.cpp.
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "custom_node.hpp"
#include "mul_mat_node.hpp"

namespace streaming {

// The beginning of a ggml_type_traits.
struct TypeTraits {
    const char *name;
    int64_t block, interleaved;
    size_t block_bytes;
    bool is_quantized;
    void (*to_float)(const void *blocks, float *values, int64_t count);
};

// ggml's functions by their own names without "ggml_", with what they work on. `context` has memory for
// the tensors and the graph of one product; `base` is the buffer's first address. `abort` becomes 1
// where a computation has to end.
struct GraphicsFunctions {
    char *(*new_tensor_2d)(void *context, int32_t type, int64_t width, int64_t rows);
    char *(*mul_mat)(void *context, char *weights, char *activations);
    void *(*new_graph_custom)(void *context, size_t nodes, bool gradients);
    void (*build_forward_expand)(void *graph, char *node);
    void (*reset)(void *context);
    size_t (*nbytes)(const char *tensor);
    int (*backend_tensor_alloc)(void *buffer, char *tensor, void *address);
    void (*backend_tensor_set)(char *tensor, const void *data, size_t offset, size_t nbytes);
    void (*backend_tensor_get)(const char *tensor, void *data, size_t offset, size_t nbytes);
    bool (*backend_dev_supports_op)(void *device, const char *node);
    int (*backend_graph_compute)(void *backend, void *graph);
    const TypeTraits *(*get_type_traits)(int32_t type);
    void *context, *device, *backend, *buffer;
    char *base, *abort;
    int64_t buffer_bytes, alignment;
};

// The products of one context on one device.
class Graphics {
  public:
    enum Failure { NONE = 0, DRIVER = 1, WRONG_RESULTS = 2 };

    Graphics(const GraphicsFunctions &ggml, int64_t least_rows)
        : ggml_(ggml), least_rows_(least_rows) {}

    void set_layout(const CustomNodeLayout &layout) { layout_ = layout; }
    // Turns a node that is about to be computed into a custom node, where it is a multiplication of
    // weights in their file's layout that the device supports and the buffer holds. After a failure,
    // turns it back: llama.cpp uses a graph again for another pass of the same size.
    void substitute(char *node) noexcept;
    // A ggml_custom_op_t but for its type.
    void compute(const char *node, int thread) noexcept;
    // Computes a product of whatever the buffer holds, so that the driver makes what it needs for it.
    bool warm_up(int32_t type, int64_t width, int64_t outputs, int64_t rows) noexcept;
    // Why nothing is computed on the device any more.
    Failure failure() const { return failure_; }

  private:
    bool is_ours(const char *node) const;
    void restore(char *node) const;
    bool can_compute(const Tensor &result) const;
    bool multiply(int32_t type, const MulMatNode &node);
    bool is_right(int32_t type, const MulMatNode &node);
    void fail(Failure failure) {
        failure_ = failure;
        *ggml_.abort = 1;
    }
    int64_t padded(int64_t nbytes) const {
        return (nbytes + ggml_.alignment - 1) / ggml_.alignment * ggml_.alignment;
    }

    const GraphicsFunctions ggml_;
    const int64_t least_rows_;
    CustomNodeLayout layout_{};
    std::vector<float> weights_;  // of one output
    uint32_t sample_ = 1;
    std::atomic<Failure> failure_{NONE};
};

}  // namespace streaming
