// The section `admin`: who may use the Unix socket.
#include <catch2/catch.hpp>

#include <algorithm>
#include <string>

#include "broker/config_file.h"
#include "broker/config_json.h"

using namespace trunkline;
using namespace trunkline::broker;

namespace {

constexpr const char* with_roles = "authorizers: [{roles: {file: /etc/hosts}}]\n";

ConfigResult with_unix_users(const std::string& unix_users, const std::string& more = with_roles) {
    return parse_config("admin: {listen: \"unix:/tmp/a.sock\", unix_users: " + unix_users + "}\n" + more, "t.yaml", {});
}

bool tells(const ConfigResult& result, const std::string& rule, const std::string& text) {
    return std::any_of(result.problems.begin(), result.problems.end(), [&](const Problem& problem) {
        return problem.rule == rule && problem.message.find(text) != std::string::npos;
    });
}

}  // namespace

TEST_CASE("users of this machine are named by login name or uid", "[config]") {
    const ConfigResult result = with_unix_users("{root: boss, 4242: monitor}");
    for (const Problem& problem : result.problems) UNSCOPED_INFO(to_string(problem));
    REQUIRE(result.ok());
    CHECK(result.config.admin.unix_users == std::map<std::uint32_t, std::string>{{0, "boss"}, {4242, "monitor"}});
    CHECK(config_json(result.config).find("\"4242\":\"monitor\"") != std::string::npos);
    CHECK(needs_restart(Config(), result.config) ==
          std::vector<std::string>{"authorizers", "admin.listen", "listeners"});   // not unix_users
    CHECK(with_unix_users("{}").ok());
}

TEST_CASE("users that this machine does not have, or twice, or without a roles file, are problems", "[config]") {
    CHECK(tells(with_unix_users("{no-such-login-name: boss}"), "TL-9003", "no user \"no-such-login-name\""));
    CHECK(tells(with_unix_users("{99999999999: boss}"), "TL-9003", "no user"));
    CHECK(tells(with_unix_users("{root: boss, 0: other}"), "TL-9005", "uid 0"));
    CHECK(tells(with_unix_users("{root: boss}", ""), "TL-9013", "admin.unix_users"));
    CHECK_FALSE(with_unix_users("[root]").ok());
    CHECK_FALSE(with_unix_users("{root: {a: b}}").ok());
}
