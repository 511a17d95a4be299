// The hot path's own view of the wire: PUBLISH frames encoded once and patched, and packets read by header only.
// Everything else goes through broker/mqtt.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "broker/mqtt/buffer.h"
#include "broker/mqtt/types.h"

namespace trunkline::bench {

/// The head of every payload: who sent it, its number, when. Host byte order: both ends are this process, or the same
/// build on the same machine.
struct Stamp {
    std::uint32_t magic = 0;      // stamp_magic of the run
    std::uint32_t publisher = 0;  // index of the sender
    std::uint64_t sequence = 0;   // 0, 1, 2, ... per sender
    std::int64_t sent_ns = 0;     // monotonic clock
};
inline constexpr std::uint32_t stamp_bytes = sizeof(Stamp);
static_assert(stamp_bytes == 24);

/// Tells our messages from those of others (upper half) and of other runs (lower half, from the process id).
std::uint32_t stamp_magic();
inline constexpr std::uint32_t stamp_magic_family = 0x54420000;
inline constexpr std::uint32_t stamp_magic_mask = 0xFFFF0000;

/// What a payload is made of: the stamp's bytes and filler, or a reading as plants send it, JSON with the stamp as the
/// hexadecimal digits of its last member: {"value":20.512,"timestamp":...,"quality":"good","unit":"Cel","id":"..."}.
enum class PayloadForm : std::uint8_t { filler, reading };
inline constexpr std::uint32_t reading_bytes_min = 128;
/// A reading ends with the stamp's digits and these.
inline constexpr std::string_view reading_end = "\"}";

/// Writes a stamp as 2 * stamp_bytes hexadecimal digits.
void write_hex(char* to, const Stamp& stamp);
/// The stamp of a payload of either form. False: it is too short, or its digits are none.
bool read_stamp(std::string_view payload, Stamp& stamp);

/// A whole PUBLISH packet whose packet identifier and stamp are overwritten for each message.
class PublishFrame {
public:
    /// `payload_bytes` is at least stamp_bytes (reading_bytes_min of a reading). `value`: of a reading, in thousandths.
    PublishFrame(mqtt::Version version, std::string_view topic, std::uint8_t qos, bool retain,
                 std::uint32_t payload_bytes, PayloadForm form = PayloadForm::filler, std::uint32_t value = 0);

    [[nodiscard]] std::uint32_t size() const { return static_cast<std::uint32_t>(bytes_.size()); }

    /// Appends the packet. `packet_id` is not 0 at QoS 1 and 2 and ignored at QoS 0.
    void append_to(mqtt::Buffer& out, std::uint16_t packet_id, const Stamp& stamp) const {
        char* to = out.prepare(bytes_.size());
        std::memcpy(to, bytes_.data(), bytes_.size());
        if (packet_id_at_ != 0) {
            to[packet_id_at_] = static_cast<char>(packet_id >> 8);
            to[packet_id_at_ + 1] = static_cast<char>(packet_id);
        }
        if (form_ == PayloadForm::filler) {
            std::memcpy(to + stamp_at_, &stamp, stamp_bytes);
        } else {
            write_hex(to + stamp_at_, stamp);
        }
        out.commit(bytes_.size());
    }

private:
    std::string bytes_;
    std::uint32_t packet_id_at_ = 0;
    std::uint32_t stamp_at_ = 0;
    PayloadForm form_;
};

/// A complete packet at the front of received bytes.
struct RawPacket {
    std::uint8_t first = 0;
    const char* body = nullptr;
    std::uint32_t body_bytes = 0;
};

enum class Split : std::uint8_t { packet, incomplete, malformed };

/// Splits the first packet off [at, end) and moves `at` past it.
inline Split split_packet(const char*& at, const char* end, RawPacket& packet) {
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(at);
    const auto available = static_cast<std::size_t>(end - at);
    std::uint32_t length = 0;
    for (unsigned i = 1; i <= 4; ++i) {
        if (i >= available) return Split::incomplete;
        length |= (bytes[i] & 0x7FU) << (7 * (i - 1));
        if (bytes[i] & 0x80U) continue;
        if (available - i - 1 < length) return Split::incomplete;
        packet = {bytes[0], at + i + 1, length};
        at += i + 1 + length;
        return Split::packet;
    }
    return Split::malformed;
}

/// What the generator looks at in a PUBLISH.
struct Incoming {
    std::uint8_t qos = 0;
    bool retain = false;
    bool dup = false;
    std::uint16_t packet_id = 0;
    std::string_view topic;
    std::string_view payload;
};

inline std::uint16_t read_u16(const char* at) {
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(at);
    return static_cast<std::uint16_t>(bytes[0] << 8 | bytes[1]);
}

/// Reads a PUBLISH body, skipping its properties. False: malformed.
inline bool read_publish(const RawPacket& packet, mqtt::Version version, Incoming& incoming) {
    const char* at = packet.body;
    const char* end = at + packet.body_bytes;
    if (end - at < 2) return false;
    const std::uint16_t topic_bytes = read_u16(at);
    incoming.qos = (packet.first >> 1) & 3U;
    incoming.retain = packet.first & 1U;
    incoming.dup = packet.first & 8U;
    at += 2;
    if (end - at < topic_bytes + (incoming.qos ? 2 : 0)) return false;
    incoming.topic = {at, topic_bytes};
    at += topic_bytes;
    if (incoming.qos) {
        incoming.packet_id = read_u16(at);
        at += 2;
    }
    if (version == mqtt::Version::v5) {
        std::uint32_t properties = 0;
        for (unsigned shift = 0;; shift += 7) {
            if (at == end || shift > 21) return false;
            const auto byte = static_cast<std::uint8_t>(*at++);
            properties |= (byte & 0x7FU) << shift;
            if (!(byte & 0x80U)) break;
        }
        if (static_cast<std::uint32_t>(end - at) < properties) return false;
        at += properties;
    }
    incoming.payload = {at, static_cast<std::size_t>(end - at)};
    return true;
}

}  // namespace trunkline::bench
