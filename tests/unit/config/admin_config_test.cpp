// The section `admin`: who may use the Unix socket, and TLS.
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

/// `files` of it are files that can be read; that they are no certificates is found when they are loaded.
ConfigResult with_tls(const std::string& listen, const std::string& tls, const std::string& more = "") {
    return parse_config("admin: {listen: \"" + listen + "\", tls: {" + tls + "}}\n" + more, "t.yaml", {});
}
constexpr const char* files = "cert: /etc/hosts, key: /etc/hosts";

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

TEST_CASE("administration has TLS where admin.tls says of which certificate", "[config]") {
    const ConfigResult result = with_tls("127.0.0.1:9883", std::string(files) + ", min_version: '1.3'");
    for (const Problem& problem : result.problems) UNSCOPED_INFO(to_string(problem));
    REQUIRE(result.ok());
    CHECK(result.config.admin.tls.given());
    CHECK(result.config.admin.tls.min_version == "1.3");
    const std::string shown = config_json(result.config);
    CHECK(shown.find(R"("tls":{"cert":"/etc/hosts","key":"***")") != std::string::npos);
    CHECK(with_tls("https://127.0.0.1:9883", files).ok());
    CHECK_FALSE(parse_config("", "t.yaml", {}).config.admin.tls.given());
    CHECK(config_json(Config()).find("\"tls\"") == std::string::npos);

    Config other = result.config;
    other.admin.tls.certificate_file = "/etc/passwd";   // is read by a reload
    CHECK(needs_restart(result.config, other).empty());
    other.admin.tls = {};
    CHECK(needs_restart(result.config, other) == std::vector<std::string>{"admin.tls"});
}

TEST_CASE("what admin.tls lacks or contradicts is a problem", "[config]") {
    CHECK(tells(with_tls("127.0.0.1:9883", "cert: /etc/hosts"), "TL-9009", "tls.key"));
    CHECK(tells(with_tls("127.0.0.1:9883", "cert: /etc/hosts, key: /nowhere"), "TL-9009", "/nowhere"));
    CHECK(tells(with_tls("127.0.0.1:9883", std::string(files) + ", require_client_cert: true"), "TL-9009", "tls.ca"));
    CHECK(tells(with_tls("127.0.0.1:9883", std::string(files) + ", crl: /etc/hosts"), "TL-9009", "tls.ca"));
    CHECK(tells(with_tls("127.0.0.1:9883", "require_client_cert: true"), "TL-9009", "tls.cert"));
    CHECK(tells(with_tls("unix:/tmp/a.sock", files), "TL-9013", "Unix socket"));
    CHECK(tells(with_tls("http://127.0.0.1:9883", files), "TL-9013", "http://"));
    CHECK(tells(parse_config("admin: {listen: \"https://127.0.0.1:9883\"}\n", "t.yaml", {}), "TL-9009", "tls.cert"));
    CHECK(tells(with_tls("127.0.0.1:9883", std::string(files) + ", ca: /etc/hosts"), "TL-9013", "roles file"));
    CHECK(with_tls("127.0.0.1:9883", std::string(files) + ", ca: /etc/hosts", with_roles).ok());
}

TEST_CASE("other machines reach administration only where it asks who they are", "[config]") {
    const std::string with_authority = std::string(files) + ", ca: /etc/hosts";
    CHECK(tells(parse_config("admin: {listen: \"0.0.0.0:9883\"}\n", "t.yaml", {}), "TL-9012", "0.0.0.0:9883"));
    CHECK(tells(with_tls("0.0.0.0:9883", files), "TL-9012", "certificate"));   // a secret line to whoever it is
    CHECK(tells(with_tls("0.0.0.0:9883", files, with_roles), "TL-9012", "certificate"));
    CHECK(with_tls("0.0.0.0:9883", with_authority, with_roles).ok());
    CHECK(with_tls("0.0.0.0:9883", std::string(files) + "}, tokens_file: /etc/hosts, unix_users: {").ok());
}
