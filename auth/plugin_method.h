// Logins that a plugin judges (auth/plugin.h, authenticate).
#pragma once

#include <cstdint>
#include <functional>

#include "auth/method.h"
#include "auth/plugin_host.h"

namespace trunkline::auth {

/// Asks one plugin about every CONNECT that has no enhanced method. The plugin is called on the thread of the client's
/// shard; where the login stands on another one by then (a password was hashed before), it is handed over.
class PluginMethod : public Method {
public:
    /// Runs work on a shard's thread, later.
    using OnShard = std::function<void(std::uint32_t shard, std::function<void()> work)>;
    /// `now_ns` is the clock that Plugin::expire() is given; `timeout_ms` is how long the plugin may take.
    PluginMethod(Plugin& plugin, std::uint32_t timeout_ms, OnShard on_shard, std::function<std::uint64_t()> now_ns)
        : plugin_(plugin), timeout_ms_(timeout_ms), on_shard_(std::move(on_shard)), now_ns_(std::move(now_ns)) {}
    [[nodiscard]] std::string_view name() const override { return "plugin"; }
    void check(std::shared_ptr<const Attempt> attempt, OnMethodAnswer done) override;

private:
    Plugin& plugin_;
    std::uint32_t timeout_ms_;
    OnShard on_shard_;
    std::function<std::uint64_t()> now_ns_;
};

}  // namespace trunkline::auth
