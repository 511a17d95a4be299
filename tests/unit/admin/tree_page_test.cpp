#include <catch2/catch.hpp>

#include <set>
#include <string>
#include <vector>

#include "broker/admin/namespace_json.h"
#include "broker/admin/namespace_tree.h"
#include "broker/mqtt/encode.h"

using namespace trunkline;
using namespace trunkline::admin;

namespace {

void put(uns::RetainedTree& tree, std::string_view topic, std::string_view payload, std::int64_t expires_at_ms = 0) {
    tree.set(topic, uns::RetainedMessage::make({.qos = 1, .expires_at_ms = expires_at_ms,
                                                .stored_at = uns::commit_time(1'000), .properties = {},
                                                .payload = payload}));
}

std::vector<std::string> topics_of(const TreePage& page) {
    std::vector<std::string> topics;
    for (const Json& node : page.nodes) topics.push_back(node["topic"]);
    return topics;
}

}  // namespace

TEST_CASE("pages of the tree put together are the whole tree, whatever their size", "[admin]") {
    uns::RetainedTree tree;
    for (int line = 0; line < 4; ++line) {
        for (int cell = 0; cell < 5; ++cell) {
            const std::string at = "acme/line-" + std::to_string(line) + "/cell-" + std::to_string(cell);
            put(tree, at, "x");
            put(tree, at + "/temperature", "1");
            put(tree, at + "/state/mode", "2");
        }
    }
    put(tree, "/leading/slash", "3");
    put(tree, "trailing/", "4");
    put(tree, "a//b", "5");
    put(tree, "$SYS/broker/version", "6");
    for (const std::size_t depth : {1U, 2U, 3U, 64U}) {
        const TreePage whole = tree_page(tree, std::nullopt, depth, 100'000, std::nullopt, 0);
        CHECK_FALSE(whole.cursor);
        const auto expected = topics_of(whole);
        for (const std::size_t limit : {1U, 2U, 3U, 7U, 64U}) {
            std::vector<std::string> all;
            std::optional<std::string> cursor;
            for (int pages = 0; pages < 1'000; ++pages) {
                std::optional<std::string_view> after;
                if (cursor) after = *cursor;
                const TreePage page = tree_page(tree, std::nullopt, depth, limit, after, 0);
                CHECK(page.nodes.size() <= limit);
                for (const std::string& topic : topics_of(page)) all.push_back(topic);
                cursor = page.cursor;
                if (!cursor) break;
            }
            INFO("depth " << depth << " limit " << limit);
            CHECK(all == expected);
        }
    }
    const auto everything = topics_of(tree_page(tree, std::nullopt, 64, 100'000, std::nullopt, 0));
    const std::set<std::string> set(everything.begin(), everything.end());
    for (const char* topic : {"/leading/slash", "trailing/", "a//b", "acme/line-3/cell-4"}) {
        CHECK(set.count(topic) == 1);
    }
}

TEST_CASE("a page goes on after a node that has gone since", "[admin]") {
    uns::RetainedTree tree;
    for (const char* topic : {"a/1", "a/2", "a/3", "b/1"}) put(tree, topic, "x");
    const TreePage first = tree_page(tree, std::nullopt, 2, 3, std::nullopt, 0);
    CHECK(topics_of(first) == std::vector<std::string>{"a", "a/1", "a/2"});
    REQUIRE(first.cursor);
    tree.set("a/2", nullptr);
    CHECK(topics_of(tree_page(tree, std::nullopt, 2, 10, *first.cursor, 0)) ==
          std::vector<std::string>{"a/3", "b", "b/1"});
}

TEST_CASE("the tree can start at a topic and shows values that have not expired", "[admin]") {
    uns::RetainedTree tree;
    put(tree, "plant/line/fresh", "21.5");
    put(tree, "plant/line/old", "1", 500);
    put(tree, "plant/other", "1");
    const TreePage page = tree_page(tree, "plant/line", 1, 10, std::nullopt, 1'000);
    REQUIRE(topics_of(page) == std::vector<std::string>{"plant/line/fresh", "plant/line/old"});
    CHECK(page.nodes[0]["value"]["payload"] == "21.5");
    CHECK_FALSE(page.nodes[1].contains("value"));
    CHECK(tree_page(tree, "nowhere", 1, 10, std::nullopt, 0).nodes.empty());
    CHECK(topics_of(tree_page(tree, "plant/line", 1, 10, "plant/line/fresh", 0)) ==
          std::vector<std::string>{"plant/line/old"});
    CHECK(tree_page(tree, "plant/line", 1, 10, "elsewhere/x", 0).nodes.empty());
}

TEST_CASE("payloads that are no text are base64, long ones are cut at a character", "[admin]") {
    Json json;
    add_payload(json, std::string_view("\xFF\x00\x01", 3));
    CHECK(json["encoding"] == "base64");
    CHECK(json["payload"] == "/wAB");
    CHECK(json["bytes"] == 3);
    Json cut;
    add_payload(cut, "abc\xC3\xA4", 4);
    CHECK(cut["payload"] == "abc");
    CHECK(cut["truncated"] == true);
    CHECK_FALSE(cut.contains("encoding"));
    CHECK(from_base64("/wAB") == std::string("\xFF\x00\x01", 3));
    CHECK(from_base64("YQ==") == "a");
    CHECK(from_base64("") == "");
    CHECK_FALSE(from_base64("a"));
    CHECK_FALSE(from_base64("****"));
}

TEST_CASE("properties of a message are shown by name", "[admin]") {
    std::string properties;
    mqtt::append_user_property(properties, "unit", "Cel");
    mqtt::append_user_property(properties, "unit", "K");
    Json json;
    add_properties(json, properties);
    CHECK(json["user_properties"] == Json::parse(R"([["unit","Cel"],["unit","K"]])"));
}

TEST_CASE("topics of the broker itself are shown when they are asked for", "[admin]") {
    uns::RetainedTree tree;
    put(tree, "$SYS/broker/version", "1");
    put(tree, "$UNS/model", "2");
    put(tree, "$other/x", "3");
    CHECK(topics_of(tree_page(tree, std::nullopt, 9, 10, std::nullopt, 0)) ==
          std::vector<std::string>{"$other", "$other/x"});
    CHECK(topics_of(tree_page(tree, "$UNS", 9, 10, std::nullopt, 0)) == std::vector<std::string>{"$UNS/model"});
}

TEST_CASE("retained values, live ones and the model are one tree, in order, page by page", "[admin]") {
    constexpr const char* plant = R"(
trunkline: 1
namespace: acme
version: 1.0.0
levels: [enterprise, cell]
types:
  filler: {version: 2, metrics: {temperature: {type: number, unit: Cel, every: 1s}, level: {type: number}}}
tree:
  acme:
    filler-1: {$type: filler@2}
    "{cell}": {$match: "packer-[0-9]+", $type: filler}
)";
    uns::RetainedTree retained;
    uns::LiveTree live(retained, {});
    live.set_model(uns::Model::compile(plant, "plant.yaml").model, 1'700'000'000'000);
    const std::int64_t now = 1'700'000'001'000;
    const auto publish = [&](std::string_view topic, std::string_view payload, bool retain) {
        uns::LiveUpdate update;
        update.topic = topic;
        update.payload = payload;
        update.client_id = "plc";
        update.at_ms = now;
        update.messages = 3;
        update.retain = retain;
        if (retain) put(retained, topic, payload);
        live.update(&update, 1);
    };
    publish("acme/filler-1/temperature", R"({"value":23.5,"timestamp":1700000000000})", false);
    publish("acme/packer-2/level", "7", true);
    publish("acme/zebra", "8", false);
    while (live.learn(100, [](const std::string&, const std::string&) {})) {
    }
    const TreeView view(retained, &live);
    const TreePage whole = tree_page(view, std::nullopt, 9, 100, std::nullopt, now);
    const std::vector<std::string> expected{
        "acme", "acme/filler-1", "acme/filler-1/level", "acme/filler-1/temperature", "acme/packer-2",
        "acme/packer-2/level", "acme/packer-2/temperature", "acme/zebra", "acme/{cell}", "acme/{cell}/level",
        "acme/{cell}/temperature"};
    CHECK(topics_of(whole) == expected);
    std::vector<std::string> paged;
    std::optional<std::string> cursor;
    do {
        std::optional<std::string_view> after;
        if (cursor) after = *cursor;
        const TreePage page = tree_page(view, std::nullopt, 9, 2, after, now);
        for (const std::string& topic : topics_of(page)) paged.push_back(topic);
        cursor = page.cursor;
    } while (cursor && paged.size() < 100);
    CHECK(paged == expected);

    const Json& metric = whole.nodes[3];
    CHECK(metric["kind"] == "metric");
    CHECK(metric["type"] == "number");
    CHECK(metric["unit"] == "Cel");
    CHECK(metric["asset_type"] == "filler@2");
    CHECK(metric["publisher"] == "plc");
    CHECK(metric["messages"] == 3);
    CHECK(metric["state"] == "fresh");
    CHECK(metric["value"]["read"]["number"] == 23.5);
    CHECK(metric["value"]["retain"] == false);
    CHECK(whole.nodes[1]["type"] == "filler@2");
    CHECK(whole.nodes[2]["state"] == "silent");
    CHECK_FALSE(whole.nodes[2].contains("value"));
    CHECK(whole.nodes[5]["value"]["retain"] == true);
    CHECK(whole.nodes[8]["pattern"] == "packer-[0-9]+");
    CHECK(value_json(view, "acme/filler-1/temperature", now)["messages"] == 3);
    CHECK(value_json(view, "acme/filler-1/level", now).is_null());
}
