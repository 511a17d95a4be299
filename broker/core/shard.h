// One shard: the protocol rules over its connections and sessions. Everything here lives on one thread and does no I/O:
// bytes, effects of the log, mail and time come in; packets, operations for the log and mail go out.
//
// Its parts by file: shard.cpp (turns, time, mail), connect.cpp (CONNECT to DISCONNECT), authenticate.cpp (who the
// client is), publish.cpp (the life of a PUBLISH up to where it must go), enforce.cpp (who may do what: what follows),
// govern.cpp (what the model says of it), deliver.cpp (to one subscriber), subscribe.cpp, durable.cpp (effects of the
// log).
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <boost/intrusive/list.hpp>
#include <boost/unordered/unordered_flat_map.hpp>

#include "auth/audit/leaf_maker.h"
#include "broker/core/authorize.h"
#include "broker/core/broker.h"
#include "broker/core/client.h"
#include "broker/core/client_trace.h"
#include "broker/core/governance.h"
#include "broker/core/live_feed.h"
#include "broker/core/mailbox.h"
#include "broker/core/router.h"
#include "broker/core/shard_api.h"
#include "broker/core/violation_log.h"
#include "broker/mqtt/decode.h"

namespace trunkline::broker {

class Shard final : public ShardApi {
public:
    Shard(Broker& broker, std::uint32_t index);
    ~Shard() override;

    void set_time(Now now) override { now_ = now; }
    Client* on_open(Transport& transport, const ConnectionInfo& info) override;
    std::size_t on_bytes(Client& client, std::string_view bytes) override;
    void on_writable(Client& client) override;
    void on_closed(Client& client) override;
    void on_mail() override;
    void on_tick() override;
    void end_turn() override;

    Mailbox mailbox;
    Counters counters;
    LiveFeed feed;

    /// Messages that other shards have posted to this one and that it has not come to yet: those shards add, it takes
    /// away, so that who publishes knows what else is coming to a queue, and does not run ahead without bound.
    struct alignas(64) UnderWay {
        std::atomic<std::uint64_t> messages{0}, bytes{0};
    };
    UnderWay forwards_under_way;
    std::atomic<bool> held_up{false};        // wants to be woken when another shard has caught up

    // For the broker's own requests, on this thread.
    void visit(const std::function<void(const ClientInfo&)>& visit) const;
    void visit_subscriptions(const std::function<void(std::string_view, std::string_view)>& visit) const;
    void visit_subscriptions(const std::function<void(const SubscriptionInfo&)>& visit) const;
    bool kick(std::string_view client_id);
    /// Watches the client that `trace` is about, if it is connected to this shard.
    void start_trace(const ClientTracePtr& trace);
    /// Forgets traces that were stopped.
    void end_traces();
    /// The rule of the plugin that denies, or "" and whether one allows.
    [[nodiscard]] std::pair<std::string, bool> ask_plugins(const auth::Principal& principal, auth::Action action,
                                                           std::string_view topic) {
        return authority_.plugins_say(principal, action, topic);
    }
    [[nodiscard]] std::shared_ptr<const auth::Principal> principal_of(std::string_view client_id) const;
    void publish_own(std::string_view topic, std::string_view payload, bool retain, std::uint8_t qos);
    /// A message of administration, judged like a client's; `done` once it is safe, or with why it was refused.
    void publish_for(const Publication& publication, const std::function<void(const Refused&)>& done);
    /// Judges by another model from here on.
    void use_model(std::shared_ptr<const uns::Model> model);
    /// Adds operations and calls `done` when they are safe, with why the first of them was refused.
    void submit_request(const std::function<void(store::OpBatch&)>& add, std::function<void(Refusal)> done);
    /// Publishes a message of the quarantine and takes it out.
    void release_from_quarantine(std::uint64_t id, const MessageView& message, std::function<void(Refusal)> done);
    void say_goodbye(const std::string& server_reference);
    /// Sends everyone elsewhere and refuses who comes; returns how many were connected.
    std::uint64_t drain(const Drain& drain);
    void end_drain() { drain_.reset(); }
    /// Calls `done` when everything submitted so far is safe.
    void when_safe(std::function<void()> done);
    /// Before it runs: plugins that are told what happens.
    void attach_observers(const std::vector<auth::Plugin*>& plugins);

private:
    // What waits for the log's answer, in the order it must leave in.
    enum class Wait : std::uint8_t {
        publish, held_publish, refusal, quarantine, suback, unsuback, pubrel, pubcomp, claim,
    };
    static constexpr std::uint32_t no_op = 0xFFFFFFFF;
    static constexpr const char* trail_cannot_be_written = "the audit trail cannot be written; see the broker's alarms";
    struct Pending {
        Client* client = nullptr;             // null: nobody waits for an answer
        Wait wait = Wait::publish;
        std::uint8_t qos = 0;
        mqtt::Reason reason = mqtt::Reason::success;
        bool regulated = false;               // publish: its REGULATED follows it in the batch
        std::uint16_t packet_id = 0;
        std::uint32_t op_offset = no_op;      // of the operation; of subacks and refusals the index into their table
        MessagePtr message;                   // held_publish
    };
    struct Answer {                           // SUBACK or UNSUBACK, and what begins with it
        std::uint16_t packet_id = 0;
        std::vector<mqtt::Reason> reasons;
        std::string reason_string;
        std::vector<RetainedStream> retained;
        struct Op {                           // of the durable session
            std::uint32_t offset = 0;
            std::uint32_t reason = 0;         // index into `reasons`
            std::string fresh_filter;         // a subscription that was not there before
        };
        std::vector<Op> ops;
    };
    struct Submission {
        Token token = 0;
        std::shared_ptr<store::OpBatch> ops;
        std::vector<Pending> pending;
        std::vector<Answer> answers;
        std::vector<std::shared_ptr<const uns::Finding>> findings;   // of refusals
        struct Request {
            std::uint32_t op_offset = 0;
            std::function<void(Refusal)> done;
        };
        std::vector<Request> requests;
        std::vector<std::function<void()>> callbacks;
        auth::audit::Moment leaves_at;        // what its leaves say, and the receipts of their publishes
        std::uint64_t retained_qos0 = 0;      // counted in Broker::retained_under_way_ until this is safe
        std::int64_t submitted_ms = 0;
    };
    /// How a PUBLISH is judged: reason 0 lets it through.
    struct Verdict {
        mqtt::Reason reason = mqtt::Reason::success;
        const char* what = "";
    };

