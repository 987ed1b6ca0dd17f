// A ring buffer that is filled with weights in the order of the computation, ahead of it.
//
// The ring is a queue of weights of different sizes, each in one piece: first in, first out.
// Positions in it grow for ever; bytes whose positions differ by the ring's size share memory. A
// weight gets its slot at once, and each piece of it is read as soon as the memory under it is free.
// Readers sleep in the kernel or on a condition variable.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <thread>
#include <vector>

namespace streaming {

struct File {
    int64_t nbytes;
    int64_t stride;      // reads end at multiples of it, or at the end of what is wanted
    int64_t descriptor;  // for reads past the page cache, on Windows a handle; -1 for none
};

struct Weight {
    int64_t part;            // index of the file
    int64_t offset, nbytes;  // in that file
};

enum Outcome : int {
    NOT_PREFETCHED = 0,  // it was not on its way; prefetching goes on behind it
    CONTINUE = 1,        // it has been read, and so has the next weight
    COMPUTE = 2,         // it has been read; compute now with what was acquired
    FAILED = 3,          // a read failed
};

struct Acquired {
    Outcome outcome;
    char *address;
};

struct Counters {
    int64_t read_bytes;
    int64_t filled_bytes;  // from the ring's start: in memory since they were first read
    double wait_s;         // seconds that the computation waited
};

// Reads a range of a file by other means, in whole pages: where there are no direct reads, and
// whenever one was refused, came short or failed. Returns 0 where that fails too.
using FallbackRead = int (*)(int64_t part, int64_t start, int64_t end, char *into);

// One thread, the computing one, calls everything; `counters` may be called from any.
class PrefetchRing {
  public:
    PrefetchRing(std::vector<File> files, int64_t page, FallbackRead fallback, int readers);
    ~PrefetchRing();
    PrefetchRing(const PrefetchRing &) = delete;
    PrefetchRing &operator=(const PrefetchRing &) = delete;

    // Registers a weight and returns its number.
    int add(Weight weight);
    // Reads these weights from now on, over and over; what was prefetched before is discarded.
    void set_order(std::vector<int> order);
    // Waits until a weight is read and returns its address, which is valid until `release`.
    Acquired acquire(int weight);
    // All acquired weights have been used.
    void release();
    // The weights that are acquired now.
    std::vector<int> acquired();
    // Begins again at the start of the order, once running reads have ended. With `pause` nothing is
    // read before the next `acquire`: what failed would fail again.
    void restart(bool pause);
    // Stops reading until `set_memory`; returns when no read is running.
    void stop();
    // The ring's memory from now on, in whole pages.
    void set_memory(char *memory, int64_t nbytes);
    Counters counters();

  private:
    enum class State { PREFETCHED, ACQUIRED, RELEASED };

    struct Slot {
        int weight;
        int64_t start, end;  // positions
        char *address;       // the weight's first byte
        int unread_pieces;
        int next_weight;     // the one that is needed next; -1 at the end of a pass
        State state;
    };

    struct Piece {
        Slot *slot;
        int64_t first, last;  // in the file
    };

    int64_t page_down(int64_t at) const { return at & ~(page_ - 1); }
    int64_t page_up(int64_t at) const { return page_down(at + page_ - 1); }
    int64_t ring_offset(const Slot &slot, int64_t file_offset) const;

    // With the lock held.
    int64_t tail() const;
    bool waits_for_release(const Slot &slot) const;
    bool fits_soon(int weight) const;
    void wait_for(const Slot &slot, std::unique_lock<std::mutex> &lock);
    void release_acquired();
    void discard_prefetched();
    void pop_free_slots();
    bool allocate_slot();
    bool piece_is_readable();

    void run_reader();
    bool read(int64_t part, const Piece &piece, char *into) const;

    const std::vector<File> files_;
    const int64_t page_;
    const FallbackRead fallback_;

    std::mutex mutex_;
    std::condition_variable work_, ready_;
    char *memory_ = nullptr;
    int64_t nbytes_ = 0;
    std::vector<Weight> weights_;
    std::vector<Slot *> slot_of_;     // by weight: null where it is not prefetched
    std::vector<int> order_index_;    // by weight: -1 where it is not in the order
    std::vector<int> order_;
    std::deque<Slot> slots_;          // grows and shrinks at its ends alone: addresses stay valid
    std::vector<Slot *> acquired_;
    std::deque<Piece> pieces_;        // not read yet
    int64_t head_ = 0;                // the position behind the newest slot
    size_t next_ = 0;                 // index in the order of the next weight to prefetch
    int64_t acquired_bytes_ = 0;
    int reading_ = 0;                 // readers that read
    int idle_ = 0;                    // readers that sleep
    bool closing_ = false, stopped_ = true, paused_ = false, failed_ = false;
    Counters counters_{};
    std::vector<std::thread> readers_;
};

}  // namespace streaming
