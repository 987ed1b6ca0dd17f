// `mul_mat_lanes.hpp` for the types with 32 values a block and no minimum. No include guard, as there; it
// and `mul_mat_block_pairs.hpp` have to be included before.

namespace lanes {

constexpr int quads = block_values / 4;

inline void to_nibbles(__m512i (&values)[quads]) {
    const __m512i mask = _mm512_set1_epi8(15);
    for (int i = 0; i < 4; i++) {
        values[i + 4] = _mm512_and_si512(_mm512_srli_epi16(values[i], 4), mask);
        values[i] = _mm512_and_si512(values[i], mask);
    }
}

template <class Block>
void signed_quads(Rows rows, int64_t offset, __m512i (&to)[quads]);

template <>
inline void signed_quads<BlockQ80>(Rows rows, int64_t offset, __m512i (&to)[quads]) {
    transpose(rows, offset + offsetof(BlockQ80, quants), to);
    transpose(rows, offset + offsetof(BlockQ80, quants) + 16, to + 4);
}
template <>
inline void signed_quads<BlockQ40>(Rows rows, int64_t offset, __m512i (&to)[quads]) {
    transpose(rows, offset + offsetof(BlockQ40, low_bits), to);
    to_nibbles(to);
    for (__m512i &each : to) each = _mm512_sub_epi8(each, _mm512_set1_epi8(8));
}
template <>
inline void signed_quads<BlockQ50>(Rows rows, int64_t offset, __m512i (&to)[quads]) {
    transpose(rows, offset + offsetof(BlockQ50, low_bits), to);
    to_nibbles(to);
    alignas(64) uint32_t bits[count];
    for (int i = 0; i < count; i++)
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

template <class BlockType>
struct alignas(64) UnpackedBlock {
    using Block = BlockType;
    using Activations = BlockActivations;
    static constexpr int values = block_values, at_once = 32;

    __m512i weights[quads];
    __m512i start;  // what the 128 of `ShiftedActivations` add, with the other sign
    __m512 scales;

    void unpack(Rows rows, int64_t offset) {
        signed_quads<Block>(rows, offset, weights);
        scales = f16_lanes(rows, offset);
        __m512i shift = _mm512_setzero_si512();
        for (const __m512i &each : weights)
            shift = _mm512_dpbusd_epi32(shift, _mm512_set1_epi8(static_cast<char>(128)), each);
        start = _mm512_sub_epi32(_mm512_setzero_si512(), shift);
    }
    void add_products(const BlockActivations &y, __m512 (&results)[group_rows]) const {
#pragma GCC unroll 8
        for (int row = 0; row < group_rows; row++) {
            __m512i products = start;
#pragma GCC unroll 8
            for (int quad = 0; quad < quads; quad++)
                products = _mm512_dpbusd_epi32(products, repeated_word(y.quants[row] + 4 * quad),
                                               weights[quad]);
            results[row] = _mm512_fmadd_ps(_mm512_mul_ps(scales, _mm512_set1_ps(y.scales[row])),
                                           _mm512_cvtepi32_ps(products), results[row]);
        }
    }
};

}  // namespace lanes

template <>
constexpr MultiplyFunction part_of<BlockQ40> = lanes::multiply_part<lanes::UnpackedBlock<BlockQ40>>;
template <>
constexpr MultiplyFunction part_of<BlockQ50> = lanes::multiply_part<lanes::UnpackedBlock<BlockQ50>>;
template <>
constexpr MultiplyFunction part_of<BlockQ80> = lanes::multiply_part<lanes::UnpackedBlock<BlockQ80>>;
