// From a publish to the live tree: what the shard notes, when it hands it over, and what is published below $UNS.
#include <catch2/catch.hpp>

#include <set>

#include "broker/core/browse.h"
#include "broker/core/shard.h"
#include "tests/unit/core/script.h"

using namespace trunkline;
using namespace trunkline::broker;
using namespace trunkline::broker::test;

namespace {

/// Collects notes and has room as long as the test lets it.
struct Sink final : LiveSink {
    bool room = true;
    std::vector<LiveNote::Ptr> notes;
    std::size_t largest = 0;
    [[nodiscard]] bool has_room() const override { return room; }
    void put(LiveNotes&& portion) override {
        largest = std::max(largest, portion.size());
        for (auto& note : portion) notes.push_back(std::move(note));
    }
    [[nodiscard]] const LiveNote* last(std::string_view topic) const {
        const LiveNote* found = nullptr;
        for (const auto& note : notes) {
            if (note->topic() == topic) found = note.get();
        }
        return found;
    }
};

struct Noted {
    Sink sink;                    // outlives the shards
    Script script;
    explicit Noted(std::uint32_t shards = 1) : script(shards) { script.broker->attach(sink); }
};

Text note_text(std::string topic, std::string payload, bool retain = false) {
    Text out;
    out.topic = std::move(topic);
    out.payload = std::move(payload);
    out.retain = retain;
    return out;
}

Shard& shard_of(Script& script) { return static_cast<Shard&>(script.broker->shard(0)); }

constexpr const char* fed_plant = R"(
trunkline: 1
namespace: acme
version: 1.0.0
levels: [enterprise, cell]
types:
  filler:
    version: 2
    metrics:
      temperature: {type: number, unit: Cel, every: 1s}
      level: {type: number, unit: mm}
tree:
  acme:
    $owner: ot@acme.example
    filler-1: {$type: filler@2}
    "{cell}": {$match: "packer-[0-9]+", $type: filler}
)";

/// A broker with browsing, stepped by hand.
struct Browsed {
    std::shared_ptr<const uns::Model> model;
    Script script;
    std::unique_ptr<Browse> browse;

    explicit Browsed(std::uint32_t shards = 1, Config config = {}) : script(shards, std::move(config)) {
        browse = std::make_unique<Browse>(*script.broker, [this] { return model; });
        script.broker->attach(*browse);
        step();
    }
    ~Browsed() { script.broker.reset(); }
    void apply(std::string_view yaml) {
        auto result = uns::Model::compile(yaml, "plant.yaml");
        REQUIRE(result.model);
        model = result.model;
        step();
    }
    /// Time enough for everything to be handed over and looked at.
    void step(std::int64_t ms = 1'000) {
        for (std::int64_t passed = 0; passed < ms; passed += 100) {
            script.pass(100);
            while (browse->step(script.now.wall_ms)) {
            }
            script.settle();
        }
    }
    std::string value(std::string_view topic) {
        bool retained = false;
        const auto held = browse->tree().value(topic, retained);
        return held ? std::string(held->fields().payload) : std::string("(none)");
    }
    std::string retained(std::string_view topic) {
        const auto held = script.broker->retained().get(topic);
        return held ? std::string(held->fields().payload) : std::string("(none)");
    }
};

}  // namespace

TEST_CASE("the last message of a topic is handed over, with how many there were and from whom", "[core][live]") {
    Noted f;
    Peer& p = f.script.connect({.id = "plc-1"});
    for (const char* payload : {"1", "2", "3"}) p.send(note_text("a/b", payload));
    f.script.pass(100);
    f.script.pass(100);
    std::uint64_t messages = 0;
    for (const auto& note : f.sink.notes) messages += note->messages;
    CHECK(messages == 3);
    const LiveNote* last = f.sink.last("a/b");
    REQUIRE(last);
    CHECK(last->payload() == "3");
    CHECK(last->publisher->client_id == "plc-1");
    CHECK(last->slot == nullptr);
}

