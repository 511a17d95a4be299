// A JSON value or scalar without what is within it: what contracts on single values look at, wherever it came from.
#pragma once

#include <cmath>
#include <compare>
#include <cstdint>
#include <limits>
#include <string_view>

namespace trunkline::uns {

/// A number as its text had it: integers keep all their digits.
struct Number {
    enum class Form : std::uint8_t { negative, natural, real };    // int64 below zero, uint64, double
    Form form = Form::natural;
    union {
        std::int64_t negative;
        std::uint64_t natural;
        double real;
    };

    Number() : natural(0) {}
    static Number of(std::int64_t value) {
        Number number;
        if (value < 0) {
            number.form = Form::negative;
            number.negative = value;
        } else {
            number.natural = static_cast<std::uint64_t>(value);
        }
        return number;
    }
    static Number of(std::uint64_t value) {
        Number number;
        number.natural = value;
        return number;
    }
    static Number of(double value) {
        Number number;
        number.form = Form::real;
        number.real = value;
        return number;
    }

    [[nodiscard]] double as_double() const {
        if (form == Form::real) return real;
        return form == Form::natural ? static_cast<double>(natural) : static_cast<double>(negative);
    }
    /// Without a fraction: 3, 3.0 and 1e300 are.
    [[nodiscard]] bool is_whole() const { return form != Form::real || std::trunc(real) == real; }
};

/// Exact, also where a double can't hold the integer. NaN is unordered.
[[nodiscard]] inline std::partial_ordering compare(const Number& a, const Number& b) {
    static_assert(std::numeric_limits<long double>::digits >= 64, "long double must hold every 64-bit integer");
    constexpr std::uint64_t exact = 1ull << 53;
    const auto is_exact = [](const Number& n) {
        return n.form == Number::Form::real || (n.form == Number::Form::natural && n.natural <= exact) ||
               (n.form == Number::Form::negative && n.negative >= -static_cast<std::int64_t>(exact));
    };
    if (is_exact(a) && is_exact(b)) return a.as_double() <=> b.as_double();
    const auto wide = [](const Number& n) -> long double {
        if (n.form == Number::Form::real) return n.real;
        return n.form == Number::Form::natural ? static_cast<long double>(n.natural)
                                               : static_cast<long double>(n.negative);
    };
    return wide(a) <=> wide(b);
}

struct Datum {
    enum class Kind : std::uint8_t { null, boolean, number, string, array, object };
    Kind kind = Kind::null;
    bool truth = false;         // of boolean
    Number number;              // of number
    std::string_view text;      // of string
};

}  // namespace trunkline::uns
