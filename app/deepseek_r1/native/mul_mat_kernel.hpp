// Rows of activations times rows of weights, for one kind of vectors.
//
// No include guard: `mul_mat_avx2.cpp` and the others include it, each in its own namespace, with
// `Integers` (a vector of 32-bit sums), `Quants` (a vector of bytes), `vector_bytes`, the functions
// on them and `Sums` defined before, and what the headers for other types need.
//
// ggml unpacks each block of weights again for each row of activations; here it is unpacked once for
// all rows. Products and their sums within a block are integers, hence exact. Floats are added up in
// the order of ggml's kernels for AVX2 (`ggml_vec_dot_q4_K_q8_K` and the others), so that no bit of
// the results differs from theirs.

constexpr int steps = k_values / vector_bytes;

// Not by `_cvtsh_ss`, where clang waits for what is in the rest of the vector's register: it has to
// know nothing of the word.
inline float f16(uint16_t bits) {
    int word = bits;
    asm("" : "+r"(word));
    return _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(word)));
}

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

// A block of weights while it is multiplied with all rows of activations: of a type whose groups of 32
// values have a minimum.
template <class BlockType, bool adds_up_minimums>
class WithMinimums {
  public:
    using Block = BlockType;
    using Activations = KActivations;
    static constexpr bool has_minimums = true;

    explicit WithMinimums(const Block &block)
        : block_(block), groups_(block.packed_scales), scales_(spread_q4k(groups_.scales)) {}

    Integers scales(int step) const { return scales_q4k(scales_, step); }
    Integers completed(Integers products, const KActivations &, int) const { return products; }
    template <int ROWS>
    void add(const Integers (&products)[ROWS], const KActivations &y, Sums<ROWS> &sums) const {
        sums.template add_minimums<adds_up_minimums>(groups_.minimums, -f16(block_.minimum_scale),
                                                     y);
        sums.add_products(products, f16(block_.scale), y);
    }
    static float of_minimums(__m128 lanes) {
        return adds_up_minimums ? _mm_cvtss_f32(lanes) : total(lanes);
    }

  protected:
    const Block &block_;

  private:
    const GroupScales groups_;
    const Integers scales_;
};

class UnpackedQ4K : public WithMinimums<BlockQ4K, false> {
  public:
    using WithMinimums::WithMinimums;
    Quants quants(int step) const { return quants_q4k(block_.low_bits, step); }
};

class UnpackedQ5K : public WithMinimums<BlockQ5K, true> {
  public:
    using WithMinimums::WithMinimums;
    Quants quants(int step) const { return quants_q5k(block_.low_bits, block_.high_bits, step); }
};

// Of a type with groups of 16 values, from each of which a number is subtracted.
template <class BlockType, int subtracted>
class WithOffset {
  public:
    using Block = BlockType;
    static constexpr bool has_minimums = false;

    WithOffset(const Block &block, __m128i scales)
        : block_(block),
          scales_(_mm256_cvtepi8_epi16(scales)),
          offsets_(_mm256_mullo_epi16(scales_, _mm256_set1_epi16(-subtracted))) {}

    Integers scales(int step) const { return scales_of_16(scales_, step); }
    template <int ROWS>
    void add(const Integers (&products)[ROWS], const KActivations &y, Sums<ROWS> &sums) const {
        sums.add_products(products, f16(block_.scale), y);
    }

  protected:
    const Block &block_;
    const __m256i scales_, offsets_;
};

class UnpackedQ3K : public WithOffset<BlockQ3K, 4> {
  public:
    using Activations = Q3KActivations;
    explicit UnpackedQ3K(const Block &block)
        : WithOffset(block, unpacked_scales(block.packed_scales)) {}
    // What is subtracted, multiplied like the values. ggml adds it to the sums of the same values.
    Integers completed(Integers products, const Q3KActivations &y, int row) const {
        return add_integers(products, quad_products(offsets_, y.quad_sums[row]));
    }
    Quants quants(int step) const { return quants_q3k(block_.low_bits, block_.high_bits, step); }

