#include "tests/sim/client.h"

#include <algorithm>
#include <limits>

#include "broker/mqtt/encode.h"
#include "namespace/topic.h"

namespace trunkline::sim {

using mqtt::PacketType;
using mqtt::Reason;

namespace {

constexpr std::uint16_t packet_ids = 12;   // few, so that they are used again soon
constexpr std::uint32_t never_s = 0xFFFFFFFF;

bool is_refusal(Reason reason) { return static_cast<std::uint8_t>(reason) >= 0x80; }

}  // namespace

SimClient::SimClient(Surroundings& around, Traits traits, std::vector<Subscribed> filters)
    : around_(around), random_(around.random), traits_(std::move(traits)),
      index_(around.oracle.add_client(traits_.id, traits_.durable, std::move(filters))) {}

void SimClient::tell(std::string_view what, std::initializer_list<std::uint64_t> numbers, std::string_view text) {
    around_.story.tell(around_.now_ms, traits_.id, what, numbers, text);
}

template <class Packet>
void SimClient::write(const Packet& packet) {
    mqtt::Buffer out;
    mqtt::encode(out, traits_.version, packet);
    link_->up.append(out.view());
}

// --- what it does

void SimClient::turn() {
    if (!link_) {
        if (random_.chance(30)) connect();
        return;
    }
    if (random_.below(1'000) < around_.faults.cut_permille) {
        const std::size_t arrives = random_.chance(50) ? link_->up.size() : random_.below(link_->up.size() + 1);
        tell("cut", {arrives});
        return leave(arrives);
    }
    if (random_.below(1'000) < around_.faults.takeover_permille) {
        tell("connects again", {});
        leave(random_.chance(70) ? link_->up.size() : random_.below(link_->up.size() + 1));
        return connect();
    }
    read(random_.chance(60) ? link_->down.size() : random_.below(link_->down.size() + 1));
    if (!link_) return;
    if (!random_.chance(around_.faults.lazy_percent)) answer(random_.chance(60) ? answers_.size() : 1);
    if (connected_) act();
}

void SimClient::calm_turn() {
    if (!link_) {
        if (traits_.durable) connect();
        return;
    }
    read(link_->down.size());
    if (link_) answer(answers_.size());
}

bool SimClient::quiet() const {
    if (!link_) return !traits_.durable;
    return connected_ && out_.empty() && answers_.empty() && link_->down.empty() && link_->up.empty() &&
           subscribing_.empty() && unsubscribing_.empty();
}

void SimClient::act() {
    const std::uint64_t what = random_.below(100);
    if (what < 50) {
        if (traits_.publishes && out_.size() < window_) publish();
    } else if (what < 62 && !filters().empty()) {
        const std::size_t one = random_.below(filters().size());
        std::vector<std::size_t> which{one};
        if (random_.chance(20) && one + 1 < filters().size()) which.push_back(one + 1);
        if (!filters()[one].confirmed || random_.chance(10)) subscribe(which);
    } else if (what < 66 && !filters().empty()) {
        unsubscribe(random_.below(filters().size()));
    } else if (what < 68) {
        disconnect();
    }
}

void SimClient::connect() {
    mqtt::Connect packet;
    packet.version = traits_.version;
    packet.client_id = traits_.id;
    // before v5 a clean session ends with its connection: a durable client never asks for one
    connecting_clean_ = !traits_.durable ||
                        (v5() && (clean_next_ || (!traits_.anchored && random_.below(40) == 0)));
    packet.clean_start = connecting_clean_;
    around_.oracle.returning(index_, connecting_clean_);
    if (connecting_clean_) forget_session();
    // Unanswered, this CONNECT may make a new session in place of one that has ended, which the next CONNACK would
    // call present: the client could not tell it from the old one. A careful client starts clean then.
    clean_next_ = connecting_clean_ || !must_be_present_;
    if (v5()) {
        packet.session_expiry_s = traits_.durable ? traits_.expiry_s : 0;
        packet.has_session_expiry = traits_.durable;
        packet.receive_maximum = traits_.receive_maximum;
        packet.has_receive_maximum = traits_.receive_maximum != 65535 && around_.broken != Broken::ignore_window;
        if (!packet.has_receive_maximum) packet.receive_maximum = 65535;
        packet.topic_alias_maximum = traits_.alias_maximum;
        packet.has_topic_alias_maximum = traits_.alias_maximum != 0;
    }
    link_ = &around_.open();
    messages_at_connect_ = around_.oracle.messages();
    std::string will_payload;
    std::string will_topic = "w/" + traits_.id;
    if (traits_.wills && random_.chance(60)) {
        mqtt::Will will;
        will.qos = static_cast<std::uint8_t>(random_.below(3));
        will.delay_s = v5() ? static_cast<std::uint32_t>(random_.below(4)) : 0;
        std::optional<std::uint32_t> expiry;
        if (traits_.durable) expiry = v5() ? traits_.expiry_s : never_s;
        const Sent& sent = around_.oracle.arm_will(index_, will_topic, will.qos, false, will.delay_s, expiry);
        link_->will = sent.uid;
        will_payload = std::to_string(sent.uid);
        will.topic = will_topic;
        will.payload = will_payload;
        packet.will = will;
    }
    tell("CONNECT", {packet.clean_start, link_->shard, link_->will});
    mqtt::Buffer out;
    mqtt::encode(out, packet);
    link_->up.append(out.view());
}

void SimClient::publish() {
    const std::uint64_t topic = random_.below(6);
    const bool retain = topic >= 4;
    std::string name = retain ? "r/" + traits_.id + "/" + std::to_string(topic - 4)
                              : topic == 3 ? std::string("t/a/b") : "t/" + std::to_string(topic);
    const auto qos = static_cast<std::uint8_t>(retain ? 1 + (index_ + topic) % 2 : (index_ + topic) % 3);
    const bool removes = retain && random_.chance(15);
    Sent& sent = around_.oracle.make(index_, std::move(name), qos, retain, removes);
    sent.may_expire = v5() && !retain && random_.chance(4);
    Out out{sent.uid, 0, false};
    if (qos > 0) {
        const auto taken = [this](std::uint16_t id) {
            return std::any_of(out_.begin(), out_.end(), [id](const Out& one) { return one.packet_id == id; });
        };
        do {
            next_packet_id_ = static_cast<std::uint16_t>(next_packet_id_ % packet_ids + 1);
        } while (taken(next_packet_id_));
        out.packet_id = next_packet_id_;
        out_.push_back(out);
    }
    send_publish(out, false);
}

void SimClient::send_publish(const Out& out, bool dup) {
    around_.oracle.sending(out.uid);
    const Sent& sent = around_.oracle.sent(out.uid);
    std::string payload;
    if (!sent.removes) payload = std::to_string(sent.uid) + ' ' + std::string(sent.uid * 7 % 120, 'x');
    mqtt::PublishOut packet;
    packet.topic = sent.topic;
    packet.payload = payload;
    packet.qos = sent.qos;
    packet.retain = sent.retain;
    packet.packet_id = out.packet_id;
    packet.dup = dup;
    if (sent.may_expire) packet.message_expiry_s = 1;
    if (broker_aliases_ > 0 && random_.chance(40)) {
        packet.topic_alias = 1;
        if (alias_out_ == sent.topic && random_.chance(70)) packet.topic = {};
        alias_out_ = sent.topic;
    }
    tell("PUBLISH >", {sent.uid, out.packet_id, sent.qos, sent.retain, dup}, sent.topic);
    write(packet);
}

void SimClient::subscribe(const std::vector<std::size_t>& which) {
    for (const auto& [id, pending] : subscribing_) {
        for (const std::size_t one : pending) {
            if (std::find(which.begin(), which.end(), one) != which.end()) return;
        }
    }
    for (const auto& [id, one] : unsubscribing_) {
        if (std::find(which.begin(), which.end(), one) != which.end()) return;
    }
    const bool alone = which.size() == 1;   // an identifier stands for all filters of the packet
    mqtt::Subscribe packet;
    packet.packet_id = ++next_request_id_;
    for (const std::size_t one : which) {
        Subscribed& filter = filters()[one];
        around_.oracle.subscribing(index_, filter);
        packet.requests.push_back({filter.as_sent, filter.options});
        filter.identifier = alone && v5() ? static_cast<std::uint32_t>(one + 1) : 0;
        tell("SUBSCRIBE", {packet.packet_id, filter.options.qos}, filter.as_sent);
    }
    if (alone && v5()) packet.subscription_identifier = static_cast<std::uint32_t>(which.front() + 1);
    subscribing_.emplace(packet.packet_id, which);
    write(packet);
}

void SimClient::subscribe_all() {
    for (std::size_t i = 0; i < filters().size(); ++i) {
        if (!filters()[i].confirmed) subscribe({i});
    }
}

void SimClient::unsubscribe(std::size_t which) {
    Subscribed& filter = filters()[which];
    if (filter.anchored || !filter.possible) return;
    for (const auto& [id, pending] : subscribing_) {
        if (std::find(pending.begin(), pending.end(), which) != pending.end()) return;
    }
    mqtt::Unsubscribe packet;
    packet.packet_id = ++next_request_id_;
    packet.filters.push_back(filter.as_sent);
    around_.oracle.unsubscribing(index_, filter);
    unsubscribing_.emplace(packet.packet_id, which);
    tell("UNSUBSCRIBE", {packet.packet_id}, filter.as_sent);
    write(packet);
}

void SimClient::disconnect() {
    mqtt::Disconnect packet;
    if (v5() && random_.chance(30)) packet.reason = Reason::disconnect_with_will;
    if (v5() && traits_.durable && !traits_.anchored && packet.reason == Reason::success && random_.chance(20)) {
        packet.session_expiry_s = 0;   // whether the broker gets to read it is not known
        must_be_present_ = false;
        around_.oracle.session_may_end(index_);
    }
    tell("DISCONNECT >", {static_cast<std::uint64_t>(packet.reason), packet.session_expiry_s.has_value()});
    write(packet);
    link_->cancels_will = packet.reason == Reason::success;
    leave(link_->up.size());
}

void SimClient::leave(std::size_t arrives) {
    // A CONNECT that is read after the one of the next connection would take that over, rightly, and with a clean start
    // end its session: what is not read by then is lost.
    link_->cut(connected_ ? arrives : 0);
    link_ = nullptr;
    connected_ = false;
    inbox_.clear();
    in_use_.clear();
    answers_.clear();
    subscribing_.clear();
    unsubscribing_.clear();
    aliases_in_.clear();
    alias_out_.clear();
    broker_aliases_ = 0;
    if (!traits_.durable) forget_session();
}

void SimClient::forget_session() {
    around_.oracle.session_ended(index_);
    out_.clear();
    pending_in_.clear();
    must_be_present_ = false;
}

// --- what it gets

void SimClient::read(std::size_t bytes) {
    inbox_.append(link_->down, 0, bytes);
    link_->down.erase(0, bytes);
    std::size_t used = 0;
    while (link_) {
        const auto frame = mqtt::next_frame(std::string_view(inbox_).substr(used),
                                            std::numeric_limits<std::uint32_t>::max(), traits_.version);
        if (!frame) violated(std::string("malformed: ") + frame.error().what);
        if (frame->size == 0) break;
        used += frame->size;
        handle(*frame);
    }
    if (!link_) return;
    inbox_.erase(0, used);
    if (link_->client || !link_->down.empty()) return;
    tell("connection closed", {});
    leave(0);
}

void SimClient::handle(const mqtt::Frame& frame) {
    const auto packet = tests::decode_any(frame, traits_.version);
    if (!packet) violated(std::string("malformed: ") + packet.error().what);
    if (!connected_ && frame.type != PacketType::connack) violated("a packet before the CONNACK");
    std::visit([this](const auto& one) { on(one); }, *packet);
}

void SimClient::on(const mqtt::Connack& packet) {
    if (connected_) violated("a second CONNACK");
    tell("< CONNACK", {packet.session_present, static_cast<std::uint64_t>(packet.reason), packet.v3_code},
         packet.reason_string.value_or(std::string_view()));
    if (packet.reason != Reason::success || packet.v3_code != 0) return leave(0);
    if (packet.session_present && connecting_clean_) violated("a session is present after a clean start");
    if (!packet.session_present && must_be_present_) violated("its session is gone");
    if (!packet.session_present && !connecting_clean_) forget_session();
    if (packet.session_present) around_.oracle.resumed(index_, messages_at_connect_);
    around_.oracle.will_accepted(link_->will);
    connected_ = true;
    clean_next_ = false;
    must_be_present_ = traits_.durable && (!v5() || traits_.expiry_s > 3'600);
    window_ = std::min<std::size_t>(4, packet.receive_maximum.value_or(4));
    broker_aliases_ = packet.topic_alias_maximum.value_or(0);
    for (const Out& out : out_) {   // [MQTT-4.4.0-1]
        if (!out.received) {
            send_publish(out, true);
            continue;
        }
        tell("PUBREL > again", {out.packet_id});
        write(mqtt::Ack{PacketType::pubrel, out.packet_id, Reason::success, {}, {}});
    }
    subscribe_all();
}

void SimClient::on(const mqtt::Publish& packet) {
    mqtt::Publish whole = packet;
    if (packet.topic_alias != 0) {
        if (packet.topic_alias > traits_.alias_maximum) violated("a topic alias above its maximum");
        if (!packet.topic.empty()) aliases_in_[packet.topic_alias] = packet.topic;
        if (!aliases_in_.contains(packet.topic_alias)) violated("a topic alias that stands for nothing");
        whole.topic = aliases_in_[packet.topic_alias];
    }
    tell("< PUBLISH", {packet.packet_id, packet.qos, packet.retain, packet.dup}, packet.payload.substr(0, 8));
    check_identifiers(packet, whole.topic);
    if (packet.qos > 0) {
        if (!in_use_.insert(packet.packet_id).second) {
            violated("packet identifier " + std::to_string(packet.packet_id) + " is in use twice");
        }
        if (in_use_.size() > traits_.receive_maximum) violated("more messages under way than its Receive Maximum");
        const bool once = packet.qos == 1;
        answers_.push_back({once ? PacketType::puback : PacketType::pubrec, packet.packet_id, once});
    }
    if (packet.qos == 2) {
        const auto [at, fresh] = pending_in_.try_emplace(packet.packet_id, packet.payload);
        if (!fresh && at->second != packet.payload) {
            violated("packet identifier " + std::to_string(packet.packet_id) + " stands for message " + at->second +
                     " until its PUBREL, and came with " + std::string(packet.payload));
        }
        if (!fresh) return;   // a repetition, discarded [MQTT-4.3.3-10]
    }
    around_.oracle.received(index_, whole);
}

void SimClient::check_identifiers(const mqtt::Publish& packet, std::string_view topic) {
    std::string_view rest = packet.subscription_identifiers ? packet.properties : std::string_view();
    while (!rest.empty()) {
        const auto property = mqtt::detail::first_property(rest);
        rest = property.next;
        if (property.id != mqtt::Property::subscription_identifier) continue;
        if (property.number == 0 || property.number > filters().size() ||
            !uns::matches(filters()[property.number - 1].filter, topic)) {
            violated("subscription identifier " + std::to_string(property.number) + " with topic " +
                     std::string(topic));
        }
    }
}

void SimClient::on(const mqtt::Ack& packet) {
    static constexpr const char* names[] = {"< PUBACK", "< PUBREC", "< PUBREL", "< PUBCOMP"};
    tell(names[static_cast<int>(packet.type) - 4], {packet.packet_id, static_cast<std::uint64_t>(packet.reason)});
    if (packet.type == PacketType::pubrel) {
        const bool known = pending_in_.erase(packet.packet_id) > 0;
        answers_.push_back({PacketType::pubcomp, packet.packet_id, known,
                            known ? Reason::success : Reason::packet_identifier_not_found});
        return;
    }
    const auto at = std::find_if(out_.begin(), out_.end(),
                                 [&](const Out& out) { return out.packet_id == packet.packet_id; });
    if (at == out_.end()) violated("an acknowledgement of nothing, id " + std::to_string(packet.packet_id));
    if (packet.type == PacketType::pubcomp) {
        if (!at->received) violated("PUBCOMP without a PUBREL");
        out_.erase(at);
        return;
    }
    if ((around_.oracle.sent(at->uid).qos == 2) != (packet.type == PacketType::pubrec)) {
        violated("an acknowledgement of another QoS, id " + std::to_string(packet.packet_id));
    }
    if (is_refusal(packet.reason)) {
        around_.oracle.refused(at->uid);
        out_.erase(at);
        return;
    }
    around_.oracle.acknowledged(at->uid);
    if (packet.type == PacketType::puback) {
        out_.erase(at);
        return;
    }
    at->received = true;
    answers_.push_back({PacketType::pubrel, packet.packet_id});
}

void SimClient::on(const mqtt::Suback& packet) {
    const auto at = subscribing_.find(packet.packet_id);
    if (at == subscribing_.end() || at->second.size() != packet.reasons.size()) violated("a SUBACK of nothing");
    for (std::size_t i = 0; i < packet.reasons.size(); ++i) {
        Subscribed& filter = filters()[at->second[i]];
        const bool granted = !is_refusal(packet.reasons[i]);
        tell("< SUBACK", {packet.packet_id, static_cast<std::uint64_t>(packet.reasons[i])}, filter.as_sent);
        if (granted && static_cast<std::uint8_t>(packet.reasons[i]) != filter.options.qos) {
            violated("another QoS was granted for " + filter.as_sent);
        }
        around_.oracle.subscribed(index_, filter, granted);
    }
    subscribing_.erase(at);
}

void SimClient::on(const mqtt::Unsuback& packet) {
    const auto at = unsubscribing_.find(packet.packet_id);
    if (at == unsubscribing_.end()) violated("an UNSUBACK of nothing");
    tell("< UNSUBACK", {packet.packet_id}, filters()[at->second].as_sent);
    around_.oracle.unsubscribed(filters()[at->second]);
    unsubscribing_.erase(at);
}

void SimClient::on(const mqtt::Disconnect& packet) {
    const auto text = packet.reason_string.value_or(std::string_view());
    tell("< DISCONNECT", {static_cast<std::uint64_t>(packet.reason)}, text);
    switch (packet.reason) {   // what a client that keeps to the rules may be told here
        case Reason::session_taken_over:
        case Reason::quota_exceeded: break;
        default: violated("was sent away: " + std::string(mqtt::reason_name(packet.reason)) + ' ' + std::string(text));
    }
    leave(0);
}

void SimClient::answer(std::size_t most) {
    for (; most > 0 && !answers_.empty(); --most) {
        const Answer ack = answers_.front();
        answers_.pop_front();
        if (ack.ends) in_use_.erase(ack.packet_id);
        static constexpr const char* names[] = {"PUBACK >", "PUBREC >", "PUBREL >", "PUBCOMP >"};
        tell(names[static_cast<int>(ack.type) - 4], {ack.packet_id});
        write(mqtt::Ack{ack.type, ack.packet_id, v5() ? ack.reason : Reason::success, {}, {}});
    }
}

}  // namespace trunkline::sim
