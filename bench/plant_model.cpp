#include "bench/plant_model.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>

#include <nlohmann/json.hpp>

namespace trunkline::bench {

namespace {

constexpr std::array sites{"munich", "hamburg", "lyon", "porto"};
struct AreaSpec {
    std::string_view name;
    std::array<std::string_view, 5> cells;  // asset types of a line, in the order of the flow
};
constexpr std::array areas{
    AreaSpec{"packaging", {"filler", "capper", "labeler", "packer", "palletizer"}},
    AreaSpec{"processing", {"mixer", "pasteurizer", "separator", "filler", "washer"}},
};
constexpr std::size_t lines_per_area = 2;      // before the next area is started; more once every area has them
constexpr double ms_per_hour = 3'600'000;

std::string text(double value, int decimals) {
    char buffer[64];
    const auto result = std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::fixed, decimals);
    return {buffer, result.ptr};
}

std::string with_timestamp(std::string value, std::int64_t now_ms) {
    return "{\"value\":" + std::move(value) + ",\"timestamp\":" + std::to_string(now_ms) + "}";
}

std::string quoted(std::string_view value) { return "\"" + std::string(value) + "\""; }

const AssetType& type_named(std::string_view name) {
    const auto& types = asset_types();
    return *std::find_if(types.begin(), types.end(), [&](const AssetType& type) { return type.name == name; });
}

}  // namespace

const std::vector<AssetType>& asset_types() {
    using enum MetricKind;
    constexpr std::string_view command = "target-rate";
    static const std::vector<AssetType> types{
        {"filler",
         {{"temperature", analog, -20, 120, 0.4}, {"state", state}, {"drive/speed", speed, 0, 3600},
          {"drive/running", running}},
         true, command, 24'000, 60'000},
        {"capper",
         {{"torque", analog, 0.5, 4, 0.05, 2}, {"state", state}, {"counter", counter}, {"drive/speed", speed, 0, 3600},
          {"drive/running", running}},
         false, command, 24'000, 60'000},
        {"labeler",
         {{"glue_temperature", analog, 20, 190, 0.6}, {"state", state}, {"counter", counter},
          {"drive/speed", speed, 0, 3600}, {"drive/running", running}},
         false, command, 24'000, 60'000},
        {"packer",
         {{"pressure", analog, 0, 8, 0.05, 2}, {"state", state}, {"counter", counter}, {"drive/speed", speed, 0, 1800},
          {"drive/running", running}},
         true, command, 2'000, 5'000},
        {"palletizer",
         {{"load", analog, 0, 1200, 8}, {"state", state}, {"counter", counter}, {"hoist/speed", speed, 0, 900},
          {"hoist/running", running}},
         false, command, 60, 200},
        {"mixer",
         {{"temperature", analog, 2, 95, 0.3}, {"level", analog, 0, 100, 0.5}, {"state", state},
          {"agitator/speed", speed, 0, 400}, {"agitator/running", running}},
         true, command, 8, 20},
        {"pasteurizer",
         {{"temperature", analog, 60, 90, 0.1, 2}, {"pressure", analog, 0, 6, 0.04, 2}, {"flow", analog, 0, 40, 0.3},
          {"state", state}, {"pump/speed", speed, 0, 2900}, {"pump/running", running}},
         false, command, 12'000, 30'000},
        {"separator",
         {{"vibration", analog, 0, 12, 0.1, 2}, {"state", state}, {"drive/speed", speed, 0, 7200},
          {"drive/running", running}},
         false, command, 12'000, 30'000},
        {"washer",
         {{"temperature", analog, 15, 90, 0.3}, {"conductivity", analog, 0, 80, 0.4}, {"state", state},
          {"counter", counter}, {"pump/speed", speed, 0, 2900}, {"pump/running", running}},
         false, command, 24'000, 60'000},
    };
    return types;
}

std::string_view state_name(AssetState state) {
    constexpr std::array<std::string_view, 4> names{"idle", "running", "held", "fault"};
    return names[static_cast<std::size_t>(state)];
}

