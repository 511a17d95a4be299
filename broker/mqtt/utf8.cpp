// UTF-8 as RFC 3629 has it: shortest forms only, no surrogates, nothing above U+10FFFF.
#include "broker/mqtt/decode.h"
#include "broker/mqtt/text.h"

namespace trunkline::mqtt {
namespace {

/// Bytes of the well-formed multi-byte character at `at` (Unicode, table 3-7), 0 if there is none.
std::size_t character_size(const unsigned char* at, std::size_t left) {
    const auto within = [&](std::size_t i, unsigned low, unsigned high) { return at[i] >= low && at[i] <= high; };
    const auto tail = [&](std::size_t i) { return within(i, 0x80, 0xBF); };
    const unsigned lead = at[0];
    if (lead < 0xC2 || lead > 0xF4) return 0;  // a continuation byte, an overlong form or beyond U+10FFFF
    if (lead < 0xE0) return left >= 2 && tail(1) ? 2 : 0;
    if (lead < 0xF0) {
        const unsigned low = lead == 0xE0 ? 0xA0 : 0x80;
        const unsigned high = lead == 0xED ? 0x9F : 0xBF;  // U+D800 to U+DFFF are surrogates [MQTT-1.5.4-1]
        return left >= 3 && within(1, low, high) && tail(2) ? 3 : 0;
    }
    const unsigned low = lead == 0xF0 ? 0x90 : 0x80;
    const unsigned high = lead == 0xF4 ? 0x8F : 0xBF;
    return left >= 4 && within(1, low, high) && tail(2) && tail(3) ? 4 : 0;
}

template <char... forbidden>
bool well_formed(std::string_view text) {
    if (detail::is_plain<forbidden...>(text.data(), text.size())) return true;
    std::size_t at = 0;
    while (at < text.size()) {
        const std::size_t left = text.size() - at;
        if (left >= 16 && detail::is_plain<forbidden...>(text.data() + at, 16)) {
            at += 16;
            continue;
        }
        const char byte = text[at];
        if (static_cast<unsigned char>(byte) < 0x80) {
            if (((byte == forbidden) || ...)) return false;
            ++at;
            continue;
        }
        const std::size_t size = character_size(reinterpret_cast<const unsigned char*>(text.data()) + at, left);
        if (size == 0) return false;
        at += size;
    }
    return true;
}

}  // namespace

bool is_valid_utf8(std::string_view text) { return well_formed<'\0'>(text); }

bool is_valid_utf8_payload(std::string_view payload) { return well_formed<>(payload); }

}  // namespace trunkline::mqtt
