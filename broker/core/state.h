// The deterministic state machine over everything durable: batches in, store writes and effects out. The same function
// runs live, after a crash, in the simulator and on every node of a cluster: it reads no clock and no random number and
// iterates no unordered container.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <queue>
#include <set>
#include <span>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include <boost/unordered/unordered_flat_map.hpp>

#include "broker/core/commit_log.h"
#include "broker/core/state_session.h"
#include "namespace/retained_tree.h"
#include "namespace/topic_tree.h"
#include "persistence/store.h"

namespace trunkline::broker {

/// Sizes in bytes. Everything that State keeps or writes is bounded by one of these.
struct StateLimits {
    std::uint64_t queue_messages = 10'000'000;             ///< not acknowledged, per session
    std::uint64_t queue_bytes = std::uint64_t{4} << 30;    ///< the same, on disk
    std::uint64_t retained_messages = 2'000'000;
    std::uint64_t retained_bytes = std::uint64_t{4} << 30;
    std::uint64_t live_messages = 8'192;                   ///< a connected session with more outstanding is spooled
    std::uint64_t live_bytes = 4 << 20;
    std::uint64_t quarantine_messages = 100'000;
    std::uint64_t quarantine_bytes = std::uint64_t{1} << 30;
    std::int64_t young_ms = 3'000;                         ///< older log records are moved to their sessions' queues
    std::uint64_t young_bytes = 32 << 20;                  ///< of all log records, in memory too
    std::size_t routes = 65'536;                           ///< topics whose durable subscribers are remembered
    std::uint64_t reroute_bytes = 64 << 20;                ///< of a dead session's shared messages, given to others
};

/// What one shard submitted in one turn.
struct Submission {
    std::uint32_t shard = 0;
    Token token = 0;
    std::shared_ptr<const store::OpBatch> ops;
};

struct BatchInfo {
    std::uint64_t epoch = 0;         ///< a batch of an older one is void: its node has been replaced
    Position position = 0;           ///< the one after the last
    std::int64_t time_ms = 0;        ///< since 1970; what is due is judged by it
    bool growth_allowed = true;      ///< false: publishes that would need space are refused with no_space
};

enum class Applied : std::uint8_t {
    yes,
    repeated,  ///< position was applied before: nothing to do
    fenced,    ///< of an older epoch: nothing was done
    gap,       ///< a batch is missing before it: nothing was done
    damaged,   ///< the store gave back something other than was written; see State::failure()
};

using ShardEffects = std::map<std::uint32_t, Effects>;

/// Owned by the log and used on its thread only; `retained` is shared with the shards and changed in release().
class State {
public:
    /// `retained` and `listener` (may be null) outlive the state.
    State(const StateLimits& limits, uns::RetainedTree& retained, StateListener* listener);
    ~State();
    State(const State&) = delete;
    State& operator=(const State&) = delete;

    /// Rebuilds everything from the store, which outlives the state. Calls the listener.
    store::StoreStatus load(const store::Store& store);

    /// Applies one batch: `writes` gets what makes it durable. Call release() once that is safe, or rollback().
    Applied apply(const BatchInfo& batch, std::span<const Submission> submissions, store::WriteSet& writes);
    /// The batch is safe: changes the retained tree, tells the listener and hands out the effects.
    ShardEffects release();
    /// The batch was not written: back to what the store holds. release() then tells connected sessions to fetch.
    store::StoreStatus rollback();

    /// Queued messages from `from_n` on, about `bytes` of them. Between batches only.
    store::StoreStatus fetch(SessionId session, std::uint64_t owner, std::uint64_t from_n, std::uint32_t bytes,
                             FetchResult& result);

    /// When the next empty batch is due (since 1970), or the largest value.
    [[nodiscard]] std::int64_t next_due_ms() const;
    [[nodiscard]] const store::Stamp& stamp() const { return stamp_; }
    [[nodiscard]] std::int64_t time_ms() const { return time_ms_; }
    /// Over the logical state: independent of where messages lie. Reads every queue; 0 when one of them is damaged.
    [[nodiscard]] std::uint64_t state_hash() const;
    [[nodiscard]] const store::StoreStatus& failure() const { return failure_; }
    /// What the audit trail is known to have on its disk, by the last LEAVES KEPT.
    [[nodiscard]] const store::LeavesKeptOp& leaves_kept() const { return leaves_kept_; }

