// The type with one bit a value, for processors with AVX2.
//
// No include guard, as in `mul_mat_q2_0.hpp`, with `SignSums` (eight sums for each of the rows of
// weights that are multiplied at once) and the functions on them defined before. ggml unpacks the bits
// again for each row of activations, and turns the sign of each activation; here the products with 0 and
// 2 are added to the negative sum of the activations. Floats are added up in the order of
// `ggml_vec_dot_q1_0_q8_0` for AVX2, so that no bit of the results differs from its.

namespace q1_0 {

constexpr int outputs_of_vector = sizeof(SignSums) / 32;
constexpr int vectors = 4;  // that share what is loaded of the activations
constexpr int outputs_at_once = vectors * outputs_of_vector;
constexpr int weight_values = Q10Activations::blocks * block_values;

// Multiplies `ROWS` rows from row number `first_row`.
template <int ROWS>
inline void multiply_rows(const MulMatNode &group, const Q10Activations *activations, int first_row,
                          int64_t first, int64_t end) {
    const int64_t blocks = group.width / weight_values;
    for (int64_t output = first; output < end; output += outputs_at_once) {
        const int64_t count = std::min<int64_t>(outputs_at_once, end - output);
        const BlockQ10 *rows[outputs_at_once];
        group.set_weights(output, end, rows);
        SignFloats results[ROWS][vectors]{};
        for (int64_t i = 0; i < blocks; i++) {
            const Q10Activations &y = activations[i];
            SignFloats sums[ROWS][vectors];
#pragma GCC unroll 4
            for (int number = 0; number < Q10Activations::blocks; number++) {
                SignSums twos[vectors];
                for (int v = 0; v < vectors; v++)
                    twos[v] = zero_or_two(rows + v * outputs_of_vector, i, number);
#pragma GCC unroll 4
                for (int row = 0; row < ROWS; row++) {
                    const SignSums quants = repeated_bytes(y.quants[first_row + row][number]);
                    const SignSums start = repeated_bytes(y.negative_sums[first_row + row][number]);
                    const SignFloats scale = repeated(y.scales[first_row + row][number]);
#pragma GCC unroll 4
                    for (int v = 0; v < vectors; v++) {
                        const SignFloats found = sign_floats(start, twos[v], quants);
                        sums[row][v] =
                            number ? multiply_add(scale, found, sums[row][v]) : scale * found;
                    }
                }
            }
            for (int v = 0; v < vectors; v++) {
                const SignFloats scales = block_scales(rows + v * outputs_of_vector, i);
                for (int row = 0; row < ROWS; row++)
                    results[row][v] = multiply_add(scales, sums[row][v], results[row][v]);
            }
        }
        for (int row = 0; row < ROWS; row++) {
            __m256 of_output[outputs_at_once];
            std::memcpy(of_output, results[row], sizeof(of_output));
            for (int64_t i = 0; i < count; i++)
                group.results_at(first_row + row)[output + i] = total(of_output[i]);
        }
    }
}

void multiply(const MulMatNode &group, const void *activations, int64_t first, int64_t end) {
    const auto *y = static_cast<const Q10Activations *>(activations);
    constexpr int at_once = 4;
    for (int row = 0; row < group.rows; row += at_once)
        with_constant<at_once>(
            std::min<int64_t>(at_once, group.rows - row),
            [&](auto rows) { multiply_rows<rows>(group, y, row, first, end); });
}

void quantize(const Quantizers &quantizers, const MulMatNode &group, int64_t number, void *block) {
    quantize_blocks<Q10Activations>(q8_0_of(quantizers), group, number, block);
}

constexpr WeightFormat format = {type_q1_0, weight_values, sizeof(BlockQ10), sizeof(Q10Activations),
                                 false,         quantize,         multiply};

}  // namespace q1_0
