// A simulated plant as a pure model: assets in an ISA-95 tree whose readings follow plausible waveforms. No clock and
// no I/O: time comes in, messages come out, and a seed makes every run the same.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "bench/plant_mistakes.h"

namespace trunkline::bench {

enum class MetricKind : std::uint8_t {
    analog,    // a walk that is pulled towards a target: temperature, pressure, level, torque
    speed,     // follows the asset's target rate while it runs, 0 otherwise
    running,   // boolean
    state,     // idle, running, held, fault
    counter,   // units made since the start, integer
};

/// One metric of an asset type.
struct MetricSpec {
    std::string_view path;   // below the asset, such as "temperature" or "drive/speed"
    MetricKind kind;
    double minimum = 0;
    double maximum = 0;
    double step = 0;         // analog: typical change from reading to reading
    int decimals = 1;
};

struct AssetType {
    std::string_view name;              // "filler"; the asset is called filler-1
    std::vector<MetricSpec> metrics;
    bool has_batches = false;           // publishes the event `batch`
    std::string_view command;           // path of its command, empty for none; payload {"value": N, ...}
    double rate_default = 0;            // units per hour
    double rate_maximum = 0;
};
const std::vector<AssetType>& asset_types();

enum class AssetState : std::uint8_t { idle, running, held, fault };
std::string_view state_name(AssetState state);

/// A message the plant wants published.
struct PlantMessage {
    std::string topic;
    std::string payload;
    bool is_event = false;   // an event is not state: never retained
};

class Asset {
public:
    Asset(const AssetType& type, std::string topic, std::uint64_t seed);

    [[nodiscard]] const AssetType& type() const { return *type_; }
    [[nodiscard]] const std::string& topic() const { return topic_; }
    [[nodiscard]] AssetState state() const { return state_; }
    [[nodiscard]] double target_rate() const { return target_rate_; }
    [[nodiscard]] std::uint64_t counter() const { return static_cast<std::uint64_t>(produced_); }

    /// Lets the asset live until `now_ms` (milliseconds since 1970); the first call only sets its clock. Appends the
    /// events that happened.
    void advance(std::int64_t now_ms, std::vector<PlantMessage>& events);
    /// The reading of metric `index` at the time of the last advance().
    [[nodiscard]] PlantMessage reading(std::size_t index);
    /// A command came in: `{"value": N}` or a bare number sets the target rate. False: not understood or out of range;
    /// nothing changed.
    bool command(std::string_view payload);

private:
    void change_state(std::vector<PlantMessage>& events);
    void emit_batch(std::string_view state, std::vector<PlantMessage>& events);
    double uniform(double from, double to) { return std::uniform_real_distribution<double>(from, to)(random_); }
    double next_analog(std::size_t index);

    const AssetType* type_;
    std::string topic_;
    std::mt19937_64 random_;
    AssetState state_ = AssetState::idle;
    std::int64_t now_ms_ = 0;
    std::int64_t state_until_ms_ = 0;
    double target_rate_;
    double speed_share_ = 0;            // of the target, ramping up and down
    double produced_ = 0;
    std::uint32_t batch_;
    bool batch_open_ = false;
    std::vector<double> analog_;        // by metric
};

/// A production line with a gateway of its own.
struct Line {
    std::string topic;        // acme/munich/packaging/line-1
    std::string gateway;      // client id without prefix: edge-munich-packaging-line-1
    std::vector<std::size_t> assets;
};

class Plant {
public:
    /// `mistakes`: with one of each kind, of which there must be at least assets_for_mistakes assets.
    Plant(std::size_t assets, std::uint64_t seed, bool mistakes = false);

    [[nodiscard]] std::vector<Asset>& assets() { return assets_; }
    [[nodiscard]] const std::vector<Line>& lines() const { return lines_; }
    [[nodiscard]] const std::vector<Mistake>& mistakes() const { return mistakes_; }
    /// Every metric of every asset, in the order in which a line's gateway reads them; what mistakes add comes last.
    struct Point {
        std::size_t asset;
        std::size_t metric;
        const Mistake* mistake = nullptr;
    };
    [[nodiscard]] const std::vector<Point>& points() const { return points_; }
    /// What the point says at the time of its asset's last advance(), mistakes included.
    [[nodiscard]] PlantMessage reading(const Point& point);

private:
    void make_mistakes();

    std::vector<Asset> assets_;
    std::vector<Line> lines_;
    std::vector<Mistake> mistakes_;
    std::vector<Point> points_;
};

/// `{"value":"online","timestamp":...}`, the payload of a gateway's edge-status.
std::string status_payload(std::string_view status, std::int64_t now_ms);
/// `{"value":N,"timestamp":...}`, the payload of a command.
std::string command_payload(double value, std::int64_t now_ms);

}  // namespace trunkline::bench
