// The K types, for `mul_mat_sse42.cpp`, which includes it in its namespace.
//
// ggml adds up the products of a block in eight sums, value number n in sum n % 8. Weights and
// activations are interleaved (`quantize_q8_k_interleaved`), so that two neighbouring products
// belong to the same sum.

namespace k_types {

inline __m128i interleaved(__m128i x) { return _mm_unpacklo_epi8(x, _mm_srli_si128(x, 8)); }

// Bit `place` of all bytes, moved to bit `wanted`. What is moved along has to be masked.
inline __m128i moved(__m128i x, int place, int wanted) {
    return place < wanted ? _mm_slli_epi16(x, wanted - place) : _mm_srli_epi16(x, place - wanted);
}

// Eight sums of products for each row, in 32 bits.
struct Products {
    __m128i low, high;

    // Adds the words of `first` times one scale and those of `second` times another; `scales` holds the
    // two alternately.
    void add(__m128i first, __m128i second, __m128i scales) {
        low = _mm_add_epi32(low, _mm_madd_epi16(_mm_unpacklo_epi16(first, second), scales));
        high = _mm_add_epi32(high, _mm_madd_epi16(_mm_unpackhi_epi16(first, second), scales));
    }
};

// Two words in turns, which are scales of 8 bits.
inline __m128i alternating(int first, int second) {
    const uint32_t both = (static_cast<uint32_t>(first) & 0xffff) | static_cast<uint32_t>(second)
                                                                        << 16;
    return _mm_set1_epi32(static_cast<int>(both));
}

template <class BlockType>
struct WithMinimums {
    using Block = BlockType;
    static constexpr bool has_minimums = true;
    static constexpr int steps = 4;  // of 64 values

    const Block &block;
    const UnpackedScales scales;
    __m128i quants[4];
    __m128i step_scales;

    explicit WithMinimums(const Block &from) : block(from), scales(from.packed_scales) {}
    __m128i minimums() const {
        return _mm_cvtepu8_epi16(
            _mm_loadl_epi64(reinterpret_cast<const __m128i *>(scales.minimums)));
    }
    void unpack(int step) {
        const __m128i first = interleaved(load(block.low_bits + 32 * step));
        const __m128i second = interleaved(load(block.low_bits + 32 * step + 16));
        quants[0] = low_nibbles(first), quants[1] = low_nibbles(second);
        quants[2] = high_nibbles(first), quants[3] = high_nibbles(second);
        step_scales = alternating(scales.scales[2 * step], scales.scales[2 * step + 1]);
    }
    void add(const int8_t *activations, int step, Products &to) const {
        const int8_t *y = activations + 64 * step;
        const auto words = [&](int i) { return _mm_maddubs_epi16(quants[i], load(y + 16 * i)); };
        to.add(_mm_add_epi16(words(0), words(1)), _mm_add_epi16(words(2), words(3)), step_scales);
    }
};

using UnpackedQ4K = WithMinimums<BlockQ4K>;

struct UnpackedQ5K : WithMinimums<BlockQ5K> {
    using WithMinimums::WithMinimums;
    void unpack(int step) {
        WithMinimums::unpack(step);
        for (int i = 0; i < 4; i++) {
            const __m128i high = interleaved(load(block.high_bits + 16 * (i % 2)));
            const __m128i bit = moved(high, 2 * step + i / 2, 4);
            quants[i] = _mm_or_si128(quants[i], _mm_and_si128(bit, _mm_set1_epi8(0x10)));
        }
    }
};

// Of a type with groups of 16 values, from each of which a number is subtracted.
template <class BlockType>
struct WithOffset {
    using Block = BlockType;
    static constexpr bool has_minimums = false;
    static constexpr int steps = 8;  // of 32 values

    const Block &block;
    __m128i quants[2], magnitudes[2];
    __m128i step_scales;

    explicit WithOffset(const Block &from) : block(from) {}
    void set(int i, __m128i values, int subtracted) {
        quants[i] = interleaved(_mm_sub_epi8(values, _mm_set1_epi8(static_cast<char>(subtracted))));
        magnitudes[i] = _mm_abs_epi8(quants[i]);
    }
    void add(const int8_t *activations, int step, Products &to) const {
        const auto words = [&](int i) {
            const __m128i y = load(activations + 32 * step + 16 * i);
            return _mm_maddubs_epi16(magnitudes[i], _mm_sign_epi8(y, quants[i]));
        };
        to.add(words(0), words(1), step_scales);
    }
};

struct UnpackedQ3K : WithOffset<BlockQ3K> {
    uint8_t scales[16];

