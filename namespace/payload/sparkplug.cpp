#include "namespace/payload/sparkplug.h"

#include <simdjson.h>

#include <array>
#include <bit>
#include <span>

#include "namespace/payload/limits.h"
#include "namespace/payload/rules.h"
#include "namespace/payload/text.h"
#include "namespace/payload/violations.h"
#include "namespace/payload/wire.h"

namespace trunkline::uns {

namespace {

using Field = SparkplugMetric::Field;

/// What the fields of a message are; nested messages name another table.
enum class Form : std::uint8_t {
    uint32, uint64, boolean, float32, float64, text, bytes,
    data_set, data_value, row, template_, parameter, property_value, property_set, property_sets, metadata, metric,
    extension
};

struct FieldRule {
    std::uint32_t number;
    Form form;
    const char* name;
};

// Field numbers: sparkplug_b.proto of Eclipse Sparkplug 3.0.0.
constexpr FieldRule metric_fields[] = {
    {1, Form::text, "name"}, {2, Form::uint64, "alias"}, {3, Form::uint64, "timestamp"}, {4, Form::uint32, "datatype"},
    {5, Form::boolean, "is_historical"}, {6, Form::boolean, "is_transient"}, {7, Form::boolean, "is_null"},
    {8, Form::metadata, "metadata"}, {9, Form::property_set, "properties"}, {10, Form::uint32, "int_value"},
    {11, Form::uint64, "long_value"}, {12, Form::float32, "float_value"}, {13, Form::float64, "double_value"},
    {14, Form::boolean, "boolean_value"}, {15, Form::text, "string_value"}, {16, Form::bytes, "bytes_value"},
    {17, Form::data_set, "dataset_value"}, {18, Form::template_, "template_value"},
    {19, Form::extension, "extension_value"}};
constexpr FieldRule data_set_fields[] = {{1, Form::uint64, "num_of_columns"},
                                         {2, Form::text, "columns"},
                                         {3, Form::uint32, "types"},
                                         {4, Form::row, "rows"}};
constexpr FieldRule row_fields[] = {{1, Form::data_value, "elements"}};
constexpr FieldRule data_value_fields[] = {
    {1, Form::uint32, "int_value"}, {2, Form::uint64, "long_value"}, {3, Form::float32, "float_value"},
    {4, Form::float64, "double_value"}, {5, Form::boolean, "boolean_value"}, {6, Form::text, "string_value"},
    {7, Form::extension, "extension_value"}};
constexpr FieldRule template_fields[] = {
    {1, Form::text, "version"}, {2, Form::metric, "metrics"}, {3, Form::parameter, "parameters"},
    {4, Form::text, "template_ref"}, {5, Form::boolean, "is_definition"}};
constexpr FieldRule parameter_fields[] = {
    {1, Form::text, "name"}, {2, Form::uint32, "type"}, {3, Form::uint32, "int_value"}, {4, Form::uint64, "long_value"},
    {5, Form::float32, "float_value"}, {6, Form::float64, "double_value"}, {7, Form::boolean, "boolean_value"},
    {8, Form::text, "string_value"}, {9, Form::extension, "extension_value"}};
constexpr FieldRule property_set_fields[] = {{1, Form::text, "keys"}, {2, Form::property_value, "values"}};
constexpr FieldRule property_sets_fields[] = {{1, Form::property_set, "propertyset"}};
constexpr FieldRule property_value_fields[] = {
    {1, Form::uint32, "type"}, {2, Form::boolean, "is_null"}, {3, Form::uint32, "int_value"},
    {4, Form::uint64, "long_value"}, {5, Form::float32, "float_value"}, {6, Form::float64, "double_value"},
    {7, Form::boolean, "boolean_value"}, {8, Form::text, "string_value"}, {9, Form::property_set, "propertyset_value"},
    {10, Form::property_sets, "propertysets_value"}, {11, Form::extension, "extension_value"}};
constexpr FieldRule metadata_fields[] = {
    {1, Form::boolean, "is_multi_part"}, {2, Form::text, "content_type"}, {3, Form::uint64, "size"},
    {4, Form::uint64, "seq"}, {5, Form::text, "file_name"}, {6, Form::text, "file_type"}, {7, Form::text, "md5"},
    {8, Form::text, "description"}};

std::span<const FieldRule> fields_of(Form form) {
    switch (form) {
    case Form::metric: return metric_fields;
    case Form::data_set: return data_set_fields;
    case Form::row: return row_fields;
    case Form::data_value: return data_value_fields;
    case Form::template_: return template_fields;
    case Form::parameter: return parameter_fields;
    case Form::property_set: return property_set_fields;
    case Form::property_sets: return property_sets_fields;
    case Form::property_value: return property_value_fields;
    case Form::metadata: return metadata_fields;
    default: return {};
    }
}

WireType wire_type_of(Form form) {
    switch (form) {
    case Form::uint32:
    case Form::uint64:
    case Form::boolean: return WireType::varint;
    case Form::float32: return WireType::fixed32;
    case Form::float64: return WireType::fixed64;
    default: return WireType::bytes;
    }
}

bool is_utf8(std::string_view text) { return simdjson::validate_utf8(text.data(), text.size()); }

/// What is wrong, and in which field; the caller knows where that is.
struct Flaw {
    std::string text, pointer;
    std::string fix = "encode the payload with a Sparkplug B library of version 3.0";
};
using Result = std::optional<Flaw>;

Flaw within(std::string_view name, Flaw fault) {
    std::string pointer;
    append_token(pointer, name);
    fault.pointer.insert(0, pointer);
    return fault;
}

Flaw fault_in(std::string_view name, std::string text) { return within(name, {std::move(text), {}}); }

/// One field against its rule, with what is nested in it; a fault's pointer starts below the field. `depth` counts
/// messages within each other.
Result check_field(const WireField& field, const FieldRule& rule, std::size_t depth);

/// All fields of a nested message. Fields without a rule are extensions, which the format allows.
Result check_message(std::string_view bytes, Form form, std::size_t depth) {
    if (depth > payload_limits::sparkplug_depth_max) return Flaw{"messages are nested too deeply", {}, "nest less"};
    WireReader reader(bytes);
    while (!reader.done()) {
        const auto field = reader.next();
        if (!field) return Flaw{"a nested message is cut short", {}};
        for (const FieldRule& rule : fields_of(form)) {
            if (rule.number != field->number) continue;
            if (Result fault = check_field(*field, rule, depth)) return within(rule.name, std::move(*fault));
        }
    }
    return std::nullopt;
}

/// `types` of a DataSet may come packed: several varints in one length-delimited field.
Result check_packed(std::string_view bytes) {
    for (std::size_t run = 0; const char c : bytes) {
        run = static_cast<unsigned char>(c) & 0x80 ? run + 1 : 0;
        if (run > 9) return Flaw{"a packed number is too long", {}};
    }
    if (!bytes.empty() && (static_cast<unsigned char>(bytes.back()) & 0x80))
        return Flaw{"a packed number is cut short", {}};
    return std::nullopt;
}

Result check_field(const WireField& field, const FieldRule& rule, std::size_t depth) {
    if (field.type != wire_type_of(rule.form)) {
        if (rule.form == Form::uint32 && field.type == WireType::bytes && std::string_view(rule.name) == "types") {
            return check_packed(field.bytes);
        }
        return Flaw{std::string(rule.name) + " has the wrong wire type", {}};
    }
    switch (rule.form) {
    case Form::uint64:
    case Form::uint32: return std::nullopt;    // wider varints are cut to 32 bits, as protobuf does
    case Form::boolean:
    case Form::float32:
    case Form::float64:
    case Form::bytes:
    case Form::extension: return std::nullopt;
    case Form::text:
        if (!is_utf8(field.bytes)) return Flaw{std::string(rule.name) + " is not UTF-8", {}};
        return std::nullopt;
    default: return check_message(field.bytes, rule.form, depth + 1);
    }
}

struct TypeRule {
    const char* name;
    std::uint8_t fields;          // which of Field may carry it, as bits from int_value up
    std::uint8_t bits = 0;        // width of an integer
    bool is_signed = false;
};

constexpr std::uint8_t in_int = 1, in_long = 2, in_float = 4, in_double = 8, in_boolean = 16, in_string = 32,
                       in_bytes = 64, in_set = 128;

/// By SparkplugType. Integers may come in either integer field: libraries differ about UInt32.
constexpr TypeRule type_rules[] = {
    {"Unknown", 0xFF}, {"Int8", in_int | in_long, 8, true}, {"Int16", in_int | in_long, 16, true},
    {"Int32", in_int | in_long, 32, true}, {"Int64", in_int | in_long, 64, true}, {"UInt8", in_int | in_long, 8},
    {"UInt16", in_int | in_long, 16}, {"UInt32", in_int | in_long, 32}, {"UInt64", in_int | in_long, 64},
    {"Float", in_float | in_double}, {"Double", in_float | in_double}, {"Boolean", in_boolean}, {"String", in_string},
    {"DateTime", in_long, 64}, {"Text", in_string}, {"UUID", in_string}, {"DataSet", in_set}, {"Bytes", in_bytes},
    {"File", in_bytes}, {"Template", in_set}, {"PropertySet", 0}, {"PropertySetList", 0}, {"Int8Array", in_bytes},
    {"Int16Array", in_bytes}, {"Int32Array", in_bytes}, {"Int64Array", in_bytes}, {"UInt8Array", in_bytes},
    {"UInt16Array", in_bytes}, {"UInt32Array", in_bytes}, {"UInt64Array", in_bytes}, {"FloatArray", in_bytes},
    {"DoubleArray", in_bytes}, {"BooleanArray", in_bytes}, {"StringArray", in_bytes}, {"DateTimeArray", in_bytes}};
static_assert(std::size(type_rules) == static_cast<std::size_t>(SparkplugType::date_time_array) + 1);

/// An integer's bits as `width` bits: what is above them must be zeros, or the sign again.
bool fits(std::uint64_t bits, const TypeRule& rule, bool is_int_field) {
    if (rule.bits == 64) return true;
    const std::uint64_t high = bits >> rule.bits;
    if (high == 0) return true;
    if (!rule.is_signed || !(bits >> (rule.bits - 1) & 1)) return false;
    return high == (is_int_field ? 0xFFFF'FFFFull >> rule.bits : ~0ull >> rule.bits);
}

std::string_view name_of(Field field) { return metric_fields[static_cast<std::size_t>(field) - 1].name; }

Result check_type(const SparkplugMetric& metric) {
    if (!metric.type || metric.field == Field::none || metric.field == Field::extension_value) return std::nullopt;
    const TypeRule& rule = type_rules[static_cast<std::size_t>(*metric.type)];
    const auto index = static_cast<unsigned>(metric.field) - static_cast<unsigned>(Field::int_value);
    const auto bit = static_cast<std::uint8_t>(index >= 7 ? in_set : 1u << index);
    const bool right_message = *metric.type == SparkplugType::unknown ||
                               (metric.field == Field::dataset_value) == (*metric.type == SparkplugType::data_set);
    if (!(rule.fields & bit) || !right_message) {
        return fault_in(name_of(metric.field),
                        std::string("a value of type ") + rule.name + " is in " + std::string(name_of(metric.field)));
    }
    if (rule.bits != 0 && !fits(metric.bits, rule, metric.field == Field::int_value)) {
        return fault_in(name_of(metric.field),
                        "value " + std::to_string(metric.bits) + " does not fit " + rule.name);
    }
    return std::nullopt;
}

Result set_value(SparkplugMetric& metric, const WireField& field, const FieldRule& rule) {
    if (metric.field != Field::none) return fault_in(rule.name, "the metric has two values");
    metric.field = static_cast<Field>(field.number);
    metric.bits = rule.form == Form::uint32 ? field.value & 0xFFFF'FFFF : field.value;
    metric.bytes = field.bytes;
    return std::nullopt;
}

Result set_field(SparkplugMetric& metric, const WireField& field, const FieldRule& rule, std::uint32_t& seen) {
    if (field.number < 10 && (seen >> field.number & 1))
        return fault_in(rule.name, std::string(rule.name) + " comes twice");
    seen |= 1u << field.number;
    switch (field.number) {
    case 1: metric.name = field.bytes; break;
    case 2: metric.alias = field.value; break;
    case 3: metric.timestamp = field.value; break;
    case 4:
        if (field.value >= std::size(type_rules)) {
            return fault_in(rule.name, "datatype " + std::to_string(field.value) + " does not exist");
        }
        metric.type = static_cast<SparkplugType>(field.value);
        break;
    case 5: metric.is_historical = field.value != 0; break;
    case 6: metric.is_transient = field.value != 0; break;
    case 7: metric.is_null = field.value != 0; break;
    case 8:
    case 9: break;
    default: return set_value(metric, field, rule);
    }
    return std::nullopt;
}

Result check_whole(const SparkplugMetric& metric) {
    if (metric.name.empty() && !metric.alias) {
        return Flaw{"the metric has neither a name nor an alias", "/name",
                     "give it the alias of the birth certificate"};
    }
    if (metric.timestamp && *metric.timestamp > static_cast<std::uint64_t>(payload_limits::timestamp_ms_max)) {
        return Flaw{"timestamp " + std::to_string(*metric.timestamp) + " is after the year 9999", "/timestamp",
                     "send milliseconds since 1970"};
    }
    if (metric.is_null && metric.field != Field::none) {
        return Flaw{"the metric has a value and is_null", "/is_null", "send one of them"};
    }
    if (!metric.is_null && metric.field == Field::none) {
        return Flaw{"the metric has no value", "/is_null", "send a value, or is_null for none"};
    }
    return check_type(metric);
}

Result read_metric(std::string_view bytes, SparkplugMetric& metric) {
    WireReader reader(bytes);
    std::uint32_t seen = 0;
    while (!reader.done()) {
        const auto field = reader.next();
        if (!field) return Flaw{"the metric is cut short at its byte " + std::to_string(reader.offset() + 1), {}};
        if (field->number > std::size(metric_fields)) continue;
        const FieldRule& rule = metric_fields[field->number - 1];
        if (Result fault = check_field(*field, rule, 0)) return within(rule.name, std::move(*fault));
        if (Result fault = set_field(metric, *field, rule, seen)) return fault;
    }
    return check_whole(metric);
}

Violation violation_of(Flaw fault, const std::string& at) {
    return make_violation(rule::not_sparkplug, at + fault.pointer, std::move(fault.text), "a Sparkplug B payload",
                          std::move(fault.fix));
}

/// Fields 1, 3, 4 and 5 of the payload itself.
Result read_payload_field(const WireField& field, SparkplugPayload& payload, std::uint32_t& seen) {
    static constexpr FieldRule rules[] = {{1, Form::uint64, "timestamp"}, {2, Form::metric, "metrics"},
                                          {3, Form::uint64, "seq"}, {4, Form::text, "uuid"}, {5, Form::bytes, "body"}};
    if (field.number > std::size(rules)) return std::nullopt;
    const FieldRule& rule = rules[field.number - 1];
    if (seen >> field.number & 1) return fault_in(rule.name, std::string(rule.name) + " comes twice");
    seen |= 1u << field.number;
    if (Result fault = check_field(field, rule, 0)) return within(rule.name, std::move(*fault));
    switch (field.number) {
    case 1:
        payload.timestamp = field.value;
        if (field.value > static_cast<std::uint64_t>(payload_limits::timestamp_ms_max)) {
            return Flaw{"timestamp " + std::to_string(field.value) + " is after the year 9999", "/timestamp",
                         "send milliseconds since 1970"};
        }
        break;
    case 3:
        payload.seq = field.value;
        if (field.value > 255) return Flaw{"seq " + std::to_string(field.value) + " is above 255", "/seq",
                                            "start again at 0 after 255"};
        break;
    case 4: payload.uuid = field.bytes; break;
    default: payload.body = field.bytes; break;
    }
    return std::nullopt;
}

}  // namespace

Datum datum_of(const SparkplugMetric& metric, bool may_be_negative) {
    Datum datum;
    const TypeRule* rule = metric.type ? &type_rules[static_cast<std::size_t>(*metric.type)] : nullptr;
    const bool known = rule && rule->bits != 0;
    const bool is_signed = known ? rule->is_signed : may_be_negative;
    const unsigned width = known ? rule->bits : metric.field == Field::int_value ? 32 : 64;
    switch (metric.field) {
    case Field::int_value:
    case Field::long_value: {
        datum.kind = Datum::Kind::number;
        const unsigned shift = 64 - width;
        const std::uint64_t shifted = metric.bits << shift;
        datum.number =
            is_signed ? Number::of(static_cast<std::int64_t>(shifted) >> shift) : Number::of(shifted >> shift);
        break;
    }
    case Field::float_value:
        datum.kind = Datum::Kind::number;
        datum.number = Number::of(static_cast<double>(std::bit_cast<float>(static_cast<std::uint32_t>(metric.bits))));
        break;
    case Field::double_value:
        datum.kind = Datum::Kind::number;
        datum.number = Number::of(std::bit_cast<double>(metric.bits));
        break;
    case Field::boolean_value:
        datum.kind = Datum::Kind::boolean;
        datum.truth = metric.bits != 0;
        break;
    case Field::string_value:
        datum.kind = Datum::Kind::string;
        datum.text = metric.bytes;
        break;
    case Field::bytes_value: datum.kind = Datum::Kind::array; break;
    case Field::dataset_value:
    case Field::template_value:
    case Field::extension_value: datum.kind = Datum::Kind::object; break;
    case Field::none: break;
    }
    return datum;
}

std::optional<Violation> read_sparkplug(std::string_view bytes, SparkplugPayload& payload,
                                        const std::function<bool(const SparkplugMetric&, std::size_t)>& on_metric) {
    if (bytes.size() > payload_limits::payload_bytes_max) {
        return make_violation(rule::too_large, "", "the payload has " + std::to_string(bytes.size()) + " bytes",
                              "at most 16 MiB", "send fewer metrics in a message");
    }
    WireReader reader(bytes);
    std::uint32_t seen = 0;
    while (!reader.done()) {
        const auto field = reader.next();
        if (!field) {
            return violation_of({"not readable at byte " + std::to_string(reader.offset() + 1), {}}, "");
        }
        if (field->number != 2 || field->type != WireType::bytes) {
            if (Result fault = read_payload_field(*field, payload, seen)) return violation_of(std::move(*fault), "");
            continue;
        }
        const std::size_t index = payload.metrics++;
        SparkplugMetric metric;
        Result fault = read_metric(field->bytes, metric);
        if (!fault && index >= payload_limits::metrics_max)
            fault = Flaw{"there are more than 10000 metrics", {}, "split it"};
        if (fault) return violation_of(std::move(*fault), "/metrics/" + std::to_string(index));
        if (!on_metric(metric, index)) return std::nullopt;
    }
    return std::nullopt;
}

namespace {

class SparkplugContract final : public PayloadContract {
public:
    explicit SparkplugContract(ValueCheck value)
        : value_(std::move(value)), may_be_negative_(!value_.min() || *value_.min() < 0) {}

    std::optional<Violation> check(std::string_view payload) const override {
        if (payload.empty()) return empty_violation();
        std::optional<Violation> found;
        SparkplugPayload read;
        const auto visit = [&](const SparkplugMetric& metric, std::size_t index) {
            const Datum datum = datum_of(metric, may_be_negative_);
            const ValueCheck::Finding finding = value_.check(datum);
            if (finding == ValueCheck::Finding::ok) return true;
            std::string at = "/metrics/" + std::to_string(index);
            if (metric.field != Field::none) append_token(at, name_of(metric.field));
            const std::string name = metric.name.empty() ? "metric " + std::to_string(*metric.alias)
                                                         : "metric " + escaped(metric.name);
            found = value_.explain(datum, finding, std::move(at), name);
            return false;
        };
        auto fault = read_sparkplug(payload, read, std::ref(visit));    // by reference: nothing is allocated
        return fault ? fault : found;
    }

private:
    ValueCheck value_;
    bool may_be_negative_;
};

}  // namespace

std::shared_ptr<const PayloadContract> make_sparkplug_contract(ValueCheck value) {
    return std::make_shared<SparkplugContract>(std::move(value));
}

}  // namespace trunkline::uns
