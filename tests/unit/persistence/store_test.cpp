// One suite for every implementation of Store, then what only the one on disk promises.
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include <catch2/catch.hpp>

#include "persistence/memory_store.h"
#include "persistence/recovery_mark.h"
#include "persistence/rocksdb_store.h"

namespace trunkline::store {
namespace {

namespace fs = std::filesystem;

struct TemporaryDirectory {
    TemporaryDirectory() {
        std::string pattern = (fs::temp_directory_path() / "trunkline-test-XXXXXX").string();
        path = ::mkdtemp(pattern.data());
    }
    ~TemporaryDirectory() { fs::remove_all(path); }
    std::string path;
};

RocksDbStore::Options small(const std::string& path) {
    RocksDbStore::Options options;
    options.directory = path;
    options.memory_bytes = 4 << 20;
    return options;
}

std::vector<std::string> keys(const Store& store, Table table, std::string_view prefix, std::string_view from) {
    std::vector<std::string> all;
    const StoreStatus status = store.scan(table, prefix, from, [&](std::string_view key, std::string_view value) {
        all.push_back(std::string(key) + "=" + std::string(value));
        return true;
    });
    CHECK(status.ok());
    return all;
}

using Strings = std::vector<std::string>;

void check_store(Store& store) {
    WriteSet writes;
    writes.put(Table::meta, "a", "1");
    writes.put(Table::meta, "ab", "2");
    writes.put(Table::meta, "b", "3");
    writes.put(Table::sessions, "a", "other table");
    writes.put_shared(Table::log, "key", std::make_shared<const std::string>("shared"));
    REQUIRE(store.write(writes, true).ok());
    CHECK(store.get(Table::meta, "a", nullptr) == "1");
    CHECK(!store.get(Table::meta, "c", nullptr));
    CHECK(store.get(Table::sessions, "a", nullptr) == "other table");
    CHECK(store.get(Table::log, "key", nullptr) == "shared");
    CHECK(keys(store, Table::meta, "a", "") == Strings{"a=1", "ab=2"});
    CHECK(keys(store, Table::meta, "", "ab") == Strings{"ab=2", "b=3"});
    CHECK(keys(store, Table::meta, "a", "aa") == Strings{"ab=2"});

    writes.clear();
    CHECK(writes.empty());
    writes.put(Table::meta, "c", "4");  // put and removed in one set: the later wins
    writes.remove_range(Table::meta, "ab", "d");
    writes.remove(Table::log, "key");
    writes.put(Table::meta, "bb", "5");
    REQUIRE(store.write(writes, false).ok());
    CHECK(keys(store, Table::meta, "", "") == Strings{"a=1", "bb=5"});
    CHECK(!store.get(Table::log, "key", nullptr));

    writes.clear();
    writes.put(Table::queues, std::string("\xFF\xFF\x01", 3), "high");
    writes.put(Table::queues, std::string("\xFF\xFF", 2), "edge");
    REQUIRE(store.write(writes, true).ok());
    CHECK(keys(store, Table::queues, "\xFF\xFF", "").size() == 2);
    int visited = 0;
    CHECK(store.scan(Table::queues, {}, {}, [&](auto, auto) { return ++visited < 1; }).ok());
    CHECK(visited == 1);
    CHECK(store.stats().disk_free > 0);
}

std::string value_of_wal(const std::string& directory) {
    for (const auto& file : fs::directory_iterator(directory + "/db")) {
        if (file.path().extension() == ".log" && file.file_size() > 0) return file.path().string();
    }
    return {};
}

/// Up to the zeros that are allocated ahead.
std::uintmax_t written_bytes(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    const std::string bytes((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
    return bytes.find_last_not_of('\0') + 1;
}

/// Writes stamped batches 1 to `count` and leaves the store as a killed process would: a copy of its files.
void write_batches(const std::string& from, const std::string& to, Position count, Position marked) {
    auto opened = RocksDbStore::open(small(from));
    REQUIRE(opened.store);
    for (Position position = 1; position <= count; ++position) {
        WriteSet writes;
        writes.put(Table::meta, "p" + std::to_string(position), std::string(500, 'x'));
        writes.stamp = {1, position, position * 7};
        REQUIRE(opened.store->write(writes, true).ok());
        if (position == marked) opened.store->mark(writes.stamp, true);
    }
    fs::copy(from, to, fs::copy_options::recursive);
}

void flip(const std::string& path, std::size_t at) {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(static_cast<std::streamoff>(at));
    const char byte = static_cast<char>(file.get() ^ 0x10);
    file.seekp(static_cast<std::streamoff>(at));
    file.put(byte);
}

}  // namespace

TEST_CASE("the memory store keeps the contract of a store", "[persistence][store]") {
    MemoryStore store;
    check_store(store);
}

TEST_CASE("the store on disk keeps the contract of a store", "[persistence][store]") {
    TemporaryDirectory directory;
    auto opened = RocksDbStore::open(small(directory.path));
    REQUIRE(opened.store);
    check_store(*opened.store);
}

TEST_CASE("what was written is there after opening again, the stamp too", "[persistence][store]") {
    TemporaryDirectory directory;
    {
        auto opened = RocksDbStore::open(small(directory.path));
        REQUIRE(opened.store);
        WriteSet writes;
        writes.put(Table::retained, "t", "v");
        writes.stamp = {2, 40, 99};
        REQUIRE(opened.store->write(writes, true).ok());
        opened.store->mark(writes.stamp, true);
        const auto second = RocksDbStore::open(small(directory.path));
        CHECK(!second.store);
        CHECK(second.status.error == StoreError::locked);
    }
    auto opened = RocksDbStore::open(small(directory.path));
    REQUIRE(opened.store);
    CHECK(opened.store->get(Table::retained, "t", nullptr) == "v");
    CHECK(opened.store->stamp() == Stamp{2, 40, 99});
}

TEST_CASE("damage in the middle of the write-ahead log is refused, and again, with the gap", "[persistence][store]") {
    TemporaryDirectory directory;
    const std::string crashed = directory.path + "/crashed";
    write_batches(directory.path + "/live", crashed, 20, 0);  // no mark: only the log itself can tell
    const std::string wal = value_of_wal(crashed);
    flip(wal, written_bytes(wal) / 2);
    for (int i = 0; i < 2; ++i) {
        const auto opened = RocksDbStore::open(small(crashed));
        REQUIRE(!opened.store);
        CHECK(opened.status.error == StoreError::damaged);
        CHECK(opened.status.detail.find("batches ") != std::string::npos);
        CHECK(opened.status.detail.find("19") != std::string::npos);
    }
}

TEST_CASE("a torn last batch is a torn tail, not a loss", "[persistence][store]") {
    TemporaryDirectory directory;
    const std::string crashed = directory.path + "/crashed";
    write_batches(directory.path + "/live", crashed, 20, 10);
    const std::string wal = value_of_wal(crashed);
    const auto allocated = fs::file_size(wal), written = written_bytes(wal);
    REQUIRE(allocated > written);
    SECTION("cut off") { fs::resize_file(wal, written - 100); }
    SECTION("zeroed") {
        fs::resize_file(wal, written - 300);
        fs::resize_file(wal, allocated);
    }
    const auto opened = RocksDbStore::open(small(crashed));
    REQUIRE(opened.store);
    CHECK(opened.store->stamp().position == 19);
    CHECK(opened.store->get(Table::meta, "p19", nullptr));
    CHECK(!opened.store->get(Table::meta, "p20", nullptr));
}

TEST_CASE("a store that can't be read any more says up to where it was acknowledged", "[persistence][store]") {
    TemporaryDirectory directory;
    const std::string crashed = directory.path + "/crashed";
    write_batches(directory.path + "/live", crashed, 20, 20);
    std::ofstream(crashed + "/db/CURRENT") << "MANIFEST-999999\n";
    const auto opened = RocksDbStore::open(small(crashed));
    REQUIRE(!opened.store);
    CHECK(opened.status.error == StoreError::damaged);
    CHECK(opened.status.detail.find("batches up to 20 were acknowledged") != std::string::npos);
}

TEST_CASE("what the mark names must be there", "[persistence][store]") {
    TemporaryDirectory directory;
    const std::string crashed = directory.path + "/crashed";
    write_batches(directory.path + "/live", crashed, 20, 20);
    SECTION("the log is cut") {
        const std::string wal = value_of_wal(crashed);
        fs::resize_file(wal, written_bytes(wal) - 100);
    }
    SECTION("the log is cut and ends with zeros") {
        const std::string wal = value_of_wal(crashed);
        const auto allocated = fs::file_size(wal);
        fs::resize_file(wal, written_bytes(wal) - 100);
        fs::resize_file(wal, allocated);
    }
    SECTION("the log is gone") { fs::remove(value_of_wal(crashed)); }
    SECTION("the store is gone") { fs::remove_all(crashed + "/db"); }
    SECTION("CURRENT is gone") { fs::remove(crashed + "/db/CURRENT"); }
    SECTION("both marks are damaged") {
        for (const char* name : {"/mark.0", "/mark.1"}) {
            if (fs::exists(crashed + name)) flip(crashed + name, 20);
        }
    }
    for (int i = 0; i < 2; ++i) {
        const auto opened = RocksDbStore::open(small(crashed));
        REQUIRE(!opened.store);
        CHECK(opened.status.error == StoreError::damaged);
        CHECK(!opened.status.detail.empty());
    }
}

TEST_CASE("a mark is whole when writing the next one was cut short", "[persistence][store]") {
    TemporaryDirectory directory;
    const std::string crashed = directory.path + "/crashed";
    write_batches(directory.path + "/live", crashed, 4, 3);
    std::ofstream(crashed + "/mark.0") << "TL-MARK:1\nhalf";
    const auto opened = RocksDbStore::open(small(crashed));
    REQUIRE(opened.store);
    CHECK(opened.store->stamp().position == 4);
}

TEST_CASE("stamps are found in damaged bytes, the highest counts", "[persistence][store]") {
    CHECK(!find_last_wal_stamp("nothing"));
    const std::string bytes = "junk" + encode_wal_stamp({1, 5, 6}, true) + "x" + encode_wal_stamp({1, 4, 2}, false) +
                              "TL-BATCH-STAMP:1";
    auto found = find_last_wal_stamp(bytes);
    REQUIRE(found);
    CHECK(found->stamp == Stamp{1, 5, 6});
    CHECK(found->synced);
    for (std::size_t at = 4; at < 4 + encode_wal_stamp({1, 5, 6}, true).size(); ++at) {
        std::string flipped = bytes;
        flipped[at] ^= 1;
        found = find_last_wal_stamp(flipped);
        REQUIRE(found);
        CHECK(found->stamp.position == 4);
    }
}

}  // namespace trunkline::store
