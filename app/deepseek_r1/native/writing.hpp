// Tokens of plain text, one after the other: each is computed, and the next one chosen from it.
//
// A computation empties the processor's caches, and whoever waits for Python's lock behind it waits
// for all that other threads of the program do in Python. So nobody returns there for every token.
#pragma once

#include <cstdint>

namespace streaming {

// A llama_batch: a count and six pointers.
struct Batch {
    int32_t count;
    void *parts[6];
};

struct Writer {
    int32_t (*decode)(void *context, Batch batch);                // llama_decode
    int32_t (*sample)(void *chain, void *context, int32_t row);   // llama_sampler_sample
    void *context;
    Batch one;             // of a single token
    int32_t *token;        // that one
    const uint8_t *plain;  // by token: 1 where it is known to say nothing but text
    int32_t vocabulary;
};

// What comes of writing: `computed` tokens, and a status that is 0 unless computing failed.
struct Written {
    int32_t computed;
    int32_t status;
};

// Computes tokens[0] and puts the next one behind it, and so on; the last one is not computed. Ends
// behind a token that is not known to be plain, after `for_s` seconds, or when `most` plain tokens
// were computed behind the first. `tokens` has room for most + 2, `times_s`, what each computed one
// took, for most + 1.
Written write_plain(const Writer &writer, void *chain, int32_t *tokens, double *times_s, int32_t most,
                    double for_s);

}  // namespace streaming
