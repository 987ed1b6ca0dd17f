// Many rows of activations times the types with 32 values a block and no minimum, with 512-bit vectors:
// 16 rows of weights at once, a 32-bit lane each, unpacked once for all rows of activations. Sums of a
// block's 32 products are integers, hence exact; floats are added up in another order than for one row, as
// in llama.cpp's tiles. No include guard, as in `mul_mat_kernel.hpp`, which has to be
// included before, and `mul_mat_block_pairs.hpp`.

namespace blocks {

constexpr int lanes = 16;
constexpr int quads = block_values / 4;  // Lane i of a quad has four values of row i.

// Four quads of the 16 bytes at the offset of each row.
inline void transpose(const char *const (&rows)[lanes], int64_t offset, __m512i *to) {
    const auto part = [&](int number) { return every_fourth(rows, offset, number); };
    const __m512i a = part(0), b = part(1), c = part(2), d = part(3);
    const __m512i ab = low_words(a, b), cd = low_words(c, d);
    const __m512i ab_high = high_words(a, b), cd_high = high_words(c, d);
    to[0] = low_pairs(ab, cd), to[1] = high_pairs(ab, cd);
    to[2] = low_pairs(ab_high, cd_high), to[3] = high_pairs(ab_high, cd_high);
}

inline void to_nibbles(__m512i (&values)[quads]) {
    const __m512i mask = _mm512_set1_epi8(15);
    for (int i = 0; i < 4; i++) {
        values[i + 4] = _mm512_and_si512(_mm512_srli_epi16(values[i], 4), mask);
        values[i] = _mm512_and_si512(values[i], mask);
    }
}

template <class Block>
void signed_quads(const char *const (&rows)[lanes], int64_t offset, __m512i (&to)[quads]);

template <>
inline void signed_quads<BlockQ80>(const char *const (&rows)[lanes], int64_t offset,
                                   __m512i (&to)[quads]) {
    transpose(rows, offset + offsetof(BlockQ80, quants), to);
    transpose(rows, offset + offsetof(BlockQ80, quants) + 16, to + 4);
}
template <>
inline void signed_quads<BlockQ40>(const char *const (&rows)[lanes], int64_t offset,
                                   __m512i (&to)[quads]) {
    transpose(rows, offset + offsetof(BlockQ40, low_bits), to);
    to_nibbles(to);
    for (__m512i &each : to) each = _mm512_sub_epi8(each, _mm512_set1_epi8(8));
}
template <>
inline void signed_quads<BlockQ50>(const char *const (&rows)[lanes], int64_t offset,
                                   __m512i (&to)[quads]) {
    transpose(rows, offset + offsetof(BlockQ50, low_bits), to);
    to_nibbles(to);
    alignas(64) uint32_t bits[lanes];
    for (int i = 0; i < lanes; i++)
        std::memcpy(bits + i, rows[i] + offset + offsetof(BlockQ50, high_bits), 4);
    const __m512i fifth = _mm512_load_si512(bits);
#pragma GCC unroll 8
    for (int i = 0; i < quads; i++) {
        // The byte with the quad's four bits, in all four bytes of the lane.
        const __m512i order = _mm512_broadcast_i32x4(_mm_setr_epi32(
            0x01010101 * (i / 2), 0x01010101 * (i / 2 + 4), 0x01010101 * (i / 2 + 8),
            0x01010101 * (i / 2 + 12)));
        const __m512i places = _mm512_set1_epi32(i % 2 ? static_cast<int>(0x80402010) : 0x08040201);
        const __mmask64 lacks = _mm512_testn_epi8_mask(_mm512_shuffle_epi8(fifth, order), places);
        to[i] = _mm512_mask_sub_epi8(to[i], lacks, to[i], _mm512_set1_epi8(16));
    }
}

// Some blocks of 16 rows of weights.
struct alignas(64) UnpackedBlock {
    __m512i weights[quads];
    __m512i start;  // what the 128 of the activations add, with the other sign
    __m512 scales;
};

template <class Block>
inline void unpack(const char *const (&rows)[lanes], int64_t offset, UnpackedBlock &to) {
    signed_quads<Block>(rows, offset, to.weights);
    to.scales = f16_lanes(rows, offset);
    __m512i shift = _mm512_setzero_si512();
    for (const __m512i &each : to.weights)
        shift = _mm512_dpbusd_epi32(shift, _mm512_set1_epi8(static_cast<char>(128)), each);
    to.start = _mm512_sub_epi32(_mm512_setzero_si512(), shift);
}

// Adds the products of eight rows to the results.
inline void add_products(const UnpackedBlock *blocks, int64_t count, const BlockActivations *activations,
                         __m512 (&results)[group_rows]) {
    for (int64_t i = 0; i < count; i++) {
        const BlockActivations &y = activations[i];
#pragma GCC unroll 8
        for (int row = 0; row < group_rows; row++) {
            __m512i products = blocks[i].start;
#pragma GCC unroll 8
            for (int quad = 0; quad < quads; quad++) {
                int32_t four;
                std::memcpy(&four, y.quants[row] + 4 * quad, 4);
                products =
                    _mm512_dpbusd_epi32(products, _mm512_set1_epi32(four), blocks[i].weights[quad]);
            }
            results[row] =
                _mm512_fmadd_ps(_mm512_mul_ps(blocks[i].scales, _mm512_set1_ps(y.scales[row])),
                                _mm512_cvtepi32_ps(products), results[row]);
        }
    }
}

template <class Block>
void multiply_part(const MulMatNode &part, const void *activations, int64_t first, int64_t end) {
    constexpr int64_t unpacked_at_once = 32;  // 20 KiB, which the nearest cache holds
    const auto *y = static_cast<const BlockActivations *>(activations);
    const int64_t blocks = part.width / block_values;
    UnpackedBlock unpacked[unpacked_at_once];
    for (int64_t output = first; output < end; output += lanes) {
        const int64_t used = std::min<int64_t>(lanes, end - output);
        const auto mask = static_cast<__mmask16>((1U << used) - 1);
        const char *rows[lanes];
        for (int64_t i = 0; i < lanes; i++)  // the last one again where there are fewer
            rows[i] = part.weights + (output + std::min(i, used - 1)) * part.weight_stride;
        for (int64_t block = 0; block < blocks; block += unpacked_at_once) {
            const int64_t count = std::min(unpacked_at_once, blocks - block);
            for (int64_t i = 0; i < count; i++)
                unpack<Block>(rows, (block + i) * static_cast<int64_t>(sizeof(Block)), unpacked[i]);
            for (int64_t number = 0; number < part.groups(); number++) {
                const MulMatNode group = part.group(number);
                __m512 results[group_rows];
                for (int row = 0; row < group_rows; row++)
                    results[row] = block && row < group.rows
                                       ? _mm512_maskz_loadu_ps(mask, group.results_at(row) + output)
                                       : _mm512_setzero_ps();
                add_products(unpacked, count, y + number * blocks + block, results);
                for (int row = 0; row < group.rows; row++)
                    _mm512_mask_storeu_ps(group.results_at(row) + output, mask, results[row]);
            }
        }
    }
}

}  // namespace blocks