    [[nodiscard]] std::size_t session_count() const { return sessions_.size(); }
    [[nodiscard]] std::size_t connected_count() const { return connected_; }
    /// Sessions that ended by their expiry since the state was loaded.
    [[nodiscard]] std::uint64_t expired_count() const { return expired_; }
    /// Of all sessions: not acknowledged.
    [[nodiscard]] std::uint64_t queued_messages() const { return queued_; }
    /// Since 1970, when the oldest queued message came; 0: nothing is queued, or it can't be read. For metrics: looks
    /// at some sessions each time, so that the answer is of a moment ago: as many calls as it takes to see all of them.
    [[nodiscard]] std::int64_t oldest_queued_ms();
    /// Null when there is none. For tests and administration, on the log's thread.
    [[nodiscard]] const DurableSession* find_session(SessionId id) const;
    [[nodiscard]] const DurableSession* find_session(std::string_view client_id) const;
    /// Sessions in the order of their client ids, from the first after `after` on ("": the very first), until `visit`
    /// says false. For administration, on the log's thread.
    template <class Visit>
    void visit_sessions(std::string_view after, Visit&& visit) const {
        for (auto at = by_client_.upper_bound(after); at != by_client_.end() && visit(*at->second); ++at) {
        }
    }
    [[nodiscard]] std::uint64_t young_bytes() const { return log_bytes_; }

private:
    using Session = DurableSession;
    struct Filter {                       // value of the tree of durable filters
        std::vector<std::pair<Session*, const Subscription*>> plain;
        std::vector<SharedGroup*> groups;
        [[nodiscard]] bool empty() const { return plain.empty() && groups.empty(); }
    };
    struct Merged {                       // overlapping subscriptions of one session
        std::uint8_t qos = 0;             // 0: none of them
        bool retain_as_published = false;
        std::string identifiers;
        void add(const Subscription& one);
    };
    struct Target {                       // a session in a route
        Session* session = nullptr;
        Merged all;
        Merged own;                       // for what the session itself published
    };
    struct Route {
        std::vector<Target> targets;
        std::vector<SharedGroup*> groups;
    };
    struct Owed {                         // one session that a publish is owed to
        Session* session;
        std::uint8_t qos;
        bool retain, shared;
        std::string_view identifiers;
    };
    struct LogRecord {
        Position position;
        std::int64_t time_ms;
        std::shared_ptr<const std::string> chunk;   // null: gone
        std::uint32_t open_sections;
    };
    struct RetainedExpiry {
        std::int64_t at_ms;
        std::string topic;
        bool operator>(const RetainedExpiry& other) const {
            return std::tie(at_ms, topic) > std::tie(other.at_ms, other.topic);
        }
    };
    struct TopicHash {
        using is_transparent = void;
        std::size_t operator()(std::string_view text) const;
    };
    struct Origin {                       // the operation under way, to name it when it is refused
        std::uint32_t shard;
        Token token;
        std::uint32_t offset;
    };
    using EntryVisit = std::function<bool(std::uint64_t n, const store::OwedEntry& entry, std::string_view op)>;

    // state.cpp: batches
    void apply_ops(const Submission& submission);
    void apply_op(store::OpHeader header, std::string_view bytes);
    void run_timers();
    void finish();
    void put_meta();
    void chain(const BatchInfo& batch, std::span<const Submission> submissions);
    void refuse(Refusal why);
    void touch(Session& session, std::uint8_t what);
    Session* owned(SessionId id, std::uint64_t owner);

    // state_publish.cpp: routes and retained values
    void publish(std::string_view bytes);
    const Route& route_for(std::string_view topic);
    Route make_route(std::string_view topic) const;
    void collect_owed(const Route& route, const store::PublishOp& op, std::size_t size);
    Session* pick_member(const SharedGroup& group, std::size_t size) const;
    bool has_room(const Session& session, std::size_t size) const;
    void owe(const Owed& owed, std::string_view bytes);
    Refusal retain(const store::PublishOp& op);
    void change_retained(std::string_view topic, uns::RetainedPtr message);
    uns::RetainedPtr retained_now(std::string_view topic) const;
    void expire_retained();
    void put_retained();

    // state_sessions.cpp
    void claim(const store::ClaimOp& op);
    void detach(const store::DetachOp& op);
    void drop(const store::DropOp& op);
    void subscribe(const store::SubscribeOp& op);
    void unsubscribe(const store::UnsubscribeOp& op);
    void acknowledge(const store::AcknowledgeOp& op);
    void release_inbound(const store::ReleaseInboundOp& op);
    void will_sent(const store::WillSentOp& op);
    void restart(const store::RestartOp& op);
    Session& make_session(std::string_view client_id, std::string_view user);
    ClaimResult describe(const Session& session) const;
    void disconnect(Session& session);
    void end_session(Session& session);
    void erase_session(Session& session);
    void will_is_due(Session& session, bool session_gone);
    void hand_out_will(const Session& session);
    void cancel_timers(Session& session);
    void add_filter(Session& session, std::string_view text, const Subscription& subscription);
    void remove_filter(Session& session, std::string_view text);
    void reroute(Session& session);
    void give_shared(SharedGroup& group, Session& to, const store::PublishOp& message, bool retain,
                     std::string_view op);

    // state_governance.cpp
    void quarantine(std::string_view bytes);
    void drop_quarantined(const store::DropQuarantinedOp& op);
    void apply_model(std::string_view bytes);
    store::StoreStatus load_governance(bool first);

