// Many rows of activations: 16 rows of weights at once, a 32-bit lane each, unpacked once for all of them.
//
// No include guard, as in `mul_mat_kernel.hpp`, which has to be included before. Products of bytes and
// their sums within a group are integers, hence exact; floats are added up in another order than for one
// row, as in llama.cpp's tiles. A row of results has the same bits beside any number of others.

namespace lanes {

constexpr int count = 16;
using Rows = const char *const (&)[count];

// Four words of the 16 bytes at the offset of each row: lane i of a word is of row i.
inline void transpose(Rows rows, int64_t offset, __m512i *to) {
    const auto part = [&](int number) { return every_fourth(rows, offset, number); };
    const __m512i a = part(0), b = part(1), c = part(2), d = part(3);
    const __m512i ab = low_words(a, b), cd = low_words(c, d);
    const __m512i ab_high = high_words(a, b), cd_high = high_words(c, d);
    to[0] = low_pairs(ab, cd), to[1] = high_pairs(ab, cd);
    to[2] = low_pairs(ab_high, cd_high), to[3] = high_pairs(ab_high, cd_high);
}

// The word at an address, in all lanes.
inline __m512i repeated_word(const void *from) {
    int32_t word;
    std::memcpy(&word, from, 4);
    return _mm512_set1_epi32(word);
}

// `Unpacked` is one block of 16 rows of weights. It has `Block`, `Activations`, `values` of a block,
// `at_once` (so many of them stay in the nearest cache), is made from rows and an offset, and adds its
// products with eight rows of activations to `results`.
template <class Unpacked>
void multiply_part(const MulMatNode &part, const void *activations, int64_t first, int64_t end) {
    const auto *y = static_cast<const typename Unpacked::Activations *>(activations);
    constexpr auto block_bytes = static_cast<int64_t>(sizeof(typename Unpacked::Block));
    const int64_t blocks = part.width / Unpacked::values;
    Unpacked unpacked[Unpacked::at_once];
    for (int64_t output = first; output < end; output += count) {
        const int64_t used = std::min<int64_t>(count, end - output);
        const auto mask = static_cast<__mmask16>((1U << used) - 1);
        const char *rows[count];
        part.set_weights(output, end, rows);
        for (int64_t from = 0; from < blocks; from += Unpacked::at_once) {
            const int64_t length = std::min<int64_t>(Unpacked::at_once, blocks - from);
            for (int64_t i = 0; i < length; i++) unpacked[i].unpack(rows, (from + i) * block_bytes);
            for (int64_t number = 0; number < part.groups(); number++) {
                const MulMatNode group = part.group(number);
                __m512 results[group_rows];
                for (int row = 0; row < group_rows; row++)
                    results[row] = from && row < group.rows
                                       ? _mm512_maskz_loadu_ps(mask, group.results_at(row) + output)
                                       : _mm512_setzero_ps();
                for (int64_t i = 0; i < length; i++)
                    unpacked[i].add_products(y[number * blocks + from + i], results);
                for (int row = 0; row < group.rows; row++)
                    _mm512_mask_storeu_ps(group.results_at(row) + output, mask, results[row]);
            }
        }
    }
}

}  // namespace lanes
