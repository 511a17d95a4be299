// Loads plugins (auth/plugin.h) and stands between them and the broker: whatever a plugin answers, throws or forgets,
// the request is denied and the broker goes on. What no process can survive is documented in docs/plugins.md.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <boost/system/result.hpp>

#include "auth/plugin.h"
#include "namespace/problem.h"

namespace trunkline::auth {

/// A shared object that may be loaded; nothing else may.
struct PluginPermit {
    std::string path;                   ///< absolute
    std::optional<std::string> sha256;  ///< of the file, hexadecimal
};

struct PluginSpec {
    std::string path;
    std::string config_json = "{}";
    std::string place;  ///< in the configuration, for problems
};

enum class PluginDecision : std::uint8_t { defer, allow, deny };

struct PluginVerdict {
    PluginDecision decision = PluginDecision::deny;
    std::uint32_t cache_seconds = 0;  ///< 0: ask again
    std::string rule;                 ///< what decided, for explain and audit; of a failure, what failed
    bool failed = false;              ///< the plugin did not answer as it must: to be audited
};

struct PluginLogin {
    PluginDecision decision = PluginDecision::deny;
    std::string principal;  ///< with allow
    std::string reason;
    bool failed = false;
};

/// What a plugin is told of a client. Views are valid during the call.
struct PluginClient {
    std::uint64_t connection = 0;
    std::uint32_t protocol = 5;
    std::string_view client_id, principal, address, certificate, listener;
};

/// Of all shards together; relaxed.
struct PluginCounters {
    std::atomic<std::uint64_t> allowed{0}, denied{0}, deferred{0}, failures{0}, timeouts{0}, late{0};
};

/// One loaded plugin. authorise() and the observers are called on the shards' threads, each for its own shard.
class Plugin {
public:
    using Log = std::function<void(int level, std::string_view line)>;  ///< from any thread
    using Loaded = boost::system::result<std::unique_ptr<Plugin>, Problem>;

    static constexpr std::uint32_t abi_min = 1, abi_max = TL_PLUGIN_ABI;
    static constexpr std::size_t tickets_max = 10'000;
    static constexpr std::size_t text_max = 256;

    /// Refuses, each with its own message: a path that no permit names, a file that others may write, another SHA-256,
    /// a file that does not load, a missing trunkline_plugin, an ABI version that is not ours, a table that is too
    /// small, an open() that fails. Rule TL-1901 to TL-1908.
    [[nodiscard]] static Loaded load(const PluginSpec& spec, const std::vector<PluginPermit>& permits, unsigned shards,
                                     Log log);
    /// Unanswered logins are denied. The shared object stays mapped: a thread of its own may still run in it.
    ~Plugin();
    Plugin(const Plugin&) = delete;
    Plugin& operator=(const Plugin&) = delete;

    [[nodiscard]] const std::string& name() const { return name_; }
    [[nodiscard]] const std::string& version() const { return version_; }
    [[nodiscard]] bool authorises() const { return table_.authorise; }
    [[nodiscard]] bool authenticates() const { return table_.authenticate; }
    [[nodiscard]] bool observes_publishes() const { return table_.on_publish; }
    [[nodiscard]] bool observes() const {
        return table_.on_connect || table_.on_disconnect || table_.on_subscribe || table_.on_publish;
    }

    /// `action` is TL_PUBLISH and so on. Defers where the plugin does not authorise.
    [[nodiscard]] PluginVerdict authorise(unsigned shard, std::uint32_t action, const PluginClient& client,
                                          std::string_view topic, std::uint32_t qos = 0, bool retain = false);

    struct LoginRequest {
        std::string_view user_name;
        std::optional<std::string_view> password;
        std::string_view method, data;
    };
    using Done = std::function<void(PluginLogin)>;
    /// `done` is called exactly once: during this call, from a thread of the plugin, or by expire(). `deadline_ns` is
    /// on the clock that expire() is given.
    void authenticate(unsigned shard, const PluginClient& client, const LoginRequest& request,
                      std::uint64_t deadline_ns, Done done);
    /// Denies logins whose deadline has passed; any thread, about every 100 ms. Returns how many.
    std::size_t expire(std::uint64_t now_ns);
    [[nodiscard]] std::size_t waiting() const;

    void on_connect(unsigned shard, const PluginClient& client);
    void on_disconnect(unsigned shard, const PluginClient& client, std::uint32_t reason_code);
    void on_subscribe(unsigned shard, const PluginClient& client, std::string_view filter, std::uint32_t qos);
    void on_publish(unsigned shard, const PluginClient& client, std::string_view topic, std::string_view payload,
                    std::uint32_t qos, bool retain);

    [[nodiscard]] const PluginCounters& counters() const;

private:
    struct Desk;  ///< what the plugin holds on to; see plugin_host.cpp
    Plugin() = default;
    void fail(std::string_view what);
    /// Runs a call into the plugin: false when it threw.
    template <class Call>
    bool guarded(const char* what, const Call& call) {
        try {
            call();
            return true;
        } catch (...) {
            fail(std::string("threw an exception in ") + what);
            return false;
        }
    }

    tl_plugin table_{};
    std::string name_, version_;
    void* state_ = nullptr;
    bool opened_ = false;
    std::vector<void*> shards_;
    std::shared_ptr<Desk> desk_;
};

}  // namespace trunkline::auth
