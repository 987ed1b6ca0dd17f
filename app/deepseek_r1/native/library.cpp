// The functions that Python calls: objects are pointers, lists an address and a count.
#include <algorithm>

#include "ring.hpp"
#include "stretch.hpp"
#include "writing.hpp"

#ifdef _WIN32
#define EXPORT extern "C" __declspec(dllexport)
#else
#define EXPORT extern "C" __attribute__((visibility("default")))
#endif

using namespace streaming;

EXPORT Ring *ring_new(const File *files, int count, int64_t page, ReadOtherwise read_otherwise,
                      int readers) {
    return new Ring({files, files + count}, page, read_otherwise, readers);
}

EXPORT void ring_free(Ring *ring) { delete ring; }

EXPORT int ring_add(Ring *ring, Weight weight) { return ring->add(weight); }

EXPORT void ring_set_order(Ring *ring, const int *weights, int count) {
    ring->set_order({weights, weights + count});
}

EXPORT int ring_take(Ring *ring, int weight, char **address) {
    const Taken taken = ring->take(weight);
    *address = taken.address;
    return taken.outcome;
}

EXPORT void ring_release(Ring *ring) { ring->release(); }

// How many were taken; the first `room` of them are put into `weights`.
EXPORT int ring_taken(Ring *ring, int *weights, int room) {
    const auto taken = ring->taken();
    std::copy_n(taken.begin(), std::min<size_t>(taken.size(), room), weights);
    return static_cast<int>(taken.size());
}

EXPORT void ring_restart(Ring *ring, int pause) { ring->restart(pause != 0); }

EXPORT void ring_rest(Ring *ring) { ring->rest(); }

EXPORT void ring_use(Ring *ring, char *memory, int64_t nbytes) { ring->use(memory, nbytes); }

EXPORT void ring_counters(Ring *ring, Counters *counters) { *counters = ring->counters(); }

EXPORT Stretch *stretch_new(Ring *ring, TensorLayout layout, Owner owner) {
    return new Stretch(*ring, layout, owner);
}

EXPORT void stretch_free(Stretch *stretch) { delete stretch; }

EXPORT void stretch_watch(Stretch *stretch, uint64_t tensor, int weight) {
    stretch->watch(tensor, weight);
}

EXPORT void stretch_forget(Stretch *stretch, uint64_t tensor) { stretch->forget(tensor); }

EXPORT void stretch_show(Stretch *stretch, int whole_numbers, int ends) {
    stretch->show(whole_numbers != 0, ends != 0);
}

EXPORT int stretch_see(Stretch *stretch, uint64_t tensor) { return stretch->see(tensor); }

// How many tensors; the first `room` of them are put into `tensors`.
EXPORT int stretch_begin_pass(Stretch *stretch, uint64_t *tensors, int room) {
    const auto seen = stretch->begin_pass();
    std::copy_n(seen.begin(), std::min<size_t>(seen.size(), room), tensors);
    return static_cast<int>(seen.size());
}

// What llama.cpp calls, with the stretch as its user data.
EXPORT bool stretch_on_node(char *node, bool ask, void *stretch) {
    return static_cast<Stretch *>(stretch)->on_node(node, ask);
}

EXPORT void writer_write(const Writer *writer, void *chain, const Page *page, int32_t most,
                         double for_s, char end, Written *written) {
    *written = write_plain(*writer, chain, *page, most, for_s, end);
}
