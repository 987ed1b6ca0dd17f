#include "graphics.hpp"

#include <cmath>

namespace streaming {

namespace {

constexpr int hint_offset = 4;  // in the parameters of a multiplication
constexpr size_t graph_nodes = 8;
constexpr int samples = 16;  // results of a node that are compared
// Of the size that sums of so many products have: activations that are quantised to 8 bits, or sums of
// 16 bits, are off by 0.01 to 0.03 of it.
constexpr double tolerance = 0.15;

}  // namespace

void Graphics::substitute(char *node) noexcept {
    const Tensor result(node, layout_);
    if (failure_ != NONE) {
        if (is_ours(node)) restore(node);
    } else if (result.operation() == layout_.replaced_operation && can_compute(result) &&
               ggml_.backend_dev_supports_op(ggml_.device, node)) {
        const auto precision = result.parameter<int32_t>(0);
        make_custom(node, layout_);
        std::memcpy(node + layout_.parameters + unused_parameters, &precision, sizeof precision);
    }
}

bool Graphics::is_ours(const char *node) const {
    return Tensor(node, layout_).operation() == layout_.custom_operation &&
           !std::memcmp(node + layout_.parameters, layout_.custom_parameters, unused_parameters);
}

void Graphics::restore(char *node) const {
    const auto precision = Tensor(node, layout_).parameter<int32_t>(unused_parameters);
    const auto operation = static_cast<int32_t>(layout_.replaced_operation);
    std::memset(node + layout_.parameters, 0, parameter_bytes);
    std::memcpy(node + layout_.parameters, &precision, sizeof precision);
    std::memcpy(node + layout_.operation, &operation, sizeof operation);
}

bool Graphics::can_compute(const Tensor &result) const {
    const Tensor weights = result.operand(0), activations = result.operand(1);
    const int64_t width = weights.extent(0), outputs = weights.extent(1), rows = result.extent(1);
    const TypeTraits &traits = *ggml_.get_type_traits(weights.type());
    const auto is_matrix = [](const Tensor &tensor, int64_t row_bytes) {
        return tensor.extent(2) == 1 && tensor.extent(3) == 1 && tensor.stride(1) == row_bytes;
    };
    const auto is_f32 = [&](const Tensor &tensor) {
        return tensor.type() == layout_.offsets.type_f32 && tensor.stride(0) == sizeof(float) &&
               is_matrix(tensor, tensor.extent(0) * sizeof(float));
    };
    if (rows < least_rows_ || traits.to_float == nullptr || weights.is_repacked()) return false;
    const int64_t row_bytes = width / traits.block * traits.block_bytes;
    return is_matrix(weights, row_bytes) && is_f32(activations) && is_f32(result) &&
           activations.extent(0) == width && activations.extent(1) == rows &&
           result.parameter<int32_t>(hint_offset) == 0 &&
           padded(outputs * row_bytes) + padded(rows * width * sizeof(float)) +
                   padded(rows * outputs * sizeof(float)) <= ggml_.buffer_bytes;
}

void Graphics::compute(const char *node, int thread) noexcept {
    if (thread != 0 || failure_ != NONE) return;
    const Tensor result(node, layout_), weights = result.operand(0), activations = result.operand(1);
    const int32_t type = weights.type();
    const MulMatNode found{weights.data(),    activations.data(),    result.data(),
                           weights.extent(0), weights.extent(1),     result.extent(1),
                           weights.stride(1), activations.stride(1), result.stride(1)};
    try {
        if (!multiply(type, found)) {
            fail(DRIVER);
        } else if (!is_right(type, found)) {
            fail(WRONG_RESULTS);
        }
    } catch (...) {  // the driver's errors are exceptions of the back end
        fail(DRIVER);
    }
}

bool Graphics::warm_up(int32_t type, int64_t width, int64_t outputs, int64_t rows) noexcept {
    try {
        return multiply(type, {nullptr, nullptr, nullptr, width, outputs, rows, 0, 0, 0});
    } catch (...) {
        return false;
    }
}

bool Graphics::multiply(int32_t type, const MulMatNode &node) {
    ggml_.reset(ggml_.context);
    char *const weights = ggml_.new_tensor_2d(ggml_.context, type, node.width, node.outputs);
    char *const activations = ggml_.new_tensor_2d(
        ggml_.context, static_cast<int32_t>(layout_.offsets.type_f32), node.width, node.rows);
    char *const result = ggml_.mul_mat(ggml_.context, weights, activations);
    void *const graph = ggml_.new_graph_custom(ggml_.context, graph_nodes, false);
    ggml_.build_forward_expand(graph, result);
    char *address = ggml_.base;
    for (char *tensor : {weights, activations, result}) {
        if (ggml_.backend_tensor_alloc(ggml_.buffer, tensor, address) != 0) return false;
        address += padded(static_cast<int64_t>(ggml_.nbytes(tensor)));
    }
    if (node.weights == nullptr)
        return ggml_.backend_graph_compute(ggml_.backend, graph) == 0;
    ggml_.backend_tensor_set(weights, node.weights, 0, ggml_.nbytes(weights));
    ggml_.backend_tensor_set(activations, node.activations, 0, ggml_.nbytes(activations));
    if (ggml_.backend_graph_compute(ggml_.backend, graph) != 0) return false;
    ggml_.backend_tensor_get(result, node.results, 0, ggml_.nbytes(result));
    return true;
}

bool Graphics::is_right(int32_t type, const MulMatNode &node) {
    weights_.resize(node.width);
    for (int i = 0; i < samples; i++) {
        sample_ = sample_ * 1664525 + 1013904223;  // Numerical Recipes' generator
        const int64_t output = (sample_ >> 8) % node.outputs, row = (sample_ >> 4) % node.rows;
        ggml_.get_type_traits(type)->to_float(node.weights + output * node.weight_stride,
                                              weights_.data(), node.width);
        const float *const activations = node.activations_at(row);
        double sum = 0, of_weights = 0, of_activations = 0;
        for (int64_t k = 0; k < node.width; k++) {
            sum += double(weights_[k]) * activations[k];
            of_weights += double(weights_[k]) * weights_[k];
            of_activations += double(activations[k]) * activations[k];
        }
        const double usual = std::sqrt(of_weights * of_activations / node.width);
        const double found = node.results_at(row)[output];
        if (!(std::abs(found - sum) <= tolerance * usual)) return false;  // nor is NaN right
    }
    return true;
}

}  // namespace streaming
