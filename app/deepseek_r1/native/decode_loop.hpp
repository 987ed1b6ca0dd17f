// Decodes plain text token by token: computes each token and samples the next one from it.
//
// A computation empties the processor's caches, and a thread that then waits for Python's lock waits
// for everything that other threads do in Python. So the loop returns to Python only when it must.
#pragma once

#include <cstdint>

namespace streaming {

// A llama_batch: a count and six pointers.
struct LlamaBatch {
    int32_t count;
    void *parts[6];
};

// The functions of llama.cpp that the loop calls, named as there without `llama_`, and their arguments.
struct LlamaFunctions {
    int32_t (*decode)(void *context, LlamaBatch batch);
    int32_t (*sampler_sample)(void *chain, void *context, int32_t row);
    bool (*vocab_is_eog)(const void *vocabulary, int32_t token);
    int32_t (*token_to_piece)(const void *vocabulary, int32_t token, char *text, int32_t capacity,
                              int32_t lstrip, bool special);
    void *context;
    const void *vocabulary;
    LlamaBatch one;  // a batch of a single token
    int32_t *token;  // the token in that batch
};

struct DecodeResult {
    int32_t computed;
    int32_t status;       // 0, or what `decode` returned when it failed
    int32_t text_tokens;  // tokens whose text was appended to `text`
    int32_t text_bytes;
};

// Where the loop puts its output. `tokens` has space for max_tokens + 2, `times_s` (seconds that each
// computed token took) for max_tokens + 1.
struct DecodeBuffers {
    int32_t *tokens;
    double *times_s;
    char *text;
    int32_t text_capacity;
};

// Samples a token from a row of logits. -1 where llama.cpp throws: a grammar leaves no token.
int32_t sample_token(int32_t (*sample)(void *chain, void *context, int32_t row), void *chain,
                     void *context, int32_t row);

// Computes tokens[0] and samples the next token behind it. A token of plain text without the byte
// `end` is appended to the text and computed in its turn. The last token is neither: it is not plain
// text, or `time_limit_s` is over, or `max_tokens` were appended; -1 as in `sample_token`.
DecodeResult decode_text(const LlamaFunctions &llama, void *chain, const DecodeBuffers &buffers,
                         int32_t max_tokens, double time_limit_s, char end);

}  // namespace streaming
