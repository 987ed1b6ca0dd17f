// Offsets of the fields of a ggml_tensor. `weights/ggml/tensor_layout.py` finds and checks them.
#pragma once

#include <cstdint>

namespace streaming {

// Offsets in bytes of `type`, `ne`, `src` and `data`, and ggml's numbers for two types.
struct TensorOffsets {
    int64_t type, extent, source, data;
    int64_t type_f32, type_i32;
};

}  // namespace streaming
