// What a model does to messages on their way through a broker: refusals, quarantine, observation, moved paths.
#include <catch2/catch.hpp>

#include "broker/core/governance.h"
#include "tests/unit/core/script.h"

using namespace trunkline;
using namespace trunkline::broker;
using namespace trunkline::broker::test;
using mqtt::PacketType;
using mqtt::Reason;

namespace {

constexpr std::string_view governed_plant = R"(trunkline: 1
namespace: acme
version: 1.0.0
defaults: {mode: enforce, payload: plain}
types:
  filler:
    version: 1
    metrics: {speed: {type: integer, min: 0, max: 100}}
    events: {done: {payload: json}}
    commands: {start: {type: boolean, writers: ["client:boss"]}}
tree:
  acme:
    munich:
      $kind: site
      hall:
        $kind: area
        f1: {$type: filler, $aliases: [{path: old/f1}]}
        f2: {$type: filler, $mode: quarantine}
        f3: {$type: filler, $mode: observe}
        f4: {$type: filler, $quota: {rate: 1/s}}
exempt: ["free/#"]
)";
constexpr const char* f1 = "acme/munich/hall/f1/speed";

std::shared_ptr<const uns::Model> compile(std::string text) {
    auto result = uns::Model::compile(text, "plant.yaml");
    for (const Problem& problem : result.problems) UNSCOPED_INFO(to_string(problem));
    REQUIRE(result.model);
    return result.model;
}

void govern(Script& script, std::string text = std::string(governed_plant)) {
    bool done = false;
    script.broker->governance().apply(compile(std::move(text)), {"test", "because"}, [&](const Refused& refused) {
        CHECK(refused.what.empty());
        done = true;
    });
    script.settle();
    REQUIRE(done);
}

std::string property(const mqtt::Ack& ack, std::string_view name) {
    for (const auto& [key, value] : ack.user_properties) {
        if (key == name) return std::string(value);
    }
    return {};
}

}  // namespace

TEST_CASE("a refusal says why and what to do", "[core][governance]") {
    Script script;
    govern(script);
    Peer& s = script.connect({.id = "s"});
    script.subscribe(s, "#", 1);
    Peer& p = script.connect({.id = "p"});
    p.send(text(f1, "131"));
    auto ack = p.expect<mqtt::Ack>();
    CHECK(ack.reason == Reason::payload_format_invalid);
    CHECK(ack.reason_string == "TL-3102 value 131 is above max 100");
    CHECK(property(ack, "uns-rule") == "TL-3102");
    CHECK(!property(ack, "uns-expected").empty());
    p.send(text("acme/munich/Hall/f1/speed", "1", 2, 2));
    ack = p.expect<mqtt::Ack>();
    CHECK(ack.type == PacketType::pubrec);
    CHECK(ack.reason == Reason::topic_name_invalid);
    CHECK(property(ack, "uns-fix") == f1);
    p.send(text("acme/munich/hall/f1/start", "true", 1, 3));
    CHECK(p.expect<mqtt::Ack>().reason == Reason::not_authorized);
    p.send(text("acme/munich/hall/f1/done", "{}", 1, 4, true));
    CHECK(p.expect<mqtt::Ack>().reason == Reason::implementation_specific_error);
    p.send(text(f1, "50", 1, 5));
    CHECK(p.expect<mqtt::Ack>().reason == Reason::success);
    CHECK(s.payloads() == std::vector<std::string>{"50"});
}

TEST_CASE("a refusal waits behind what is on its way through the log", "[core][governance]") {
    Script script;
    govern(script);
    Peer& s = script.connect({.id = "s", .clean = false, .expiry_s = 3600});
    script.subscribe(s, "#", 1);
    Peer& p = script.connect({.id = "p"});
    p.send(text(f1, "1", 1, 1));
    p.send(text(f1, "131", 1, 2));
    CHECK(p.quiet());
    script.settle();
    CHECK(p.expect_ack(PacketType::puback, 1).reason == Reason::success);
    const mqtt::Ack refused = p.expect_ack(PacketType::puback, 2);
    CHECK(refused.reason == Reason::payload_format_invalid);
    CHECK(property(refused, "uns-rule") == "TL-3102");
}

TEST_CASE("what is quarantined is acknowledged once it is stored, and not delivered", "[core][governance]") {
    Script script;
    govern(script);
    Peer& s = script.connect({.id = "s"});
    script.subscribe(s, "acme/#", 1);
    Peer& watcher = script.connect({.id = "w"});
    script.subscribe(watcher, "$UNS/quarantine/#", 1);
    Peer& p = script.connect({.id = "p"});
    p.send(text("acme/munich/hall/f2/speed", "131"));
    CHECK(p.quiet());
    script.settle();
    const mqtt::Ack ack = p.expect_ack(PacketType::puback, 1);
    CHECK(ack.reason == Reason::success);
    CHECK(property(ack, "uns-verdict") == "quarantined");
    CHECK(s.payloads().empty());
    CHECK(watcher.payloads() == std::vector<std::string>{"131"});
    const auto entries = script.broker->governance().quarantine("#", 0, 10);
    REQUIRE(entries.size() == 1);
    CHECK(entries[0].client_id == "p");
    CHECK(entries[0].rule == "TL-3102");
    CHECK(script.broker->governance().counts().quarantined_messages == 1);
}

