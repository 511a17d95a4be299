// The live tree: last values, figures, meanings, freshness, search.
#include <catch2/catch.hpp>

#include <chrono>
#include <map>

#include "namespace/live/live_tree.h"

using namespace trunkline::uns;

namespace {

constexpr std::int64_t first_ms = 1'700'000'000'000;

struct Fixture {
    RetainedTree retained;
    LiveTree tree;
    std::int64_t now = first_ms;
    std::map<std::string, std::string> described;

    explicit Fixture(LiveTree::Limits limits = {}) : tree(retained, limits) {}

    void publish(std::string_view topic, std::string_view payload, std::string_view client = "plc",
                 std::uint64_t messages = 1, bool retain = false) {
        LiveUpdate update;
        update.topic = topic;
        update.payload = payload;
        update.client_id = client;
        update.at_ms = now;
        update.messages = messages;
        update.retain = retain;
        update.cleared = retain && payload.empty();
        if (retain) {
            retained.set(topic, payload.empty() ? nullptr
                                                : RetainedMessage::make({0, 0, commit_time(now), {}, payload}));
        }
        tree.update(&update, 1);
    }
    std::string value(std::string_view topic) {
        bool is_retained = false;
        const auto held = tree.value(topic, is_retained);
        return held ? std::string(held->fields().payload) : std::string("(none)");
    }
    TopicFacts facts(std::string_view topic) {
        const auto facts = tree.facts(topic, now);
        REQUIRE(facts);
        return *facts;
    }
    void apply(std::string_view yaml) {
        auto result = Model::compile(yaml, "plant.yaml");
        for (const auto& problem : result.problems) FAIL_CHECK(problem.message);
        REQUIRE(result.model);
        tree.set_model(result.model, now);
        learn();
    }
    void learn() {
        while (tree.learn(7, [this](const std::string& topic, const std::string& json) { described[topic] = json; })) {
        }
    }
    std::vector<AssetHealth> health() {
        std::vector<AssetHealth> news;
        tree.look_at_health(now, [&](const AssetHealth& one) { news.push_back(one); });
        return news;
    }
    std::vector<std::string> find(TopicQuery query) {
        query.now_ms = now;
        return tree.find(query).topics;
    }
};

using Topics = std::vector<std::string>;

constexpr const char* plant = R"(
trunkline: 1
namespace: acme
version: 1.0.0
levels: [enterprise, site, cell]
types:
  motor:
    version: 1
    metrics:
      speed: {type: number, unit: r/min, every: 5s}
  filler:
    version: 2
    description: Rotary bottle filler
    parts: {drive: motor@1}
    metrics:
      temperature: {type: number, unit: Cel, every: 1s, description: Bowl temperature TT-101}
      state: {type: string, enum: [idle, running]}
    events:
      batch: {payload: json}
tree:
  acme:
    munich:
      $owner: munich-ot@acme.example
      filler-1: {$type: filler@2}
      "{cell}": {$match: "packer-[0-9]+", $type: motor}
)";

}  // namespace

TEST_CASE("the last value of a topic is kept whether it is retained or not", "[namespace][live]") {
    Fixture f;
    f.publish("a/b", "1");
    CHECK(f.value("a/b") == "1");
    f.now += 1'000;
    f.publish("a/b", "2", "plc", 1, true);
    CHECK(f.value("a/b") == "2");
    CHECK(f.tree.values().count() == 0);       // the retained one is enough
    f.now += 1'000;
    f.publish("a/b", "3");
    CHECK(f.value("a/b") == "3");              // newer than the retained one
    f.now += 1'000;
    f.publish("a/b", "", "plc", 1, true);
    CHECK(f.value("a/b") == "(none)");
    CHECK_FALSE(f.facts("a/b").is_topic);
}

