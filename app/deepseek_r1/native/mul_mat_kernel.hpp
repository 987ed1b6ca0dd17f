// Rows of activations times rows of weights, for one kind of vectors.
//
// No include guard: `mul_mat_avx2.cpp` and the others include it, each in its own namespace, with
// `Integers` (a vector of 32-bit sums), `Quants` (a vector of bytes), `vector_bytes`, the functions
// on them and `Sums` defined before, and what `mul_mat_q1_0.hpp` and `mul_mat_q2_0.hpp` need.
//
// ggml unpacks each block of weights again for each row of activations; here it is unpacked once for
// all rows. Products and their sums within a block are integers, hence exact. Floats are added up in
// the order of ggml's kernels for AVX2 (`ggml_vec_dot_q4_K_q8_K`, `ggml_vec_dot_q6_K_q8_K`), so that
// no bit of the results differs from theirs.

constexpr int steps = k_values / vector_bytes;

inline float f16(uint16_t bits) { return _cvtsh_ss(bits); }

// The 8 scales and the 8 minimums of a block, as 16-bit integers.
struct GroupScales {
    __m128i scales, minimums;

    explicit GroupScales(const uint8_t *packed) {
        const UnpackedScales words(packed);
        const __m256i all =
            _mm256_cvtepu8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i *>(&words)));
        scales = _mm256_castsi256_si128(all);
        minimums = _mm256_extracti128_si256(all, 1);
    }
};

inline float total(__m256 x) {
    __m128 sum = _mm_add_ps(_mm256_extractf128_ps(x, 1), _mm256_castps256_ps128(x));
    sum = _mm_add_ps(sum, _mm_movehl_ps(sum, sum));
    return _mm_cvtss_f32(_mm_add_ss(sum, _mm_movehdup_ps(sum)));
}

inline float total(__m128 x) {
    x = _mm_add_ps(x, _mm_movehl_ps(x, x));
    return _mm_cvtss_f32(_mm_add_ss(x, _mm_movehdup_ps(x)));
}

// A block of weights while it is multiplied with all rows of activations.
class UnpackedQ4K {
  public:
    using Block = BlockQ4K;
    static constexpr bool has_minimums = true;

    explicit UnpackedQ4K(const Block &block)
        : block_(block), groups_(block.packed_scales), scales_(spread_q4k(groups_.scales)) {}

    Quants quants(int step) const { return quants_q4k(block_.low_bits, step); }
    Integers scales(int step) const { return scales_q4k(scales_, step); }
    Integers first_products(const int16_t *) const { return Integers{}; }
    template <int ROWS>
    void add(const Integers (&products)[ROWS], const KActivations &y, Sums<ROWS> &sums) const {
        sums.add_minimums(groups_.minimums, -f16(block_.minimum_scale), y);
        sums.add_products(products, f16(block_.scale), y);
    }

  private:
    const Block &block_;
    const GroupScales groups_;
    const Integers scales_;
};

class UnpackedQ6K {
  public:
    using Block = BlockQ6K;
    static constexpr bool has_minimums = false;

    explicit UnpackedQ6K(const Block &block)
        : block_(block),
          scales_(_mm256_cvtepi8_epi16(
              _mm_loadu_si128(reinterpret_cast<const __m128i *>(block.scales)))),
          offsets_(_mm256_mullo_epi16(scales_, _mm256_set1_epi16(-32))) {}

    Quants quants(int step) const { return quants_q6k(block_.low_bits, block_.high_bits, step); }
    Integers scales(int step) const { return scales_q6k(scales_, step); }
    // Minus 32 for each value, multiplied like the values.
    Integers first_products(const int16_t *sums) const {
        return extended(_mm256_madd_epi16(
            _mm256_load_si256(reinterpret_cast<const __m256i *>(sums)), offsets_));
    }
    template <int ROWS>
    void add(const Integers (&products)[ROWS], const KActivations &y, Sums<ROWS> &sums) const {
        sums.add_products(products, f16(block_.scale), y);
    }

  private:
    const Block &block_;
    const __m256i scales_, offsets_;
};

template <class Unpacked, int ROWS>
inline void multiply_rows(const MulMatNode &node, const KActivations *activations, int64_t first,
                          int64_t end) {
    const int64_t blocks = node.width / k_values;
    for (int64_t output = first; output < end; output++) {
        const auto *weights = reinterpret_cast<const typename Unpacked::Block *>(
            node.weights + output * node.weight_stride);
        Sums<ROWS> sums;
        for (int64_t i = 0; i < blocks; i++) {
            const Unpacked block(weights[i]);
            const KActivations &y = activations[i];
            Integers products[ROWS];
#pragma GCC unroll 8
            for (int row = 0; row < ROWS; row++) products[row] = block.first_products(y.sums[row]);
#pragma GCC unroll 8
            for (int step = 0; step < steps; step++) {
                const Quants quants = block.quants(step);
                const Integers scales = block.scales(step);
#pragma GCC unroll 8
                for (int row = 0; row < ROWS; row++)
                    products[row] = add_products(products[row], quants,
                                                 y.quants[row] + step * vector_bytes, scales);
            }
            block.add(products, y, sums);
        }
        for (int row = 0; row < ROWS; row++)
            node.results_at(row)[output] =
                Unpacked::has_minimums ? total(sums.products(row)) + total(sums.minimums(row))
                                       : total(sums.products(row));
    }
}

template <class Unpacked>
inline void multiply_type(const MulMatNode &node, const KActivations *activations, int64_t first,
                          int64_t end) {
    switch (node.rows) {
        case 1: return multiply_rows<Unpacked, 1>(node, activations, first, end);
        case 2: return multiply_rows<Unpacked, 2>(node, activations, first, end);
        case 3: return multiply_rows<Unpacked, 3>(node, activations, first, end);
        case 4: return multiply_rows<Unpacked, 4>(node, activations, first, end);
        case 5: return multiply_rows<Unpacked, 5>(node, activations, first, end);
        case 6: return multiply_rows<Unpacked, 6>(node, activations, first, end);
        case 7: return multiply_rows<Unpacked, 7>(node, activations, first, end);
        case 8: return multiply_rows<Unpacked, 8>(node, activations, first, end);
    }
}

template <class Unpacked>
void multiply(const MulMatNode &group, const void *activations, int64_t first, int64_t end) {
    multiply_type<Unpacked>(group, static_cast<const KActivations *>(activations), first, end);
}

template <class Unpacked>
constexpr WeightFormat format_of(int32_t type) {
    return {
        type, k_values,      sizeof(typename Unpacked::Block), sizeof(KActivations),
        0,    quantize_q8_k, multiply<Unpacked>};
}

#include "mul_mat_q1_0.hpp"
#include "mul_mat_q2_0.hpp"

constexpr WeightFormat formats[] = {format_of<UnpackedQ4K>(type_q4_k),
                                    format_of<UnpackedQ6K>(type_q6_k), q1_0::format, q2_0::format};
