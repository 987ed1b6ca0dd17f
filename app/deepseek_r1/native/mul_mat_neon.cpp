// Matrix multiplication with the 128-bit vectors of NEON, which every 64-bit ARM processor has, and with
// the dot products of bytes that most have since ARMv8.2.
#include <algorithm>
#include <cmath>

#include "activations.hpp"

#if defined(__aarch64__) && defined(__GNUC__)
#include <arm_neon.h>
#if defined(__linux__)
#include <sys/auxv.h>
#elif defined(_WIN32)
extern "C" __declspec(dllimport) int __stdcall IsProcessorFeaturePresent(unsigned long feature);
#endif

namespace streaming {

// As ggml does it with NEON: its `quantize_row_q8_0_ref` rounds halves up, this one to even.
static void to_q8_0_neon(const float *from, BlockQ80 &block) {
    float32x4_t sizes = vdupq_n_f32(0);
    for (int i = 0; i < block_values; i += 4)
        sizes = vmaxq_f32(sizes, vabsq_f32(vld1q_f32(from + i)));
    const float scale = vmaxvq_f32(sizes) / 127;
    const float16x4_t rounded = vcvt_f16_f32(vdupq_n_f32(scale));
    block.scale = vget_lane_u16(vreinterpret_u16_f16(rounded), 0);
    const float inverse = scale != 0 ? 1 / scale : 0;
    for (int i = 0; i < block_values; i += 8) {
        const int32x4_t low = vcvtnq_s32_f32(vmulq_n_f32(vld1q_f32(from + i), inverse));
        const int32x4_t high = vcvtnq_s32_f32(vmulq_n_f32(vld1q_f32(from + i + 4), inverse));
        vst1_s8(block.quants + i, vmovn_s16(vcombine_s16(vmovn_s32(low), vmovn_s32(high))));
    }
}
static void quantize_q8_0_neon(const Quantizers &, const MulMatNode &group, int64_t number,
                               void *block) {
    quantize_blocks<BlockActivations>(to_q8_0_neon, group, number, block);
}

namespace mul_mat_neon {
inline int32x4_t add_dot(int32x4_t sums, int8x16_t a, int8x16_t b) {
    const int16x8_t low = vmull_s8(vget_low_s8(a), vget_low_s8(b));
    const int16x8_t high = vmull_high_s8(a, b);
    return vaddq_s32(sums, vaddq_s32(vpaddlq_s16(low), vpaddlq_s16(high)));
}
#include "mul_mat_neon_kernel.hpp"
}  // namespace mul_mat_neon

TARGET_BEGIN("+dotprod")
namespace mul_mat_neon_dotprod {
inline int32x4_t add_dot(int32x4_t sums, int8x16_t a, int8x16_t b) { return vdotq_s32(sums, a, b); }
#include "mul_mat_neon_kernel.hpp"
}  // namespace mul_mat_neon_dotprod
TARGET_END

WeightFormats formats_neon() { return mul_mat_neon::formats; }
WeightFormats formats_neon_dotprod() { return mul_mat_neon_dotprod::formats; }

bool has_dotprod() {
#if defined(__linux__)
    return getauxval(AT_HWCAP) >> 20 & 1;  // HWCAP_ASIMDDP
#elif defined(_WIN32)
    return IsProcessorFeaturePresent(43);  // PF_ARM_V82_DP_INSTRUCTIONS_AVAILABLE
#else
    return true;  // of every Mac
#endif
}

}  // namespace streaming
#else
streaming::WeightFormats streaming::formats_neon() { return {}; }
streaming::WeightFormats streaming::formats_neon_dotprod() { return {}; }
bool streaming::has_dotprod() { return false; }
#endif
