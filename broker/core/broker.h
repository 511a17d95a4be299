// The broker without its sockets: shards, the log, retained values, the registry of clients. main.cpp makes one, net/
// runs its shards, admin/ asks it.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "auth/authenticator.h"
#include "broker/core/client_trace.h"
#include "broker/core/commit_log.h"
#include "broker/core/config.h"
#include "broker/core/counters.h"
#include "broker/core/memory_pressure.h"
#include "broker/core/shard_api.h"
#include "namespace/model/model.h"
#include "namespace/retained_tree.h"

namespace trunkline::auth {
class AccessStore;
class Plugin;
struct Principal;
enum class Action : std::uint8_t;
}

namespace trunkline::broker {

struct AnswerDesk;
class AuditSink;
class Governance;
class Registry;
class FilterIndex;
struct Refused;
class Shard;
class LiveSink;
struct MailBody;

/// A connected client or an offline session, as `clients ls` and `sessions ls` show it.
struct ClientInfo {
    std::string client_id, user, address, listener;
    std::uint8_t version = 0;              // 3, 4, 5
    std::uint32_t shard = 0;
    bool durable = false;
    bool clean_start = false;
    std::int64_t connected_since_ms = 0;   // since 1970
    std::uint16_t keep_alive_s = 0;
    std::uint32_t session_expiry_s = 0;
    std::uint32_t subscriptions = 0;
    std::uint64_t messages_in = 0, messages_out = 0;
    std::uint32_t inflight_out = 0;
    std::uint64_t queued = 0;
    std::uint64_t write_buffer_bytes = 0;
};

/// A subscription as `subscriptions ls` shows it.
struct SubscriptionInfo {
    std::string_view client_id, filter;    // the filter as sent, `$share/...` included
    std::uint8_t qos = 0;                  // granted
    bool no_local = false, retain_as_published = false;
    std::uint8_t retain_handling = 0;
    std::uint32_t identifier = 0;          // 0: none
    bool connected = false;
    bool allowed = true;                   // false: roles keep it from delivering anything now
};

/// Clients are sent elsewhere. `server_reference` as section 4.11 has it: one or more `host[:port]`, separated by
/// spaces; empty: none is named.
struct Drain {
    std::string server_reference;
    bool moved = false;                    // for good: 0x9D Server moved instead of 0x9C Use another server
};

/// A message of administration, published in somebody's name.
struct Publication {
    std::string topic, payload;
    std::string client_id, user;           ///< as the model's $writers ask for
    std::uint8_t qos = 1;
    bool retain = false;
    std::shared_ptr<const auth::Principal> principal = nullptr;   ///< who it is; null: `user` is all there is
    bool unasked = false;                  ///< access rules are not asked, the model is
};

class Broker : public EffectSink, public StateListener {
public:
    /// `wake(shard)` makes the loop of a shard call on_mail() soon; it is called from any thread. `first_number`: of
    /// the connections, above all of earlier lives over the same store; 0: from the clock.
    Broker(Config config, std::uint32_t shards, std::function<void(std::uint32_t shard)> wake,
           std::uint64_t first_number = 0);
    ~Broker() override;

