// A schema, a zero byte, and a payload: compiling ends, in an error that names a place or in a contract that ends too.
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>

#include "namespace/payload/contract.h"
#include "namespace/payload/json_scan.h"
#include "namespace/payload/rules.h"

using namespace trunkline::uns;

namespace {

using Contract = std::shared_ptr<const PayloadContract>;

void require(bool holds) {
    if (!holds) std::abort();
}

void require_text(const std::string& text) {
    require(text.size() < 3'000 && valid_utf8_bytes(text) == text.size());
    for (const char c : text) require(static_cast<unsigned char>(c) >= 0x20 && c != 0x7F);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
    if (size > 16'384) return 0;
    const std::string_view input(reinterpret_cast<const char*>(data), size);
    const std::size_t zero = input.find('\0');
    PayloadSpec spec;
    spec.format = PayloadSpec::Format::schema;
    spec.schema_json = input.substr(0, zero);
    const auto compiled = PayloadContract::compile(spec);
    if (const auto* error = std::get_if<SpecError>(&compiled)) {
        require(!error->message.empty() && !error->mend.empty());
        require_text(error->message);
        require_text(error->mend);
        return 0;
    }
    const Contract contract = std::get<Contract>(compiled);
    const std::string_view payload = zero == std::string_view::npos ? spec.schema_json : input.substr(zero + 1);
    const auto violation = contract->check(payload);
    if (!violation) return 0;
    require(find_payload_rule(violation->rule) != nullptr);
    for (const std::string* text : {&violation->at, &violation->text, &violation->expected, &violation->fix}) {
        require_text(*text);
    }
    return 0;
}
