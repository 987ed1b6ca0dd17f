#include "mul_mat.hpp"

#include <algorithm>
#include <new>
#include <thread>

namespace streaming {

namespace {

constexpr int64_t part_rows = 64;         // computed at once
constexpr int64_t many_rows = 16;         // of activations, for which weights are unpacked before
constexpr int64_t outputs_in_cache = 32;  // rows of weights, for all groups in turn
constexpr int64_t outputs_unit = 16;      // a thread takes a multiple of so many rows of weights
constexpr int64_t shares_of_thread = 2;   // of the rows that are left: it takes one of them
constexpr int hint_offset = 4;            // in the parameters of a multiplication
constexpr int spins = 2000;               // before a waiting thread lets others run

void pause() {
#if HAS_X86_KERNELS
    __builtin_ia32_pause();
#endif
}

// Waits for other threads of the node until the value is `wanted`.
void wait_for(const std::atomic<int64_t> &value, int64_t wanted) {
    for (int waited = 0; value.load() != wanted;) {
        if (waited++ < spins) {
            pause();
        } else {
            waited = spins;
            std::this_thread::yield();
        }
    }
}

}  // namespace

void MulMat::substitute(char *node) noexcept {
    const Tensor result(node, layout_);
    if (result.operation() != layout_.replaced_operation) return;
    const WeightFormat *format = formats_.find(result.operand(0).type());
    if (format == nullptr || !can_compute(result, *format)) return;
    const MulMatNode part = read(result).part(0, part_rows);
    const int64_t blocks = part.width / format->values * part.groups();
    const auto needed = static_cast<size_t>(blocks * format->activation_bytes) / sizeof(Line);
    if (activations_.size() < needed) {
        try {
            activations_.resize(needed);
        } catch (const std::bad_alloc &) {
            return;
        }
    }
    make_custom(node, layout_);
}

bool MulMat::can_compute(const Tensor &result, const WeightFormat &format) const {
    const Tensor weights = result.operand(0), activations = result.operand(1);
    const auto is_matrix = [](const Tensor &tensor) {
        return tensor.extent(2) == 1 && tensor.extent(3) == 1;
    };
    const auto is_f32 = [&](const Tensor &tensor) {
        return tensor.type() == layout_.offsets.type_f32 && tensor.stride(0) == 4;
    };
    const int64_t rows = activations.extent(1);
    const auto own = rows_by_type_.find(format.type);
    const Rows &range = own == rows_by_type_.end() ? rows_ : own->second;
    const bool has_rows = !format.ggml_has_vectors || (rows >= range.least && rows <= range.most);
    return has_rows && !weights.is_repacked() &&
           weights.stride(0) == format.bytes && is_matrix(weights) &&
           weights.extent(0) % format.values == 0 && is_f32(activations) &&
           is_matrix(activations) && activations.extent(0) == weights.extent(0) && is_f32(result) &&
           is_matrix(result) && result.extent(0) == weights.extent(1) && result.extent(1) == rows &&
           result.parameter<int32_t>(hint_offset) == 0;
}

MulMatNode MulMat::read(const Tensor &result) const {
    const Tensor weights = result.operand(0), activations = result.operand(1);
    return {weights.data(),    activations.data(),    result.data(),
            weights.extent(0), weights.extent(1),     activations.extent(1),
            weights.stride(1), activations.stride(1), result.stride(1)};
}

void MulMat::compute(const char *node, int /*thread*/, int threads) {
    const Tensor result(node, layout_);
    const WeightFormat &format = *formats_.find(result.operand(0).type());
    const MulMatNode found = read(result);
    const int64_t parts = (found.rows + part_rows - 1) / part_rows;
    for (int64_t number = 0; number < parts; number++) {
        compute_part(found.part(number * part_rows, part_rows), format, threads);
        // The last thread makes the counters ready for the next part or node. ggml lets no thread
        // begin another node before all have ended this one.
        const bool is_last_part = number + 1 == parts;
        if (finished_threads_.fetch_add(1) + 1 == threads) {
            next_block_ = quantized_blocks_ = next_output_ = 0;
            finished_threads_ = 0;
            finished_parts_ = is_last_part ? 0 : number + 1;
        } else if (!is_last_part) {
            wait_for(finished_parts_, number + 1);
        }
    }
}

void MulMat::compute_part(const MulMatNode &part, const WeightFormat &format, int threads) {
    const int64_t width = part.width / format.values;  // in blocks
    const int64_t blocks = width * part.groups();
    int64_t block;
    while ((block = next_block_.fetch_add(1)) < blocks) {
        format.quantize(quantizers_, part.group(block / width), block % width,
                        activations_at(format, block));
        quantized_blocks_.fetch_add(1);
    }
    wait_for(quantized_blocks_, blocks);
    // Many rows at first, then fewer and fewer, so that all threads end at once. With 32 rows each in
    // turns it took up to twice as long: the processor fetched ahead what another thread computed.
    for (int64_t output = next_output_.load(); output < part.outputs;) {
        const int64_t left = part.outputs - output;
        const int64_t share = left / (shares_of_thread * threads) / outputs_unit * outputs_unit;
        const int64_t end = std::min(output + std::max(share, outputs_unit), part.outputs);
        if (!next_output_.compare_exchange_weak(output, end)) continue;
        if (format.multiply_part != nullptr && part.rows >= many_rows) {
            format.multiply_part(part, activations_.data(), output, end);
            output = end;
        }
        for (; output < end; output += outputs_in_cache)
            for (int64_t group = 0; group < part.groups(); group++)
                format.multiply(part.group(group), activations_at(format, group * width), output,
                                std::min(output + outputs_in_cache, end));
        output = next_output_.load();
    }
}

}  // namespace streaming
