// What the model makes of the live tree: meanings, members that are expected, freshness and health.
#include <algorithm>
#include <mutex>

#include <boost/unordered/unordered_flat_set.hpp>
#include <nlohmann/json.hpp>

#include "namespace/live/live_tree.h"

namespace trunkline::uns {

namespace {

constexpr std::size_t listed_max = 32;    // members by name in a report of health
constexpr std::uint32_t nobody = UINT32_MAX;
constexpr std::size_t parts_deep = 16;    // parts of parts

std::string text_in(const nlohmann::json& json, const char* key) {
    const auto at = json.find(key);
    return at != json.end() && at->is_string() ? at->get<std::string>() : std::string();
}

Meaning meaning_in(const std::string& text) {
    const nlohmann::json json = nlohmann::json::parse(text, nullptr, false);
    Meaning meaning;
    if (!json.is_object()) return meaning;
    meaning.kind = meaning_kind(text_in(json, "kind")).value_or(Meaning::Kind::unknown);
    meaning.value_type = text_in(json, "type");
    meaning.asset_type = text_in(json, "asset_type");
    meaning.level = text_in(json, "level");
    meaning.unit = text_in(json, "unit");
    meaning.owner = text_in(json, "owner");
    meaning.description = text_in(json, "description");
    if (const auto every = json.find("every_ms"); every != json.end() && every->is_number_unsigned()) {
        meaning.every_ms = every->get<std::uint64_t>();
    }
    return meaning;
}

/// Of a topic that the model describes nowhere: below "#", exempt, or not in the namespace.
Meaning meaning_of_other(const Model& model, std::string_view topic) {
    const Resolution resolution = model.resolve(topic);
    Meaning meaning;
    if (resolution.status == Resolution::Status::exempt) meaning.kind = Meaning::Kind::exempt;
    if (resolution.status == Resolution::Status::member) {
        meaning.kind = resolution.kind == MemberKind::open ? Meaning::Kind::open : Meaning::Kind::metric;
        meaning.owner = resolution.owner;
    }
    return meaning;
}

}  // namespace

void LiveTree::set_model(std::shared_ptr<const Model> model, std::int64_t now_ms) {
    {
        const std::unique_lock lock(mutex_);
        model_ = model ? std::move(model) : Model::empty();
        model_since_ms_ = now_ms;
        meanings_.assign(1, {});
        meaning_ids_.clear();
        learnt_ = 0;
        for (std::uint32_t id = 1; id < index_->size(); ++id) {
            TopicNode& node = (*index_)[id];
            node.meaning = 0;
            node.set(TopicNode::resolved, false);
            set_flag(node, TopicNode::expected, false);
        }
    }
    expect_model();
}

void LiveTree::expect(std::string_view topic) {
    const std::unique_lock lock(mutex_);
    const std::uint32_t id = enter(topic);
    if (id == TopicIndex::none) {
        ++refused_topics_;
        return;
    }
    set_flag((*index_)[id], TopicNode::expected, true);
}

void LiveTree::expect_model() {
    if (model_->node_count() == 0) return;
    model_->walk([this](const Model::Entry& entry) {
        const bool concrete = entry.topic.find('{') == std::string_view::npos && !entry.topic.ends_with('#');
        const bool member = entry.kind == MemberKind::metric || entry.kind == MemberKind::event ||
                            entry.kind == MemberKind::command;
        if (concrete && member) expect(entry.topic);
        if (concrete && !member) {   // a level: it has a meaning, but is no topic
            const std::unique_lock lock(mutex_);
            (void)enter(entry.topic);
        }
        return true;
    });
}

void LiveTree::expect_members(const std::string& asset, std::size_t depth) {
    for (const ModelChild& child : model_->children(asset, "", 100'000)) {
        if (child.name.starts_with('{') || child.name == "#") continue;
        const std::string topic = asset + "/" + child.name;
        const bool member = child.kind == MemberKind::metric || child.kind == MemberKind::event ||
                            child.kind == MemberKind::command;
        if (member) expect(topic);
        // Parts; assets below are levels of their own and come when something of them does, or are in the walk.
        if (child.kind == MemberKind::structure && child.has_children && depth > 0) expect_members(topic, depth - 1);
    }
}

std::uint32_t LiveTree::meaning_of(Meaning&& meaning) {
    std::string key;
    for (const std::string* part : {&meaning.value_type, &meaning.asset_type, &meaning.level, &meaning.unit,
                                    &meaning.owner, &meaning.description}) {
        key.append(*part).append(1, '\0');
    }
    key.append(std::to_string(meaning.every_ms)).append(1, static_cast<char>(meaning.kind));
    const auto at = meaning_ids_.find(key);
    if (at != meaning_ids_.end()) return at->second;
    const auto id = static_cast<std::uint32_t>(meanings_.size());
    meanings_.push_back(std::move(meaning));
    meaning_ids_.emplace(std::move(key), id);
    return id;
}

void LiveTree::learn_one(std::uint32_t id, const Described& described) {
    const std::string topic = index_->path_of(id);
    Meaning meaning;
    if (const auto text = model_->describe(topic)) {
        meaning = meaning_in(*text);
        described(topic, *text);
    } else if ((*index_)[id].is_topic()) {
        meaning = meaning_of_other(*model_, topic);
    }
    const bool asset = meaning.kind == Meaning::Kind::asset;
    {
        const std::unique_lock lock(mutex_);
        const bool nothing = meaning.kind == Meaning::Kind::unknown && meaning.owner.empty();
        (*index_)[id].meaning = nothing ? 0 : meaning_of(std::move(meaning));
    }
    if (asset) expect_members(topic, parts_deep);   // of an instance that a pattern placed nothing was expected before
}

bool LiveTree::learn(std::size_t most, const Described& described) {
    if (model_->node_count() == 0) return false;
    for (; learnt_ < index_->size() && most > 0; ++learnt_) {
        TopicNode& node = (*index_)[learnt_];
        if (learnt_ == TopicIndex::root || node.has(TopicNode::resolved)) continue;
        --most;
        node.set(TopicNode::resolved);
        learn_one(learnt_, described);
    }
    return learnt_ < index_->size();
}

// Runs every second over all topics. What it costs is one pass over the array of nodes: names and lists are made for
// the few assets alone whose figures are others than at the last look.
void LiveTree::look_at_health(std::int64_t now_ms, const std::function<void(const AssetHealth&)>& changed) {
    HealthTotals totals;
    std::vector<std::uint32_t> look_of(index_->size(), nobody);
    std::vector<AssetLook> looks = look_at_assets(now_ms, look_of, totals);

    std::vector<AssetHealth> found;                              // of those that look otherwise
    std::vector<std::uint32_t> found_of(looks.size(), nobody);   // by look
    auto before = looks_.begin();
    const auto tell_gone = [&found](std::string topic) {
        AssetHealth& health = found.emplace_back();
        health.topic = std::move(topic);
        health.state = Liveness::none;
    };
    const auto gone = [&] {
        if (before->members > 0) tell_gone(index_->path_of(before->asset));
        ++before;
    };
    for (std::size_t i = 0; i < looks.size(); ++i) {
        const AssetLook& look = looks[i];
        while (before != looks_.end() && before->asset < look.asset) gone();
        const bool known = before != looks_.end() && before->asset == look.asset;
        if (known && look.members == 0) {
            gone();
            continue;
        }
        if ((known && *before++ == look) || look.members == 0) continue;
        found_of[i] = static_cast<std::uint32_t>(found.size());
        AssetHealth& health = found.emplace_back();
        health.topic = index_->path_of(look.asset);
        health.state = look.seen == 0 ? Liveness::silent : look.overdue ? Liveness::stale : Liveness::fresh;
        health.stale_count = look.stale;
        health.silent_count = look.silent;
        health.members = look.members;
    }
    while (before != looks_.end()) gone();
    if (looks_.empty()) {   // not only what is there: nodes may have had other ids at the last look
        boost::unordered_flat_set<std::string_view> there;
        for (const AssetHealth& health : found) there.insert(health.topic);
        std::vector<std::string> missing;
        for (const auto& [topic, health] : health_) {
            if (!there.contains(topic)) missing.push_back(topic);
        }
        for (std::string& topic : missing) tell_gone(std::move(topic));
    }
    looks_ = std::move(looks);
    list_members(now_ms, look_of, found_of, found);
    note_health(now_ms, totals, found);
    for (const AssetHealth& health : found) changed(health);
}

std::vector<LiveTree::AssetLook> LiveTree::look_at_assets(std::int64_t now_ms, std::vector<std::uint32_t>& look_of,
                                                          HealthTotals& totals) const {
    constexpr std::uint64_t spread = 0x9E37'79B9'7F4A'7C15ULL;
    std::vector<AssetLook> looks;
    for (std::uint32_t id = 1; id < index_->size(); ++id) {
        const TopicNode& node = (*index_)[id];
        const Meaning& meaning = meanings_[node.meaning];
        look_of[id] = look_of[node.parent];
        if (meaning.kind == Meaning::Kind::asset) {
            look_of[id] = static_cast<std::uint32_t>(looks.size());
            looks.emplace_back().asset = id;
        }
        if (node.is_topic() || node.meaning != 0) ++totals.kinds[static_cast<std::size_t>(meaning.kind)];
        if (meaning.kind != Meaning::Kind::metric) continue;
        const Liveness state = liveness(node, now_ms);
        totals.stale += state == Liveness::stale;
        totals.silent += state == Liveness::silent;
        if (look_of[id] == nobody) continue;
        AssetLook& look = looks[look_of[id]];
        ++look.members;
        look.seen += node.last_quarter_s != 0;
        if (state != Liveness::stale && state != Liveness::silent) continue;
        look.overdue += state == Liveness::stale || meaning.every_ms != 0;
        std::uint32_t& count = state == Liveness::stale ? look.stale : look.silent;
        if (count++ < listed_max) look.listed = (look.listed ^ (2ULL * id + (state == Liveness::stale))) * spread;
    }
    return looks;
}

void LiveTree::list_members(std::int64_t now_ms, const std::vector<std::uint32_t>& look_of,
                            const std::vector<std::uint32_t>& found_of, std::vector<AssetHealth>& found) const {
    if (found.empty()) return;
    for (std::uint32_t id = 1; id < index_->size(); ++id) {
        if (look_of[id] == nobody || found_of[look_of[id]] == nobody) continue;
        const Liveness state = liveness((*index_)[id], now_ms);
        if (state != Liveness::stale && state != Liveness::silent) continue;
        AssetHealth& health = found[found_of[look_of[id]]];
        auto& list = state == Liveness::stale ? health.stale : health.silent;
        if (list.size() < listed_max) list.push_back(index_->path_of(id).substr(health.topic.size() + 1));
    }
}

void LiveTree::note_health(std::int64_t now_ms, const HealthTotals& totals, std::vector<AssetHealth>& found) {
    std::erase_if(found, [&](AssetHealth& health) {
        const auto known = health_.find(health.topic);
        const bool same_state = known != health_.end() && known->second.state == health.state;
        health.since_ms = health.state == Liveness::none ? 0 : same_state ? known->second.since_ms : now_ms;
        return same_state && known->second == health;
    });
    const std::unique_lock lock(mutex_);
    for (const AssetHealth& health : found) {
        if (health.state == Liveness::none) {
            health_.erase(health.topic);
        } else {
            health_.insert_or_assign(health.topic, health);
        }
    }
    totals_ = totals;
}

std::optional<AssetHealth> LiveTree::health(std::string_view asset) const {
    const std::shared_lock lock(mutex_);
    const auto at = health_.find(std::string(asset));
    return at == health_.end() ? std::nullopt : std::optional(at->second);
}

}  // namespace trunkline::uns
