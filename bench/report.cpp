#include "bench/report.h"

#include <cstdio>

#include "bench/clock.h"

namespace trunkline::bench {

namespace {

std::string format(const char* pattern, double value) {
    char text[64];
    std::snprintf(text, sizeof text, pattern, value);
    return text;
}

double rounded(double value) { return std::strtod(format("%.6g", value).c_str(), nullptr); }

}  // namespace

std::string with_commas(std::uint64_t value) {
    std::string text = std::to_string(value);
    for (std::ptrdiff_t at = static_cast<std::ptrdiff_t>(text.size()) - 3; at > 0; at -= 3) {
        text.insert(static_cast<std::size_t>(at), ",");
    }
    return text;
}

std::string bytes_text(double bytes) {
    const bool negative = bytes < 0;
    double value = negative ? -bytes : bytes;
    const char* const units[] = {"B", "KiB", "MiB", "GiB"};
    std::size_t unit = 0;
    for (; value >= 1024 && unit < 3; ++unit) value /= 1024;
    return (negative ? "-" : "") + format(unit == 0 ? "%.0f " : "%.1f ", value) + units[unit];
}

Report::Report(const Options& options) : as_json_(options.json) {
    json_["mode"] = options.mode_name;
    json_["url"] = options.url;
    json_["version"] = options.version == mqtt::Version::v5 ? "5" : "3.1.1";
    json_["qos"] = options.qos;
    json_["clients"] = options.clients;
    json_["payload_bytes"] = options.payload_bytes;
    json_["ok"] = true;
}

void Report::add(std::string_view key, nlohmann::ordered_json value) {
    nlohmann::ordered_json* at = &json_;
    for (auto dot = key.find('.'); dot != std::string_view::npos; dot = key.find('.')) {
        at = &(*at)[std::string(key.substr(0, dot))];
        key.remove_prefix(dot + 1);
    }
    (*at)[std::string(key)] = std::move(value);
}

void Report::add(std::string_view key, nlohmann::ordered_json value, std::string_view label, std::string text) {
    add(key, std::move(value));
    rows_.emplace_back(label, std::move(text));
}

void Report::add_count(std::string_view key, std::uint64_t value, std::string_view label) {
    add(key, value, label, with_commas(value));
}

void Report::add_rate(std::string_view key, double per_second, std::string_view label) {
    add(key, rounded(per_second), label, with_commas(static_cast<std::uint64_t>(per_second)) + " /s");
}

void Report::add_seconds(std::string_view key, double value, std::string_view label) {
    add(key, rounded(value), label, format("%.3f s", value));
}

void Report::add_latency(std::string_view key, const Histogram& histogram, std::string_view label) {
    if (histogram.count() == 0) return;
    nlohmann::ordered_json json;
    std::string text;
    const auto put = [&](const char* name, double ns) {
        json[name] = rounded(ns / 1000);
        text += std::string(text.empty() ? "" : "  ") + name + " " + format("%.0f", ns / 1000);
    };
    put("p50", static_cast<double>(histogram.quantile(0.5)));
    put("p90", static_cast<double>(histogram.quantile(0.9)));
    put("p99", static_cast<double>(histogram.quantile(0.99)));
    put("p99.9", static_cast<double>(histogram.quantile(0.999)));
    put("max", static_cast<double>(histogram.maximum()));
    json["mean"] = rounded(histogram.mean() / 1000);
    json["count"] = histogram.count();
    add(key, std::move(json), label, text + "  us");
}

void Report::add_broker(const BrokerMeter& meter, double elapsed_s, std::uint64_t delivered, std::uint64_t published) {
    if (!meter.measured()) {
        if (meter.pid() != 0) add("broker.error", "process not readable", "broker", "process not readable");
        return;
    }
    const double cpu_us = static_cast<double>(meter.cpu_ns()) / 1000;
    add("broker.pid", meter.pid());
    add("broker.cpu_seconds", rounded(cpu_us / 1e6), "broker CPU",
        format("%.3f s", cpu_us / 1e6) + format(" (%.1f %% of a core)", cpu_us / 1e4 / elapsed_s));
    if (delivered) {
        const double each = cpu_us / static_cast<double>(delivered);
        add("broker.cpu_us_per_delivered", rounded(each), "broker CPU per delivered message", format("%.3f us", each));
    }
    if (published) {
        const double each = cpu_us / static_cast<double>(published);
        add("broker.cpu_us_per_published", rounded(each), "broker CPU per published message", format("%.3f us", each));
    }
    const auto memory = [](const ProcessMemory& m) {
        return nlohmann::ordered_json{{"rss", m.resident}, {"pss", m.proportional}, {"anonymous", m.anonymous}};
    };
    add("broker.memory_before", memory(meter.before()));
    add("broker.memory_after", memory(meter.after()));
    add("broker.rss_peak", meter.peak_resident(), "broker RSS before, after, peak",
        bytes_text(static_cast<double>(meter.before().resident)) + ", " +
            bytes_text(static_cast<double>(meter.after().resident)) + ", " +
            bytes_text(static_cast<double>(meter.peak_resident())));
}

void Report::add_generator(std::int64_t cpu_ns, double elapsed_s, std::uint64_t delivered) {
    const double cpu_s = seconds(cpu_ns);
    add("generator.cpu_seconds", rounded(cpu_s), "generator CPU",
        format("%.3f s", cpu_s) + format(" (%.1f %% of a core)", 100 * cpu_s / elapsed_s));
    if (!delivered) return;
    const double each_us = cpu_s * 1e6 / static_cast<double>(delivered);
    add("generator.cpu_us_per_delivered", rounded(each_us));
    add("generator.core_percent_at_1m_per_s", rounded(each_us * 100), "generator at 1,000,000 /s",
        format("%.1f %% of a core", each_us * 100));
}

void Report::add_failure(int exit_code, const std::string& why) {
    if (exit_code != exit_ok && exit_code_ < exit_code) exit_code_ = exit_code;
    json_["ok"] = false;
    json_["failures"].push_back(why);
    rows_.emplace_back("FAILED", why);
}

int Report::print() const {
    if (as_json_) {
        std::printf("%s\n", json_.dump(2).c_str());
        return exit_code_;
    }
    std::size_t width = 0;
    for (const auto& [label, text] : rows_) width = std::max(width, label.size());
    std::printf("%s  %s  MQTT %s  QoS %u\n", json_["mode"].get<std::string>().c_str(),
                json_["url"].get<std::string>().c_str(), json_["version"].get<std::string>().c_str(),
                json_["qos"].get<unsigned>());
    for (const auto& [label, text] : rows_) {
        std::printf("  %-*s  %s\n", static_cast<int>(width), label.c_str(), text.c_str());
    }
    return exit_code_;
}

Progress::Progress(bool wanted) : wanted_(wanted), next_ns_(now_ns() + 2 * ns_per_s) {}

Progress::~Progress() {
    if (shown_) std::fputs("\r\x1b[K", stderr);
}

bool Progress::due(std::int64_t now) {
    if (!wanted_ || now < next_ns_) return false;
    next_ns_ = now + ns_per_s;
    return true;
}

void Progress::show(const std::string& text) {
    shown_ = true;
    std::fprintf(stderr, "\r\x1b[K%s", text.c_str());
    std::fflush(stderr);
}

}  // namespace trunkline::bench
