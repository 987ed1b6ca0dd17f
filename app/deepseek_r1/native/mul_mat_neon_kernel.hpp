// Rows of activations times rows of weights with the 128-bit vectors of NEON: Q4_K, Q6_K and Q8_0.
//
// No include guard: `mul_mat_neon.cpp` includes it twice, each time in another namespace, with `add_dot`
// defined before: it adds 16 products of bytes to four sums.
//
// Integers are exact. Floats are added up in the order of ggml's kernels for NEON
// (`ggml_vec_dot_q4_K_q8_K` and the others), products and sums fused as compilers do it there.

inline float f16(uint16_t bits) {
    return vgetq_lane_f32(vcvt_f32_f16(vreinterpret_f16_u16(vdup_n_u16(bits))), 0);
}
inline int8x16_t signed_bytes(uint8x16_t x) { return vreinterpretq_s8_u8(x); }
inline int8x16_t low_nibbles(uint8x16_t x) {
    return signed_bytes(vandq_u8(x, vdupq_n_u8(15)));
}
inline int8x16_t high_nibbles(uint8x16_t x) { return signed_bytes(vshrq_n_u8(x, 4)); }
inline int32x4_t dot(int8x16_t quants, const int8_t *activations) {
    return add_dot(vdupq_n_s32(0), quants, vld1q_s8(activations));
}

// Blocks of 256 values: `unpack` makes the quants of 32 of them, `products` their four sums, scaled.
struct UnpackedQ4K {
    using Block = BlockQ4K;
    const Block &block;
    const UnpackedScales scales;
    int8x16_t quants[2];

    explicit UnpackedQ4K(const Block &from) : block(from), scales(from.packed_scales) {}
    void unpack(int step) {
        for (int i = 0; i < 2; i++) {
            const uint8x16_t both = vld1q_u8(block.low_bits + step / 2 * 32 + 16 * i);
            quants[i] = step % 2 ? high_nibbles(both) : low_nibbles(both);
        }
    }
    int32x4_t products(int32x4_t sums, const int8_t *y, int step) const {
        const int32x4_t found = add_dot(dot(quants[0], y), quants[1], vld1q_s8(y + 16));
        return vmlaq_n_s32(sums, found, scales.scales[step]);
    }
    float add(float result, int32_t products, const KActivations &y, int row) const {
        const int16x8_t minimums = vreinterpretq_s16_u16(vmovl_u8(vld1_u8(scales.minimums)));
        const int16x8_t sums = vld1q_s16(y.pair_sums[row]);
        const int32x4_t found = vmlal_high_s16(
            vmull_s16(vget_low_s16(sums), vget_low_s16(minimums)), sums, minimums);
        const float scale = y.scales[row][0];
        result = std::fma(-(scale * f16(block.minimum_scale)),
                          static_cast<float>(vaddvq_s32(found)), result);
        return std::fma(scale * f16(block.scale), static_cast<float>(products), result);
    }
};

struct UnpackedQ6K {
    using Block = BlockQ6K;
    const Block &block;
    int8x16_t quants[2];

    explicit UnpackedQ6K(const Block &from) : block(from) {}
    void unpack(int step) {
        const int part = step % 4;
        for (int i = 0; i < 2; i++) {
            const uint8x16_t both = vld1q_u8(block.low_bits + step / 4 * 64 + part % 2 * 32 + 16 * i);
            const uint8x16_t high = vld1q_u8(block.high_bits + step / 4 * 32 + 16 * i);
            const uint8x16_t two_bits =
                vandq_u8(vshlq_u8(high, vdupq_n_s8(static_cast<int8_t>(4 - 2 * part))),
                         vdupq_n_u8(0x30));
            const int8x16_t four_bits = part < 2 ? low_nibbles(both) : high_nibbles(both);
            quants[i] = vsubq_s8(vorrq_s8(four_bits, signed_bytes(two_bits)), vdupq_n_s8(32));
        }
    }
    int32x4_t products(int32x4_t sums, const int8_t *y, int step) const {
        sums = vmlaq_n_s32(sums, dot(quants[0], y), block.scales[2 * step]);
        return vmlaq_n_s32(sums, dot(quants[1], y + 16), block.scales[2 * step + 1]);
    }
    float add(float result, int32_t products, const KActivations &y, int row) const {
        return std::fma(f16(block.scale) * y.scales[row][0], static_cast<float>(products), result);
    }
};

