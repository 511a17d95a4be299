// Who holds which client identifier, over all shards: at most one connection each [MQTT-3.1.4-3].
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

namespace trunkline::broker {

/// Thread safe; locks are held for a look-up and never across a callback.
class Registry {
public:
    struct Holder {
        std::uint32_t shard = 0;
        std::uint64_t number = 0;    // of the connection
        std::int64_t arrival_ns = 0; // of the connection, ConnectionInfo has it
    };
    struct Claimed {
        std::optional<Holder> previous;  // must be told to let go
        bool durable = false;            // the log has a session of this client
        bool refused = false;            // it is another user's: nothing was changed
        bool too_late = false;           // a later connection has it: nothing was changed
    };

    /// `holder` has the identifier from now on, unless another user has it or has a durable session by its name.
    /// `user` empty: nobody in particular. What was nobody's is anybody's (auth/client_identity.h).
    /// `ended`: the peer has closed its side. Who connects anew at once may find that the connection it gave up is
    /// dealt with after the new one, on another shard or behind others who want in: what is left of it must not take
    /// the session from the later one.
    Claimed claim(std::string_view client_id, Holder holder, std::string_view user, bool ended = false);
    /// Gives it up unless someone else has claimed it meanwhile.
    void release(std::string_view client_id, std::uint64_t number);
    /// The log made or dropped a session of this client.
    void set_durable(std::string_view client_id, bool durable, std::string_view user);
    [[nodiscard]] std::optional<Holder> find(std::string_view client_id) const;
    [[nodiscard]] std::uint64_t durable_count() const { return durable_.load(std::memory_order_relaxed); }

private:
    struct Entry {
        Holder holder;               // number 0: nobody is connected
        bool durable = false;
        std::string user;            // of the holder
        std::unique_ptr<const std::string> session_user;   // of the durable session; null: nobody's
    };
    struct Hash {
        using is_transparent = void;
        std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
    };
    struct Part {
        mutable std::mutex mutex;
        std::unordered_map<std::string, Entry, Hash, std::equal_to<>> entries;
    };
    static constexpr std::size_t part_count = 16;
    [[nodiscard]] Part& part(std::string_view client_id) { return parts_[Hash{}(client_id) % part_count]; }
    [[nodiscard]] const Part& part(std::string_view client_id) const { return parts_[Hash{}(client_id) % part_count]; }

    std::array<Part, part_count> parts_;
    std::atomic<std::uint64_t> durable_{0};
};

}  // namespace trunkline::broker
