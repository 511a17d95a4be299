#include "broker/core/broker.h"

#include <atomic>
#include <chrono>

#include "broker/core/audit_sink.h"
#include "broker/core/filter_index.h"
#include "broker/core/governance.h"
#include "broker/core/login.h"
#include "broker/core/registry.h"
#include "broker/core/shard.h"

namespace trunkline::broker {

namespace {

/// Microseconds since 1970, so that an owner of an earlier life never equals one of this.
std::uint64_t number_from_clock() {
    using namespace std::chrono;
    return static_cast<std::uint64_t>(duration_cast<microseconds>(system_clock::now().time_since_epoch()).count());
}

}  // namespace

Broker::Broker(Config config, std::uint32_t shards, std::function<void(std::uint32_t shard)> wake,
               std::uint64_t first_number)
    : config_(std::move(config)),
      authenticator_(std::make_unique<auth::AnonymousOnly>(config_.allow_anonymous)),
      answers_(std::make_shared<AnswerDesk>()),
      first_number_(first_number ? first_number : number_from_clock()),
      wake_(std::move(wake)), registry_(std::make_unique<Registry>()), filters_(std::make_unique<FilterIndex>(shards)),
      governance_(std::make_unique<Governance>(*this, shards)) {
    answers_->broker = this;
    for (std::uint32_t i = 0; i < shards; ++i) shards_.push_back(std::make_unique<Shard>(*this, i));
}

Broker::~Broker() {
    const std::lock_guard lock(answers_->mutex);
    answers_->broker = nullptr;
}

void Broker::attach(CommitLog& log) { log_ = &log; }
void Broker::attach(std::unique_ptr<auth::Authenticator> authenticator) { authenticator_ = std::move(authenticator); }

void Broker::attach(std::uint16_t listener, auth::Authenticator& authenticator) {
    if (listener_authenticators_.size() <= listener) listener_authenticators_.resize(listener + 1U);
    listener_authenticators_[listener] = &authenticator;
}

void Broker::attach_observers(const std::vector<auth::Plugin*>& plugins) {
    for (const auto& shard : shards_) shard->attach_observers(plugins);
}

void Broker::attach(LiveSink& sink) {
    for (const auto& shard : shards_) shard->feed.attach(sink);
}

ShardApi& Broker::shard(std::uint32_t index) { return *shards_.at(index); }
const Counters& Broker::counters(std::uint32_t shard) const { return shards_.at(shard)->counters; }

std::uint64_t Broker::subscription_count() const {
    std::uint64_t count = 0;
    for (const auto& shard : shards_) count += shard->counters.subscriptions.get();
    return count;
}

std::uint64_t Broker::left_out_of_browsing() const {
    std::uint64_t count = 0;
    for (const auto& shard : shards_) count += shard->feed.left_out.get();
    return count;
}

bool Broker::wants_news(std::string_view topic) const { return filters_->wants_news(topic); }

std::uint64_t Broker::durable_session_count() const { return registry_->durable_count(); }

void Broker::mail(std::uint32_t shard, MailBody&& body) {
    if (shards_.at(shard)->mailbox.put(std::move(body.mail))) wake_(shard);
}

void Broker::run_on_shard(std::uint32_t shard, std::function<void(ShardApi&)> work) {
    mail(shard, MailBody{Work{std::move(work)}});
}

void Broker::visit_clients(std::function<void(const ClientInfo&)> visit, std::function<void()> done) {
    // From shard to shard, so that `visit` runs on one thread at a time.
    const auto step = std::make_shared<std::function<void(std::uint32_t)>>();
    *step = [this, step, visit = std::move(visit), done = std::move(done)](std::uint32_t index) {
        run_on_shard(index, [this, step, &visit, &done, index](ShardApi& shard) {
            static_cast<Shard&>(shard).visit(visit);
            if (index + 1 < shard_count()) {
                (*step)(index + 1);
            } else {
                done();
                const auto last = std::move(*step);  // frees the closure after this call
            }
        });
    };
    (*step)(0);
}

void Broker::visit_subscriptions(std::function<void(std::string_view, std::string_view)> visit,
                                 std::function<void()> done) {
    struct Walk {
        std::function<void(std::string_view, std::string_view)> visit;
        std::function<void()> done;
    };
    const auto walk = std::make_shared<Walk>(Walk{std::move(visit), std::move(done)});
    const auto step = std::make_shared<std::function<void(std::uint32_t)>>();
    *step = [this, step, walk](std::uint32_t index) {
        run_on_shard(index, [this, step, walk, index](ShardApi& shard) {
            static_cast<Shard&>(shard).visit_subscriptions(walk->visit);
            if (index + 1 < shard_count()) return (*step)(index + 1);
            walk->done();
            const auto last = std::move(*step);  // frees the closure after this call
        });
    };
    (*step)(0);
}

void Broker::visit_subscription_details(std::function<void(const SubscriptionInfo& subscription)> visit,
                                        std::function<void()> done) {
    struct Walk {
        std::function<void(const SubscriptionInfo&)> visit;
        std::function<void()> done;
        std::function<void(std::uint32_t)> step;
    };
    const auto walk = std::make_shared<Walk>(Walk{std::move(visit), std::move(done), nullptr});
    walk->step = [this, walk](std::uint32_t index) {
        run_on_shard(index, [this, walk, index](ShardApi& shard) {
            static_cast<Shard&>(shard).visit_subscriptions(walk->visit);
            if (index + 1 < shard_count()) return walk->step(index + 1);
            walk->done();
            const auto last = std::move(walk->step);  // it holds itself
        });
    };
    walk->step(0);
}

bool Broker::begin_trace(const ClientTracePtr& trace) {
    if (!traces_.add(trace)) return false;
    // To all shards: the client may be about to come to any of them.
    for (std::uint32_t i = 0; i < shard_count(); ++i) {
        run_on_shard(i, [trace](ShardApi& shard) { static_cast<Shard&>(shard).start_trace(trace); });
    }
    return true;
}

void Broker::end_trace(const ClientTracePtr& trace) {
    trace->stop();
    traces_.remove(trace);
    for (std::uint32_t i = 0; i < shard_count(); ++i) {
        run_on_shard(i, [](ShardApi& shard) { static_cast<Shard&>(shard).end_traces(); });
    }
}

void Broker::drop_session(SessionId session, std::string client_id, std::function<void(Refusal why)> done) {
    run_on_shard(0, [session, client_id = std::move(client_id), done = std::move(done)](ShardApi& shard) {
        const auto add = [session, &client_id](store::OpBatch& ops) {
            ops.add(store::DropOp{session, 0, client_id, {}});
        };
        static_cast<Shard&>(shard).submit_request(add, done);
    });
}

void Broker::find_principal(std::string client_id,
                            std::function<void(std::shared_ptr<const auth::Principal> principal)> done) {
    const auto holder = registry_->find(client_id);
    if (!holder) return done(nullptr);
    run_on_shard(holder->shard, [client_id = std::move(client_id), done = std::move(done)](ShardApi& shard) {
        done(static_cast<Shard&>(shard).principal_of(client_id));
    });
}

void Broker::ask_plugins(auth::Principal principal, auth::Action action, std::string topic,
                         std::function<void(std::string rule, bool allowed)> done) {
    run_on_shard(0, [principal = std::move(principal), action, topic = std::move(topic),
                     done = std::move(done)](ShardApi& shard) {
        const auto [rule, allowed] = static_cast<Shard&>(shard).ask_plugins(principal, action, topic);
        done(rule, allowed);
    });
}

void Broker::kick(std::string client_id, std::function<void(bool found)> done) {
    const auto holder = registry_->find(client_id);
    run_on_shard(holder ? holder->shard : 0,
                 [client_id = std::move(client_id), done = std::move(done)](ShardApi& shard) {
                     done(static_cast<Shard&>(shard).kick(client_id));
                 });
}

void Broker::publish(std::string topic, std::string payload, bool retain, std::uint8_t qos) {
    run_on_shard(0, [topic = std::move(topic), payload = std::move(payload), retain, qos](ShardApi& shard) {
        static_cast<Shard&>(shard).publish_own(topic, payload, retain, qos);
    });
}

void Broker::publish_for(Publication publication, std::function<void(const Refused& refused)> done) {
    run_on_shard(0, [publication = std::move(publication), done = std::move(done)](ShardApi& shard) {
        static_cast<Shard&>(shard).publish_for(publication, done);
    });
}

void Broker::preset_model(const std::shared_ptr<const uns::Model>& model) {
    for (const auto& shard : shards_) shard->use_model(model);
}

void Broker::use_model(const std::shared_ptr<const uns::Model>& model, std::function<void()> done) {
    const auto left = std::make_shared<std::atomic<std::uint32_t>>(shard_count());
    for (std::uint32_t i = 0; i < shard_count(); ++i) {
        run_on_shard(i, [model, left, done](ShardApi& shard) {
            static_cast<Shard&>(shard).use_model(model);
            if (left->fetch_sub(1) == 1) done();
        });
    }
}

void Broker::shut_down(std::string server_reference, std::function<void()> done) {
    const auto left = std::make_shared<std::atomic<std::uint32_t>>(shard_count());
    for (std::uint32_t i = 0; i < shard_count(); ++i) {
        run_on_shard(i, [server_reference, left, done](ShardApi& api) {
            auto& shard = static_cast<Shard&>(api);
            shard.say_goodbye(server_reference);
            shard.when_safe([left, done] {
                if (left->fetch_sub(1) == 1) done();
            });
        });
    }
}

void Broker::drain(Drain drain, std::function<void(std::uint64_t clients)> done) {
    struct Progress {
        std::atomic<std::uint32_t> left;
        std::atomic<std::uint64_t> clients{0};
    };
    const auto progress = std::make_shared<Progress>();
    progress->left = shard_count();
    const std::lock_guard lock(drain_mutex_);  // held over the posts: all shards see two calls in the same order
    drain_ = drain;
    for (std::uint32_t i = 0; i < shard_count(); ++i) {
        run_on_shard(i, [drain, progress, done](ShardApi& shard) {
            progress->clients += static_cast<Shard&>(shard).drain(drain);
            if (progress->left.fetch_sub(1) == 1) done(progress->clients);
        });
    }
}

void Broker::end_drain(std::function<void()> done) {
    const auto left = std::make_shared<std::atomic<std::uint32_t>>(shard_count());
    const std::lock_guard lock(drain_mutex_);
    drain_.reset();
    for (std::uint32_t i = 0; i < shard_count(); ++i) {
        run_on_shard(i, [left, done](ShardApi& shard) {
            static_cast<Shard&>(shard).end_drain();
            if (left->fetch_sub(1) == 1) done();
        });
    }
}

std::optional<Drain> Broker::draining() const {
    const std::lock_guard lock(drain_mutex_);
    return drain_;
}

void Broker::post(std::uint32_t shard, Effects&& effects) {
    mail(shard % shard_count(), MailBody{std::move(effects)});
}

void Broker::session_added(std::string_view client_id, std::string_view user) {
    registry_->set_durable(client_id, true, user);
}
void Broker::session_removed(std::string_view client_id) { registry_->set_durable(client_id, false, {}); }
void Broker::filter_added(std::string_view filter, std::uint8_t qos) { filters_->add_durable(filter, qos); }
void Broker::filter_removed(std::string_view filter, std::uint8_t qos) { filters_->remove_durable(filter, qos); }
void Broker::quarantine_added(std::uint64_t id, const store::QuarantineOp& op) { governance_->note_added(id, op); }
void Broker::quarantine_removed(std::uint64_t id) { governance_->note_removed(id); }
void Broker::model_applied(std::uint64_t sequence, const store::ModelOp& op) { governance_->note_model(sequence, op); }

void Broker::leaves_added(Position position, std::string_view leaves) {
    if (audit_) audit_->leaves(position, leaves);
}

void Broker::regulated_overwritten(const store::RegulatedOp& by, std::string_view topic, std::string_view old_payload,
                                   std::string_view new_payload) {
    if (!audit_) return;
    auth::audit::Record record;
    record.actor = by.principal;
    record.method = "mqtt";
    record.source = by.source;
    record.action = auth::audit::action::overwrite;
    record.object = topic;
    record.old_value = auth::audit::Value::hash_of(old_payload);
    if (!new_payload.empty()) record.new_value = auth::audit::Value::hash_of(new_payload);
    record.reason = "client " + std::string(by.client_id);
    audit_->note(std::move(record));
}

void Broker::leaves_kept(const store::LeavesKeptOp& kept, std::function<void(bool safe)> done) {
    run_on_shard(0, [kept, done = std::move(done)](ShardApi& shard) {
        static_cast<Shard&>(shard).submit_request([&kept](store::OpBatch& ops) { ops.add(kept); },
                                                  [done](Refusal why) { done(why == Refusal::none); });
    });
}

}  // namespace trunkline::broker
