#include "namespace/live/live_tree.h"

#include <algorithm>
#include <cmath>
#include <mutex>

#include "namespace/model/text.h"

namespace trunkline::uns {

namespace {

constexpr std::int64_t epoch_ms = 1'577'836'800'000;   // 2020-01-01: quarters of a second in 32 bits last until 2054
constexpr std::int64_t quarter_ms = 250;
constexpr double rate_s = 20;                          // time constant of the rate
constexpr std::size_t under_one_lock = 64;
// What is told of a value may be this old already, so nothing is called stale for less.
constexpr std::int64_t lag_ms = 1'500;

std::uint32_t quarter_of(std::int64_t ms) {
    return static_cast<std::uint32_t>(std::clamp<std::int64_t>((ms - epoch_ms) / quarter_ms, 1, UINT32_MAX));
}
std::int64_t ms_of(std::uint32_t quarter) { return quarter ? epoch_ms + quarter * quarter_ms : 0; }

double rate_of(const TopicNode& node, std::int64_t now_ms) {
    const double silent_s = std::max<double>(0, static_cast<double>(now_ms - ms_of(node.last_quarter_s)) / 1e3);
    const double known_s = std::max(1.0, node.warm_quarters / 4.0 + silent_s);
    return node.recent * std::exp(-silent_s / rate_s) / rate_s / (1 - std::exp(-known_s / rate_s));
}

constexpr std::array<std::string_view, 9> kind_names{"unknown", "structure", "asset", "part", "metric",
                                                     "event",   "command",   "open",  "exempt"};
constexpr std::array<std::string_view, 4> liveness_names{"none", "fresh", "stale", "silent"};

}  // namespace

std::string_view to_string(Meaning::Kind kind) { return kind_names[static_cast<std::size_t>(kind)]; }

std::optional<Meaning::Kind> meaning_kind(std::string_view name) {
    const auto at = std::find(kind_names.begin(), kind_names.end(), name);
    if (at == kind_names.end()) return std::nullopt;
    return static_cast<Meaning::Kind>(at - kind_names.begin());
}

std::string_view to_string(Liveness liveness) { return liveness_names[static_cast<std::size_t>(liveness)]; }

LiveTree::LiveTree(const RetainedTree& retained, Limits limits)
    : retained_(retained), limits_(limits), publishers_(1), model_(Model::empty()), meanings_(1) {}

LiveTree::~LiveTree() = default;

void LiveTree::update(const LiveUpdate* updates, std::size_t count) {
    while (count > 0) {
        const std::size_t now = std::min(count, under_one_lock);
        const std::unique_lock lock(mutex_);
        for (std::size_t i = 0; i < now; ++i) take(updates[i]);
        updates += now;
        count -= now;
    }
}

void LiveTree::take(const LiveUpdate& update) {
    const std::uint32_t id = enter(update.topic, update.place);
    if (id == TopicIndex::none) {
        refused_topics_ += 1;
        return;
    }
    TopicNode& node = (*index_)[id];
    count(node, update.at_ms, update.messages);
    set_publisher(node, update.client_id, update.user);
    if (!update.retain) return keep_value(node, update);
    drop_value(node, update.topic);
    set_flag(node, TopicNode::retained, !update.cleared);
    node.set(TopicNode::truncated, false);
}

std::uint32_t LiveTree::enter(std::string_view topic, std::uint32_t place) {
    const bool full = topics_ >= limits_.topics;
    if (place == TopicIndex::none && full) place = index_->find(topic);
    if (full) return place != TopicIndex::none && (*index_)[place].is_topic() ? place : TopicIndex::none;
    if (place != TopicIndex::none) return place;
    // Levels that only lead to topics are bounded with them.
    return index_->insert(topic, 2 * limits_.topics + 10'000);
}

void LiveTree::set_flag(TopicNode& node, TopicNode::Flag flag, bool on) {
    const bool before = node.is_topic();
    node.set(flag, on);
    topics_ += static_cast<std::uint64_t>(node.is_topic()) - static_cast<std::uint64_t>(before);
}

void LiveTree::keep_value(TopicNode& node, const LiveUpdate& update) {
    const std::uint64_t bytes = update.payload.size() + update.topic.size();
    if (!node.has(TopicNode::value) && values_.bytes() + bytes > limits_.value_bytes) {
        ++refused_topics_;
        return;
    }
    RetainedMessage::Fields fields;
    fields.qos = update.qos;
    fields.stored_at = commit_time(update.at_ms);
    fields.payload = update.payload;
    values_.set(update.topic, RetainedMessage::make(fields));
    set_flag(node, TopicNode::value, true);
    node.set(TopicNode::truncated, update.truncated);
}

void LiveTree::drop_value(TopicNode& node, std::string_view topic) {
    if (!node.has(TopicNode::value)) return;
    values_.set(topic, nullptr);
    set_flag(node, TopicNode::value, false);
}

void LiveTree::count(TopicNode& node, std::int64_t at_ms, std::uint64_t messages) {
    const std::uint32_t quarter = quarter_of(at_ms);
    if (node.last_quarter_s != 0 && node.messages != 0) {
        const std::uint32_t passed = quarter > node.last_quarter_s ? quarter - node.last_quarter_s : 0;
        if (passed) node.recent *= static_cast<float>(std::exp(-static_cast<double>(passed) / 4.0 / rate_s));
        node.warm_quarters = static_cast<std::uint16_t>(std::min<std::uint32_t>(node.warm_quarters + passed, 65'535));
    }
    node.last_quarter_s = std::max(node.last_quarter_s, quarter);
    node.recent += static_cast<float>(messages);
    node.messages += messages;
}

void LiveTree::know_retained(std::string_view topic, std::int64_t at_ms) {
    const std::unique_lock lock(mutex_);
    const std::uint32_t id = enter(topic);
    if (id == TopicIndex::none) {
        ++refused_topics_;
        return;
    }
    TopicNode& node = (*index_)[id];
    set_flag(node, TopicNode::retained, true);
    node.last_quarter_s = std::max(node.last_quarter_s, quarter_of(at_ms));
}

void LiveTree::forget_value(std::string_view topic) {
    const std::unique_lock lock(mutex_);
    const std::uint32_t id = index_->find(topic);
    if (id != TopicIndex::none) drop_value((*index_)[id], topic);
}

void LiveTree::note_violations(std::string_view topic, std::uint64_t count) {
    const std::unique_lock lock(mutex_);
    const std::uint32_t id = index_->find(topic);
    if (id == TopicIndex::none) return;
    TopicNode& node = (*index_)[id];
    node.violations = static_cast<std::uint32_t>(std::min<std::uint64_t>(node.violations + count, UINT32_MAX));
}

void LiveTree::set_publisher(TopicNode& node, std::string_view client_id, std::string_view user) {
    const Publisher& held = publishers_[node.publisher];
    if (held.client_id == client_id && held.user == user) return;
    const std::uint32_t fresh = publisher(client_id, user);
    release_publisher(node.publisher);
    node.publisher = fresh;
}

std::uint32_t LiveTree::publisher(std::string_view client_id, std::string_view user) {
    if (client_id.empty() && user.empty()) return 0;
    key_.assign(client_id).append(1, '\0').append(user);
    const auto at = publisher_ids_.find(key_);
    if (at != publisher_ids_.end()) {
        ++publishers_[at->second].topics;
        return at->second;
    }
    auto id = static_cast<std::uint32_t>(publishers_.size());
    if (!free_publishers_.empty()) {
        id = free_publishers_.back();
        free_publishers_.pop_back();
    } else {
        publishers_.emplace_back();
    }
    publishers_[id] = {std::string(client_id), std::string(user), 1};
    publisher_ids_.emplace(key_, id);
    return id;
}

void LiveTree::release_publisher(std::uint32_t id) {
    if (id == 0 || --publishers_[id].topics > 0) return;
    publisher_ids_.erase(publishers_[id].client_id + '\0' + publishers_[id].user);
    publishers_[id] = {};
    free_publishers_.push_back(id);
}

RetainedPtr LiveTree::value(std::string_view topic, bool& retained) const {
    RetainedPtr live = values_.get(topic);
    RetainedPtr kept = retained_.get(topic);
    retained = kept && (!live || kept->fields().stored_at >= live->fields().stored_at);
    return retained ? kept : live;
}

Liveness LiveTree::liveness(const TopicNode& node, std::int64_t now_ms) const {
    const Meaning& meaning = meanings_[node.meaning];
    if (meaning.kind != Meaning::Kind::metric) return Liveness::none;
    if (node.last_quarter_s == 0) return node.has(TopicNode::expected) ? Liveness::silent : Liveness::none;
    if (meaning.every_ms == 0) return Liveness::none;
    const auto most = static_cast<std::int64_t>(3 * meaning.every_ms) + lag_ms;
    return now_ms - ms_of(node.last_quarter_s) > most ? Liveness::stale : Liveness::fresh;
}

std::optional<TopicFacts> LiveTree::facts(std::string_view topic, std::int64_t now_ms) const {
    const std::shared_lock lock(mutex_);
    const std::uint32_t id = index_->find(topic);
    if (id == TopicIndex::none) return std::nullopt;
    const TopicNode& node = (*index_)[id];
    TopicFacts facts;
    facts.last_ms = ms_of(node.last_quarter_s);
    facts.messages = node.messages;
    facts.rate = node.messages ? rate_of(node, now_ms) : 0;
    facts.violations = node.violations;
    facts.client_id = publishers_[node.publisher].client_id;
    facts.user = publishers_[node.publisher].user;
    facts.is_topic = node.is_topic();
    facts.expected = node.has(TopicNode::expected);
    facts.truncated = node.has(TopicNode::truncated);
    facts.liveness = liveness(node, now_ms);
    facts.meaning = meanings_[node.meaning];
    return facts;
}

std::vector<std::string> LiveTree::seen_once() const {
    std::vector<std::string> out;
    {
        const std::shared_lock lock(mutex_);
        for (std::uint32_t id = 1; id < index_->size(); ++id) {
            const TopicNode& node = (*index_)[id];
            const bool valued = node.has(TopicNode::value) || node.has(TopicNode::retained);
            if (node.messages == 1 && valued) out.push_back(index_->path_of(id));
        }
    }
    std::sort(out.begin(), out.end());
    return out;
}

std::shared_ptr<const Model> LiveTree::model() const {
    const std::shared_lock lock(mutex_);
    return model_;
}

LiveTree::Numbers LiveTree::numbers() const {
    const std::shared_lock lock(mutex_);
    Numbers out;
    out.topics = topics_;
    out.live_values = values_.count();
    out.live_bytes = values_.bytes();
    out.index_bytes = index_->memory_bytes();
    out.refused_topics = refused_topics_;
    out.evicted_topics = evicted_topics_;
    out.stale = totals_.stale;
    out.silent = totals_.silent;
    out.kinds = totals_.kinds;
    return out;
}

void LiveTree::evict(std::uint64_t keep) {
    std::vector<std::uint32_t> ages;
    for (std::uint32_t id = 1; id < index_->size(); ++id) {
        const TopicNode& node = (*index_)[id];
        if (node.has(TopicNode::value) && !node.has(TopicNode::retained) && !node.has(TopicNode::expected)) {
            ages.push_back(node.last_quarter_s);
        }
    }
    const std::uint64_t surplus = topics_ - std::min(topics_, keep);
    const auto gone = std::min<std::size_t>(surplus, ages.size());
    if (gone == 0) return;
    std::nth_element(ages.begin(), ages.begin() + static_cast<std::ptrdiff_t>(gone - 1), ages.end());
    const std::uint32_t oldest = ages[gone - 1];
    std::size_t left = gone;
    for (std::uint32_t id = 1; id < index_->size() && left > 0; ++id) {
        TopicNode& node = (*index_)[id];
        if (!node.has(TopicNode::value) || node.has(TopicNode::retained) || node.has(TopicNode::expected)) continue;
        if (node.last_quarter_s > oldest) continue;
        const std::unique_lock lock(mutex_);
        index_->path_of(id, path_);
        drop_value(node, path_);
        ++evicted_topics_;
        --left;
    }
}

void LiveTree::tidy() {
    const bool crowded = topics_ >= limits_.topics || values_.bytes() > limits_.value_bytes / 10 * 9;
    if (crowded) evict(std::min(limits_.topics, topics_) / 10 * 9);
    const bool many_nodes = index_->size() > 2 * limits_.topics;
    std::uint64_t useful = 0;   // topics with the levels above them would take a walk: leaves that are none are enough
    std::vector<bool> leads(index_->size());
    for (std::uint32_t id = index_->size() - 1; id > 0; --id) {
        const TopicNode& node = (*index_)[id];
        if (!leads[id] && !node.is_topic()) continue;
        ++useful;
        leads[node.parent] = true;
    }
    const std::uint64_t idle = index_->size() - 1 - useful;
    if (idle * 4 < useful && !(many_nodes && idle > 0)) return;
    if (idle < 1'000 && !many_nodes) return;
    auto fresh = index_->compacted();   // only this thread writes: what is read meanwhile stays as it is
    std::vector<std::uint64_t> held(publishers_.size());
    for (std::uint32_t id = 1; id < fresh->size(); ++id) ++held[(*fresh)[id].publisher];
    const std::unique_lock lock(mutex_);
    for (std::uint32_t id = 1; id < publishers_.size(); ++id) {
        if (publishers_[id].topics == 0 || held[id] == publishers_[id].topics) continue;
        publishers_[id].topics = held[id] + 1;
        release_publisher(id);
    }
    index_ = std::move(fresh);
    looks_.clear();   // their nodes have other ids
    learnt_ = 0;
}

}  // namespace trunkline::uns
