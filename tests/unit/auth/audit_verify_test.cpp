// An attacker with the disk in hand: whatever is changed is found, and the first bad record is named.
#include "auth/audit/verify.h"

#include <cstdlib>
#include <functional>

#include "auth/audit/bytes.h"
#include "auth/audit/prove.h"
#include "auth/audit/reader.h"
#include "tests/unit/auth/audit_fixture.h"

using namespace trunkline::auth::audit;
using namespace trunkline::auth::audit::testing;
using Kind = Finding::Kind;

namespace {

struct Trail {
    MemoryAuditStore store;
    SigningKey key = new_key();
    std::string witness;

    explicit Trail(int entries, int step = 10) {
        auto log = open(store, key, 0, small_segments());
        log->add_witness(std::make_unique<KeptLines>(witness));
        fill(*log, entries, step);
        log->pump_witnesses(1);
    }
    VerifyReport check(bool with_witness = false) {
        std::vector<WitnessFile> witnesses;
        if (with_witness) witnesses.push_back({"kept", witness});
        return verified(store, key.verify_key(), witnesses);
    }
    /// The frames of the first segment, each with its offset.
    std::vector<std::pair<std::size_t, std::string>> frames() {
        const std::string& bytes = store.bytes(segment_name(0));
        std::size_t at = 0;
        REQUIRE(decode_segment_header(bytes, at));
        std::vector<std::pair<std::size_t, std::string>> found;
        while (at < bytes.size()) {
            const auto frame = next_frame(std::string_view(bytes).substr(at));
            REQUIRE(frame.state == FrameView::State::whole);
            found.emplace_back(at, bytes.substr(at, frame.size));
            at += frame.size;
        }
        return found;
    }
    /// Writes the first segment anew with frames as `edit` leaves them, their checksums and numbers made to fit.
    void rewrite(const std::function<void(std::vector<std::pair<FrameType, std::string>>&)>& edit) {
        std::string& bytes = store.bytes(segment_name(0));
        std::size_t header = 0;
        REQUIRE(decode_segment_header(bytes, header));
        std::vector<std::pair<FrameType, std::string>> bodies;
        for (const auto& [at, text] : frames()) {
            const auto frame = next_frame(text);
            bodies.emplace_back(frame.type, std::string(frame.body));
        }
        edit(bodies);
        bytes.resize(header);
        std::uint64_t sequence = 0;
        for (auto& [type, body] : bodies) {
            if (type == FrameType::record) {
                auto parsed = decode_record(body);
                REQUIRE(parsed);
                parsed->sequence = sequence;
                body = encode(*parsed);
            }
            put_frame(bytes, type, sequence, body);
            if (type == FrameType::record) ++sequence;
            if (type == FrameType::leaves) sequence += body.size() / sizeof(Digest);
        }
    }
    void forget_tiles() {
        for (const auto& name : *store.list())
            if (name.starts_with("tiles-")) REQUIRE(store.remove(name));
    }
};

void change_reason(std::string& body) {
    auto parsed = decode_record(body);
    REQUIRE(parsed);
    parsed->reason = "something else";
    body = encode(*parsed);
}

/// The first finding that is not about tiles that the test itself removed.
Finding first(const VerifyReport& report) {
    for (const auto& finding : report.findings)
        if (finding.kind != Kind::tiles) return finding;
    FAIL("nothing found");
    return {};
}

}  // namespace

TEST_CASE("10,000 random edits of a byte in any file are all found", "[auth][audit]") {
    Trail trail(40, 40);
    REQUIRE(trail.check().good());
    const auto names = *trail.store.list();
    std::mt19937 random(4);
    std::size_t whole = 0;
    for (const auto& name : names) whole += trail.store.bytes(name).size();
    const char* wanted = std::getenv("TRUNKLINE_AUDIT_EDITS");
    const int edits = wanted ? std::atoi(wanted) : 10'000;
    int found = 0;
    for (int round = 0; round < edits; ++round) {
        std::size_t place = random() % whole;
        std::string file;
        for (const auto& name : names) {
            file = name;
            if (place < trail.store.bytes(name).size()) break;
            place -= trail.store.bytes(name).size();
        }
        char& byte = trail.store.bytes(file)[place];
        const char before = byte;
        byte = static_cast<char>(byte ^ static_cast<char>(1 + random() % 255));
        const auto report = trail.check();
        if (!report.good()) ++found;
        if (report.good()) UNSCOPED_INFO("not found: " << file << " at " << place);
        if (segment_first(file) && !report.good()) {
            // The named frame is the one that holds the byte.
            const auto& finding = report.findings.front();
            if (finding.file != file || finding.offset > place) UNSCOPED_INFO("named wrongly: " << to_text(finding));
            CHECK((finding.file == file && finding.offset <= place));
        }
        byte = before;
    }
    CHECK(found == edits);
    CHECK(trail.check().good());
}

