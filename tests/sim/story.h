// What happened in a run, as a hash that two runs of one seed must share and, when asked for, as lines to read.
#pragma once

#include <cstdint>
#include <deque>
#include <initializer_list>
#include <stdexcept>
#include <string>
#include <string_view>

namespace trunkline::sim {

/// A broken invariant; main() prints it with its seed.
struct Violation : std::runtime_error {
    using std::runtime_error::runtime_error;
};

class Story {
public:
    /// Keeps the last `lines` lines as text; with 0 only the hash, which costs next to nothing.
    explicit Story(std::size_t lines = 0) : lines_max_(lines) {}

    /// `who` did `what`; the meaning of the numbers follows from `what`.
    void tell(std::int64_t now_ms, std::string_view who, std::string_view what,
              std::initializer_list<std::uint64_t> numbers = {}, std::string_view text = {});
    [[nodiscard]] std::uint64_t hash() const { return hash_; }
    [[nodiscard]] const std::deque<std::string>& tail() const { return tail_; }

private:
    void mix(std::uint64_t value);
    void mix(std::string_view text);

    const std::size_t lines_max_;
    std::uint64_t hash_ = 0x9E3779B97F4A7C15ull;
    std::deque<std::string> tail_;
};

}  // namespace trunkline::sim
