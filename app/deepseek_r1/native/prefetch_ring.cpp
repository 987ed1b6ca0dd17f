#include "prefetch_ring.hpp"

#include <algorithm>
#include <chrono>

#ifdef _WIN32
#ifndef NOMINMAX
#define NOMINMAX
#endif
#include <windows.h>
#else
#include <unistd.h>
#endif

namespace streaming {

namespace {

using Clock = std::chrono::steady_clock;

// Waits until `condition` is notified, an hour has passed, or the thread wakes spuriously. `wait` has
// the symbol version GLIBCXX_3.4.30; this is inline code, so a wheel runs with GCC 11's libstdc++ too.
void wait(std::condition_variable &condition, std::unique_lock<std::mutex> &lock) {
    condition.wait_for(lock, std::chrono::hours(1));
}

// Reads once at an offset; returns the number of bytes, or -1.
#ifdef _WIN32

// The handle is asynchronous, so that reads do not wait for each other: this one is waited for.
int64_t read_at(int64_t descriptor, char *into, int64_t nbytes, int64_t offset) {
    const HANDLE file = reinterpret_cast<HANDLE>(static_cast<intptr_t>(descriptor));
    OVERLAPPED position{};
    position.Offset = static_cast<DWORD>(offset);
    position.OffsetHigh = static_cast<DWORD>(offset >> 32);
    position.hEvent = CreateEventW(nullptr, TRUE, FALSE, nullptr);
    if (position.hEvent == nullptr) return -1;
    const bool started = ReadFile(file, into, static_cast<DWORD>(nbytes), nullptr, &position) ||
                         GetLastError() == ERROR_IO_PENDING;
    DWORD count = 0;
    const bool read = started && GetOverlappedResult(file, &position, &count, TRUE);
    CloseHandle(position.hEvent);
    return read ? static_cast<int64_t>(count) : -1;
}

#else

int64_t read_at(int64_t descriptor, char *into, int64_t nbytes, int64_t offset) {
    return pread(static_cast<int>(descriptor), into, static_cast<size_t>(nbytes), offset);
}

#endif

}  // namespace

PrefetchRing::PrefetchRing(std::vector<File> files, int64_t page, FallbackRead fallback, int readers)
    : files_(std::move(files)), page_(page), fallback_(fallback) {
    for (int n = 0; n < readers; n++) readers_.emplace_back(&PrefetchRing::run_reader, this);
}

PrefetchRing::~PrefetchRing() {
    {
        std::lock_guard<std::mutex> lock(mutex_);
        closing_ = true;
    }
    work_.notify_all();
    for (auto &reader : readers_) reader.join();
}

// ---- the computing thread -----------------------------------------------------------------------

int PrefetchRing::add(Weight weight) {
    std::lock_guard<std::mutex> lock(mutex_);
    weights_.push_back(weight);
    slot_of_.push_back(nullptr);
    order_index_.push_back(-1);
    return static_cast<int>(weights_.size()) - 1;
}

void PrefetchRing::set_order(std::vector<int> order) {
    std::lock_guard<std::mutex> lock(mutex_);
    order_ = std::move(order);
    std::fill(order_index_.begin(), order_index_.end(), -1);
    for (size_t at = 0; at < order_.size(); at++) order_index_[order_[at]] = static_cast<int>(at);
    discard_prefetched();
    next_ = 0;
    work_.notify_all();
}

Acquired PrefetchRing::acquire(int weight) {
    std::unique_lock<std::mutex> lock(mutex_);
    if (failed_) return {FAILED, nullptr};
    paused_ = false;
    if (!slot_of_[weight] && fits_soon(weight)) {
        while (!slot_of_[weight]) allocate_slot();
        work_.notify_all();
    }
    Slot *slot = slot_of_[weight];
    if (!slot || slot->state != State::PREFETCHED ||
        (slot->unread_pieces && waits_for_release(*slot))) {
        discard_prefetched();
        next_ = static_cast<size_t>(order_index_[weight] + 1);
        work_.notify_all();
        return {NOT_PREFETCHED, nullptr};
    }
    if (slot->unread_pieces) wait_for(*slot, lock);
    if (failed_) return {FAILED, nullptr};
    slot->state = State::ACQUIRED;
    acquired_.push_back(slot);
    acquired_bytes_ += slot->end - slot->start;
    if (slot->next_weight < 0 || 2 * acquired_bytes_ > nbytes_) return {COMPUTE, slot->address};
    // More weights are acquired before computing only while the next one has been read and the ring
    // has space left to prefetch into.
    const Slot *next = slot_of_[slot->next_weight];
    return {next && !next->unread_pieces ? CONTINUE : COMPUTE, slot->address};
}

// The position where the oldest weight begins that is still needed.
int64_t PrefetchRing::tail() const {
    auto oldest = std::find_if(slots_.begin(), slots_.end(),
                               [](const Slot &each) { return each.state != State::RELEASED; });
    return oldest == slots_.end() ? head_ : oldest->start;
}

// Whether some of the slot's memory becomes free only when more is computed.
bool PrefetchRing::waits_for_release(const Slot &slot) const {
    return slot.end - tail() > nbytes_;
}

// Whether the ring has space for a weight without a slot, and for all that come before it: the order
// may be a little wrong, and the readers a little late.
bool PrefetchRing::fits_soon(int weight) const {
    if (order_index_[weight] < 0 || stopped_) return false;
    int64_t space = nbytes_ - (head_ - tail());
    for (size_t at = next_ % order_.size();; at = (at + 1) % order_.size()) {
        const Weight &each = weights_[order_[at]];
        space -= page_up(each.offset + each.nbytes) - page_down(each.offset);
        if (space < 0 || slot_of_[order_[at]]) return false;
        if (order_[at] == weight) return true;
    }
}

void PrefetchRing::wait_for(const Slot &slot, std::unique_lock<std::mutex> &lock) {
    const auto started = Clock::now();
    while (slot.unread_pieces && !failed_) wait(ready_, lock);
    counters_.wait_s += std::chrono::duration<double>(Clock::now() - started).count();
}

void PrefetchRing::release() {
    bool sleepers;
    {
        std::lock_guard<std::mutex> lock(mutex_);
        release_acquired();
        sleepers = idle_ > 0;
    }
    if (sleepers) work_.notify_one();
}

std::vector<int> PrefetchRing::acquired() {
    std::lock_guard<std::mutex> lock(mutex_);
    std::vector<int> weights;
    for (const Slot *slot : acquired_) weights.push_back(slot->weight);
    return weights;
}

void PrefetchRing::restart(bool pause) {
    std::unique_lock<std::mutex> lock(mutex_);
    paused_ = true;
    release_acquired();
    discard_prefetched();
    // A read that fails later would otherwise count against the next computation.
    while (reading_) wait(ready_, lock);
    failed_ = false;
    paused_ = pause;
    next_ = 0;
    work_.notify_all();
}

void PrefetchRing::stop() {
    std::unique_lock<std::mutex> lock(mutex_);
    release_acquired();
    discard_prefetched();
    stopped_ = true;
    while (reading_) wait(ready_, lock);
    pop_free_slots();
}

void PrefetchRing::set_memory(char *memory, int64_t nbytes) {
    std::lock_guard<std::mutex> lock(mutex_);
    memory_ = memory;
    nbytes_ = nbytes;
    counters_.filled_bytes = 0;
    head_ = 0;
    next_ = 0;
    stopped_ = false;
    work_.notify_all();
}

Counters PrefetchRing::counters() {
    std::lock_guard<std::mutex> lock(mutex_);
    return counters_;
}

// ---- the ring, with the lock held ---------------------------------------------------------------

void PrefetchRing::release_acquired() {
    for (Slot *slot : acquired_) {
        slot->state = State::RELEASED;
        slot_of_[slot->weight] = nullptr;
    }
    acquired_.clear();
    acquired_bytes_ = 0;
    pop_free_slots();
}

// Discards what was prefetched. A slot whose reads are still running is freed when they have ended.
void PrefetchRing::discard_prefetched() {
    for (const Piece &piece : pieces_) piece.slot->unread_pieces--;
    pieces_.clear();
    for (Slot &slot : slots_) {
        if (slot.state != State::PREFETCHED) continue;
        slot.state = State::RELEASED;
        slot_of_[slot.weight] = nullptr;
    }
    pop_free_slots();
}

// Frees the ring's memory up to the oldest weight that is needed or being read.
void PrefetchRing::pop_free_slots() {
    while (!slots_.empty() && slots_.front().state == State::RELEASED &&
           !slots_.front().unread_pieces)
        slots_.pop_front();
}

// Gives the next weight a slot. False where the ring holds all weights already.
bool PrefetchRing::allocate_slot() {
    if (order_.empty()) return false;
    const int number = order_[next_ % order_.size()];
    if (slot_of_[number]) return false;
    const Weight &weight = weights_[number];
    const int64_t first = page_down(weight.offset), last = page_up(weight.offset + weight.nbytes);
    const int64_t to_end = nbytes_ - head_ % nbytes_;
    if (to_end < last - first) head_ += to_end;
    next_ = (next_ + 1) % order_.size();
    slots_.push_back({number, head_, head_ + last - first,
                      memory_ + head_ % nbytes_ + weight.offset - first, 0,
                      next_ ? order_[next_] : -1, State::PREFETCHED});
    Slot &slot = slots_.back();
    slot_of_[number] = &slot;
    head_ = slot.end;
    const int64_t stride = files_[weight.part].stride;
    for (int64_t start = first; start < last;) {
        const int64_t until = std::min((start / stride + 1) * stride, last);
        pieces_.push_back({&slot, start, until});
        slot.unread_pieces++;
        start = until;
    }
    return true;
}

// Whether the next piece can be read now.
bool PrefetchRing::piece_is_readable() {
    if (failed_ || paused_ || stopped_) return false;
    if (pieces_.empty() && !allocate_slot()) return false;
    const Piece &piece = pieces_.front();
    const int64_t first = page_down(weights_[piece.slot->weight].offset);
    return piece.slot->start + piece.last - first - slots_.front().start <= nbytes_;
}

// Where in the ring's memory a byte of the file goes.
int64_t PrefetchRing::ring_offset(const Slot &slot, int64_t file_offset) const {
    return slot.start % nbytes_ + file_offset - page_down(weights_[slot.weight].offset);
}

// ---- the readers --------------------------------------------------------------------------------

void PrefetchRing::run_reader() {
    std::unique_lock<std::mutex> lock(mutex_);
    for (;;) {
        while (!closing_ && !piece_is_readable()) {
            idle_++;
            wait(work_, lock);
            idle_--;
        }
        if (closing_) return;
        const Piece piece = pieces_.front();
        pieces_.pop_front();
        Slot &slot = *piece.slot;
        const int64_t part = weights_[slot.weight].part;
        const int64_t offset = ring_offset(slot, piece.first);
        char *const into = memory_ + offset;
        reading_++;
        const bool more = idle_ && piece_is_readable();
        lock.unlock();
        if (more) work_.notify_one();
        const bool done = read(part, piece, into);
        lock.lock();
        reading_--;
        slot.unread_pieces--;
        counters_.read_bytes += piece.last - piece.first;
        counters_.filled_bytes =
            std::max(counters_.filled_bytes, offset + piece.last - piece.first);
        failed_ = failed_ || !done;
        const bool whole = !slot.unread_pieces;
        if (whole && slot.state == State::RELEASED) pop_free_slots();
        if (whole || !done || !reading_) ready_.notify_all();
    }
}

// Makes one direct read, or the fallback read in its place.
bool PrefetchRing::read(int64_t part, const Piece &piece, char *into) const {
    const File &file = files_[part];
    const int64_t nbytes = piece.last - piece.first;
    const int64_t expected = std::min(nbytes, file.nbytes - piece.first);
    if (file.descriptor >= 0 && read_at(file.descriptor, into, nbytes, piece.first) == expected)
        return true;
    return fallback_(part, piece.first, piece.last, into) != 0;
}

}  // namespace streaming
