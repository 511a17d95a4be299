// What the administration interface asks of the rest of the process. main.cpp fills it.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "auth/access_store.h"
#include "auth/methods.h"
#include "auth/person_login.h"
#include "broker/admin/audit_trail.h"
#include "broker/core/audit_sink.h"
#include "broker/core/broker.h"
#include "broker/core/browse.h"
#include "namespace/problem.h"
#include "namespace/traffic.h"

struct ssl_ctx_st;

namespace trunkline::broker {
class State;
}

namespace trunkline::admin {

struct StoreNumbers {
    std::uint64_t bytes = 0, disk_free = 0, disk_size = 0;
};

struct ListenerNumbers {
    std::string url;                              ///< as configured: its name
    std::string address;                          ///< as bound
    std::string protocol;                         ///< mqtt, mqtts, ws, wss, unix; https: administration itself
    std::uint64_t connections = 0;
    std::int64_t certificate_expires_s = 0;       ///< since 1970; 0: no certificate
};

/// TLS settings as OpenSSL holds them; never changed, replaced whole.
struct TlsSettings {
    std::shared_ptr<ssl_ctx_st> context;          ///< null: there is no TLS
    std::int64_t expires_s = 0;                   ///< end of the certificate, since 1970
};

/// Of the commit log. Times in microseconds; bucket i counts what was at most the i-th bound, the last the rest.
struct CommitNumbers {
    std::uint64_t commits = 0, messages = 0, bytes = 0, commit_sum_us = 0;
    std::vector<double> time_bounds_s, batch_bounds;
    std::vector<std::uint64_t> time_buckets, batch_buckets;   ///< not cumulative, one more than the bounds
    std::uint64_t queued_messages = 0, sessions_offline = 0;  ///< of the durable state, about a second old
    std::uint64_t sessions_expired = 0;           ///< since the start
    double queue_oldest_age_s = 0;                ///< of what waits for a durable session
};

struct Alarm {
    std::string name;
    bool on = false;
};

/// Who would publish, or subscribe.
struct AccessQuestion {
    std::string client_id, user, topic;
    bool subscribe = false;
};

/// One check of who that is and what he may.
struct AccessStep {
    enum class Result { ok, fail, skipped } result = Result::ok;
    std::string stage;                            ///< "authenticate", "authorise"
    std::string text, rule, fix;
    std::string place;                            ///< "roles.yaml:14"
};

struct AccessAnswer {
    std::vector<AccessStep> steps;                ///< in order
    bool allowed = true;
    std::vector<std::string> roles;
};

/// Where a backup that is being taken stands.
struct BackupProgress {
    enum class State { none, preparing, ready, failed } state = State::none;
    std::string id, why;                          ///< `why` it failed
    std::uint64_t done_bytes = 0, total_bytes = 0;
};

/// What administration asks of whoever takes backups: one at a time, held until it is fetched and let go. Thread safe.
class BackupSource {
public:
    virtual ~BackupSource() = default;
    /// A new backup's id; "" when another one is under way that somebody still asks about.
    [[nodiscard]] virtual std::string begin() = 0;
    /// Links or copies everything and hashes it: takes long. Ends early when `go_on` says false.
    virtual void prepare(const std::string& id, const std::function<bool()>& go_on) = 0;
    [[nodiscard]] virtual BackupProgress progress() = 0;
    /// nullopt: there is no such backup, or it is not ready.
    [[nodiscard]] virtual std::optional<std::string> manifest(const std::string& id) = 0;
    /// Part of a file that the manifest lists; shorter where the file ends.
    [[nodiscard]] virtual std::optional<std::string> read(const std::string& id, const std::string& name,
                                                          std::uint64_t offset, std::uint64_t bytes) = 0;
    /// False: there is no such backup.
    virtual bool release(const std::string& id) = 0;
};

/// What reading the configuration again did, or would do.
struct ConfigReload {
    bool taken = false;                           ///< or would be
    std::string file;                             ///< "" where there is none
    std::vector<std::string> changed;             ///< keys that are in force now
    std::vector<std::string> needs_restart;       ///< keys that differ and take effect at the next start only
    std::vector<std::string> read_again;          ///< files that the configuration names
    std::vector<Problem> problems = {};
};

struct Sources {
    broker::Broker& broker;
    std::function<StoreNumbers()> store = {};
    std::function<std::vector<ListenerNumbers>()> listeners = {};
    std::function<CommitNumbers()> commits = {};
    std::function<std::vector<Alarm>()> alarms = {};
    /// Recent traffic, for learning, planning and drift; absent: none is kept.
    std::function<uns::Traffic()> traffic = {};
    /// What access control says; absent: it is not configured.
    std::function<AccessAnswer(const AccessQuestion& question)> explain_access = {};
    /// The roles file and what is in force of it; null: the configuration names none.
    auth::AccessStore* access = nullptr;
    std::string roles_file = {};
    auth::PersonLogin* people = nullptr;          ///< checks passwords of its users; null: the same
    const auth::CertificateMethod* certificates = nullptr;   ///< whose they are; null: nobody's
    /// Reads the files; without a context, `error` says what is wrong with which.
    std::function<TlsSettings(const broker::TlsConfig& config, std::string& error)> load_tls = {};
    AuditTrail* audit = nullptr;                  ///< null: nothing is audited
    broker::Browse* browse = nullptr;             ///< the live tree; null: there is none
    BackupSource* backups = nullptr;              ///< null: none can be taken
    std::function<std::string()> config_json = {};   ///< the effective configuration, secrets masked
    /// Any thread: reads the configuration again; `done` on the daemon's.
    std::function<void(std::function<void(const ConfigReload& reload)> done)> reload_config = {};
    /// What a configuration of this text would do; "": what its own file has. Reads files.
    std::function<ConfigReload(const std::string& text, const std::string& file)> check_config = {};
    /// Any thread: calls `look` on the log's with the durable state, or null when the store has failed. Everybody who
    /// waits for the log waits meanwhile.
    std::function<void(std::function<void(const broker::State* state)> look)> durable = {};
    std::string version = {};
    std::int64_t started_wall_ms = 0, started_steady_ms = 0;
};

/// Readiness as main sets it. Thread safe.
class Readiness {
public:
    /// "" when the broker takes clients, else why it does not.
    void set(std::string reason) {
        const std::lock_guard lock(mutex_);
        reason_ = std::move(reason);
    }
    /// Everything that keeps the broker from being ready, the log's refusal included.
    [[nodiscard]] std::vector<std::string> reasons(const broker::Broker& broker) const {
        std::vector<std::string> all;
        {
            const std::lock_guard lock(mutex_);
            if (!reason_.empty()) all.push_back(reason_);
        }
        if (broker.draining()) all.push_back("being drained");
        if (const broker::Health health = broker.log().health(); !health.accepting) {
            all.push_back(health.detail.empty() ? "durable messages are refused" : health.detail);
        }
        if (broker.audit() && !broker.audit()->takes_regulated()) {
            all.push_back("the audit trail cannot be written: regulated publishes and changes are refused");
        }
        return all;
    }
    std::atomic<bool> listening{false};        ///< the sockets may be asked
    std::atomic<bool> last_reload_ok{true};

private:
    mutable std::mutex mutex_;
    std::string reason_ = "starting";
};

/// Milliseconds of the monotonic clock and since 1970.
[[nodiscard]] std::int64_t steady_ms();
[[nodiscard]] std::int64_t wall_ms();

}  // namespace trunkline::admin