template <class Unpacked, int ROWS>
inline void multiply_k(const MulMatNode &group, const KActivations *activations, int64_t first,
                       int64_t end) {
    constexpr int steps = k_values / 32;
    for (int64_t output = first; output < end; output++) {
        const auto *weights = reinterpret_cast<const typename Unpacked::Block *>(
            group.weights + output * group.weight_stride);
        float results[ROWS] = {};
        for (int64_t i = 0; i < group.width / k_values; i++) {
            Unpacked block(weights[i]);
            const KActivations &y = activations[i];
            int32x4_t sums[ROWS];
            for (int32x4_t &each : sums) each = vdupq_n_s32(0);
            for (int step = 0; step < steps; step++) {
                block.unpack(step);
#pragma GCC unroll 8
                for (int row = 0; row < ROWS; row++)
                    sums[row] = block.products(sums[row], y.quants[row] + 32 * step, step);
            }
            for (int row = 0; row < ROWS; row++)
                results[row] = block.add(results[row], vaddvq_s32(sums[row]), y, row);
        }
        for (int row = 0; row < ROWS; row++) group.results_at(row)[output] = results[row];
    }
}

// As ggml does it: blocks in turns into two vectors, an odd last one as a number.
template <int ROWS>
inline void multiply_q8_0(const MulMatNode &group, const BlockActivations *activations,
                          int64_t first, int64_t end) {
    const int64_t blocks = group.width / block_values;
    for (int64_t output = first; output < end; output++) {
        const auto *weights =
            reinterpret_cast<const BlockQ80 *>(group.weights + output * group.weight_stride);
        float32x4_t sums[ROWS][2];
        for (auto &each : sums) each[0] = each[1] = vdupq_n_f32(0);
        float last[ROWS] = {};
        for (int64_t i = 0; i < blocks; i++) {
            const int8x16_t low = vld1q_s8(weights[i].quants), high = vld1q_s8(weights[i].quants + 16);
            const float scale = f16(weights[i].scale);
            const BlockActivations &y = activations[i];
            const bool is_last = i + 1 == blocks && blocks % 2;
#pragma GCC unroll 8
            for (int row = 0; row < ROWS; row++) {
                const int32x4_t found =
                    vaddq_s32(dot(low, y.quants[row]), dot(high, y.quants[row] + 16));
                const float both = scale * y.scales[row];
                if (is_last)
                    last[row] = static_cast<float>(vaddvq_s32(found)) * both;
                else
                    sums[row][i % 2] =
                        vfmaq_n_f32(sums[row][i % 2], vcvtq_f32_s32(found), both);
            }
        }
        for (int row = 0; row < ROWS; row++)
            group.results_at(row)[output] =
                vaddvq_f32(sums[row][0]) + vaddvq_f32(sums[row][1]) + last[row];
    }
}

template <class Activations>
using Multiply = void (*)(const MulMatNode &, const Activations *, int64_t first, int64_t end);

template <class Unpacked>
void multiply(const MulMatNode &group, const void *activations, int64_t first, int64_t end) {
    constexpr Multiply<KActivations> by_rows[group_rows] = {
        multiply_k<Unpacked, 1>, multiply_k<Unpacked, 2>, multiply_k<Unpacked, 3>,
        multiply_k<Unpacked, 4>, multiply_k<Unpacked, 5>, multiply_k<Unpacked, 6>,
        multiply_k<Unpacked, 7>, multiply_k<Unpacked, 8>};
    by_rows[group.rows - 1](group, static_cast<const KActivations *>(activations), first, end);
}

inline void multiply_blocks(const MulMatNode &group, const void *activations, int64_t first,
                            int64_t end) {
    constexpr Multiply<BlockActivations> by_rows[group_rows] = {
        multiply_q8_0<1>, multiply_q8_0<2>, multiply_q8_0<3>, multiply_q8_0<4>,
        multiply_q8_0<5>, multiply_q8_0<6>, multiply_q8_0<7>, multiply_q8_0<8>};
    by_rows[group.rows - 1](group, static_cast<const BlockActivations *>(activations), first, end);
}

template <class Unpacked>
constexpr WeightFormat format_of(int32_t type) {
    return {type,          k_values, sizeof(typename Unpacked::Block), sizeof(KActivations), true,
            quantize_q8_k, multiply<Unpacked>};
}

constexpr WeightFormat formats[] = {
    format_of<UnpackedQ4K>(type_q4_k), format_of<UnpackedQ6K>(type_q6_k),
    {type_q8_0, block_values, sizeof(BlockQ80), sizeof(BlockActivations), true, quantize_q8_0_neon,
     multiply_blocks}};
