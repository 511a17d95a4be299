// What the handlers of all groups of routes have in common.
#pragma once

#include <cstdint>
#include <type_traits>

#include "broker/admin/api.h"

namespace trunkline::admin {

/// Entries of a page, where a group of routes has no reason for other limits.
constexpr std::uint64_t page_default = 1'000, page_max = 10'000;

/// A handler that gives `context` to `function`, which replies itself or returns the response.
template <class Function>
Handler bind(const ApiContext& context, Function function) {
    return [context, function](const Request& request, const Reply& reply) {
        if constexpr (std::is_invocable_v<Function, const ApiContext&, const Request&, const Reply&>) {
            function(context, request, reply);
        } else {
            reply(function(context, request));
        }
    };
}

}  // namespace trunkline::admin
