#include "auth/audit/verify.h"

#include <algorithm>
#include <atomic>
#include <thread>

#include "auth/audit/tiles.h"
#include "auth/audit/verify_segment.h"

namespace trunkline::auth::audit {
namespace {

using Kind = Finding::Kind;

struct WitnessEntry {
    Witnessed seen;
    std::string who;  ///< "FILE:LINE"
};

/// All segments, verified side by side.
std::vector<SegmentResult> verify_segments(const AuditStore& store, const std::vector<std::uint64_t>& firsts,
                                           const std::string& origin, const std::vector<ExpectedRoot>& expected,
                                           unsigned threads) {
    std::vector<SegmentResult> results(firsts.size());
    std::atomic<std::size_t> next = 0;
    const auto work = [&] {
        for (std::size_t i = next++; i < firsts.size(); i = next++) {
            std::vector<ExpectedRoot> mine;
            for (const auto& root : expected)
                if (root.size > firsts[i] && (i + 1 == firsts.size() || root.size <= firsts[i + 1]))
                    mine.push_back(root);
            results[i] = verify_segment(store, firsts[i], i + 1 == firsts.size(), origin, mine);
        }
    };
    if (threads == 0) threads = std::max(1U, std::thread::hardware_concurrency());
    std::vector<std::thread> helpers;
    for (std::size_t i = 1; i < std::min<std::size_t>(threads, firsts.size()); ++i) helpers.emplace_back(work);
    work();
    for (auto& helper : helpers) helper.join();
    return results;
}

class Verification {
public:
    Verification(const AuditStore& store, const VerifyOptions& options) : store_(store), options_(options) {}

    Result<VerifyReport> run();

private:
    void read_witnesses();
    void join_segments();
    void judge_start();
    void judge_mark();
    void judge_keys();
    void judge_witnesses();
    void judge_files(const std::vector<std::string>& names);
    void add(Kind kind, std::uint64_t sequence, const std::string& file, std::uint64_t offset, std::string message);
    [[nodiscard]] bool trusted(const VerifyKey& key) const { return is_trusted(key, options_.key, changes_); }
    [[nodiscard]] bool signed_by_trail(const Note& note) const;