    /// Before any shard runs. The log must outlive the shards' work.
    void attach(CommitLog& log);
    /// Before any shard runs: who may connect. Without a call clients may be anonymous as the configuration says.
    void attach(std::unique_ptr<auth::Authenticator> authenticator);
    /// Before any shard runs: who may connect to one listener (its index in the configuration), instead of the above.
    /// The authenticator must outlive the broker.
    void attach(std::uint16_t listener, auth::Authenticator& authenticator);
    [[nodiscard]] auth::Authenticator& authenticator(std::uint16_t listener) const {
        const bool own = listener < listener_authenticators_.size() && listener_authenticators_[listener];
        return own ? *listener_authenticators_[listener] : *authenticator_;
    }
    /// Before any shard runs: who gets to know what is published. The sink must outlive the shards' work.
    void attach(LiveSink& sink);
    /// Before any shard runs: who may do what. Without a call everybody who is connected may do everything.
    void attach(const auth::AccessStore& access) { access_ = &access; }
    /// Before any shard runs, once for each: who decides beside the roles. It must outlive the shards' work.
    void attach(auth::Plugin& plugin) { plugins_.push_back(&plugin); }
    /// Before any shard runs: plugins that are told what happens. They must outlive the shards' work.
    void attach_observers(const std::vector<auth::Plugin*>& plugins);
    /// Before any shard runs: who keeps the audit trail; without a call nobody. The sink must outlive the shards' work.
    void attach(AuditSink& sink) { audit_ = &sink; }
    /// Before any shard runs: `failed(peer)` is called, on any shard's thread, for each connection that ends before its
    /// CONNECT is accepted through the peer's own fault.
    void on_connect_failure(std::function<void(const PeerAddress& peer)> failed) {
        connect_failed_ = std::move(failed);
    }
    [[nodiscard]] CommitLog& log() const { return *log_; }
    [[nodiscard]] const auth::AccessStore* access() const { return access_; }
    [[nodiscard]] const std::vector<auth::Plugin*>& plugins() const { return plugins_; }
    [[nodiscard]] AuditSink* audit() const { return audit_; }
    [[nodiscard]] Governance& governance() const { return *governance_; }
    [[nodiscard]] uns::RetainedTree& retained() { return retained_; }
    [[nodiscard]] const Config& config() const { return config_; }
    [[nodiscard]] std::uint32_t shard_count() const { return static_cast<std::uint32_t>(shards_.size()); }
    [[nodiscard]] ShardApi& shard(std::uint32_t index);
    [[nodiscard]] const Counters& counters(std::uint32_t shard) const;
    [[nodiscard]] std::uint64_t subscription_count() const;
    [[nodiscard]] std::uint64_t durable_session_count() const;
    /// Messages that browsing was not told of: too many topics at once.
    [[nodiscard]] std::uint64_t left_out_of_browsing() const;
    /// Thread safe. Somebody may get a message on `topic`, which is below $UNS.
    [[nodiscard]] bool wants_news(std::string_view topic) const;

    /// Thread safe. Runs `visit` once for every connected client, on the shards' threads, then `done` on the last of
    /// them. For administration: the shards do nothing else meanwhile.
    void visit_clients(std::function<void(const ClientInfo&)> visit, std::function<void()> done);
    /// Thread safe. The same of every subscription of a connected client, `$share/...` as it was sent.
    void visit_subscriptions(std::function<void(std::string_view client_id, std::string_view filter)> visit,
                             std::function<void()> done);
    /// Thread safe. The same with everything that is known of it.
    void visit_subscription_details(std::function<void(const SubscriptionInfo& subscription)> visit,
                                    std::function<void()> done);
    /// Thread safe. Shows what a client sends and is sent, also when it comes later or comes back, until end_trace().
    /// False: too many are watched.
    [[nodiscard]] bool begin_trace(const ClientTracePtr& trace);
    void end_trace(const ClientTracePtr& trace);
    /// Thread safe. Ends a durable session, its client's connection with it; its will is sent. `done` on a shard's
    /// thread, when it is safe or refused.
    void drop_session(SessionId session, std::string client_id, std::function<void(Refusal why)> done);
    /// Thread safe. Runs `work` on a shard's thread, in order with its other mail.
    void run_on_shard(std::uint32_t shard, std::function<void(ShardApi&)> work);
    /// Thread safe. Who the connected client with this identifier is; null: there is none, or nobody asked who it is.
    /// `done` on a shard's thread.
    void find_principal(std::string client_id,
                        std::function<void(std::shared_ptr<const auth::Principal> principal)> done);
    /// Thread safe. What plugins say that somebody does, asked on a shard: the rule of the one that denies, or "" and
    /// whether one allows it.
    void ask_plugins(auth::Principal principal, auth::Action action, std::string topic,
                     std::function<void(std::string rule, bool allowed)> done);
    /// Thread safe. DISCONNECT 0x98 and close; `done(found)` on the shard's thread.
    void kick(std::string client_id, std::function<void(bool found)> done);
    /// Thread safe. Publishes a message that the model judges as it would a client's. `done` on a shard's thread: when
    /// the message is safe, or with why it was not taken.
    void publish_for(Publication publication, std::function<void(const Refused& refused)> done);
    /// Every shard judges by `model`. Before any shard runs.
    void preset_model(const std::shared_ptr<const uns::Model>& model);
    /// The same while they run, thread safe; `done` on the last shard's thread.
    void use_model(const std::shared_ptr<const uns::Model>& model, std::function<void()> done);
    /// Thread safe. The audit trail has these leaves on its own disk: they go from beside their messages. `done` on a
    /// shard's thread.
    void leaves_kept(const store::LeavesKeptOp& kept, std::function<void(bool safe)> done);
    /// Thread safe. Publishes a message of the broker itself ($SYS, administration); nothing judges it.
    void publish(std::string topic, std::string payload, bool retain, std::uint8_t qos);
    /// Thread safe. Every client gets DISCONNECT 0x8B (Server shutting down) or, with `server_reference`, 0x9C; the
    /// durable sessions are detached in order; `done` when the log has it all.
    void shut_down(std::string server_reference, std::function<void()> done);