TEST_CASE("a full quarantine refuses with quota exceeded", "[core][governance]") {
    StateLimits limits;
    limits.quarantine_messages = 0;
    Script script(1, {}, limits);
    govern(script);
    Peer& p = script.connect({.id = "p"});
    p.send(text("acme/munich/hall/f2/speed", "131"));
    script.settle();
    CHECK(p.expect_ack(PacketType::puback, 1).reason == Reason::quota_exceeded);
}

TEST_CASE("a message leaves the quarantine when the model takes it", "[core][governance]") {
    Script script;
    govern(script);
    Peer& s = script.connect({.id = "s"});
    script.subscribe(s, "acme/#", 1);
    Peer& p = script.connect({.id = "p"});
    p.send(text("acme/munich/hall/f2/speed", "131", 0, 0));   // QoS 0, too
    script.settle();
    Governance& governance = script.broker->governance();
    const std::uint64_t id = governance.quarantine("#", 0, 1).at(0).id;
    std::optional<Refused> answer;
    const auto replay = [&] {
        answer.reset();
        governance.replay(id, {"test", ""}, [&](const Refused& refused) { answer = refused; });
        script.settle();
        REQUIRE(answer);
    };
    replay();
    CHECK(answer->kind == Refused::Kind::judged);
    CHECK(s.payloads().empty());
    std::string wider(governed_plant);
    wider.replace(wider.find("max: 100"), 8, "max: 200");
    wider.replace(wider.find("1.0.0"), 5, "1.1.0");
    govern(script, wider);
    replay();
    CHECK(answer->kind == Refused::Kind::none);
    CHECK(s.payloads() == std::vector<std::string>{"131"});
    CHECK(governance.quarantine("#", 0, 1).empty());
    replay();
    CHECK(answer->kind == Refused::Kind::not_found);
}

TEST_CASE("what is observed is delivered and counted", "[core][governance]") {
    Script script;
    govern(script);
    Peer& s = script.connect({.id = "s"});
    script.subscribe(s, "acme/#", 1);
    Peer& p = script.connect({.id = "p"});
    p.send(text("acme/munich/hall/f3/speed", "131"));
    CHECK(p.expect<mqtt::Ack>().reason == Reason::success);
    CHECK(s.payloads() == std::vector<std::string>{"131"});
    const VerdictCounts counts = script.broker->governance().counts();
    REQUIRE(counts.rules.size() == 1);
    CHECK(counts.rules[0].rule == "TL-3102");
    CHECK(counts.rules[0].count == 1);
    CHECK(counts.verdicts[static_cast<std::size_t>(uns::Outcome::observe)][2] == 1);
    const auto recent = script.broker->governance().violations(10);
    REQUIRE(recent.size() == 1);
    CHECK(recent[0].place.starts_with("plant.yaml:"));
    CHECK(recent[0].payload == "131");
}

TEST_CASE("an old path is delivered under the new one", "[core][governance]") {
    Script script;
    govern(script);
    Peer& s = script.connect({.id = "s"});
    script.subscribe(s, "#", 1);
    Peer& p = script.connect({.id = "p"});
    p.send(text("old/f1/speed", "7", 1, 1, true));
    script.settle();
    CHECK(p.expect<mqtt::Ack>().reason == Reason::success);
    CHECK(s.expect<mqtt::Publish>().topic == f1);
    CHECK(script.broker->retained().get(f1));
    CHECK(!script.broker->retained().get("old/f1/speed"));
}

