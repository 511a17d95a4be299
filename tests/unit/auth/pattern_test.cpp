#include <bitset>
#include <vector>

#include "auth/pattern.h"
#include "namespace/topic.h"
#include "tests/unit/auth/samples.h"

using namespace trunkline;
using namespace trunkline::auth;
using namespace trunkline::auth::test;

namespace {

Relation relate_for(const Principal& who, std::string_view pattern, std::string_view filter, bool fail_closed = false) {
    std::string error;
    const auto parsed = Pattern::parse(pattern, error);
    INFO(pattern << ": " << error);
    REQUIRE(parsed);
    return relate(*parsed, filter, who, fail_closed);
}

// All topics of up to five levels over a small alphabet that has a text no filter uses, and one that begins with $.
const std::vector<std::string>& topics() {
    static const std::vector<std::string> all = [] {
        const std::vector<std::string> alphabet = {"a", "b", "", "z", "$s"};
        std::vector<std::string> level = alphabet, found;
        for (int depth = 1; depth <= 5; ++depth) {
            for (const std::string& topic : level) {
                if (!topic.empty()) found.push_back(topic);
            }
            std::vector<std::string> next;
            for (const std::string& topic : level) {
                for (const std::string& text : alphabet) next.push_back(topic + "/" + text);
            }
            level = std::move(next);
        }
        return found;
    }();
    return all;
}

using TopicSet = std::bitset<3905>;

std::vector<std::string> filters() {
    const std::vector<std::string> alphabet = {"a", "b", "", "$s", "+"};
    std::vector<std::string> level = alphabet, found = {"#"};
    for (int depth = 1; depth <= 4; ++depth) {
        std::vector<std::string> next;
        for (const std::string& filter : level) {
            if (!filter.empty()) found.push_back(filter);
            found.push_back(filter + "/#");
            for (const std::string& text : alphabet) next.push_back(filter + "/" + text);
        }
        level = std::move(next);
    }
    return found;
}

}  // namespace

TEST_CASE("whether a rule covers a filter equals trying every topic", "[auth]") {
    const std::vector<std::string> all = filters();
    std::vector<TopicSet> matched(all.size());
    for (std::size_t i = 0; i < all.size(); ++i) {
        for (std::size_t t = 0; t < topics().size(); ++t) matched[i][t] = uns::matches(all[i], topics()[t]);
    }
    std::mt19937_64 random(4);
    std::size_t wrong = 0, covered = 0, apart = 0;
    const std::size_t pairs = count_from("TRUNKLINE_CONTAINMENT_PAIRS", 100'000);
    for (std::size_t i = 0; i < pairs; ++i) {
        const std::size_t rule = random() % all.size();
        const std::size_t filter = random() % (i % 4 == 0 ? 60 : all.size());  // short ones have the odd cases
        Relation expected = Relation::part;
        if ((matched[filter] & ~matched[rule]).none()) expected = Relation::covers;
        else if ((matched[filter] & matched[rule]).none()) expected = Relation::apart;
        covered += expected == Relation::covers;
        apart += expected == Relation::apart;
        if (relate(all[rule], all[filter]) == expected) continue;
        ++wrong;
        UNSCOPED_INFO("rule " << all[rule] << " filter " << all[filter]);
    }
    CHECK(wrong == 0);
    CHECK(covered > pairs / 1000);                      // the sample has all three in numbers
    CHECK(apart < pairs - pairs / 100);
}

TEST_CASE("values of a principal are compared literally", "[auth]") {
    Principal who = principal("ann", "edge-7");
    who.certificate.common_name = "press 7";
    who.certificate.dns = {"press-7.plant.example", "alias.plant.example"};
    struct Row { const char* pattern; const char* filter; Relation expected; };
    const Row rows[] = {
        {"dev/%c/#", "dev/edge-7/x", Relation::covers},
        {"dev/%c/#", "dev/edge-8/x", Relation::apart},
        {"dev/%c/#", "dev/edge-7/#", Relation::covers},
        {"dev/%c/#", "dev/+/x", Relation::part},
        {"dev/%c/#", "dev/#", Relation::part},
        {"dev/line-%c-%u/v", "dev/line-edge-7-ann/v", Relation::covers},
        {"dev/%{c}n", "dev/edge-7n", Relation::covers},
        {"dev/%cn", "dev/press 7", Relation::covers},
        {"dev/%dns/#", "dev/alias.plant.example", Relation::covers},
        {"dev/%dns/#", "dev/other.plant.example", Relation::apart},
        {"dev/%san", "dev/press-7.plant.example", Relation::covers},
        {"dev/%ou/#", "dev/x", Relation::apart},
        {"dev/100%%", "dev/100%", Relation::covers},
        {"%u/#", "ann", Relation::covers},
    };
    for (const Row& row : rows) {
        INFO(row.pattern << " against " << row.filter);
        CHECK(relate_for(who, row.pattern, row.filter) == row.expected);
    }
}

TEST_CASE("no value of a principal widens a rule that allows", "[auth]") {
    for (const char* id :
         {"+", "#", "a/b", "..", "../..", "a/#", "+/+", ".*", "*", "%u", "%c", "$SYS", "a\\", "[a-z]"}) {
        const Principal who = principal("ann", id);
        for (const char* filter :
             {"dev/edge-7", "dev/+", "dev/#", "#", "dev/a/b", "dev/x/y", "$SYS/broker/uptime", "dev"}) {
            INFO("client " << id << " filter " << filter);
            CHECK(relate_for(who, "dev/%c", filter) != Relation::covers);
            CHECK(relate_for(who, "%c/#", filter) != Relation::covers);
        }
    }
    CHECK(relate_for(principal("", ".."), "dev/%c", "dev/..") == Relation::covers);
    CHECK(relate_for(principal("", "*"), "dev/%c", "dev/*") == Relation::covers);
    CHECK(relate_for(principal("", std::string("a\0b", 3)), "dev/%c", "dev/a") == Relation::apart);
}

TEST_CASE("nobody gets around a deny by a value that breaks its place", "[auth]") {
    for (const char* id : {"+", "#", "a/b", "a/"}) {
        INFO(id);
        CHECK(relate_for(principal("", id), "dev/%c/secret", "dev/edge-7/secret", true) == Relation::covers);
        CHECK(relate_for(principal("", id), "dev/%c/secret", "dev/edge-7/open", true) == Relation::apart);
    }
    CHECK(relate_for(principal("", "x"), "dev/%u/secret", "dev/edge-7/secret", true) == Relation::apart);
}

TEST_CASE("filters of rules that cannot be are refused with a reason", "[auth]") {
    for (const char* bad : {"", "a#", "a/#/b", "a+/b", "$share/g/a", "dev/%x", "dev/%", "dev/%{c", "dev/%cx", "%c+"}) {
        std::string error;
        INFO(bad);
        CHECK_FALSE(Pattern::parse(bad, error));
        CHECK_FALSE(error.empty());
    }
    std::string error;
    CHECK_FALSE(Pattern::parse("dev/%usr", error));
    CHECK(error.find("did you mean %u") != std::string::npos);
}
