// That something is going on, on standard error, for whatever takes over two seconds.
#pragma once

#include <chrono>
#include <functional>
#include <string>

namespace trunkline::cli {

/// Says nothing in the first two seconds; then one line on a terminal, a line every ten seconds elsewhere.
class Progress {
public:
    static constexpr std::chrono::milliseconds quiet{2'000};

    Progress();
    ~Progress();
    Progress(const Progress&) = delete;
    Progress& operator=(const Progress&) = delete;

    /// Call often; `text` is asked for when it is to be shown, with the seconds since the start.
    void show(const std::function<std::string(long seconds)>& text);

private:
    using Clock = std::chrono::steady_clock;
    const Clock::time_point began_ = Clock::now();
    Clock::time_point next_ = began_ + quiet;
    const bool terminal_;
    bool shown_ = false;
};

}  // namespace trunkline::cli