    // connect.cpp
    void on_connect(Client& client, const mqtt::Frame& frame);
    void claim_from_log(Client& client);
    void resume(Client& client, ClaimResult&& result);
    void accept(Client& client, bool session_present);
    void refuse_connect(Client& client, mqtt::Reason reason, std::string_view what,
                        std::string_view server_reference = {});
    /// Tells of connections that the peer itself brought to their end before they were accepted.
    void note_failure(const Client& client, mqtt::Reason reason);
    void on_disconnect(Client& client, const mqtt::Frame& frame);
    /// Ends the connection from our side: DISCONNECT with `reason` where v5 has one.
    void disconnect(Client& client, mqtt::Reason reason, std::string_view what, std::string_view server_reference = {});
    /// The end of a connection however it came. `with_will`: the will is to be published.
    void finish(Client& client, bool with_will);
    void end_transient(Client& client, Session& session, bool with_will);
    void detach_durable(Client& client, Session& session, bool with_will);
    void drop_subscriptions(Client& client, Session& session);
    void take_over(std::uint64_t number, std::uint32_t from_shard, std::uint64_t for_number);
    void released(std::uint64_t for_number);
    void release_waiters(Client& client);
    /// What only few connections need goes when it has nothing in it.
    static void drop_extra(Client& client);
    [[nodiscard]] Verdict check_will(const mqtt::Will& will) const;
    /// Where the model refuses the will: answers the CONNECT and returns false.
    [[nodiscard]] bool will_may_be_sent(Client& client);
    void publish_will(const Sender& sender, std::uint64_t publisher, const store::WillRecord& will, SessionId session);

    // authenticate.cpp
    void authenticate(Client& client, const mqtt::Connect& connect);
    void on_auth(Client& client, const mqtt::Frame& frame);
    /// Begins a question; asked() ends the call that asks, whether or not the answer was given within.
    [[nodiscard]] std::shared_ptr<Login> ask(Client& client);
    [[nodiscard]] auth::OnAnswer answer_to(const Client& client, std::shared_ptr<Login> login,
                                           std::shared_ptr<auth::Exchange> exchange);
    void asked(Client& client, const std::shared_ptr<Login>& login);
    /// The answer, in its turn on this thread; the client may be gone, or ask something else by now.
    void answered(std::uint64_t number, const Login& login, auth::Answer&& answer);
    void authenticated(Client& client, auth::Answer&& answer);
    /// What the client showed is good no longer. `due_ms` comes down to when it will be.
    [[nodiscard]] bool has_expired(const Client& client, std::int64_t& due_ms) const;
    void end_expired(Client& client);
    /// After a change of the roles file: ends the connections of users who may not connect by it.
    void look_who_may_stay();
    /// Counts, logs and audits the end of an attempt to log in.
    void note_login(const Client& client, const auth::Answer& answer, bool let_in);
    void note_denial(const Client& client, std::string_view action, std::string_view object, std::string_view reason,
                     std::string_view method = {});
    void note_takeover(const Client& client);
    void refuse_identity(Client& client);
    void claim(Client& client);
    [[nodiscard]] std::string_view url_of(const Client& client) const;

