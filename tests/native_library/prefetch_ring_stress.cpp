// Stress test of the prefetch ring, to be run under a sanitizer: weights of random sizes, acquired in
// and out of order, with restarts, other memory and failing reads. Compares every byte that it gets.
// Prints counts; exit status 1 where a byte was wrong.
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <vector>

#include "prefetch_ring.hpp"

using namespace streaming;

namespace {

constexpr int64_t PAGE = 4096;
constexpr int64_t FILE_BYTES = 3 << 20;
std::atomic<bool> broken{false};
std::atomic<int> reads{0};

// Read and compared by memcpy and memcmp, whose ranges a sanitizer checks as a whole.
const std::vector<char> file = [] {
    std::vector<char> bytes(FILE_BYTES);
    for (uint64_t at = 0; at < bytes.size(); at++)
        bytes[at] = static_cast<char>(at * 2654435761u >> 13);
    return bytes;
}();

int fallback(int64_t, int64_t start, int64_t end, char *into) {
    reads++;
    if (broken) return 0;
    std::memcpy(into, file.data() + start, end - start);
    return 1;
}

void require(bool condition, const char *what) {
    if (condition) return;
    std::fprintf(stderr, "failed: %s\n", what);
    std::exit(1);
}

}  // namespace

int main(int, char **arguments) {
    std::mt19937 random(static_cast<unsigned>(std::atoi(arguments[1])));
    const auto one_of = [&](int64_t most) { return static_cast<int64_t>(random() % most); };
    std::vector<Weight> weights;
    for (int64_t offset = 32; offset < FILE_BYTES - 9 * PAGE;) {
        const int64_t nbytes = 1 + one_of(8 * PAGE);
        weights.push_back({0, offset, nbytes});
        offset += nbytes + 32 * one_of(200);
    }
    std::vector<char> memory(32 * PAGE);  // outlives the ring
    PrefetchRing ring({{FILE_BYTES, 2 * PAGE, -1}}, PAGE, fallback, 6);
    ring.set_memory(memory.data(), 24 * PAGE);
    std::vector<int> order;
    for (const Weight &weight : weights) order.push_back(ring.add(weight));
    ring.set_order(order);

    std::vector<std::pair<int, const char *>> held;
    int served = 0, failures = 0;
    const auto compute = [&] {
        require(ring.acquired().size() == held.size(), "acquired weights are listed");
        for (const auto &[number, address] : held)
            require(!std::memcmp(address, &file[weights[number].offset], weights[number].nbytes),
                    "the bytes are right");
        held.clear();
        ring.release();
    };
    for (int step = 0; step < 4000; step++) {
        const int luck = static_cast<int>(one_of(400));
        if (luck == 0) {
            held.clear();
            ring.stop();
            ring.set_memory(memory.data(), (12 + one_of(20)) * PAGE);
        } else if (luck == 1) {
            held.clear();
            ring.restart(false);
        } else if (luck == 2) {
            broken = true;
        }
        const int number = luck < 20 ? static_cast<int>(one_of(weights.size()))
                                     : static_cast<int>(step % weights.size());
        const Acquired acquired = ring.acquire(number);
        ring.counters();
        if (acquired.outcome == FAILED) {
            failures++;
            broken = false;
            held.clear();
            ring.restart(true);
        } else if (acquired.outcome == NOT_PREFETCHED) {
            compute();
        } else {
            served++;
            held.push_back({number, acquired.address});
            if (acquired.outcome == COMPUTE) compute();
        }
    }
    std::printf("%d served, %d failures, %d reads\n", served, failures, reads.load());
    return 0;
}
