// One line of a role: what it allows or denies, on which topics, when. Values, filled by the parser of the roles file.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "auth/pattern.h"
#include "auth/validity.h"

namespace trunkline::auth {

/// What is asked for. The topic of admin is the name of the action, such as `model/apply`.
enum class Action : std::uint8_t { publish, subscribe, receive, admin };
inline constexpr std::uint8_t bit(Action action) {
    return static_cast<std::uint8_t>(1U << static_cast<unsigned>(action));
}
[[nodiscard]] std::string_view name_of(Action action);

enum class Effect : std::uint8_t { allow, deny };

/// What the namespace model knows of one topic. Filled by the model; without one nothing is known, and a rule that asks
/// applies to nothing. Valid during the call it is given to.
class TopicFacts {
public:
    virtual ~TopicFacts() = default;
    /// The member at the topic: "metric", "event" or "command"; empty when it is none.
    [[nodiscard]] virtual std::string_view member() const = 0;
    /// The topic belongs to an asset of this type, `filler` or `filler@2`, or to a part of one.
    [[nodiscard]] virtual bool in_type(std::string_view type) const = 0;
    /// The topic's node, or one above it, is of this kind, such as `production_line`.
    [[nodiscard]] virtual bool in_kind(std::string_view kind) const = 0;
    /// The owner that is in force at the topic (`$owner` of its node or of the nearest above it); empty without.
    [[nodiscard]] virtual std::string_view owner() const = 0;
};

/// The namespace's language in a rule; what is empty does not matter.
struct Conditions {
    std::string member;
    std::string type;
    std::string kind;
    std::optional<Template> branch_owner;
    [[nodiscard]] bool none() const { return member.empty() && type.empty() && kind.empty() && !branch_owner; }
};

struct Rule {
    Effect effect = Effect::allow;
    std::uint8_t actions = 0;               ///< bits of Action; `subscribe` of the file is subscribe and receive
    std::vector<Pattern> topics;            ///< any of them
    Conditions conditions;                  ///< all of them
    Validity validity;
    std::uint32_t role = 0;                 ///< index into RolesFile::roles
    std::uint32_t line = 0;
    std::string place;                      ///< "roles.yaml:14"
    std::string text;                       ///< "allow publish acme/munich/# member=command", for people

    /// Another principal with the same roles may be judged otherwise.
    [[nodiscard]] bool per_principal(const Pattern& topic) const {
        return topic.per_principal() || (conditions.branch_owner && !conditions.branch_owner->literal());
    }
};

}  // namespace trunkline::auth