TEST_CASE("a quota refuses what is above it", "[core][governance]") {
    Script script;
    govern(script);
    Peer& p = script.connect({.id = "p"});
    p.send(text("acme/munich/hall/f4/speed", "1", 1, 1));
    CHECK(p.expect<mqtt::Ack>().reason == Reason::no_matching_subscribers);
    p.send(text("acme/munich/hall/f4/speed", "2", 1, 2));
    CHECK(p.expect<mqtt::Ack>().reason == Reason::quota_exceeded);
    script.pass(1'100);
    p.send(text("acme/munich/hall/f4/speed", "3", 1, 3));
    CHECK(p.expect<mqtt::Ack>().reason == Reason::no_matching_subscribers);
}

TEST_CASE("a 3.1.1 publisher of what is refused is acknowledged or disconnected", "[core][governance]") {
    const bool disconnects = GENERATE(false, true);
    Script script;
    std::string model(governed_plant);
    if (disconnects) model.replace(model.find("mode: enforce"), 13, "mode: enforce, v3_reject: disconnect");
    govern(script, model);
    Peer& s = script.connect({.id = "s"});
    script.subscribe(s, "#", 1);
    Peer& p = script.connect({.id = "p", .version = mqtt::Version::v311});
    p.send(text(f1, "131"));
    if (disconnects) {
        CHECK(p.transport.closed);
    } else {
        CHECK(p.expect_ack(PacketType::puback, 1).reason == Reason::success);
        p.send(text(f1, "131", 2, 2));
        (void)p.expect_ack(PacketType::pubrec, 2);
        p.ack(PacketType::pubrel, 2);
        (void)p.expect_ack(PacketType::pubcomp, 2);
        p.send(text(f1, "131", 0, 0));
        CHECK(p.quiet());
        CHECK(!p.transport.closed);
    }
    CHECK(s.payloads().empty());
}

TEST_CASE("a will that the model refuses is refused with its CONNECT", "[core][governance]") {
    Script script;
    govern(script);
    mqtt::Will will;
    will.topic = f1;
    will.payload = "131";
    Peer& p = script.open();
    p.send(Hello{.id = "p", .will = will});
    script.settle();
    CHECK(p.expect<mqtt::Connack>().reason == Reason::payload_format_invalid);
}

TEST_CASE("a will is judged again when it is sent", "[core][governance]") {
    Script script;
    mqtt::Will will;
    will.topic = f1;
    will.payload = "131";
    will.qos = 1;
    Peer& s = script.connect({.id = "s"});
    script.subscribe(s, "#", 1);
    Peer& p = script.connect({.id = "p", .will = will});
    govern(script);
    p.drop();
    script.settle();
    CHECK(s.payloads().empty());
    CHECK(script.broker->governance().counts().rules.at(0).count == 1);
}

TEST_CASE("what is exempt is not looked at", "[core][governance]") {
    Script script;
    govern(script);
    Peer& p = script.connect({.id = "p"});
    p.send(text("free/for/all", "anything"));
    CHECK(p.expect<mqtt::Ack>().reason == Reason::no_matching_subscribers);
    p.send(text("not/free", "anything", 1, 2));
    CHECK(p.expect<mqtt::Ack>().reason == Reason::topic_name_invalid);
}

TEST_CASE("a cached route is judged by the model in force", "[core][governance]") {
    Script script(2);
    Peer& p = script.connect({.id = "p"}, 1);
    p.send(text(f1, "131"));
    CHECK(p.expect<mqtt::Ack>().reason == Reason::no_matching_subscribers);
    govern(script);
    p.send(text(f1, "131", 1, 2));
    CHECK(p.expect<mqtt::Ack>().reason == Reason::payload_format_invalid);
    std::string open(governed_plant);
    open.replace(open.find("mode: enforce"), 13, "mode: observe");
    open.replace(open.find("1.0.0"), 5, "1.0.1");
    govern(script, open);
    p.send(text(f1, "131", 1, 3));
    CHECK(p.expect<mqtt::Ack>().reason == Reason::no_matching_subscribers);
}

TEST_CASE("the model in force and its versions are there after a restart", "[core][governance]") {
    Script script;
    govern(script);
    std::string next(governed_plant);
    next.replace(next.find("1.0.0"), 5, "1.1.0");
    govern(script, next);
    std::optional<Refused> answer;
    std::string changed(governed_plant);
    changed.replace(changed.find("max: 100"), 8, "max: 90");
    script.broker->governance().apply(compile(changed), {"test", ""}, [&](const Refused& r) { answer = r; });
    script.settle();
    REQUIRE(answer);
    CHECK(answer->kind == Refused::Kind::conflict);
    answer.reset();
    script.broker->governance().rollback(1, {"test", "back"}, [&](const Refused& r) { answer = r; });
    script.settle();
    REQUIRE(answer);
    CHECK(answer->kind == Refused::Kind::none);
    script.restart();
    REQUIRE(script.broker->governance().load(script.store).empty());
    CHECK(script.broker->governance().model()->version() == "1.0.0");
    const auto versions = script.broker->governance().versions();
    REQUIRE(versions.size() == 3);
    CHECK(versions[2].rolled_back_from == 2);
    CHECK(versions[2].why == "back");
    Peer& p = script.connect({.id = "p"});
    p.send(text(f1, "131"));
    CHECK(p.expect<mqtt::Ack>().reason == Reason::payload_format_invalid);
}

TEST_CASE("names that publishers choose must not differ in case alone", "[core][governance]") {
    Script script(2);
    govern(script, R"(trunkline: 1
namespace: acme
version: 1.0.0
defaults: {mode: enforce, payload: any}
naming: {unique_ignoring_case: true}
tree:
  acme:
    free: {"#": any}
)");
    Peer& p = script.connect({.id = "p"}, 0);
    Peer& q = script.connect({.id = "q"}, 1);
    p.send(text("acme/free/Line/a", "1"));
    CHECK(p.expect<mqtt::Ack>().reason == Reason::no_matching_subscribers);
    q.send(text("acme/free/line/b", "1"));
    const mqtt::Ack ack = q.expect<mqtt::Ack>();
    CHECK(ack.reason == Reason::topic_name_invalid);
    CHECK(property(ack, "uns-fix") == "acme/free/Line/b");
    q.send(text("acme/free/Line/b", "1", 1, 2));
    CHECK(q.expect<mqtt::Ack>().reason == Reason::no_matching_subscribers);
}
