// What the command line asks for.
#pragma once

#include <cstdint>
#include <string>

#include "bench/client.h"
#include "bench/endpoint.h"

namespace trunkline::bench {

enum class Mode : std::uint8_t {
    pairs, fan_in, fan_out, latency, filters, durable, connect, retained, plant, selftest,
};

struct Options {
    Mode mode = Mode::pairs;
    std::string mode_name;

    std::string url = "mqtt://127.0.0.1:1883";
    TlsOptions tls;
    bool nodelay = true;
    mqtt::Version version = mqtt::Version::v5;
    std::string user;
    std::string password;
    std::string client_prefix = "trunkbench";
    std::string topic_prefix = "trunkbench";
    std::uint16_t keep_alive_s = 0;

    std::uint32_t clients = 50;
    std::uint32_t subscribers = 1;        // durable
    std::uint32_t payload_bytes = 128;
    unsigned qos = 0;
    bool qos_given = false;
    std::uint32_t inflight = 100;
    double rate = 0;                      // per second over all publishers; 0: closed loop
    double duration_s = 5;
    double warmup_s = 1;
    std::uint64_t count = 0;              // messages over all publishers; 0: as many as the duration allows
    std::uint32_t topics = 0;             // 0: the mode's own
    std::uint32_t levels = 4;             // retained: levels of a topic
    std::uint32_t filters = 10'000;
    std::uint32_t threads = 1;
    std::string topics_file;              // fan-in: publish on these, a topic a line
    bool readings = false;                // payloads are JSON readings
    double stall_s = 5;                   // nothing arrives for so long: the rest is lost
    double connect_timeout_s = 30;

    std::int64_t expect = -1;             // deliveries that must have arrived
    bool allow_loss = false;
    bool json = false;
    bool progress = false;
    std::int32_t broker_pid = 0;

    bool offline = false;                 // durable
    std::uint32_t session_expiry_s = 86'400;
    bool subscribe = false;               // connect
    double hold_s = 0;
    std::string shape = "pairs";          // selftest
    bool no_store = false;                // retained
    bool keep = false;

    std::uint32_t assets = 20;            // plant
    std::uint64_t seed = 1;
    bool retain = true;
    bool print_topics = false;
    bool mistakes = false;
};

/// Parses the command line. On --help, --version or an error it prints what is to be printed and sets `exit_code`;
/// false means: leave with it.
bool parse_options(int argc, char** argv, Options& options, int& exit_code);

/// What every client of a run has in common; `name` makes the client id.
ClientConfig client_config(const Options& options, const std::string& name);

}  // namespace trunkline::bench