    const AuditStore& store_;
    const VerifyOptions& options_;
    VerifyReport report_;
    std::vector<WitnessEntry> witnessed_;
    std::vector<std::pair<std::string, std::string>> witness_problems_;  ///< file, what
    std::vector<ExpectedRoot> expected_;
    std::vector<SegmentResult> segments_;
    std::vector<KeyChange> changes_;
};

void Verification::add(Kind kind, std::uint64_t sequence, const std::string& file, std::uint64_t offset,
                       std::string message) {
    report_.findings.push_back({kind, sequence, sequence, file, offset, std::move(message)});
}

void Verification::read_witnesses() {
    for (const auto& file : options_.witnesses) {
        auto text = parse_witness_text(file.text);
        for (auto& seen : text.checkpoints) {
            if (seen.checkpoint.origin != options_.key.name) continue;  // syslog carries those of several brokers
            std::string who = file.name + ":" + std::to_string(seen.line);
            witnessed_.push_back({std::move(seen), std::move(who)});
        }
        for (auto& problem : text.problems) witness_problems_.emplace_back(file.name, std::move(problem));
        if (text.torn) report_.warnings.push_back(file.name + ": the last line is not whole");
    }
    for (std::size_t i = 0; i < witnessed_.size(); ++i)
        expected_.push_back({witnessed_[i].seen.checkpoint.size, witnessed_[i].seen.checkpoint.root, i});
    std::stable_sort(expected_.begin(), expected_.end(), [](const auto& a, const auto& b) { return a.size < b.size; });
}

void Verification::judge_start() {
    const auto& first = segments_.front();
    report_.first = first.first;
    if (first.first == 0) {
        if (first.readable && first.start_key) add(Kind::header, 0, first.name, 0, "the first segment names a key");
        return;
    }
    if (options_.allow_missing_start) {
        report_.warnings.push_back("records before " + std::to_string(first.first) + " are not here");
        return;
    }
    Finding finding{Kind::missing, 0, first.first - 1, segment_name(0), 0, "the first segments are missing"};
    report_.findings.push_back(std::move(finding));
}

/// Each segment must begin where the one before ends.
void Verification::join_segments() {
    for (std::size_t i = 0; i < segments_.size(); ++i) {
        auto& segment = segments_[i];
        report_.findings.insert(report_.findings.end(), segment.findings.begin(), segment.findings.end());
        report_.records += segment.records;
        report_.publishes += segment.publishes;
        report_.checkpoints += segment.checkpoints;
        report_.witnessed += segment.witnessed;
        report_.key_changes += segment.key_changes.size();
        changes_.insert(changes_.end(), segment.key_changes.begin(), segment.key_changes.end());
        if (segment.newest) report_.newest = segment.newest;
        if (i == 0) continue;
        const auto& before = segments_[i - 1];
        if (!before.complete || !segment.readable) continue;
        if (before.end.size() < segment.first) {
            Finding finding{Kind::missing,
                            before.end.size(),
                            segment.first - 1,
                            segment_name(before.end.size()),
                            0,
                            "a segment is missing: the next one starts at " + std::to_string(segment.first)};
            report_.findings.push_back(std::move(finding));
        } else if (before.end != segment.start || before.end_key != segment.start_key) {
            add(Kind::header, segment.first, segment.name, 0, "it does not continue the segment before it");
        }
    }
    const auto& last = segments_.back();
    report_.segments = segments_.size();
    report_.size = last.readable ? last.end.size() : last.first;
    const std::uint64_t covered = report_.newest ? report_.newest->size : report_.first;
    report_.unsigned_leaves = report_.size - std::min(report_.size, covered);
    if (report_.unsigned_leaves)
        report_.warnings.push_back("the last " + std::to_string(report_.unsigned_leaves) +
                                   " records are not covered by a checkpoint yet");
}

void Verification::judge_mark() {
    const auto& last = segments_.back();
    const auto bytes = store_.read(mark_name, 0, 4 * mark_slot_size);
    const auto file = decode_mark_file(bytes ? *bytes : std::string());
    if (!file.newest || file.slot_damaged)
        add(Kind::mark, report_.size, mark_name, 0,
            file.newest ? "half of it is damaged: a crash while it was written, or an edit" : "missing or damaged");
    const Mark mark = file.newest.value_or(Mark());
    const bool here = mark.segment == last.first;
    if (last.torn && (mark.segment > last.first || (here && last.end_offset < mark.end) || report_.size < mark.size)) {
        add(last.readable ? Kind::frame : Kind::header, report_.size, last.name, last.end_offset, last.torn_what);
    } else if (last.torn) {
        report_.warnings.push_back(last.name + " at offset " + std::to_string(last.end_offset) +
                                   ": a write that was not finished; the broker cuts it off at its next start");
    }
    const bool whole = last.findings.empty() && !last.torn;
    if (whole && (report_.size < mark.size || mark.segment > last.first || (here && last.end_offset < mark.end))) {
        Finding finding{Kind::missing,
                        report_.size,
                        std::max(mark.size, report_.size + 1) - 1,
                        last.name,
                        last.end_offset,
                        "the end is missing: " + std::to_string(mark.size) + " records were durable"};
        report_.findings.push_back(std::move(finding));
    }
}

void Verification::judge_keys() {
    for (const auto& segment : segments_) {
        const auto tell = [&](const VerifyKey& key, std::uint64_t sequence, std::uint64_t offset) {
            add(Kind::checkpoint, sequence, segment.name, offset,
                "signed by " + key.to_text() + ", which no signed key change connects with the key that you trust");
        };
        if (segment.start_key && !trusted(*segment.start_key)) {
            tell(*segment.start_key, segment.first, 0);
            return;
        }
        for (std::size_t i = 0; i < segment.key_changes.size(); ++i) {
            const auto& change = segment.key_changes[i];
            if (trusted(change.key)) continue;
            tell(change.key, change.size, segment.key_change_offsets[i]);
            return;
        }
    }
}

bool Verification::signed_by_trail(const Note& note) const {
    if (note.is_signed_by(options_.key)) return true;
    return std::any_of(changes_.begin(), changes_.end(),
                       [&](const auto& change) { return trusted(change.key) && note.is_signed_by(change.key); });
}

void Verification::judge_witnesses() {
    const auto unsigned_line = [&](const WitnessEntry& entry) {
        if (signed_by_trail(entry.seen.note)) return false;
        add(Kind::witness, report_.size, entry.who, 0, "a checkpoint that no key of this trail has signed");
        return true;
    };
    for (auto& [file, problem] : witness_problems_) add(Kind::witness, report_.size, file, 0, std::move(problem));
    for (const auto& segment : segments_) {
        for (const auto& other : segment.disagreed) {
            const auto& entry = witnessed_[other.expected.witness];
            if (unsigned_line(entry)) continue;
            Finding finding{Kind::witness,
                            other.last_agreed,
                            other.expected.size - 1,
                            segment.name,
                            other.offset,
                            entry.who + " saw another tree of " + std::to_string(other.expected.size) +
                                " records: this trail was rewritten"};
            report_.findings.push_back(std::move(finding));
            break;  // those after it disagree too
        }
    }
    const auto& last = segments_.back();
    if (!last.complete && last.readable) return;  // it ends early, and that is told already
    for (auto it = expected_.rbegin(); it != expected_.rend() && it->size > report_.size; ++it) {
        const auto& entry = witnessed_[it->witness];
        if (unsigned_line(entry)) continue;
        Finding finding{Kind::missing,
                        report_.size,
                        it->size - 1,
                        last.name,
                        last.end_offset,
                        entry.who + " saw " + std::to_string(it->size) + " records at " +
                            utc_text(entry.seen.checkpoint.at.utc_ns) + ": the trail was cut or rolled back"};
        report_.findings.push_back(std::move(finding));
        return;
    }
}

void Verification::judge_files(const std::vector<std::string>& names) {
    for (const auto& name : names) {
        if (name == mark_name || segment_first(name)) continue;
        if (name.starts_with("tiles-") && name.ends_with(".hash")) continue;
        report_.warnings.push_back(name + ": not a file of the trail");
    }
}

Result<VerifyReport> Verification::run() {
    const auto names = store_.list();
    if (!names) return names.error();
    std::vector<std::uint64_t> firsts;
    for (const auto& name : *names)
        if (const auto first = segment_first(name)) firsts.push_back(*first);
    if (firsts.empty()) return Error{Failure::absent, "there is no segment of an audit trail here"};
    std::sort(firsts.begin(), firsts.end());
    read_witnesses();
    segments_ = verify_segments(store_, firsts, options_.key.name, expected_, options_.threads);
    for (const auto& segment : segments_)
        if (segment.error) return *segment.error;
    judge_start();
    join_segments();
    judge_keys();
    judge_mark();
    judge_witnesses();
    judge_files(*names);
    if (report_.good() && !report_.newest)
        add(Kind::checkpoint, report_.first, segments_.back().name, 0,
            "nothing here is signed: there is no checkpoint");
    std::stable_sort(report_.findings.begin(), report_.findings.end(),
                     [](const auto& a, const auto& b) { return a.sequence < b.sequence; });
    return std::move(report_);
}

}  // namespace

std::string_view to_text(Finding::Kind kind) {
    switch (kind) {
        case Kind::frame:
            return "damaged";
        case Kind::record:
            return "not a record";
        case Kind::order:
            return "out of order";
        case Kind::missing:
            return "missing";
        case Kind::changed:
            return "changed";
        case Kind::checkpoint:
            return "bad checkpoint";
        case Kind::witness:
            return "witness";
        case Kind::tiles:
            return "tiles";
        case Kind::mark:
            return "mark";
        case Kind::header:
            return "bad header";
    }
    return "?";
}

std::string to_text(const Finding& finding) {
    std::string text = "record " + std::to_string(finding.sequence);
    if (finding.last_sequence != finding.sequence) text += " to " + std::to_string(finding.last_sequence);
    return text + " (" + finding.file + ", offset " + std::to_string(finding.offset) +
           "): " + std::string(to_text(finding.kind)) + ": " + finding.message;
}

Result<VerifyReport> verify(const AuditStore& store, const VerifyOptions& options) {
    return Verification(store, options).run();
}

}  // namespace trunkline::auth::audit
