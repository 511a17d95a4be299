// What a stream of server-sent events is made from.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace trunkline::admin {

/// Bounded: a reader that does not keep up makes it lose events, never wait.
class EventSource {
public:
    struct Batch {
        std::vector<std::string> events;       ///< one JSON object each
        std::optional<std::string> ended;      ///< why nothing more comes
    };
    virtual ~EventSource() = default;
    /// Any thread: what has come since the last call.
    [[nodiscard]] virtual Batch take() = 0;
    /// Any thread: nothing more is wanted, and nothing comes.
    virtual void stop() = 0;
    /// Any thread: somebody still reads. Called when nothing has come for a while.
    virtual void keep_alive() {}
};

}  // namespace trunkline::admin
