#include "auth/audit/prove.h"

#include <algorithm>
#include <cstring>
#include <set>

#include <nlohmann/json.hpp>

#include "auth/audit/bytes.h"
#include "auth/audit/checkpoint.h"
#include "auth/audit/reader.h"
#include "auth/audit/tiles.h"

namespace trunkline::auth::audit {
namespace {

using Json = nlohmann::ordered_json;
constexpr const char* format_name = "trunkline-audit-proof/1";
constexpr std::size_t path_max = 64, key_changes_max = 1000;
constexpr std::int64_t ns_per_ms = 1'000'000;  // leaves of publishes have their times in whole milliseconds
constexpr std::int64_t search_ns_max = 600'000 * ns_per_ms, search_slack_ns = 10'000 * ns_per_ms;
constexpr std::int64_t clock_slack_ms = 2;     // of a checkpoint's own rounding, and of a clock that is being slewed
constexpr std::size_t search_leaves_max = 2'000'000;  // 64 MB of them

Result<std::string> make_proof(const AuditStore& store, std::uint64_t sequence, std::string_view data) {
    const auto reader = TrailReader::open(store);
    if (!reader) return reader.error();
    const auto note_text = reader->newest_checkpoint();
    if (!note_text) return note_text.error();
    const auto note = parse_note(*note_text);
    if (!note) return note.error();
    const auto checkpoint = parse_checkpoint(note->text);
    if (!checkpoint) return checkpoint.error();
    if (sequence >= checkpoint->size)
        return Error{Failure::absent, "record " + std::to_string(sequence) + " is not covered by a checkpoint yet"};
    const auto path = inclusion_proof(sequence, checkpoint->size, tile_nodes(store));
    if (!path) return path.error();
    if (!verify_inclusion(hash_leaf(data), sequence, checkpoint->size, *path, checkpoint->root))
        return Error{Failure::damaged,
                     "the record or the kept hashes are not those that were signed: run trunkaudit verify"};
    const auto changes = reader->key_changes();
    if (!changes) return changes.error();
    Json json{{"format", format_name}, {"origin", checkpoint->origin}, {"sequence", sequence}};
    json["leaf_data"] = to_base64(data);
    json["path"] = Json::array();
    for (const auto& hash : *path) json["path"].push_back(to_base64(view(hash)));
    json["checkpoint"] = *note_text;
    json["key_changes"] = *changes;
    return json.dump(2) + "\n";
}

/// A member of the type, or the type's empty value and ok = false.
template <class T>
T take(const Json& json, const char* name, bool& ok) {
    const auto found = json.find(name);
    bool fits = found != json.end();
    if constexpr (std::is_same_v<T, std::string>) {
        fits = fits && found->is_string();
    } else {
        fits = fits && found->is_number_unsigned();
    }
    ok = ok && fits;
    return fits ? found->get<T>() : T{};
}

Json parse(std::string_view text) { return Json::parse(text, nullptr, false); }

Result<Proof> path_of(const Json& json) {
    Proof path;
    const auto found = json.find("path");
    if (found == json.end() || !found->is_array() || found->size() > path_max) return invalid("the proof has no path");
    for (const auto& item : *found) {
        const auto hash = item.is_string() ? digest_from_base64(item.get<std::string>()) : std::nullopt;
        if (!hash) return invalid("the proof's path holds something else than hashes");
        path.push_back(*hash);
    }
    return path;
}

Result<std::vector<KeyChange>> key_changes_of(const Json& json) {
    std::vector<KeyChange> changes;
    const auto found = json.find("key_changes");
    if (found == json.end() || !found->is_array() || found->size() > key_changes_max)
        return invalid("the proof has no key changes");
    for (const auto& item : *found) {
        if (!item.is_string()) return invalid("a key change of the proof is not a text");
        auto change = open_key_change(item.get<std::string>());
        if (!change) return change.error();
        changes.push_back(std::move(*change));
    }
    return changes;
}

/// The line that tells a person what was proven.
Result<std::string> summary_of(std::string_view data, std::uint64_t sequence) {
    if (const auto record = decode_record(data)) {
        if (record->sequence != sequence) return invalid("the record has another number than the proof says");
        return to_json_line(*record);
    }
    ByteReader in(data);
    const auto kind = in.take<std::uint8_t>(), version = in.take<std::uint8_t>();
    Json json;
    json["time"] = utc_text(in.take<std::int64_t>());
    json["monotonic_ns"] = in.take<std::uint64_t>();
    const Digest payload = in.take_digest();
    json["principal"] = in.take_text();
    json["client_id"] = in.take_text();
    json["topic"] = in.take_text();
    json["payload_sha256"] = to_hex(payload);
    if (!in.done() || kind != 2 || version != 1) return invalid("the proof's leaf is neither a record nor a publish");
    return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace

Result<std::string> prove_record(const AuditStore& store, std::uint64_t sequence) {
    const auto reader = TrailReader::open(store);
    if (!reader) return reader.error();
    const auto bytes = reader->record_bytes(sequence);
    if (!bytes) return bytes.error();
    return make_proof(store, sequence, *bytes);
}

Result<std::string> publish_from_json(std::string_view text) {
    const Json json = parse(text);
    if (!json.is_object()) return invalid("the facts of a publish are a JSON object");
    bool ok = true;
    const auto time = parse_utc(take<std::string>(json, "time", ok));
    const auto payload = digest_from_hex(take<std::string>(json, "payload_sha256", ok));
    const auto principal = take<std::string>(json, "principal", ok);
    const auto client_id = take<std::string>(json, "client_id", ok);
    const auto topic = take<std::string>(json, "topic", ok);
    const auto monotonic_ns = take<std::uint64_t>(json, "monotonic_ns", ok);
    if (!ok || !time || !payload)
        return invalid("the facts of a publish are time, monotonic_ns, principal, client_id, topic and payload_sha256");
    return encode(PublishFacts{{*time, monotonic_ns}, principal, client_id, topic, *payload});
}

Result<std::string> prove_publish(const AuditStore& store, std::string_view facts, std::uint64_t from) {
    const Digest leaf = hash_leaf(facts);
    constexpr std::uint64_t piece = 4096;
    for (std::uint64_t index = from;;) {
        const std::string name = tile_file_name(0, index / tile_file_hashes);
        const auto hashes = store.read(name, index % tile_file_hashes * sizeof leaf, piece * sizeof leaf);
        if (!hashes && hashes.error().kind != Failure::absent) return hashes.error();
        const std::size_t count = hashes ? hashes->size() / sizeof leaf : 0;
        for (std::size_t i = 0; i < count; ++i)
            if (std::memcmp(hashes->data() + i * sizeof leaf, leaf.data(), sizeof leaf) == 0)
                return make_proof(store, index + i, facts);
        index += count;
        if (count == 0) return Error{Failure::absent, "the trail holds no such publish"};
    }
}

namespace {

struct Sought {
    std::string principal, client_id, topic;
    Digest payload{};
    std::int64_t from_ns = 0, to_ns = 0;
};

Result<Sought> sought_from(const Json& json) {
    Sought sought;
    bool ok = true;
    const auto from = parse_utc(take<std::string>(json, "from", ok));
    const auto to = parse_utc(take<std::string>(json, "to", ok));
    const auto payload = digest_from_hex(take<std::string>(json, "payload_sha256", ok));
    sought.principal = take<std::string>(json, "principal", ok);
    sought.client_id = take<std::string>(json, "client_id", ok);
    sought.topic = take<std::string>(json, "topic", ok);
    if (!ok || !from || !to || !payload)
        return invalid("without its time a publish is looked for by from, to, principal, client_id, topic and "
                       "payload_sha256");
    sought.payload = *payload;
    sought.from_ns = *from / ns_per_ms * ns_per_ms;
    sought.to_ns = *to;
    if (*to < *from || *to - *from > search_ns_max) return invalid("from and to are at most ten minutes apart");
    return sought;
}

/// The checkpoints around the times, which know the monotonic clock of each moment: at least one, or an error.
Result<std::vector<Checkpoint>> checkpoints_around(const TrailReader& reader, const Sought& sought) {
    std::vector<Checkpoint> found;
    const auto done = reader.for_each_checkpoint([&](const Checkpoint& one) {
        if (one.at.utc_ns < sought.from_ns - search_slack_ns) found.clear();  // the last one before is enough
        found.push_back(one);
        return one.at.utc_ns <= sought.to_ns + search_slack_ns;
    });
    if (!done) return done.error();
    if (found.empty()) return Error{Failure::absent, "the trail has no checkpoint yet"};
    return found;
}

/// Encoded facts of a leaf that is among the trail's.
Result<std::string> find_publish(const AuditStore& store, const Sought& sought) {
    const auto reader = TrailReader::open(store);
    if (!reader) return reader.error();
    const auto around = checkpoints_around(*reader, sought);
    if (!around) return around.error();
    const Checkpoint& before = around->front();  // or the first of all
    const std::uint64_t first = before.at.utc_ns < sought.from_ns - search_slack_ns ? before.size : 0;
    const Checkpoint& after = around->back();  // or the newest of all: then what is not signed yet counts, too
    const bool ends = after.at.utc_ns > sought.to_ns + search_slack_ns;
    const std::uint64_t most = ends ? after.size - first : ~std::uint64_t{0};
    std::vector<Digest> leaves;
    const auto read = reader->for_each_publish(first, [&](const Digest& leaf) {
        if (leaves.size() < search_leaves_max) leaves.push_back(leaf);
        return leaves.size() < std::min<std::uint64_t>(search_leaves_max, most);
    });
    if (!read) return read.error();
    if (leaves.size() == search_leaves_max)
        return invalid("there are too many publishes between from and to: bring them closer together");
    std::sort(leaves.begin(), leaves.end());
    std::set<std::int64_t> offsets;  // between the clocks, in milliseconds
    for (const Checkpoint& one : *around) {
        const std::int64_t offset = (one.at.utc_ns - static_cast<std::int64_t>(one.at.monotonic_ns)) / ns_per_ms;
        for (std::int64_t off = -clock_slack_ms; off <= clock_slack_ms; ++off) offsets.insert(offset + off);
    }
    std::string scratch;
    for (std::int64_t at = sought.from_ns; at <= sought.to_ns; at += ns_per_ms) {
        for (const std::int64_t offset : offsets) {
            const auto monotonic = static_cast<std::uint64_t>(at - offset * ns_per_ms);
            const PublishFacts facts{{at, monotonic}, sought.principal, sought.client_id, sought.topic, sought.payload};
            if (std::binary_search(leaves.begin(), leaves.end(), leaf_of(facts, scratch))) return encode(facts);
        }
    }
    return Error{Failure::absent, "the trail holds no such publish between these times"};
}

}  // namespace

Result<std::string> prove_publish_json(const AuditStore& store, std::string_view text, std::uint64_t from) {
    const Json json = parse(text);
    if (!json.is_object() || !json.contains("from")) {
        const auto facts = publish_from_json(text);
        if (!facts) return facts.error();
        return prove_publish(store, *facts, from);
    }
    const auto sought = sought_from(json);
    if (!sought) return sought.error();
    const auto facts = find_publish(store, *sought);
    if (!facts) return facts.error();
    return prove_publish(store, *facts, from);
}

Result<Proven> check_proof(std::string_view text, const VerifyKey& key) {
    const Json json = parse(text);
    if (!json.is_object()) return invalid("a proof is a JSON object");
    bool ok = true;
    const auto format = take<std::string>(json, "format", ok);
    const auto sequence = take<std::uint64_t>(json, "sequence", ok);
    const auto origin = take<std::string>(json, "origin", ok);
    const auto data = from_base64(take<std::string>(json, "leaf_data", ok));
    const auto note = parse_note(take<std::string>(json, "checkpoint", ok));
    if (!ok || format != format_name || !data) return invalid(std::string("not a proof of format ") + format_name);
    if (!note) return note.error();
    const auto checkpoint = parse_checkpoint(note->text);
    if (!checkpoint) return checkpoint.error();
    const auto path = path_of(json);
    if (!path) return path.error();
    const auto changes = key_changes_of(json);
    if (!changes) return changes.error();
    if (origin != checkpoint->origin || origin != key.name)
        return invalid("the proof is of the trail " + checkpoint->origin + ", the key of " + key.name);
    bool trusted = note->is_signed_by(key);
    for (const auto& change : *changes)
        trusted = trusted || (is_trusted(change.key, key, *changes) && note->is_signed_by(change.key));
    if (!trusted) return invalid("the checkpoint is not signed by the key, nor by one that the key leads to");
    if (!verify_inclusion(hash_leaf(*data), sequence, checkpoint->size, *path, checkpoint->root))
        return invalid("the record is not in the tree that was signed");
    const auto summary = summary_of(*data, sequence);
    if (!summary) return summary.error();
    return Proven{sequence, utc_text(checkpoint->at.utc_ns), checkpoint->size, origin, *summary};
}

}  // namespace trunkline::auth::audit
