// Plugins, good and bad ones, built from outside the tree against auth/plugin.h alone.
#include "auth/plugin_host.h"

#include <sys/stat.h>
#include <catch2/catch.hpp>

#include <condition_variable>
#include <cstdlib>
#include <fstream>
#include <map>
#include <mutex>
#include <sstream>

#include "auth/audit/hash.h"

using namespace trunkline;
using namespace trunkline::auth;

namespace {

const std::string source = TRUNKLINE_SOURCE;

/// A folder outside the tree with a copy of the header, where plugins are built once for all tests.
class Workshop {
public:
    Workshop() {
        char name[] = "/tmp/trunkline-plugin-XXXXXX";
        folder_ = mkdtemp(name) ? name : "";
        REQUIRE_FALSE(folder_.empty());
        run("mkdir " + folder_ + "/auth && cp " + source + "/auth/plugin.h " + folder_ + "/auth/ && cp " + source +
            "/deploy/examples/plugin/* " + source + "/tests/access/odd_plugin.cc " + folder_);
    }
    ~Workshop() {
        if (std::system(("rm -rf " + folder_).c_str()) != 0) std::abort();
    }

    const std::string& example() {
        return built("example", "make -s -C " + folder_ + " TRUNKLINE=" + folder_, folder_ + "/maintenance_window.so");
    }
    const std::string& odd(const std::string& define = "") {
        const std::string file = folder_ + "/odd" + define.substr(0, define.find('=')) + ".so";
        return built(define,
                     "c++ -std=c++17 -O0 -fPIC -shared -I" + folder_ + (define.empty() ? "" : " -D" + define) + " -o " +
                         file + " " + folder_ + "/odd_plugin.cc",
                     file);
    }
    const std::string& folder() const { return folder_; }
    static void run(const std::string& command) {
        INFO(command);
        REQUIRE(std::system(command.c_str()) == 0);
    }

private:
    const std::string& built(const std::string& name, const std::string& command, const std::string& file) {
        auto& found = built_[name];
        if (found.empty()) {
            run(command);
            ::chmod(file.c_str(), 0755);
            found = file;
        }
        return found;
    }
    std::string folder_;
    std::map<std::string, std::string> built_;
};

Workshop& workshop() {
    static Workshop instance;
    return instance;
}

Plugin::Loaded load(const std::string& path, const std::string& config, Plugin::Log log = {}) {
    return Plugin::load({path, config, "trunkline.yaml:7"}, {{path, std::nullopt}}, 2, std::move(log));
}

std::unique_ptr<Plugin> loaded(const std::string& path, const std::string& config, Plugin::Log log = {}) {
    auto plugin = load(path, config, std::move(log));
    INFO((plugin ? std::string() : to_string(plugin.error())));
    REQUIRE(plugin.has_value());
    return std::move(*plugin);
}

PluginClient client(std::string_view principal = "edge-1") {
    PluginClient made;
    made.client_id = "edge-1-client";
    made.principal = principal;
    made.address = "10.0.0.1:4711";
    return made;
}

/// The answer of one login, waited for where it comes from another thread.
PluginLogin login(Plugin& plugin, const std::string& user, const std::string& password) {
    std::mutex mutex;
    std::condition_variable changed;
    std::optional<PluginLogin> answer;
    plugin.authenticate(0, client(""), {user, password, {}, {}}, 1000, [&](PluginLogin found) {
        const std::lock_guard lock(mutex);
        answer = std::move(found);
        changed.notify_all();
    });
    std::unique_lock lock(mutex);
    REQUIRE(changed.wait_for(lock, std::chrono::seconds(20), [&] { return answer.has_value(); }));
    return *answer;
}

const std::string example_config =
    R"({"prefix": "acme/commands/", "principal": "shift-leader", "password": "open sesame"})";

}  // namespace

