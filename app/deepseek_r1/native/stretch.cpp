#include "stretch.hpp"

#include <utility>

namespace streaming {

void Stretch::show(bool whole_numbers, bool ends) {
    shows_whole_numbers_ = whole_numbers;
    shows_ends_ = ends;
}

bool Stretch::see(uint64_t tensor) {
    auto found = watched_.find(tensor);
    if (found != watched_.end() && found->second.pass == pass_) {
        if (!owner_.on_pass()) return false;
        found = watched_.find(tensor);
    }
    if (found != watched_.end()) found->second.pass = pass_;
    seen_.push_back(tensor);
    return true;
}

std::vector<uint64_t> Stretch::begin_pass() {
    pass_++;
    return std::exchange(seen_, {});
}

bool Stretch::on_node(char *node, bool ask) {
    const auto at = reinterpret_cast<uint64_t>(node);
    if (!ask) {
        if (shows_ends_) return owner_.on_node(at, 0) != 0;
        ring_.release();
        return true;
    }
    const auto tensor = *reinterpret_cast<const uint64_t *>(node + layout_.source);
    const auto found = watched_.find(tensor);
    if (found == watched_.end()) {
        if (!shows_whole_numbers_) return false;
        const auto type = *reinterpret_cast<const int32_t *>(node + layout_.type);
        return type == layout_.whole_numbers && owner_.on_node(at, 1);
    }
    const int weight = found->second.weight;
    if (weight < 0) return owner_.on_node(at, 1) != 0;
    if (!see(tensor)) return false;
    const Taken taken = ring_.take(weight);
    // The owner reads what was not ahead, and hears in the same way why a read failed.
    if (taken.outcome == NOT_AHEAD || taken.outcome == FAILED) return owner_.on_node(at, 1) != 0;
    *reinterpret_cast<char **>(reinterpret_cast<char *>(tensor) + layout_.data) = taken.address;
    return taken.outcome == COMPUTE;
}

}  // namespace streaming
