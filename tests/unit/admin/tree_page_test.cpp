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
    for (const char* topic : {"/leading/slash", "trailing/", "a//b", "$SYS/broker/version", "acme/line-3/cell-4"}) {
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
