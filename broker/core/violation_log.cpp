#include "broker/core/violation_log.h"

#include <nlohmann/json.hpp>
#include <xxhash.h>

namespace trunkline::broker {

ViolationRecord* ViolationLog::count(std::string_view rule, std::string_view topic, std::string_view client_id,
                                     std::int64_t now_ms) {
    const auto known = rules_.find(rule);
    if (known == rules_.end()) {
        rules_.emplace(rule, 1);
    } else {
        ++known->second;
    }
    std::uint64_t hash = XXH3_64bits(rule.data(), rule.size());
    hash = XXH3_64bits_withSeed(topic.data(), topic.size(), hash);
    hash = XXH3_64bits_withSeed(client_id.data(), client_id.size(), hash);
    const auto at = seen_.find(hash);
    if (at != seen_.end() && now_ms - at->second.at_ms < repeat_ms && !records_.empty() &&
        at->second.sequence >= records_.front().sequence) {
        ++records_[at->second.sequence - records_.front().sequence].repeated;
        return nullptr;
    }
    if (now_ms / 1'000 != second_) {
        second_ = now_ms / 1'000;
        this_second_ = 0;
    }
    if (++this_second_ > records_per_s) return nullptr;
    if (records_.size() == records_max) records_.pop_front();
    if (seen_.size() >= 4 * records_max) seen_.clear();
    ViolationRecord& record = records_.emplace_back();
    record.sequence = next_sequence_++;
    record.at_ms = now_ms;
    seen_[hash] = {record.sequence, now_ms};
    return &record;
}

void ViolationLog::newest(std::size_t most, std::vector<ViolationRecord>& into) const {
    const std::lock_guard lock(mutex_);
    for (auto at = records_.rbegin(); at != records_.rend() && most > 0; ++at, --most) into.push_back(*at);
}

void ViolationLog::add_counts(std::map<std::string, std::uint64_t, std::less<>>& rules) const {
    const std::lock_guard lock(mutex_);
    for (const auto& [rule, count] : rules_) rules[rule] += count;
}

std::string to_json(const ViolationRecord& record) {
    nlohmann::ordered_json json = {{"at_ms", record.at_ms},
                                   {"topic", record.topic},
                                   {"client_id", record.client_id},
                                   {"outcome", uns::to_string(record.outcome)},
                                   {"rule", record.rule},
                                   {"text", record.text}};
    const auto add = [&json](const char* name, const std::string& text) {
        if (!text.empty()) json[name] = text;
    };
    add("user", record.user);
    add("address", record.address);
    add("at", record.at);
    add("expected", record.expected);
    add("fix", record.fix);
    add("place", record.place);
    add("model_version", record.model_version);
    add("payload", record.payload);
    json["reason_code"] = record.reason;
    json["qos"] = record.qos;
    return json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace trunkline::broker
