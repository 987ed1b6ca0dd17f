// The functions that Python calls: objects are pointers, lists an address and a count.
#include <algorithm>
#include <cmath>
#include <vector>

#include "attention.hpp"
#include "decode_loop.hpp"
#include "eval_callback.hpp"
#include "graphics.hpp"
#include "owner_watch.hpp"
#include "prefetch_ring.hpp"
#include "thread_restriction.hpp"

#ifdef _WIN32
#define EXPORT extern "C" __declspec(dllexport)
#else
#define EXPORT extern "C" __attribute__((visibility("default")))
#endif

using namespace streaming;

EXPORT int watch_owner(int64_t pipe, int64_t owner) {
    return streaming::watch_owner(pipe, owner);
}

EXPORT int restrict_threads(int64_t ruleset) { return streaming::restrict_threads(ruleset); }

EXPORT PrefetchRing *ring_new(const File *files, int count, int64_t page, FallbackRead fallback,
                              int readers) {
    return new PrefetchRing({files, files + count}, page, fallback, readers);
}

EXPORT void ring_free(PrefetchRing *ring) { delete ring; }

EXPORT int ring_add(PrefetchRing *ring, Weight weight) { return ring->add(weight); }

EXPORT void ring_set_order(PrefetchRing *ring, const int *weights, int count) {
    ring->set_order({weights, weights + count});
}

EXPORT int ring_acquire(PrefetchRing *ring, int weight, char **address) {
    const Acquired acquired = ring->acquire(weight);
    *address = acquired.address;
    return acquired.outcome;
}

EXPORT void ring_release(PrefetchRing *ring) { ring->release(); }

// Returns how many are acquired; the first `capacity` of them are put into `weights`.
EXPORT int ring_acquired(PrefetchRing *ring, int *weights, int capacity) {
    const auto acquired = ring->acquired();
    std::copy_n(acquired.begin(), std::min<size_t>(acquired.size(), capacity), weights);
    return static_cast<int>(acquired.size());
}

EXPORT void ring_restart(PrefetchRing *ring, int pause) { ring->restart(pause != 0); }

EXPORT void ring_stop(PrefetchRing *ring) { ring->stop(); }

EXPORT void ring_set_memory(PrefetchRing *ring, char *memory, int64_t nbytes) {
    ring->set_memory(memory, nbytes);
}

EXPORT void ring_counters(PrefetchRing *ring, Counters *counters) { *counters = ring->counters(); }

EXPORT EvalCallback *callback_new(PrefetchRing *ring, TensorOffsets offsets, Handlers handlers) {
    return new EvalCallback(*ring, offsets, handlers);
}

EXPORT void callback_free(EvalCallback *callback) { delete callback; }

EXPORT void callback_evict(EvalCallback *callback, uint64_t tensor, int weight) {
    callback->evict(tensor, weight);
}

EXPORT void callback_admit(EvalCallback *callback, uint64_t tensor) { callback->admit(tensor); }

EXPORT void callback_set_filter(EvalCallback *callback, int integer_nodes, int computed_runs) {
    callback->set_filter(integer_nodes != 0, computed_runs != 0);
}

EXPORT void callback_set_kernels(EvalCallback *callback, NodeKernels kernels) {
    callback->set_kernels(kernels);
}

EXPORT int callback_touch(EvalCallback *callback, uint64_t tensor) {
    return callback->touch(tensor);
}

// Returns how many tensors there are; the first `capacity` of them are put into `tensors`.
EXPORT int callback_begin_pass(EvalCallback *callback, uint64_t *tensors, int capacity) {
    const auto touched = callback->begin_pass();
    std::copy_n(touched.begin(), std::min<size_t>(touched.size(), capacity), tensors);
    return static_cast<int>(touched.size());
}

// What llama.cpp calls, with the EvalCallback as its user data.
EXPORT bool callback_on_node(char *node, bool ask, void *callback) {
    return static_cast<EvalCallback *>(callback)->on_node(node, ask);
}

// What llama.cpp calls where no weights are streamed, with the kernels as its user data. They replace
// nodes before these are computed, and need to see none afterwards.
EXPORT bool kernels_on_node(char *node, bool ask, const NodeKernels *kernels) {
    if (ask) kernels->substitute(node);
    return !ask;
}

// How many bits the widest vectors have that attention can be computed with here; 0 for none.
EXPORT int attention_vector_bits() {
    if (attend_neon() != nullptr) return 128;
    if (!x86_features().avx2) return 0;
    return x86_features().avx512 ? 512 : 256;
}

EXPORT Attention *attention_new(int vector_bits) {
    return new Attention(vector_bits == 512   ? attend_avx512()
                         : vector_bits == 256 ? attend_avx2()
                                              : attend_neon());
}

