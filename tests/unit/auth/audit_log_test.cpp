// Writing the trail: what is committed is there after a crash, what a crash left is told from damage.
#include "auth/audit/log.h"

#include "tests/unit/auth/audit_fixture.h"

using namespace trunkline::auth::audit;
using namespace trunkline::auth::audit::testing;

TEST_CASE("a trail that is written and opened again is good", "[auth][audit]") {
    MemoryAuditStore store;
    const SigningKey key = new_key();
    std::uint64_t size = 0;
    {
        auto log = open(store, key, 0, small_segments());
        CHECK(log->recovery().created);
        CHECK(log->size() == 1);  // the record of its creation
        fill(*log, 2000);
        size = log->size();
        CHECK(log->durable_size() == size);
    }
    CHECK(segments_of(store).size() > 3);
    {
        auto log = open(store, key, 5000, small_segments());
        CHECK_FALSE(log->recovery().created);
        CHECK_FALSE(log->recovery().tail);
        CHECK_FALSE(log->recovery().tiles_rebuilt);
        CHECK(log->size() == size);
        fill(*log, 100);
        size = log->size();
    }
    const auto report = verified(store, key.verify_key());
    for (const auto& finding : report.findings) UNSCOPED_INFO(to_text(finding));
    CHECK(report.good());
    CHECK(report.size == size);
    CHECK(report.unsigned_leaves == 0);
    CHECK(report.publishes == 2100 / 4 * 5);
    CHECK(report.records == 1 + 2100 - 2100 / 4);
    CHECK(report.warnings.empty());
}

