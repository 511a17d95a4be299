// A ValueType compiled: what reading, plain, umh and Sparkplug metrics ask of their value.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "namespace/payload/contract.h"
#include "namespace/payload/datum.h"
#include "namespace/payload/pattern.h"

namespace trunkline::uns {

class ValueCheck {
public:
    [[nodiscard]] static std::variant<ValueCheck, SpecError> compile(const ValueType& type);

    /// What a value breaks; ok: nothing.
    enum class Finding : std::uint8_t { ok, type, below, above, not_in_enum, too_long, pattern };
    [[nodiscard]] Finding check(const Datum& datum) const;

    /// The violation for what check() found, at `at`; `name` is what the texts call the value.
    [[nodiscard]] Violation explain(const Datum& datum, Finding finding, std::string at, std::string_view name) const;

    [[nodiscard]] ValueType::Kind kind() const { return type_.kind; }
    [[nodiscard]] const std::string& unit() const { return type_.unit; }
    [[nodiscard]] const std::optional<double>& min() const { return type_.min; }
    /// "a number from -20 to 120 Cel", "one of idle, running or held", "a string of at most 8 characters".
    [[nodiscard]] std::string expected() const;

private:
    explicit ValueCheck(const ValueType& type);
    [[nodiscard]] std::optional<SpecError> compile_enumeration();
    [[nodiscard]] Finding check_number(const Number& number) const;
    [[nodiscard]] Finding check_string(std::string_view text) const;
    [[nodiscard]] Finding check_whole(const Number& number) const;
    [[nodiscard]] std::string range_text() const;

    ValueType type_;
    bool has_enumeration_ = false;
    Number min_, max_;                       // valid where type_ has them
    std::vector<std::string> words_;         // the enumeration of a string, sorted
    std::vector<Number> numbers_;            // of a number or integer
    bool truths_[2] = {false, false};        // of a boolean
    std::optional<Pattern> pattern_;
};

}  // namespace trunkline::uns
