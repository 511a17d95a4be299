// Tables of payloads: spec, payload, verdict.
#pragma once

#include <catch2/catch.hpp>

#include <memory>
#include <string>
#include <string_view>
#include <variant>

#include "namespace/payload/contract.h"
#include "namespace/payload/rules.h"

namespace trunkline::uns::test {

using Format = PayloadSpec::Format;
using Kind = ValueType::Kind;
using Contract = std::shared_ptr<const PayloadContract>;

inline PayloadSpec spec_of(Format format, Kind kind = Kind::any) {
    PayloadSpec spec;
    spec.format = format;
    spec.value.kind = kind;
    return spec;
}

inline PayloadSpec schema_of(std::string text) {
    PayloadSpec spec;
    spec.format = Format::schema;
    spec.schema_json = std::move(text);
    return spec;
}

inline Contract compiled(const PayloadSpec& spec) {
    auto result = PayloadContract::compile(spec);
    if (const auto* error = std::get_if<SpecError>(&result)) {
        FAIL("no contract: " << error->at << ": " << error->message);
    }
    return std::get<Contract>(result);
}

inline SpecError refused_spec(const PayloadSpec& spec) {
    auto result = PayloadContract::compile(spec);
    if (std::holds_alternative<Contract>(result)) FAIL("the spec was compiled");
    return std::get<SpecError>(result);
}

/// A payload and what is found in it: no rule for a payload that keeps the contract.
struct Row {
    std::string_view payload;
    std::string_view rule = {};
    std::string_view at = {};
};

/// Texts that may go into an MQTT packet as they are.
inline bool is_told_well(const Violation& violation) {
    for (const std::string* text : {&violation.at, &violation.text, &violation.expected, &violation.fix}) {
        if (text->size() > 1'500) return false;
        for (const char c : *text) {
            if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) return false;
        }
    }
    return find_payload_rule(violation.rule) && !violation.text.empty() && !violation.expected.empty() &&
           !violation.fix.empty() && (violation.at.empty() || violation.at.front() == '/');
}

template <typename Rows>
void check_rows(const PayloadSpec& spec, const Rows& rows) {
    const Contract contract = compiled(spec);
    for (const Row& row : rows) {
        CAPTURE(row.payload.substr(0, 200));
        const auto violation = contract->check(row.payload);
        if (violation) INFO(violation->rule << " at '" << violation->at << "': " << violation->text);
        CHECK((violation ? std::string_view(violation->rule) : std::string_view()) == row.rule);
        if (!violation) continue;
        CHECK(violation->at == row.at);
        CHECK(is_told_well(*violation));
    }
}

}  // namespace trunkline::uns::test
