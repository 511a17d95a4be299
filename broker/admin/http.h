// Requests and responses of the administration interface as plain values: handlers see no socket and no Beast.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "broker/core/governance.h"

namespace trunkline::admin {

struct Identity;

using Json = nlohmann::ordered_json;

struct Request {
    std::string method;                            ///< "GET", "POST", "DELETE"
    std::string path;                              ///< decoded, without the query
    std::map<std::string, std::string> query;      ///< decoded
    std::map<std::string, std::string> parameters; ///< of the route's path: {id}
    std::string body;
    std::string accept;
    std::shared_ptr<const Identity> who;           ///< who asks (identity.h); null: nobody, who sees no topic
    std::string principal;                         ///< its name; empty: nobody in particular
    std::string known_by = "local";                ///< how it is known, as the audit trail has it
    std::string source;                            ///< address of who asks, "local" over a Unix socket
    std::string reason;                            ///< of the header Trunkline-Reason: why, for the record

    [[nodiscard]] std::optional<std::string> get(std::string_view name) const {
        const auto at = query.find(std::string(name));
        return at == query.end() ? std::nullopt : std::optional(at->second);
    }
};

struct Response {
    unsigned status = 200;
    std::string content_type = "application/json";
    std::string body;
    std::vector<std::pair<std::string, std::string>> headers;
    // What the record of a change says otherwise than the request; the client does not see it.
    std::string audit_action = {}, audit_actor = {}, audit_approver = {}, audit_object = {};
    std::optional<std::string> audit_reason = {};
};

/// Called once, from any thread.
using Reply = std::function<void(Response)>;
using Handler = std::function<void(const Request&, Reply)>;

/// Payloads and names may hold any bytes: what is no UTF-8 becomes U+FFFD instead of an exception.
[[nodiscard]] std::string dump(const Json& json);
[[nodiscard]] Response json_response(const Json& json, unsigned status = 200);

/// RFC 9457. `kind` ends the type URI and is stable: "not-found", "bad-parameter".
[[nodiscard]] Response problem(unsigned status, std::string_view kind, std::string_view title, std::string detail);
/// What the broker refused to do: 404, 409, 422 or 503 by its kind; the mend is `fix`.
[[nodiscard]] Response refused_problem(const broker::Refused& refused);
[[nodiscard]] Response bad_parameter(std::string_view name, std::string detail);

/// Splits "/path?query", decoding percent-escapes (and + in the query). False when an escape is broken or a decoded
/// byte is a control character.
[[nodiscard]] bool parse_target(std::string_view target, Request& request);
/// Percent-encodes everything but unreserved characters.
[[nodiscard]] std::string percent_encode(std::string_view text);

/// A query parameter that is a whole number in [min, max], or `fallback` when it is absent. nullopt: `wrong` is filled.
[[nodiscard]] std::optional<std::uint64_t> number_parameter(const Request& request, std::string_view name,
                                                            std::uint64_t fallback, std::uint64_t min,
                                                            std::uint64_t max, Response& wrong);

}  // namespace trunkline::admin