TEST_CASE("an edited record is named, also when its checksum was made to fit", "[auth][audit]") {
    Trail trail(100);
    std::uint64_t sequence = 0;
    trail.rewrite([&](auto& bodies) {
        REQUIRE(bodies[38].first == FrameType::record);
        sequence = decode_record(bodies[38].second)->sequence;
        change_reason(bodies[38].second);
    });
    const auto place = trail.frames()[38].first;
    SECTION("the kept hashes tell which one it is") {
        const auto found = first(trail.check());
        CHECK(found.kind == Kind::changed);
        CHECK(found.sequence == sequence);
        CHECK(found.last_sequence == sequence);
        CHECK(found.file == segment_name(0));
        CHECK(found.offset == place);
    }
    SECTION("without them it is one of those between two checkpoints") {
        trail.forget_tiles();
        const auto found = first(trail.check());
        CHECK(found.kind == Kind::changed);
        CHECK(found.sequence <= sequence);
        CHECK(found.last_sequence >= sequence);
        CHECK(found.last_sequence - found.sequence < 30);
    }
}

TEST_CASE("a deleted record is named", "[auth][audit]") {
    Trail trail(100);
    SECTION("cut out") {
        const auto frames = trail.frames();
        const auto sequence = next_frame(frames[20].second).sequence;
        trail.store.bytes(segment_name(0)).erase(frames[20].first, frames[20].second.size());
        const auto found = first(trail.check());
        CHECK(found.kind == Kind::missing);
        CHECK(found.sequence == sequence);
        CHECK(found.offset == frames[20].first);
    }
    SECTION("with all that follow renumbered") {
        const auto sequence = next_frame(trail.frames()[20].second).sequence;
        trail.rewrite([](auto& bodies) { bodies.erase(bodies.begin() + 20); });
        const auto found = first(trail.check());
        CHECK(found.kind == Kind::changed);
        CHECK(found.sequence == sequence);
        trail.forget_tiles();
        const auto again = first(trail.check());
        CHECK(again.kind == Kind::changed);
        CHECK(again.sequence <= sequence);
        CHECK(again.last_sequence + 1 >= sequence);
    }
    SECTION("a leaf within a batch of publishes") {
        std::uint64_t sequence = 0;
        trail.rewrite([&](auto& bodies) {
            for (auto& [type, body] : bodies) {
                if (type == FrameType::record || type == FrameType::leaves) ++sequence;
                if (type != FrameType::leaves) continue;
                body.erase(32, 32);
                break;
            }
        });
        CHECK(first(trail.check()).sequence == sequence);  // one after the batch's first
    }
    SECTION("a whole segment") {
        Trail longer(2000);
        const auto names = segments_of(longer.store);
        REQUIRE(names.size() > 3);
        REQUIRE(longer.store.remove(names[1]));
        const auto found = first(longer.check());
        CHECK(found.kind == Kind::missing);
        CHECK(found.sequence == *segment_first(names[1]));
        CHECK(found.last_sequence + 1 == *segment_first(names[2]));
        CHECK(found.file == names[1]);
    }
    SECTION("the first segments") {
        Trail longer(2000);
        const auto names = segments_of(longer.store);
        REQUIRE(longer.store.remove(names[0]));
        CHECK(first(longer.check()).kind == Kind::missing);
        VerifyOptions options;
        options.key = longer.key.verify_key();
        options.allow_missing_start = true;
        CHECK(verify(longer.store, options)->good());
    }
}

