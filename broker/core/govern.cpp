// What the model says of a PUBLISH, and what follows: refusal, quarantine, or a note that it broke the model.
#include <algorithm>

#include "broker/core/audit_sink.h"
#include "broker/core/log.h"
#include "broker/core/name_book.h"
#include "broker/core/quota_book.h"
#include "broker/core/shard.h"
#include "broker/mqtt/encode.h"
#include "namespace/topic.h"

namespace trunkline::broker {

using mqtt::Reason;

namespace {

constexpr std::size_t payload_shown = 256;
constexpr std::uint32_t violation_events_per_s = 50;
constexpr std::string_view violations_topic = "$UNS/violations";
constexpr std::string_view quarantine_topic = "$UNS/quarantine/";

/// Index into VerdictCounts: the thousands of a rule are its stage.
std::size_t stage_of(const uns::Verdict& verdict) {
    constexpr std::size_t none = 5;
    if (!verdict.finding || verdict.finding->rule.size() < 4) return none;
    const char thousands = verdict.finding->rule[3];
    return thousands >= '1' && thousands <= '5' ? static_cast<std::size_t>(thousands - '1') : none;
}

}  // namespace

void Shard::use_model(std::shared_ptr<const uns::Model> model) {
    model_ = std::move(model);
    governed_ = model_ != uns::Model::empty();
    if (++model_generation_ == 0) ++model_generation_;
}

void Shard::look_up(Route& route) {
    route.model_generation = model_generation_;
    route.payload = nullptr;
    route.standing = Standing::open;
    route.regulated = false;
    uns::Resolution found = model_->resolve(route.topic());
    if (found.status == uns::Resolution::Status::exempt) return route.resolution.reset();
    route.regulated = found.regulated && broker_.audit();
    const bool plain = found.status == uns::Resolution::Status::member && !found.writers && !found.moved &&
                       !found.quota && (found.kind == uns::MemberKind::metric || found.kind == uns::MemberKind::open);
    const bool named_before = !found.has_free_level || !model_->unique_ignoring_case();
    if (plain && named_before) {
        route.payload = found.payload;
        route.standing = found.payload ? Standing::payload : Standing::open;
    } else {
        route.standing = Standing::judged;
    }
    route.resolution = std::make_unique<uns::Resolution>(std::move(found));
}

uns::Verdict Shard::judge_by_model(Route& route, const Sender& sender, const MessageView& message, bool written) {
    if (route.model_generation != model_generation_) look_up(route);
    if (!route.resolution) return {};
    uns::Resolution resolution = *route.resolution;
    if (written) resolution.writers = nullptr;
    QuotaNow quota(governance_.quotas(), now_.wall_ms);
    uns::PublishFacts facts;
    facts.topic = route.topic();
    facts.payload = message.payload;
    facts.retain = message.retain;
    facts.client_id = sender.client_id;
    facts.user = sender.user;
    facts.now_ms = now_.wall_ms;
    facts.quota = &quota;
    std::string spelt;
    std::vector<std::string> roles;
    if (resolution.writers && authority_.on() && sender.principal) roles = authority_.role_names(*sender.principal);
    facts.roles = roles;
    const bool chosen = resolution.has_free_level && model_->unique_ignoring_case();
    if (chosen) facts.same_but_case = spelt = governance_.names().same_but_case(route.topic());
    uns::Verdict verdict = model_->judge(resolution, facts);
    if (chosen && verdict.outcome == uns::Outcome::accept && !governance_.names().claim(route.topic())) {
        facts.same_but_case = spelt = governance_.names().same_but_case(route.topic());  // another shard was first
        facts.quota = nullptr;
        verdict = model_->judge(resolution, facts);
    }
    if (chosen && verdict.outcome == uns::Outcome::accept && !route.resolution->writers && !resolution.moved &&
        !resolution.quota && (resolution.kind == uns::MemberKind::metric || resolution.kind == uns::MemberKind::open)) {
        route.payload = resolution.payload;  // the name is known from here on
        route.standing = resolution.payload ? Standing::payload : Standing::open;
    }
    return verdict;
}

bool Shard::govern(Client& client, const mqtt::Publish& packet, Route*& route, MessageView& message) {
    const Sender sender = sender_of(client);
    const uns::Verdict verdict = judge_by_model(*route, sender, message);
    note_verdict(verdict, sender, message);
    switch (verdict.outcome) {
        case uns::Outcome::accept:
        case uns::Outcome::observe: break;
        case uns::Outcome::reject: refuse_publish(client, packet, verdict); return false;
        case uns::Outcome::quarantine:
            quarantine(&client, packet.packet_id, sender, message, *verdict.finding);
            return false;
    }
    if (route->resolution && route->resolution->moved) {
        move_on(route, message);
        // An old path is no way round the rules about the place that it leads to.
        if (authority_.on() && !authority_.may_publish(client, *route, packet.qos, packet.retain)) {
            refuse_unauthorised(client, packet, route->topic());
            return false;
        }
    }
    if (route->resolution && route->resolution->kind == uns::MemberKind::command) audit_command(client, message);
    return true;
}

/// Follows an old path to where it has moved.
void Shard::move_on(Route*& route, MessageView& message) {
    if (!route->resolution || !route->resolution->moved) return;
    const std::shared_ptr<const uns::Moved> moved = route->resolution->moved;  // the route may go with the cache
    route = &router_.find(moved->topic);
    if (route->model_generation != model_generation_) look_up(*route);
    message.topic = route->topic();
}

void Shard::refuse_publish(Client& client, const mqtt::Publish& packet, const uns::Verdict& verdict) {
    counters.publishes_refused.add();
    const auto reason = static_cast<Reason>(verdict.reason);
    const bool can_say = client.v5() && packet.qos > 0;
    if (can_say) return answer_publish(client, packet.qos, packet.packet_id, reason, {}, verdict.finding);
    counters.refused_by_reason[static_cast<std::size_t>(reason)].add();
    if (model_->v3_reject() == uns::V3Reject::disconnect) {
        return disconnect(client, reason, verdict.finding->rule + " " + verdict.finding->text);
    }
    if (packet.qos > 0) answer_publish(client, packet.qos, packet.packet_id, Reason::success);
}

void Shard::quarantine(Client* client, std::uint16_t packet_id, const Sender& sender, const MessageView& message,
                       const uns::Finding& finding) {
    store::QuarantineOp op;
    op.qos = message.qos;
    op.retain = message.retain;
    if (client && client->session->durable != 0 && message.qos == 2) {
        op.publisher = client->session->durable;
        op.inbound_id = packet_id;
    }
    op.at_ms = now_.wall_ms;
    op.expires_at_ms = message.expires_at_ms;
    op.topic = message.topic;
    op.properties = message.properties;
    op.payload = message.payload;
    op.client_id = sender.client_id;
    op.user = sender.user;
    op.rule = finding.rule;
    op.text = finding.text;
    op.at = finding.at;
    op.expected = finding.expected;
    op.fix = finding.fix;
    const std::uint32_t offset = submission().ops->add(op);
    if (client && message.qos > 0 && router_.find(message.topic).regulated) {
        leave_leaf(teller_of(*client), message, true);
    }
    Pending& pending = await(message.qos > 0 ? client : nullptr, Wait::quarantine);
    pending.qos = message.qos;
    pending.packet_id = packet_id;
    pending.op_offset = offset;
    if (client && unsafe_bytes_ > backlog_share()) pause_publishers(*client);
}

void Shard::settle_quarantined(const Submission& submission, const Pending& pending, Refusal refusal) {
    Client* client = pending.client && pending.client->state == ClientState::connected ? pending.client : nullptr;
    if (refusal != Refusal::none) {
        counters.publishes_refused.add();
        if (client) send_answer(*client, pending.qos, pending.packet_id, Reason::quota_exceeded, explain(refusal));
        return;
    }
    const auto op = store::read_quarantine(submission.ops->bytes().substr(pending.op_offset));
    const std::string topic = std::string(quarantine_topic).append(op->topic);
    MessageView copy;
    copy.qos = op->qos;
    copy.topic = topic;
    copy.properties = op->properties;
    copy.payload = op->payload;
    copy.expires_at_ms = op->expires_at_ms;
    distribute(copy, router_.find(topic));
    if (!client) return;
    if (pending.qos == 1 && client->publishes_unanswered > 0) --client->publishes_unanswered;
    mqtt::Ack ack;
    ack.type = pending.qos == 1 ? mqtt::PacketType::puback : mqtt::PacketType::pubrec;
    ack.packet_id = pending.packet_id;
    if (client->v5() && client->problem_information) {  // [MQTT-3.1.2-29]
        ack.user_properties.emplace_back("uns-verdict", "quarantined");
        ack.user_properties.emplace_back("uns-rule", op->rule);
        if (!op->fix.empty()) ack.user_properties.emplace_back("uns-fix", op->fix);
    }
    mqtt::encode(client->out, client->version, ack, client->max_packet_bytes);
    want_flush(*client);
}

void Shard::note_verdict(const uns::Verdict& verdict, const Sender& sender, const MessageView& message) {
    counters.verdicts[static_cast<std::size_t>(verdict.outcome)][stage_of(verdict)].add();
    if (!verdict.finding) return;
    const uns::Finding& finding = *verdict.finding;
    feed.note_violation(sender.client_id, sender.user, message, verdict.outcome == uns::Outcome::observe, now_.wall_ms);
    std::string event;
    const auto fill = [&](ViolationRecord& record) {
        record.user = sender.user;
        record.address = sender.address;
        record.outcome = verdict.outcome;
        record.reason = static_cast<std::uint8_t>(verdict.reason);
        record.qos = message.qos;
        record.text = finding.text;
        record.at = finding.at;
        record.expected = finding.expected;
        record.fix = finding.fix;
        record.place = model_->place_text(finding.place);
        record.model_version = model_->version();
        std::size_t shown = std::min(message.payload.size(), payload_shown);
        while (shown > 0 && shown < message.payload.size() &&
               (static_cast<unsigned char>(message.payload[shown]) & 0xC0) == 0x80) {
            --shown;
        }
        const std::string_view beginning = message.payload.substr(0, shown);
        if (mqtt::is_valid_utf8_payload(beginning)) record.payload = beginning;
        event = to_json(record);
    };
    const bool fresh =
        governance_.violation_log(index_).note(finding.rule, message.topic, sender.client_id, now_.wall_ms, fill);
    if (!fresh) return;
    log(Level::info, "violation", {{"rule", finding.rule}, {"topic", message.topic}, {"client_id", sender.client_id},
                                   {"outcome", uns::to_string(verdict.outcome)}, {"detail", finding.text}});
    if (now_.wall_ms / 1'000 != violations_second_) {
        violations_second_ = now_.wall_ms / 1'000;
        violations_sent_ = 0;
    }
    if (++violations_sent_ <= violation_events_per_s) violations_.push_back(std::move(event));
}

void Shard::publish_violations() {
    if (violations_.empty()) return;
    const std::vector<std::string> events = std::exchange(violations_, {});
    for (const std::string& event : events) {
        MessageView message;
        message.topic = violations_topic;
        message.payload = event;
        distribute(message, router_.find(violations_topic));
    }
}

bool Shard::will_may_be_sent(Client& client) {
    const Session& session = *client.session;
    if (!session.will) return true;
    if (authority_.on()) {
        const std::string why = will_not_authorised(sender_of(client), session.will->topic);
        if (!why.empty()) return refuse_connect(client, Reason::not_authorized, "will: " + why), false;
        session.will->principal = encode_principal(authority_.principal_of(client));  // for when it is sent
    }
    if (!governed_) return true;
    Route& route = router_.find(session.will->topic);
    MessageView message;
    message.qos = session.will->qos;
    message.retain = session.will->retain;
    message.topic = route.topic();
    message.payload = session.will->payload;
    const Sender sender = sender_of(client);
    const uns::Verdict verdict = judge_by_model(route, sender, message);
    if (verdict.outcome != uns::Outcome::reject) return true;
    note_verdict(verdict, sender, message);
    refuse_connect(client, static_cast<Reason>(verdict.reason),
                   "will: " + verdict.finding->rule + " " + verdict.finding->text);
    return false;
}

void Shard::publish_for(const Publication& publication, const std::function<void(const Refused&)>& done) {
    if (const Verdict verdict = judge_topic(publication.topic); verdict.reason != Reason::success) {
        return done({Refused::Kind::judged, verdict.what, "publish to a topic of the namespace"});
    }
    auth::Principal principal;
    if (publication.principal) {
        principal = *publication.principal;
    } else {
        principal.user = publication.user;
        principal.client_id = publication.client_id;
        principal.method = "admin";
    }
    const auto may_publish = [&](std::string_view topic) {
        if (!authority_.on() || publication.unasked) return true;
        if (authority_.may_now(principal, auth::Action::publish, topic)) return true;
        const auto finding = authority_.why(principal, auth::Action::publish, topic);
        authority_.tell_denied(principal, auth::Action::publish, topic, *finding);
        done({Refused::Kind::forbidden, finding->rule + " " + finding->text, finding->fix});
        return false;
    };
    if (!may_publish(publication.topic)) return;
    Route* route = &router_.find(publication.topic);
    MessageView message;
    message.qos = publication.qos;
    message.retain = publication.retain;
    message.topic = route->topic();
    message.payload = publication.payload;
    if (governed_ && !keeps_contract(*route, message.retain, message.payload)) {
        Sender sender{publication.client_id, publication.user, {}};
        if (publication.principal) sender.principal = &principal;
        const uns::Verdict verdict = judge_by_model(*route, sender, message);
        note_verdict(verdict, sender, message);
        if (verdict.outcome == uns::Outcome::reject || verdict.outcome == uns::Outcome::quarantine) {
            return done({Refused::Kind::judged, verdict.finding->rule + " " + verdict.finding->text,
                         verdict.finding->fix});
        }
        const bool moved = route->resolution && route->resolution->moved;
        move_on(route, message);
        if (moved && !may_publish(message.topic)) return;   // an old path is no way round the rules
    }
    if (route->regulated && !broker_.audit()->takes_regulated()) {
        return done({Refused::Kind::unavailable, trail_cannot_be_written, "see the alarms of trunkctl status"});
    }
    feed.note(*route, publication.client_id, message, now_.wall_ms);
    if (message.retain || (message.qos > 0 && (route->durable || route->regulated))) {
        store::PublishOp op;
        op.qos = message.qos;
        op.retain = message.retain;
        op.no_queue = message.qos == 0;
        op.topic = message.topic;
        op.payload = message.payload;
        const std::uint32_t offset = submission().ops->add(op);
        if (route->regulated) {
            leave_leaf({publication.user, publication.client_id}, message, message.qos > 0);
        }
        if (message.qos > 0) await(nullptr, Wait::publish).op_offset = offset;
        submission().requests.push_back({offset, [done](Refusal why) {
            done(why == Refusal::none ? Refused{} : Refused{Refused::Kind::unavailable, explain(why), ""});
        }});
        if (message.qos == 0) distribute(message, *route);
        return;
    }
    distribute(message, *route);
    done({});
}

void Shard::submit_request(const std::function<void(store::OpBatch&)>& add, std::function<void(Refusal)> done) {
    store::OpBatch& ops = *submission().ops;
    const auto offset = static_cast<std::uint32_t>(ops.bytes().size());
    add(ops);
    submission().requests.push_back({offset, std::move(done)});
}

void Shard::release_from_quarantine(std::uint64_t id, const MessageView& message, std::function<void(Refusal)> done) {
    feed.note(router_.find(message.topic), std::string_view(), message, now_.wall_ms);
    store::PublishOp op;
    op.qos = std::max<std::uint8_t>(message.qos, 1);  // it was kept so far, and is until it is somewhere else
    op.retain = message.retain;
    op.expires_at_ms = message.expires_at_ms;
    op.topic = message.topic;
    op.properties = message.properties;
    op.payload = message.payload;
    const std::uint32_t offset = submission().ops->add(op);
    if (governed_ && message.retain) note_overwrite(router_.find(message.topic), message, {});
    submission().ops->add(store::DropQuarantinedOp{id, true});
    Pending& pending = await(nullptr, Wait::publish);
    pending.qos = op.qos;
    pending.op_offset = offset;
    submission().requests.push_back({offset, std::move(done)});
}

}  // namespace trunkline::broker
