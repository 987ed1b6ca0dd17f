// One block of the types with 32 values and no minimum, as bytes with a sign. No include guard, as in
// `mul_mat_kernel.hpp`.

namespace blocks {

inline __m256i signed_quants(const BlockQ80 &block) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i *>(block.quants));
}
// The first half has the lower bits of the bytes, the second the higher ones.
inline __m256i nibbles(const uint8_t *low_bits) {
    const __m128i both = _mm_loadu_si128(reinterpret_cast<const __m128i *>(low_bits));
    return _mm256_and_si256(_mm256_set_m128i(_mm_srli_epi16(both, 4), both), _mm256_set1_epi8(15));
}
inline __m256i signed_quants(const BlockQ40 &block) {
    return _mm256_sub_epi8(nibbles(block.low_bits), _mm256_set1_epi8(8));
}
// Where the fifth bit is not set, the four upper bits of a byte are: 16 is subtracted.
inline __m256i signed_quants(const BlockQ50 &block) {
    int32_t bits;
    std::memcpy(&bits, block.high_bits, 4);
    const __m256i bit = _mm256_set1_epi64x(static_cast<long long>(0x8040201008040201));
    const __m256i order = _mm256_setr_epi64x(0, 0x0101010101010101, 0x0202020202020202,
                                             0x0303030303030303);
    const __m256i bytes = _mm256_shuffle_epi8(_mm256_set1_epi32(bits), order);
    const __m256i is_set = _mm256_cmpeq_epi8(_mm256_and_si256(bytes, bit), bit);
    const __m256i upper = _mm256_andnot_si256(is_set, _mm256_set1_epi8(static_cast<char>(0xf0)));
    return _mm256_or_si256(nibbles(block.low_bits), upper);
}

}  // namespace blocks
