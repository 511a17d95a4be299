// The routes of the administration interface: what is served and, from the same table, the OpenAPI document.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "auth/admin_action.h"
#include "broker/admin/http.h"

namespace trunkline::admin {

struct Parameter {
    std::string name;
    std::string in;            ///< "query" or "path"
    std::string type;          ///< "string", "integer", "boolean"
    bool required = false;
    std::string description;
};

using Permission = auth::AdminAction;

/// What a route needs. It has no default: a route that does not say it does not compile.
struct Needs {
    constexpr Needs(Permission what) : permission(what) {}   // NOLINT: written as the permission alone
    Permission permission;
};

struct Route {
    std::string method;
    std::string path;                             ///< with {name} for a parameter that takes one segment
    std::string summary;
    Needs needs;
    std::vector<Parameter> parameters = {};
    std::string content_type = "application/json";
    Handler handler = {};
    bool stream = false;                          ///< server-sent events: the server starts a watch instead
    std::string body_description = {};                 ///< of a POST or PUT; empty: takes none
    std::uint64_t body_bytes_max = 1 << 20;            ///< of those who may use the route
    std::uint32_t seconds_max = 10;                    ///< for the answer
};

class Router {
public:
    void add(Route route) { routes_.push_back(std::move(route)); }

    /// The route of a request, with request.parameters filled. Null: `wrong` is 404, or 405 with Allow.
    [[nodiscard]] const Route* find(Request& request, Response& wrong) const;

    [[nodiscard]] const std::vector<Route>& routes() const { return routes_; }
    /// OpenAPI 3.1, describing exactly the routes that were added.
    [[nodiscard]] Json openapi(std::string_view version) const;

private:
    std::vector<Route> routes_;
};

}  // namespace trunkline::admin
