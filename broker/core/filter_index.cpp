#include "broker/core/filter_index.h"

#include <algorithm>
#include <mutex>

#include <xxhash.h>

#include "namespace/topic.h"

namespace trunkline::broker {

std::uint64_t FilterIndex::hash(std::string_view topic) { return XXH3_64bits(topic.data(), topic.size()); }

void FilterIndex::changed(std::string_view filter) {
    if (uns::has_wildcard(filter)) {
        wildcards_.fetch_add(1, std::memory_order_release);
    } else {
        literals_[hash(filter) % literals_.size()].fetch_add(1, std::memory_order_release);
    }
}

bool FilterIndex::wants_news(std::string_view topic) const {
    if (shards_ == 1 && news_filters_.load(std::memory_order_acquire) > 0) return true;
    const Match found = match(topic);
    return found.shards != 0 || found.durable || !found.groups.empty();
}

void FilterIndex::add(std::uint32_t shard, std::string_view filter) {
    if (filter.starts_with("$UNS")) news_filters_.fetch_add(1, std::memory_order_release);
    if (shards_ > 1) {  // a lone shard has all there is to know in its own tree
        const std::unique_lock lock(mutex_);
        auto& by_shard = tree_.insert(filter).value.by_shard;
        by_shard.resize(shards_);
        ++by_shard[shard];
    }
    changed(filter);
}

void FilterIndex::remove(std::uint32_t shard, std::string_view filter) {
    if (filter.starts_with("$UNS")) news_filters_.fetch_sub(1, std::memory_order_release);
    if (shards_ > 1) {
        const std::unique_lock lock(mutex_);
        auto* node = tree_.find(filter);
        assert(node && node->value.by_shard.at(shard) > 0);
        auto& by_shard = node->value.by_shard;
        --by_shard[shard];
        if (std::all_of(by_shard.begin(), by_shard.end(), [](std::uint32_t n) { return n == 0; })) by_shard.clear();
        tree_.prune(*node);
    }
    changed(filter);
}

template <class Change>
void FilterIndex::change_group(std::string_view as_sent, Change&& change) {
    const auto shared = uns::parse_shared(as_sent);
    {
        const std::unique_lock lock(mutex_);
        auto& node = tree_.insert(shared.filter);
        auto at = node.value.groups.find(shared.group);
        auto fresh = at == node.value.groups.end() ? std::make_shared<Group>() : std::make_shared<Group>(*at->second);
        fresh->filter = as_sent;
        change(*fresh);
        if (fresh->members.empty() && fresh->durable_members == 0) {
            if (at != node.value.groups.end()) node.value.groups.erase(at);
        } else {
            node.value.groups.insert_or_assign(std::string(shared.group), std::move(fresh));
        }
        tree_.prune(node);
    }
    changed(shared.filter);
}

void FilterIndex::join(std::string_view filter, const GroupMember& member) {
    change_group(filter, [&](Group& group) {
        std::erase_if(group.members, [&](const GroupMember& m) { return m.number == member.number; });
        group.members.push_back(member);
    });
}

void FilterIndex::leave(std::string_view filter, std::uint64_t number) {
    change_group(filter, [&](Group& group) {
        std::erase_if(group.members, [&](const GroupMember& m) { return m.number == number; });
    });
}

void FilterIndex::add_durable(std::string_view filter, std::uint8_t qos) {
    if (qos == 0) return;
    if (!uns::parse_shared(filter).group.empty()) {
        change_group(filter, [](Group& group) { ++group.durable_members; });
        return;
    }
    {
        const std::unique_lock lock(mutex_);
        ++tree_.insert(filter).value.durable;
    }
    changed(filter);
}

void FilterIndex::remove_durable(std::string_view filter, std::uint8_t qos) {
    if (qos == 0) return;
    if (!uns::parse_shared(filter).group.empty()) {
        change_group(filter, [](Group& group) {
            if (group.durable_members > 0) --group.durable_members;
        });
        return;
    }
    {
        const std::unique_lock lock(mutex_);
        auto* node = tree_.find(filter);
        assert(node && node->value.durable > 0);
        --node->value.durable;
        tree_.prune(*node);
    }
    changed(filter);
}

void FilterIndex::crowd(std::string_view filter, const std::shared_ptr<const QueueLevel>& queue) {
    {
        const std::unique_lock lock(mutex_);
        auto& crowded = tree_.insert(filter).value.crowded;
        if (std::find(crowded.begin(), crowded.end(), queue) != crowded.end()) return;
        crowded.push_back(queue);
    }
    changed(filter);
}

void FilterIndex::uncrowd(std::string_view filter, const QueueLevel* queue) {
    {
        const std::unique_lock lock(mutex_);
        auto* node = tree_.find(filter);
        if (!node || std::erase_if(node->value.crowded, [&](const auto& q) { return q.get() == queue; }) == 0) return;
        tree_.prune(*node);
    }
    changed(filter);
}

FilterIndex::Match FilterIndex::match(std::string_view topic) const {
    Match found;
    const std::shared_lock lock(mutex_);
    tree_.match(topic, [&](const Value& value) {
        if (value.durable > 0) found.durable = true;
        for (std::size_t shard = 0; shard < value.by_shard.size(); ++shard) {
            if (value.by_shard[shard] > 0) found.shards |= std::uint64_t{1} << shard;
        }
        found.crowded.insert(found.crowded.end(), value.crowded.begin(), value.crowded.end());
        for (const auto& [name, group] : value.groups) {
            if (group->durable_members > 0) found.durable = true;
            found.groups.push_back(group);
        }
    });
    return found;
}

}  // namespace trunkline::broker