TEST_CASE("the example plugin denies by its own rule, and defers all else", "[auth][plugin]") {
    const auto plugin = loaded(workshop().example(), example_config);
    CHECK(plugin->name() == "maintenance_window");
    const auto denied = plugin->authorise(1, TL_PUBLISH, client(), "acme/commands/start");
    CHECK(denied.decision == PluginDecision::deny);
    CHECK(denied.rule == "plugin maintenance_window: commands wait for the maintenance window");
    CHECK(denied.cache_seconds == 60);
    CHECK_FALSE(denied.failed);
    CHECK(plugin->authorise(0, TL_PUBLISH, client(), "acme/state").decision == PluginDecision::defer);
    CHECK(plugin->authorise(0, TL_PUBLISH, client(), "acme/command").decision == PluginDecision::defer);
    CHECK(plugin->authorise(0, TL_SUBSCRIBE, client(), "acme/commands/start").decision == PluginDecision::defer);
    CHECK(plugin->authorise(0, TL_PUBLISH, client("shift-leader"), "acme/commands/x").decision ==
          PluginDecision::defer);
    CHECK(plugin->counters().denied == 1);
    CHECK(plugin->counters().deferred == 4);
}

TEST_CASE("the example plugin answers logins from its own thread", "[auth][plugin]") {
    const auto plugin = loaded(workshop().example(), example_config);
    const auto right = login(*plugin, "shift-leader", "open sesame");
    CHECK(right.decision == PluginDecision::allow);
    CHECK(right.principal == "shift-leader");
    const auto wrong = login(*plugin, "shift-leader", "open sesami");
    CHECK(wrong.decision == PluginDecision::deny);
    CHECK(wrong.reason == "the shift leader's password is another one");
    CHECK(login(*plugin, "someone", "open sesame").decision == PluginDecision::defer);
    CHECK(plugin->waiting() == 0);
}

TEST_CASE("a plugin that answers garbage, fails or throws denies", "[auth][plugin]") {
    for (const char* mode : {"status", "garbage", "negative", "throw", "rule", "long-rule", "untouched"}) {
        INFO(mode);
        const auto plugin = loaded(workshop().odd(), mode);
        for (int i = 0; i < 10; ++i) {
            const auto verdict = plugin->authorise(0, TL_PUBLISH, client(), "a/b");
            CHECK(verdict.decision == PluginDecision::deny);
            CHECK(verdict.failed);
            CHECK(verdict.cache_seconds == 0);
            CHECK(verdict.rule.find("plugin odd") == 0);
        }
        CHECK(plugin->counters().failures == 10);
        CHECK(plugin->counters().denied == 10);
        CHECK(plugin->counters().allowed == 0);
        plugin->on_connect(0, client());  // which throws in one of the modes
    }
    const auto plugin = loaded(workshop().odd(), "bad-cache");
    const auto verdict = plugin->authorise(0, TL_PUBLISH, client(), "a/b");
    CHECK(verdict.decision == PluginDecision::allow);
    CHECK(verdict.cache_seconds == 0);  // a hint that we do not know is none
}

TEST_CASE("a login that a plugin garbles, refuses to judge or throws at is denied", "[auth][plugin]") {
    for (const char* mode : {"status", "garbage", "throw", "nobody", "small", "null"}) {
        INFO(mode);
        const auto plugin = loaded(workshop().odd(), mode);
        const auto answer = login(*plugin, "u", "p");
        CHECK(answer.decision == PluginDecision::deny);
        CHECK(answer.failed);
        CHECK(plugin->waiting() == 0);
    }
    for (const char* mode : {"", "twice", "wrong-ticket", "answer-and-fail"}) {
        INFO(mode);
        const auto plugin = loaded(workshop().odd(), mode);
        CHECK(login(*plugin, "u", "p").principal == "someone");  // called back once, or login() would see more
        const bool again = std::string(mode) == "twice" || std::string(mode) == "wrong-ticket";
        CHECK(plugin->counters().late == (again ? 1 : 0));
    }
}

