#include <catch2/catch.hpp>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "broker/config_file.h"
#include "broker/config_json.h"
#include "broker/limits_table.h"
#include "broker/listener_url.h"
#include "broker/units.h"

using namespace trunkline;
using namespace trunkline::broker;

namespace {

ConfigResult parse(std::string_view text, const Options& options = {}) { return parse_config(text, "t.yaml", options); }

std::string all_of(const ConfigResult& result) {
    std::string text;
    for (const Problem& problem : result.problems) text += to_string(problem) + "\n";
    return text;
}

bool has(const ConfigResult& result, std::string_view rule, std::string_view place) {
    for (const Problem& problem : result.problems) {
        if (problem.rule == rule && problem.place == place && !problem.message.empty()) return true;
    }
    return false;
}

}  // namespace

TEST_CASE("no file and no flag gives loopback listeners and nothing to complain about", "[config]") {
    const ConfigResult result = load_config({});
    INFO(all_of(result));
    REQUIRE(result.ok());
    REQUIRE(result.config.listeners.size() == 1);
    CHECK(result.config.listeners[0].host == "127.0.0.1");
    CHECK(result.config.listeners[0].port == 1883);
    CHECK(result.config.listeners[0].loopback);
    CHECK(result.config.admin.listen == "127.0.0.1:9883");
    CHECK(result.config.data_dir == "./trunkline-data");
    CHECK_FALSE(result.config.allow_anonymous);
}

TEST_CASE("a file with ten mistakes gives ten problems, each with its place and a mend", "[config]") {
    const ConfigResult result = parse(
        "nod: plant-1\n"                          //  1 unknown key
        "workers: many\n"                         //  2 no number
        "durability: fast\n"                      //  3 no such choice
        "listeners:\n"
        "  - url: tcp://127.0.0.1:1883\n"         //  5 scheme
        "  - url: mqtts://127.0.0.1:8883\n"       //  6 no certificate
        "    prxy_protocol: true\n"               //  7 unknown key
        "limits:\n"
        "  receive_maximum: 70000\n"              //  9 out of range
        "  max_packet_bytes: 1 Mibble\n"          // 10 unreadable
        "  max_keep_alive_s: [1, 2]\n"            // 11 a list
        "history: {days: 3}\n");                  // 12 not built
    INFO(all_of(result));
    CHECK(result.problems.size() == 10);
    CHECK(has(result, "TL-9002", "t.yaml:1:1"));
    CHECK(has(result, "TL-9003", "t.yaml:2:10"));
    CHECK(has(result, "TL-9003", "t.yaml:3:13"));
    CHECK(has(result, "TL-9008", "t.yaml:5:10"));
    CHECK(has(result, "TL-9009", "t.yaml:6:10"));
    CHECK(has(result, "TL-9002", "t.yaml:7:5"));
    CHECK(has(result, "TL-9004", "t.yaml:9:20"));
    CHECK(has(result, "TL-9003", "t.yaml:10:21"));
    CHECK(has(result, "TL-9003", "t.yaml:11:21"));
    CHECK(has(result, "TL-9007", "t.yaml:12:1"));
    for (const Problem& problem : result.problems) CHECK_FALSE(problem.fix.empty());
    CHECK(result.problems[0].fix.find("\"node\"") != std::string::npos);
    CHECK(result.problems[5].fix.find("\"proxy_protocol\"") != std::string::npos);
}

