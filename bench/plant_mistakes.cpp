#include "bench/plant_mistakes.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <charconv>

#include "bench/plant_model.h"

namespace trunkline::bench {

namespace {

constexpr double rad_per_s_of_rpm = 0.104719755;
constexpr double mbar_of_bar = 1000, atmosphere_mbar = 1013;
constexpr std::string_view value_key = "\"value\":";

/// Where a mistake sits: the n-th asset of a type, counted from 0, and one of its metrics.
struct Seat {
    MistakeKind kind;
    std::string_view type;
    std::size_t nth;
    std::string_view metric;
    std::string_view rule;
    std::string_view from, to;  // of the topic
    std::string_view what;
};
constexpr std::array seats{
    Seat{MistakeKind::wrong_case, "packer", 0, "pressure", "TL-2103", "/packaging/", "/Packaging/",
         "area Packaging instead of packaging"},
    Seat{MistakeKind::unknown_area, "capper", 0, "torque", "TL-2101", "/packaging/", "/packing/",
         "area packing, which does not exist"},
    Seat{MistakeKind::wrong_id_format, "labeler", 1, "glue_temperature", "TL-2102", "/labeler-1/", "/labeler1/",
         "labeler1 instead of labeler-1"},
    Seat{MistakeKind::string_in_number, "capper", 1, "torque", "TL-3101", "", "", "the number in quotes"},
    Seat{MistakeKind::out_of_range, "packer", 1, "pressure", "TL-3102", "", "",
         "absolute pressure in mbar instead of bar"},
    Seat{MistakeKind::wrong_unit, "filler", 1, "drive/speed", "TL-3303", "", "", "in rad/s instead of r/min"},
    Seat{MistakeKind::silent_asset, "palletizer", 0, "load", "", "", "", "sends nothing"},
    Seat{MistakeKind::unknown_metric, "filler", 0, "temperature", "TL-2106", "/temperature", "/temperatur",
         "metric temperatur instead of temperature"},
};

std::size_t nth_asset(const std::vector<Asset>& assets, std::string_view type, std::size_t nth) {
    for (std::size_t i = 0; i < assets.size(); ++i) {
        if (assets[i].type().name == type && nth-- == 0) return i;
    }
    assert(false && "too few assets for mistakes");
    return 0;
}

std::string shortest(double value) {
    std::array<char, 32> text{};
    const auto end = std::to_chars(text.data(), text.data() + text.size(), value, std::chars_format::fixed, 3).ptr;
    return {text.data(), end};
}

}  // namespace

std::string_view mistake_name(MistakeKind kind) {
    constexpr std::array<std::string_view, 8> names{"wrong case",         "unknown area", "wrong id format",
                                                    "string in a number", "out of range", "wrong unit",
                                                    "silent asset",       "unknown metric"};
    return names[static_cast<std::size_t>(kind)];
}

bool Mistake::is_extra_tag() const { return topic != right; }

std::vector<Mistake> seed_mistakes(const std::vector<Asset>& assets, const std::vector<std::string_view>& gateways) {
    std::vector<Mistake> mistakes;
    for (const Seat& seat : seats) {
        Mistake& mistake = mistakes.emplace_back();
        mistake.kind = seat.kind;
        mistake.asset = nth_asset(assets, seat.type, seat.nth);
        const Asset& asset = assets[mistake.asset];
        const auto& metrics = asset.type().metrics;
        const auto metric = std::find_if(metrics.begin(), metrics.end(),
                                         [&](const MetricSpec& spec) { return spec.path == seat.metric; });
        mistake.metric = static_cast<std::size_t>(metric - metrics.begin());
        mistake.right = asset.topic() + "/" + std::string(seat.metric);
        if (seat.kind == MistakeKind::silent_asset) mistake.right = asset.topic();
        mistake.topic = mistake.right;
        if (!seat.from.empty()) mistake.topic.replace(mistake.topic.rfind(seat.from), seat.from.size(), seat.to);
        mistake.client = gateways[mistake.asset];
        mistake.what = seat.what;
        mistake.rule = seat.rule;
    }
    return mistakes;
}

std::string spoil(MistakeKind kind, const std::string& payload) {
    const std::size_t from = payload.find(value_key) + value_key.size();
    const std::size_t end = payload.find_first_of(",}", from);
    double value = 0;
    std::from_chars(payload.data() + from, payload.data() + end, value);
    const auto with = [&](const std::string& text) { return payload.substr(0, from) + text + payload.substr(end); };
    switch (kind) {
        case MistakeKind::string_in_number: return with("\"" + payload.substr(from, end - from) + "\"");
        case MistakeKind::out_of_range: return with(shortest(value * mbar_of_bar + atmosphere_mbar));
        case MistakeKind::wrong_unit: return with(shortest(value * rad_per_s_of_rpm) + ",\"unit\":\"rad/s\"");
        default: return payload;
    }
}

}  // namespace trunkline::bench
