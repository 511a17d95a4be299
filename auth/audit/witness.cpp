#include "auth/audit/witness.h"

#include <algorithm>
#include <optional>

namespace trunkline::auth::audit {
namespace {

constexpr std::string_view tag = "trunkline-checkpoint ";

/// The checkpoint of a line from its tag on. The readable fields must say what the note says.
Result<Witnessed> parse_line(std::string_view line) {
    const std::size_t at = line.find(" note=");
    if (at == std::string_view::npos) return invalid("no note");
    const auto bytes = from_base64(line.substr(at + 6));
    if (!bytes) return invalid("its note is not Base64");
    auto note = parse_note(*bytes);
    if (!note) return note.error();
    auto checkpoint = parse_checkpoint(note->text);
    if (!checkpoint) return checkpoint.error();
    const std::string whole = witness_line(*checkpoint, *bytes);
    if (whole.substr(whole.find(tag)) != line) return invalid("its fields differ from its note");
    return Witnessed{std::move(*checkpoint), std::move(*note), 0};
}

}  // namespace

std::string witness_line(const Checkpoint& checkpoint, std::string_view note) {
    return utc_text(checkpoint.at.utc_ns) + " " + std::string(tag) + "origin=" + checkpoint.origin +
           " size=" + std::to_string(checkpoint.size) + " root=" + to_base64(view(checkpoint.root)) +
           " note=" + to_base64(note);
}

WitnessText parse_witness_text(std::string_view text) {
    WitnessText found;
    for (std::uint64_t number = 1; !text.empty(); ++number) {
        const std::size_t end = text.find('\n');
        const bool whole = end != std::string_view::npos;
        std::string_view line = text.substr(0, end);
        text.remove_prefix(whole ? end + 1 : text.size());
        while (line.ends_with('\r') || line.ends_with(' ')) line.remove_suffix(1);
        const std::size_t at = line.find(tag);
        if (at == std::string_view::npos) {
            found.torn = found.torn || (!whole && !line.empty());
            continue;
        }
        auto parsed = parse_line(line.substr(at));
        if (parsed) {
            parsed->line = number;
            found.checkpoints.push_back(std::move(*parsed));
        } else if (!whole) {
            found.torn = true;
        } else {
            found.problems.push_back("line " + std::to_string(number) + ": " + parsed.error().message);
        }
    }
    return found;
}

void WitnessQueue::add(std::string line) {
    if (lines_.size() == lines_max) {
        lines_.pop_front();
        ++dropped_;
    }
    lines_.push_back(std::move(line));
}

void WitnessQueue::pump(std::uint64_t now_ns) {
    if (now_ns < retry_at_ns_ && now_ns + retry_last_ns >= retry_at_ns_) return;  // a clock set back ends the pause
    while (!lines_.empty()) {
        const Status done = witness_->deliver(lines_.front());
        if (!done) {
            ++failures_;
            last_error_ = done.error().message;
            pause_ns_ = pause_ns_ ? std::min(pause_ns_ * 2, retry_last_ns) : retry_first_ns;
            retry_at_ns_ = now_ns + pause_ns_;
            return;
        }
        lines_.pop_front();
        ++delivered_;
        pause_ns_ = retry_at_ns_ = 0;
        last_error_.clear();
    }
}

}  // namespace trunkline::auth::audit
