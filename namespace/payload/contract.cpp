#include "namespace/payload/contract.h"

#include "namespace/payload/json_scan.h"
#include "namespace/payload/json_view.h"
#include "namespace/payload/limits.h"
#include "namespace/payload/plain_text.h"
#include "namespace/payload/reading.h"
#include "namespace/payload/rules.h"
#include "namespace/payload/schema.h"
#include "namespace/payload/sparkplug.h"
#include "namespace/payload/text.h"
#include "namespace/payload/value_check.h"
#include "namespace/payload/violations.h"

namespace trunkline::uns {

namespace {

using Format = PayloadSpec::Format;

class AnyContract final : public PayloadContract {
public:
    std::optional<Violation> check(std::string_view) const override { return std::nullopt; }
};

class JsonContract final : public PayloadContract {
public:
    std::optional<Violation> check(std::string_view payload) const override {
        const JsonView json(payload);
        if (json.ok()) return std::nullopt;
        return json.fault();
    }
};

/// A bare scalar as text.
class PlainContract final : public PayloadContract {
public:
    explicit PlainContract(ValueCheck value) : value_(std::move(value)) {}

    std::optional<Violation> check(std::string_view payload) const override {
        if (payload.empty()) return empty_violation();
        if (payload.size() > payload_limits::payload_bytes_max) return too_large(payload);
        if (!simdjson::validate_utf8(payload.data(), payload.size())) return not_utf8(payload);
        const Datum datum = plain_datum(payload, value_.kind());
        const ValueCheck::Finding finding = value_.check(datum);
        if (finding == ValueCheck::Finding::ok) return std::nullopt;
        Violation violation = value_.explain(datum, finding, "", "value");
        if (finding == ValueCheck::Finding::type) tell_plainly(datum, violation);
        return violation;
    }

private:
    static Violation too_large(std::string_view payload) {
        return make_violation(rule::too_large, "", "the payload has " + std::to_string(payload.size()) + " bytes",
                              "at most 16 MiB", "declare the topic's payload as any");
    }

    static Violation not_utf8(std::string_view payload) {
        return make_violation(rule::not_utf8, "",
                              "byte " + std::to_string(valid_utf8_bytes(payload) + 1) + " of the payload is not UTF-8",
                              "UTF-8", "encode the text as UTF-8, or declare the topic's payload as any");
    }

    /// Texts about quotes would lead astray where nothing is in quotes.
    void tell_plainly(const Datum& datum, Violation& violation) const {
        if (datum.kind != Datum::Kind::string) return;
        violation.text = "value " + in_quotes(datum.text) + " is not " + std::string(phrase_of(value_.kind()));
        const std::string number = number_within(datum.text);
        const bool numeric = value_.kind() == ValueType::Kind::number || value_.kind() == ValueType::Kind::integer;
        if (numeric && !number.empty()) {
            violation.fix = "send " + number + " alone: no spaces, line breaks, plus signs or commas";
        } else if (numeric && datum.text.starts_with("{")) {
            violation.fix = "send the number alone, or let the model say payload: reading";
        } else if (numeric) {
            violation.fix = "send a number such as 23.5 or 1e-3";
        } else {
            violation.fix = "send true or false in lower case";
        }
    }

    ValueCheck value_;
};

}  // namespace

PayloadContract::Compiled PayloadContract::compile(const PayloadSpec& spec) {
    if (spec.format == Format::any) return std::make_shared<AnyContract>();
    if (spec.format == Format::json) return std::make_shared<JsonContract>();
    if (spec.format == Format::schema) return compile_schema(spec.schema_json);
    auto compiled = ValueCheck::compile(spec.value);
    if (auto* error = std::get_if<SpecError>(&compiled)) return *error;
    ValueCheck value = std::get<ValueCheck>(std::move(compiled));
    const ValueType::Kind kind = value.kind();
    switch (spec.format) {
    case Format::reading: return make_reading_contract(std::move(value));
    case Format::umh: return make_umh_contract(std::move(value));
    case Format::sparkplug: return make_sparkplug_contract(std::move(value));
    default: break;
    }
    if (kind == ValueType::Kind::object || kind == ValueType::Kind::array) {
        return SpecError{"type", "plain text carries no " + std::string(phrase_of(kind)).substr(3),
                         "say payload: json or a schema, or give a scalar type"};
    }
    return std::make_shared<PlainContract>(std::move(value));
}

}  // namespace trunkline::uns
