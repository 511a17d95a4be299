// What the trail says of one event, as bytes that are hashed (canonical: one value has one encoding), as a line of JSON
// and as a row of CSV. auth/audit/README.md is the reference of all three.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "auth/audit/error.h"
#include "auth/audit/hash.h"

namespace trunkline::auth::audit {

/// A moment as the caller's clocks have it: nothing in here reads one.
struct Moment {
    std::int64_t utc_ns = 0;         ///< since 1970-01-01T00:00:00Z
    std::uint64_t monotonic_ns = 0;  ///< since some start; goes on where UTC steps
    bool operator==(const Moment&) const = default;
};

enum class Outcome : std::uint8_t { ok = 0, denied = 1, failed = 2 };

/// A value before or after a change: nothing, its text, or the hash and size of one that is too long or secret.
struct Value {
    enum class Kind : std::uint8_t { none = 0, text = 1, hash = 2 };
    static constexpr std::size_t text_bytes_max = 1024;

    Kind kind = Kind::none;
    std::string text;
    Digest hash{};
    std::uint64_t size = 0;  ///< bytes of the hashed value

    /// Text up to text_bytes_max bytes, else its hash.
    [[nodiscard]] static Value of(std::string_view value);
    [[nodiscard]] static Value hash_of(std::string_view value);
    bool operator==(const Value&) const = default;
};

/// The actions that the broker audits. Others are allowed: plugins and bridges bring their own.
namespace action {
inline constexpr std::string_view login = "login", denial = "denial", takeover = "takeover", publish = "publish",
                                  overwrite = "overwrite", limit = "limit", start = "start", stop = "stop",
                                  clock_step = "clock-step", export_trail = "audit.export",
                                  tail_repaired = "audit.tail-repaired", key_rotated = "audit.key-rotated",
                                  tiles_rebuilt = "audit.tiles-rebuilt", created = "audit.created",
                                  model = "model.apply", role = "role.change", user = "user.change", key = "key.change",
                                  config = "config.change", plugin = "plugin";
}

struct Record {
    std::uint64_t sequence = 0;  ///< the leaf's index in the tree; given when it is appended
    Moment at;
    std::string actor;   ///< principal, or empty where there is none
    std::string method;  ///< how the actor is known: mtls, password, jwt, scram, anonymous, local, broker ...
    std::string source;  ///< address, or "broker"
    std::string action;
    std::string object;  ///< topic, client id, user, file ...
    Value old_value;
    Value new_value;
    std::string reason;    ///< as a person gave it, or the rule that decided
    std::string approver;  ///< the second person, where a change needs one
    Outcome outcome = Outcome::ok;
    std::uint64_t count = 1;  ///< events that this record stands for (summaries of denials)
    bool cut = false;         ///< a text was longer than Record::text_bytes_max and its end is missing

    static constexpr std::size_t text_bytes_max = 4096;
    bool operator==(const Record&) const = default;
};

/// Format version 1. Texts over Record::text_bytes_max are cut at a character and the record says so: an audit record
/// is never refused for its length.
[[nodiscard]] std::string encode(const Record& record);
/// Takes exactly what encode() gives, and nothing else.
[[nodiscard]] Result<Record> decode_record(std::string_view bytes);

/// One acknowledged publish of a regulated topic. Its leaf hash alone is stored; who has these facts can show that this
/// publish was acknowledged, and nobody can bring others.
struct PublishFacts {
    Moment at;  ///< of the acknowledgement's batch
    std::string_view principal;
    std::string_view client_id;
    std::string_view topic;
    Digest payload{};  ///< SHA-256
};

/// The bytes whose leaf hash is stored. Format version 1.
[[nodiscard]] std::string encode(const PublishFacts& facts);
/// Appends what the leaf is the SHA-256 of: 0x00 and encode(facts).
void append_leaf_data(std::string& out, const PublishFacts& facts);
inline constexpr std::size_t leaf_payload_hash_at = 19;  ///< where in it the hash of the payload is
/// hash_leaf() of them, without allocating where `scratch` has room: for the hot path.
[[nodiscard]] Digest leaf_of(const PublishFacts& facts, std::string& scratch);

/// One line of JSON without its end. Bytes that are no UTF-8 become U+FFFD; `leaf` is the hash over the exact bytes.
[[nodiscard]] std::string to_json_line(const Record& record);
/// The names of the columns, then rows of RFC 4180, each ending in CR LF. A cell that a spreadsheet would take for a
/// formula starts with an apostrophe.
[[nodiscard]] std::string csv_header();
[[nodiscard]] std::string to_csv_row(const Record& record);

/// "2026-11-23T02:13:28.000000000Z"; years outside 1970 to 2261 cannot occur in 64 bits of nanoseconds.
[[nodiscard]] std::string utc_text(std::int64_t utc_ns);
/// The same with any number of decimals from 0 to 9, or a date alone. Null for anything else.
[[nodiscard]] std::optional<std::int64_t> parse_utc(std::string_view text);

[[nodiscard]] std::string_view to_text(Outcome outcome);

}  // namespace trunkline::auth::audit
