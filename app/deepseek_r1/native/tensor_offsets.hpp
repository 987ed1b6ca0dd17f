// Where ggml keeps what we read of its tensors. Python finds the offsets and checks them.
#pragma once

#include <cstdint>

namespace streaming {

// Offsets in bytes in a ggml_tensor, and ggml's numbers for two types.
struct TensorOffsets {
    int64_t type, extent, source, data, name;
    int64_t type_f32, type_i32;
};

}  // namespace streaming
