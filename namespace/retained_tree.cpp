#include "namespace/retained_tree.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <new>
#include <vector>

namespace trunkline::uns {

RetainedMessage::RetainedMessage(const Fields& fields)
    : stored_at_(fields.stored_at), payload_size_(static_cast<std::uint32_t>(fields.payload.size())),
      properties_size_(static_cast<std::uint32_t>(fields.properties.size()) & 0x0FFF'FFFFU), qos_(fields.qos & 3U),
      expires_(fields.expires_at_ms != 0) {
    char* at = text();
    if (expires_) {
        std::memcpy(at, &fields.expires_at_ms, sizeof fields.expires_at_ms);
        at += sizeof fields.expires_at_ms;
    }
    for (const std::string_view part : {fields.properties, fields.payload}) {
        if (!part.empty()) std::memcpy(at, part.data(), part.size());
        at += part.size();
    }
}

RetainedPtr RetainedMessage::make(const Fields& fields) {
    const std::size_t text = fields.properties.size() + fields.payload.size();
    void* memory = std::malloc(std::max(sizeof(RetainedMessage), memory_bytes(fields.expires_at_ms != 0, text)));
    if (!memory) throw std::bad_alloc();
    return RetainedPtr(new (memory) RetainedMessage(fields));
}

RetainedMessage::Fields RetainedMessage::fields() const {
    const char* at = text();
    Fields fields{static_cast<std::uint8_t>(qos_), 0, stored_at_, {}, {}};
    if (expires_) {
        std::memcpy(&fields.expires_at_ms, at, sizeof fields.expires_at_ms);
        at += sizeof fields.expires_at_ms;
    }
    fields.properties = {at, properties_size_};
    fields.payload = {at + properties_size_, payload_size_};
    return fields;
}

void intrusive_ptr_release(const RetainedMessage* message) {
    if (message->references_.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
    message->~RetainedMessage();
    std::free(const_cast<RetainedMessage*>(message));
}

void RetainedTree::apply(const Change* changes, std::size_t count, CommitTime time) {
    const std::unique_lock lock(mutex_);
    std::int64_t topics = 0, bytes = 0;
    for (std::size_t i = 0; i < count; ++i) {
        const Change& change = changes[i];
        const auto size = [&](const RetainedPtr& m) {
            return static_cast<std::int64_t>(m->memory_bytes() + change.topic.size());
        };
        if (change.message) {
            auto& node = tree_.insert(change.topic);
            if (node.value.message) {
                bytes -= size(node.value.message);
            } else {
                ++topics;
            }
            node.value.message = change.message;
            bytes += size(change.message);
        } else if (auto* node = tree_.find(change.topic); node && node->value.message) {
            bytes -= size(node->value.message);
            --topics;
            node->value.message = nullptr;
            tree_.prune(*node);
        }
    }
    if (time != 0) changed_at_.store(time, std::memory_order_release);
    count_.fetch_add(static_cast<std::uint64_t>(topics), std::memory_order_relaxed);
    bytes_.fetch_add(static_cast<std::uint64_t>(bytes), std::memory_order_relaxed);
}

RetainedPtr RetainedTree::get(std::string_view topic) const {
    const std::shared_lock lock(mutex_);
    const auto* node = tree_.find(topic);
    return node ? node->value.message : nullptr;
}

namespace {

/// Depth-first walk in topic order, restricted to a filter and to what comes after a given topic. A topic is ordered
/// by its levels, a parent before its children.
template <class Tree>
class Scan {
public:
    using Node = typename Tree::Node;
    Scan(std::string_view filter, std::string_view after, std::size_t most, const RetainedTree::Visit& visit)
        : after_topic_(after), most_(most), visit_(visit) {
        split_levels(filter, filter_);
        if (!after_topic_.empty()) split_levels(after_topic_, after_);
    }

    /// False when the walk stopped at `most`.
    bool from(const Node& root) { return below(root, 0, !after_.empty()); }

private:
    /// Visits `node`'s own value and what is below it. `depth` levels of the filter are matched; `on_path`: the levels
    /// so far are those of `after`, which has been visited itself.
    bool node_and_below(const Node& node, std::size_t depth, bool on_path) {
        const bool own = depth == filter_.size() || (depth + 1 == filter_.size() && filter_[depth] == "#");
        if (own && !on_path && node.value.message && !visit(node)) return false;
        return below(node, depth, on_path && depth < after_.size());
    }

    bool below(const Node& node, std::size_t depth, bool on_path) {
        if (depth == filter_.size()) return true;
        const std::string_view level = filter_[depth];
        const bool rest = level == "#" && depth + 1 == filter_.size();
        const std::string_view resume = on_path ? after_[depth] : std::string_view();
        if (rest || level == "+") {
            auto at = on_path ? node.children().lower_bound(resume) : node.children().begin();
            for (; at != node.children().end(); ++at) {
                if (depth == 0 && at->name().starts_with('$')) continue;  // [MQTT-4.7.2-1]
                const bool still = on_path && at->name() == resume;
                if (rest ? !everything(*at, depth + 1, still) : !node_and_below(*at, depth + 1, still)) return false;
            }
            return true;
        }
        if (on_path && level < resume) return true;
        const Node* child = node.find(level);
        return !child || node_and_below(*child, depth + 1, on_path && level == resume);
    }

    bool everything(const Node& node, std::size_t depth, bool on_path) {
        if (!on_path && node.value.message && !visit(node)) return false;
        const bool deeper = on_path && depth < after_.size();
        auto at = deeper ? node.children().lower_bound(after_[depth]) : node.children().begin();
        for (; at != node.children().end(); ++at) {
            if (!everything(*at, depth + 1, deeper && at->name() == after_[depth])) return false;
        }
        return true;
    }

    bool visit(const Node& node) {
        if (most_ == 0) return false;
        --most_;
        Tree::path_of(node, path_);
        visit_(path_, node.value.message);
        return true;
    }

    const std::string after_topic_;   // a copy: visitors note in the caller's how far they are
    std::vector<std::string_view> filter_, after_;
    std::string path_;
    std::size_t most_;
    const RetainedTree::Visit& visit_;
};

}  // namespace

bool RetainedTree::scan(std::string_view filter, std::string_view after, std::size_t most, const Visit& visit) const {
    const std::shared_lock lock(mutex_);
    if (!has_wildcard(filter)) {
        if (!after.empty() || most == 0) return false;
        if (const auto* node = tree_.find(filter); node && node->value.message) visit(filter, node->value.message);
        return false;
    }
    Scan<TopicTree<Value>> walk(filter, after, most, visit);
    return !walk.from(tree_.root());
}

bool RetainedTree::children(std::optional<std::string_view> path, std::optional<std::string_view> after,
                            std::size_t most, const VisitChild& visit) const {
    const std::shared_lock lock(mutex_);
    const auto* node = path ? tree_.find(*path) : &tree_.root();
    if (!node) return false;
    auto at = after ? node->children().upper_bound(*after) : node->children().begin();
    for (; at != node->children().end(); ++at) {
        if (most-- == 0) return true;
        visit(at->name(), !at->children().empty(), at->value.message);
    }
    return false;
}

}  // namespace trunkline::uns
