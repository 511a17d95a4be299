// Values for browsing over a crash of the process: what was flushed is there, whatever was being written.
#include <filesystem>
#include <fstream>
#include <map>
#include <string>

#include <catch2/catch.hpp>
#include <unistd.h>

#include "persistence/value_journal.h"

using trunkline::store::JournalValue;
using trunkline::store::ValueJournal;

namespace {

struct JournalFolder {
    JournalFolder()
        : path(std::filesystem::temp_directory_path() / ("trunkline-values-" + std::to_string(::getpid()))) {
        std::filesystem::remove_all(path);
        std::filesystem::create_directory(path);
    }
    ~JournalFolder() { std::filesystem::remove_all(path); }
    std::filesystem::path path;
};

using Values = std::map<std::string, std::string>;

/// What browsing holds, and the journal beside it.
struct Plant {
    explicit Plant(const JournalFolder& folder, std::uint64_t file_bytes = 4'096) : journal(folder.path, file_bytes) {
        journal.read([this](const JournalValue& value) {
            if (value.gone) values.erase(std::string(value.topic));
            else values[std::string(value.topic)] = value.payload;
        });
        REQUIRE(journal.begin(everything()).empty());
    }
    ValueJournal::Everything everything() {
        return [this](const ValueJournal::Visit& visit) {
            for (const auto& [topic, payload] : values) visit({topic, payload, "edge", "", 1, 0, false, false});
        };
    }
    void set(const std::string& topic, const std::string& payload) {
        values[topic] = payload;
        journal.add({topic, payload, "edge", "anna", 1'700'000'000'000, 1, true, false});
    }
    void flush() { REQUIRE(journal.flush(everything()).empty()); }
    Values values;
    ValueJournal journal;
};

Values read(const JournalFolder& folder) {
    Values values;
    ValueJournal journal(folder.path);
    journal.read([&](const JournalValue& value) {
        if (value.gone) values.erase(std::string(value.topic));
        else values[std::string(value.topic)] = value.payload;
    });
    return values;
}

}  // namespace

TEST_CASE("what was flushed is read again, with all its fields", "[persistence][values]") {
    const JournalFolder folder;
    Plant plant(folder);
    plant.set("a/b", "1");
    plant.flush();
    plant.set("a/c", "never flushed");
    std::size_t seen = 0;
    ValueJournal(folder.path).read([&](const JournalValue& value) {
        ++seen;
        CHECK(value.topic == "a/b");
        CHECK(value.payload == "1");
        CHECK(value.client_id == "edge");
        CHECK(value.user == "anna");
        CHECK(value.at_ms == 1'700'000'000'000);
        CHECK(value.qos == 1);
        CHECK(value.truncated);
    });
    CHECK(seen == 1);
}

TEST_CASE("files take turns and lose nothing, over many processes", "[persistence][values]") {
    const JournalFolder folder;
    Values expected;
    for (int life = 0; life < 5; ++life) {
        Plant plant(folder);
        CHECK(plant.values == expected);
        for (int i = 0; i < 300; ++i) {
            plant.set("topic/" + std::to_string(i % 20), std::to_string(life) + "-" + std::to_string(i));
            if (i % 7 == 0) plant.flush();
        }
        plant.flush();
        expected = plant.values;
        CHECK(plant.journal.bytes() <= 16'384);
    }
    CHECK(read(folder) == expected);
}

TEST_CASE("a topic that is gone stays away", "[persistence][values]") {
    const JournalFolder folder;
    Plant plant(folder);
    plant.set("a", "1");
    plant.flush();
    plant.values.erase("a");
    JournalValue gone;
    gone.topic = "a";
    gone.gone = true;
    plant.journal.add(gone);
    plant.flush();
    CHECK(read(folder).empty());
}

TEST_CASE("a file that is cut off or damaged gives what stands before the damage", "[persistence][values]") {
    const JournalFolder folder;
    {
        Plant plant(folder);
        for (int i = 0; i < 10; ++i) {
            plant.set("topic/" + std::to_string(i), "value");
            plant.flush();
        }
    }
    const auto file = folder.path / "browse.1";   // of generation 1
    REQUIRE(std::filesystem::exists(file));
    const auto size = std::filesystem::file_size(file);
    std::size_t before = 10;
    for (std::uintmax_t cut = std::min<std::uintmax_t>(size, 800); cut > 0; --cut) {
        std::filesystem::resize_file(file, cut);
        const Values left = read(folder);
        CHECK(left.size() <= before);
        before = left.size();
        for (const auto& [topic, payload] : left) CHECK(payload == "value");
    }
    CHECK(before == 0);
}

TEST_CASE("a file that was being begun when the process ended does not count", "[persistence][values]") {
    const JournalFolder folder;
    {
        Plant plant(folder);
        plant.set("a", "1");
        plant.flush();
    }
    std::ofstream(folder.path / "browse.0", std::ios::binary) << std::string(200, '\0') << "half of a file";
    CHECK(read(folder) == Values{{"a", "1"}});
}

TEST_CASE("a folder that is not there is told", "[persistence][values]") {
    ValueJournal journal("/nonexistent/folder");
    journal.read([](const JournalValue&) { FAIL("nothing to read"); });
    CHECK(journal.begin([](const auto&) {}).find("/nonexistent/folder") != std::string::npos);
}
