#include <catch2/catch.hpp>

#include <algorithm>
#include <random>
#include <set>

#include "namespace/retained_tree.h"

using namespace trunkline::uns;

namespace {

RetainedPtr message(std::string_view payload) { return RetainedMessage::make({1, 0, 0, {}, payload}); }

std::vector<std::string> scan_all(const RetainedTree& tree, const char* filter, std::size_t step) {
    std::vector<std::string> found;
    std::string after;
    for (bool more = true; more;) {
        more = tree.scan(filter, after, step, [&](std::string_view topic, const RetainedPtr&) {
            found.emplace_back(topic);
            after = topic;
        });
    }
    return found;
}

}  // namespace

TEST_CASE("a retained value replaces, is found and goes", "[namespace]") {
    RetainedTree tree;
    tree.set("a/b", message("1"));
    tree.set("a/b", message("2"));
    tree.set("a", message("3"));
    CHECK(tree.count() == 2);
    CHECK(tree.get("a/b")->fields().payload == "2");
    tree.set("a/b", nullptr);
    tree.set("a/none", nullptr);
    CHECK(tree.count() == 1);
    CHECK_FALSE(tree.get("a/b"));
    tree.set("a", nullptr);
    CHECK(tree.bytes() == 0);
}

TEST_CASE("a scan in steps visits what matches once, for any filter and step", "[namespace]") {
    std::mt19937 random(7);
    RetainedTree tree;
    std::set<std::string> topics;
    const char* names[] = {"a", "b", "ab", "", "$x", "c"};
    for (int i = 0; i < 400; ++i) {
        std::string topic = names[random() % 6];
        for (unsigned level = random() % 5; level > 0; --level) topic += std::string("/") + names[random() % 6];
        if (topic.empty()) continue;
        topics.insert(topic);
        tree.set(topic, message("x"));
    }
    for (const char* filter :
         {"#", "+", "+/#", "a/#", "a/+", "+/b/+", "a/b/ab", "/#", "+/+/+/+/+", "$x/#", "+/a/#", "c/+/b/#"}) {
        std::vector<std::string> expected;
        for (const auto& topic : topics) {
            if (matches(filter, topic)) expected.push_back(topic);
        }
        std::sort(expected.begin(), expected.end());
        for (std::size_t step : {1, 2, 7, 1000}) {
            auto found = scan_all(tree, filter, step);
            std::sort(found.begin(), found.end());
            INFO(filter << " in steps of " << step);
            CHECK(found == expected);
        }
    }
}

TEST_CASE("a retained message gives back what it was made of, with and without an expiry", "[namespace]") {
    const std::string properties(300, 'q');
    const CommitTime stored_at = commit_time(1'700'000'000'001) + 3;
    for (const std::int64_t expires_at_ms : {std::int64_t{0}, std::int64_t{1'700'000'000'123}}) {
        for (const std::size_t size : {std::size_t{1}, std::size_t{128}, std::size_t{1} << 20}) {
            for (const std::string_view some : {std::string_view(), std::string_view(properties)}) {
                const std::string payload(size, 'x');
                const auto kept = RetainedMessage::make({2, expires_at_ms, stored_at, some, payload});
                const auto fields = kept->fields();
                CHECK(fields.qos == 2);
                CHECK(fields.expires_at_ms == expires_at_ms);
                CHECK(fields.stored_at == stored_at);
                CHECK(commit_time_ms(fields.stored_at) == 1'700'000'000'001);
                CHECK(fields.properties == some);
                CHECK(fields.payload == payload);
                CHECK(kept->memory_bytes() == 20 + (expires_at_ms ? 8 : 0) + some.size() + size);
            }
        }
    }
}

TEST_CASE("levels of any length are kept as they are", "[namespace]") {
    RetainedTree tree;
    std::string topic;
    for (std::size_t size = 0; size < 40; ++size) topic += std::string(size, static_cast<char>('a' + size % 26)) + '/';
    topic += std::string(65'535 - topic.size(), 'z');  // as long as a topic can be
    tree.set(topic, message("1"));
    std::string seen;
    tree.scan("#", {}, 10, [&](std::string_view found, const RetainedPtr&) { seen = found; });
    CHECK(seen == topic);
    CHECK(tree.get(topic));
    tree.set(topic, nullptr);
    CHECK(tree.count() == 0);
    CHECK(!tree.children(std::nullopt, std::nullopt, 10, [](auto&&...) { FAIL("a level is left"); }));
}

TEST_CASE("a scan goes on where it stopped when that topic is gone", "[namespace]") {
    RetainedTree tree;
    for (const char* topic : {"a/1", "a/2", "a/2/x", "a/3"}) tree.set(topic, message("x"));
    std::string last;
    const auto visit = [&](std::string_view topic, const RetainedPtr&) { last = topic; };
    CHECK(tree.scan("#", "", 2, visit));
    CHECK(last == "a/2");
    tree.set("a/2", nullptr);
    tree.set("a/2/x", nullptr);
    CHECK_FALSE(tree.scan("#", "a/2", 2, visit));
    CHECK(last == "a/3");
}
