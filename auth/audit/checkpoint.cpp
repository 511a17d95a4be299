#include "auth/audit/checkpoint.h"

#include <charconv>

namespace trunkline::auth::audit {
namespace {

constexpr std::string_view key_change_title = "trunkline-audit-key/v1";

/// Takes lines from the front of a text; what is malformed makes ok() false for good.
class Lines {
public:
    explicit Lines(std::string_view text) : rest_(text) {}

    std::string_view next() {
        const std::size_t end = rest_.find('\n');
        if (end == std::string_view::npos || end == 0) return fail(), std::string_view();
        const auto line = rest_.substr(0, end);
        rest_.remove_prefix(end + 1);
        return line;
    }
    std::string_view next(std::string_view start) {
        const auto line = next();
        if (!line.starts_with(start)) return fail(), std::string_view();
        return line.substr(start.size());
    }
    /// Decimal without leading zeroes or sign.
    std::uint64_t number(std::string_view text) {
        std::uint64_t value = 0;
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
        if (text.empty() || error != std::errc() || end != text.data() + text.size() ||
            (text.size() > 1 && text[0] == '0'))
            fail();
        return value;
    }
    Moment time() {
        const auto line = next("time ");
        const std::size_t space = line.find(' ');
        if (space == std::string_view::npos) return fail(), Moment();
        const auto utc = parse_utc(line.substr(0, space));
        if (!utc || utc_text(*utc) != line.substr(0, space)) return fail(), Moment();
        return {*utc, number(line.substr(space + 1))};
    }
    std::string origin() {
        const auto line = next();
        if (!is_key_name(line)) fail();
        return std::string(line);
    }
    void fail() { ok_ = false, rest_ = {}; }
    [[nodiscard]] bool done() const { return ok_ && rest_.empty(); }

private:
    std::string_view rest_;
    bool ok_ = true;
};

std::string time_line(const Moment& at) {
    return "time " + utc_text(at.utc_ns) + " " + std::to_string(at.monotonic_ns) + "\n";
}

}  // namespace

std::string to_text(const Checkpoint& checkpoint) {
    return checkpoint.origin + "\n" + std::to_string(checkpoint.size) + "\n" + to_base64(view(checkpoint.root)) + "\n" +
           time_line(checkpoint.at);
}

Result<Checkpoint> parse_checkpoint(std::string_view text) {
    Lines lines(text);
    Checkpoint checkpoint;
    checkpoint.origin = lines.origin();
    checkpoint.size = lines.number(lines.next());
    const auto root = digest_from_base64(lines.next());
    checkpoint.at = lines.time();
    if (!lines.done() || !root) return invalid("not a checkpoint: lines of origin, size, root and time");
    checkpoint.root = *root;
    return checkpoint;
}

std::string to_text(const KeyChange& change) {
    return std::string(key_change_title) + "\n" + change.origin + "\n" + std::to_string(change.size) + "\n" +
           time_line(change.at) + "old " + (change.previous ? change.previous->to_text() : "none") + "\nnew " +
           change.key.to_text() + "\n";
}

Result<KeyChange> parse_key_change(std::string_view text) {
    Lines lines(text);
    KeyChange change;
    if (lines.next() != key_change_title) lines.fail();
    change.origin = lines.origin();
    change.size = lines.number(lines.next());
    change.at = lines.time();
    const auto previous = lines.next("old ");
    const auto key = lines.next("new ");
    if (!lines.done()) return invalid("not a note of a key change");
    auto parsed = VerifyKey::parse(key);
    if (!parsed) return parsed.error();
    change.key = *parsed;
    if (previous == "none") return change;
    parsed = VerifyKey::parse(previous);
    if (!parsed) return parsed.error();
    change.previous = *parsed;
    return change;
}

std::string sign_key_change(const KeyChange& change, const SigningKey* previous, const SigningKey& key) {
    std::vector<const SigningKey*> keys;
    if (previous) keys.push_back(previous);
    keys.push_back(&key);
    return sign_note(to_text(change), keys);
}

Result<KeyChange> open_key_change(std::string_view bytes) {
    const auto note = parse_note(bytes);
    if (!note) return note.error();
    auto change = parse_key_change(note->text);
    if (!change) return change;
    if (note->signatures.size() != (change->previous ? 2U : 1U))
        return invalid("a key change needs the signatures of the old and the new key, and no others");
    if (!note->is_signed_by(change->key)) return invalid("the key change is not signed by the new key");
    if (change->previous && !note->is_signed_by(*change->previous))
        return invalid("the key change is not signed by the old key");
    return change;
}

bool is_trusted(const VerifyKey& key, const VerifyKey& trusted, const std::vector<KeyChange>& changes) {
    if (key == trusted) return true;
    const auto reach = [&](const VerifyKey& from, const VerifyKey& to) {
        VerifyKey at = from;
        for (const auto& change : changes) {
            if (change.previous != at) continue;
            at = change.key;
            if (at == to) return true;
        }
        return false;
    };
    return reach(trusted, key) || reach(key, trusted);
}

bool checkpoint_due(const CheckpointPolicy& policy, std::uint64_t unsigned_leaves, std::uint64_t oldest_ns,
                    std::uint64_t now_ns) {
    if (unsigned_leaves == 0) return false;
    return unsigned_leaves >= policy.leaves_max || now_ns < oldest_ns || now_ns - oldest_ns >= policy.interval_ns;
}

}  // namespace trunkline::auth::audit
