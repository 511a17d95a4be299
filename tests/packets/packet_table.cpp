// Prints the packet table, one JSON object a line, so that scripts can replay it against a live broker. With --corpus
// DIR it writes each packet to a file of its own instead, the seeds of the fuzz targets.
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>

#include "tests/packets/rows.h"

namespace {

using namespace trunkline;

std::string hexadecimal(const std::string& bytes) {
    constexpr const char* digits = "0123456789abcdef";
    std::string text;
    for (const unsigned char byte : bytes) {
        text.push_back(digits[byte >> 4]);
        text.push_back(digits[byte & 15]);
    }
    return text;
}

std::string quoted(const std::string& text) {
    std::string json = "\"";
    for (const char c : text) {
        if (c == '"' || c == '\\') json.push_back('\\');
        json.push_back(c);
    }
    return json + "\"";
}

/// Who sends packets of this type: some have one direction only.
const char* sender(unsigned char first) {
    switch (static_cast<mqtt::PacketType>(first >> 4)) {
        case mqtt::PacketType::connect:
        case mqtt::PacketType::subscribe:
        case mqtt::PacketType::unsubscribe:
        case mqtt::PacketType::pingreq: return "client";
        case mqtt::PacketType::connack:
        case mqtt::PacketType::suback:
        case mqtt::PacketType::unsuback:
        case mqtt::PacketType::pingresp: return "server";
        default: return "both";
    }
}

/// {"name", "clauses", "version": 3|4|5, "from": "client"|"server"|"both", "hex", "expect": "ok" or the reason code}.
void print(const tests::Row& row, mqtt::Version version) {
    const std::string bytes = tests::packet_bytes(row.bytes);
    char expect[8] = "ok";
    if (row.expect == tests::Expect::refused)
        std::snprintf(expect, sizeof(expect), "0x%02X", static_cast<unsigned>(row.reason));
    std::printf(
        "{\"name\": %s, \"clauses\": %s, \"version\": %d, \"from\": \"%s\", \"hex\": \"%s\", \"expect\": \"%s\"}\n",
        quoted(row.name).c_str(), quoted(row.clauses).c_str(), static_cast<int>(version),
        sender(static_cast<unsigned char>(bytes[0])), hexadecimal(bytes).c_str(), expect);
}

/// The file begins with the byte that fuzz_decode takes for the version.
void write_seed(const std::filesystem::path& folder, std::size_t number, const tests::Row& row, mqtt::Version version) {
    const std::string name = std::to_string(number) + "-v" + std::to_string(static_cast<int>(version));
    std::ofstream file(folder / name, std::ios::binary);
    file.put(static_cast<char>(version));
    file << tests::packet_bytes(row.bytes);
}

}  // namespace

int main(int count, char** arguments) {
    const bool corpus = count == 3 && std::strcmp(arguments[1], "--corpus") == 0;
    if (count != 1 && !corpus) {
        std::fprintf(stderr, "usage: packet_table [--corpus DIR]\n");
        return 2;
    }
    if (corpus) std::filesystem::create_directories(arguments[2]);
    std::size_t number = 0;
    for (const auto& row : tests::packet_rows()) {
        ++number;
        for (const auto version : tests::versions_of(row.versions)) {
            if (corpus) write_seed(arguments[2], number, row, version);
            else print(row, version);
        }
    }
    return 0;
}
