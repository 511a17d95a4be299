// The audit trail's service over a store in memory: crashes, power cuts, full disks and full queues.
#include <catch2/catch.hpp>

#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>

#include "auth/audit/reader.h"
#include "broker/audit_service.h"
#include "tests/unit/auth/audit_fixture.h"

namespace trunkline::broker {
namespace {

namespace audit = auth::audit;

struct Folder {
    std::string path = "/tmp/trunkline-audit-XXXXXX";
    Folder() { REQUIRE(::mkdtemp(path.data())); }
    ~Folder() { std::filesystem::remove_all(path); }
};

struct Life {
    Folder folder;
    audit::MemoryAuditStore disk;
    audit::Moment clock{1'795'400'000'000'000'000, 1'000'000'000};
    std::vector<store::LeavesKeptOp> kept;
    std::unique_ptr<AuditService> service;

    AuditService::Options options() {
        AuditService::Options options;
        options.node = "plant 1";
        options.dir = folder.path;
        options.store = &disk;
        options.now = [this] { return clock; };
        return options;
    }
    /// A new process over the same disk; `told` is what the durable state still has.
    std::string begin(const store::LeavesKeptOp& known = {},
                      const std::vector<std::pair<std::uint64_t, std::string>>& told = {},
                      std::optional<AuditService::Options> with = std::nullopt) {
        service = std::make_unique<AuditService>(with ? *with : options());
        for (const auto& [position, leaves] : told) service->leaves(position, leaves);
        return service->open(known);
    }
    /// Ends it as kill -9 does: what the service would still write stays unwritten.
    void crash() {
        disk.space = 0;
        service.reset();
        disk.cut_power();
        disk.space = ~std::uint64_t{0};
    }
    void turn(std::uint64_t ms = 100) {
        clock.utc_ns += static_cast<std::int64_t>(ms) * 1'000'000;
        clock.monotonic_ns += ms * 1'000'000;
        service->turn();
    }
    std::vector<audit::Record> records(const std::string& action = "") {
        std::vector<audit::Record> found;
        audit::RecordFilter filter;
        filter.action = action;
        const auto reader = audit::TrailReader::open(disk);
        if (reader) {
            (void)reader->for_each(filter, [&](const audit::Record& record) {
                found.push_back(record);
                return true;
            });
        }
        return found;
    }
    std::vector<std::string> publishes() {
        std::vector<std::string> found;
        const auto reader = audit::TrailReader::open(disk);
        if (reader) {
            (void)reader->for_each_publish(0, [&](const audit::Digest& leaf) {
                found.emplace_back(audit::view(leaf));
                return true;
            });
        }
        return found;
    }
    bool verifies() {
        const auto key = audit::VerifyKey::parse(service->public_key());
        REQUIRE(key);
        const auto report = audit::verify(disk, {*key, {}, 1, false});
        REQUIRE(report);
        for (const auto& finding : report->findings) UNSCOPED_INFO(audit::to_text(finding));
        return report->good();
    }
};

std::string leaf(int number) {
    return std::string(audit::view(audit::hash_leaf(std::to_string(number))));
}

audit::Record event(const std::string& action) {
    audit::Record record;
    record.action = action;
    return record;
}

}  // namespace

TEST_CASE("the key is made once, private and named after the node", "[admin][audit]") {
    Life life;
    REQUIRE(life.begin().empty());
    const std::string key = life.service->public_key();
    CHECK(key.starts_with("plant-1/audit+"));
    const auto file = life.folder.path + "/key";
    CHECK((std::filesystem::status(file).permissions() & std::filesystem::perms(0777)) == std::filesystem::perms(0600));
    life.crash();
    REQUIRE(life.begin().empty());
    CHECK(life.service->public_key() == key);
    life.crash();
    std::filesystem::permissions(file, std::filesystem::perms(0644));
    CHECK(life.begin().find("can be read by others") != std::string::npos);
    std::filesystem::remove(file);
    CHECK(life.begin().find("restore the key") != std::string::npos);
}

TEST_CASE("what was told is in the trail after a turn, in order", "[admin][audit]") {
    Life life;
    REQUIRE(life.begin().empty());
    for (int i = 0; i < 50; ++i) {
        audit::Record record = event("login");
        record.object = std::to_string(i);
        life.clock.monotonic_ns += 1'000;
        life.clock.utc_ns += 1'000;
        life.service->note(std::move(record));
    }
    life.turn();
    const auto found = life.records("login");
    REQUIRE(found.size() == 50);
    for (int i = 0; i < 50; ++i) CHECK(found[static_cast<std::size_t>(i)].object == std::to_string(i));
    CHECK(life.verifies());
}

TEST_CASE("a leaf is in the trail exactly once, wherever the power is cut", "[admin][audit]") {
    // What the durable state has is told again at each start, less what it was told to forget, which may be late.
    for (int cut = 0; cut < 40; ++cut) {
        INFO("power cut after " << cut << " syncs");
        Life life;
        std::vector<std::pair<std::uint64_t, std::string>> durable;
        store::LeavesKeptOp known;
        int made = 0;
        for (int round = 0; round < 4; ++round) {
            REQUIRE(life.begin(known, durable).empty());
            life.disk.syncs_left = round == 3 ? ~std::uint64_t{0} : static_cast<std::uint64_t>(cut + round);
            for (int i = 0; i < 5; ++i) {
                std::string leaves;
                for (int n = 0; n < 3; ++n) leaves += leaf(made++);
                durable.emplace_back(static_cast<std::uint64_t>(made), leaves);
                life.service->leaves(durable.back().first, leaves);
                life.service->note(event("login"));
                life.turn();
                if (i == 2 && life.service->numbers().open) {  // the durable state learns of it
                    known = {durable.back().first, life.service->numbers().size};
                    std::erase_if(durable, [&](const auto& one) { return one.first <= known.through; });
                }
            }
            if (round < 3) {
                life.service.reset();
                life.disk.syncs_left = ~std::uint64_t{0};
                life.disk.cut_power(static_cast<std::size_t>(cut * 7 % 90));
            }
        }
        life.turn(1'000);
        const auto found = life.publishes();
        REQUIRE(found.size() == static_cast<std::size_t>(made));
        for (int n = 0; n < made; ++n) CHECK(found[static_cast<std::size_t>(n)] == leaf(n));
        CHECK(life.verifies());
    }
}

TEST_CASE("a full disk refuses what must be audited, and nothing is lost when there is room again", "[admin][audit]") {
    Life life;
    REQUIRE(life.begin().empty());
    CHECK((life.service->takes_regulated() && life.service->takes_changes()));
    life.disk.space = 0;
    life.service->leaves(1, leaf(1));
    life.service->note(event("login"));
    bool safe = true;
    life.service->record(event("client.kick"), [&](bool is) { safe = is; });
    life.turn();
    CHECK_FALSE(safe);
    CHECK_FALSE(life.service->takes_regulated());
    CHECK_FALSE(life.service->takes_changes());
    CHECK_FALSE(life.service->numbers().alarm.empty());
    life.service->note(event("login"));
    life.turn();
    life.disk.space = ~std::uint64_t{0};
    life.turn();
    CHECK((life.service->takes_regulated() && life.service->takes_changes()));
    CHECK(life.service->numbers().alarm.empty());
    CHECK(life.records("login").size() == 2);
    CHECK(life.records("client.kick").size() == 1);
    CHECK(life.publishes() == std::vector<std::string>{leaf(1)});
    CHECK(life.verifies());
}

TEST_CASE("with when_unwritable: allow nothing is refused", "[admin][audit]") {
    Life life;
    auto options = life.options();
    options.refuse_unaudited = false;
    REQUIRE(life.begin({}, {}, options).empty());
    life.disk.space = 0;
    life.service->note(event("login"));
    life.turn();
    CHECK(life.service->takes_changes());
    CHECK_FALSE(life.service->numbers().open);
}

TEST_CASE("records beyond the queue are counted exactly", "[admin][audit]") {
    Life life;
    auto options = life.options();
    options.records_max = 80;
    REQUIRE(life.begin({}, {}, options).empty());
    for (int i = 0; i < 1'000; ++i) life.service->note(event("login"));
    life.turn();
    const auto lost = life.records("audit.lost");
    REQUIRE(lost.size() == 1);
    CHECK(lost[0].count + life.records("login").size() == 1'000);
    CHECK(life.service->numbers().lost == lost[0].count);
}

TEST_CASE("leaves beyond memory refuse regulated publishes until the trail has taken them", "[admin][audit]") {
    Life life;
    auto options = life.options();
    options.leaves_max = 10;
    REQUIRE(life.begin({}, {}, options).empty());
    for (std::uint64_t i = 1; i <= 10; ++i) life.service->leaves(i, leaf(static_cast<int>(i)));
    CHECK_FALSE(life.service->takes_regulated());
    CHECK(life.service->takes_changes());
    life.turn();
    CHECK(life.service->takes_regulated());
}

TEST_CASE("denials are sampled and counted exactly", "[admin][audit]") {
    Life life;
    REQUIRE(life.begin().empty());
    for (int i = 0; i < 5'000; ++i) {
        life.service->note(Denial{"otto", "password", "c", "10.0.0.1", "publish", "a/b", "roles.yaml:14"});
    }
    life.turn();
    CHECK(life.records("denial").size() == 10);
    life.turn(61'000);
    std::uint64_t sum = 0;
    for (const auto& record : life.records("denial")) sum += record.count;
    CHECK(sum == 5'000);
}

TEST_CASE("a clock that is set is a record", "[admin][audit]") {
    Life life;
    REQUIRE(life.begin().empty());
    life.turn();
    life.clock.utc_ns -= 3'600'000'000'000;
    life.turn();
    life.turn();
    REQUIRE(life.records("clock-step").size() == 1);
    CHECK(life.records("clock-step")[0].reason.find("-3600000 ms") != std::string::npos);
}

TEST_CASE("a trail that is shorter than the durable state knows is not written", "[admin][audit]") {
    Life life;
    REQUIRE(life.begin().empty());
    life.service->leaves(1, leaf(1));
    life.turn();
    const std::uint64_t size = life.service->numbers().size;
    life.crash();
    REQUIRE(life.begin({1, size + 5}).empty());
    CHECK_FALSE(life.service->takes_regulated());
    CHECK(life.service->numbers().alarm.find("were durable") != std::string::npos);
    bool safe = true;
    life.service->record(event("x"), [&](bool is) { safe = is; });
    life.turn();
    CHECK_FALSE(safe);
    life.crash();
    auto options = life.options();
    options.begin_anew = true;
    REQUIRE(life.begin({1, size + 5}, {}, options).empty());
    life.turn();
    CHECK(life.service->takes_regulated());
    CHECK(life.records("audit.begun-anew").size() == 1);
}

TEST_CASE("a store that is older than the trail is told of in the trail", "[admin][audit]") {
    Life life;
    REQUIRE(life.begin().empty());
    const std::uint64_t before = life.service->numbers().size;
    life.service->leaves(1, leaf(1));
    life.service->leaves(2, leaf(2));
    life.turn();
    life.crash();
    REQUIRE(life.begin({0, before}, {{1, leaf(1)}, {2, leaf(7)}}).empty());
    life.turn();
    CHECK(life.publishes() == std::vector<std::string>{leaf(1), leaf(2), leaf(7)});
    REQUIRE(life.records("audit.store-behind").size() == 1);
    CHECK(life.records("audit.store-behind")[0].count == 1);
}

TEST_CASE("a key rotation that did not come to its end is finished at the next start", "[admin][audit]") {
    Life life;
    REQUIRE(life.begin().empty());
    const std::string before = life.service->public_key();
    const std::string key = life.folder.path + "/key";
    std::filesystem::copy_file(key, key + ".old");
    std::string wrong = "not called";
    life.service->rotate_key("anna", "yearly", [&](const std::string& what) { wrong = what; });
    life.turn();
    CHECK(wrong.empty());
    const std::string after = life.service->public_key();
    CHECK(after != before);
    life.crash();
    std::filesystem::rename(key, key + ".next");  // as if the power had gone before the last step
    std::filesystem::rename(key + ".old", key);
    REQUIRE(life.begin().empty());
    CHECK(life.service->public_key() == after);
    life.turn();
    CHECK(life.verifies());
    const auto trusted = audit::VerifyKey::parse(before);
    REQUIRE(trusted);
    const auto report = audit::verify(life.disk, {*trusted, {}, 1, false});
    REQUIRE(report);
    CHECK(report->good());
}

TEST_CASE("what limits have dropped is summed up once a minute, and at the end", "[admin][audit]") {
    Life life;
    std::atomic<std::uint64_t> dropped = 0;
    REQUIRE(life.begin().empty());
    using Sums = std::vector<std::pair<std::string, std::uint64_t>>;
    life.service->start({}, [&] { return Sums{{"queue_full", dropped.load()}}; });
    dropped = 17;
    life.service->stop();
    REQUIRE(life.records("limit").size() == 1);
    CHECK(life.records("limit")[0].count == 17);
    CHECK(life.records().back().action == "stop");
    CHECK(life.verifies());
}

}  // namespace trunkline::broker