TEST_CASE("one commit is one sync, and a checkpoint costs one more", "[auth][audit]") {
    MemoryAuditStore store;
    auto log = open(store, new_key());
    store.syncs = 0;
    REQUIRE(log->append(record(1, 10)));
    auto done = log->commit(moment(10));
    REQUIRE(done);
    CHECK_FALSE(done->checkpoint);
    CHECK(store.syncs == 1);
    done = log->commit(moment(1009));
    CHECK_FALSE(done->checkpoint);
    CHECK(store.syncs == 1);
    done = log->commit(moment(1010));
    REQUIRE(done->checkpoint);
    CHECK(done->checkpoint->size == log->size());
    CHECK(done->checkpoint->root == log->root());
    CHECK(store.syncs == 3);
    REQUIRE(log->append_leaves(leaves(10'000, 1), moment(1011)));
    CHECK(log->commit(moment(1011))->checkpoint);
}

TEST_CASE("after a power cut everything committed is there, and half a write is cut off and audited", "[auth][audit]") {
    for (const std::size_t kept : {0U, 1U, 15U, 16U, 100U, 200U, 333U, 70'000U}) {
        MemoryAuditStore store;
        const SigningKey key = new_key();
        std::uint64_t durable = 0, size = 0;
        {
            auto log = open(store, key);
            fill(*log, 50);
            durable = log->durable_size();
            // The disk takes the bytes and never says that it has.
            for (int i = 0; i < 3; ++i) REQUIRE(log->append(record(i, 2000)));
            REQUIRE(log->append_leaves(leaves(20, 9), moment(2000)));
            size = log->size();
            store.syncs_left = 0;
            const auto done = log->commit(moment(2000), true);
            REQUIRE_FALSE(done);
            CHECK(done.error().kind == Failure::failed);
            store.syncs_left = 1000;
            CHECK_FALSE(log->commit(moment(2000)));  // a failed sync is never asked again
            CHECK_FALSE(log->append(record(1)));
        }
        store.cut_power(kept);
        auto log = open(store, key, 3000);
        CHECK(log->size() >= durable);
        CHECK(log->size() <= size + 1);
        INFO("kept " << kept);
        const bool whole = kept == 0 || kept == 70'000;
        CHECK(log->recovery().tail.has_value() == !whole);
        if (log->recovery().tail) {
            CHECK(log->recovery().tail->file == segment_name(0));
            CHECK(log->recovery().tail->sequence + 1 == log->size());
        }
        fill(*log, 5, 10, 3000);
        const auto report = verified(store, key.verify_key());
        for (const auto& finding : report.findings) UNSCOPED_INFO(to_text(finding));
        CHECK(report.good());
    }
}

TEST_CASE("a power cut while a segment is begun leaves a trail that opens", "[auth][audit]") {
    for (const std::size_t kept : {0U, 1U, 40U, 300U, 1000U}) {
        MemoryAuditStore store;
        const SigningKey key = new_key();
        {
            auto log = open(store, key, 0, small_segments());
            while (segments_of(store).size() < 2) {
                store.syncs_left = 1;  // the mark's or the old segment's; then the new segment's fails
                for (int i = 0; i < 40; ++i) REQUIRE(log->append(record(i, 10)));
                if (!log->commit(moment(10))) break;
            }
            store.syncs_left = 1000;
        }
        store.cut_power(kept);
        auto log = open(store, key, 3000, small_segments());
        fill(*log, 300);
        const auto report = verified(store, key.verify_key());
        for (const auto& finding : report.findings) UNSCOPED_INFO(to_text(finding));
        CHECK(report.good());
    }
}

TEST_CASE("damage before the last durable commit is an error that names the place", "[auth][audit]") {
    MemoryAuditStore store;
    const SigningKey key = new_key();
    {
        auto log = open(store, key);
        fill(*log, 50);
    }
    const std::string good = store.bytes(segment_name(0));
    const auto refused = [&](const std::string& what) {
        const auto log = AuditLog::open(store, key, moment(1));
        REQUIRE_FALSE(log);
        CHECK(log.error().kind == Failure::damaged);
        CHECK(log.error().message.find(what) != std::string::npos);
    };
    SECTION("a byte") {
        store.bytes(segment_name(0))[good.size() / 2] ^= 4;
        refused("segment-00000000000000000000.tla at offset");
    }
    SECTION("the last byte") {
        store.bytes(segment_name(0)).back() ^= 4;
        refused("checksum");
    }
    SECTION("the tail is gone within a record") {
        store.bytes(segment_name(0)).resize(good.size() - 3);
        refused("the file ends within it");
    }
    SECTION("whole records are gone") {
        std::size_t at = 0, last = 0;
        REQUIRE(decode_segment_header(good, at));
        while (at < good.size()) last = at, at += next_frame(std::string_view(good).substr(at)).size;
        store.bytes(segment_name(0)).resize(last);
        refused("was durable up to offset");
    }
    SECTION("the segment is gone") {
        REQUIRE(store.remove(segment_name(0)));
        refused("segment-00000000000000000000.tla is missing");
    }
    SECTION("the mark is gone") {
        REQUIRE(store.remove(mark_name));
        refused("mark is missing");
    }
    SECTION("the caller knows of more") {
        LogOptions options;
        options.durable_at_least = 1000;
        const auto log = AuditLog::open(store, key, moment(1), options);
        REQUIRE_FALSE(log);
        CHECK(log.error().message.find("1000 records were durable") != std::string::npos);
    }
    SECTION("another key") {
        const auto log = AuditLog::open(store, new_key(), moment(1));
        REQUIRE_FALSE(log);
        CHECK(log.error().message.find("rotation") != std::string::npos);
    }
}

TEST_CASE("a full disk loses nothing: the commit succeeds once there is room", "[auth][audit]") {
    MemoryAuditStore store;
    const SigningKey key = new_key();
    auto log = open(store, key, 0, small_segments());
    store.space = 100'000;
    bool full = false;
    int written = 0;
    for (; written < 2000; ++written) {
        REQUIRE(log->append(record(written, 10)));
        const auto done = log->commit(moment(10));
        if (done) continue;
        CHECK(done.error().kind == Failure::no_space);
        full = true;
    }
    REQUIRE(full);
    CHECK(log->durable_size() < log->size());
    store.space = 100'000'000;
    REQUIRE(log->commit(moment(20), true));
    CHECK(log->durable_size() == 2001);
    const auto report = verified(store, key.verify_key());
    for (const auto& finding : report.findings) UNSCOPED_INFO(to_text(finding));
    CHECK(report.good());
    CHECK(report.size == 2001);

    LogOptions options;
    options.pending_bytes_max = 10'000;
    MemoryAuditStore other;
    auto bounded = open(other, key, 0, options);
    other.space = 0;
    int taken = 0;
    while (taken < 1000 && bounded->append(record(taken, 10))) ++taken;
    CHECK(taken < 100);
}

TEST_CASE("tiles that are missing or wrong are made again, and that is audited", "[auth][audit]") {
    MemoryAuditStore store;
    const SigningKey key = new_key();
    {
        auto log = open(store, key, 0, small_segments());
        fill(*log, 2000);
    }
    const std::string tiles = store.bytes(tile_file_name(0, 0));
    SECTION("missing") { REQUIRE(store.remove(tile_file_name(0, 0))); }
    SECTION("short") { store.bytes(tile_file_name(0, 0)).resize(100); }
    SECTION("wrong") { store.bytes(tile_file_name(1, 0))[3] ^= 1; }
    auto log = open(store, key, 2000, small_segments());
    CHECK(log->recovery().tiles_rebuilt);
    CHECK(store.bytes(tile_file_name(0, 0)).starts_with(tiles));
    CHECK(verified(store, key.verify_key()).good());
}

TEST_CASE("a new key signs after the old one, and either can be trusted", "[auth][audit]") {
    MemoryAuditStore store;
    const SigningKey one = new_key(), two = new_key();
    {
        auto log = open(store, one, 0, small_segments());
        fill(*log, 600);
        REQUIRE(log->rotate_key(two, moment(2000), "anna", "yearly"));
        CHECK(log->key() == two.verify_key());
        fill(*log, 600, 10, 3000);
    }
    auto log = open(store, two, 4000, small_segments());
    for (const SigningKey* trusted : {&one, &two}) {
        const auto report = verified(store, trusted->verify_key());
        for (const auto& finding : report.findings) UNSCOPED_INFO(to_text(finding));
        CHECK(report.good());
        CHECK(report.key_changes == 2);
    }
    const auto report = verified(store, new_key().verify_key());
    REQUIRE_FALSE(report.good());
    CHECK(report.findings.front().kind == Finding::Kind::checkpoint);
    CHECK_FALSE(log->rotate_key(two, moment(5000), "anna", "again"));
}

TEST_CASE("files have modes 0600 in a folder of 0700, and two writers are refused", "[auth][audit]") {
    char folder[] = "/tmp/trunkline-audit-XXXXXX";
    REQUIRE(mkdtemp(folder) != nullptr);
    const std::string path = std::string(folder) + "/audit";
    const SigningKey key = new_key();
    {
        auto store = FileAuditStore::open(path, FileAuditStore::Mode::write);
        REQUIRE(store);
        CHECK_FALSE(FileAuditStore::open(path, FileAuditStore::Mode::write));
        {
            auto log = open(**store, key, 0, small_segments());
            fill(*log, 2000, 100);
        }
        const auto report = verified(**store, key.verify_key());
        for (const auto& finding : report.findings) UNSCOPED_INFO(to_text(finding));
        CHECK(report.good());
        const std::string command = "test -z \"$(find " + path + " -type f ! -perm 600)\" && test -z \"$(find " + path +
                                    " -type d ! -perm 700)\"";
        CHECK(std::system(command.c_str()) == 0);
        CHECK_FALSE((*store)->append("../x", "y"));
        CHECK_FALSE((*store)->append("a/b", "y"));
    }
    {
        auto store = FileAuditStore::open(path, FileAuditStore::Mode::write);
        REQUIRE(store);
        auto log = open(**store, key, 1, small_segments());
        CHECK_FALSE(log->recovery().tail);
        CHECK_FALSE(log->recovery().tiles_rebuilt);
    }
    auto reading = FileAuditStore::open(path, FileAuditStore::Mode::read);
    REQUIRE(reading);
    CHECK_FALSE((*reading)->append("x", "y"));
    CHECK(std::system(("rm -rf " + std::string(folder)).c_str()) == 0);
}
