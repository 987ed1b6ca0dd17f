// The type with two bits a value, which ggml multiplies one number at a time.
//
// No include guard: `mul_mat_avx2.cpp` and the others include it, each in its own namespace, with
// `Lanes` and `LaneFloats` (vectors of 32-bit numbers, one for each row of weights that is multiplied
// at once) and the functions on them defined before. Sums of 32 products are integers, hence exact;
// floats are added up in the order of `ggml_vec_dot_q2_0_q8_0_generic`, so that no bit of the results
// differs from its.

namespace q2_0 {

constexpr int lanes = sizeof(Lanes) / 4;
constexpr int weight_values = Q20Activations::blocks * block_values;
constexpr int64_t block_bytes = sizeof(BlockQ20);

// Rounded twice, as ggml's C is: the compiler must not fuse the two.
inline LaneFloats sum_and_product(LaneFloats sum, LaneFloats a, LaneFloats b) {
    LaneFloats product = a * b;
    asm("" : "+v"(product));
    return sum + product;
}

// The same block of `lanes` rows of weights. Lane i of a word is of row i.
struct Weights {
    Lanes words[4];  // 16 values each
    LaneFloats scales;

    explicit Weights(const char *const (&rows)[lanes], int64_t offset) {
        const auto part = [&](int number) { return every_fourth(rows, offset + 2, number); };
        const Lanes a = part(0), b = part(1), c = part(2), d = part(3);
        const Lanes ab = low_words(a, b), cd = low_words(c, d);
        const Lanes ab_high = high_words(a, b), cd_high = high_words(c, d);
        words[0] = low_pairs(ab, cd), words[1] = high_pairs(ab, cd);
        words[2] = low_pairs(ab_high, cd_high), words[3] = high_pairs(ab_high, cd_high);
        scales = f16_lanes(rows, offset);
    }
};

template <int ROWS>
inline void multiply_rows(const MulMatNode &group, const Q20Activations *activations, int64_t first,
                          int64_t end) {
    const int64_t blocks = group.width / weight_values;
    for (int64_t output = first; output < end; output += lanes) {
        const int64_t count = std::min<int64_t>(lanes, end - output);
        const char *rows[lanes];
        group.set_weights(output, end, rows);
        LaneFloats results[ROWS];
        for (LaneFloats &each : results) each = LaneFloats{};
        for (int64_t i = 0; i < blocks; i++) {
            // The next rows lie behind these: the processor sees too many streams to fetch ahead.
            const char *next = rows[0] + lanes * group.weight_stride + i * lanes * block_bytes;
            for (int line = 0; line < lanes * block_bytes; line += 64)
                __builtin_prefetch(next + line);
            const Weights weights(rows, i * block_bytes);
            const Q20Activations &y = activations[i];
            LaneFloats sums[ROWS];
#pragma GCC unroll 2
            for (int number = 0; number < Q20Activations::blocks; number++) {
                Lanes products[ROWS];
                for (Lanes &each : products) each = Lanes{};
#pragma GCC unroll 8
                for (int step = 0; step < 8; step++) {
                    const Lanes quants = two_bits(weights.words[2 * number + step / 4], step % 4);
#pragma GCC unroll 8
                    for (int row = 0; row < ROWS; row++)
                        products[row] = add_quad(products[row], quants, y.quads[row][number][step]);
                }
#pragma GCC unroll 8
                for (int row = 0; row < ROWS; row++) {
                    const LaneFloats found = floats(products[row], y.sums[row][number]);
                    const LaneFloats scale = repeated(y.scales[row][number]);
                    sums[row] = number ? sum_and_product(sums[row], scale, found) : scale * found;
                }
            }
#pragma GCC unroll 8
            for (int row = 0; row < ROWS; row++)
                results[row] = sum_and_product(results[row], weights.scales, sums[row]);
        }
        for (int row = 0; row < ROWS; row++)
            std::memcpy(group.results_at(row) + output, &results[row],
                        static_cast<size_t>(count) * sizeof(float));
    }
}

void multiply(const MulMatNode &group, const void *activations, int64_t first, int64_t end) {
    const auto *y = static_cast<const Q20Activations *>(activations);
    with_constant(group.rows, [&](auto rows) { multiply_rows<rows>(group, y, first, end); });
}

void quantize(const Quantizers &quantizers, const MulMatNode &group, int64_t number, void *block) {
    quantize_blocks<Q20Activations>(q8_0_of(quantizers), group, number, block);
}

constexpr WeightFormat format = {type_q2_0, weight_values, sizeof(BlockQ20), sizeof(Q20Activations),
                                 false,         quantize,         multiply};

}  // namespace q2_0