TEST_CASE("reordered records are named", "[auth][audit]") {
    Trail trail(100);
    const auto frames = trail.frames();
    REQUIRE(next_frame(frames[20].second).type == FrameType::record);
    REQUIRE(next_frame(frames[21].second).type == FrameType::record);
    const auto sequence = next_frame(frames[20].second).sequence;
    SECTION("as they are") {
        trail.store.bytes(segment_name(0))
            .replace(frames[20].first, frames[20].second.size() + frames[21].second.size(),
                     frames[21].second + frames[20].second);
        const auto found = first(trail.check());
        CHECK(found.sequence == sequence);
        CHECK(found.offset == frames[20].first);
    }
    SECTION("with their numbers exchanged") {
        trail.rewrite([](auto& bodies) { std::swap(bodies[20], bodies[21]); });
        CHECK(first(trail.check()).sequence == sequence);
    }
}

TEST_CASE("a tail that was cut off is found, by the mark or by a witness", "[auth][audit]") {
    Trail trail(100);
    const auto frames = trail.frames();
    std::size_t keep = 0;  // up to a checkpoint in the middle
    std::uint64_t size = 0;
    for (std::size_t i = 0; i < frames.size() / 2; ++i) {
        const auto frame = next_frame(frames[i].second);
        if (frame.type == FrameType::checkpoint) keep = frames[i].first + frame.size, size = frame.sequence;
    }
    std::string& bytes = trail.store.bytes(segment_name(0));
    bytes.resize(keep);
    SECTION("the mark remembers") {
        const auto found = first(trail.check());
        CHECK(found.kind == Kind::missing);
        CHECK(found.sequence == size);
        CHECK(found.offset == keep);
    }
    SECTION("a disk rolled back is good in itself, and a witness knows better") {
        trail.store.bytes(mark_name) = encode(Mark{2, 0, keep, size});
        CHECK(trail.check().good());
        const auto found = first(trail.check(true));
        CHECK(found.kind == Kind::missing);
        CHECK(found.sequence == size);
        CHECK(found.file == segment_name(0));
        CHECK(found.offset == keep);
        CHECK(found.message.find("rolled back") != std::string::npos);
    }
    SECTION("within a record") {
        bytes.resize(keep - 5);
        const auto found = first(trail.check());
        CHECK(found.kind == Kind::frame);
    }
}

TEST_CASE("who has the key and rewrites the trail is found by a witness", "[auth][audit]") {
    Trail trail(100);
    CHECK(trail.check(true).good());
    CHECK(trail.check(true).witnessed > 5);
    MemoryAuditStore other;
    {
        auto log = open(other, trail.key, 0, small_segments());
        fill(*log, 50);
        REQUIRE(log->append(record(1234, 1000)));
        fill(*log, 60);
    }
    CHECK(verified(other, trail.key.verify_key()).good());
    const auto report = verified(other, trail.key.verify_key(), {{"kept", trail.witness}});
    REQUIRE_FALSE(report.good());
    CHECK(first(report).kind == Kind::witness);
}

TEST_CASE("an empty or unsigned trail is not a good one", "[auth][audit]") {
    MemoryAuditStore store;
    const SigningKey key = new_key();
    store.bytes(segment_name(0)) = "";
    store.bytes(mark_name) = encode(Mark{});
    CHECK_FALSE(verified(store, key.verify_key()).good());
    store.bytes(segment_name(0)) = encode(SegmentHeader{"plant-1/audit", std::nullopt, {}});
    CHECK_FALSE(verified(store, key.verify_key()).good());
}

TEST_CASE("a checkpoint that another key signed is no checkpoint", "[auth][audit]") {
    Trail trail(100);
    const SigningKey foreign = new_key();
    std::uint64_t sequence = 0;
    trail.rewrite([&](auto& bodies) {
        sequence = decode_record(bodies[5].second)->sequence;
        change_reason(bodies[5].second);
        CompactTree tree;
        for (auto& [type, body] : bodies) {
            if (type == FrameType::record) tree.append(hash_leaf(body));
            if (type == FrameType::leaves)
                for (std::size_t i = 0; i < body.size() / 32; ++i)
                    tree.append(ByteReader(body.substr(i * 32)).take_digest());
            if (type != FrameType::checkpoint || tree.size() <= sequence) continue;
            Checkpoint made{"plant-1/audit", tree.size(), tree.root(), moment(1)};
            body = sign_note(to_text(made), {&foreign});
        }
    });
    CHECK(first(trail.check()).kind == Kind::changed);
    CHECK(first(trail.check()).sequence == sequence);
}

