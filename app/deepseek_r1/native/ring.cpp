#include "ring.hpp"

#include <algorithm>
#include <chrono>

#ifndef _WIN32
#include <unistd.h>
#endif

namespace streaming {

namespace {

using Clock = std::chrono::steady_clock;

// Windows' asynchronous handles have no such call: there all reads are made otherwise.
int64_t read_at(int64_t descriptor, char *into, int64_t nbytes, int64_t offset) {
#ifdef _WIN32
    (void)descriptor, (void)into, (void)nbytes, (void)offset;
    return -1;
#else
    return pread(static_cast<int>(descriptor), into, static_cast<size_t>(nbytes), offset);
#endif
}

}  // namespace

Ring::Ring(std::vector<File> files, int64_t page, ReadOtherwise read_otherwise, int readers)
    : files_(std::move(files)), page_(page), read_otherwise_(read_otherwise) {
    for (int n = 0; n < readers; n++) readers_.emplace_back(&Ring::run, this);
}

Ring::~Ring() {
    {
        std::lock_guard<std::mutex> lock(mutex_);
        closing_ = true;
    }
    work_.notify_all();
    for (auto &reader : readers_) reader.join();
}

// ---- the computing thread -----------------------------------------------------------------------

int Ring::add(Weight weight) {
    std::lock_guard<std::mutex> lock(mutex_);
    weights_.push_back(weight);
    ahead_.push_back(nullptr);
    place_.push_back(-1);
    return static_cast<int>(weights_.size()) - 1;
}

void Ring::set_order(std::vector<int> order) {
    std::lock_guard<std::mutex> lock(mutex_);
    order_ = std::move(order);
    std::fill(place_.begin(), place_.end(), -1);
    for (size_t at = 0; at < order_.size(); at++) place_[order_[at]] = static_cast<int>(at);
    drop();
    next_ = 0;
    work_.notify_all();
}

Taken Ring::take(int weight) {
    std::unique_lock<std::mutex> lock(mutex_);
    if (failed_) return {FAILED, nullptr};
    paused_ = false;
    if (!ahead_[weight] && comes_soon(weight)) {
        while (!ahead_[weight]) give_place();
        work_.notify_all();
    }
    Entry *entry = ahead_[weight];
    if (!entry || entry->use != Use::AHEAD || (entry->left && stuck(*entry))) {
        drop();
        next_ = static_cast<size_t>(place_[weight] + 1);
        work_.notify_all();
        return {NOT_AHEAD, nullptr};
    }
    if (entry->left) wait_for(*entry, lock);
    if (failed_) return {FAILED, nullptr};
    entry->use = Use::TAKEN;
    taken_.push_back(entry);
    taken_bytes_ += entry->end - entry->start;
    if (entry->following < 0 || 2 * taken_bytes_ > nbytes_) return {COMPUTE, entry->address};
    // Go on collecting only while the next weight is there and the ring has room ahead.
    const Entry *following = ahead_[entry->following];
    return {following && !following->left ? GO_ON : COMPUTE, entry->address};
}

// Where the oldest weight begins that is needed still.
int64_t Ring::needed_from() const {
    auto oldest = std::find_if(queue_.begin(), queue_.end(),
                               [](const Entry &each) { return each.use != Use::DONE; });
    return oldest == queue_.end() ? head_ : oldest->start;
}

// Whether some of its room gets free only when more is computed.
bool Ring::stuck(const Entry &entry) const { return entry.end - needed_from() > nbytes_; }

// Whether the ring has room for a weight without a place, and for all that come before it: the
// order may be a little wrong, and those who read a little late.
bool Ring::comes_soon(int weight) const {
    if (place_[weight] < 0 || resting_) return false;
    int64_t room = nbytes_ - (head_ - needed_from());
    for (size_t at = next_ % order_.size();; at = (at + 1) % order_.size()) {
        const Weight &each = weights_[order_[at]];
        room -= page_up(each.offset + each.nbytes) - page_down(each.offset);
        if (room < 0 || ahead_[order_[at]]) return false;
        if (order_[at] == weight) return true;
    }
}

void Ring::wait_for(const Entry &entry, std::unique_lock<std::mutex> &lock) {
    const auto began = Clock::now();
    ready_.wait(lock, [&] { return !entry.left || failed_; });
    counters_.wait_s += std::chrono::duration<double>(Clock::now() - began).count();
}

void Ring::release() {
    bool sleepers;
    {
        std::lock_guard<std::mutex> lock(mutex_);
        forget_taken();
        sleepers = idle_ > 0;
    }
    if (sleepers) work_.notify_one();
}

std::vector<int> Ring::taken() {
    std::lock_guard<std::mutex> lock(mutex_);
    std::vector<int> weights;
    for (const Entry *entry : taken_) weights.push_back(entry->weight);
    return weights;
}

void Ring::restart(bool pause) {
    std::unique_lock<std::mutex> lock(mutex_);
    paused_ = true;
    forget_taken();
    drop();
    ready_.wait(lock, [&] { return !busy_; });  // else a read that fails late would be the next one's
    failed_ = false;
    paused_ = pause;
    next_ = 0;
    work_.notify_all();
}

void Ring::rest() {
    std::unique_lock<std::mutex> lock(mutex_);
    forget_taken();
    drop();
    resting_ = true;
    ready_.wait(lock, [&] { return !busy_; });
    free_room();
}

void Ring::use(char *memory, int64_t nbytes) {
    std::lock_guard<std::mutex> lock(mutex_);
    memory_ = memory;
    nbytes_ = nbytes;
    counters_.filled_bytes = 0;
    head_ = 0;
    next_ = 0;
    resting_ = false;
    work_.notify_all();
}

Counters Ring::counters() {
    std::lock_guard<std::mutex> lock(mutex_);
    return counters_;
}

// ---- the ring, under the lock -------------------------------------------------------------------

void Ring::forget_taken() {
    for (Entry *entry : taken_) {
        entry->use = Use::DONE;
        ahead_[entry->weight] = nullptr;
    }
    taken_.clear();
    taken_bytes_ = 0;
    free_room();
}

// Forget what was read ahead; reads under way end first, then their places are free.
void Ring::drop() {
    for (const Piece &piece : pieces_) piece.entry->left--;
    pieces_.clear();
    for (Entry &entry : queue_) {
        if (entry.use != Use::AHEAD) continue;
        entry.use = Use::DONE;
        ahead_[entry.weight] = nullptr;
    }
    free_room();
}

// The ring's room is free again up to the oldest weight that is needed or being read.
void Ring::free_room() {
    while (!queue_.empty() && queue_.front().use == Use::DONE && !queue_.front().left)
        queue_.pop_front();
}

// Give the next weight a place. False where there is none.
bool Ring::give_place() {
    if (order_.empty()) return false;
    const int number = order_[next_ % order_.size()];
    if (ahead_[number]) return false;  // the ring holds all of them
    const Weight &weight = weights_[number];
    const int64_t first = page_down(weight.offset), last = page_up(weight.offset + weight.nbytes);
    const int64_t room = nbytes_ - head_ % nbytes_;
    if (room < last - first) head_ += room;
    next_ = (next_ + 1) % order_.size();
    queue_.push_back({number, head_, head_ + last - first,
                      memory_ + head_ % nbytes_ + weight.offset - first, 0,
                      next_ ? order_[next_] : -1, Use::AHEAD});
    Entry &entry = queue_.back();
    ahead_[number] = &entry;
    head_ = entry.end;
    const int64_t stride = files_[weight.part].stride;
    for (int64_t start = first; start < last;) {
        const int64_t until = std::min((start / stride + 1) * stride, last);
        pieces_.push_back({&entry, start, until});
        entry.left++;
        start = until;
    }
    return true;
}

// Whether there is a piece to read now.
bool Ring::piece_to_read() {
    if (failed_ || paused_ || resting_) return false;
    if (pieces_.empty() && !give_place()) return false;
    const Piece &piece = pieces_.front();
    const int64_t first = page_down(weights_[piece.entry->weight].offset);
    return piece.entry->start + piece.last - first - queue_.front().start <= nbytes_;
}

// Where in the ring the byte at `offset` of the file goes.
int64_t Ring::place_of(const Entry &entry, int64_t offset) const {
    return entry.start % nbytes_ + offset - page_down(weights_[entry.weight].offset);
}

// ---- the threads that read ----------------------------------------------------------------------

void Ring::run() {
    std::unique_lock<std::mutex> lock(mutex_);
    for (;;) {
        while (!closing_ && !piece_to_read()) {
            idle_++;
            work_.wait(lock);
            idle_--;
        }
        if (closing_) return;
        const Piece piece = pieces_.front();
        pieces_.pop_front();
        Entry &entry = *piece.entry;
        const int64_t part = weights_[entry.weight].part;
        const int64_t place = place_of(entry, piece.first);
        char *const into = memory_ + place;
        busy_++;
        const bool more = idle_ && piece_to_read();
        lock.unlock();
        if (more) work_.notify_one();
        const bool done = read(part, piece, into);
        lock.lock();
        busy_--;
        entry.left--;
        counters_.read_bytes += piece.last - piece.first;
        counters_.filled_bytes =
            std::max(counters_.filled_bytes, place + piece.last - piece.first);
        failed_ = failed_ || !done;
        const bool whole = !entry.left;
        if (whole && entry.use == Use::DONE) free_room();
        if (whole || !done || !busy_) ready_.notify_all();
    }
}

// One direct read, or what the file's owner does in its place.
bool Ring::read(int64_t part, const Piece &piece, char *into) const {
    const File &file = files_[part];
    const int64_t nbytes = piece.last - piece.first;
    const int64_t there = std::min(nbytes, file.nbytes - piece.first);
    if (file.descriptor >= 0 && read_at(file.descriptor, into, nbytes, piece.first) == there)
        return true;
    return read_otherwise_(part, piece.first, piece.last, into) != 0;
}

}  // namespace streaming
