// Runs every row of the packet table through the codec.
#include <catch2/catch.hpp>

#include <memory>
#include <set>
#include <string>

#include "tests/packets/any_packet.h"
#include "tests/packets/rows.h"

namespace {

using namespace trunkline;
using tests::AnyPacket;
using tests::Expect;

constexpr std::uint32_t limit = 1 << 20;

/// Bytes on the heap with nothing behind them, so that a sanitizer sees each read beyond the end.
class Exact {
public:
    explicit Exact(std::string_view bytes) : size_(bytes.size()), memory_(new char[bytes.size()]) {
        if (size_) bytes.copy(memory_.get(), size_);
    }
    [[nodiscard]] std::string_view view() const { return {memory_.get(), size_}; }
    [[nodiscard]] char& operator[](std::size_t i) { return memory_[i]; }

private:
    std::size_t size_;
    std::unique_ptr<char[]> memory_;
};

/// Frame and body in one go; an incomplete frame is the error with the empty sentence.
mqtt::Decoded<AnyPacket> decode(std::string_view bytes, mqtt::Version version) {
    const auto frame = mqtt::next_frame(bytes, limit, version);
    if (!frame) return frame.error();
    if (frame->size == 0) return mqtt::DecodeError{mqtt::Reason::success, ""};
    return tests::decode_any(*frame, version);
}

std::string encoded(const AnyPacket& packet, mqtt::Version version) {
    mqtt::Buffer out;
    tests::encode_any(out, version, packet);
    return std::string(out.view());
}

void check_refused(const tests::Row& row, const mqtt::Decoded<AnyPacket>& packet) {
    REQUIRE_FALSE(packet.has_value());
    CHECK(static_cast<int>(packet.error().reason) == static_cast<int>(row.reason));
    CHECK_THAT(packet.error().what, Catch::Contains(row.says));
    CHECK(*packet.error().what != '\0');
}

/// Valid rows with their bytes and version.
template <class Visit>
void for_each_valid(Visit&& visit) {
    for (const auto& row : tests::packet_rows()) {
        if (row.expect == Expect::refused) continue;
        for (const auto version : tests::versions_of(row.versions)) visit(row, tests::packet_bytes(row.bytes), version);
    }
}

}  // namespace

TEST_CASE("every row of the packet table decodes or is refused as it says", "[mqtt]") {
    for (const auto& row : tests::packet_rows()) {
        const Exact bytes(tests::packet_bytes(row.bytes));
        for (const auto version : tests::versions_of(row.versions)) {
            INFO(row.name << ", version " << static_cast<int>(version) << ": " << row.bytes);
            const auto packet = decode(bytes.view(), version);
            if (row.expect == Expect::refused) {
                check_refused(row, packet);
                continue;
            }
            INFO((packet ? "" : packet.error().what));
            REQUIRE(packet.has_value());
            const Exact again(encoded(*packet, version));
            CHECK((again.view() == bytes.view()) == (row.expect == Expect::same_bytes));
            const auto second = decode(again.view(), version);
            REQUIRE(second.has_value());
            CHECK(tests::same_values(*packet, *second));
        }
    }
}

TEST_CASE("the packet table holds 300 malformed packets and each packet type, valid, in each version", "[mqtt]") {
    std::set<std::string> refused, names;
    std::set<std::pair<int, int>> valid;
    for (const auto& row : tests::packet_rows()) {
        CHECK(names.insert(row.name).second);  // a name finds its row
        if (row.expect == Expect::refused) refused.insert(row.bytes);
    }
    for_each_valid([&](const tests::Row&, const std::string& bytes, mqtt::Version version) {
        valid.emplace(static_cast<unsigned char>(bytes[0]) >> 4, static_cast<int>(version));
    });
    CHECK(refused.size() >= 300);
    for (int type = 1; type <= 15; ++type) {
        for (const int version : {3, 4, 5}) {
            if (type == 15 && version < 5) continue;
            INFO("type " << type << " version " << version);
            CHECK(valid.count({type, version}) == 1);
        }
    }
}

TEST_CASE("a packet cut at any byte is incomplete", "[mqtt]") {
    for_each_valid([](const tests::Row& row, const std::string& bytes, mqtt::Version version) {
        for (std::size_t size = 0; size < bytes.size(); ++size) {
            INFO(row.name << " cut to " << size);
            const Exact part(std::string_view(bytes).substr(0, size));
            const auto frame = mqtt::next_frame(part.view(), limit, version);
            REQUIRE(frame.has_value());
            CHECK(frame->size == 0);
            CHECK(frame->needed > size);
            CHECK(frame->needed <= bytes.size());
        }
    });
}

TEST_CASE("a body cut at any byte is refused or is another, smaller packet", "[mqtt]") {
    for_each_valid([](const tests::Row& row, const std::string& bytes, mqtt::Version version) {
        auto frame = mqtt::next_frame(bytes, limit, version);
        REQUIRE(frame.has_value());
        const auto whole = tests::decode_any(*frame, version);
        const std::string_view body = frame->body;
        for (std::size_t size = 0; size < body.size(); ++size) {
            INFO(row.name << ", body cut to " << size);
            const Exact part(body.substr(0, size));
            frame->body = part.view();
            const auto packet = tests::decode_any(*frame, version);
            if (!packet) {
                CHECK(*packet.error().what != '\0');
                continue;
            }
            const std::string again = encoded(*packet, version);
            const auto second = decode(again, version);
            REQUIRE(second.has_value());
            CHECK(tests::same_values(*packet, *second));
        }
    });
}

TEST_CASE("a packet with any one byte flipped is refused or decodes to what encodes again", "[mqtt]") {
    for_each_valid([](const tests::Row& row, const std::string& bytes, mqtt::Version version) {
        Exact changed(bytes);
        for (std::size_t at = 0; at < bytes.size(); ++at) {
            for (const unsigned mask : {0x01U, 0x02U, 0x04U, 0x08U, 0x10U, 0x20U, 0x40U, 0x80U, 0xFFU}) {
                changed[at] = static_cast<char>(static_cast<unsigned char>(bytes[at]) ^ mask);
                const auto packet = decode(changed.view(), version);
                if (packet) {
                    const auto* connect = std::get_if<mqtt::Connect>(&*packet);
                    const auto spoken = connect ? connect->version : version;
                    const std::string again = encoded(*packet, spoken);
                    const auto second = decode(again, spoken);
                    if (!second.has_value() || !tests::same_values(*packet, *second)) {
                        INFO(row.name << ", byte " << at << " xor " << mask);
                        CHECK(false);
                    }
                }
            }
            changed[at] = bytes[at];
        }
    });
}

TEST_CASE("a refused packet cut at any byte is never accepted as a whole one by the framing", "[mqtt]") {
    for (const auto& row : tests::packet_rows()) {
        if (row.expect != Expect::refused) continue;
        const std::string bytes = tests::packet_bytes(row.bytes);
        for (const auto version : tests::versions_of(row.versions)) {
            for (std::size_t size = 0; size < bytes.size(); ++size) {
                const Exact part(std::string_view(bytes).substr(0, size));
                const auto frame = mqtt::next_frame(part.view(), limit, version);
                const bool whole = frame.has_value() && frame->size != 0 && frame->size > size;
                if (whole) FAIL(row.name << " cut to " << size);
            }
        }
    }
}
