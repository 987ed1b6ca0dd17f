// A ring of memory that is filled with weights in the order of the computation, ahead of it.
//
// The ring is used like a queue of weights of different sizes, each in one piece: what comes in
// first goes out first. Positions in it count on and on; bytes that are a ring apart share memory.
// A weight gets its place at once, and each piece of it is read as soon as what was there before is
// used up. The threads that read sleep in the kernel or on a condition.
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
    int64_t descriptor;  // whose reads pass by the page cache; -1 where there is none
};

struct Weight {
    int64_t part;            // which file
    int64_t offset, nbytes;  // in it
};

enum Outcome : int {
    NOT_AHEAD = 0,  // it was not on its way; reading goes on behind it
    GO_ON = 1,      // it is there, and so is what follows
    COMPUTE = 2,    // it is there; compute now with what was taken
    FAILED = 3,     // a read failed
};

struct Taken {
    Outcome outcome;
    char *address;
};

struct Counters {
    int64_t read_bytes;
    int64_t filled_bytes;  // of the ring, from its start: in memory since they were first read
    double wait_s;         // the computation waited so long
};

// Fetches a range of a file by other means, in whole pages: where there are no direct reads, and
// whenever one was refused, came short or failed. 0 where that fails too.
using ReadOtherwise = int (*)(int64_t part, int64_t start, int64_t end, char *into);

// `take`, `release` and the rest belong to one thread; `counters` may come from any.
class Ring {
  public:
    Ring(std::vector<File> files, int64_t page, ReadOtherwise read_otherwise, int readers);
    ~Ring();
    Ring(const Ring &) = delete;
    Ring &operator=(const Ring &) = delete;

    // A weight's number from now on.
    int add(Weight weight);
    // Read these from now on, over and over; what is ahead already is forgotten.
    void set_order(std::vector<int> order);
    // Where a weight is, once it is read. It stays in place until `release`.
    Taken take(int weight);
    // Everything taken was used.
    void release();
    // Which weights were taken since.
    std::vector<int> taken();
    // The computation begins again from its start, when reads under way have ended. With `pause`
    // nothing is read before something is asked for: what failed would fail again.
    void restart(bool pause);
    // Read nothing until `use`; returns when no read is under way.
    void rest();
    // The ring's memory from now on, in whole pages.
    void use(char *memory, int64_t nbytes);
    Counters counters();

  private:
    enum class Use { AHEAD, TAKEN, DONE };

    struct Entry {
        int weight;
        int64_t start, end;  // positions
        char *address;       // of the weight, once it is read
        int left;            // pieces not read yet
        int following;       // what is needed next; -1 at the end of a pass
        Use use;
    };

    struct Piece {
        Entry *entry;
        int64_t first, last;  // in the file
    };

    int64_t page_down(int64_t at) const { return at & ~(page_ - 1); }
    int64_t page_up(int64_t at) const { return page_down(at + page_ - 1); }
    int64_t place_of(const Entry &entry, int64_t offset) const;

    // Under the lock.
    int64_t needed_from() const;
    bool stuck(const Entry &entry) const;
    bool comes_soon(int weight) const;
    void wait_for(const Entry &entry, std::unique_lock<std::mutex> &lock);
    void forget_taken();
    void drop();
    void free_room();
    bool give_place();
    bool piece_to_read();

    void run();
    bool read(int64_t part, const Piece &piece, char *into) const;

    const std::vector<File> files_;
    const int64_t page_;
    const ReadOtherwise read_otherwise_;

    std::mutex mutex_;
    std::condition_variable work_, ready_;
    char *memory_ = nullptr;
    int64_t nbytes_ = 0;
    std::vector<Weight> weights_;
    std::vector<Entry *> ahead_;   // by weight: on its way or taken
    std::vector<int> place_;       // by weight: in the order, or -1
    std::vector<int> order_;
    std::deque<Entry> queue_;      // grows and shrinks at its ends alone: entries stay in place
    std::vector<Entry *> taken_;
    std::deque<Piece> pieces_;
    int64_t head_ = 0;             // the position behind the newest entry
    size_t next_ = 0;              // in the order
    int64_t taken_bytes_ = 0;
    int busy_ = 0;                 // threads that read
    int idle_ = 0;                 // threads that sleep
    bool closing_ = false, resting_ = true, paused_ = false, failed_ = false;
    Counters counters_{};
    std::vector<std::thread> readers_;
};

}  // namespace streaming
