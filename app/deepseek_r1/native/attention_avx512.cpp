// Attention with the 512-bit vectors of AVX-512: F, and VL, so that clang uses all 32 registers.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "attention_node.hpp"

#if HAS_X86_KERNELS
#include <immintrin.h>
TARGET_BEGIN("avx512f,avx512vl,avx2,fma,f16c")

namespace streaming::avx512 {

using Vector = __m512;
constexpr int64_t lanes = 16;
constexpr int score_cells = 4, value_vectors = 4;  // 16 of 32 registers for the sums of 4 rows

inline Vector load(const float *from) { return _mm512_loadu_ps(from); }
inline void store(float *to, Vector x) { _mm512_storeu_ps(to, x); }
inline Vector broadcast(float x) { return _mm512_set1_ps(x); }
inline Vector add(Vector a, Vector b) { return _mm512_add_ps(a, b); }
inline Vector multiply(Vector a, Vector b) { return _mm512_mul_ps(a, b); }
inline Vector multiply_add(Vector a, Vector b, Vector c) { return _mm512_fmadd_ps(a, b, c); }
inline Vector maximum(Vector a, Vector b) { return _mm512_max_ps(a, b); }
inline Vector round_to_nearest(Vector x) {
    return _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
inline Vector times_power_of_two(Vector x, Vector n) { return _mm512_scalef_ps(x, n); }
inline Vector zero_where_less(Vector a, Vector b, Vector x) {
    return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(a, b, _CMP_NLT_UQ), x);
}
inline Vector load_f16(const char *from) {
    return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i *>(from)));
}
inline Vector load_i8(const char *from) {
    return _mm512_cvtepi32_ps(
        _mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i *>(from))));
}
inline float total(Vector x) { return _mm512_reduce_add_ps(x); }
inline float largest(Vector x) { return _mm512_reduce_max_ps(x); }
inline __m256 folded(Vector x) {
    const __m256 high =
        _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(x), 1));
    return _mm256_add_ps(_mm512_castps512_ps256(x), high);
}
// Stores the total of each vector.
inline void store_sums(float *to, const Vector (&sums)[score_cells]) {
    const __m256 first = _mm256_hadd_ps(folded(sums[0]), folded(sums[1]));
    const __m256 second = _mm256_hadd_ps(folded(sums[2]), folded(sums[3]));
    const __m256 both = _mm256_hadd_ps(first, second);
    _mm_storeu_ps(to, _mm_add_ps(_mm256_castps256_ps128(both), _mm256_extractf128_ps(both, 1)));
}

inline float f32_of_f16(uint16_t bits) { return _cvtsh_ss(bits); }

#include "attention_kernel.hpp"

}  // namespace streaming::avx512

TARGET_END

streaming::AttendFunction streaming::attend_avx512() { return avx512::attend; }
#else
streaming::AttendFunction streaming::attend_avx512() { return nullptr; }
#endif
