#include "writing.hpp"

#include <chrono>
#include <cstring>

namespace streaming {

namespace {

// How many bytes of text a token says; 0 where the loop has to leave it to others: it ends the
// answer, has a byte `end`, says nothing, or more than there is room for.
int32_t plain_text(const Writer &writer, int32_t token, char *text, int32_t room, char end) {
    if (token < 0 || writer.vocab_is_eog(writer.vocabulary, token)) return 0;
    const int32_t nbytes = writer.token_to_piece(writer.vocabulary, token, text, room, 0, false);
    return nbytes > 0 && !std::memchr(text, end, static_cast<size_t>(nbytes)) ? nbytes : 0;
}

}  // namespace

Written write_plain(const Writer &writer, void *chain, const Page &page, int32_t most, double for_s,
                    char end) {
    using Clock = std::chrono::steady_clock;
    using Seconds = std::chrono::duration<double>;
    const auto began = Clock::now();
    auto before = began;
    Written written{};
    for (;;) {
        *writer.token = page.tokens[written.computed];
        written.status = writer.decode(writer.context, writer.one);
        if (written.status) return written;
        const int32_t next = writer.sampler_sample(chain, writer.context, -1);
        const auto now = Clock::now();
        page.times_s[written.computed++] = Seconds(now - before).count();
        page.tokens[written.computed] = next;
        if (written.told >= most || Seconds(now - began).count() >= for_s) return written;
        const int32_t nbytes = plain_text(writer, next, page.text + written.text_bytes,
                                          page.text_room - written.text_bytes, end);
        if (!nbytes) return written;
        written.told++;
        written.text_bytes += nbytes;
        before = now;
    }
}

}  // namespace streaming
