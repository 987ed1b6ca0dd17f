// Attention with the 128-bit vectors of NEON, which every 64-bit ARM processor has.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "attention_node.hpp"

#if defined(__aarch64__) && defined(__GNUC__)
#include <arm_neon.h>

namespace streaming::neon {

using Vector = float32x4_t;
constexpr int64_t lanes = 4;
constexpr int score_cells = 4, value_vectors = 4;  // 16 of 32 registers for the sums of 4 rows

inline Vector load(const float *from) { return vld1q_f32(from); }
inline void store(float *to, Vector x) { vst1q_f32(to, x); }
inline Vector broadcast(float x) { return vdupq_n_f32(x); }
inline Vector add(Vector a, Vector b) { return vaddq_f32(a, b); }
inline Vector multiply(Vector a, Vector b) { return vmulq_f32(a, b); }
inline Vector multiply_add(Vector a, Vector b, Vector c) { return vfmaq_f32(c, a, b); }
inline Vector maximum(Vector a, Vector b) { return vmaxq_f32(a, b); }
inline Vector round_to_nearest(Vector x) { return vrndnq_f32(x); }
inline Vector times_power_of_two(Vector x, Vector n) {
    const int32x4_t exponent = vshlq_n_s32(vcvtq_s32_f32(n), 23);
    return vreinterpretq_f32_s32(vaddq_s32(vreinterpretq_s32_f32(x), exponent));
}
inline Vector zero_where_less(Vector a, Vector b, Vector x) {
    return vreinterpretq_f32_u32(vbicq_u32(vreinterpretq_u32_f32(x), vcltq_f32(a, b)));
}
inline Vector load_f16(const char *from) {
    uint16x4_t bits;
    std::memcpy(&bits, from, sizeof bits);
    return vcvt_f32_f16(vreinterpret_f16_u16(bits));
}
inline Vector load_i8(const char *from) {
    uint32_t four;
    std::memcpy(&four, from, sizeof four);
    const int8x8_t bytes = vreinterpret_s8_u32(vdup_n_u32(four));
    return vcvtq_f32_s32(vmovl_s16(vget_low_s16(vmovl_s8(bytes))));
}
inline float total(Vector x) { return vaddvq_f32(x); }
inline float largest(Vector x) { return vmaxvq_f32(x); }
// Stores the total of each vector.
inline void store_sums(float *to, const Vector (&sums)[score_cells]) {
    vst1q_f32(to, vpaddq_f32(vpaddq_f32(sums[0], sums[1]), vpaddq_f32(sums[2], sums[3])));
}
inline float f32_of_f16(uint16_t bits) {
    return vgetq_lane_f32(vcvt_f32_f16(vreinterpret_f16_u16(vdup_n_u16(bits))), 0);
}

#include "attention_kernel.hpp"

}  // namespace streaming::neon

streaming::AttendFunction streaming::attend_neon() { return neon::attend; }
#else
streaming::AttendFunction streaming::attend_neon() { return nullptr; }
#endif
