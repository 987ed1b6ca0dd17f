// The types that the kernels for one kind of vectors multiply. No include guard, as in `mul_mat_kernel.hpp`,
// which has to be included before, and `mul_mat_blocks.hpp` or what takes its place.

#include "mul_mat_q1_0.hpp"
#include "mul_mat_q2_0.hpp"

namespace blocks {

template <class Block>
void multiply(const MulMatNode &group, const void *activations, int64_t first, int64_t end) {
    const auto *y = static_cast<const BlockActivations *>(activations);
    with_constant(group.rows, [&](auto rows) { multiply_rows<Block, rows>(group, y, first, end); });
}

template <class Block>
constexpr WeightFormat format_of(int32_t type) {
    return {type,     block_values,    sizeof(Block),       sizeof(BlockActivations), true,
            quantize, multiply<Block>, part_of<Block>};
}

}  // namespace blocks

template <class Unpacked>
constexpr WeightFormat format_of(int32_t type) {
    constexpr bool has_quads = std::is_same_v<typename Unpacked::Activations, Q3KActivations>;
    return {type,
            k_values,
            sizeof(typename Unpacked::Block),
            sizeof(typename Unpacked::Activations),
            true,
            has_quads ? quantize_q8_k_quads : quantize_q8_k,
            multiply<Unpacked>,
            part_of<Unpacked>};
}

constexpr WeightFormat formats[] = {format_of<UnpackedQ3K>(type_q3_k),
                                    format_of<UnpackedQ4K>(type_q4_k),
                                    format_of<UnpackedQ5K>(type_q5_k),
                                    format_of<UnpackedQ6K>(type_q6_k),
                                    blocks::format_of<BlockQ40>(type_q4_0),
                                    blocks::format_of<BlockQ50>(type_q5_0),
                                    blocks::format_of<BlockQ80>(type_q8_0),
                                    q1_0::format,
                                    q2_0::format};
