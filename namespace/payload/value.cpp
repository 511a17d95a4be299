#include "namespace/payload/value.h"

#include "namespace/payload/json_scan.h"
#include "namespace/payload/json_view.h"
#include "namespace/payload/limits.h"
#include "namespace/payload/plain_text.h"
#include "namespace/payload/reading.h"
#include "namespace/payload/sparkplug.h"
#include "namespace/payload/text.h"

namespace trunkline::uns {

namespace dom = simdjson::dom;

namespace {

using Format = PayloadSpec::Format;
using Kind = ValueType::Kind;

constexpr std::size_t display_bytes_max = 253;    // and an ellipsis of three bytes

/// Cut to what fits a display: escapes make a text longer than the payload had it.
std::string bounded(std::string text) {
    if (text.size() <= display_bytes_max) return text;
    std::size_t end = display_bytes_max;
    while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
    text.resize(end);
    return text + "…";
}

void set_datum(Value& value, const Datum& datum) {
    switch (datum.kind) {
    case Datum::Kind::null: value.kind = Kind::any; break;
    case Datum::Kind::boolean: value.kind = Kind::boolean; break;
    case Datum::Kind::number: {
        const bool whole = datum.number.form != Number::Form::real;
        value.kind = whole ? Kind::integer : Kind::number;
        value.number = datum.number.as_double();
        break;
    }
    case Datum::Kind::string:
        value.kind = Kind::string;
        value.text = bounded(escaped(datum.text, display_bytes_max + 1));
        break;
    case Datum::Kind::array: value.kind = Kind::array; break;
    case Datum::Kind::object: value.kind = Kind::object; break;
    }
    if (datum.kind != Datum::Kind::string) value.text = shown(datum);
}

/// Compact JSON up to a length: what of a large value is not shown is not written either.
class Display {
public:
    std::string of(const dom::element& element) {
        write(element);
        return bounded(std::move(text_));
    }

private:
    [[nodiscard]] bool full() const { return text_.size() > display_bytes_max; }

    /// Recursion is bounded by the depth of the document.
    void write(const dom::element& element) {
        if (full()) return;
        const char* comma = "";
        if (element.is_object()) {
            text_ += '{';
            for (const auto field : object_in(element)) {
                if (full()) return;
                text_ += comma + in_quotes(field.key, display_bytes_max) + ":";
                write(field.value);
                comma = ",";
            }
            text_ += '}';
        } else if (element.is_array()) {
            text_ += '[';
            for (const dom::element item : array_in(element)) {
                if (full()) return;
                text_ += comma;
                write(item);
                comma = ",";
            }
            text_ += ']';
        } else {
            std::string_view text;
            text_ +=
                element.get(text) == simdjson::SUCCESS ? in_quotes(text, display_bytes_max) : shown(datum_of(element));
        }
    }

    std::string text_;
};

void set_element(Value& value, const dom::element& element) {
    set_datum(value, datum_of(element));
    if (value.kind == Kind::object || value.kind == Kind::array) value.text = Display().of(element);
}

/// What goes with a value in an object, where it is well formed.
void set_company(Value& value, const dom::object& object) {
    for (const auto field : object) {
        if (field.key == std::string_view("timestamp") || field.key == std::string_view("timestamp_ms")) {
            if (const auto ms = timestamp_of(datum_of(field.value), true)) value.timestamp_ms = ms;
        } else if (field.key == std::string_view("quality")) {
            value.quality = quality_of(datum_of(field.value));
        } else if (field.key == std::string_view("unit")) {
            std::string_view unit;
            if (field.value.get(unit) == simdjson::SUCCESS) value.unit = escaped(unit, 64);
        }
    }
}

std::optional<Value> read_json(std::string_view payload, bool needs_value) {
    const JsonView json(payload);
    if (!json.ok()) return std::nullopt;
    Value value;
    dom::object object;
    dom::element inner;
    const bool is_object = json.root().get(object) == simdjson::SUCCESS;
    if (is_object && object.at_key("value").get(inner) == simdjson::SUCCESS) {
        set_element(value, inner);
        set_company(value, object);
        return value;
    }
    if (needs_value) return std::nullopt;
    set_element(value, json.root());
    if (is_object) set_company(value, object);
    return value;
}

std::optional<Value> read_plain(std::string_view payload) {
    if (payload.empty() || payload.size() > payload_limits::payload_bytes_max ||
        !simdjson::validate_utf8(payload.data(), payload.size())) {
        return std::nullopt;
    }
    Value value;
    Datum datum = plain_datum(payload, Kind::number);
    if (datum.kind == Datum::Kind::string) datum = plain_datum(payload, Kind::boolean);
    set_datum(value, datum);
    return value;
}

std::optional<Value> read_metrics(std::string_view payload) {
    SparkplugPayload read;
    Value value;
    std::optional<std::uint64_t> time;
    const auto visit = [&](const SparkplugMetric& metric, std::size_t) {
        set_datum(value, datum_of(metric));
        time = metric.timestamp;
        return true;
    };
    if (payload.empty() || read_sparkplug(payload, read, std::ref(visit))) return std::nullopt;
    if (!time || read.metrics != 1) time = read.timestamp;
    if (time) value.timestamp_ms = static_cast<std::int64_t>(*time);
    if (read.metrics != 1) {
        value.kind = Kind::object;
        value.number.reset();
        value.text = std::to_string(read.metrics) + " metrics";
    }
    return value;
}

/// Text that a person could have written: no control characters but white space.
bool is_text(std::string_view payload) {
    for (const char c : payload) {
        const auto byte = static_cast<unsigned char>(c);
        if ((byte < 0x20 && c != '\t' && c != '\n' && c != '\r') || byte == 0x7F) return false;
    }
    return simdjson::validate_utf8(payload.data(), payload.size());
}

}  // namespace

std::optional<Value> read_value(std::string_view payload, Format format) {
    switch (format) {
    case Format::reading:
    case Format::umh: return read_json(payload, true);
    case Format::plain: return read_plain(payload);
    case Format::sparkplug: return read_metrics(payload);
    case Format::json:
    case Format::schema: return read_json(payload, false);
    case Format::any: break;
    }
    if (auto value = read_json(payload, false)) return value;
    return is_text(payload) ? read_plain(payload) : std::nullopt;
}

PayloadSpec::Format guess_format(std::string_view payload) {
    {
        const JsonView json(payload);
        if (json.ok()) {
            dom::object object;
            if (json.root().get(object) != simdjson::SUCCESS)
                return json.root().is_array() ? Format::json : Format::plain;
            const auto has = [&](std::string_view name) { return object.at_key(name).error() == simdjson::SUCCESS; };
            if (!has("value")) return Format::json;
            if (has("timestamp")) return Format::reading;
            return has("timestamp_ms") && object.size() == 2 ? Format::umh : Format::json;
        }
    }
    return !payload.empty() && is_text(payload) ? Format::plain : Format::any;
}

}  // namespace trunkline::uns
