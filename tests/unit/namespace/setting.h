// How much the tests of properties do, from the environment.
#pragma once

#include <cstdint>
#include <cstdlib>

namespace trunkline::uns::test {

inline std::uint64_t setting(const char* name, std::uint64_t otherwise) {
    const char* text = std::getenv(name);
    return text ? std::strtoull(text, nullptr, 10) : otherwise;
}

}  // namespace trunkline::uns::test