std::string status_payload(std::string_view status, std::int64_t now_ms) {
    return with_timestamp(quoted(status), now_ms);
}

std::string command_payload(double value, std::int64_t now_ms) { return with_timestamp(text(value, 0), now_ms); }

Asset::Asset(const AssetType& type, std::string topic, std::uint64_t seed)
    : type_(&type), topic_(std::move(topic)), random_(seed), target_rate_(type.rate_default),
      batch_(static_cast<std::uint32_t>(random_() % 900'000)), analog_(type.metrics.size()) {
    for (std::size_t i = 0; i < analog_.size(); ++i) {
        const MetricSpec& metric = type.metrics[i];
        analog_[i] = metric.minimum + (metric.maximum - metric.minimum) * uniform(0.4, 0.6);
    }
}

void Asset::emit_batch(std::string_view state, std::vector<PlantMessage>& events) {
    if (!type_->has_batches) return;
    char name[16];
    std::snprintf(name, sizeof name, "B%06u", batch_);
    events.push_back({topic_ + "/batch",
                      "{\"batch\":\"" + std::string(name) + "\",\"state\":\"" + std::string(state) +
                          "\",\"timestamp\":" + std::to_string(now_ms_) + "}",
                      true});
}

/// idle -> running <-> held, running -> fault -> idle, running -> idle: a batch starts with running and ends with idle
/// (completed) or fault (aborted).
void Asset::change_state(std::vector<PlantMessage>& events) {
    const double chance = uniform(0, 1);
    const AssetState before = state_;
    switch (before) {
        case AssetState::idle:
        case AssetState::held: state_ = AssetState::running; break;
        case AssetState::fault: state_ = AssetState::idle; break;
        case AssetState::running:
            state_ = chance < 0.5 ? AssetState::idle : chance < 0.9 ? AssetState::held : AssetState::fault;
            break;
    }
    if (state_ == AssetState::running && before == AssetState::idle) {
        batch_ = (batch_ + 1) % 1'000'000;
        batch_open_ = true;
        emit_batch("started", events);
    } else if (state_ == AssetState::held) {
        emit_batch("held", events);
    } else if (batch_open_ && (state_ == AssetState::idle || state_ == AssetState::fault)) {
        batch_open_ = false;
        emit_batch(state_ == AssetState::idle ? "completed" : "aborted", events);
    }
    const double mean_s = state_ == AssetState::running ? 45 : state_ == AssetState::fault ? 15 : 6;
    state_until_ms_ = now_ms_ + static_cast<std::int64_t>(1000 * mean_s * uniform(0.5, 1.5));
}

void Asset::advance(std::int64_t now_ms, std::vector<PlantMessage>& events) {
    if (now_ms_ == 0) {
        now_ms_ = now_ms;
        state_until_ms_ = now_ms + static_cast<std::int64_t>(uniform(0, 5000));
        return;
    }
    const double elapsed_ms = static_cast<double>(std::max<std::int64_t>(0, now_ms - now_ms_));
    const double wanted = state_ == AssetState::running ? 1 : 0;
    const double ramp = std::min(1.0, elapsed_ms / 4000);  // a drive takes some seconds to follow
    speed_share_ += (wanted - speed_share_) * ramp;
    produced_ += target_rate_ * speed_share_ * elapsed_ms / ms_per_hour;
    now_ms_ = std::max(now_ms_, now_ms);
    if (now_ms_ >= state_until_ms_) change_state(events);
}

double Asset::next_analog(std::size_t index) {
    const MetricSpec& metric = type_->metrics[index];
    const double span = metric.maximum - metric.minimum;
    const double centre = metric.minimum + span * (state_ == AssetState::running ? 0.62 : 0.45);
    double& value = analog_[index];
    value += metric.step * uniform(-1, 1) + (centre - value) * 0.01;
    value = std::clamp(value, metric.minimum, metric.maximum);
    return value;
}

PlantMessage Asset::reading(std::size_t index) {
    const MetricSpec& metric = type_->metrics[index];
    std::string value;
    bool uncertain = false;
    switch (metric.kind) {
        case MetricKind::analog:
            value = text(next_analog(index), metric.decimals);
            uncertain = state_ == AssetState::fault;
            break;
        case MetricKind::speed: {
            const double share = target_rate_ / type_->rate_maximum * speed_share_;
            value = text(std::clamp(metric.maximum * share + uniform(-1, 1) * speed_share_, 0.0, metric.maximum), 1);
            break;
        }
        case MetricKind::running: value = state_ == AssetState::running ? "true" : "false"; break;
        case MetricKind::state: value = quoted(state_name(state_)); break;
        case MetricKind::counter: value = std::to_string(counter()); break;
    }
    std::string payload = "{\"value\":" + value + ",\"timestamp\":" + std::to_string(now_ms_);
    if (metric.kind == MetricKind::analog) payload += ",\"quality\":" + quoted(uncertain ? "uncertain" : "good");
    payload += "}";
    return {topic_ + "/" + std::string(metric.path), std::move(payload), false};
}

bool Asset::command(std::string_view payload) {
    const auto json = nlohmann::json::parse(payload, nullptr, false);
    const auto* value = &json;
    if (json.is_object()) {
        const auto found = json.find("value");
        if (found == json.end()) return false;
        value = &*found;
    }
    if (!value->is_number()) return false;
    const double rate = value->get<double>();
    if (!(rate >= 0 && rate <= type_->rate_maximum)) return false;
    target_rate_ = rate;
    return true;
}

Plant::Plant(std::size_t assets, std::uint64_t seed, bool mistakes) {
    std::mt19937_64 seeds(seed);
    assets_.reserve(assets);
    constexpr std::size_t cells = areas[0].cells.size();
    constexpr std::size_t per_round = sites.size() * areas.size() * lines_per_area;
    for (std::size_t line = 0; assets_.size() < assets; ++line) {
        // Two lines in an area, then the next area, then the next site; once all have two, the third and fourth.
        const std::size_t round = line / per_round;
        const std::size_t in_area = line % lines_per_area;
        const AreaSpec& area = areas[line / lines_per_area % areas.size()];
        const std::string site = sites[line / lines_per_area / areas.size() % sites.size()];
        const std::string name = "line-" + std::to_string(round * lines_per_area + in_area + 1);
        Line& made = lines_.emplace_back();
        made.topic = "acme/" + site + "/" + std::string(area.name) + "/" + name;
        made.gateway = "edge-" + site + "-" + std::string(area.name) + "-" + name;
        for (std::size_t cell = 0; cell < cells && assets_.size() < assets; ++cell) {
            const AssetType& type = type_named(area.cells[cell]);
            made.assets.push_back(assets_.size());
            for (std::size_t metric = 0; metric < type.metrics.size(); ++metric) {
                points_.push_back({assets_.size(), metric});
            }
            assets_.emplace_back(type, made.topic + "/" + std::string(type.name) + "-1", seeds());
        }
    }
    if (mistakes) make_mistakes();
}

void Plant::make_mistakes() {
    std::vector<std::string_view> gateways(assets_.size());
    for (const Line& line : lines_) {
        for (const std::size_t asset : line.assets) gateways[asset] = line.gateway;
    }
    mistakes_ = seed_mistakes(assets_, gateways);
    for (const Mistake& mistake : mistakes_) {
        if (mistake.kind == MistakeKind::silent_asset) {
            std::erase_if(points_, [&](const Point& point) { return point.asset == mistake.asset; });
        } else if (mistake.is_extra_tag()) {
            points_.push_back({mistake.asset, mistake.metric, &mistake});
        } else {
            for (Point& point : points_) {
                const bool here = point.asset == mistake.asset && point.metric == mistake.metric;
                if (here && !point.mistake) point.mistake = &mistake;
            }
        }
    }
}

PlantMessage Plant::reading(const Point& point) {
    PlantMessage message = assets_[point.asset].reading(point.metric);
    if (!point.mistake) return message;
    return {point.mistake->topic, spoil(point.mistake->kind, message.payload), false};
}

}  // namespace trunkline::bench
