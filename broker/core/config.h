// The configuration as the broker uses it: plain values, immutable once in use, replaced whole on reload. Reading the
// YAML file and the flags is the work of broker/config_file.h.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "broker/core/access_config.h"
#include "broker/core/limits.h"

namespace trunkline::broker {

struct TlsConfig {
    std::string certificate_file;      // PEM, leaf first
    std::string key_file;              // PEM
    std::string ca_file;               // PEM; who may sign client certificates
    std::string crl_file;              // PEM; empty: none
    bool require_client_certificate = false;
    std::string min_version = "1.2";   // "1.2" or "1.3"

    /// The section says something of certificates.
    [[nodiscard]] bool given() const {
        return require_client_certificate || !(certificate_file + key_file + ca_file + crl_file).empty();
    }
    bool operator==(const TlsConfig&) const = default;
};

enum class ListenerKind : std::uint8_t { tcp, tls, ws, wss, unix_socket };

struct ListenerConfig {
    std::string url;                   // as configured; names the listener in metrics and logs
    ListenerKind kind = ListenerKind::tcp;
    std::string host;                  // address to bind; for unix_socket the path
    std::uint16_t port = 0;            // 0: any free port (tests)
    TlsConfig tls;
    std::uint32_t max_connections = 0; // 0: the broker's limit alone
    bool proxy_protocol = false;       // every connection starts with a PROXY v1 or v2 header
    bool allow_insecure = false;       // plaintext passwords off loopback
    bool loopback = true;              // bound to loopback or a Unix socket
    std::vector<AuthenticatorConfig> authenticators;   // instead of Config::authenticators, when there is any
};

enum class Durability : std::uint8_t { strict, relaxed };

struct AdminConfig {
    std::string listen = "127.0.0.1:9883";   // ADDR:PORT or unix:PATH
    TlsConfig tls;                           // given: HTTPS; with `ca` certificates say who asks
    std::string tokens_file;
    std::map<std::uint32_t, std::string> unix_users;   // who may use the Unix socket: user of the roles file by uid
    bool metrics_without_token = true;
};

/// Who keeps checkpoints of the audit trail where the broker's own disk is not.
struct AuditWitness {
    enum class Kind : std::uint8_t { file, syslog, trunkline } kind = Kind::file;
    std::string target;                      // path; socket of the syslog daemon; http(s)://HOST:PORT of another broker
    std::string token_file;                  // trunkline: holds the token of its administration; empty: none
    std::string ca_file;                     // https: who signs its certificate; empty: whom this machine trusts
};

struct AuditConfig {
    enum class Approval : std::uint8_t { none, regulated };
    bool enabled = true;
    std::string dir;                         // empty: `audit` in the data folder
    std::string key_file;                    // empty: `key` in `dir`; made at the first start
    std::uint64_t checkpoint_interval_ms = 1'000;
    std::uint64_t checkpoint_leaves = 10'000;
    std::vector<AuditWitness> witnesses;
    bool refuse_unaudited = true;            // changes and regulated publishes, while the trail cannot be written
    bool receipts = true;                    // PUBACK and PUBREC carry the facts of the leaf, MQTT 5
    bool begin_anew = false;                 // a trail that is shorter than the store says is taken, and says so
    Approval approval = Approval::none;      // a second person for changes of the model in regulated branches
};

struct Config {
    std::string node = "trunkline";
    std::string data_dir = "./trunkline-data";
    std::uint32_t workers = 0;  // shards; 0: one less than the cores, at least one: the log has a thread too
    std::vector<ListenerConfig> listeners;
    AdminConfig admin;
    std::string model_file;
    Durability durability = Durability::strict;
    bool allow_anonymous = false;            // off loopback; on loopback anonymous clients are welcome anyway
    std::vector<AuthenticatorConfig> authenticators;   // none: clients are anonymous
    std::vector<AuthorizerConfig> authorizers;         // none: everybody who is connected may do everything
    std::string log_level = "info";          // error, warn, info, debug
    std::string log_format = "json";         // json or text
    Limits limits;
    AuditConfig audit;
    std::uint32_t sys_interval_s = 10;       // $SYS/broker/# period; 0: off
};

}  // namespace trunkline::broker
