// ggml's blocks of quantized weights and activations.
#pragma once

#include <cstdint>
#include <cstring>

namespace streaming {

// Numbers of enum ggml_type.
constexpr int32_t type_q4_0 = 2, type_q4_1 = 3, type_q5_0 = 6, type_q5_1 = 7, type_q8_0 = 8;
constexpr int32_t type_q3_k = 11, type_q4_k = 12, type_q5_k = 13, type_q6_k = 14;
constexpr int32_t type_q1_0 = 41, type_q2_0 = 42;

constexpr int k_values = 256;     // of a block of the K types
constexpr int block_values = 32;  // of a block of the others

// The two bytes at an address of any alignment.
inline short word_at(const char *from) {
    short word;
    std::memcpy(&word, from, 2);
    return word;
}

// 16 groups of 16 values, each with a 6-bit scale, from which 32 is subtracted; from values, 4.
struct BlockQ3K {
    uint8_t high_bits[32];
    uint8_t low_bits[64];
    uint8_t packed_scales[12];
    uint16_t scale;  // f16, as everywhere here
};
static_assert(sizeof(BlockQ3K) == 110);

// 8 groups of 32 values, each with a 6-bit scale and a 6-bit minimum.
struct BlockQ4K {
    uint16_t scale, minimum_scale;
    uint8_t packed_scales[12];
    uint8_t low_bits[128];
};
static_assert(sizeof(BlockQ4K) == 144);

struct BlockQ5K {
    uint16_t scale, minimum_scale;
    uint8_t packed_scales[12];
    uint8_t high_bits[32];
    uint8_t low_bits[128];
};
static_assert(sizeof(BlockQ5K) == 176);

// The scales of a BlockQ3K, from which 32 is not yet subtracted, a byte each.
struct UnpackedQ3KScales {
    uint32_t words[4];

    explicit UnpackedQ3KScales(const uint8_t *packed) {
        uint32_t from[3];
        std::memcpy(from, packed, 12);
        for (int i = 0; i < 4; i++)
            words[i] = (from[i % 2] >> 4 * (i / 2) & 0x0f0f0f0f) |
                       (from[2] >> 2 * i & 0x03030303) << 4;
    }
};

// The scales and minimums of a BlockQ4K or BlockQ5K, a byte each.
struct UnpackedScales {
    uint8_t scales[8], minimums[8];

    explicit UnpackedScales(const uint8_t *packed) {
        uint32_t words[4];
        std::memcpy(words, packed, 12);
        words[3] = (words[2] >> 4 & 0x0f0f0f0f) | (words[1] >> 6 & 0x03030303) << 4;
        const uint32_t minimums_of_four = words[1] & 0x3f3f3f3f;
        words[1] = (words[2] & 0x0f0f0f0f) | (words[0] >> 6 & 0x03030303) << 4;
        words[2] = minimums_of_four;
        words[0] &= 0x3f3f3f3f;
        std::memcpy(scales, words, 8);
        std::memcpy(minimums, words + 2, 8);
    }
};
static_assert(sizeof(UnpackedScales) == 16);

// 16 groups of 16 values, each with an 8-bit scale; 32 is subtracted from values.
struct BlockQ6K {
    uint8_t low_bits[128];
    uint8_t high_bits[64];
    int8_t scales[16];
    uint16_t scale;
};
static_assert(sizeof(BlockQ6K) == 210);

// 8 is subtracted from values.
struct BlockQ40 {
    uint16_t scale;
    uint8_t low_bits[16];
};
static_assert(sizeof(BlockQ40) == 18);

struct BlockQ41 {
    uint16_t scale, minimum;
    uint8_t low_bits[16];
};
static_assert(sizeof(BlockQ41) == 20);

// 16 is subtracted from values.
struct BlockQ50 {
    uint16_t scale;
    uint8_t high_bits[4];
    uint8_t low_bits[16];
};
static_assert(sizeof(BlockQ50) == 22);

struct BlockQ51 {
    uint16_t scale, minimum;
    uint8_t high_bits[4];
    uint8_t low_bits[16];
};
static_assert(sizeof(BlockQ51) == 24);

struct BlockQ80 {
    uint16_t scale;
    int8_t quants[block_values];
};
static_assert(sizeof(BlockQ80) == 34);

// A value is -1 or 1: its bit says which.
struct BlockQ10 {
    uint16_t scale;
    uint8_t bits[16];
};
static_assert(sizeof(BlockQ10) == 18);

// 1 is subtracted from values.
struct BlockQ20 {
    uint16_t scale;
    uint8_t low_bits[16];
};
static_assert(sizeof(BlockQ20) == 18);

// Of activations.
struct BlockQ81 {
    uint16_t scale, sum;  // the sum is multiplied by the scale
    int8_t quants[block_values];
};
static_assert(sizeof(BlockQ81) == 36);

// Of activations; `sums` are of 16 quants each.
struct BlockQ8K {
    float scale;
    int8_t quants[k_values];
    int16_t sums[16];
};
static_assert(sizeof(BlockQ8K) == 292);

}  // namespace streaming
