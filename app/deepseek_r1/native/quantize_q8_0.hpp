// Quantizes activations to BlockQ80 with AVX2, as ggml does there: its `quantize_row_q8_0_ref` rounds
// halves up, this one to even. No include guard, as in `mul_mat_kernel.hpp`.

inline void to_q8_0(const float *from, BlockQ80 &block) {
    __m256 values[4];
    for (int i = 0; i < 4; i++) values[i] = _mm256_loadu_ps(from + 8 * i);
    __m256 sizes = _mm256_setzero_ps();
    for (int i = 0; i < 4; i++) {
        const __m256 size = _mm256_andnot_ps(_mm256_set1_ps(-0.0F), values[i]);
        sizes = i ? _mm256_max_ps(sizes, size) : size;
    }
    __m128 four = _mm_max_ps(_mm256_extractf128_ps(sizes, 1), _mm256_castps256_ps128(sizes));
    four = _mm_max_ps(four, _mm_movehl_ps(four, four));
    const float most = _mm_cvtss_f32(_mm_max_ss(four, _mm_movehdup_ps(four)));
    const __m256 scale = _mm256_set1_ps(most != 0.0F ? 127.0F / most : 0.0F);
    block.scale = _cvtss_sh(most / 127.0F, 0);
    __m256i found[4];
    for (int i = 0; i < 4; i++) found[i] = _mm256_cvtps_epi32(_mm256_mul_ps(values[i], scale));
    const __m256i mixed = _mm256_packs_epi16(_mm256_packs_epi32(found[0], found[1]),
                                             _mm256_packs_epi32(found[2], found[3]));
    const __m256i ordered =
        _mm256_permutevar8x32_epi32(mixed, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
    _mm256_storeu_si256(reinterpret_cast<__m256i *>(block.quants), ordered);
}
inline auto q8_0_of(const Quantizers &) { return to_q8_0; }