    // observe.cpp
    template <class Tell>
    void inform(const Client& client, const Tell& tell);
    void tell_connected(const Client& client);
    void tell_disconnected(const Client& client);
    void tell_subscribed(const Client& client, std::string_view filter, std::uint8_t qos);
    void tell_published(const Client& client, const MessageView& message);

    // publish.cpp
    void on_publish(Client& client, const mqtt::Frame& frame);
    [[nodiscard]] bool resolve_alias(Client& client, mqtt::Publish& publish, Route*& route);
    [[nodiscard]] Verdict judge(const mqtt::Publish& publish, bool known_topic) const;
    [[nodiscard]] Verdict judge_topic(std::string_view topic) const;
    [[nodiscard]] bool take_packet_id(Client& client, const mqtt::Publish& publish);
    /// Null: the client may not publish on it, and a route is not made for that.
    [[nodiscard]] Route* route_of(Client& client, std::string_view topic);
    void publish(Client& client, const mqtt::Publish& packet, Route& route, const MessageView& message);
    void submit_publish(Client* client, const mqtt::Publish& packet, const MessageView& message, bool no_queue,
                        bool regulated = false);
    void answer_publish(Client& client, std::uint8_t qos, std::uint16_t packet_id, mqtt::Reason reason,
                        std::string_view what = {}, std::shared_ptr<const uns::Finding> finding = nullptr);
    void send_answer(Client& client, std::uint8_t qos, std::uint16_t packet_id, mqtt::Reason reason,
                     std::string_view what, const uns::Finding* finding = nullptr);
    void publish_internal(const MessageView& message, SessionId will_of, std::string_view client_id = {});
    void on_pubrel(Client& client, const mqtt::Ack& ack);
    /// What is under way to the queue's shard counts as if it were all for this queue.
    [[nodiscard]] bool is_full(const QueueLevel& queue) const;
    /// False when somebody who is owed a QoS 1 or 2 message could not take it: the publisher must be told.
    [[nodiscard]] bool queues_have_room(const Audience& audience) const;
    [[nodiscard]] bool is_held_up(const Route& route) const;

    // enforce.cpp
    /// Takes new roles, a new model, the time: before packets, mail and ticks are looked at.
    void look_at_access() {
        if (authority_.begin(now_, model_)) judge_everybody();
    }
    void judge_everybody();
    /// Goes on with everybody's subscriptions, a bounded number a turn.
    void judge_some();
    /// Which of its subscriptions deliver from now on. `routed`: those that do so far are in the router.
    void judge_subscriptions(Client& client, bool routed = true);
    void refuse_unauthorised(Client& client, const mqtt::Publish& packet, std::string_view topic);
    /// Says no to a SUBSCRIBE's filter; the sentence for the SUBACK.
    std::string tell_not_subscribed(Client& client, std::string_view filter);
    [[nodiscard]] bool may_receive(Client& client, Route& route) {
        if (!authority_.on()) return true;
        if (receives_all(client)) return authority_.count_received(), true;
        return authority_.may_receive(client, route);
    }
    [[nodiscard]] Authority::Subscribed may_subscribe(Client& client, const mqtt::SubscriptionRequest& request) {
        if (!authority_.on()) return {true, true};
        return authority_.may_subscribe(client, request.filter, request.options.qos);
    }
    [[nodiscard]] bool receives_all(const Client& client) const {
        return client.rights.receives_all && client.rights.subscriptions_epoch == authority_.epoch();
    }
    /// The same of a message that has waited. `fresh`: a subscription of this connection brought it.
    [[nodiscard]] bool may_still_receive(Client& client, std::string_view topic, bool fresh);
    /// What is not received any more: of a shared subscription somebody else gets it.
    void decline(const Client& client, QueuedMessage& queued);
    /// The same of a retained message, whose topic may have no route.
    [[nodiscard]] bool may_receive_retained(Client& client, std::string_view topic);
    /// "" or why the will of `sender` must not be sent now.
    [[nodiscard]] std::string will_not_authorised(const Sender& sender, std::string_view topic);
    [[nodiscard]] Sender sender_of(Client& client);

