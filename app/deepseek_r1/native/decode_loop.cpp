#include "decode_loop.hpp"

#include <chrono>
#include <cstring>

namespace streaming {

namespace {

// The length of a token's text in bytes. 0 where the caller has to handle the token: it ends the
// answer, contains the byte `end`, has no text, or more text than `capacity`.
int32_t plain_text(const LlamaFunctions &llama, int32_t token, char *text, int32_t capacity,
                   char end) {
    if (token < 0 || llama.vocab_is_eog(llama.vocabulary, token)) return 0;
    const int32_t nbytes = llama.token_to_piece(llama.vocabulary, token, text, capacity, 0, false);
    return nbytes > 0 && !std::memchr(text, end, static_cast<size_t>(nbytes)) ? nbytes : 0;
}

}  // namespace

int32_t sample_token(int32_t (*sample)(void *, void *, int32_t), void *chain, void *context,
                     int32_t row) {
    try {
        return sample(chain, context, row);
    } catch (...) {
        return -1;
    }
}

DecodeResult decode_text(const LlamaFunctions &llama, void *chain, const DecodeBuffers &buffers,
                         int32_t max_tokens, double time_limit_s, char end) {
    using Clock = std::chrono::steady_clock;
    using Seconds = std::chrono::duration<double>;
    const auto started = Clock::now();
    auto before = started;
    DecodeResult result{};
    for (;;) {
        *llama.token = buffers.tokens[result.computed];
        result.status = llama.decode(llama.context, llama.one);
        if (result.status) return result;
        const int32_t next = sample_token(llama.sampler_sample, chain, llama.context, -1);
        const auto now = Clock::now();
        buffers.times_s[result.computed++] = Seconds(now - before).count();
        buffers.tokens[result.computed] = next;
        if (result.text_tokens >= max_tokens || Seconds(now - started).count() >= time_limit_s)
            return result;
        const int32_t nbytes = plain_text(llama, next, buffers.text + result.text_bytes,
                                          buffers.text_capacity - result.text_bytes, end);
        if (!nbytes) return result;
        result.text_tokens++;
        result.text_bytes += nbytes;
        before = now;
    }
}

}  // namespace streaming
