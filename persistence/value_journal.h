// Last values that owe nobody anything, kept over a crash of the process: written without a sync, a moment after they
// changed, so that browsing shows them again after a restart. What a power cut takes of them is gone.
//
// Two files take turns. A file holds every value when it is begun, then each change; when it is full the other one is
// begun. So the disk sees the same blocks again and again, and the kernel writes each of them now and then.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace trunkline::store {

struct JournalValue {
    std::string_view topic, payload;
    std::string_view client_id, user;     ///< of the publisher
    std::int64_t at_ms = 0;               ///< since 1970
    std::uint8_t qos = 0;
    bool truncated = false;               ///< `payload` is only the beginning
    bool gone = false;                    ///< the topic has no value any more
};

/// Used from one thread.
class ValueJournal {
public:
    using Visit = std::function<void(const JournalValue& value)>;
    /// Calls its argument for every value that there is.
    using Everything = std::function<void(const Visit& visit)>;

    /// Files browse.0 and browse.1 in `folder`, of at least `file_bytes` each.
    explicit ValueJournal(std::string folder, std::uint64_t file_bytes = 16 << 20);
    ~ValueJournal();
    ValueJournal(const ValueJournal&) = delete;
    ValueJournal& operator=(const ValueJournal&) = delete;

    /// Visits what an earlier process wrote, oldest first; a topic may come again. Call once, before all else.
    void read(const Visit& visit);
    /// Begins the other file with everything. Returns "" or what is wrong.
    [[nodiscard]] std::string begin(const Everything& everything);
    /// Remembers a change; written by flush().
    void add(const JournalValue& value);
    /// Writes what was added, into the other file with everything when this one is full. Returns "" or what is wrong:
    /// nothing is written then until begin() has worked.
    [[nodiscard]] std::string flush(const Everything& everything);

    [[nodiscard]] std::uint64_t bytes() const { return end_; }

private:
    static void append(std::string& out, std::uint64_t generation, const JournalValue& value);
    [[nodiscard]] std::string path(std::size_t index) const;
    [[nodiscard]] std::string write_at(std::uint64_t offset, std::string_view bytes);
    void close();

    const std::string folder_;
    const std::uint64_t file_bytes_;
    std::uint64_t capacity_ = 0;          // of the open file
    std::uint64_t generation_ = 0;        // of the open file: each has a higher one than the one before
    std::uint64_t end_ = 0;               // where the next record goes
    int file_ = -1;
    std::string pending_;                 // records to be written
};

}  // namespace trunkline::store