    // govern.cpp
    /// A message that needs no judgement: the cheap part, for each message on a topic of the model.
    [[nodiscard]] bool keeps_contract(Route& route, bool retain, std::string_view payload) {
        if (route.model_generation != model_generation_) look_up(route);
        if (route.standing == Standing::payload && !(retain && payload.empty())) return !route.payload->check(payload);
        return route.standing != Standing::judged;
    }
    /// What the model says of the route's topic.
    void look_up(Route& route);
    /// `written`: who may write has been judged before, and sender.user is not known any more.
    [[nodiscard]] uns::Verdict judge_by_model(Route& route, const Sender& sender, const MessageView& message,
                                              bool written = false);
    /// Judges a client's message. False: it ends here, answered. What is let through may have moved to another topic:
    /// `route` and `message.topic` say to which.
    [[nodiscard]] bool govern(Client& client, const mqtt::Publish& packet, Route*& route, MessageView& message);
    void refuse_publish(Client& client, const mqtt::Publish& packet, const uns::Verdict& verdict);
    /// Submits the message to the quarantine; `client` null: nobody waits for an answer.
    void quarantine(Client* client, std::uint16_t packet_id, const Sender& sender, const MessageView& message,
                    const uns::Finding& finding);
    void settle_quarantined(const Submission& submission, const Pending& pending, Refusal refusal);
    void note_verdict(const uns::Verdict& verdict, const Sender& sender, const MessageView& message);
    void move_on(Route*& route, MessageView& message);
    /// Live events about violations, a bounded number a second.
    void publish_violations();

    // regulated.cpp
    /// Who publishes, as the audit trail names him; views.
    struct Teller {
        std::string_view principal, client_id;
        const Client* client = nullptr;       // null: not by MQTT
    };
    [[nodiscard]] Teller teller_of(const Client& client) const;
    /// Adds to the open batch what the audit trail keeps of the publish just added to it. `acknowledged`: with a leaf.
    void leave_leaf(const Teller& who, const MessageView& message, bool acknowledged);
    /// Those that wait to be hashed, into the open batch.
    void make_leaves();
    /// Of a retained message that nobody is sent an acknowledgement for.
    void note_overwrite(Route& route, const MessageView& message, std::string_view client_id);
    /// A command that the model lets through is a record of its own.
    void audit_command(const Client& client, const MessageView& message);
    /// PUBACK or PUBREC of a regulated publish: with the facts that its publisher needs to prove it.
    void answer_with_receipt(Client& client, const Pending& pending, const auth::audit::Moment& at);

    // deliver.cpp
    /// To everyone: this shard's subscribers, one member of each shared subscription, the other shards. Returns whether
    /// there was anyone.
    bool distribute(const MessageView& message, Route& route);
    bool distribute_here(const MessageView& message, Route& route, MessagePtr& holder);
    /// `except`: connections that must not or cannot have it.
    using Except = std::vector<std::uint64_t>;
    void deliver_to_group(const MessageView& message, const Group& group, Route& route, MessagePtr& holder,
                          const Except& except = {});
    /// A retained message that subscriptions of the session get from the retained tree, itself or a newer one.
    [[nodiscard]] bool superseded(Session& session, const MessageView& message);
    void deliver(Session& session, const MessageView& message, const DeliveryOptions& options, MessagePtr& holder,
                 std::string_view shared_filter = {});
    void deliver_own(const Target& target, const MessageView& message, MessagePtr& holder);
    /// A shared message that its member did not take or acknowledge goes to another one.
    void offer_to_group(const MessageView& message, std::string_view shared_filter, const Except& except,
                        MessagePtr& holder);
    void forward(std::uint32_t shard, const MessageView& message, MessagePtr& holder, std::uint64_t member = 0,
                 std::string_view shared_filter = {}, const Except& declined = {});
    void enqueue(Session& session, const MessageView& message, const DeliveryOptions& options, MessagePtr& holder,
                 std::string_view shared_filter);
    /// Encodes one PUBLISH. False when it must not be sent: expired or too large for the client.
    bool emit(Client& client, const MessageView& message, const DeliveryOptions& options, OutWindow* window,
              OutState state);
    /// How many more QoS 1 and 2 messages may go out on `window` now [MQTT-3.3.4-9].
    [[nodiscard]] std::uint32_t quota(const Client& client, const Session& session, const OutWindow& window) const;
    [[nodiscard]] bool has_room(const Client& client) const;
    void pump(Client& client);
    void pump_queue(Client& client, Session& session);
    /// After each change of a queue.
    void note_level(Session& session);
    void tell_crowded(const Session& session, const ClientSubscription& subscription);
    void pump_retained(Client& client, Session& session);
    void free_identifier(Client& client, Session& session);
    void on_ack(Client& client, const mqtt::Frame& frame);
    void on_outgoing_ack(Client& client, const mqtt::Ack& ack);
    void complete_out(Client& client, OutWindow& window, std::uint64_t n, bool durable);
    void drop(Drop why, std::uint64_t count = 1) { counters.dropped[static_cast<std::size_t>(why)].add(count); }
    void want_flush(Client& client) {
        if (!client.dirty) mark_dirty(client);
    }
    void want_pump(Client& client);
    /// Something waits that was held back by a window or by the write buffer.
    [[nodiscard]] static bool has_more(const Session& session) {
        return session.queue || !session.retained.empty() ||
               (session.out && (!session.out->chunks.empty() || (!session.out->live && !session.out->fetching)));
    }

