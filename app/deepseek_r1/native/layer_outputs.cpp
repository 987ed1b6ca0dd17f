#include "layer_outputs.hpp"

#include <charconv>
#include <cstring>

namespace streaming {

namespace {

constexpr char PREFIX[] = "l_out-";
constexpr size_t PREFIX_LENGTH = sizeof(PREFIX) - 1;

// Reads the field at this offset of a ggml_tensor.
template <typename Value>
Value field(const char *node, int64_t offset) {
    Value value;
    std::memcpy(&value, node + offset, sizeof(value));
    return value;
}

}  // namespace

const LayerOutputs::Layer *LayerOutputs::find(const char *node) const {
    const char *name = node + offsets_.name;
    if (layers_.empty() || std::strncmp(name, PREFIX, PREFIX_LENGTH) != 0) return nullptr;
    int number = 0;  // not by `atoi`: recent headers make it a function that needs glibc 2.38
    std::from_chars(name + PREFIX_LENGTH, name + std::strlen(name), number);
    for (const Layer &layer : layers_)
        if (layer.number == number) return &layer;
    return nullptr;
}

void LayerOutputs::copy(const char *node) {
    const Layer *layer = find(node);
    if (layer == nullptr) return;
    const auto width = field<int64_t>(node, offsets_.extent);
    const auto rows = field<int64_t>(node, offsets_.extent + sizeof(int64_t));
    const auto type = field<int32_t>(node, offsets_.type);
    if (type != offsets_.type_f32 || width != width_ || rows > rows_) return;
    std::memcpy(layer->destination, field<const float *>(node, offsets_.data),
                static_cast<size_t>(width * rows) * sizeof(float));
    count_++;
}

}  // namespace streaming
