// Compares the kernels that this processor runs with the same sums in f64, without Python and
// llama.cpp. So it runs where they do not: under QEMU for ARM, under Wine. Prints a line for each
// kernel and shape, and ends with 1 if an error is larger than f32's.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <random>
#include <vector>

#include "activations.hpp"
#include "attention_node.hpp"

using namespace streaming;

namespace {

std::mt19937 random_bits(1);
int failures = 0;

float between(float least, float most) {
    return std::uniform_real_distribution<float>(least, most)(random_bits);
}

uint16_t f16_of(float value) {  // of values in its normal range
    uint32_t bits;
    std::memcpy(&bits, &value, 4);
    bits += 0xfff + (bits >> 13 & 1);  // to the nearest, halves to even
    const uint32_t exponent = (bits >> 23 & 255) - 112;
    return static_cast<uint16_t>(bits >> 16 & 0x8000) |
           static_cast<uint16_t>(exponent << 10 | (bits >> 13 & 1023));
}

double of_f16(uint16_t bits) {
    const int exponent = bits >> 10 & 31, fraction = bits & 1023;
    const double size = exponent == 0 ? std::ldexp(fraction, -24)
                                      : std::ldexp(1024 + fraction, exponent - 25);
    return bits & 0x8000 ? -size : size;
}

void report(const char *kernel, const char *what, double error, double allowed) {
    const bool holds = error <= allowed;
    std::printf("%s %s: error %.2g of at most %.2g%s\n", kernel, what, error, allowed,
                holds ? "" : ", TOO LARGE");
    failures += !holds;
}

// Causal attention of a group's rows over a cache in f16.
void check_attention(const char *kernel, AttendFunction attend, int64_t width, int64_t tokens,
                     int64_t cells) {
    constexpr int64_t heads = 4, groups = 2;
    std::vector<float> queries(tokens * heads * width), output(tokens * heads * width);
    std::vector<uint16_t> keys(cells * groups * width), values(keys.size()), mask(tokens * cells);
    for (float &each : queries) each = between(-1, 1);
    for (uint16_t &each : keys) each = f16_of(between(0.1F, 1));
    for (uint16_t &each : values) each = f16_of(between(-1, -0.1F));
    for (int64_t i = 0; i < tokens * cells; i++)
        mask[i] = i % cells <= cells - tokens + i / cells ? 0 : 0xFC00;
    const AttentionNode node{reinterpret_cast<char *>(queries.data()),
                             reinterpret_cast<char *>(keys.data()),
                             reinterpret_cast<char *>(values.data()),
                             reinterpret_cast<char *>(mask.data()), output.data(), width, width,
                             tokens, cells, heads, groups, heads * width * 4, width * 4,
                             groups * width * 2, width * 2, groups * width * 2, width * 2,
                             cells * 2, CacheType::f16, CacheType::f16, 0.11F};
    double error = 0;
    Scratch scratch;
    for (int64_t group = 0; group < groups; group++) {
        const int64_t rows = std::min(block_rows, node.group_rows());
        attend(node, {group, 0, rows, 0, cells}, scratch);
        for (int64_t row = 0; row < rows; row++) {
            const float *query = node.query_at(group, row);
            std::vector<double> sums(width);
            double total = 0;
            for (int64_t cell = 0; cell < cells; cell++) {
                if (mask[row / node.group_heads() * cells + cell] != 0) continue;
                const uint16_t *key = &keys[(cell * groups + group) * width];
                double score = 0;
                for (int64_t i = 0; i < width; i++) score += query[i] * of_f16(key[i]);
                const double weight = std::exp(score * 0.11F);
                total += weight;
                for (int64_t i = 0; i < width; i++)
                    sums[i] += weight * of_f16(values[(cell * groups + group) * width + i]);
            }
            for (int64_t i = 0; i < width; i++) {
                const double found = scratch.outputs[row * width + i] / scratch.states[row].sum;
                error = std::max(error, std::abs(found - sums[i] / total));
            }
        }
    }
    char what[80];
    std::snprintf(what, sizeof what, "attention, width %d, %d tokens, %d cells",
                  static_cast<int>(width), static_cast<int>(tokens), static_cast<int>(cells));
    report(kernel, what, error, 5e-6);
}

void to_q8_k(const float *from, void *to, int64_t /*count*/) {
    auto &block = *static_cast<BlockQ8K *>(to);
    float most = 0;
    for (int i = 0; i < k_values; i++) most = std::max(most, std::abs(from[i]));
    block.scale = most / 127;
    for (int i = 0; i < k_values; i++)
        block.quants[i] = static_cast<int8_t>(std::lround(from[i] / block.scale));
    for (int i = 0; i < 16; i++) {
        int sum = 0;
        for (int j = 0; j < 16; j++) sum += block.quants[16 * i + j];
        block.sums[i] = static_cast<int16_t>(sum);
    }
}

void to_q8_0(const float *from, void *to, int64_t /*count*/) {
    auto &block = *static_cast<BlockQ80 *>(to);
    float most = 0;
    for (int i = 0; i < block_values; i++) most = std::max(most, std::abs(from[i]));
    block.scale = f16_of(most / 127);
#ifdef __aarch64__
    const float inverse = 1 / (most / 127);
#else
    const float inverse = 127 / most;
#endif
    for (int i = 0; i < block_values; i++)
        block.quants[i] = static_cast<int8_t>(std::nearbyint(from[i] * inverse));
}

void values_of(const BlockQ80 &block, double *to) {
    for (int i = 0; i < block_values; i++) to[i] = of_f16(block.scale) * block.quants[i];
}

void values_of(const BlockQ4K &block, double *to) {
    const UnpackedScales scales(block.packed_scales);
    for (int i = 0; i < k_values; i++) {
        const int byte = block.low_bits[i / 64 * 32 + i % 32];
        to[i] = of_f16(block.scale) * scales.scales[i / 32] * (i / 32 % 2 ? byte >> 4 : byte & 15) -
                of_f16(block.minimum_scale) * scales.minimums[i / 32];
    }
}

void values_of(const BlockQ6K &block, double *to) {
    for (int i = 0; i < k_values; i++) {
        const int part = i / 32 % 4, byte = block.low_bits[i / 128 * 64 + part % 2 * 32 + i % 32];
        const int high = block.high_bits[i / 128 * 32 + i % 32] >> 2 * part & 3;
        to[i] = of_f16(block.scale) * block.scales[i / 16] *
                (((part < 2 ? byte & 15 : byte >> 4) | high << 4) - 32);
    }
}

void set_scales(BlockQ80 &block) { block.scale = f16_of(between(0.01F, 0.1F)); }
void set_scales(BlockQ6K &block) { block.scale = f16_of(between(0.01F, 0.1F)); }
void set_scales(BlockQ4K &block) {
    block.scale = f16_of(between(0.01F, 0.1F)), block.minimum_scale = f16_of(between(0.01F, 0.1F));
}

template <class Block>
void check_products(const char *kernel, const char *type, const WeightFormat *format) {
    if (format == nullptr) return;
    constexpr int64_t outputs = 37, values = sizeof(Block) == sizeof(BlockQ80) ? block_values
                                                                               : k_values;
    constexpr int64_t width = 1024, blocks = width / values;
    std::vector<Block> weights(outputs * blocks);
    for (Block &each : weights) {
        for (size_t i = 0; i < sizeof each; i++)
            reinterpret_cast<uint8_t *>(&each)[i] = static_cast<uint8_t>(random_bits());
        set_scales(each);
    }
    const Quantizers quantizers{to_q8_k, to_q8_0, nullptr};
    for (const int64_t rows : {1, 2, 3, 4, 5, 6, 7, 8, 17}) {
        if (rows > group_rows && format->multiply_part == nullptr) continue;
        std::vector<float> activations(rows * width), results(rows * outputs);
        for (float &each : activations) each = between(-1, 1);
        const MulMatNode node{reinterpret_cast<char *>(weights.data()),
                              reinterpret_cast<char *>(activations.data()),
                              reinterpret_cast<char *>(results.data()), width, outputs, rows,
                              blocks * static_cast<int64_t>(sizeof(Block)), width * 4,
                              outputs * 4};
        struct alignas(64) Line {
            char bytes[64];
        };
        std::vector<Line> arranged(node.groups() * blocks * format->activation_bytes / 64);
        auto *memory = reinterpret_cast<char *>(arranged.data());
        for (int64_t i = 0; i < node.groups() * blocks; i++)
            format->quantize(quantizers, node.group(i / blocks), i % blocks,
                             memory + i * format->activation_bytes);
        (rows > group_rows ? format->multiply_part : format->multiply)(node, memory, 0, outputs);
        double error = 0;
        for (int64_t row = 0; row < rows; row++)
            for (int64_t output = 0; output < outputs; output++) {
                double exact = 0, sizes = 0, found[values];
                for (int64_t i = 0; i < blocks; i++) {
                    values_of(weights[output * blocks + i], found);
                    const float *from = &activations[row * width + i * values];
                    BlockQ8K k{};
                    BlockQ80 small{};
                    if (values == k_values) to_q8_k(from, &k, values);
                    else to_q8_0(from, &small, values);
                    const double scale = values == k_values ? k.scale : of_f16(small.scale);
                    const int8_t *quants = values == k_values ? k.quants : small.quants;
                    for (int64_t j = 0; j < values; j++) {
                        exact += found[j] * scale * quants[j];
                        sizes += std::abs(found[j] * scale * quants[j]);
                    }
                }
                error = std::max(error,
                                 std::abs(results[row * outputs + output] - exact) / sizes);
            }
        char what[40];
        std::snprintf(what, sizeof what, "%s, %d rows", type, static_cast<int>(rows));
        report(kernel, what, error, 1e-6);
    }
}

void check_formats(const char *kernel, const WeightFormats &formats) {
    check_products<BlockQ4K>(kernel, "Q4_K", formats.find(type_q4_k));
    check_products<BlockQ6K>(kernel, "Q6_K", formats.find(type_q6_k));
    check_products<BlockQ80>(kernel, "Q8_0", formats.find(type_q8_0));
}

}  // namespace

int main() {
    const X86Features &x86 = x86_features();
    const struct {
        const char *name;
        bool runs;
        AttendFunction attend;
    } attentions[] = {{"AVX2", x86.avx2, attend_avx2()},
                      {"AVX-512", x86.avx512, attend_avx512()},
                      {"NEON", attend_neon() != nullptr, attend_neon()}};
    for (const auto &each : attentions)
        for (const int64_t width : {32, 64, 128})
            for (const int64_t tokens : {1, 3, 8, 40})
                if (each.runs) check_attention(each.name, each.attend, width, tokens, 333);
    if (x86.sse42) check_formats("SSE4.2", formats_sse42());
    if (x86.avx2) check_formats("AVX2", formats_avx2());
    if (x86.avx_vnni) check_formats("AVX-VNNI", formats_avx_vnni());
    if (x86.avx512_vnni) check_formats("AVX-512 VNNI", formats_avx512_vnni());
    check_formats("NEON", formats_neon());
    if (has_dotprod()) check_formats("NEON dotprod", formats_neon_dotprod());
    return failures != 0;
}