    // traced.cpp
    struct Traced {
        std::vector<ClientTracePtr> traces;
        std::uint32_t seen = 0;               // position of the client's output up to which it was shown
        bool queued = false;                  // is on the list of those with output, instead of Client::dirty
    };
    /// Watches a client if somebody wants to; again: with all who want to now.
    void begin_trace(Client& client, std::string_view client_id);
    void trace_packet(const Client& client, const mqtt::Frame& frame, bool from_client);
    /// Shows what was encoded since the last time.
    void trace_out(Client& client);
    void tell_trace(const Client& client, TracedPacket&& packet);
    /// In end_turn(), before the output is handed to the transport, and after.
    void trace_flushed(Client& client, bool before);
    void trace_goodbye(Client& client);
    void end_trace_of(Client& client);
    void mark_dirty(Client& client);

    // subscribe.cpp
    void on_subscribe(Client& client, const mqtt::Frame& frame);
    void on_unsubscribe(Client& client, const mqtt::Frame& frame);
    [[nodiscard]] mqtt::Reason check_filter(const Session& session, std::string_view filter, const char*& what) const;
    /// Returns the offset of the operation in the open batch, or no_op.
    std::uint32_t add_subscription(Client& client, const ClientSubscription& subscription, bool retained_owed);
    void remove_subscription(Client& client, ClientSubscription& subscription);
    /// What is stored as Retain Handling says what is still owed: 2 once the retained messages are acknowledged.
    std::uint32_t store_subscription(const Session& session, const ClientSubscription& subscription,
                                     bool retained_owed);
    void retained_settled(Session& session);
    void route_subscription(Client& client, const ClientSubscription& subscription);
    void unroute_subscription(Client& client, const ClientSubscription& subscription);
    void answer_subscribe(Client& client, const Answer& answer, bool unsubscribe);
    void await_retained(Session& session, RetainedStream& stream);
    void begin_retained(Client& client, std::vector<RetainedStream>&& streams);

    // durable.cpp
    void on_effects(Effects&& effects);
    using RefusedOps = std::vector<RefusedOp>;   // ascending by token and offset
    void on_committed(Token through, const RefusedOps& refused);
    void settle(Submission& submission, const RefusedOps& refused);
    void settle_one(Submission& submission, Pending& pending, const RefusedOps& refused);
    void settle_answer(Client& client, Answer& answer, bool unsubscribe, Token token, const RefusedOps& refused);
    /// What a log without room did not take and nobody waits for: kept to be submitted again, or a fresh start.
    void settle_refused(Submission& submission, const RefusedOp& refused);
    void retry_refused();
    void on_delivery(Delivery&& delivery);
    void on_fetched(FetchResult&& fetched);
    void pump_durable(Client& client, Session& session);
    bool send_durable(Client& client, Session& session, DurableOut::Chunk& chunk);
    void skip_to(Client& client, DurableOut& out, std::uint64_t n);
    void collect(Session& session, std::vector<store::Range>& ranges, std::uint64_t n);
    void submit_acks(Session& session);
    Submission& submission();
    /// An entry for the answers in order; without a client's operation in the open batch it joins the last one.
    Pending& await(Client* client, Wait wait);
    void submit_open();
    [[nodiscard]] Session* durable_session(SessionId id, std::uint64_t owner);
    void publish_will_due(WillDue&& due);

