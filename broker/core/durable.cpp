// Between the shard and the log: submissions, their answers, and the queues of durable sessions.
#include <algorithm>

#include "broker/core/log.h"
#include "broker/core/registry.h"
#include "broker/core/shard.h"
#include "broker/mqtt/encode.h"

namespace trunkline::broker {

using mqtt::PacketType;
using mqtt::Reason;

namespace {

constexpr std::uint32_t fetch_bytes = 512 * 1024;

bool holds(const std::vector<store::Range>& ranges, std::uint64_t n) {
    return std::any_of(ranges.begin(), ranges.end(), [n](const store::Range& r) { return n >= r.from && n < r.to; });
}

Refusal refusal_of(const std::vector<RefusedOp>& refused, Token token, std::uint32_t offset) {
    const auto at = std::lower_bound(refused.begin(), refused.end(), std::pair(token, offset),
                                     [](const auto& r, auto key) { return std::pair(r.token, r.op_offset) < key; });
    return at != refused.end() && at->token == token && at->op_offset == offset ? at->why : Refusal::none;
}

}  // namespace

const char* explain(Refusal refusal) {
    switch (refusal) {
        case Refusal::none: return "";
        case Refusal::queue_full: return "the queue of a durable subscriber is full";
        case Refusal::retained_full: return "limit retained_messages or retained_bytes reached";
        case Refusal::no_space: return "no space left for durable messages; free disk space on the broker";
        case Refusal::quarantine_full: return "limit quarantine_messages or quarantine_bytes reached";
        case Refusal::version_taken: return "the version was applied before with another content";
        case Refusal::other_user: return "another user has this client identifier";
        case Refusal::store_failed: break;
    }
    return "the store has failed";
}

Shard::Submission& Shard::submission() {
    if (!open_) {
        submissions_.emplace_back();
        submissions_.back().ops = std::make_shared<store::OpBatch>();
        submissions_.back().token = next_token_++;
        open_ = true;
    }
    return submissions_.back();
}

Shard::Pending& Shard::await(Client* client, Wait wait) {
    if (submissions_.empty()) submission();
    Submission& last = submissions_.back();
    last.pending.emplace_back();
    Pending& pending = last.pending.back();
    pending.client = client;
    pending.wait = wait;
    if (client) ++client->pending_log;
    return pending;
}

void Shard::submit_open() {
    if (!open_) return;
    if (!leaves_.empty()) make_leaves();
    open_ = false;
    Submission& last = submissions_.back();
    last.submitted_ms = now_.steady_ms;
    unsafe_bytes_ += last.ops->bytes().size();
    broker_.log_->submit(index_, last.ops, last.token);
}

void Shard::on_effects(Effects&& effects) {
    commit_time_ = std::max(commit_time_, effects.commit_time);
    for (const auto& [id, owner] : effects.spooled) {
        if (Session* session = durable_session(id, owner)) session->out->live = false;
    }
    for (ClaimResult& claim : effects.claims) {
        const auto at = clients_.find(claim.owner);
        if (at == clients_.end() || at->second->state != ClientState::claiming) {  // left while the log was at it
            // What was there before stays; a session that nobody was told of goes.
            const std::uint32_t expiry_s = claim.present ? claim.expiry_s : 0;
            submission().ops->add(store::DetachOp{claim.session, claim.owner, claim.sent_below, expiry_s, true});
            continue;
        }
        resume(*at->second, std::move(claim));
    }
    for (FetchResult& fetched : effects.fetches) on_fetched(std::move(fetched));
    for (Delivery& delivery : effects.deliveries) on_delivery(std::move(delivery));
    for (const auto& [id, owner] : effects.spooled) {  // nothing may be under way whose acknowledgement would do it
        if (Session* session = durable_session(id, owner)) pump_durable(*session->client, *session);
    }
    if (effects.committed_through != 0) on_committed(effects.committed_through, effects.refused);
    for (WillDue& due : effects.wills) publish_will_due(std::move(due));
    for (const auto& [id, client_id] : effects.ended) {
        const auto at = durable_.find(id);
        if (at != durable_.end()) {
            disconnect(*at->second->client, Reason::administrative_action, "the session was ended by an administrator");
        }
    }
    resume_publishers();
}

void Shard::on_committed(Token through, const RefusedOps& refused) {
    while (!submissions_.empty() && submissions_.front().token <= through) {
        if (submissions_.size() == 1 && open_) break;
        Submission done = std::move(submissions_.front());
        submissions_.pop_front();
        unsafe_bytes_ -= done.ops->bytes().size();
        settle(done, refused);
    }
}

void Shard::settle(Submission& submission, const RefusedOps& refused) {
    const std::int64_t waited_us = (now_.steady_ms - submission.submitted_ms) * 1'000;
    std::uint64_t answered = 0;
    for (const RefusedOp& one : refused) {
        if (one.token == submission.token) settle_refused(submission, one);
    }
    for (Pending& pending : submission.pending) {
        answered += pending.wait == Wait::publish;
        settle_one(submission, pending, refused);
        Client* client = pending.client;
        pending.client = nullptr;
        if (client && --client->pending_log == 0 && client->state == ClientState::closed) {
            if (!client->extra || client->extra->waits_for_release == 0) bury(*client);
        }
    }
    for (const auto& request : submission.requests) {
        request.done(refusal_of(refused, submission.token, request.op_offset));
    }
    for (const auto& callback : submission.callbacks) callback();
    if (submission.retained_qos0) {
        broker_.retained_under_way_.fetch_sub(submission.retained_qos0, std::memory_order_relaxed);
    }
    if (answered > 0) {
        std::size_t bucket = 0;
        while (bucket < Counters::ack_bounds_us.size() && waited_us > Counters::ack_bounds_us[bucket]) ++bucket;
        counters.ack_latency[bucket].add(answered);
        counters.ack_latency_sum_us.add(answered * static_cast<std::uint64_t>(waited_us));
    }
}

/// What has no answer of its own: endings are submitted again, they only free space.
void Shard::settle_refused(Submission& submission, const RefusedOp& refused) {
    const std::string_view bytes = submission.ops->bytes().substr(refused.op_offset);
    const auto header = store::peek_op(bytes);
    switch (header->kind) {
        case store::OpKind::acknowledge: {
            // Not on disk: the messages will be sent again. A fresh start keeps both sides of one mind.
            const auto at = clients_.find(store::read_acknowledge(bytes)->owner);
            if (at != clients_.end()) disconnect(*at->second, Reason::quota_exceeded, explain(refused.why));
            return;
        }
        case store::OpKind::drop:
            if (store::read_drop(bytes)->session == 0) return;  // a CONNECT, which is refused
            [[fallthrough]];
        case store::OpKind::detach:
        case store::OpKind::will_sent: retries_.emplace_back(bytes.substr(0, header->size)); return;
        default: return;  // answered in its turn
    }
}

void Shard::retry_refused() {
    if (retries_.empty()) return;
    for (const std::string& op : retries_) submission().ops->add_encoded(op);
    retries_.clear();
}

void Shard::settle_one(Submission& submission, Pending& pending, const RefusedOps& refused) {
    const bool asks = !refused.empty() && pending.wait != Wait::suback && pending.wait != Wait::unsuback &&
                      pending.wait != Wait::refusal;
    const Refusal refusal = asks ? refusal_of(refused, submission.token, pending.op_offset) : Refusal::none;
    Client* client = pending.client && pending.client->state == ClientState::connected ? pending.client : nullptr;
    switch (pending.wait) {
        case Wait::publish: {
            if (refusal != Refusal::none) {
                counters.publishes_refused.add();
                if (client)
                    send_answer(*client, pending.qos, pending.packet_id, Reason::quota_exceeded, explain(refusal));
                return;
            }
            const auto op = store::read_publish(submission.ops->bytes().substr(pending.op_offset));
            MessageView message;
            message.qos = op->qos;
            message.retain = op->retain;
            message.expires_at_ms = op->expires_at_ms;
            message.committed = commit_time_;
            message.publisher = pending.client ? pending.client->identity : 0;
            message.topic = op->topic;
            message.properties = op->properties;
            message.payload = op->payload;
            if (message.qos > 0) distribute(message, router_.find(message.topic));
            if (!client) return;
            if (pending.qos == 1 && client->publishes_unanswered > 0) --client->publishes_unanswered;
            if (pending.regulated && client->v5() && client->problem_information) {  // [MQTT-3.1.2-29]
                return answer_with_receipt(*client, pending, submission.leaves_at);
            }
            mqtt::encode_ack(client->out, pending.qos == 1 ? PacketType::puback : PacketType::pubrec,
                             pending.packet_id);
            return want_flush(*client);
        }
        case Wait::held_publish: {
            const MessageView message = pending.message->view();
            distribute(message, router_.find(message.topic));
            if (client) send_answer(*client, pending.qos, pending.packet_id, Reason::success, {});
            return;
        }
        case Wait::refusal:
            if (client) {
                const auto finding = pending.op_offset == no_op ? nullptr : submission.findings[pending.op_offset];
                send_answer(*client, pending.qos, pending.packet_id, pending.reason, {}, finding.get());
            }
            return;
        case Wait::quarantine: return settle_quarantined(submission, pending, refusal);
        case Wait::suback:
        case Wait::unsuback:
            if (!client) return;
            return settle_answer(*client, submission.answers[pending.op_offset], pending.wait == Wait::unsuback,
                                 submission.token, refused);
        case Wait::pubrel: {
            if (!client || !client->session->out) return;
            if (refusal != Refusal::none) return disconnect(*client, Reason::quota_exceeded, explain(refusal));
            OutWindow& window = client->session->out->window;
            const auto n = window.find(pending.packet_id);
            if (!n || window.state(*n) != OutState::pubrec_committing) return;
            window.set_state(*n, OutState::wait_pubcomp);
            mqtt::encode_ack(client->out, PacketType::pubrel, pending.packet_id);
            return want_flush(*client);
        }
        case Wait::pubcomp:
            if (!client) return;
            // Without an answer the client repeats its PUBREL on its next connection.
            if (refusal != Refusal::none) return disconnect(*client, Reason::quota_exceeded, explain(refusal));
            mqtt::encode_ack(client->out, PacketType::pubcomp, pending.packet_id);
            return want_flush(*client);
        case Wait::claim:
            if (!pending.client || pending.client->state != ClientState::claiming) return;
            if (refusal == Refusal::other_user) return refuse_identity(*pending.client);
            if (refusal != Refusal::none)
                return refuse_connect(*pending.client, Reason::quota_exceeded, explain(refusal));
            // A claim has been answered by its own effect; a drop of what an earlier session left lets its client in.
            if (pending.client->session->durable == 0) accept(*pending.client, false);
            return;
    }
}

void Shard::settle_answer(Client& client, Answer& answer, bool unsubscribe, Token token, const RefusedOps& refused) {
    for (const Answer::Op& op : answer.ops) {
        const Refusal refusal = refused.empty() ? Refusal::none : refusal_of(refused, token, op.offset);
        if (refusal == Refusal::none) continue;
        if (unsubscribe) return disconnect(client, Reason::quota_exceeded, explain(refusal));  // the log has it still
        counters.refused_by_reason[static_cast<std::size_t>(Reason::quota_exceeded)].add();
        answer.reasons[op.reason] = Reason::quota_exceeded;
        answer.reason_string = explain(refusal);
        if (ClientSubscription* s = op.fresh_filter.empty() ? nullptr : client.session->find(op.fresh_filter)) {
            remove_subscription(client, *s);
        }
    }
    answer_subscribe(client, answer, unsubscribe);
    begin_retained(client, std::move(answer.retained));
}

Session* Shard::durable_session(SessionId id, std::uint64_t owner) {
    const auto at = durable_.find(id);
    return at == durable_.end() || at->second->number != owner ? nullptr : at->second;
}

void Shard::on_delivery(Delivery&& delivery) {
    Session* session = durable_session(delivery.session, delivery.owner);
    if (!session) return;  // the session's next connection fetches it
    DurableOut& out = *session->out;
    store::OwedReader reader(*delivery.chunk, delivery.section_offset);
    const std::uint64_t first = reader.first_n(), end = first + reader.count();
    if (end <= out.expected_n) return;
    out.chunks.push_back({std::move(delivery.chunk), reader, first});
    out.expected_n = end;
    if (out.chunks.size() == 1) pump_durable(*session->client, *session);
}

void Shard::on_fetched(FetchResult&& fetched) {
    Session* session = durable_session(fetched.session, fetched.owner);
    if (!session) return;
    DurableOut& out = *session->out;
    out.fetching = false;
    if (fetched.live) out.live = true;
    for (Delivery& chunk : fetched.chunks) on_delivery(std::move(chunk));
    if (session->client->state == ClientState::connected) pump_durable(*session->client, *session);
}

void Shard::pump_durable(Client& client, Session& session) {
    DurableOut& out = *session.out;
    while (!out.chunks.empty()) {
        if (!send_durable(client, session, out.chunks.front())) return;
        out.chunks.pop_front();
    }
    if (!out.live && !out.fetching) {
        out.fetching = true;
        broker_.log_->fetch(index_, session.durable, client.number, std::max(out.expected_n, out.window.next()),
                            fetch_bytes);
    }
}

/// False when the window or the write buffer is full before the chunk's end.
bool Shard::send_durable(Client& client, Session& session, DurableOut::Chunk& chunk) {
    DurableOut& out = *session.out;
    const std::uint64_t end = chunk.reader.first_n() + chunk.reader.count();
    while (chunk.next_n < end) {
        if (!has_room(client) || quota(client, session, out.window) == 0) return false;
        if (chunk.next_n >= out.window.base() + OutWindow::modulus) return false;  // an old one is not acknowledged
        const auto entry = chunk.reader.next();
        if (!entry) {
            log(Level::error, "queue_chunk_damaged", {{"client_id", session.client_id}});
            return true;
        }
        const std::uint64_t n = chunk.next_n++;
        if (n < out.window.next()) continue;
        skip_to(client, out, n);
        if (holds(out.resumed_done, n)) {
            out.window.push(OutState::done);
            continue;
        }
        if (holds(out.resumed_received, n)) {
            mqtt::encode_ack(client.out, PacketType::pubrel,
                             out.window.push(OutState::wait_pubcomp));  // [MQTT-4.4.0-1]
            counters.inflight_out.add();
            want_flush(client);
            continue;
        }
        const auto op = chunk.reader.message(*entry);
        if (!op) {
            log(Level::error, "queue_chunk_damaged", {{"client_id", session.client_id}});
            return true;
        }
        if (authority_.on() && !may_still_receive(client, op->topic, n >= out.queued_below)) {
            out.window.push(OutState::done);  // as if it had been delivered: the queue moves on
            collect(session, out.complete, n);
            drop(Drop::not_authorized);
            continue;
        }
        MessageView message;
        message.qos = entry->qos;
        message.retain = entry->retain;
        message.expires_at_ms = op->expires_at_ms;
        if (n < out.sent_below && op->expires_at_ms <= now_.wall_ms) message.expires_at_ms = 0;  // [MQTT-4.3.3-7]
        message.topic = op->topic;
        message.properties = op->properties;
        message.payload = op->payload;
        std::vector<std::uint32_t> identifiers(entry->subscription_identifier_count);
        if (!identifiers.empty()) {
            std::memcpy(identifiers.data(), entry->subscription_identifiers.data(),
                        identifiers.size() * sizeof(std::uint32_t));
        }
        const DeliveryOptions options{entry->qos, entry->retain, n < out.sent_below, identifiers.data(),
                                      entry->subscription_identifier_count};
        if (!emit(client, message, options, &out.window,
                  entry->qos == 1 ? OutState::wait_puback : OutState::wait_pubrec)) {
            out.window.push(OutState::done);  // expired or too large: as if it had been delivered [MQTT-3.1.2-25]
            collect(session, out.complete, n);
        }
    }
    return true;
}

/// Numbers below `n` that the queue no longer has were acknowledged to the end, or owe a PUBREL alone.
void Shard::skip_to(Client& client, DurableOut& out, std::uint64_t n) {
    while (out.window.next() < n) {
        const std::uint64_t missing = out.window.next();
        if (holds(out.resumed_received, missing)) {
            mqtt::encode_ack(client.out, PacketType::pubrel, out.window.push(OutState::wait_pubcomp));
            counters.inflight_out.add();
            want_flush(client);
            continue;
        }
        if (!holds(out.resumed_done, missing)) {  // must not happen: say so rather than let a message vanish
            log(Level::error, "queue_number_missing", {{"client_id", client.session->client_id},
                                                       {"number", std::to_string(missing)}});
        }
        out.window.push(OutState::done);
    }
}

void Shard::collect(Session& session, std::vector<store::Range>& ranges, std::uint64_t n) {
    if (!ranges.empty() && ranges.back().to == n) {
        ++ranges.back().to;
    } else {
        ranges.push_back({n, n + 1});
    }
    if (!session.out->acks_collected) {
        session.out->acks_collected = true;
        with_acks_.push_back(&session);
    }
}

void Shard::submit_acks(Session& session) {
    DurableOut& out = *session.out;
    if (!out.acks_collected) return;
    out.acks_collected = false;
    store::AcknowledgeOp op;
    op.session = session.durable;
    op.owner = session.number;
    op.complete.swap(out.complete);
    op.received.swap(out.received);
    const std::uint32_t offset = submission().ops->add(op);
    for (const store::Range& range : op.received) {
        for (std::uint64_t n = range.from; n < range.to; ++n) {
            Pending& pending = await(session.client, Wait::pubrel);
            pending.packet_id = out.window.id_of(n);
            pending.op_offset = offset;
        }
    }
}

void Shard::publish_will_due(WillDue&& due) {
    // Without a principal the will was stored while nobody asked who may do what: it is nobody's in particular.
    auth::Principal principal = decode_principal(due.will.principal).value_or(auth::Principal());
    if (principal.client_id.empty()) principal.client_id = due.client_id;
    publish_will({due.client_id, principal.user, principal.address, &principal}, 0, due.will, due.session);
}

}  // namespace trunkline::broker
