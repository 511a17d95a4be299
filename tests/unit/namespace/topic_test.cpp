#include <catch2/catch.hpp>

#include "namespace/topic.h"

using namespace trunkline::uns;

TEST_CASE("filters match topics as section 4.7 says", "[namespace]") {
    struct Row { const char* filter; const char* topic; bool match; };
    const Row rows[] = {
        {"a/b/c", "a/b/c", true}, {"a/b/c", "a/b", false},  {"a/b", "a/b/c", false},    {"a/+/c", "a/b/c", true},
        {"a/+/c", "a//c", true},  {"a/+", "a", false},      {"a/+", "a/", true},        {"+", "a", true},
        {"+", "/a", false},       {"/+", "/a", true},       {"+/+", "/a", true},        {"#", "a/b/c", true},
        {"#", "/", true},         {"a/#", "a", true},       {"a/#", "a/b/c", true},     {"a/#", "ab", false},
        {"#", "$SYS/x", false},   {"+/x", "$SYS/x", false}, {"$SYS/#", "$SYS/x", true}, {"$SYS/+", "$SYS/x", true},
        {"a/+/#", "a/b", true},   {"a/+/#", "a", false},    {"A/b", "a/b", false},      {"+/+/#", "a/b/c/d", true},
    };
    for (const Row& row : rows) {
        INFO(row.filter << " against " << row.topic);
        CHECK(matches(row.filter, row.topic) == row.match);  // [MQTT-4.7.2-1] [MQTT-4.7.3-4]
    }
}

TEST_CASE("filters are valid only with wildcards in their place", "[namespace]") {
    for (const char* good : {"#", "+", "a", "/", "a/#", "a/+/b", "+/+", "/#", "$SYS/#", "a//b", "+/#"}) {
        INFO(good);
        CHECK(is_valid_topic_filter(good));
    }
    for (const char* bad : {"", "a#", "#/a", "a/#/b", "a+", "+a", "a/b+/c", "##", "++", "a/#b"}) {
        INFO(bad);
        CHECK_FALSE(is_valid_topic_filter(bad));  // [MQTT-4.7.1-1] [MQTT-4.7.1-2] [MQTT-4.7.3-1]
    }
    CHECK_FALSE(is_valid_topic_filter(std::string_view("a\0b", 3)));  // [MQTT-4.7.3-2]
}

TEST_CASE("shared subscriptions are taken apart", "[namespace]") {
    const auto shared = parse_shared("$share/consumers/a/+/b");
    CHECK(shared.valid);
    CHECK(shared.group == "consumers");
    CHECK(shared.filter == "a/+/b");
    CHECK(parse_shared("a/b").group.empty());
    for (const char* bad : {"$share", "$share/", "$share/g", "$share//a", "$share/g/", "$share/g+/a", "$share/#/a"}) {
        INFO(bad);
        CHECK_FALSE(parse_shared(bad).valid);  // [MQTT-4.8.2-1] [MQTT-4.8.2-2]
    }
}
