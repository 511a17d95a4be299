#include "auth/rule.h"

#include <array>

namespace trunkline::auth {

std::string_view name_of(Action action) {
    constexpr std::array<std::string_view, 4> names = {"publish", "subscribe", "receive", "admin"};
    return names[static_cast<std::size_t>(action)];
}

}  // namespace trunkline::auth
