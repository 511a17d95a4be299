// The broker as a process: its parts in their order of starting and stopping. Owned by main, used on its thread.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "broker/admin/server.h"
#include "broker/audit_service.h"
#include "broker/backups.h"
#include "broker/core/broker.h"
#include "broker/core/browse.h"
#include "broker/core/config.h"
#include "broker/core/embedded_log.h"
#include "broker/core/log.h"
#include "broker/core/state.h"
#include "broker/data_lock.h"
#include "broker/net/net_server.h"
#include "broker/net/shard_wakers.h"
#include "broker/options.h"
#include "broker/resource_watch.h"
#include "broker/security.h"
#include "persistence/rocksdb_store.h"

namespace trunkline::broker {

class Daemon {
public:
    Daemon(Config config, Options options);
    ~Daemon();

    /// Everything up to serving clients. Returns "" or what is wrong and the mend. May throw std::system_error and
    /// std::runtime_error from the sockets.
    [[nodiscard]] std::string start();
    /// Reads the configuration and certificates again; what is wrong is logged and changes nothing.
    void reload_by_signal();
    /// Memory and disk against their limits; reloads that administration asked for. Call every 100 ms or so.
    void look_around();
    /// Clients get DISCONNECT 0x8B, what is under way becomes durable, everything ends. Calls `poll` every 50 ms while
    /// it waits: a true result gives up. Returns false when it gave up.
    template <class Poll>
    [[nodiscard]] bool stop(Poll&& poll);
    /// The store has failed: nothing is acknowledged any more and the process must end.
    [[nodiscard]] bool failed() const { return failed_.load(std::memory_order_relaxed); }

private:
    [[nodiscard]] std::string open_store();
    /// Before the state is loaded, which tells the trail of leaves.
    void make_audit();
    /// After it.
    [[nodiscard]] std::string open_audit();
    [[nodiscard]] admin::ConfigReload reload();
    /// Puts in force what can be without a restart; adds what went wrong to `problems`.
    void take(const Config& fresh, std::vector<Problem>& problems, const admin::ConfigReload& compared);
    [[nodiscard]] admin::ConfigReload compare(const Config& fresh) const;
    /// Any thread: what a reload would say; of `text` instead of the file unless that is empty.
    [[nodiscard]] admin::ConfigReload check(const std::string& text, const std::string& file) const;
    /// Any thread; `done` is called by look_around().
    void ask_reload(std::function<void(const admin::ConfigReload& reload)> done);
    void reload_asked();
    void note_config_change(const std::string& before, const std::string& result);
    /// Puts the model in force before anybody may publish.
    [[nodiscard]] std::string load_model();
    /// Stores the model of the command line, which is in force already.
    [[nodiscard]] std::string store_model();
    [[nodiscard]] std::string start_admin();
    void begin_stop();
    [[nodiscard]] bool goodbyes_done() const { return goodbyes_done_.load(); }
    void finish_stop();
    static void pause_50_ms();
    std::vector<admin::ListenerNumbers> listener_numbers() const;
    admin::CommitNumbers commit_numbers() const;
    admin::StoreNumbers store_numbers() const;
    [[nodiscard]] std::string config_text() const;

    Config config_;
    const Options options_;
    std::atomic<bool> failed_{false};
    std::atomic<bool> goodbyes_done_{false};
    std::int64_t next_look_ms_ = 0;     // monotonic
    mutable std::mutex config_mutex_;   // of config_ and what follows: administration reads while a reload writes
    std::vector<std::function<void(const admin::ConfigReload&)>> reloads_;   // asked for

    // In order of dependence: each is destroyed before what it uses.
    DataLock lock_;
    std::unique_ptr<store::RocksDbStore> store_;
    std::unique_ptr<AuditService> audit_;       // asked by shards and log; stopped before they go
    std::unique_ptr<net::ShardWakers> wakers_;
    std::unique_ptr<Security> security_;
    std::unique_ptr<Broker> broker_;
    std::unique_ptr<ResourceWatch> resources_;
    std::unique_ptr<State> state_;
    std::unique_ptr<EmbeddedLog> log_;
    std::unique_ptr<Browse> browse_;
    std::unique_ptr<Backups> backups_;
    std::unique_ptr<admin::Sources> sources_;
    std::shared_ptr<const uns::Model> model_to_store_;
    admin::Readiness readiness_;
    std::unique_ptr<admin::AdminServer> admin_;
    std::unique_ptr<net::NetServer> net_;   // its threads run the broker's shards
};

template <class Poll>
bool Daemon::stop(Poll&& poll) {
    begin_stop();
    while (!goodbyes_done()) {
        if (poll()) return false;
        pause_50_ms();
    }
    finish_stop();
    return true;
}

/// Of its name; info where it has none.
[[nodiscard]] Level level_of(const std::string& name);

}  // namespace trunkline::broker