    /// Thread safe. What the shards do about memory, see Pressure; takes effect within a tick.
    void set_memory_pressure(Pressure pressure) { pressure_.store(pressure, std::memory_order_relaxed); }
    [[nodiscard]] Pressure memory_pressure() const { return pressure_.load(std::memory_order_relaxed); }
    /// Thread safe. From here on every CONNECT is refused and every client is sent away, with 0x9C or 0x9D and the
    /// reference; `done(clients)` on the last shard's thread, with how many there were. Again: with the new reference.
    void drain(Drain drain, std::function<void(std::uint64_t clients)> done);
    /// Thread safe. Clients are welcome again; `done` on the last shard's thread.
    void end_drain(std::function<void()> done);
    [[nodiscard]] std::optional<Drain> draining() const;

    // EffectSink and StateListener, called by the log's thread
    void post(std::uint32_t shard, Effects&& effects) override;
    void session_added(std::string_view client_id, std::string_view user) override;
    void session_removed(std::string_view client_id) override;
    void filter_added(std::string_view filter, std::uint8_t qos) override;
    void filter_removed(std::string_view filter, std::uint8_t qos) override;
    void quarantine_added(std::uint64_t id, const store::QuarantineOp& message) override;
    void quarantine_removed(std::uint64_t id) override;
    void model_applied(std::uint64_t sequence, const store::ModelOp& model) override;
    void leaves_added(Position position, std::string_view leaves) override;
    void regulated_overwritten(const store::RegulatedOp& by, std::string_view topic, std::string_view old_payload,
                               std::string_view new_payload) override;

private:
    friend class Shard;
    void mail(std::uint32_t shard, MailBody&& mail);

    const Config config_;
    std::unique_ptr<auth::Authenticator> authenticator_;
    std::shared_ptr<AnswerDesk> answers_;
    std::vector<auth::Authenticator*> listener_authenticators_;   // null: authenticator_
    std::uint64_t first_number_;             // connection numbers are unique over restarts
    std::function<void(std::uint32_t)> wake_;
    CommitLog* log_ = nullptr;
    const auth::AccessStore* access_ = nullptr;   // null: nothing is asked
    std::vector<auth::Plugin*> plugins_;
    AuditSink* audit_ = nullptr;                  // null: nothing is kept
    uns::RetainedTree retained_;
    /// Retained QoS 0 messages that were delivered live and are not in the retained tree yet.
    std::atomic<std::uint64_t> retained_under_way_{0};
    std::atomic<std::uint64_t> connections_{0};   // of all shards; a CONNECT counts while it is being judged
    alignas(64) std::atomic<Pressure> pressure_{Pressure::none};  // read for each PUBLISH: apart from what changes
    std::function<void(const PeerAddress&)> connect_failed_;
    mutable std::mutex drain_mutex_;
    std::optional<Drain> drain_;                  // for administration; the shards have their own
    std::unique_ptr<Registry> registry_;
    std::unique_ptr<FilterIndex> filters_;
    std::unique_ptr<Governance> governance_;
    TraceBook traces_;
    std::vector<std::unique_ptr<Shard>> shards_;
};

}  // namespace trunkline::broker
