#include "writing.hpp"

#include <chrono>

namespace streaming {

Written write_plain(const Writer &writer, void *chain, int32_t *tokens, double *times_s, int32_t most,
                    double for_s) {
    using Clock = std::chrono::steady_clock;
    using Seconds = std::chrono::duration<double>;
    const auto began = Clock::now();
    auto before = began;
    for (int32_t computed = 0;;) {
        *writer.token = tokens[computed];
        const int32_t status = writer.decode(writer.context, writer.one);
        if (status) return {computed, status};
        computed++;
        const int32_t next = tokens[computed] = writer.sample(chain, writer.context, -1);
        const auto now = Clock::now();
        times_s[computed - 1] = Seconds(now - before).count();
        const bool plain = next >= 0 && next < writer.vocabulary && writer.plain[next];
        if (!plain || computed > most || Seconds(now - began).count() >= for_s) return {computed, 0};
        before = now;
    }
}

}  // namespace streaming