EXPORT void attention_set_layout(Attention *attention, const CustomNodeLayout *layout) {
    attention->set_layout(*layout);
}

EXPORT void attention_free(Attention *attention) { delete attention; }

// The function of custom nodes of attention; their user data is the Attention.
EXPORT void attention_compute(const char *node, int thread, int threads,
                              Attention *attention) noexcept {
    attention->compute(node, thread, threads);
}

// The instructions of the kernels for multiplications: `MulMatKernel` of native_library.py.
enum MulMatKernel { SSE42 = 1, AVX2, AVX_VNNI, AVX512_VNNI, NEON, NEON_DOTPROD };

EXPORT int mul_mat_supported(MulMatKernel kernel) {
    switch (kernel) {
        case SSE42: return x86_features().sse42;
        case AVX2: return x86_features().avx2;
        case AVX_VNNI: return x86_features().avx_vnni;
        case AVX512_VNNI: return x86_features().avx512_vnni;
        case NEON: return attend_neon() != nullptr;
        case NEON_DOTPROD: return has_dotprod();
    }
    return false;
}

EXPORT MulMat *mul_mat_new(MulMatKernel kernel, Quantizers quantizers) {
    const auto formats = kernel == NEON_DOTPROD  ? formats_neon_dotprod()
                         : kernel == NEON        ? formats_neon()
                         : kernel == AVX512_VNNI ? formats_avx512_vnni()
                         : kernel == AVX_VNNI    ? formats_avx_vnni()
                         : kernel == AVX2        ? formats_avx2()
                                                 : formats_sse42();
    return new MulMat(formats, quantizers);
}

EXPORT void mul_mat_set_layout(MulMat *mul_mat, const CustomNodeLayout *layout) {
    mul_mat->set_layout(*layout);
}

EXPORT void mul_mat_set_rows(MulMat *mul_mat, int64_t least, int64_t most) {
    mul_mat->set_rows(least, most);
}

EXPORT void mul_mat_set_type_rows(MulMat *mul_mat, int type, int64_t least, int64_t most) {
    mul_mat->set_type_rows(type, least, most);
}

EXPORT void mul_mat_free(MulMat *mul_mat) { delete mul_mat; }

// The function of custom nodes of multiplications; their user data is the MulMat.
EXPORT void mul_mat_compute(const char *node, int thread, int threads, MulMat *mul_mat) noexcept {
    mul_mat->compute(node, thread, threads);
}

EXPORT Graphics *graphics_new(const GraphicsFunctions *functions, int64_t least_rows) {
    return new Graphics(*functions, least_rows);
}

EXPORT void graphics_set_layout(Graphics *graphics, const CustomNodeLayout *layout) {
    graphics->set_layout(*layout);
}

EXPORT int graphics_warm_up(Graphics *graphics, int type, int64_t width, int64_t outputs,
                            int64_t rows) {
    return graphics->warm_up(type, width, outputs, rows);
}

EXPORT int graphics_failure(const Graphics *graphics) { return graphics->failure(); }

EXPORT void graphics_free(Graphics *graphics) { delete graphics; }

// The function of custom nodes that a graphics processor computes; their user data is the Graphics.
EXPORT void graphics_compute(const char *node, int thread, int /*threads*/,
                             Graphics *graphics) noexcept {
    graphics->compute(node, thread);
}

// Logits this far below the best one: 100,000 such tokens have 0.0002 of the probability together.
constexpr float NEGLIGIBLE = -20;

// Returns the most likely of the tokens that `to_target` maps to none below 0, and puts its share of
// the probability of all tokens into `probability`. -1 where none is mapped.
EXPORT int best_token(const float *logits, const int32_t *to_target, int count,
                      float *probability) {
    int best = -1;
    for (int token = 0; token < count; token++)
        if (to_target[token] >= 0 && (best < 0 || logits[token] > logits[best])) best = token;
    if (best < 0) return best;
    float sum = 0;
    for (int token = 0; token < count; token++)
        if (const float below = logits[token] - logits[best]; !(below < NEGLIGIBLE))
            sum += std::exp(below);
    *probability = 1 / sum;
    return best;
}

EXPORT int32_t sample_token_or_none(int32_t (*sample)(void *, void *, int32_t), void *chain,
                                    void *context, int32_t row) {
    return sample_token(sample, chain, context, row);
}

EXPORT void decode_loop_run(const LlamaFunctions *llama, void *chain, const DecodeBuffers *buffers,
                            int32_t max_tokens, double time_limit_s, char end,
                            DecodeResult *result) {
    *result = decode_text(*llama, chain, *buffers, max_tokens, time_limit_s, end);
}