    // state_audit.cpp
    void regulated(const store::RegulatedOp& op);
    void keep_leaves(const store::LeavesKeptOp& op);
    void put_leaves();
    store::StoreStatus load_audit(bool first);

    // state_queues.cpp
    void write_live_chunk();
    void write_spooled(Session& session);
    [[nodiscard]] std::int64_t oldest_queued_ms(Session& session, std::uint32_t& reads_left);
    void retire(Session& session);
    void trim_queue(Session& session);
    void close_section(Position position);
    void move_old_records();
    void move_record(LogRecord& record);
    void move_piece(Session& session, const Piece& piece, const std::string& chunk);
    LogRecord* find_record(Position position);
    const LogRecord* find_record(Position position) const { return const_cast<State*>(this)->find_record(position); }
    store::StoreStatus for_each_queued(const Session& session, const EntryVisit& visit) const;
    store::StoreStatus collect_chunks(const Session& session, std::uint64_t from_n, std::uint64_t bytes,
                                      std::vector<Delivery>& chunks, std::uint64_t& next_n) const;

    // state_load.cpp: records of the store
    void put_session(const Session& session);
    void put_cursor(const Session& session);
    void put_inbound(const Session& session);
    store::StoreStatus load_all(bool first);
    store::StoreStatus load_meta();
    store::StoreStatus load_sessions();
    store::StoreStatus load_subscriptions();
    store::StoreStatus load_log();
    store::StoreStatus load_retained();
    void clear();

    const StateLimits limits_;
    uns::RetainedTree& retained_;
    StateListener* const listener_;
    const store::Store* store_ = nullptr;

    store::Stamp stamp_;
    std::int64_t time_ms_ = 0;
    uns::CommitTime commit_time_ = 0;   // of the last batch
    uns::CommitTime released_at_ = 0;   // of the last one that was released
    SessionId next_session_ = 1;
    std::map<SessionId, std::unique_ptr<Session>> sessions_;
    std::map<std::string, Session*, std::less<>> by_client_;
    std::set<std::pair<std::int64_t, SessionId>> expiries_, wills_;
    uns::TopicTree<Filter> filters_;
    std::map<std::string, SharedGroup, std::less<>> groups_;
    std::size_t filter_count_ = 0;
    boost::unordered_flat_map<std::string, Route, TopicHash, std::equal_to<>> routes_;
    std::deque<LogRecord> log_;
    std::uint64_t log_bytes_ = 0;
    std::uint64_t retained_count_ = 0, retained_bytes_ = 0;
    std::uint64_t queued_ = 0;            // sums over sessions_
    std::size_t connected_ = 0;
    std::uint64_t expired_ = 0;
    SessionId oldest_from_ = 0;           // where oldest_queued_ms() goes on
    std::int64_t oldest_seen_ms_ = 0, oldest_known_ms_ = 0;   // of the round under way; of the last whole one
    std::map<std::uint64_t, std::uint64_t> quarantine_;   // id -> bytes of its record
    std::uint64_t quarantine_bytes_ = 0;
    std::uint64_t next_quarantined_ = 1;
    std::map<std::string, std::string> model_hashes_;     // "name version" -> hash: a version never changes
    std::uint64_t next_model_ = 1;
    store::LeavesKeptOp leaves_kept_;
    std::priority_queue<RetainedExpiry, std::vector<RetainedExpiry>, std::greater<>> retained_expiries_;

    // of the batch under way, until release()
    store::WriteSet* writes_ = nullptr;
    Origin origin_{};
    bool refused_ = false;                // the operation under way, or the one before it until the next begins
    bool taken_ = false;                  // the last PUBLISH or QUARANTINE: neither refused nor a repetition
    bool leaves_a_leaf_ = false;          // the PUBLISH under way: a REGULATED follows it
    uns::RetainedPtr replaced_;           // by the last PUBLISH
    store::PublishOp last_publish_;       // it itself
    std::string leaves_;                  // of the batch, as they are stored; empty: none
    bool growth_allowed_ = true;
    ShardEffects effects_;
    std::vector<Session*> touched_;
    std::vector<SharedGroup*> touched_groups_;
    std::vector<Owed> owed_;
    std::vector<std::pair<SharedGroup*, SessionId>> picks_;
    store::ChunkWriter live_chunk_;
    std::vector<std::shared_ptr<const store::OpBatch>> held_ops_;
    std::vector<uns::RetainedTree::Change> retained_changes_;
    boost::unordered_flat_map<std::string_view, std::size_t, TopicHash, std::equal_to<>> retained_index_;
    std::deque<std::string> retained_topics_;
    std::vector<RetainedExpiry> swept_;
    std::vector<std::function<void(StateListener&)>> notices_;
    store::StoreStatus failure_;
};

}  // namespace trunkline::broker
