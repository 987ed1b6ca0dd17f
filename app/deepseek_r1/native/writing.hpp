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

// Functions of llama.cpp, by their names there without what they begin with, and what they are given.
struct Writer {
    int32_t (*decode)(void *context, Batch batch);
    int32_t (*sampler_sample)(void *chain, void *context, int32_t row);
    bool (*vocab_is_eog)(const void *vocabulary, int32_t token);
    int32_t (*token_to_piece)(const void *vocabulary, int32_t token, char *text, int32_t room,
                              int32_t lstrip, bool special);
    void *context;
    const void *vocabulary;
    Batch one;       // of a single token
    int32_t *token;  // that one
};

// What comes of writing. `status` is 0 unless computing failed, and then `decode`'s.
struct Written {
    int32_t computed;
    int32_t status;
    int32_t told;        // tokens whose text was put into `text`
    int32_t text_bytes;
};

// Where it is put: `tokens` has room for most + 2, `times_s`, what each computed one took, for
// most + 1.
struct Page {
    int32_t *tokens;
    double *times_s;
    char *text;
    int32_t text_room;
};

// Computes tokens[0] and puts the next one behind it; where that says text, and no `end` byte in it,
// tells it, computes it, and so on. The last token is neither told nor computed: it is not plain, or
// `for_s` seconds are over, or `most` were told.
Written write_plain(const Writer &writer, void *chain, const Page &page, int32_t most, double for_s,
                    char end);

}  // namespace streaming
