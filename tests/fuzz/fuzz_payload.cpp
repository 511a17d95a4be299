// Payloads against contracts of every built-in format. The first byte chooses the contract, the rest is the payload.
// Besides not crashing: our scanner and simdjson agree on what JSON is, refusals can go into a packet, the same payload
// gets the same verdict again, also without the short way for readings, and a reading that passes can be displayed.
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "namespace/payload/contract.h"
#include "namespace/payload/json_scan.h"
#include "namespace/payload/limits.h"
#include "namespace/payload/plain_text.h"
#include "namespace/payload/reading.h"
#include "namespace/payload/rfc3339.h"
#include "namespace/payload/rules.h"
#include "namespace/payload/value.h"

using namespace trunkline::uns;

namespace {

using Format = PayloadSpec::Format;
using Kind = ValueType::Kind;
using Contract = std::shared_ptr<const PayloadContract>;

void require(bool holds) {
    if (!holds) std::abort();
}

struct Entry {
    Format format;
    Contract contract;
    Contract thorough;    // of reading: without the short way
};

std::vector<Entry> make_contracts() {
    std::vector<Entry> entries;
    for (const Format format :
         {Format::reading, Format::umh, Format::plain, Format::sparkplug, Format::json, Format::any}) {
        for (const Kind kind : {Kind::any, Kind::number, Kind::integer, Kind::boolean, Kind::string, Kind::object}) {
            PayloadSpec spec;
            spec.format = format;
            spec.value.kind = kind;
            spec.value.unit = "Cel";
            if (kind == Kind::number || kind == Kind::integer) spec.value.min = -20, spec.value.max = 120;
            if (kind == Kind::string) spec.value.pattern = "[a-z]+", spec.value.max_length = 5;
            auto compiled = PayloadContract::compile(spec);
            if (!std::holds_alternative<Contract>(compiled)) continue;
            Entry entry{format, std::get<Contract>(compiled), {}};
            if (format == Format::reading) {
                entry.thorough = make_reading_contract(std::get<ValueCheck>(ValueCheck::compile(spec.value)), false);
            }
            entries.push_back(std::move(entry));
        }
    }
    return entries;
}

/// Fit for a Reason String: UTF-8, no control characters, bounded.
void require_told_well(const Violation& violation) {
    require(find_payload_rule(violation.rule) != nullptr);
    require(!violation.text.empty() && !violation.expected.empty() && !violation.fix.empty());
    for (const std::string* text : {&violation.at, &violation.text, &violation.expected, &violation.fix}) {
        require(text->size() < 2'000);
        require(valid_utf8_bytes(*text) == text->size());
        for (const char c : *text) require(static_cast<unsigned char>(c) >= 0x20 && c != 0x7F);
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
    if (size == 0 || size > 8'192) return 0;
    static const std::vector<Entry> entries = make_contracts();
    static const Contract json = std::get<Contract>(PayloadContract::compile({Format::json, {}, {}}));
    const Entry& entry = entries[data[0] % entries.size()];
    // A copy of exactly that size, so that reading past its end is seen.
    const std::vector<char> bytes(data + 1, data + size);
    const std::string_view payload(bytes.data(), bytes.size());

    const auto violation = entry.contract->check(payload);
    if (violation) require_told_well(*violation);
    const auto again = entry.contract->check(payload);
    require(violation.has_value() == again.has_value() && (!again || again->text == violation->text));

    if (entry.thorough) {
        const auto same = entry.thorough->check(payload);
        require(same.has_value() == violation.has_value() && (!same || same->text == violation->text));
    }

    const auto fault = find_json_fault(payload);
    const auto refusal = json->check(payload);
    require(fault.has_value() == refusal.has_value());
    if (fault) require(fault->rule == refusal->rule && fault->text == refusal->text);

    const auto value = read_value(payload, entry.format);
    if (value) require(value->text.size() <= 256 && valid_utf8_bytes(value->text) == value->text.size());
    if (!violation && (entry.format == Format::reading || entry.format == Format::umh)) {
        require(value && value->timestamp_ms && *value->timestamp_ms >= 0);
        require(*value->timestamp_ms <= payload_limits::timestamp_ms_max);
    }
    if (entry.format == Format::sparkplug && !violation) require(value.has_value());
    (void)guess_format(payload);
    (void)parse_date_time(payload);
    (void)parse_json_number(payload);
    return 0;
}
