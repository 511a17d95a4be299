#include "persistence/value_journal.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <optional>
#include <utility>

#include <xxhash.h>

#include "persistence/bytes.h"

namespace trunkline::store {
namespace {

// A file: header, records. Header: magic, generation u64, checksum u64 of both; it is written last, so that a file that
// was not finished is none. A record: size u32 of what follows the checksum, checksum u64 seeded with the generation,
// then at ms i64, flags u8, qos u8, topic, payload, client id, user as text. What does not fit its checksum is the end.
constexpr std::string_view magic = "TLvalue1";
constexpr std::size_t header_bytes = 24;
constexpr std::size_t record_header_bytes = 12;
constexpr std::size_t portion_bytes = 1 << 20;
constexpr std::uint8_t flag_truncated = 1, flag_gone = 2;

std::string header_of(std::uint64_t generation) {
    std::string header(magic);
    put_le(header, generation);
    put_le(header, static_cast<std::uint64_t>(XXH3_64bits(header.data(), header.size())));
    return header;
}

/// The generation of a file; 0 when it is none.
std::uint64_t generation_of(std::string_view file) {
    if (file.size() < header_bytes || !file.starts_with(magic)) return 0;
    const std::uint64_t generation = load_le<std::uint64_t>(file.data() + magic.size());
    return header_of(generation) == file.substr(0, header_bytes) ? generation : 0;
}

std::string read_file(const std::string& path) {
    std::ifstream in(path, std::ios::binary | std::ios::ate);
    std::string bytes(in ? static_cast<std::size_t>(in.tellg()) : 0, '\0');
    in.seekg(0);
    in.read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    bytes.resize(static_cast<std::size_t>(in.gcount()));
    return bytes;
}

/// The value at the front of `bytes`, which loses it; nullopt at the end.
std::optional<JournalValue> take_record(std::string_view& bytes, std::uint64_t generation) {
    if (bytes.size() < record_header_bytes) return std::nullopt;
    const std::size_t size = load_le<std::uint32_t>(bytes.data());
    if (size > bytes.size() - record_header_bytes) return std::nullopt;
    const std::string_view body = bytes.substr(record_header_bytes, size);
    const auto sum = load_le<std::uint64_t>(bytes.data() + 4);
    if (size == 0 || sum != XXH3_64bits_withSeed(body.data(), body.size(), generation)) return std::nullopt;
    ByteReader in(body);
    JournalValue value;
    value.at_ms = in.take<std::int64_t>();
    const auto flags = in.take<std::uint8_t>();
    value.truncated = (flags & flag_truncated) != 0;
    value.gone = (flags & flag_gone) != 0;
    value.qos = in.take<std::uint8_t>();
    for (std::string_view* text : {&value.topic, &value.payload, &value.client_id, &value.user}) {
        *text = in.take_text();
    }
    if (!in.done()) return std::nullopt;
    bytes.remove_prefix(record_header_bytes + size);
    return value;
}

std::string trouble(const std::string& what) { return what + ": " + std::strerror(errno); }

}  // namespace

ValueJournal::ValueJournal(std::string folder, std::uint64_t file_bytes)
    : folder_(std::move(folder)), file_bytes_(file_bytes) {}

ValueJournal::~ValueJournal() { close(); }

void ValueJournal::close() {
    if (file_ >= 0) ::close(file_);
    file_ = -1;
}

std::string ValueJournal::path(std::size_t index) const { return folder_ + "/browse." + std::to_string(index); }

void ValueJournal::read(const Visit& visit) {
    std::string newest;
    for (const std::size_t index : {0U, 1U}) {
        std::string file = read_file(path(index));
        const std::uint64_t generation = generation_of(file);
        if (generation <= generation_) continue;
        generation_ = generation;
        newest = std::move(file);
    }
    std::string_view rest = std::string_view(newest).substr(std::min(header_bytes, newest.size()));
    while (const auto value = take_record(rest, generation_)) visit(*value);
}

void ValueJournal::append(std::string& out, std::uint64_t generation, const JournalValue& value) {
    const std::size_t start = out.size();
    out.resize(start + record_header_bytes);
    put_le(out, value.at_ms);
    put_le(out, static_cast<std::uint8_t>((value.truncated ? flag_truncated : 0) | (value.gone ? flag_gone : 0)));
    put_le(out, value.qos);
    for (const std::string_view text : {value.topic, value.payload, value.client_id, value.user}) put_text(out, text);
    const auto size = static_cast<std::uint32_t>(out.size() - start - record_header_bytes);
    const std::uint64_t sum = XXH3_64bits_withSeed(out.data() + start + record_header_bytes, size, generation);
    std::memcpy(out.data() + start, &size, sizeof size);
    std::memcpy(out.data() + start + 4, &sum, sizeof sum);
}

void ValueJournal::add(const JournalValue& value) {
    if (file_ >= 0) append(pending_, generation_, value);
}

std::string ValueJournal::write_at(std::uint64_t offset, std::string_view bytes) {
    while (!bytes.empty()) {
        const ssize_t written = ::pwrite(file_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0) {
            std::string wrong = trouble("values for browsing cannot be written in " + folder_);
            close();
            pending_.clear();
            return wrong;
        }
        offset += static_cast<std::uint64_t>(written);
        bytes.remove_prefix(static_cast<std::size_t>(written));
    }
    return {};
}

std::string ValueJournal::begin(const Everything& everything) {
    close();
    pending_.clear();
    const std::uint64_t generation = generation_ + 1;
    file_ = ::open(path(generation % 2).c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (file_ < 0) return trouble("values for browsing cannot be kept in " + folder_);
    // The header of an earlier use must not stand before what is written now; records of it have another generation.
    std::string wrong = write_at(0, std::string(header_bytes, '\0'));
    std::uint64_t end = header_bytes;
    std::string portion;
    const auto write_portion = [&] {
        if (wrong.empty()) wrong = write_at(end, portion);
        end += portion.size();
        portion.clear();
    };
    everything([&](const JournalValue& value) {
        append(portion, generation, value);
        if (portion.size() >= portion_bytes) write_portion();
    });
    write_portion();
    if (wrong.empty()) wrong = write_at(0, header_of(generation));
    if (!wrong.empty()) return wrong;
    generation_ = generation;
    end_ = end;
    capacity_ = std::max(file_bytes_, 4 * end_);
    (void)!::ftruncate(file_, static_cast<off_t>(capacity_));   // gives back what a longer one had, no more
    return {};
}

std::string ValueJournal::flush(const Everything& everything) {
    if (file_ < 0 || pending_.empty()) return {};
    if (end_ + pending_.size() > capacity_) return begin(everything);
    const std::string wrong = write_at(end_, pending_);
    end_ += pending_.size();
    pending_.clear();
    return wrong;
}

}  // namespace trunkline::store
