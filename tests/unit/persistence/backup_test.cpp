// Checkpoints of a store that is written meanwhile, and what verify_backup() finds.
#include <catch2/catch.hpp>

#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <thread>

#include "persistence/backup.h"
#include "persistence/bytes.h"
#include "persistence/memory_store.h"
#include "persistence/record.h"
#include "persistence/recovery_mark.h"
#include "persistence/rocksdb_store.h"

using namespace trunkline::store;
namespace fs = std::filesystem;

namespace {

struct BackupFolder {
    fs::path path = fs::temp_directory_path() / ("trunkline-backup-test-" + std::to_string(::getpid()));
    BackupFolder() { fs::create_directories(path); }
    ~BackupFolder() { fs::remove_all(path); }
    [[nodiscard]] std::string operator/(const char* name) const { return (path / name).string(); }
};

/// A batch as the log writes it: its own key, the state's record, its stamp.
bool put_batch(Store& store, std::uint64_t position) {
    WriteSet writes;
    std::string key, state;
    put_be64(key, position);
    put_le(state, record_version);
    put_le(state, std::uint64_t{1});
    put_le(state, position);
    put_le(state, position * 7);
    put_le(state, static_cast<std::int64_t>(position) + 1'000);
    writes.put(Table::retained, key, std::string(200, static_cast<char>('a' + position % 26)));
    writes.put(Table::meta, "state", state);
    writes.stamp = {1, position, position * 7};
    return store.write(writes, true).ok();
}

std::unique_ptr<RocksDbStore> open_store(const std::string& directory) {
    RocksDbStore::Options options;
    options.directory = directory;
    auto opened = RocksDbStore::open(options);
    INFO(opened.status.detail);
    REQUIRE(opened.store);
    return std::move(opened.store);
}

/// A backup of a store with 50 batches.
BackupManifest make_backup(const BackupFolder& folder) {
    auto store = open_store(folder / "data");
    for (std::uint64_t position = 1; position <= 50; ++position) REQUIRE(put_batch(*store, position));
    fs::create_directories(folder / "backup");
    REQUIRE(store->checkpoint(folder / "backup/store").ok());
    BackupManifest manifest;
    manifest.node = "plant-1";
    manifest.version = "9.9";
    for (const auto& entry : fs::recursive_directory_iterator(folder.path / "backup")) {
        if (!entry.is_regular_file()) continue;
        BackupFile file{fs::relative(entry.path(), folder.path / "backup").generic_string(), 0, ""};
        REQUIRE(hash_file(entry.path().string(), file, {}).empty());
        manifest.files.push_back(file);
    }
    REQUIRE(summarise(folder / "backup/store", manifest.store).ok());
    REQUIRE(write_manifest(folder / "backup", to_json(manifest)).empty());
    return manifest;
}

std::vector<std::string> verify(const BackupFolder& folder) {
    BackupManifest manifest;
    return verify_backup(folder / "backup", manifest, {});
}

void overwrite(const fs::path& file, std::uintmax_t at, char with) {
    std::fstream out(file, std::ios::in | std::ios::out | std::ios::binary);
    out.seekp(static_cast<std::streamoff>(at));
    out.put(with);
}

}  // namespace

TEST_CASE("a checkpoint holds everything written before it, and a whole number of batches", "[persistence][backup]") {
    const BackupFolder folder;
    auto store = open_store(folder / "data");
    std::atomic<std::uint64_t> written{0};
    std::atomic<bool> stop{false};
    std::thread writer([&] {
        for (std::uint64_t position = 1; !stop && put_batch(*store, position); ++position) written = position;
    });
    for (int i = 0; i < 5; ++i) {
        while (written < static_cast<std::uint64_t>(i) * 20 + 1) std::this_thread::yield();
        const std::uint64_t before = written;
        const std::string copy = folder / ("copy" + std::to_string(i)).c_str();
        const auto status = store->checkpoint(copy);
        INFO(status.detail);
        REQUIRE(status.ok());
        const std::uint64_t after = written + 1;
        StoreSummary summary;
        REQUIRE(summarise(copy, summary).ok());
        CHECK(summary.stamp.position >= before);
        CHECK(summary.stamp.position <= after);
        CHECK(summary.stamp.hash == summary.stamp.position * 7);
        CHECK(summary.time_ms == static_cast<std::int64_t>(summary.stamp.position) + 1'000);
        CHECK(summary.tables[static_cast<std::size_t>(Table::retained)].keys == summary.stamp.position);
    }
    stop = true;
    writer.join();
    CHECK(store->checkpoint(folder / "copy0").error == StoreError::failed);   // it exists
    store.reset();
    const auto copy = open_store(folder / "copy4");   // a store in its own right, with a mark of its own
    CHECK(copy->stamp().position > 0);
    CHECK(fs::exists(folder / "copy4/mark.1"));
}

TEST_CASE("reading a store's summary changes nothing on disk", "[persistence][backup]") {
    const BackupFolder folder;
    make_backup(folder);
    CHECK(verify(folder).empty());
    CHECK(verify(folder).empty());
}

TEST_CASE("a backup with any byte altered, cut off, missing or added is found out by name", "[persistence][backup]") {
    const BackupFolder folder;
    const BackupManifest manifest = make_backup(folder);
    REQUIRE(manifest.files.size() >= 4);
    const fs::path spare = folder.path / "spare";
    for (const BackupFile& file : manifest.files) {
        const fs::path path = folder.path / "backup" / file.name;
        INFO(file.name);
        fs::copy_file(path, spare, fs::copy_options::overwrite_existing);
        const auto named = [&] {
            const auto problems = verify(folder);
            return problems.size() == 1 && problems[0].find(file.name) != std::string::npos;
        };
        if (file.bytes > 0) {
            fs::resize_file(path, file.bytes - 1);
            CHECK(named());
            fs::copy_file(spare, path, fs::copy_options::overwrite_existing);
            char byte = 0;
            std::ifstream(path, std::ios::binary).get(byte);
            overwrite(path, 0, static_cast<char>(byte ^ 1));
            CHECK(named());
        }
        fs::remove(path);
        CHECK(named());
        fs::copy_file(spare, path);
        CHECK(verify(folder).empty());
    }
    std::ofstream(folder.path / "backup/store/more") << "x";
    REQUIRE(verify(folder).size() == 1);
    CHECK(verify(folder)[0].find("store/more") != std::string::npos);
    fs::remove(folder.path / "backup/store/more");
    overwrite(folder.path / "backup/manifest.json", 20, '9');
    REQUIRE(verify(folder).size() == 1);
    CHECK(verify(folder)[0].find("manifest.json") != std::string::npos);
}

TEST_CASE("a store that is not the one of the manifest is found out though its files are as listed",
          "[persistence][backup]") {
    const BackupFolder folder;
    BackupManifest manifest = make_backup(folder);
    manifest.store.tables[static_cast<std::size_t>(Table::retained)].hash ^= 1;
    REQUIRE(write_manifest(folder / "backup", to_json(manifest)).empty());
    REQUIRE(verify(folder).size() == 1);
    CHECK(verify(folder)[0].find("table retained") != std::string::npos);
    manifest.store.stamp.position = 51;
    REQUIRE(write_manifest(folder / "backup", to_json(manifest)).empty());
    CHECK(verify(folder)[0].find("ends at batch 50 instead of 51") != std::string::npos);
}

TEST_CASE("a manifest survives its JSON, and a hostile one is refused", "[persistence][backup]") {
    const BackupFolder folder;
    const BackupManifest manifest = make_backup(folder);
    BackupManifest read;
    REQUIRE(from_json(to_json(manifest), read).empty());
    CHECK(read.store == manifest.store);
    CHECK(read.files.size() == manifest.files.size());
    CHECK(read.node == "plant-1");
    for (const char* name : {"/etc/passwd", "../x", "a/../b", "a//b", "", ".", "a/.."}) {
        INFO(name);
        CHECK_FALSE(is_backup_name(name));
        BackupManifest hostile = manifest;
        hostile.files[0].name = name;
        CHECK_FALSE(from_json(to_json(hostile), read).empty());
    }
    for (const char* text : {"", "[]", "{}", "{\"format\":2}", "{\"format\":\"1\"}", "{\"format\":1,\"point\":[]}"}) {
        INFO(text);
        CHECK_FALSE(from_json(text, read).empty());
    }
    MemoryStore memory;
    CHECK(memory.checkpoint(folder / "no").error == StoreError::failed);
}