TEST_CASE("a plugin that hangs in a login denies at the deadline, and when the broker ends", "[auth][plugin]") {
    auto plugin = loaded(workshop().odd(), "hang");
    std::vector<PluginLogin> answers;
    const auto begin = [&](std::uint64_t deadline) {
        plugin->authenticate(0, client(""), {"u", "p", {}, {}}, deadline,
                             [&](PluginLogin answer) { answers.push_back(std::move(answer)); });
    };
    begin(10'000'000'000);
    begin(20'000'000'000);
    CHECK(plugin->expire(9'999'999'999) == 0);
    CHECK(plugin->waiting() == 2);
    CHECK(plugin->expire(10'000'000'000) == 1);
    REQUIRE(answers.size() == 1);
    CHECK(answers[0].decision == PluginDecision::deny);
    CHECK(answers[0].failed);
    CHECK(answers[0].reason.find("in time") != std::string::npos);
    CHECK(plugin->counters().timeouts == 1);
    plugin.reset();
    REQUIRE(answers.size() == 2);
    CHECK(answers[1].decision == PluginDecision::deny);

    plugin = loaded(workshop().odd(), "hang");
    answers.clear();
    for (std::size_t i = 0; i < Plugin::tickets_max + 5; ++i) begin(1);
    CHECK(plugin->waiting() == Plugin::tickets_max);
    CHECK(answers.size() == 5);  // denied at once: the number of hanging logins is bounded
    CHECK(plugin->expire(1) == Plugin::tickets_max);
}

TEST_CASE("what cannot be a plugin is refused, each with its own reason", "[auth][plugin]") {
    const auto rule = [](const Plugin::Loaded& found) {
        REQUIRE_FALSE(found.has_value());
        CHECK(found.error().place == "trunkline.yaml:7");
        CHECK_FALSE(found.error().fix.empty());
        return found.error().rule;
    };
    const std::string good = workshop().odd();
    const auto permitted = [&](const std::vector<PluginPermit>& permits) {
        return Plugin::load({good, "", "trunkline.yaml:7"}, permits, 2, {});
    };
    CHECK(rule(permitted({})) == "TL-1901");
    CHECK(rule(permitted({{workshop().example(), std::nullopt}})) == "TL-1901");
    CHECK(rule(load("odd.so", "")) == "TL-1901");
    CHECK(rule(load(workshop().folder() + "/none.so", "")) == "TL-1902");
    Workshop::run("ln -sf " + good + " " + workshop().folder() + "/link.so");
    CHECK(rule(load(workshop().folder() + "/link.so", "")) == "TL-1902");
    ::chmod(good.c_str(), 0775);
    CHECK(rule(load(good, "")) == "TL-1903");
    ::chmod(good.c_str(), 0755);
    CHECK(rule(permitted({{good, std::string(64, '0')}})) == "TL-1904");
    std::ifstream file(good, std::ios::binary);
    std::ostringstream bytes;
    bytes << file.rdbuf();
    CHECK(permitted({{good, audit::to_hex(audit::sha256(bytes.str()))}}).has_value());
    std::ofstream(workshop().folder() + "/text.so") << "not a library";
    ::chmod((workshop().folder() + "/text.so").c_str(), 0755);
    CHECK(rule(load(workshop().folder() + "/text.so", "")) == "TL-1905");
    CHECK(rule(load(workshop().odd("ODD_NO_SYMBOL"), "")) == "TL-1906");
    const auto other = load(workshop().odd("ODD_ABI=2"), "");
    CHECK(rule(other) == "TL-1907");
    CHECK(other.error().message.find("version 2") != std::string::npos);
    CHECK(rule(load(workshop().odd("ODD_NULL"), "")) == "TL-1907");
    CHECK(rule(load(workshop().odd("ODD_SMALL"), "")) == "TL-1907");
    CHECK(rule(load(good, "refuse")) == "TL-1908");
    CHECK(rule(load(good, "throw-open")) == "TL-1908");
    CHECK(rule(load(good, "refuse-shard")) == "TL-1908");
    CHECK(rule(load(workshop().example(), "{}")) == "TL-1908");
}

TEST_CASE("observers and the log reach each other", "[auth][plugin]") {
    std::vector<std::string> lines;
    const auto plugin = loaded(workshop().odd(), "", [&](int, std::string_view line) { lines.emplace_back(line); });
    plugin->on_connect(1, client());
    CHECK(lines == std::vector<std::string>{"edge-1-client"});
    plugin->on_disconnect(1, client(), 0);  // which it does not observe
    plugin->on_subscribe(1, client(), "a/#", 1);
    plugin->on_publish(1, client(), "a/b", "payload", 1, false);
}
