// The kernels that compute nodes of one context's graph in llama.cpp's place.
#pragma once

#include "attention.hpp"
#include "graphics.hpp"
#include "mul_mat.hpp"

namespace streaming {

struct NodeKernels {
    Attention *attention;  // null where llama.cpp computes attention itself
    MulMat *mul_mat;       // null where it computes all multiplications itself
    Graphics *graphics;    // null where no graphics processor computes any

    // For each node before it is computed.
    void substitute(char *node) const {
        if (attention != nullptr) attention->substitute(node);
        if (graphics != nullptr) graphics->substitute(node);
        if (mul_mat != nullptr) mul_mat->substitute(node);
    }
};

}  // namespace streaming
