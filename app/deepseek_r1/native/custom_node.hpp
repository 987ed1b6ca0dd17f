// A node of llama.cpp's graph, and how it becomes a custom node of ggml.
#pragma once

#include <cstdint>
#include <cstring>

#include "tensor_offsets.hpp"

namespace streaming {

constexpr int parameter_bytes = 64;    // of a node; its last 16 are not used by custom nodes
constexpr int unused_parameters = 48;  // their offset

// `weights/ggml/custom_node.py` finds and checks it, for one operation and one function.
struct CustomNodeLayout {
    TensorOffsets offsets;
    int64_t strides, operation, parameters, extra;  // offsets of `nb`, `op`, `op_params`, `extra`
    int64_t replaced_operation, custom_operation;  // ggml's numbers
    char custom_parameters[parameter_bytes];       // of a custom node that calls the function
};

template <class Value>
Value read_as(const char *address) {
    Value value;
    std::memcpy(&value, address, sizeof value);
    return value;
}

// A ggml_tensor.
class Tensor {
  public:
    Tensor(const char *address, const CustomNodeLayout &layout)
        : address_(address), layout_(layout) {}

    int32_t type() const { return read_as<int32_t>(address_ + layout_.offsets.type); }
    int32_t operation() const { return read_as<int32_t>(address_ + layout_.operation); }
    char *data() const { return read_as<char *>(address_ + layout_.offsets.data); }
    int64_t extent(int i) const {
        return read_as<int64_t>(address_ + layout_.offsets.extent + 8 * i);
    }
    int64_t stride(int i) const { return read_as<int64_t>(address_ + layout_.strides + 8 * i); }
    // Whether llama.cpp has another layout for a weight than the file's.
    bool is_repacked() const { return read_as<void *>(address_ + layout_.extra) != nullptr; }
    bool has_operand(int i) const { return operand_address(i) != nullptr; }
    Tensor operand(int i) const { return {operand_address(i), layout_}; }
    template <class Value>
    Value parameter(int offset) const {
        return read_as<Value>(address_ + layout_.parameters + offset);
    }

  private:
    const char *operand_address(int i) const {
        return read_as<const char *>(address_ + layout_.offsets.source + 8 * i);
    }

    const char *address_;
    const CustomNodeLayout &layout_;
};

// Makes a node a custom node, whose operands and result stay as they are.
inline void make_custom(char *node, const CustomNodeLayout &layout) {
    std::memcpy(node + layout.parameters, layout.custom_parameters, parameter_bytes);
    const auto operation = static_cast<int32_t>(layout.custom_operation);
    std::memcpy(node + layout.operation, &operation, sizeof operation);
}

}  // namespace streaming
