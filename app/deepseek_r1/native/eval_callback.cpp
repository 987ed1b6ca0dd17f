#include "eval_callback.hpp"

#include <utility>

namespace streaming {

void EvalCallback::set_filter(bool integer_nodes, bool computed_runs) {
    integer_nodes_ = integer_nodes;
    computed_runs_ = computed_runs;
}

bool EvalCallback::touch(uint64_t tensor) {
    auto found = nonresident_.find(tensor);
    if (found != nonresident_.end() && found->second.last_pass == pass_) {
        if (!handlers_.on_pass()) return false;
        found = nonresident_.find(tensor);
    }
    if (found != nonresident_.end()) found->second.last_pass = pass_;
    touched_.push_back(tensor);
    return true;
}

std::vector<uint64_t> EvalCallback::begin_pass() {
    pass_++;
    return std::exchange(touched_, {});
}

bool EvalCallback::on_node(char *node, bool ask) {
    if (!ask) return on_computed(node);
    kernels_.substitute(node);
    return prepare(node);
}

bool EvalCallback::on_computed(char *node) {
    if (computed_runs_) return handlers_.on_node(reinterpret_cast<uint64_t>(node), 0) != 0;
    ring_.release();
    return true;
}

bool EvalCallback::prepare(char *node) {
    const auto address = reinterpret_cast<uint64_t>(node);
    const auto tensor = *reinterpret_cast<const uint64_t *>(node + offsets_.source);
    const auto found = nonresident_.find(tensor);
    if (found == nonresident_.end()) {
        if (!integer_nodes_) return false;
        const auto type = *reinterpret_cast<const int32_t *>(node + offsets_.type);
        return type == offsets_.type_i32 && handlers_.on_node(address, 1);
    }
    const int weight = found->second.weight;
    if (weight < 0) return handlers_.on_node(address, 1) != 0;
    if (!touch(tensor)) return handlers_.on_node(address, 1) != 0;
    const Acquired acquired = ring_.acquire(weight);
    // The handler reads what was not prefetched. Where a read failed it learns why in the same call,
    // and points the tensor to readable memory: ggml computes the node all the same.
    if (acquired.outcome == NOT_PREFETCHED || acquired.outcome == FAILED)
        return handlers_.on_node(address, 1) != 0;
    *reinterpret_cast<char **>(reinterpret_cast<char *>(tensor) + offsets_.data) = acquired.address;
    return acquired.outcome == COMPUTE;
}

}  // namespace streaming
