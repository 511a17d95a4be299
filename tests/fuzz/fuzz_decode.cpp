// Any bytes as a stream of packets: what decodes must encode, and decode again to equal values.
#include <cstdlib>

#include "tests/packets/any_packet.h"

using namespace trunkline;

/// The first byte chooses the version, the rest is the stream.
extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
    if (size == 0) return 0;
    auto version = static_cast<mqtt::Version>(3 + data[0] % 3);
    std::string_view stream(reinterpret_cast<const char*>(data) + 1, size - 1);
    while (true) {
        const auto frame = mqtt::next_frame(stream, 1 << 20, version);
        if (!frame || frame->size == 0) return 0;
        const auto packet = tests::decode_any(*frame, version);
        if (!packet) return 0;
        if (const auto* connect = std::get_if<mqtt::Connect>(&*packet)) version = connect->version;
        mqtt::Buffer out;
        tests::encode_any(out, version, *packet);
        const auto again = mqtt::next_frame(out.view(), UINT32_MAX, version);
        if (!again || again->size != out.size()) std::abort();
        const auto second = tests::decode_any(*again, version);
        if (!second || !tests::same_values(*packet, *second)) std::abort();
        stream.remove_prefix(frame->size);
    }
}
