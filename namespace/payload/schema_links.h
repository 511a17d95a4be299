// How the nodes of a schema refer to each other: references to their ends, circles, and what applies in one place.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "namespace/payload/contract.h"
#include "namespace/payload/schema_program.h"

namespace trunkline::uns::schema {

/// A token of a JSON pointer as RFC 6901 writes it; unlike append_token() it is never cut.
[[nodiscard]] std::string escape_token(std::string_view token);

/// %XX to bytes. Nothing when an escape is not whole, or the bytes are not UTF-8.
[[nodiscard]] std::optional<std::string> percent_decoded(std::string_view text);

/// Follows references to their ends and makes sure that a check ends: every circle of references must go down into
/// the payload, and not more than a few dozen subschemas may apply to one place one within the other.
class Links {
public:
    /// `where` has the JSON pointer of each node.
    Links(Program& program, const std::vector<std::string>& where) : program_(program), where_(where) {}

    /// Throws SpecError.
    void check();

private:
    NodeId end_of(NodeId id);
    /// How many nodes apply to the same value as `id`, one within the other; `id` is the `depth`-th of them.
    std::size_t height(NodeId id, std::size_t depth);

    Program& program_;
    const std::vector<std::string>& where_;
    enum class Mark : std::uint8_t { fresh, open, done };
    std::vector<Mark> marks_;
    std::vector<std::size_t> heights_;
};

}  // namespace trunkline::uns::schema