TEST_CASE("of a topic are known its time, publisher, messages and violations", "[namespace][live]") {
    Fixture f;
    f.publish("a/b", "1", "plc-1", 3);
    f.now += 2'000;
    f.publish("a/b", "2", "plc-2", 4);
    f.tree.note_violations("a/b", 2);
    f.tree.note_violations("a/other", 2);
    const TopicFacts facts = f.facts("a/b");
    CHECK(facts.messages == 7);
    CHECK(facts.client_id == "plc-2");
    CHECK(facts.violations == 2);
    CHECK(facts.last_ms == f.now);
    CHECK_FALSE(f.tree.facts("a/other", f.now));
    CHECK_FALSE(f.facts("a").is_topic);
}

TEST_CASE("the rate follows what comes and fades when nothing does", "[namespace][live]") {
    Fixture f;
    for (int i = 0; i < 60; ++i) {
        f.publish("a/b", "1", "plc", 10);
        f.now += 1'000;
    }
    CHECK(f.facts("a/b").rate == Approx(10).epsilon(0.1));
    f.now += 200'000;
    CHECK(f.facts("a/b").rate < 0.1);
}

TEST_CASE("a value of the start is known before anything is published", "[namespace][live]") {
    Fixture f;
    f.retained.set("a/b", RetainedMessage::make({1, 0, commit_time(first_ms - 5'000), {}, "7"}));
    f.tree.know_retained("a/b", first_ms - 5'000);
    CHECK(f.facts("a/b").is_topic);
    CHECK(f.facts("a/b").messages == 0);
    CHECK(f.facts("a/b").last_ms == first_ms - 5'000);
    CHECK(f.find({.words = {"b"}}) == Topics{"a/b"});
}

TEST_CASE("topics beyond the limit are counted, and those silent longest give way to new ones", "[namespace][live]") {
    Fixture f({.topics = 10, .value_bytes = 1 << 20});
    for (int i = 0; i < 10; ++i) {
        f.publish("t/" + std::to_string(i), "1");
        f.now += 1'000;
    }
    f.publish("t/10", "1");
    CHECK(f.tree.numbers().refused_topics == 1);
    CHECK(f.value("t/10") == "(none)");
    f.publish("t/0", "again");                 // known ones go on
    CHECK(f.value("t/0") == "again");
    f.tree.tidy();
    CHECK(f.tree.numbers().evicted_topics == 1);
    CHECK(f.value("t/1") == "(none)");         // silent longest
    f.publish("t/10", "1");
    CHECK(f.value("t/10") == "1");
    CHECK(f.tree.numbers().topics == 10);
}

TEST_CASE("values beyond the limit of bytes are refused and counted", "[namespace][live]") {
    Fixture f({.topics = 1'000, .value_bytes = 1'000});
    for (int i = 0; i < 20; ++i) f.publish("t/" + std::to_string(i), std::string(100, 'x'));
    CHECK(f.tree.values().bytes() <= 1'000);
    CHECK(f.tree.numbers().refused_topics > 10);
    CHECK(f.value("t/0") == std::string(100, 'x'));
}

TEST_CASE("memory of topics that are gone comes back, the others stay as they are", "[namespace][live]") {
    Fixture f;
    f.apply(plant);
    for (int i = 0; i < 20'000; ++i) f.publish("old/" + std::to_string(i), "1", "c", 1, true);
    f.publish("acme/munich/filler-1/temperature", "23", "plc");
    const std::uint64_t full = f.tree.numbers().index_bytes;
    for (int i = 0; i < 20'000; ++i) f.publish("old/" + std::to_string(i), "", "c", 1, true);
    f.tree.tidy();
    f.learn();
    CHECK(f.tree.numbers().index_bytes < full / 2);
    CHECK_FALSE(f.tree.facts("old/7", f.now));
    CHECK(f.facts("acme/munich/filler-1/temperature").client_id == "plc");
    CHECK(f.facts("acme/munich/filler-1/temperature").meaning.unit == "Cel");
    CHECK(f.value("acme/munich/filler-1/temperature") == "23");
}

TEST_CASE("topics mean what the model says, from when it is in force", "[namespace][live]") {
    Fixture f;
    f.publish("acme/munich/filler-1/temperature", "23");
    f.publish("other", "23");
    CHECK(f.facts("acme/munich/filler-1/temperature").meaning.kind == Meaning::Kind::unknown);
    f.apply(plant);
    const Meaning meaning = f.facts("acme/munich/filler-1/temperature").meaning;
    CHECK(meaning.kind == Meaning::Kind::metric);
    CHECK(meaning.unit == "Cel");
    CHECK(meaning.value_type == "number");
    CHECK(meaning.asset_type == "filler@2");
    CHECK(meaning.owner == "munich-ot@acme.example");
    CHECK(meaning.every_ms == 1'000);
    CHECK(f.facts("acme/munich/filler-1").meaning.kind == Meaning::Kind::asset);
    CHECK(f.facts("other").meaning.kind == Meaning::Kind::unknown);
    CHECK(f.described.contains("acme/munich"));
    CHECK(f.described.contains("acme/munich/filler-1/drive/speed"));
    CHECK_FALSE(f.described.contains("other"));
    f.tree.set_model(Model::empty(), f.now);
    CHECK(f.facts("acme/munich/filler-1/temperature").meaning.kind == Meaning::Kind::unknown);
    CHECK_FALSE(f.facts("acme/munich/filler-1/state").is_topic);
}

TEST_CASE("members that the model has and nobody published are expected and silent", "[namespace][live]") {
    Fixture f;
    f.apply(plant);
    CHECK(f.facts("acme/munich/filler-1/temperature").expected);
    CHECK(f.facts("acme/munich/filler-1/temperature").liveness == Liveness::silent);
    CHECK(f.facts("acme/munich/filler-1/batch").liveness == Liveness::none);   // an event promises nothing
    CHECK(f.facts("acme/munich/filler-1/drive/speed").liveness == Liveness::silent);
}

TEST_CASE("members of an instance of a pattern are expected from its first value on", "[namespace][live]") {
    Fixture f;
    f.apply(plant);
    CHECK_FALSE(f.tree.facts("acme/munich/packer-7/speed", f.now));
    f.publish("acme/munich/packer-7/other", "1");
    f.learn();
    CHECK(f.facts("acme/munich/packer-7/speed").expected);
    CHECK(f.facts("acme/munich/packer-7/speed").liveness == Liveness::silent);
    CHECK(f.described.contains("acme/munich/packer-7/speed"));
    CHECK(f.described.contains("acme/munich/packer-7"));
    CHECK_FALSE(f.described.contains("acme/munich/packer-7/other"));
}

TEST_CASE("a metric is stale after three periods without a value, and fresh with the next", "[namespace][live]") {
    Fixture f;
    f.apply(plant);
    const std::string topic = "acme/munich/filler-1/temperature";
    f.publish(topic, "23");
    CHECK(f.facts(topic).liveness == Liveness::fresh);
    f.now += 2'900;
    CHECK(f.facts(topic).liveness == Liveness::fresh);
    f.now += 2'000;
    CHECK(f.facts(topic).liveness == Liveness::stale);
    f.publish(topic, "24");
    CHECK(f.facts(topic).liveness == Liveness::fresh);
}

TEST_CASE("an asset is silent, fresh or stale, and says since when and which members", "[namespace][live]") {
    Fixture f;
    f.apply(plant);
    auto news = f.health();
    REQUIRE(news.size() == 1);
    CHECK(news[0].topic == "acme/munich/filler-1");
    CHECK(news[0].state == Liveness::silent);
    CHECK(news[0].silent_count == 3);
    CHECK(f.health().empty());                 // nothing new
    f.now += 1'000;
    const std::int64_t since = f.now;
    for (const char* member : {"temperature", "drive/speed", "state"}) {
        f.publish(std::string("acme/munich/filler-1/") + member, "1");
    }
    news = f.health();
    REQUIRE(news.size() == 1);
    CHECK(news[0].state == Liveness::fresh);
    CHECK(news[0].since_ms == since);
    f.now += 6'000;
    news = f.health();
    REQUIRE(news.size() == 1);
    CHECK(news[0].state == Liveness::stale);
    CHECK(news[0].stale == Topics{"temperature"});
    CHECK(f.tree.health("acme/munich/filler-1")->state == Liveness::stale);
    CHECK(f.tree.numbers().stale == 1);
    f.tree.set_model(Model::empty(), f.now);
    news = f.health();
    REQUIRE(news.size() == 1);
    CHECK(news[0].state == Liveness::none);    // is no asset any more
    CHECK_FALSE(f.tree.health("acme/munich/filler-1"));
}

TEST_CASE("health is told once, also where the topics were ordered anew meanwhile", "[namespace][live]") {
    Fixture f;
    const auto make_idle_nodes = [&] {
        for (const char* payload : {"1", ""}) {
            for (int i = 0; i < 2'000; ++i) f.publish("idle/" + std::to_string(i), payload, "plc", 1, true);
        }
    };
    make_idle_nodes();
    f.apply(plant);
    REQUIRE(f.health().size() == 1);
    const std::uint64_t bytes = f.tree.numbers().index_bytes;
    f.tree.tidy();
    REQUIRE(f.tree.numbers().index_bytes < bytes);
    f.learn();
    CHECK(f.health().empty());
    f.publish("acme/munich/filler-1/state", "idle");
    CHECK(f.health().size() == 1);

    make_idle_nodes();
    f.tree.tidy();
    f.tree.set_model(Model::empty(), f.now);
    const auto news = f.health();
    REQUIRE(news.size() == 1);
    CHECK(news[0].topic == "acme/munich/filler-1");
    CHECK(news[0].state == Liveness::none);
    CHECK_FALSE(f.tree.health("acme/munich/filler-1"));
    CHECK(f.health().empty());
}

TEST_CASE("search takes words, type, unit, owner, kind and staleness", "[namespace][live]") {
    Fixture f;
    f.apply(plant);
    f.publish("acme/munich/filler-1/temperature", "23");
    f.publish("acme/munich/filler-1/state", "idle");
    f.publish("acme/munich/filler-1/drive/speed", "1");
    f.publish("acme/munich/packer-7/speed", "1");
    f.publish("x/Temperature", "1");
    f.learn();
    CHECK(f.find({.words = {"TEMPER"}}) == Topics{"acme/munich/filler-1/temperature", "x/Temperature"});
    CHECK(f.find({.words = {"filler", "speed"}}) == Topics{"acme/munich/filler-1/drive/speed"});
    CHECK(f.find({.words = {"drive/sp"}}) == Topics{"acme/munich/filler-1/drive/speed"});
    CHECK(f.find({.words = {"tt-101"}}) == Topics{"acme/munich/filler-1/temperature"});   // its description
    CHECK(f.find({.words = {"bottle", "state"}}) == Topics{"acme/munich/filler-1/state"});   // its asset's
    CHECK(f.find({.type = "string"}) == Topics{"acme/munich/filler-1/state"});
    CHECK(f.find({.type = "motor"}) == Topics{"acme/munich/packer-7", "acme/munich/packer-7/speed"});
    CHECK(f.find({.type = "motor@1", .kind = Meaning::Kind::asset}) == Topics{"acme/munich/packer-7"});
    CHECK(f.find({.unit = "Cel"}) == Topics{"acme/munich/filler-1/temperature"});
    CHECK(f.find({.owner = "munich-ot", .kind = Meaning::Kind::event}) == Topics{"acme/munich/filler-1/batch"});
    CHECK(f.find({.words = {"nothing like it"}}).empty());
    CHECK(f.find({.stale = true}).empty());
    f.now += 10'000;
    CHECK(f.find({.stale = true}) == Topics{"acme/munich/filler-1/temperature"});
}

TEST_CASE("results come in pages that have each topic once", "[namespace][live]") {
    Fixture f;
    for (int i = 0; i < 95; ++i) f.publish("t/" + std::to_string(i), "1");
    TopicQuery query{.words = {"t"}, .limit = 10};
    std::vector<std::string> all;
    for (int pages = 0; pages < 20; ++pages) {
        const TopicMatches page = f.tree.find(query);
        CHECK(page.matched == 95);
        all.insert(all.end(), page.topics.begin(), page.topics.end());
        if (!page.cursor) break;
        query.after = *page.cursor;
    }
    CHECK(all.size() == 95);
    std::sort(all.begin(), all.end());
    CHECK(std::unique(all.begin(), all.end()) == all.end());
}

TEST_CASE("the nearest topic to one that does not exist is named", "[namespace][live]") {
    Fixture f;
    f.publish("acme/munich/line-1/temperature", "1");
    CHECK(f.tree.nearest("acme/munich/line-1/temprature") == "acme/munich/line-1/temperature");
    CHECK(f.tree.nearest("acme/Munich/line-1/temperature") == "acme/munich/line-1/temperature");
    CHECK(f.tree.nearest("acme/munich/unheard-of/x") == "acme/munich");
    CHECK(f.tree.nearest("nothing").empty());
}

TEST_CASE("odd names of levels are topics as others are", "[namespace][live]") {
    Fixture f;
    for (const std::string topic : {"/", "/a", "a/", "a//b", "\xE6\x97\xA5/\xE6\x9C\xAC", "$x/y"}) {
        f.publish(topic, topic);
        CHECK(f.value(topic) == topic);
        CHECK(f.facts(topic).is_topic);
    }
    CHECK(f.find({.words = {"\xE6\x9C\xAC"}}) == Topics{"\xE6\x97\xA5/\xE6\x9C\xAC"});
    CHECK(f.tree.numbers().topics == 6);
}

TEST_CASE("a million topics are searched in less than 100 ms", "[namespace][live]") {
    Fixture f({.topics = 1'500'000, .value_bytes = 1ULL << 30});
    const auto begun = std::chrono::steady_clock::now();
    std::string topic;
    for (int i = 0; i < 1'000'000; ++i) {
        topic = "acme/site-" + std::to_string(i / 200'000) + "/area-" + std::to_string(i / 20'000 % 10) + "/line-" +
                std::to_string(i / 500 % 40) + "/cell-" + std::to_string(i / 10 % 50) + "/metric_" + std::to_string(i);
        f.tree.know_retained(topic, first_ms);
    }
    const auto made = std::chrono::steady_clock::now();
    double worst_ms = 0;
    for (const Topics& words : {Topics{"metric_999"}, Topics{"site-3", "line-12", "cell-1"}, Topics{"nothing"},
                                Topics{"acme"}, Topics{"line-12/cell-1"}}) {
        const auto from = std::chrono::steady_clock::now();
        const TopicMatches found = f.tree.find({.words = words, .now_ms = first_ms});
        const double ms = std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - from).count();
        worst_ms = std::max(worst_ms, ms);
        INFO(words[0] << ": " << ms << " ms");
        CHECK((found.matched > 0) == (words[0] != "nothing"));
    }
    const auto numbers = f.tree.numbers();
    WARN("a million topics: worst search " << worst_ms << " ms, " << numbers.index_bytes / 1'000'000
         << " bytes a topic, " << std::chrono::duration<double>(made - begun).count() << " us to enter one");
    CHECK(numbers.index_bytes < 120'000'000);   // each has a name of its own here
    CHECK(worst_ms < 1'000);                    // a busy machine, and unoptimised test builds, take their time
}
