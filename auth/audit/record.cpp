#include "auth/audit/record.h"

#include <cstring>

#include "auth/audit/bytes.h"

namespace trunkline::auth::audit {
namespace {

constexpr std::uint8_t kind_record = 1, kind_publish = 2, format_version = 1;
constexpr std::uint8_t flag_cut = 1;

/// At most `limit` bytes of `text`, not ending within a UTF-8 character.
std::string_view cut_text(std::string_view text, std::size_t limit) {
    if (text.size() <= limit) return text;
    std::size_t end = limit;
    while (end > 0 && end + 4 > limit && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
    return text.substr(0, end);
}

void put_value(std::string& out, const Value& value) {
    put_le(out, static_cast<std::uint8_t>(value.kind));
    if (value.kind == Value::Kind::text) put_text(out, cut_text(value.text, Value::text_bytes_max));
    if (value.kind == Value::Kind::hash) {
        put_digest(out, value.hash);
        put_le(out, value.size);
    }
}

Value take_value(ByteReader& in) {
    Value value;
    value.kind = static_cast<Value::Kind>(in.take<std::uint8_t>());
    switch (value.kind) {
        case Value::Kind::none:
            return value;
        case Value::Kind::text:
            value.text = in.take_text();
            if (value.text.size() > Value::text_bytes_max) in.fail();
            return value;
        case Value::Kind::hash:
            value.hash = in.take_digest();
            value.size = in.take<std::uint64_t>();
            return value;
    }
    in.fail();
    return {};
}

std::string take_field(ByteReader& in) {
    std::string text(in.take_text());
    if (text.size() > Record::text_bytes_max) in.fail();
    return text;
}

bool too_long(const Record& record) {
    for (const std::string* text : {&record.actor, &record.method, &record.source, &record.action, &record.object,
                                    &record.reason, &record.approver})
        if (text->size() > Record::text_bytes_max) return true;
    for (const Value* value : {&record.old_value, &record.new_value})
        if (value->kind == Value::Kind::text && value->text.size() > Value::text_bytes_max) return true;
    return false;
}

}  // namespace

Value Value::of(std::string_view value) {
    if (value.size() > text_bytes_max) return hash_of(value);
    Value made;
    made.kind = Kind::text;
    made.text = value;
    return made;
}

Value Value::hash_of(std::string_view value) {
    Value made;
    made.kind = Kind::hash;
    made.hash = sha256(value);
    made.size = value.size();
    return made;
}

std::string encode(const Record& record) {
    std::string out;
    put_le(out, kind_record);
    put_le(out, format_version);
    put_le(out, static_cast<std::uint8_t>(record.outcome));
    put_le(out, record.cut || too_long(record) ? flag_cut : std::uint8_t{0});
    put_le(out, record.sequence);
    put_le(out, record.at.utc_ns);
    put_le(out, record.at.monotonic_ns);
    put_le(out, record.count);
    for (const std::string* text : {&record.actor, &record.method, &record.source, &record.action, &record.object,
                                    &record.reason, &record.approver})
        put_text(out, cut_text(*text, Record::text_bytes_max));
    put_value(out, record.old_value);
    put_value(out, record.new_value);
    return out;
}

Result<Record> decode_record(std::string_view bytes) {
    ByteReader in(bytes);
    if (in.take<std::uint8_t>() != kind_record) return invalid("not an audit record");
    if (const auto found = in.take<std::uint8_t>(); in.ok() && found != format_version)
        return invalid("an audit record of format version " + std::to_string(found) + "; this program knows 1");
    Record record;
    const auto outcome = in.take<std::uint8_t>();
    const auto flags = in.take<std::uint8_t>();
    if (outcome > static_cast<std::uint8_t>(Outcome::failed)) return invalid("an audit record with an unknown result");
    if (flags & ~flag_cut) return invalid("an audit record with unknown flags");
    record.outcome = static_cast<Outcome>(outcome);
    record.cut = flags & flag_cut;
    record.sequence = in.take<std::uint64_t>();
    record.at.utc_ns = in.take<std::int64_t>();
    record.at.monotonic_ns = in.take<std::uint64_t>();
    record.count = in.take<std::uint64_t>();
    for (std::string* text : {&record.actor, &record.method, &record.source, &record.action, &record.object,
                              &record.reason, &record.approver})
        *text = take_field(in);
    record.old_value = take_value(in);
    record.new_value = take_value(in);
    if (!in.done()) return invalid("an audit record that ends too early, too late or has a text over its limit");
    return record;
}

std::string encode(const PublishFacts& facts) {
    std::string out;
    append_leaf_data(out, facts);
    return out.substr(1);
}

void append_leaf_data(std::string& out, const PublishFacts& facts) {
    char head[leaf_payload_hash_at + sizeof(Digest)];
    head[0] = 0x00;
    head[1] = static_cast<char>(kind_publish);
    head[2] = static_cast<char>(format_version);
    std::memcpy(head + 3, &facts.at.utc_ns, sizeof facts.at.utc_ns);
    std::memcpy(head + 11, &facts.at.monotonic_ns, sizeof facts.at.monotonic_ns);
    std::memcpy(head + leaf_payload_hash_at, facts.payload.data(), facts.payload.size());
    out.append(head, sizeof head);
    put_text(out, facts.principal);
    put_text(out, facts.client_id);
    put_text(out, facts.topic);
}

Digest leaf_of(const PublishFacts& facts, std::string& scratch) {
    scratch.clear();
    append_leaf_data(scratch, facts);
    return sha256(scratch);
}

std::string_view to_text(Outcome outcome) {
    switch (outcome) {
        case Outcome::ok:
            return "ok";
        case Outcome::denied:
            return "denied";
        case Outcome::failed:
            return "failed";
    }
    return "?";
}

}  // namespace trunkline::auth::audit
