// Names that publishers chose where the model leaves them a choice: two of one level must not differ in case alone.
#pragma once

#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>

#include <boost/unordered/unordered_flat_map.hpp>

namespace trunkline::broker {

/// Thread safe, bounded: beyond names_max nothing more is remembered.
class NameBook {
public:
    /// The topic as it would be with the spelling of names that exist; empty when it has that spelling, or no such name
    /// exists.
    [[nodiscard]] std::string same_but_case(std::string_view topic) const;
    /// From now on the topic's levels exist. False when another spelling of one of them came first.
    bool claim(std::string_view topic);
    /// What both know changes places, in no time.
    void swap(NameBook& other);

private:
    static constexpr std::size_t names_max = 2'000'000;
    mutable std::mutex mutex_;
    /// Of each level, below the path to it: hash of its folded path -> its name.
    boost::unordered_flat_map<std::uint64_t, std::string> names_;
};

}  // namespace trunkline::broker