TEST_CASE("a proof of a record or a publish stands alone, and no part of it can be changed", "[auth][audit]") {
    MemoryAuditStore store;
    const SigningKey one = new_key(), two = new_key();
    const PublishFacts facts{moment(7), "edge-1", "edge-1-client", "acme/munich/temperature", sha256("23.5")};
    {
        auto log = open(store, one, 0, small_segments());
        fill(*log, 400);
        REQUIRE(log->append_leaves(std::vector<Digest>{hash_leaf("x"), hash_leaf(encode(facts))}, moment(8)));
        REQUIRE(log->rotate_key(two, moment(2000), "anna", "yearly"));
        fill(*log, 400, 10, 3000);
    }
    const auto proof = prove_record(store, 3);
    REQUIRE(proof);
    for (const SigningKey* trusted : {&one, &two}) {
        const auto proven = check_proof(*proof, trusted->verify_key());
        REQUIRE(proven);
        CHECK(proven->sequence == 3);
        CHECK(proven->summary.find("\"sequence\":3") != std::string::npos);
    }
    CHECK_FALSE(check_proof(*proof, new_key().verify_key()));
    const auto publish =
        publish_from_json("{\"time\":\"" + utc_text(facts.at.utc_ns) +
                          "\",\"monotonic_ns\":7000000,\"principal\":\"edge-1\",\"client_id\":"
                          "\"edge-1-client\",\"topic\":\"acme/munich/temperature\",\"payload_sha256\":\"" +
                          to_hex(sha256("23.5")) + "\"}");
    REQUIRE(publish);
    CHECK(*publish == encode(facts));
    const auto of_publish = prove_publish(store, *publish);
    REQUIRE(of_publish);
    const auto proven = check_proof(*of_publish, one.verify_key());
    REQUIRE(proven);
    CHECK(proven->summary.find("acme/munich/temperature") != std::string::npos);
    CHECK_FALSE(prove_publish(store, encode(PublishFacts{})));
    CHECK(prove_record(store, proven->sequence).error().kind == Failure::absent);
    CHECK(prove_record(store, 1'000'000).error().kind == Failure::absent);
    std::mt19937 random(5);
    for (int round = 0; round < 500; ++round) {
        std::string other = *proof;
        const std::size_t at = random() % other.size();
        if (std::isspace(static_cast<unsigned char>(other[at]))) continue;
        other[at] = static_cast<char>(other[at] ^ (1 << random() % 7));
        const auto changed = check_proof(other, two.verify_key());
        if (changed) CHECK(changed->summary == check_proof(*proof, two.verify_key())->summary);
    }
}

TEST_CASE("records are searched by actor, action, object and time", "[auth][audit]") {
    MemoryAuditStore store;
    auto log = open(store, new_key(), 0, small_segments());
    for (int i = 0; i < 1500; ++i) REQUIRE(log->append(record(i, static_cast<std::uint64_t>(1000 + i))));
    REQUIRE(log->commit(moment(9000), true));
    const auto reader = TrailReader::open(store);
    REQUIRE(reader);
    const auto count = [&](const RecordFilter& filter) {
        int found = 0;
        REQUIRE(reader->for_each(filter, [&](const Record&) { return ++found, true; }));
        return found;
    };
    RecordFilter filter;
    CHECK(count(filter) == 1501);
    filter.actor = "operator-3";
    CHECK(count(filter) == 214);
    filter.action = "log*";
    CHECK(count(filter) == 72);
    filter = {};
    filter.object = "object/14*";
    CHECK(count(filter) == 111);
    filter = {};
    filter.from_utc_ns = moment(1100).utc_ns;
    filter.to_utc_ns = moment(1110).utc_ns;
    CHECK(count(filter) == 10);
    filter = {};
    filter.from_sequence = 1400;
    CHECK(count(filter) == 101);
    filter.outcome = Outcome::denied;
    CHECK(count(filter) == 0);
}
