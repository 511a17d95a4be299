// The property lists of MQTT 5 (section 2.2.2): one table of rules, one loop that checks them. Internal to broker/mqtt.
#pragma once

#include <cstdint>
#include <string_view>

#include "broker/mqtt/decode.h"
#include "broker/mqtt/reader.h"

namespace trunkline::mqtt::detail {

/// Which list a property stands in; one bit each.
enum class PropertyScope : std::uint16_t {
    connect = 1, will = 2, connack = 4, publish = 8, ack = 16, subscribe = 32, suback = 64, unsubscribe = 128,
    disconnect = 256, auth = 512,
};

/// Walks the properties of one list (without its length) and checks everything that section 2.2.2.2 and the packet's
/// own section demand of a single property: known, allowed here, not repeated, value in range, strings UTF-8.
class PropertyWalk {
public:
    PropertyWalk(std::string_view bytes, PropertyScope scope) : reader_(bytes), scope_(scope) {}

    /// Reads one property; false at the end of the list and on an error, which failed() tells apart.
    bool next(RawProperty& property);
    [[nodiscard]] bool failed() const { return *error_.what != '\0'; }
    [[nodiscard]] const DecodeError& error() const { return error_; }

private:
    bool fail(const DecodeError& error) {
        error_ = error;
        return false;
    }
    Reader reader_;
    PropertyScope scope_;
    std::uint64_t seen_ = 0;  // bit n: property n came by
    DecodeError error_;
};

/// Reads a property length and the properties behind it, handing each to `take(const RawProperty&)`. False: `error`
/// says why. `list` becomes the raw bytes of the list.
template <class Take>
[[nodiscard]] bool read_properties(Reader& reader, PropertyScope scope, DecodeError& error, std::string_view& list,
                                   Take&& take) {
    std::uint32_t size = 0;
    if (!reader.varint(size)) {
        error = malformed("property length is missing, over four bytes or not in its shortest form");
        return false;
    }
    if (!reader.bytes(size, list)) {
        error = malformed("property length reaches past the end of the packet");
        return false;
    }
    PropertyWalk walk(list, scope);
    RawProperty property;
    while (walk.next(property)) take(property);
    if (walk.failed()) error = walk.error();
    return !walk.failed();
}

}  // namespace trunkline::mqtt::detail
