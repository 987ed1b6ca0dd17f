// Attention with the 256-bit vectors of AVX2, FMA and F16C.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "attention_node.hpp"

#if HAS_X86_KERNELS
#include <immintrin.h>
TARGET_BEGIN("avx2,fma,f16c")

namespace streaming::avx2 {

using Vector = __m256;
constexpr int64_t lanes = 8;
constexpr int score_cells = 2, value_vectors = 2;  // more sums do not stay in 16 registers

inline Vector load(const float *from) { return _mm256_loadu_ps(from); }
inline void store(float *to, Vector x) { _mm256_storeu_ps(to, x); }
inline Vector broadcast(float x) { return _mm256_set1_ps(x); }
inline Vector add(Vector a, Vector b) { return _mm256_add_ps(a, b); }
inline Vector multiply(Vector a, Vector b) { return _mm256_mul_ps(a, b); }
inline Vector multiply_add(Vector a, Vector b, Vector c) { return _mm256_fmadd_ps(a, b, c); }
inline Vector maximum(Vector a, Vector b) { return _mm256_max_ps(a, b); }
inline Vector round_to_nearest(Vector x) {
    return _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
inline Vector times_power_of_two(Vector x, Vector n) {
    const __m256i exponent = _mm256_slli_epi32(_mm256_cvtps_epi32(n), 23);
    return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(x), exponent));
}
inline Vector zero_where_less(Vector a, Vector b, Vector x) {
    return _mm256_andnot_ps(_mm256_cmp_ps(a, b, _CMP_LT_OQ), x);
}
inline Vector load_f16(const char *from) {
    return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i *>(from)));
}
inline Vector load_i8(const char *from) {
    return _mm256_cvtepi32_ps(
        _mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i *>(from))));
}
inline __m128 folded(Vector x) {
    return _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
}
inline float total(Vector x) {
    __m128 sum = folded(x);
    sum = _mm_add_ps(sum, _mm_movehl_ps(sum, sum));
    return _mm_cvtss_f32(_mm_add_ss(sum, _mm_movehdup_ps(sum)));
}
inline float largest(Vector x) {
    __m128 most = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    most = _mm_max_ps(most, _mm_movehl_ps(most, most));
    return _mm_cvtss_f32(_mm_max_ss(most, _mm_movehdup_ps(most)));
}
// Stores the total of each vector.
inline void store_sums(float *to, const Vector (&sums)[score_cells]) {
    const __m128 pairs = folded(_mm256_hadd_ps(sums[0], sums[1]));  // two halves of each total
    _mm_storel_pi(reinterpret_cast<__m64 *>(to),
                  _mm_add_ps(_mm_shuffle_ps(pairs, pairs, _MM_SHUFFLE(2, 0, 2, 0)),
                             _mm_shuffle_ps(pairs, pairs, _MM_SHUFFLE(3, 1, 3, 1))));
}

inline float f32_of_f16(uint16_t bits) { return _cvtsh_ss(bits); }

#include "attention_kernel.hpp"

}  // namespace streaming::avx2

TARGET_END

streaming::AttendFunction streaming::attend_avx2() { return avx2::attend; }
#else
streaming::AttendFunction streaming::attend_avx2() { return nullptr; }
#endif