TEST_CASE("what comes after a hand-over is handed over again", "[core][live]") {
    Noted f;
    Peer& p = f.script.connect({.id = "plc-1"});
    p.send(note_text("a/b", "1"));
    f.script.pass(200);
    f.script.pass(200);
    p.send(note_text("a/b", "2"));
    f.script.pass(200);
    f.script.pass(200);
    CHECK(f.sink.last("a/b")->payload() == "2");
}

TEST_CASE("a payload that grows is noted whole, one beyond the limit is cut and says so", "[core][live]") {
    Noted f;
    Peer& p = f.script.connect({.id = "plc-1"});
    for (const std::size_t size : {1, 100, 1'000, 4'096, 10'000}) p.send(note_text("a/b", std::string(size, 'x')));
    f.script.pass(100);
    f.script.pass(100);
    const LiveNote* last = f.sink.last("a/b");
    CHECK(last->payload().size() == LiveNote::payload_bytes_max);
    CHECK(last->truncated);
    std::uint64_t messages = 0;
    for (const auto& note : f.sink.notes) messages += note->messages;
    CHECK(messages == 5);
    p.send(note_text("a/b", std::string(3'000, 'y')));
    f.script.pass(100);
    f.script.pass(100);
    CHECK(f.sink.last("a/b")->payload() == std::string(3'000, 'y'));
    CHECK_FALSE(f.sink.last("a/b")->truncated);
}

TEST_CASE("many topics go in portions, all of them within two seconds", "[core][live]") {
    Noted f;
    Peer& p = f.script.connect({.id = "plc-1"});
    constexpr std::size_t topics = 5'000;
    for (std::size_t i = 0; i < topics; ++i) p.send(note_text("t/" + std::to_string(i), "1"));
    for (int i = 0; i < 20; ++i) f.script.pass(100);
    std::set<std::string> all;
    for (const auto& note : f.sink.notes) all.emplace(note->topic());
    CHECK(all.size() == topics);
    CHECK(f.sink.largest <= 1'024);   // a fifth of them
}

TEST_CASE("routes that are dropped take no note with them", "[core][live]") {
    Noted f;
    Peer& p = f.script.connect({.id = "plc-1"});
    constexpr std::size_t topics = 70'000;   // more than a shard keeps routes of
    std::string bytes;
    mqtt::Buffer out;
    for (std::size_t i = 0; i < topics; ++i) {
        mqtt::PublishOut packet;
        const std::string topic = "t/" + std::to_string(i);
        packet.topic = topic;
        packet.payload = "1";
        out.clear();
        mqtt::encode(out, mqtt::Version::v5, packet);
        bytes += out.view();
    }
    p.send_bytes(bytes);
    for (int i = 0; i < 30; ++i) f.script.pass(100);
    std::set<std::string> all;
    for (const auto& note : f.sink.notes) all.emplace(note->topic());
    CHECK(all.size() == topics);
    CHECK(f.script.broker->left_out_of_browsing() == 0);
}

TEST_CASE("a browsing thread that is behind gets nothing more, and that is counted", "[core][live]") {
    Noted f;
    Peer& p = f.script.connect({.id = "plc-1"});
    f.sink.room = false;
    p.send(note_text("a/b", "1"));
    f.script.pass(200);
    f.script.pass(200);
    CHECK(f.sink.notes.empty());
    CHECK(f.script.broker->left_out_of_browsing() == 1);
    f.sink.room = true;
    p.send(note_text("a/b", "2"));
    f.script.pass(200);
    f.script.pass(200);
    CHECK(f.sink.last("a/b")->payload() == "2");
}

TEST_CASE("wills and messages of the administration are noted, those of $SYS and $UNS are not", "[core][live]") {
    Noted f;
    mqtt::Will will;
    will.topic = "a/will";
    will.payload = "gone";
    Peer& p = f.script.connect({.id = "plc-1", .will = will});
    p.drop();
    f.script.broker->publish("a/api", "x", false, 0);
    f.script.broker->publish("$SYS/broker/x", "x", true, 0);
    f.script.broker->publish("$UNS/x", "x", true, 0);
    f.script.settle();
    f.script.pass(200);
    f.script.pass(200);
    REQUIRE(f.sink.last("a/will"));
    CHECK(f.sink.last("a/will")->publisher->client_id == "plc-1");
    REQUIRE(f.sink.last("a/api"));
    CHECK(f.sink.last("a/api")->publisher == nullptr);
    CHECK(f.sink.notes.size() == 2);
}

TEST_CASE("violations are counted by topic and publisher, with a payload", "[core][live]") {
    Noted f;
    MessageView message;
    message.topic = "a/b";
    message.payload = "wrong";
    LiveFeed& feed = shard_of(f.script).feed;
    for (int i = 0; i < 5; ++i) feed.note_violation("plc-1", "", message, false, f.script.now.wall_ms);
    f.script.pass(200);
    REQUIRE(f.sink.notes.size() == 1);
    CHECK(f.sink.notes[0]->violations == 5);
    CHECK(f.sink.notes[0]->messages == 0);
    CHECK(f.sink.notes[0]->payload() == "wrong");
    for (int i = 0; i < 1'000; ++i) {
        const std::string topic = "t/" + std::to_string(i);
        message.topic = topic;
        feed.note_violation("plc-1", "", message, false, f.script.now.wall_ms);
    }
    f.script.pass(200);
    CHECK(f.sink.notes.size() == 1 + LiveFeed::violations_per_tick_max);
    CHECK(f.script.broker->left_out_of_browsing() == 1'000 - LiveFeed::violations_per_tick_max);
}

TEST_CASE("a broker without browsing notes nothing", "[core][live]") {
    Script script;
    Peer& p = script.connect({.id = "a"});
    p.send(note_text("a/b", "1"));
    CHECK(script.broker->left_out_of_browsing() == 0);
}

TEST_CASE("a value is in the live tree within a second, retained or not, and on any shard", "[core][live]") {
    Browsed f(2);
    Peer& a = f.script.connect({.id = "a"}, 0);
    Peer& b = f.script.connect({.id = "b"}, 1);
    a.send(note_text("x/live", "1"));
    b.send(note_text("x/kept", "2", true));
    f.step(600);
    CHECK(f.value("x/live") == "1");
    CHECK(f.value("x/kept") == "2");
    CHECK(f.browse->tree().values().count() == 1);
    const auto facts = f.browse->tree().facts("x/live", f.script.now.wall_ms);
    REQUIRE(facts);
    CHECK(facts->client_id == "a");
    CHECK(facts->messages == 1);
    f.script.broker->publish("x/kept", "", true, 0);
    f.step();
    CHECK(f.value("x/kept") == "(none)");
}

TEST_CASE("samples of traffic come from what was accepted and from what was not", "[core][live]") {
    Browsed f;
    Peer& a = f.script.connect({.id = "a"});
    a.send(note_text("x/y", R"({"value":1})"));
    MessageView refused;
    refused.topic = "x/Y";
    refused.payload = R"({"value":"1"})";
    shard_of(f.script).feed.note_violation("a", "", refused, false, f.script.now.wall_ms);
    f.step();
    std::vector<std::string> topics;
    f.browse->traffic()([&](const uns::TrafficSample& sample) {
        topics.emplace_back(sample.topic);
        CHECK(sample.client_id == "a");
        return true;
    });
    CHECK(topics == std::vector<std::string>{"x/Y", "x/y"});
    CHECK(f.browse->samples().numbers().topics == 1);   // an only message is not kept twice
    a.send(note_text("x/y", R"({"value":2})"));
    a.send(note_text("x/once", "1"));
    f.step();
    std::vector<std::string> payloads;
    std::uint64_t messages = 0;
    f.browse->traffic()([&](const uns::TrafficSample& sample) {
        messages += sample.messages;
        payloads.emplace_back(sample.payload);
        return true;
    });
    CHECK(messages == 4);
    CHECK(payloads == std::vector<std::string>{R"({"value":"1"})", "1", R"({"value":1})", R"({"value":2})"});
    CHECK_FALSE(f.browse->tree().facts("x/Y", f.script.now.wall_ms));   // refused: not in the namespace
}

TEST_CASE("$UNS/model and $UNS/meta are retained as the model comes and go with it", "[core][live]") {
    Browsed f;
    CHECK(f.retained("$UNS/model") == "(none)");
    f.apply(fed_plant);
    CHECK(f.retained("$UNS/model").find("\"version\":\"1.0.0\"") != std::string::npos);
    CHECK(f.retained("$UNS/meta/acme/filler-1/temperature").find("\"unit\":\"Cel\"") != std::string::npos);
    CHECK(f.retained("$UNS/meta/acme/filler-1").find("filler@2") != std::string::npos);
    CHECK(f.retained("$UNS/meta/acme/packer-7/temperature") == "(none)");
    Peer& a = f.script.connect({.id = "a"});
    a.send(note_text("acme/packer-7/temperature", "20"));
    f.step();
    CHECK(f.retained("$UNS/meta/acme/packer-7/temperature").find("\"unit\":\"Cel\"") != std::string::npos);
    CHECK(f.retained("$UNS/meta/acme/packer-7/level").find("\"unit\":\"mm\"") != std::string::npos);
    std::string other = fed_plant;
    other.replace(other.find("1.0.0"), 5, "1.1.0");
    other.replace(other.find("level: {type"), 5, "depth");
    f.apply(other);
    CHECK(f.retained("$UNS/meta/acme/filler-1/level") == "(none)");
    CHECK(f.retained("$UNS/meta/acme/filler-1/depth").find("\"unit\":\"mm\"") != std::string::npos);
    f.model = nullptr;
    f.step();
    CHECK(f.retained("$UNS/model") == "(none)");
    CHECK(f.retained("$UNS/meta/acme/filler-1/temperature") == "(none)");
    CHECK(f.retained("$UNS/health/acme/filler-1") == "(none)");
}

TEST_CASE("subscribers get $UNS as it changes, those of # do not", "[core][live]") {
    const std::uint32_t shards = GENERATE(1U, 2U);
    Browsed f(shards);
    Peer& s = f.script.connect({.id = "s"}, shards - 1);
    Peer& other = f.script.connect({.id = "o"}, shards - 1);
    f.script.subscribe(s, "$UNS/health/#", 0);
    f.script.subscribe(other, "#", 0);
    f.apply(fed_plant);
    auto came = s.payloads();
    REQUIRE(came.size() == 1);
    CHECK(came[0].find("\"state\":\"silent\"") != std::string::npos);
    Peer& a = f.script.connect({.id = "a"});
    a.send(note_text("acme/filler-1/temperature", "20"));
    a.send(note_text("acme/filler-1/level", "20"));
    f.step();
    came = s.payloads();
    REQUIRE(came.size() >= 1);
    CHECK(came.back().find("\"state\":\"fresh\"") != std::string::npos);
    CHECK(f.retained("$UNS/health/acme/filler-1") == came.back());
    f.step(6'000);
    came = s.payloads();
    REQUIRE(came.size() == 1);
    CHECK(came[0].find("\"state\":\"stale\"") != std::string::npos);
    CHECK(came[0].find("\"stale\":[\"temperature\"]") != std::string::npos);
    for (const std::string& payload : other.payloads()) CHECK(payload == "20");
}

TEST_CASE("retained values of an earlier life are known from the start", "[core][live]") {
    std::shared_ptr<const uns::Model> none;
    Script script;
    Peer& a = script.connect({.id = "a"});
    for (int i = 0; i < 100; ++i) {
        Text one = note_text("t/" + std::to_string(i), "1", true);
        one.qos = 1;
        one.id = static_cast<std::uint16_t>(i + 1);
        a.send(one);
    }
    script.settle();
    script.restart();
    Browse browse(*script.broker, [none] { return none; });
    while (browse.step(script.now.wall_ms)) {
    }
    CHECK(browse.tree().numbers().topics == 100);
    CHECK(browse.tree().find({.words = {"t", "99"}, .now_ms = script.now.wall_ms}).topics.size() == 1);
}
