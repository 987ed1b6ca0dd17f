#include "mul_mat.hpp"

#include <algorithm>
#include <new>
#include <thread>

namespace streaming {

namespace {

constexpr int64_t least_outputs = 8, most_outputs = 32;  // rows of weights that a thread takes
constexpr int64_t items_for_thread = 4;                  // at least, so that all end at once
constexpr int32_t type_q4_k = 12, type_q6_k = 14;        // enum ggml_type
constexpr int hint_offset = 4;                           // in the parameters of a multiplication
constexpr int spins = 2000;                              // before a waiting thread lets others run

// ggml's block_q8_K.
struct QuantizedBlock {
    float scale;
    int8_t quants[block_values];
    int16_t sums[16];
};
static_assert(sizeof(QuantizedBlock) == 292);

void pause() {
#if HAS_X86_KERNELS
    __builtin_ia32_pause();
#endif
}

// Bytes of a block of weights; 0 for types that are not computed here.
int64_t block_bytes(int32_t type) {
    if (type == type_q4_k) return 144;
    return type == type_q6_k ? 210 : 0;
}

}  // namespace

void MulMat::substitute(char *node) noexcept {
    const Tensor result(node, layout_);
    if (result.operation() != layout_.replaced_operation || !can_compute(result)) return;
    const MulMatNode found = read(result);
    const auto needed = static_cast<size_t>(found.blocks() * found.groups());
    if (activations_.size() < needed) {
        try {
            activations_.resize(needed);
        } catch (const std::bad_alloc &) {
            return;
        }
    }
    make_custom(node, layout_);
}

bool MulMat::can_compute(const Tensor &result) const {
    const Tensor weights = result.operand(0), activations = result.operand(1);
    const auto is_matrix = [](const Tensor &tensor) {
        return tensor.extent(2) == 1 && tensor.extent(3) == 1;
    };
    const auto is_f32 = [&](const Tensor &tensor) {
        return tensor.type() == layout_.offsets.type_f32 && tensor.stride(0) == 4;
    };
    const int64_t rows = activations.extent(1);
    return rows >= least_rows_ && rows <= most_rows_ && block_bytes(weights.type()) != 0 &&
           !weights.is_repacked() && weights.stride(0) == block_bytes(weights.type()) &&
           is_matrix(weights) && weights.extent(0) % block_values == 0 && is_f32(activations) &&
           is_matrix(activations) && activations.extent(0) == weights.extent(0) && is_f32(result) &&
           is_matrix(result) && result.extent(0) == weights.extent(1) && result.extent(1) == rows &&
           result.parameter<int32_t>(hint_offset) == 0;
}

MulMatNode MulMat::read(const Tensor &result) const {
    const Tensor weights = result.operand(0), activations = result.operand(1);
    return {weights.data(),    activations.data(),
            result.data(),     weights.extent(0),
            weights.extent(1), activations.extent(1),
            weights.stride(1), activations.stride(1),
            result.stride(1),  weights.type() == type_q4_k ? WeightType::q4_k : WeightType::q6_k};
}

void MulMat::quantize_block(const MulMatNode &node, int64_t block) {
    for (int64_t row = 0; row < node.rows; row++) {
        QuantizedBlock found{};  // ggml leaves the sums of zeros as they are
        quantize_(node.activations_at(row) + block * block_values, &found, block_values);
        const int64_t group = row / group_rows, i = row % group_rows;
        ActivationBlock &to = activations_[group * node.blocks() + block];
        std::copy_n(found.quants, block_values, to.quants[i]);
        std::copy_n(found.sums, 16, to.sums[i]);
        for (int j = 0; j < 8; j++)
            to.pair_sums[i][j] = static_cast<int16_t>(found.sums[2 * j] + found.sums[2 * j + 1]);
        std::fill_n(to.scales[i], 4, found.scale);
    }
}

void MulMat::compute(const char *node, int /*thread*/, int threads) {
    const MulMatNode found = read(Tensor(node, layout_));
    const int64_t blocks = found.blocks();
    const int64_t items = items_for_thread * threads;
    const int64_t step = std::clamp(found.outputs / items, least_outputs, most_outputs);
    int64_t block, output;
    while ((block = next_block_.fetch_add(1)) < blocks) {
        quantize_block(found, block);
        quantized_blocks_.fetch_add(1);
    }
    for (int waited = 0; quantized_blocks_.load() < blocks;) {
        if (waited++ < spins) {
            pause();
        } else {
            waited = spins;
            std::this_thread::yield();
        }
    }
    while ((output = next_output_.fetch_add(step)) < found.outputs) {
        const int64_t end = std::min(output + step, found.outputs);
        for (int64_t group = 0; group < found.groups(); group++)
            multiply_(found.group(group), activations_.data() + group * blocks, output, end);
    }
    // ggml lets no thread begin another node before all have ended this one.
    if (finished_threads_.fetch_add(1) + 1 < threads) return;
    next_block_ = quantized_blocks_ = next_output_ = 0;
    finished_threads_ = 0;
}

}  // namespace streaming