    explicit UnpackedQ3K(const Block &from) : WithOffset(from) {
        std::memcpy(scales, UnpackedQ3KScales(from.packed_scales).words, 16);
    }
    void unpack(int step) {
        for (int i = 0; i < 2; i++) {
            const __m128i both = load(block.low_bits + step / 4 * 32 + 16 * i);
            const __m128i low = _mm_and_si128(moved(both, step % 4 * 2, 0), _mm_set1_epi8(3));
            const __m128i high = moved(load(block.high_bits + 16 * i), step, 2);
            set(i, _mm_or_si128(low, _mm_and_si128(high, _mm_set1_epi8(4))), 4);
        }
        step_scales = alternating(scales[2 * step] - 32, scales[2 * step + 1] - 32);
    }
};

struct UnpackedQ6K : WithOffset<BlockQ6K> {
    using WithOffset::WithOffset;
    void unpack(int step) {
        const int half = step / 4, part = step % 4;
        for (int i = 0; i < 2; i++) {
            const __m128i both = load(block.low_bits + 64 * half + part % 2 * 32 + 16 * i);
            const __m128i low = part < 2 ? low_nibbles(both) : high_nibbles(both);
            const __m128i high = moved(load(block.high_bits + 32 * half + 16 * i), 2 * part, 4);
            set(i, _mm_or_si128(low, _mm_and_si128(high, _mm_set1_epi8(0x30))), 32);
        }
        step_scales = alternating(block.scales[2 * step], block.scales[2 * step + 1]);
    }
};

constexpr int rows_at_once = 4;

// The results of some rows of a group for one row of weights.
template <class Unpacked, int ROWS>
inline void multiply_output(const MulMatNode &group, const KActivations *activations,
                            int64_t first_row, int64_t output) {
    const auto *weights = reinterpret_cast<const typename Unpacked::Block *>(
        group.weights + output * group.weight_stride);
    const int64_t blocks = group.width / k_values;
    __m128 sums[ROWS][2];
    for (auto &row : sums) row[0] = row[1] = _mm_setzero_ps();
    __m128 minimum_sums = _mm_setzero_ps();  // a lane for each row
    for (int64_t i = 0; i < blocks; i++) {
        Unpacked block(weights[i]);
        const KActivations &y = activations[i];
        Products products[ROWS];
        for (Products &each : products) each.low = each.high = _mm_setzero_si128();
#pragma GCC unroll 8
        for (int step = 0; step < Unpacked::steps; step++) {
            block.unpack(step);
#pragma GCC unroll 4
            for (int row = 0; row < ROWS; row++)
                block.add(y.quants[first_row + row], step, products[row]);
        }
        const float scale = from_f16(weights[i].scale);
        for (int row = 0; row < ROWS; row++) {
            const __m128 both = _mm_set1_ps(scale * y.scales[first_row + row][0]);
            sums[row][0] =
                _mm_add_ps(sums[row][0], _mm_mul_ps(both, _mm_cvtepi32_ps(products[row].low)));
            sums[row][1] =
                _mm_add_ps(sums[row][1], _mm_mul_ps(both, _mm_cvtepi32_ps(products[row].high)));
        }
        if constexpr (Unpacked::has_minimums) {
            const __m128i minimums = block.minimums();
            __m128i found[rows_at_once];
            float scales[rows_at_once];
            for (int row = 0; row < rows_at_once;
                 row++) {  // the last one again where there are fewer
                const int64_t source_row = first_row + std::min(row, ROWS - 1);
                found[row] = _mm_madd_epi16(minimums, load(y.pair_sums[source_row]));
                scales[row] = y.scales[source_row][0];
            }
            const __m128 both =
                _mm_mul_ps(_mm_set1_ps(from_f16(weights[i].minimum_scale)), _mm_loadu_ps(scales));
            minimum_sums =
                _mm_sub_ps(minimum_sums, _mm_mul_ps(both, _mm_cvtepi32_ps(lane_sums(found))));
        }
    }
    float results[rows_at_once], lanes[8];
    _mm_storeu_ps(results, minimum_sums);
    for (int row = 0; row < ROWS; row++) {
        _mm_storeu_ps(lanes, sums[row][0]);
        _mm_storeu_ps(lanes + 4, sums[row][1]);
        float result = results[row];
        for (float lane : lanes) result += lane;
        group.results_at(first_row + row)[output] = result;
    }
}

template <class Unpacked>
void multiply(const MulMatNode &group, const void *activations, int64_t first, int64_t end) {
    const auto *y = static_cast<const KActivations *>(activations);
    for (int64_t output = first; output < end; output++) {
        for (int64_t row = 0; row < group.rows; row += rows_at_once) {
            const int64_t count = std::min<int64_t>(rows_at_once, group.rows - row);
            with_constant<rows_at_once>(
                count, [&](auto rows) { multiply_output<Unpacked, rows>(group, y, row, output); });
        }
    }
}

template <class Unpacked>
constexpr WeightFormat format_of(int32_t type) {
    return {type,
            k_values,
            sizeof(typename Unpacked::Block),
            sizeof(KActivations),
            false,
            quantize_q8_k_interleaved,
            multiply<Unpacked>};
}

}  // namespace k_types