    // shard.cpp
    /// Takes whole packets off the front; returns the bytes used.
    std::size_t consume(Client& client, std::string_view bytes);
    void handle(Client& client, const mqtt::Frame& frame);
    void watch_deadline(Client& client, std::int64_t due_ms);
    void look_at_due();
    void check_deadline(Client& client);
    void close_transport(Client& client);
    void post(std::uint32_t shard, Mail&& mail);
    void on_forwards(Forwards&& forwards);
    void on_forward_to_member(Forward& one);
    void post_forwards(std::uint32_t shard);
    /// Another shard is so far behind that who publishes to it must wait.
    [[nodiscard]] bool is_behind(std::uint32_t shard, unsigned share = 1) const;
    void look_who_caught_up();
    /// This shard's part of what may be submitted and not yet safe, in bytes.
    [[nodiscard]] std::uint64_t backlog_share() const;
    void pause_publishers(Client& client);
    void resume_publishers();
    void bury(Client& client);

    Broker& broker_;
    const std::uint32_t index_;
    const Limits& limits_;
    Registry& registry_;
    FilterIndex& filters_;
    Router router_;
    Authority authority_;
    std::vector<std::uint64_t> to_judge_;    // clients whose subscriptions are to be judged again
    Governance& governance_;
    std::shared_ptr<const uns::Model> model_;
    std::uint32_t model_generation_ = 1;     // of model_, as routes were looked up by
    bool governed_ = false;                  // a model was applied
    std::vector<std::string> violations_;    // events of this turn
    std::int64_t violations_second_ = 0;
    std::uint32_t violations_sent_ = 0;      // in that second
    std::vector<auth::Plugin*> observers_;
    bool observes_publishes_ = false;
    std::uint64_t access_looked_at_ = 0;     // generation of the roles file
    Now now_;
    uns::CommitTime commit_time_ = 0;   // of the last batch that told this shard anything
    std::uint64_t next_number_;
    bool stopping_ = false;
    std::optional<Drain> drain_;

    std::vector<std::unique_ptr<Client>> graveyard_;         // closed, freed at the end of the turn
    boost::unordered_flat_map<std::uint64_t, Client*> clients_;        // by number
    boost::unordered_flat_map<SessionId, Session*> durable_;           // connected durable sessions
    std::vector<Client*> dirty_;                             // have output
    boost::unordered_flat_map<std::uint64_t, Traced> traced_;          // clients that are watched, by number
    std::vector<Client*> pump_;                              // have more to send next turn
    std::vector<Client*> paused_;                            // not read while the log catches up
    std::vector<Session*> with_acks_;                        // collected acknowledgements this turn
    std::vector<mqtt::Buffer> spare_buffers_;

    std::deque<Submission> submissions_;                     // answered from the front; the open one, if any, is last
    bool open_ = false;                                      // the last one is not submitted yet
    Token next_token_ = 1;
    std::vector<std::string> retries_;                       // operations to submit again, at the next tick
    std::uint64_t unsafe_bytes_ = 0;                         // submitted, not answered

    std::vector<Forwards> outbox_;                           // by shard
    std::uint64_t held_up_by_ = 0;                           // bit per shard that is behind
    std::vector<std::pair<std::uint32_t, std::uint64_t>> releases_;  // (shard, waiting number), after the submission
    std::vector<Mail> mail_;

    static constexpr std::size_t wheel_slots = 128;          // one a second
    static constexpr std::int64_t close_unanswered_after_ms = 1'000;
    using Slot = boost::intrusive::list<Client, boost::intrusive::constant_time_size<false>>;
    std::vector<Slot> wheel_;
    std::int64_t wheel_s_ = 0;
    static constexpr int deadlines_per_turn = 4;
    Slot due_;                                               // whose second has come, not looked at yet
    std::string scratch_;                                    // forwarded properties
    auth::audit::LeafMaker leaves_;                          // of the open submission
    std::string receipt_;                                    // User Properties; the first receipt_times_ bytes of them
    std::size_t receipt_times_ = 0;                          // are the times receipt_at_
    auth::audit::Moment receipt_at_;
    std::uint64_t rates_second_ = 0;
};

}  // namespace trunkline::broker