  private:
    static __m128i unpacked_scales(const uint8_t *packed) {
        const __m128i low = _mm_loadl_epi64(reinterpret_cast<const __m128i *>(packed));
        const __m128i nibbles =
            _mm_and_si128(_mm_unpacklo_epi64(low, _mm_srli_epi16(low, 4)), _mm_set1_epi8(15));
        int32_t high;
        std::memcpy(&high, packed + 8, 4);
        const __m128i two_bits = _mm_and_si128(
            _mm_srlv_epi32(_mm_set1_epi32(high), _mm_setr_epi32(0, 2, 4, 6)), _mm_set1_epi8(3));
        return _mm_sub_epi8(_mm_or_si128(nibbles, _mm_slli_epi16(two_bits, 4)),
                            _mm_set1_epi8(32));
    }
};

class UnpackedQ6K : public WithOffset<BlockQ6K, 32> {
  public:
    using Activations = KActivations;
    explicit UnpackedQ6K(const Block &block)
        : WithOffset(block, _mm_loadu_si128(reinterpret_cast<const __m128i *>(block.scales))) {}
    Integers completed(Integers products, const KActivations &y, int row) const {
        const auto *sums = reinterpret_cast<const __m256i *>(y.sums[row]);
        return add_integers(products,
                            extended(_mm256_madd_epi16(_mm256_load_si256(sums), offsets_)));
    }
    Quants quants(int step) const { return quants_q6k(block_.low_bits, block_.high_bits, step); }
};

// The block as far ahead as memory takes to answer: processors read ahead to the end of a page only.
template <class Block>
inline void prefetch(const Block *block) {
    constexpr int64_t ahead = 4096;
    const char *from = reinterpret_cast<const char *>(block) + ahead;
    for (size_t at = 0; at < sizeof(Block); at += 64) _mm_prefetch(from + at, _MM_HINT_T0);
}

template <class Unpacked, int ROWS>
inline void multiply_rows(const MulMatNode &node, const typename Unpacked::Activations *activations,
                          int64_t first, int64_t end) {
    const int64_t blocks = node.width / k_values;
    for (int64_t output = first; output < end; output++) {
        const auto *weights = reinterpret_cast<const typename Unpacked::Block *>(
            node.weights + output * node.weight_stride);
        Sums<ROWS> sums;
        for (int64_t i = 0; i < blocks; i++) {
            prefetch(weights + i);
            const Unpacked block(weights[i]);
            const auto &y = activations[i];
            Integers products[ROWS]{};
#pragma GCC unroll 8
            for (int step = 0; step < steps; step++) {
                const Quants quants = block.quants(step);
                const Integers scales = block.scales(step);
#pragma GCC unroll 8
                for (int row = 0; row < ROWS; row++)
                    products[row] = add_products(products[row], quants,
                                                 y.quants[row] + step * vector_bytes, scales);
            }
#pragma GCC unroll 8
            for (int row = 0; row < ROWS; row++)
                products[row] = block.completed(products[row], y, row);
            block.add(products, y, sums);
        }
        for (int row = 0; row < ROWS; row++) {
            float result = total(sums.products(row));
            if constexpr (Unpacked::has_minimums)
                result += Unpacked::of_minimums(sums.minimums(row));
            node.results_at(row)[output] = result;
        }
    }
}

template <class Unpacked>
inline void multiply_type(const MulMatNode &node, const typename Unpacked::Activations *activations,
                          int64_t first, int64_t end) {
    with_constant(node.rows, [&](auto rows) {
        multiply_rows<Unpacked, rows>(node, activations, first, end);
    });
}

// 512 bits are slower than 256 for one row: two halves have to be added up for each block.
inline void multiply_one_q5k(const MulMatNode &group, const void *activations, int64_t first,
                             int64_t end) {
    static const WeightFormat &format = *formats_avx2().find(type_q5_k);
    format.multiply(group, activations, first, end);
}

template <class Unpacked>
void multiply(const MulMatNode &group, const void *activations, int64_t first, int64_t end) {
    if constexpr (vector_bytes > 32 && std::is_same_v<Unpacked, UnpackedQ5K>)
        if (group.rows == 1) return multiply_one_q5k(group, activations, first, end);
    multiply_type<Unpacked>(
        group, static_cast<const typename Unpacked::Activations *>(activations), first, end);
}

// `multiply_part` of a WeightFormat, by what it multiplies.
template <class>
constexpr MultiplyFunction part_of = nullptr;
