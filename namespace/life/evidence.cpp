#include "namespace/life/evidence.h"

#include <algorithm>

#include "namespace/payload/json_view.h"
#include "namespace/payload/value.h"

namespace trunkline::uns {
namespace {

using Format = PayloadSpec::Format;
using Kind = ValueType::Kind;

constexpr std::size_t key_bytes_max = 48, keys_shown_max = 12;
constexpr std::uint64_t gaps_needed = 6;  // before a topic is called regular
constexpr std::uint64_t thinned_messages_needed = 20;
constexpr double steady_factor = 2.0;  // a gap that is longer than so many usual ones is none of a regular topic

std::int64_t mean_gap(const Evidence& of) {
    return of.gaps == 0 ? 0 : of.gap_sum_ms / static_cast<std::int64_t>(of.gaps);
}

}  // namespace

std::string keys_of(std::string_view payload) {
    const JsonView json(payload);
    simdjson::dom::object object;
    if (!json.ok() || json.root().get(object) != simdjson::SUCCESS) return {};
    std::set<std::string> keys;
    for (const auto field : object) {
        keys.emplace(field.key.substr(0, key_bytes_max));
        if (keys.size() > keys_shown_max) break;
    }
    std::string out;
    for (const std::string& key : keys) out += (out.empty() ? "" : ", ") + key;
    return out;
}

void TopicEvidence::take(const TrafficSample& sample) {
    Evidence& e = evidence_;
    e.messages += sample.messages;
    e.first_ms = e.samples == 0 ? sample.at_ms : std::min(e.first_ms, sample.at_ms);
    e.last_ms = std::max(e.last_ms, sample.at_ms);
    if (times_.size() < series_max) times_.push_back(sample.at_ms);
    ++e.samples;
    if (sample.retain) ++e.retained;
    if (const auto known = e.clients.find(std::string(sample.client_id)); known != e.clients.end()) {
        known->second += sample.messages;
    } else if (e.clients.size() < Evidence::clients_max) {
        e.clients.emplace(sample.client_id, sample.messages);
    }
    if (sample.payload.empty()) {
        ++e.empty;
        return;
    }
    if (sample.truncated) {
        ++e.truncated;
        return;
    }
    const Format format = guess_format(sample.payload);
    ++e.formats[static_cast<std::size_t>(format)];
    if (format == Format::json && e.shapes.size() < Evidence::shapes_max) e.shapes.insert(keys_of(sample.payload));
    const auto value = read_value(sample.payload, format);
    if (!value) return;
    ++e.kinds[static_cast<std::size_t>(value->kind)];
    if (value->number) {
        e.min = e.min ? std::min(*e.min, *value->number) : *value->number;
        e.max = e.max ? std::max(*e.max, *value->number) : *value->number;
        if (numbers_.size() < series_max) numbers_.emplace_back(sample.at_ms, *value->number);
    }
    if (value->kind == Kind::string) {
        if (e.strings.size() < Evidence::strings_max || e.strings.contains(value->text))
            e.strings.insert(value->text);
        else
            e.more_strings = true;
    }
    if (value->unit.empty())
        ++e.without_unit;
    else if (e.units.size() < Evidence::units_max || e.units.contains(value->unit))
        ++e.units[value->unit];
}

void TopicEvidence::judge_numbers() {
    std::stable_sort(numbers_.begin(), numbers_.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
    for (std::size_t i = 1; i < numbers_.size(); ++i) {
        evidence_.falls = evidence_.falls || numbers_[i].second < numbers_[i - 1].second;
        evidence_.rises = evidence_.rises || numbers_[i].second > numbers_[i - 1].second;
    }
}

// Samples that stand for messages which are not shown say how many came in how long, and not how evenly.
void TopicEvidence::judge_times() {
    Evidence& e = evidence_;
    e.thinned = e.messages > e.samples;
    const std::int64_t span_ms = e.last_ms - e.first_ms;
    if (e.thinned) {
        if (span_ms <= 0 || e.messages < thinned_messages_needed) {
            e.unknown_topics = 1;
            return;
        }
        e.gaps = e.messages - 1;
        e.gap_sum_ms = span_ms;
        e.gap_max_ms = static_cast<std::int64_t>(steady_factor * static_cast<double>(mean_gap(e)));
        e.steady_topics = 1;
        e.period_max_ms = e.gap_max_ms;
        return;
    }
    std::sort(times_.begin(), times_.end());
    for (std::size_t i = 1; i < times_.size(); ++i) {
        const std::int64_t gap = times_[i] - times_[i - 1];
        if (gap <= 0) continue;
        ++e.gaps;
        e.gap_sum_ms += gap;
        e.gap_max_ms = std::max(e.gap_max_ms, gap);
    }
    if (e.gaps < gaps_needed) {
        e.unknown_topics = 1;
    } else if (static_cast<double>(e.gap_max_ms) <= steady_factor * static_cast<double>(mean_gap(e))) {
        e.steady_topics = 1;
        e.period_max_ms = e.gap_max_ms;
    } else {
        e.unsteady_topics = 1;
    }
}

Evidence TopicEvidence::end() {
    evidence_.topics = evidence_.samples > 0 ? 1 : 0;
    judge_times();
    judge_numbers();
    Evidence out = std::move(evidence_);
    evidence_ = {};
    times_.clear();
    numbers_.clear();
    return out;
}

void Evidence::merge(const Evidence& other) {
    first_ms = samples == 0 ? other.first_ms : std::min(first_ms, other.first_ms);
    last_ms = std::max(last_ms, other.last_ms);
    messages += other.messages;
    samples += other.samples;
    topics += other.topics;
    truncated += other.truncated;
    retained += other.retained;
    empty += other.empty;
    for (std::size_t i = 0; i < formats.size(); ++i) formats[i] += other.formats[i];
    for (std::size_t i = 0; i < kinds.size(); ++i) kinds[i] += other.kinds[i];
    if (other.min) min = min ? std::min(*min, *other.min) : *other.min;
    if (other.max) max = max ? std::max(*max, *other.max) : *other.max;
    for (const std::string& text : other.strings) {
        if (strings.size() < strings_max)
            strings.insert(text);
        else if (!strings.contains(text))
            more_strings = true;
    }
    more_strings = more_strings || other.more_strings;
    for (const auto& [unit, count] : other.units) {
        if (units.size() < units_max || units.contains(unit)) units[unit] += count;
    }
    without_unit += other.without_unit;
    for (const std::string& shape : other.shapes) {
        if (shapes.size() < shapes_max) shapes.insert(shape);
    }
    for (const auto& [client, count] : other.clients) {
        if (clients.size() < clients_max || clients.contains(client)) clients[client] += count;
    }
    thinned = thinned || other.thinned;
    falls = falls || other.falls;
    rises = rises || other.rises;
    gaps += other.gaps;
    gap_sum_ms += other.gap_sum_ms;
    gap_max_ms = std::max(gap_max_ms, other.gap_max_ms);
    steady_topics += other.steady_topics;
    unsteady_topics += other.unsteady_topics;
    unknown_topics += other.unknown_topics;
    period_max_ms = std::max(period_max_ms, other.period_max_ms);
}

std::string nice_duration(std::int64_t ms) {
    constexpr std::array<std::pair<std::int64_t, const char*>, 24> steps{
        {{10, "10ms"},       {20, "20ms"},        {50, "50ms"},         {100, "100ms"},     {200, "200ms"},
         {500, "500ms"},     {1'000, "1s"},       {2'000, "2s"},        {5'000, "5s"},      {10'000, "10s"},
         {15'000, "15s"},    {30'000, "30s"},     {60'000, "1min"},     {120'000, "2min"},  {300'000, "5min"},
         {600'000, "10min"}, {900'000, "15min"},  {1'800'000, "30min"}, {3'600'000, "1h"},  {7'200'000, "2h"},
         {21'600'000, "6h"}, {43'200'000, "12h"}, {86'400'000, "1d"},   {604'800'000, "7d"}}};
    for (const auto& [limit, text] : steps) {
        if (ms <= limit + limit / 20) return text;  // a twentieth is jitter
    }
    return "30d";
}

std::string count_text(std::uint64_t count) {
    std::string out = std::to_string(count);
    for (std::size_t at = out.size(); at > 3;) out.insert(at -= 3, ",");
    return out;
}

std::string counted(std::uint64_t count, std::string_view noun) {
    return count_text(count) + " " + std::string(noun) + (count == 1 ? "" : "s");
}

}  // namespace trunkline::uns