TEST_CASE("sizes, durations and percentages are read in their units", "[config]") {
    const ConfigResult result = parse(
        "limits:\n  max_packet_bytes: 2 MiB\n  max_session_expiry_s: 7d\n  connect_timeout_ms: 5s\n"
        "  write_stall_s: 90\n  queue_messages: 1_000_000\n  disk_warn_percent: 20%\n  retained_bytes: 1.5 GiB\n"
        "sys_interval: 1m\n");
    INFO(all_of(result));
    REQUIRE(result.ok());
    const Limits& limits = result.config.limits;
    CHECK(limits.max_packet_bytes == 2'097'152);
    CHECK(limits.max_session_expiry_s == 604'800);
    CHECK(limits.connect_timeout_ms == 5'000);
    CHECK(limits.write_stall_s == 90);
    CHECK(limits.queue_messages == 1'000'000);
    CHECK(limits.disk_warn_percent == 20);
    CHECK(limits.retained_bytes == 1'610'612'736);
    CHECK(result.config.sys_interval_s == 60);
}

TEST_CASE("a flag wins over the file", "[config]") {
    Options options;
    options.listen = {"mqtt://127.0.0.1:2883", "unix:/tmp/x.sock"};
    options.data_dir = "/tmp/elsewhere";
    options.log_level = "debug";
    options.workers = 3;
    const ConfigResult result =
        parse("data: here\nworkers: 9\nlog: {level: warn}\nlisteners: [{url: 'mqtt://127.0.0.1:1884'}]\n", options);
    INFO(all_of(result));
    REQUIRE(result.ok());
    REQUIRE(result.config.listeners.size() == 2);
    CHECK(result.config.listeners[0].port == 2883);
    CHECK(result.config.listeners[1].kind == ListenerKind::unix_socket);
    CHECK(result.config.data_dir == "/tmp/elsewhere");
    CHECK(result.config.log_level == "debug");
    CHECK(result.config.workers == 3);
}

TEST_CASE("a listener that others can reach needs allow_anonymous by name", "[config]") {
    Options options;
    options.listen = {"mqtt://0.0.0.0:1883"};
    ConfigResult result = parse("", options);
    CHECK(has(result, "TL-9010", "--listen mqtt://0.0.0.0:1883"));
    CHECK(has(result, "TL-9011", "--listen mqtt://0.0.0.0:1883"));
    options.allow_anonymous = true;
    CHECK(parse("", options).ok());

    CHECK(has(parse("listeners: [{url: 'mqtt://plant.example:1883'}]"), "TL-9010", "t.yaml:1:19"));
    CHECK(parse("listeners: [{url: 'mqtt://127.0.0.1:1883', proxy_protocol: true}]").ok());
    CHECK(parse("allow_anonymous: true\nlisteners: [{url: 'mqtt://[::]:1883'}]").ok());
    CHECK(parse("listeners: [{url: 'mqtt://[::1]:1883'}, {url: 'mqtt://localhost:1884'}]").ok());
}

TEST_CASE("administration off loopback needs tokens", "[config]") {
    CHECK(has(parse("admin: {listen: '0.0.0.0:9883'}"), "TL-9012", "t.yaml:1:17"));
    CHECK(has(parse("admin: {listen: '127.0.0.1'}"), "TL-9008", "t.yaml:1:17"));
    CHECK(parse("admin: {listen: 'unix:/tmp/admin.sock'}").ok());
}

TEST_CASE("sections that are not built are refused unless they are empty", "[config]") {
    CHECK(parse("authenticators: []\naudit: {}\nbridges:\nmodel: {}\n").ok());
    CHECK(has(parse("model: {file: no-such-plant.yaml}"), "TL-9009", "t.yaml:1:15"));
    CHECK(has(parse("sparkplug: {group: x}"), "TL-9007", "t.yaml:1:1"));
}

TEST_CASE("ways to authenticate are read in their order, with their values", "[config]") {
    const ConfigResult result = parse(
        "authorizers:\n  - roles: {file: /dev/null}\n  - plugin: {file: /p.so, config: {a: 1, b: '1', c: [x, true]}}\n"
        "authenticators:\n  - certificate: {source: dns, known_only: false}\n  - password\n  - scram:\n"
        "  - jwt:\n      jwks_file: /dev/null\n      audience: plant\n      algorithms: [ES256, HS256]\n"
        "      leeway: 5s\n  - anonymous: {remote: true}\n"
        "listeners:\n  - {url: 'mqtt://127.0.0.1:1883', authenticators: [password, {plugin: {file: /p.so}}]}\n");
    INFO(all_of(result));
    REQUIRE(result.ok());
    const auto& all = result.config.authenticators;
    REQUIRE(all.size() == 5);
    CHECK(all[0].method == AuthMethod::certificate);
    CHECK(all[0].certificate_name == CertificateName::dns);
    CHECK_FALSE(all[0].known_only);
    CHECK(all[1].method == AuthMethod::password);
    CHECK(all[2].method == AuthMethod::scram);
    CHECK(all[3].jwt.audience == "plant");
    CHECK(all[3].jwt.leeway_s == 5);
    CHECK(all[3].jwt.algorithms == std::vector{auth::JwtAlgorithm::es256, auth::JwtAlgorithm::hs256});
    CHECK(all[4].remote);
    CHECK(result.config.listeners[0].authenticators.size() == 2);
    CHECK(result.config.authorizers[1].plugin.config_json == R"({"a":1,"b":"1","c":["x",true]})");
    CHECK(roles_file_of(result.config.authorizers) == "/dev/null");
}

TEST_CASE("ways to authenticate that lack something, or contradict the rest, are named with their place", "[config]") {
    CHECK(has(parse("authenticators: [password]"), "TL-9015", "t.yaml:1:18"));
    CHECK(has(parse("authenticators:\n  - scram\n"), "TL-9015", "t.yaml:2:5"));
    CHECK(has(parse("authenticators:\n  - certificate\n"), "TL-9015", "t.yaml:2:5"));
    CHECK(parse("authenticators:\n  - certificate: {known_only: false}\n").ok());
    CHECK(has(parse("authenticators: [passwd]"), "TL-9002", "t.yaml:1:18"));
    CHECK(has(parse("authenticators: [{anonymous: {remot: true}}]"), "TL-9002", "t.yaml:1:31"));
    CHECK(has(parse("authenticators: [anonymous, anonymous]"), "TL-9005", "t.yaml:1:29"));
    CHECK(has(parse("authenticators: [{anonymous: , password: }]"), "TL-9003", "t.yaml:1:18"));
    CHECK(has(parse("authenticators: [{jwt: {jwks_file: /dev/null}}]"), "TL-9015", "t.yaml:1:24"));
    CHECK(has(parse("authenticators: [{jwt: {audience: a}}]"), "TL-9015", "t.yaml:1:24"));
    CHECK(has(parse("authenticators: [{jwt: {jwks_file: /none, audience: a}}]"), "TL-9009", "t.yaml:1:24"));
    CHECK(has(parse("authenticators: [{jwt: {jwks_file: /dev/null, audience: a, algorithms: [none]}}]"), "TL-9003",
              "t.yaml:1:72"));
    CHECK(has(parse("authenticators: [{plugin: {file: p.so}}]"), "TL-9015", "t.yaml:1:34"));
    CHECK(has(parse("authorizers: [{plugin: {file: /p.so, sha256: 12}}]"), "TL-9015", "t.yaml:1:46"));
    CHECK(has(parse("authorizers: [{roles: }]"), "TL-9015", "t.yaml:1:16"));
    CHECK(has(parse("authorizers: [{roles: {file: /nowhere/roles.yaml}}]"), "TL-9009", "t.yaml:1:23"));
    CHECK(has(parse("allow_anonymous: true\nauthenticators: [anonymous]"), "TL-9013", "t.yaml:1:18"));
    CHECK(has(parse("listeners: [{url: 'mqtt://127.0.0.1:1', authenticators: [{certificate: {known_only: false}}]}]"),
              "TL-9013", "t.yaml:1:19"));
    CHECK(has(parse("authenticators: [{plugin: {file: /p.so, config: {a: 1}}}]\n"
                    "authorizers: [{plugin: {file: /p.so, config: {a: 2}}}]"), "TL-9013", "t.yaml:1:34"));
}

TEST_CASE("a listener off loopback needs authenticators, and TLS where a secret is sent", "[config]") {
    const std::string roles = "authorizers: [{roles: {file: /dev/null}}]\n";
    const ConfigResult bare = parse(roles + "authenticators: [password]\nlisteners: [{url: 'mqtt://0.0.0.0:1'}]");
    CHECK(bare.problems.size() == 1);
    CHECK(has(bare, "TL-9011", "t.yaml:3:19"));
    CHECK(parse(roles + "authenticators: [password]\n"
                        "listeners: [{url: 'mqtt://0.0.0.0:1', allow_insecure: true}]").ok());
    CHECK(parse(roles + "authenticators: [scram]\nlisteners: [{url: 'mqtt://0.0.0.0:1'}]").ok());
    CHECK(parse(roles + "listeners: [{url: 'mqtt://0.0.0.0:1', authenticators: [scram]}]").ok());
    CHECK(has(parse(roles + "listeners: [{url: 'mqtt://0.0.0.0:1'}]"), "TL-9010", "t.yaml:2:19"));
}

TEST_CASE("an HTTP service that judges logins is read and checked", "[config]") {
    ::setenv("TRUNKLINE_TEST_TOKEN", "bearer-of-the-test", 1);
    const ConfigResult good = parse(
        "authenticators:\n  - http: {url: 'https://id.acme.example/mqtt?plant=1', ca: /dev/null, timeout: 2s,\n"
        "      token: '${TRUNKLINE_TEST_TOKEN}', when_unreachable: defer, requests: 4}\n"
        "  - http: {url: 'http://[::1]:8080'}\n");
    INFO(all_of(good));
    REQUIRE(good.ok());
    const AuthenticatorConfig& one = good.config.authenticators[0];
    CHECK((one.http.url == "https://id.acme.example/mqtt?plant=1" && one.http.ca_file == "/dev/null"));
    CHECK((one.timeout_ms == 2'000 && one.defer_unreachable && one.http.requests_max == 4));
    CHECK(one.http.token == "bearer-of-the-test");
    CHECK(good.config.authenticators[1].timeout_ms == 5'000);
    CHECK_FALSE(good.config.authenticators[1].defer_unreachable);
    CHECK(config_json(good.config).find("bearer-of-the-test") == std::string::npos);
    AuthenticatorConfig other = one;
    other.http.token = "another";
    CHECK(other == one);                                   // taken by a reload
    other.http.url += "x";
    CHECK_FALSE(other == one);
    const auto http = [](const std::string& values) { return parse("authenticators: [{http: {" + values + "}}]"); };
    CHECK(has(http(""), "TL-9015", "t.yaml:1:19"));
    CHECK(has(http("url: 'ftp://x'"), "TL-9008", "t.yaml:1:31"));
    CHECK(has(http("url: 'http://127.0.0.1:0'"), "TL-9008", "t.yaml:1:31"));
    CHECK(has(http("url: 'https://a:b@x/'"), "TL-9008", "t.yaml:1:31"));
    CHECK(has(http("url: 'https://x/#y'"), "TL-9008", "t.yaml:1:31"));
    CHECK(has(http("url: 'http://auth.acme.example'"), "TL-9015", "t.yaml:1:31"));
    CHECK(http("url: 'http://auth.acme.example', allow_insecure: true").ok());
    CHECK(has(http("url: 'https://x', tokn: a"), "TL-9002", "t.yaml:1:44"));
    CHECK(has(http("url: 'https://x', token: in-the-clear"), "TL-9015", "t.yaml:1:51"));
    CHECK(has(http("url: 'https://x', token: 'file:/nowhere'"), "TL-9006", "t.yaml:1:51"));
    CHECK(has(http("url: 'https://x', ca: /nowhere"), "TL-9009", "t.yaml:1:25"));
    CHECK(has(http("url: 'http://localhost', ca: /dev/null"), "TL-9013", "t.yaml:1:55"));
    CHECK(has(http("url: 'https://x', when_unreachable: allow"), "TL-9003", "t.yaml:1:62"));
    CHECK(has(http("url: 'https://x', timeout: 1h"), "TL-9004", "t.yaml:1:53"));
    CHECK(has(parse("listeners: [{url: 'mqtt://0.0.0.0:1', authenticators: [{http: {url: 'https://x'}}]}]"), "TL-9011",
              "t.yaml:1:19"));
}

TEST_CASE("a directory that judges logins is read and checked", "[config]") {
    ::setenv("TRUNKLINE_TEST_BIND", "bind-of-the-test", 1);
    const ConfigResult good = parse(
        "authenticators:\n"
        "  - ldap:\n"
        "      url: ldaps://dc1.acme.example\n      ca: /dev/null\n      timeout: 2s\n      connections: 8\n"
        "      search: {base: 'dc=acme', filter: '(&(objectClass=person)(sAMAccountName=%u))', scope: one,\n"
        "               bind_dn: 'cn=mqtt,dc=acme', password: '${TRUNKLINE_TEST_BIND}'}\n"
        "      groups: {attribute: memberOf}\n"
        "      group_roles:\n        - {group: 'cn=operators,dc=acme', roles: [operator, viewer]}\n"
        "        - {group: fitters, roles: [viewer]}\n"
        "  - ldap: {url: 'ldap://[::1]:1389', start_tls: true, bind_dn: 'uid=%u,ou=people,dc=acme',\n"
        "           groups: {base: 'ou=groups,dc=acme', filter: '(member=%d)'}, when_unreachable: defer}\n");
    INFO(all_of(good));
    REQUIRE(good.ok());
    const AuthenticatorConfig &one = good.config.authenticators[0], &two = good.config.authenticators[1];
    CHECK((one.timeout_ms == 2'000 && one.ldap.connections_max == 8 && !one.defer_unreachable));
    CHECK((one.ldap.user_attribute == "sAMAccountName" && !one.ldap.search.subtree));
    CHECK((one.ldap.search.password == "bind-of-the-test" && one.ldap.group_attribute == "memberOf"));
    REQUIRE(one.ldap.group_roles.size() == 2);
    CHECK(one.ldap.group_roles[0].roles == std::vector<std::string>{"operator", "viewer"});
    CHECK((two.ldap.user_attribute == "uid" && two.ldap.start_tls && two.defer_unreachable));
    CHECK(two.ldap.group_filter == "(member=%d)");
    CHECK(config_json(good.config).find("bind-of-the-test") == std::string::npos);
    AuthenticatorConfig other = one;
    other.ldap.search.password = "another";
    CHECK(other == one);                                   // taken by a reload
    other.ldap.group_roles.pop_back();
    CHECK_FALSE(other == one);
    const auto ldap = [](const std::string& values) { return parse("authenticators: [{ldap: {" + values + "}}]"); };
    const std::string template_of = ", bind_dn: 'uid=%u,dc=x'", url = "url: 'ldaps://d'";
    CHECK(ldap(url + template_of).ok());
    CHECK(has(ldap("url: 'http://d'" + template_of), "TL-9008", "t.yaml:1:31"));
    CHECK(has(ldap("url: 'ldaps://d/dc=x'" + template_of), "TL-9008", "t.yaml:1:31"));
    CHECK(has(ldap("url: 'ldap://d'" + template_of), "TL-9015", "t.yaml:1:31"));
    CHECK(has(ldap("url: 'ldap://127.0.0.1'" + template_of), "TL-9015", "t.yaml:1:31"));
    CHECK(ldap("url: 'ldap://d', allow_insecure: true" + template_of).ok());
    CHECK(ldap("url: 'ldap://d', start_tls: true" + template_of).ok());
    CHECK(has(ldap("url: 'ldaps://d', start_tls: true" + template_of), "TL-9013", "t.yaml:1:55"));
    CHECK(has(ldap(url), "TL-9015", "t.yaml:1:25"));
    CHECK(has(ldap(url + template_of + ", search: {base: 'dc=x', filter: '(uid=%u)'}"), "TL-9015", "t.yaml:1:53"));
    CHECK(has(ldap(url + ", bind_dn: 'uid=ann,dc=x'"), "TL-9015", "t.yaml:1:53"));
    CHECK(has(ldap(url + ", bind_dn: 'ACME%u'"), "TL-9015", "t.yaml:1:53"));
    CHECK(has(ldap(url + ", bind_dn: 'uid=%x,dc=x'"), "TL-9015", "t.yaml:1:53"));
    CHECK(has(ldap(url + ", search: {base: 'dc=x', filter: 'uid=%u'}"), "TL-9015", "t.yaml:1:75"));
    CHECK(has(ldap(url + ", search: {base: 'dc=x', filter: '(uid=ann)'}"), "TL-9015", "t.yaml:1:75"));
    CHECK(has(ldap(url + ", search: {base: 'dc=x', filter: '(uid=%u)', bind_dn: 'cn=a'}"), "TL-9015", "t.yaml:1:52"));
    CHECK(has(ldap(url + ", search: {base: 'dc=x', filter: '(uid=%u)', bind_dn: 'cn=a', password: clear}"), "TL-9015",
              "t.yaml:1:114"));
    CHECK(has(ldap(url + ", search: {base: 'dc=x', filter: '(|(uid=%u)(mail=%u))'}"), "TL-9015", "t.yaml:1:25"));
    CHECK(has(ldap(url + template_of + ", groups: {atribute: memberOf}"), "TL-9002", "t.yaml:1:77"));
    CHECK(has(ldap(url + template_of + ", groups: {base: 'dc=x'}"), "TL-9015", "t.yaml:1:76"));
    CHECK(has(ldap(url + template_of + ", group_roles: [{group: g, roles: [r]}]"), "TL-9015", "t.yaml:1:25"));
    CHECK(has(ldap(url + template_of + ", groups: {attribute: m}, group_roles: [{group: g}]"), "TL-9015",
              "t.yaml:1:106"));
    CHECK(has(ldap(url + template_of + ", ca: /nowhere"), "TL-9009", "t.yaml:1:25"));
    CHECK(has(parse("listeners: [{url: 'mqtt://0.0.0.0:1', authenticators: [{ldap: {" + url + template_of + "}}]}]"),
              "TL-9011", "t.yaml:1:19"));
}

TEST_CASE("the audit trail's section is read and checked", "[config]") {
    const auto good = parse("data: d\naudit: {dir: /a, checkpoint_interval: 500ms, checkpoint_leaves: 7,\n"
                            "  receipts: false, when_unwritable: allow, witnesses: [{file: /w/x}, {syslog: /dev/log},\n"
                            "  {trunkline: 'http://b:9883'}]}");
    REQUIRE(good.ok());
    const AuditConfig& audit = good.config.audit;
    CHECK((audit.enabled && !audit.receipts && !audit.refuse_unaudited));
    CHECK((audit.dir == "/a" && audit.checkpoint_interval_ms == 500 && audit.checkpoint_leaves == 7));
    REQUIRE(audit.witnesses.size() == 3);
    CHECK(audit.witnesses[1].kind == AuditWitness::Kind::syslog);
    CHECK(audit.witnesses[2].target == "http://b:9883");
    CHECK(has(parse("audit: {witnesses: [{}]}"), "TL-9003", "t.yaml:1:21"));
    CHECK(has(parse("audit: {witnesses: [{file: /a, syslog: /b}]}"), "TL-9003", "t.yaml:1:28"));
    CHECK(has(parse("audit: {witnesses: [{trunkline: 'ftp://x'}]}"), "TL-9008", "t.yaml:1:33"));
    CHECK_FALSE(parse("audit: {dir: /a, witnesses: [{file: /a/x}]}").ok());
    CHECK_FALSE(parse("audit: {approval: regulated}").ok());
    CHECK_FALSE(parse("audit: {checkpoint_interval: 1ms}").ok());
    CHECK(has(parse("audit: {key: x}"), "TL-9002", "t.yaml:1:9"));
}

TEST_CASE("references to the environment and to files are resolved or reported", "[config]") {
    ::setenv("TRUNKLINE_TEST_NODE", "plant-7", 1);
    ::unsetenv("TRUNKLINE_TEST_NOTHING");
    CHECK(parse("node: ${TRUNKLINE_TEST_NODE}-a").config.node == "plant-7-a");
    CHECK(parse("node: ${TRUNKLINE_TEST_NOTHING:-spare}").config.node == "spare");
    CHECK(parse("node: $${literal}").config.node == "${literal}");
    CHECK(has(parse("node: ${TRUNKLINE_TEST_NOTHING}"), "TL-9006", "t.yaml:1:7"));
    CHECK(has(parse("node: file:/nonexistent/name"), "TL-9006", "t.yaml:1:7"));
    const auto file = std::filesystem::temp_directory_path() / "trunkline-config-test-node";
    std::ofstream(file) << "from-a-file\n";
    CHECK(parse("node: file:" + file.string()).config.node == "from-a-file");
    std::filesystem::remove(file);
}

TEST_CASE("text that is no YAML, repeated keys and wrong shapes are problems with places", "[config]") {
    CHECK(has(parse("a: [1, 2\nb: 3\n"), "TL-9001", "t.yaml:2:2"));
    CHECK(has(parse("node: a\nnode: b\n"), "TL-9005", "t.yaml:2:1"));
    CHECK(has(parse("- a\n"), "TL-9003", "t.yaml:1:1"));
    CHECK(has(parse("allow_anonymous: maybe"), "TL-9003", "t.yaml:1:18"));
    CHECK(has(parse("limits: 3"), "TL-9003", "t.yaml:1:9"));
    CHECK(has(parse("node: a\n---\nnode: b\n"), "TL-9001", "t.yaml:2:1"));
    CHECK(has(parse("{node: a},\n"), "TL-9001", "t.yaml:1:10"));   // no end of documents, as yaml-cpp counts them
    CHECK(has(parse("limits: {memory_pause_percent: 90}"), "TL-9013", "t.yaml:1:32"));
    CHECK(has(parse("listeners: [{url: 'unix:/tmp/a'}, {url: 'unix:/tmp/a'}]"), "TL-9013", "t.yaml:1:41"));
    Options missing;
    missing.config_file = "/nonexistent/trunkline.yaml";
    CHECK_FALSE(load_config(missing).ok());
}

TEST_CASE("relative paths of the file start at its folder", "[config]") {
    CHECK(parse_config("data: store", "/etc/trunkline/t.yaml", {}).config.data_dir == "/etc/trunkline/store");
    CHECK(parse_config("data: /var/lib/t", "/etc/trunkline/t.yaml", {}).config.data_dir == "/var/lib/t");
    CHECK(parse_config("data: store", "t.yaml", {}).config.data_dir == "store");
}

TEST_CASE("what a reload cannot change is named", "[config]") {
    const Config running = parse("node: a\n").config;
    Config fresh = parse("node: b\nlimits: {receive_maximum: 10}\nlog: {level: debug}\n").config;
    CHECK(needs_restart(running, fresh) == std::vector<std::string>{"node", "limits.receive_maximum"});
    CHECK(needs_restart(running, running).empty());
}

TEST_CASE("every limit can be configured and its default is in its range", "[config]") {
    Limits limits;
    for (const LimitField& field : limit_fields()) {
        INFO(field.name);
        CHECK(field.get(limits) >= field.min);
        CHECK(field.get(limits) <= field.max);
        const std::string text = "limits:\n  " + std::string(field.name) + ": " + std::to_string(field.get(limits));
        const ConfigResult result = parse(text);
        INFO(all_of(result));
        CHECK(result.ok());
    }
}

TEST_CASE("amounts", "[config]") {
    CHECK(parse_bytes("1 MiB") == 1'048'576U);
    CHECK(parse_bytes("4MB") == 4'000'000U);
    CHECK(parse_bytes("12") == 12U);
    CHECK_FALSE(parse_bytes("1.5"));
    CHECK_FALSE(parse_bytes("-1"));
    CHECK_FALSE(parse_bytes("99999999999 TiB"));
    CHECK_FALSE(parse_bytes("1..5 GiB"));
    CHECK(parse_duration_ms("1h30m", 1) == 5'400'000U);
    CHECK(parse_duration_ms("250ms", 1'000) == 250U);
    CHECK(parse_duration_ms("3", 1'000) == 3'000U);
    CHECK_FALSE(parse_duration_ms("3 weeks", 1));
    CHECK_FALSE(parse_duration_ms("", 1));
    CHECK(format_bytes(1'048'576) == "1 MiB");
    CHECK(format_duration_ms(604'800'000) == "7d");
}

TEST_CASE("listener addresses", "[config]") {
    ListenerConfig listener;
    CHECK(parse_listener_url("mqtts://[fe80::1]", listener).empty());
    CHECK(listener.host == "fe80::1");
    CHECK(listener.port == 8883);
    CHECK_FALSE(listener.loopback);
    CHECK(parse_listener_url("ws://127.0.0.1:0/mqtt", listener).empty());
    CHECK(listener.port == 0);
    CHECK(parse_listener_url("mqtt://*:1883", listener).empty());
    CHECK_FALSE(listener.loopback);
    CHECK_FALSE(parse_listener_url("mqtt://::1:1883", listener).empty());
    CHECK_FALSE(parse_listener_url("mqtt://host:70000", listener).empty());
    CHECK_FALSE(parse_listener_url("mqtt://a b:1883", listener).empty());
    CHECK_FALSE(parse_listener_url("mqtt://host:1883/path", listener).empty());
    CHECK_FALSE(parse_listener_url("unix:", listener).empty());
    CHECK_FALSE(parse_listener_url("unix:/" + std::string(200, 'x'), listener).empty());
    CHECK_FALSE(parse_listener_url("mqtt://", listener).empty());
}
