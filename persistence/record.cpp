#include "persistence/record.h"

#include <cassert>
#include <cstring>

#include "persistence/bytes.h"
#include "persistence/chunk.h"

namespace trunkline::store {
namespace {

// Every operation: kind u8, flags u8, aux u16, size u32 (of all of it). PUBLISH has a fixed header so that the hot
// path is one header and three copies; the others are written field by field.
constexpr std::size_t op_header_size = 8;
constexpr std::size_t publish_header_size = 32;

enum Flag : std::uint8_t {
    qos_mask = 0x03,
    flag_retain = 0x04,            // PUBLISH, QUARANTINE, will
    flag_no_queue = 0x08,          // PUBLISH
    flag_no_local = 0x04,          // SUBSCRIBE
    flag_as_published = 0x08,      // SUBSCRIBE
    flag_clean_start = 0x01,       // CLAIM
    flag_has_will = 0x02,          // CLAIM
    flag_has_principal = 0x08,     // will
    flag_claim_has_user = 0x04,    // CLAIM
    flag_drop_has_user = 0x01,     // DROP
    flag_drop_will = 0x01,         // DETACH
    flag_if_published = 0x01,      // DROP QUARANTINED
    flag_has_leaf = 0x01,          // REGULATED
    flag_has_names = 0x02,         // REGULATED
};

void begin_op(std::string& out, OpKind kind, std::uint8_t flags, std::uint16_t aux = 0) {
    put_le(out, static_cast<std::uint8_t>(kind));
    put_le(out, flags);
    put_le(out, aux);
    put_le(out, std::uint32_t{0});
}

void end_op(std::string& out, std::size_t start) {
    const auto size = static_cast<std::uint32_t>(out.size() - start);
    std::memcpy(out.data() + start + 4, &size, sizeof size);
}

void put_ranges(std::string& out, const std::vector<Range>& ranges) {
    put_le(out, static_cast<std::uint32_t>(ranges.size()));
    for (const Range& range : ranges) {
        put_le(out, range.from);
        put_le(out, range.to);
    }
}

bool take_ranges(ByteReader& in, std::vector<Range>& ranges) {
    const auto count = in.take<std::uint32_t>();
    if (count > in.rest().size() / 16) return false;
    ranges.reserve(count);
    for (std::uint32_t i = 0; i < count; ++i) {
        const auto from = in.take<std::uint64_t>();
        const auto to = in.take<std::uint64_t>();
        if (from >= to) return false;
        ranges.push_back({from, to});
    }
    return in.ok();
}

/// The body of an operation of `kind`, or nullopt when it is another one or damaged.
struct OpBody {
    std::uint8_t flags;
    std::uint16_t aux;
    ByteReader in;
};
std::optional<OpBody> open_op(std::string_view bytes, OpKind kind) {
    const auto header = peek_op(bytes);
    if (!header || header->kind != kind) return std::nullopt;
    return OpBody{static_cast<std::uint8_t>(bytes[1]), load_le<std::uint16_t>(bytes.data() + 2),
                  ByteReader(bytes.substr(op_header_size, header->size - op_header_size))};
}

}  // namespace

std::uint32_t OpBatch::add(const PublishOp& op) {
    const std::size_t start = bytes_.size();
    const std::size_t size = publish_header_size + op.topic.size() + op.properties.size() + op.payload.size();
    assert(op.topic.size() <= 0xFFFF && op.qos <= 2);
    char header[publish_header_size] = {};
    header[0] = static_cast<char>(OpKind::publish);
    header[1] = static_cast<char>(op.qos | (op.retain ? flag_retain : 0) | (op.no_queue ? flag_no_queue : 0));
    const auto put = [&header](std::size_t at, auto value) { std::memcpy(header + at, &value, sizeof value); };
    put(2, op.inbound_id);
    put(4, static_cast<std::uint32_t>(size));
    put(8, op.publisher);
    put(16, op.expires_at_ms);
    put(24, static_cast<std::uint16_t>(op.topic.size()));
    put(28, static_cast<std::uint32_t>(op.properties.size()));
    if (bytes_.capacity() < start + size) bytes_.reserve(2 * bytes_.capacity() + size);
    bytes_.append(header, sizeof header).append(op.topic).append(op.properties).append(op.payload);
    ++count_;
    return static_cast<std::uint32_t>(start);
}

void put_will(std::string& out, const WillRecord& will) {
    put_le(out, static_cast<std::uint8_t>((will.qos & qos_mask) | (will.retain ? flag_retain : 0) |
                                          (will.principal.empty() ? 0 : flag_has_principal)));
    put_le(out, will.delay_s);
    put_le(out, will.message_expiry_s);
    put_text(out, will.topic);
    put_text(out, will.properties);
    put_text(out, will.payload);
    if (!will.principal.empty()) put_text(out, will.principal);
}

std::optional<WillRecord> take_will(ByteReader& in) {
    WillRecord will;
    const auto flags = in.take<std::uint8_t>();
    will.qos = flags & qos_mask;
    will.retain = (flags & flag_retain) != 0;
    will.delay_s = in.take<std::uint32_t>();
    will.message_expiry_s = in.take<std::uint32_t>();
    will.topic = in.take_text();
    will.properties = in.take_text();
    will.payload = in.take_text();
    if (flags & flag_has_principal) will.principal = in.take_text();
    if (!in.ok() || will.qos > 2) return std::nullopt;
    return will;
}

std::uint32_t OpBatch::add(const ClaimOp& op) {
    const std::size_t start = bytes_.size();
    begin_op(bytes_, OpKind::claim,
             static_cast<std::uint8_t>((op.clean_start ? flag_clean_start : 0) | (op.will ? flag_has_will : 0) |
                                       (op.user.empty() ? 0 : flag_claim_has_user)));
    put_le(bytes_, op.owner);
    put_le(bytes_, op.shard);
    put_le(bytes_, op.expiry_s);
    put_text(bytes_, op.client_id);
    if (op.will) put_will(bytes_, *op.will);
    if (!op.user.empty()) put_text(bytes_, op.user);
    end_op(bytes_, start);
    ++count_;
    return static_cast<std::uint32_t>(start);
}

std::uint32_t OpBatch::add(const DetachOp& op) {
    const std::size_t start = bytes_.size();
    begin_op(bytes_, OpKind::detach, op.drop_will ? flag_drop_will : 0);
    put_le(bytes_, op.session);
    put_le(bytes_, op.owner);
    put_le(bytes_, op.sent_below);
    put_le(bytes_, op.expiry_s);
    end_op(bytes_, start);
    ++count_;
    return static_cast<std::uint32_t>(start);
}

std::uint32_t OpBatch::add(const DropOp& op) {
    const std::size_t start = bytes_.size();
    begin_op(bytes_, OpKind::drop, op.user.empty() ? 0 : flag_drop_has_user);
    put_le(bytes_, op.session);
    put_le(bytes_, op.owner);
    put_text(bytes_, op.client_id);
    if (!op.user.empty()) put_text(bytes_, op.user);
    end_op(bytes_, start);
    ++count_;
    return static_cast<std::uint32_t>(start);
}

std::uint32_t OpBatch::add(const SubscribeOp& op) {
    const std::size_t start = bytes_.size();
    begin_op(bytes_, OpKind::subscribe,
             static_cast<std::uint8_t>((op.qos & qos_mask) | (op.no_local ? flag_no_local : 0) |
                                       (op.retain_as_published ? flag_as_published : 0) | op.retain_handling << 4));
    put_le(bytes_, op.session);
    put_le(bytes_, op.owner);
    put_le(bytes_, op.subscription_identifier);
    put_text(bytes_, op.filter);
    end_op(bytes_, start);
    ++count_;
    return static_cast<std::uint32_t>(start);
}

std::uint32_t OpBatch::add(const UnsubscribeOp& op) {
    const std::size_t start = bytes_.size();
    begin_op(bytes_, OpKind::unsubscribe, 0);
    put_le(bytes_, op.session);
    put_le(bytes_, op.owner);
    put_text(bytes_, op.filter);
    end_op(bytes_, start);
    ++count_;
    return static_cast<std::uint32_t>(start);
}

std::uint32_t OpBatch::add(const AcknowledgeOp& op) {
    const std::size_t start = bytes_.size();
    begin_op(bytes_, OpKind::acknowledge, 0);
    put_le(bytes_, op.session);
    put_le(bytes_, op.owner);
    put_ranges(bytes_, op.complete);
    put_ranges(bytes_, op.received);
    end_op(bytes_, start);
    ++count_;
    return static_cast<std::uint32_t>(start);
}

std::uint32_t OpBatch::add(const ReleaseInboundOp& op) {
    const std::size_t start = bytes_.size();
    begin_op(bytes_, OpKind::release_inbound, 0, op.packet_id);
    put_le(bytes_, op.session);
    put_le(bytes_, op.owner);
    end_op(bytes_, start);
    ++count_;
    return static_cast<std::uint32_t>(start);
}

std::uint32_t OpBatch::add(const WillSentOp& op) {
    const std::size_t start = bytes_.size();
    begin_op(bytes_, OpKind::will_sent, 0);
    put_le(bytes_, op.session);
    end_op(bytes_, start);
    ++count_;
    return static_cast<std::uint32_t>(start);
}

std::uint32_t OpBatch::add(const RestartOp& op) {
    const std::size_t start = bytes_.size();
    begin_op(bytes_, OpKind::restart, 0);
    put_le(bytes_, op.epoch);
    end_op(bytes_, start);
    ++count_;
    return static_cast<std::uint32_t>(start);
}

std::uint32_t OpBatch::add(const DropRetainedOp& op) {
    const std::size_t start = bytes_.size();
    begin_op(bytes_, OpKind::drop_retained, 0);
    put_text(bytes_, op.topic);
    end_op(bytes_, start);
    ++count_;
    return static_cast<std::uint32_t>(start);
}

std::uint32_t OpBatch::add(const QuarantineOp& op) {
    const std::size_t start = bytes_.size();
    begin_op(bytes_, OpKind::quarantine, static_cast<std::uint8_t>((op.qos & qos_mask) | (op.retain ? flag_retain : 0)),
             op.inbound_id);
    put_le(bytes_, op.publisher);
    put_le(bytes_, op.at_ms);
    put_le(bytes_, op.expires_at_ms);
    for (const std::string_view text : {op.topic, op.properties, op.payload, op.client_id, op.user, op.rule, op.text,
                                        op.at, op.expected, op.fix}) {
        put_text(bytes_, text);
    }
    end_op(bytes_, start);
    ++count_;
    return static_cast<std::uint32_t>(start);
}

std::uint32_t OpBatch::add(const DropQuarantinedOp& op) {
    const std::size_t start = bytes_.size();
    begin_op(bytes_, OpKind::drop_quarantined, op.if_published ? flag_if_published : 0);
    put_le(bytes_, op.id);
    end_op(bytes_, start);
    ++count_;
    return static_cast<std::uint32_t>(start);
}

std::uint32_t OpBatch::add(const ModelOp& op) {
    const std::size_t start = bytes_.size();
    begin_op(bytes_, OpKind::model, 0);
    put_le(bytes_, op.applied_ms);
    put_le(bytes_, op.rolled_back_from);
    for (const std::string_view text : {op.name, op.version, op.hash, op.file, op.who, op.why, op.source}) {
        put_text(bytes_, text);
    }
    end_op(bytes_, start);
    ++count_;
    return static_cast<std::uint32_t>(start);
}

std::uint32_t OpBatch::add(const RegulatedOp& op) {
    const std::size_t start = bytes_.size();
    assert(op.leaf.empty() || op.leaf.size() == RegulatedOp::leaf_bytes);
    const bool names = !(op.principal.empty() && op.client_id.empty() && op.source.empty());
    begin_op(bytes_, OpKind::regulated,
             static_cast<std::uint8_t>((op.leaf.empty() ? 0 : flag_has_leaf) | (names ? flag_has_names : 0)));
    put_le(bytes_, op.utc_ns);
    put_le(bytes_, op.monotonic_ns);
    bytes_.append(op.leaf);
    if (names) {
        for (const std::string_view text : {op.principal, op.client_id, op.source}) put_text(bytes_, text);
    }
    end_op(bytes_, start);
    ++count_;
    return static_cast<std::uint32_t>(start);
}

void OpBatch::set_leaf(std::uint32_t offset, std::string_view leaf) {
    constexpr std::size_t leaf_at = op_header_size + sizeof(RegulatedOp::utc_ns) + sizeof(RegulatedOp::monotonic_ns);
    assert(leaf.size() == RegulatedOp::leaf_bytes && bytes_.size() >= offset + leaf_at + leaf.size());
    assert(bytes_[offset] == static_cast<char>(OpKind::regulated));
    std::memcpy(bytes_.data() + offset + leaf_at, leaf.data(), leaf.size());
}

std::uint32_t OpBatch::add(const LeavesKeptOp& op) {
    const std::size_t start = bytes_.size();
    begin_op(bytes_, OpKind::leaves_kept, 0);
    put_le(bytes_, op.through);
    put_le(bytes_, op.trail_size);
    end_op(bytes_, start);
    ++count_;
    return static_cast<std::uint32_t>(start);
}

std::optional<OpHeader> peek_op(std::string_view bytes) {
    if (bytes.size() < op_header_size) return std::nullopt;
    const auto kind = static_cast<std::uint8_t>(bytes[0]);
    const auto size = load_le<std::uint32_t>(bytes.data() + 4);
    if (kind < static_cast<std::uint8_t>(OpKind::publish) || kind > static_cast<std::uint8_t>(OpKind::leaves_kept) ||
        size < op_header_size || size > bytes.size()) {
        return std::nullopt;
    }
    return OpHeader{static_cast<OpKind>(kind), size};
}

std::optional<PublishOp> read_publish(std::string_view bytes) {
    const auto header = peek_op(bytes);
    if (!header || header->kind != OpKind::publish || header->size < publish_header_size) return std::nullopt;
    const char* at = bytes.data();
    const auto flags = static_cast<std::uint8_t>(at[1]);
    const std::size_t topic_size = load_le<std::uint16_t>(at + 24);
    const std::size_t properties_size = load_le<std::uint32_t>(at + 28);
    const std::size_t body = header->size - publish_header_size;
    PublishOp op;
    op.qos = flags & qos_mask;
    if (op.qos > 2 || topic_size > body || properties_size > body - topic_size) return std::nullopt;
    op.retain = (flags & flag_retain) != 0;
    op.no_queue = (flags & flag_no_queue) != 0;
    op.inbound_id = load_le<std::uint16_t>(at + 2);
    op.publisher = load_le<std::uint64_t>(at + 8);
    op.expires_at_ms = load_le<std::int64_t>(at + 16);
    at += publish_header_size;
    op.topic = {at, topic_size};
    op.properties = {at + topic_size, properties_size};
    op.payload = {at + topic_size + properties_size, body - topic_size - properties_size};
    return op;
}

std::optional<ClaimOp> read_claim(std::string_view bytes) {
    auto body = open_op(bytes, OpKind::claim);
    if (!body) return std::nullopt;
    ClaimOp op;
    op.clean_start = (body->flags & flag_clean_start) != 0;
    op.owner = body->in.take<std::uint64_t>();
    op.shard = body->in.take<std::uint32_t>();
    op.expiry_s = body->in.take<std::uint32_t>();
    op.client_id = body->in.take_text();
    if (body->flags & flag_has_will) {
        op.will = take_will(body->in);
        if (!op.will) return std::nullopt;
    }
    if (body->flags & flag_claim_has_user) op.user = body->in.take_text();
    return body->in.done() ? std::optional(std::move(op)) : std::nullopt;
}

std::optional<DetachOp> read_detach(std::string_view bytes) {
    auto body = open_op(bytes, OpKind::detach);
    if (!body) return std::nullopt;
    DetachOp op;
    op.drop_will = (body->flags & flag_drop_will) != 0;
    op.session = body->in.take<std::uint64_t>();
    op.owner = body->in.take<std::uint64_t>();
    op.sent_below = body->in.take<std::uint64_t>();
    op.expiry_s = body->in.take<std::uint32_t>();
    return body->in.done() ? std::optional(op) : std::nullopt;
}

std::optional<DropOp> read_drop(std::string_view bytes) {
    auto body = open_op(bytes, OpKind::drop);
    if (!body) return std::nullopt;
    DropOp op;
    op.session = body->in.take<std::uint64_t>();
    op.owner = body->in.take<std::uint64_t>();
    op.client_id = body->in.take_text();
    if (body->flags & flag_drop_has_user) op.user = body->in.take_text();
    return body->in.done() ? std::optional(op) : std::nullopt;
}

std::optional<SubscribeOp> read_subscribe(std::string_view bytes) {
    auto body = open_op(bytes, OpKind::subscribe);
    if (!body) return std::nullopt;
    SubscribeOp op;
    op.qos = body->flags & qos_mask;
    op.no_local = (body->flags & flag_no_local) != 0;
    op.retain_as_published = (body->flags & flag_as_published) != 0;
    op.retain_handling = body->flags >> 4 & 0x03;
    op.session = body->in.take<std::uint64_t>();
    op.owner = body->in.take<std::uint64_t>();
    op.subscription_identifier = body->in.take<std::uint32_t>();
    op.filter = body->in.take_text();
    return body->in.done() && op.qos <= 2 ? std::optional(op) : std::nullopt;
}

std::optional<UnsubscribeOp> read_unsubscribe(std::string_view bytes) {
    auto body = open_op(bytes, OpKind::unsubscribe);
    if (!body) return std::nullopt;
    UnsubscribeOp op;
    op.session = body->in.take<std::uint64_t>();
    op.owner = body->in.take<std::uint64_t>();
    op.filter = body->in.take_text();
    return body->in.done() ? std::optional(op) : std::nullopt;
}

std::optional<AcknowledgeOp> read_acknowledge(std::string_view bytes) {
    auto body = open_op(bytes, OpKind::acknowledge);
    if (!body) return std::nullopt;
    AcknowledgeOp op;
    op.session = body->in.take<std::uint64_t>();
    op.owner = body->in.take<std::uint64_t>();
    if (!take_ranges(body->in, op.complete) || !take_ranges(body->in, op.received)) return std::nullopt;
    return body->in.done() ? std::optional(std::move(op)) : std::nullopt;
}

std::optional<ReleaseInboundOp> read_release_inbound(std::string_view bytes) {
    auto body = open_op(bytes, OpKind::release_inbound);
    if (!body) return std::nullopt;
    ReleaseInboundOp op;
    op.packet_id = body->aux;
    op.session = body->in.take<std::uint64_t>();
    op.owner = body->in.take<std::uint64_t>();
    return body->in.done() ? std::optional(op) : std::nullopt;
}

std::optional<WillSentOp> read_will_sent(std::string_view bytes) {
    auto body = open_op(bytes, OpKind::will_sent);
    if (!body) return std::nullopt;
    const WillSentOp op{body->in.take<std::uint64_t>()};
    return body->in.done() ? std::optional(op) : std::nullopt;
}

std::optional<RestartOp> read_restart(std::string_view bytes) {
    auto body = open_op(bytes, OpKind::restart);
    if (!body) return std::nullopt;
    const RestartOp op{body->in.take<std::uint64_t>()};
    return body->in.done() ? std::optional(op) : std::nullopt;
}

std::optional<DropRetainedOp> read_drop_retained(std::string_view bytes) {
    auto body = open_op(bytes, OpKind::drop_retained);
    if (!body) return std::nullopt;
    const DropRetainedOp op{body->in.take_text()};
    return body->in.done() ? std::optional(op) : std::nullopt;
}

std::optional<QuarantineOp> read_quarantine(std::string_view bytes) {
    auto body = open_op(bytes, OpKind::quarantine);
    if (!body) return std::nullopt;
    QuarantineOp op;
    op.qos = body->flags & qos_mask;
    op.retain = (body->flags & flag_retain) != 0;
    op.inbound_id = body->aux;
    op.publisher = body->in.take<std::uint64_t>();
    op.at_ms = body->in.take<std::int64_t>();
    op.expires_at_ms = body->in.take<std::int64_t>();
    for (std::string_view* text : {&op.topic, &op.properties, &op.payload, &op.client_id, &op.user, &op.rule, &op.text,
                                   &op.at, &op.expected, &op.fix}) {
        *text = body->in.take_text();
    }
    return body->in.done() && op.qos <= 2 ? std::optional(op) : std::nullopt;
}

std::optional<DropQuarantinedOp> read_drop_quarantined(std::string_view bytes) {
    auto body = open_op(bytes, OpKind::drop_quarantined);
    if (!body) return std::nullopt;
    const DropQuarantinedOp op{body->in.take<std::uint64_t>(), (body->flags & flag_if_published) != 0};
    return body->in.done() ? std::optional(op) : std::nullopt;
}

std::optional<ModelOp> read_model(std::string_view bytes) {
    auto body = open_op(bytes, OpKind::model);
    if (!body) return std::nullopt;
    ModelOp op;
    op.applied_ms = body->in.take<std::int64_t>();
    op.rolled_back_from = body->in.take<std::uint64_t>();
    for (std::string_view* text : {&op.name, &op.version, &op.hash, &op.file, &op.who, &op.why, &op.source}) {
        *text = body->in.take_text();
    }
    return body->in.done() ? std::optional(op) : std::nullopt;
}

std::optional<RegulatedOp> read_regulated(std::string_view bytes) {
    auto body = open_op(bytes, OpKind::regulated);
    if (!body) return std::nullopt;
    RegulatedOp op;
    op.utc_ns = body->in.take<std::int64_t>();
    op.monotonic_ns = body->in.take<std::uint64_t>();
    if (body->flags & flag_has_leaf) op.leaf = body->in.take_bytes(RegulatedOp::leaf_bytes);
    if (body->flags & flag_has_names) {
        for (std::string_view* text : {&op.principal, &op.client_id, &op.source}) *text = body->in.take_text();
    }
    return body->in.done() ? std::optional(op) : std::nullopt;
}

std::optional<LeavesKeptOp> read_leaves_kept(std::string_view bytes) {
    auto body = open_op(bytes, OpKind::leaves_kept);
    if (!body) return std::nullopt;
    LeavesKeptOp op;
    op.through = body->in.take<std::uint64_t>();
    op.trail_size = body->in.take<std::uint64_t>();
    return body->in.done() ? std::optional(op) : std::nullopt;
}

}  // namespace trunkline::store
