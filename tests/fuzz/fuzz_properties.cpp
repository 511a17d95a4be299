// Any bytes as the properties of a PUBLISH: what is accepted must survive the helpers that skip all further checks.
#include <cstdlib>
#include <string>

#include "broker/mqtt/decode.h"
#include "broker/mqtt/properties.h"

using namespace trunkline;

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
    if (size == 0) return 0;
    const auto scope = static_cast<mqtt::detail::PropertyScope>(1U << data[0] % 10);
    const std::string_view raw(reinterpret_cast<const char*>(data) + 1, size - 1);
    mqtt::detail::PropertyWalk walk(raw, scope);
    mqtt::detail::RawProperty property;
    std::uint32_t user_properties = 0;
    while (walk.next(property)) user_properties += property.id == mqtt::Property::user_property;
    if (walk.failed()) return *walk.error().what ? 0 : (std::abort(), 0);

    const auto count = mqtt::user_property_size(raw);
    if (count.count != user_properties || count.bytes > raw.size()) std::abort();
    std::string forwarded, again;
    mqtt::append_forwarded_properties(raw, forwarded);
    mqtt::append_forwarded_properties(forwarded, again);
    if (forwarded != again || forwarded.size() > raw.size()) std::abort();
    return 0;
}
