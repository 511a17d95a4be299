#include "bench/options.h"

#include <unistd.h>

#include <algorithm>
#include <map>

#include <CLI/CLI.hpp>

#include "bench/frames.h"
#include "bench/plant_mistakes.h"

namespace trunkline::bench {

namespace {

const std::map<std::string, Mode> mode_names{
    {"pairs", Mode::pairs},       {"fan-in", Mode::fan_in},     {"fan-out", Mode::fan_out},
    {"latency", Mode::latency},   {"filters", Mode::filters},   {"durable", Mode::durable},
    {"connect", Mode::connect},   {"retained", Mode::retained}, {"plant", Mode::plant},
    {"selftest", Mode::selftest},
};

constexpr const char* modes_text = R"(modes:
  pairs      half the clients publish, each to a subscriber of its own
  fan-in     all clients publish to one subscriber with a wildcard
  fan-out    one publisher, all clients subscribe
  latency    pairs at a rate (default 5000 a second, QoS 1): publish to delivery and publish to acknowledgement
  filters    pairs over plant topics with many mixed + and # filters spread over the subscribers
  durable    publishers to persistent sessions, online or (--offline) away and back
  connect    connections per second, or (--hold) many that stay
  retained   store retained topics, then time a new subscriber to #
  plant      simulate a plant: readings, events and commands in an ISA-95 tree, until SIGINT
  selftest   the generator against a bare relay in a process of its own: what the generator itself costs)";

void add_connection_options(CLI::App& app, Options& options, std::string& version) {
    app.add_option("--url", options.url, "Broker: mqtt://host:port, mqtts://host:port or unix:/path");
    app.add_option("--version", version, "MQTT version: 3 (or 311) or 5")
        ->check(CLI::IsMember({"3", "311", "3.1.1", "5"}));
    app.add_option("--user", options.user, "User name");
    app.add_option("--password", options.password, "Password")->envname("TRUNKBENCH_PASSWORD");
    app.add_option("--cafile", options.tls.ca_file, "CA certificates to verify the broker with (default: the system)");
    app.add_option("--cert", options.tls.cert_file, "Client certificate chain (PEM)");
    app.add_option("--key", options.tls.key_file, "Client key (PEM; default: in --cert)");
    app.add_flag("--insecure", options.tls.insecure, "Do not verify the broker's certificate");
    app.add_flag("--nodelay,!--no-nodelay", options.nodelay, "TCP_NODELAY on our sockets (default: on)");
    app.add_option("--keep-alive", options.keep_alive_s, "Keep alive in seconds, 0 for none");
    app.add_option("--client-prefix", options.client_prefix, "Start of every client id");
    app.add_option("--topic-prefix", options.topic_prefix, "First level of the topics (not in plant)");
    app.add_option("--connect-timeout", options.connect_timeout_s, "Seconds until all clients must be connected");
}

void add_load_options(CLI::App& app, Options& options) {
    app.add_option("--clients,-c", options.clients, "Clients (see the modes)")->check(CLI::Range(1, 1'000'000));
    app.add_option("--payload", options.payload_bytes, "Payload bytes, at least 24")
        ->check(CLI::Range(24, 16'000'000));
    app.add_option("--qos,-q", options.qos, "QoS of publishes and subscriptions (default 0; latency, durable 1)")
        ->check(CLI::Range(0, 2));
    app.add_option("--inflight,-i", options.inflight, "Closed loop: messages under way per publisher")
        ->check(CLI::Range(1, 16'000));
    app.add_option("--rate,-r", options.rate, "Open loop: messages per second over all publishers");
    app.add_option("--duration,-d", options.duration_s, "Seconds to measure");
    app.add_option("--warmup", options.warmup_s, "Seconds of load before measuring");
    app.add_option("--count,-n", options.count, "Messages (or connections, topics) in all instead of a duration");
    app.add_option("--topics", options.topics, "Number of topics (retained; publishers use them in turn in pairs)");
    app.add_option("--topics-file", options.topics_file, "fan-in: publish on these topics, one a line")
        ->check(CLI::ExistingFile);
    app.add_flag("--readings", options.readings, "Payloads are JSON readings of at least 128 bytes");
    app.add_option("--levels", options.levels, "retained: levels of a topic")->check(CLI::Range(2, 16));
    app.add_option("--filters", options.filters, "filters: how many in all");
    app.add_option("--subscribers", options.subscribers, "durable: persistent subscribers");
    app.add_option("--threads,-t", options.threads, "Generator threads (pairs and latency)")
        ->check(CLI::Range(1, 64));
    app.add_option("--stall", options.stall_s, "Seconds without progress after which the rest counts as lost");
}

void add_mode_options(CLI::App& app, Options& options) {
    app.add_flag("--offline", options.offline, "durable: the subscribers are away while messages are published");
    app.add_option("--session-expiry", options.session_expiry_s, "durable: Session Expiry Interval in seconds");
    app.add_flag("--subscribe", options.subscribe, "connect: subscribe each connection to a topic of its own");
    app.add_option("--hold", options.hold_s, "connect: keep the connections open so many seconds");
    app.add_option("--shape", options.shape, "selftest: which mode's traffic")
        ->check(CLI::IsMember({"pairs", "fan-in", "fan-out"}));
    app.add_flag("--no-store", options.no_store, "retained: only subscribe; the topics are there");
    app.add_flag("--keep", options.keep, "retained: leave the topics; durable: leave the sessions");
    app.add_option("--assets", options.assets, "plant: number of assets")->check(CLI::Range(1, 100'000));
    app.add_option("--seed", options.seed, "plant: seed of everything random");
    app.add_flag("--retain,!--no-retain", options.retain, "plant: RETAIN on readings (default: on)");
    app.add_flag("--print-topics", options.print_topics, "plant: list the topics (and mistakes) and leave");
    app.add_flag("--mistakes", options.mistakes,
                 "plant: with a mistake of each kind, printed at the start: wrong names and payloads, a silent asset");
}

void add_report_options(CLI::App& app, Options& options) {
    app.add_option("--expect", options.expect, "Deliveries that must arrive; fewer or more is a failure");
    app.add_flag("--allow-loss", options.allow_loss, "Exit 0 in spite of lost, reordered or duplicated messages");
    app.add_flag("--json", options.json, "Print the result as JSON");
    app.add_option_function<std::string>(
           "-o,--output", [&options](const std::string& format) { options.json = format == "json"; },
           "table or json, which is the same as --json")
        ->check(CLI::IsMember({"table", "json"}));
    app.add_flag("--progress", options.progress, "A progress line on standard error even if it is no terminal");
    app.add_option("--broker-pid", options.broker_pid, "Process of the broker: report its CPU time and memory");
}

void apply_mode_defaults(Options& options, const CLI::App& app) {
    options.qos_given = app.count("--qos") > 0;
    const bool acknowledged =
        options.mode == Mode::latency || options.mode == Mode::durable || options.mode == Mode::plant;
    if (acknowledged && !options.qos_given) options.qos = 1;
    if (options.mode == Mode::latency && options.rate == 0) options.rate = 5000;
    if (options.mode == Mode::plant && options.rate == 0) options.rate = 100;
    if (options.mode == Mode::plant && app.count("--duration") == 0) options.duration_s = 0;
    if (options.mode == Mode::plant && app.count("--keep-alive") == 0) options.keep_alive_s = 30;
    if (options.count != 0 && app.count("--warmup") == 0) options.warmup_s = 0;
    options.progress = options.progress || isatty(STDERR_FILENO);
}

}  // namespace

bool parse_options(int argc, char** argv, Options& options, int& exit_code) {
    CLI::App app("trunkbench: load generator and plant simulator for any MQTT broker");
    app.footer(modes_text);
    app.option_defaults()->always_capture_default();
    std::vector<std::string> names;
    for (const auto& [name, mode] : mode_names) names.push_back(name);
    app.add_option("MODE", options.mode_name, "What to do")->required()->check(CLI::IsMember(names));
    std::string version = "5";
    add_connection_options(app, options, version);
    add_load_options(app, options);
    add_mode_options(app, options);
    add_report_options(app, options);
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        exit_code = app.exit(error) == 0 ? 0 : 2;
        return false;
    }
    options.mode = mode_names.at(options.mode_name);
    options.version = version == "5" ? mqtt::Version::v5 : mqtt::Version::v311;
    apply_mode_defaults(options, app);
    if (!options.topics_file.empty() && options.mode != Mode::fan_in) {
        std::fprintf(stderr, "--topics-file is for fan-in\n");
        exit_code = 2;
        return false;
    }
    if (options.readings) options.payload_bytes = std::max(options.payload_bytes, reading_bytes_min);
    if (options.mistakes && (options.mode != Mode::plant || options.assets < assets_for_mistakes)) {
        std::fprintf(stderr, "--mistakes is for a plant of at least %zu --assets\n", assets_for_mistakes);
        exit_code = 2;
        return false;
    }
    const bool threads_ok = options.mode == Mode::pairs || options.mode == Mode::latency;
    if (options.threads > 1 && !threads_ok) {
        std::fprintf(stderr, "--threads is for pairs and latency\n");
        exit_code = 2;
        return false;
    }
    return true;
}

ClientConfig client_config(const Options& options, const std::string& name) {
    ClientConfig config;
    config.client_id = options.client_prefix + "-" + name;
    config.version = options.version;
    config.keep_alive_s = options.keep_alive_s;
    config.user = options.user;
    config.password = options.password;
    config.subscribe_qos = static_cast<std::uint8_t>(options.qos);
    return config;
}

}  // namespace trunkline::bench
