// Payload contracts: what a topic's payload must be, compiled once when a model is applied and then asked for each
// message. Pure code: bytes in, a verdict out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace trunkline::uns {

/// What a value may be, as a member of a model says it: type, range, length, pattern, enumeration, unit.
struct ValueType {
    enum class Kind { any, number, integer, boolean, string, object, array };
    Kind kind = Kind::any;
    std::optional<double> min, max;            ///< inclusive; of number and integer
    std::optional<std::size_t> max_length;     ///< in Unicode code points; of string
    std::string pattern;                       ///< regular expression for the whole string (RE2); of string
    std::vector<std::string> enumeration;      ///< allowed values as text; of string, number, integer, boolean
    std::string unit;                          ///< UCUM code; a payload that names a unit must name this one
};

/// One payload contract as the model says it.
struct PayloadSpec {
    enum class Format { reading, plain, umh, sparkplug, json, any, schema };
    Format format = Format::reading;
    ValueType value;            ///< of the value that reading, plain, umh and each Sparkplug metric carry
    std::string schema_json;    ///< JSON Schema draft 7, of format schema
};

/// Why a payload breaks its contract, told so that the publisher can mend it. All texts are valid UTF-8 without
/// control characters, and bounded: what a payload holds is cut short.
struct Violation {
    std::string rule;        ///< "TL-3102"; rules.h has them all
    std::string at;          ///< JSON pointer into the payload, such as "/value"; empty: the payload as a whole
    std::string text;        ///< "value 131.4 is above max 120 Cel"
    std::string expected;    ///< "at most 120 Cel"
    std::string fix;         ///< what the publisher should do
};

/// Why a spec can't be compiled. The model's own place (file, line) is the caller's to add.
struct SpecError {
    std::string at;         ///< JSON pointer into the schema, or the field of ValueType: "min", "pattern"
    std::string message;    ///< what is wrong, with what was found
    std::string mend;       ///< what to write instead
};

/// A compiled contract. Immutable; check() may be called by any number of threads at once.
class PayloadContract {
public:
    using Compiled = std::variant<std::shared_ptr<const PayloadContract>, SpecError>;

    /// Compiles what `spec` says, or tells why that is not possible: bounds that contradict each other, a pattern
    /// that RE2 can't take in linear time, a schema outside of JSON Schema draft 7, remote or endless references.
    /// Nothing of a spec is ever left out silently.
    [[nodiscard]] static Compiled compile(const PayloadSpec& spec);

    virtual ~PayloadContract() = default;
    PayloadContract(const PayloadContract&) = delete;
    PayloadContract& operator=(const PayloadContract&) = delete;

    /// Nothing when `payload` keeps the contract, else the first violation found. Does not allocate for a payload
    /// that keeps it (up to 64 KiB, once the thread has its buffers). An empty payload breaks every contract but
    /// `any`: that an empty retained publish clears a topic is for the caller to know.
    [[nodiscard]] virtual std::optional<Violation> check(std::string_view payload) const = 0;

protected:
    PayloadContract() = default;
};

}  // namespace trunkline::uns
