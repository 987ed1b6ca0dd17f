#include "activations.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

namespace streaming {

namespace {

float from_f16(uint16_t bits) {
    const int exponent = bits >> 10 & 31;
    const auto fraction = static_cast<float>(bits & 1023);
    const float size = exponent == 31  ? (bits & 1023 ? NAN : INFINITY)
                       : exponent == 0 ? std::ldexp(fraction, -24)
                                       : std::ldexp(1024 + fraction, exponent - 25);
    return bits & 0x8000 ? -size : size;
}

void interleave(const int8_t *from, int8_t *to) {
    for (int i = 0; i < 8; i++) {
        to[2 * i] = from[i];
        to[2 * i + 1] = from[i + 8];
    }
}

template <class Block>
void add_block(const Block &found, int64_t row, BlockActivations &to) {
    std::copy_n(found.quants, block_values, to.quants[row]);
    to.scales[row] = from_f16(found.scale);
    to.quant_sums[row] = std::accumulate(found.quants, found.quants + block_values, 0);
}

}  // namespace

void BlockActivations::add(const BlockQ80 &found, int64_t row, int /*number*/) {
    add_block(found, row, *this);
}

void Q10Activations::add(const BlockQ80 &found, int64_t row, int number) {
    std::copy_n(found.quants, block_values, quants[row][number]);
    for (int i = 0; i < 8; i++)
        negative_sums[row][number][i] = -std::accumulate(found.quants + 4 * i,
                                                         found.quants + 4 * i + 4, 0);
    scales[row][number] = from_f16(found.scale);
}

void Q20Activations::add(const BlockQ80 &found, int64_t row, int number) {
    int8_t bytes[block_values];
    for (int half = 0; half < 2; half++)
        for (int place = 0; place < 4; place++)
            for (int i = 0; i < 4; i++)
                bytes[16 * half + 4 * place + i] = found.quants[16 * half + 4 * i + place];
    std::memcpy(quads[row][number], bytes, block_values);
    sums[row][number] = std::accumulate(found.quants, found.quants + block_values, 0);
    scales[row][number] = from_f16(found.scale);
}

void quantize_q8_k(const Quantizers &quantizers, const MulMatNode &group, int64_t number,
                   void *block) {
    auto &to = *static_cast<KActivations *>(block);
    for (int64_t row = 0; row < group.rows; row++) {
        BlockQ8K found{};  // ggml leaves the sums of zeros as they are
        quantizers.q8_k(group.activations_at(row) + number * k_values, &found, k_values);
        std::copy_n(found.quants, k_values, to.quants[row]);
        std::copy_n(found.sums, 16, to.sums[row]);
        for (int i = 0; i < 8; i++)
            to.pair_sums[row][i] = static_cast<int16_t>(found.sums[2 * i] + found.sums[2 * i + 1]);
        std::fill_n(to.scales[row], 4, found.scale);
    }
}

void quantize_q8_k_quads(const Quantizers &quantizers, const MulMatNode &group, int64_t number,
                         void *block) {
    quantize_q8_k(quantizers, group, number, block);
    auto &to = *static_cast<Q3KActivations *>(block);
    for (int64_t row = 0; row < group.rows; row++) {
        for (int quad = 0; quad < k_values / 4; quad++) {
            const int8_t *from = to.quants[row] + 4 * quad;
            to.quad_sums[row][quad / 16][quad % 8][quad / 8 % 2] =
                static_cast<int16_t>(from[0] + from[1] + from[2] + from[3]);
        }
    }
}

void quantize_q8_k_interleaved(const Quantizers &quantizers, const MulMatNode &group,
                               int64_t number, void *block) {
    quantize_q8_k(quantizers, group, number, block);
    auto &to = *static_cast<KActivations *>(block);
    for (int64_t row = 0; row < group.rows; row++) {
        for (int first = 0; first < k_values; first += 16) {
            int8_t sixteenth[16];
            std::copy_n(to.quants[row] + first, 16, sixteenth);
            interleave(sixteenth, to.quants[row] + first);
        }
    }
}

void quantize_q8_0(const Quantizers &quantizers, const MulMatNode &group, int64_t number,
                   void *block) {
    for (int64_t row = 0; row < group.rows; row++) {
        BlockQ80 found{};
        quantizers.q8_0(group.activations_at(row) + number * block_values, &found, block_values);
        add_block(found, row, *static_cast<BlockActivations *>(block));
    }
}

void quantize_q8_1(const Quantizers &quantizers, const MulMatNode &group, int64_t number,
                   void *block) {
    auto &to = *static_cast<BlockActivations *>(block);
    for (int64_t row = 0; row < group.rows; row++) {
        BlockQ81 found{};
        quantizers.q8_1(group.activations_at(row) + number * block_values, &found, block_values);
        add_block(found, row, to);
        to.sums[row] = from_f16(found.sum);
    }
}

}  // namespace streaming
