// All topics that browsing knows, each with a few figures: an array of nodes in order of appearance, a parent always
// before its children, and the names of levels kept once each. So a search over a million topics is one pass over the
// distinct names and one over the array. Values are not here.
#pragma once

#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <boost/unordered/unordered_flat_set.hpp>

namespace trunkline::uns {

/// Names of levels, each kept once. Ids are given from 0 on and stay. Not thread safe.
class LevelNames {
public:
    LevelNames();
    static constexpr std::uint32_t none = 0xFFFF'FFFF;
    [[nodiscard]] std::uint32_t find(std::string_view name) const;
    /// none for more than 65,535 bytes, which no topic has.
    [[nodiscard]] std::uint32_t intern(std::string_view name);
    [[nodiscard]] std::string_view operator[](std::uint32_t id) const {
        const char* at = blocks_[places_[id] / block_bytes].get() + places_[id] % block_bytes;
        std::uint16_t size = 0;
        std::memcpy(&size, at, sizeof size);
        return {at + sizeof size, size};
    }
    [[nodiscard]] std::size_t size() const { return places_.size(); }
    [[nodiscard]] std::size_t memory_bytes() const;

private:
    struct Hash {
        using is_transparent = void;
        const LevelNames* names;
        std::size_t operator()(std::string_view name) const;
        std::size_t operator()(std::uint32_t id) const { return (*this)((*names)[id]); }
    };
    struct Equal {
        using is_transparent = void;
        const LevelNames* names;
        [[nodiscard]] std::string_view text(std::uint32_t id) const { return (*names)[id]; }
        [[nodiscard]] std::string_view text(std::string_view name) const { return name; }
        template <class A, class B>
        bool operator()(const A& a, const B& b) const { return text(a) == text(b); }
    };
    static constexpr std::uint32_t block_bytes = 128 * 1024;   // a name with its size fits into one
    std::vector<std::unique_ptr<char[]>> blocks_;
    std::uint32_t block_used_ = block_bytes;
    std::vector<std::uint32_t> places_;                        // by id: block and offset in it
    boost::unordered_flat_set<std::uint32_t, Hash, Equal> ids_;
};

/// One level of a topic. Packed, since there are millions.
struct TopicNode {
    enum Flag : std::uint8_t {
        value = 1,         ///< the last value is in the tree of live values
        retained = 2,      ///< the last value is a retained one
        expected = 4,      ///< the model has this topic
        resolved = 8,      ///< `meaning` is that of the model in force
        truncated = 16,    ///< the value was longer than is kept
    };
    std::uint32_t parent = 0, name = 0;
    std::uint32_t last_quarter_s = 0;   ///< of the last message, see quarter_of(); 0: none yet
    std::uint32_t publisher = 0;        ///< of it; 0: none, or the broker itself
    std::uint64_t messages = 0;
    float recent = 0;                   ///< messages, each fading away with a time constant: the rate
    std::uint32_t violations = 0;
    std::uint32_t meaning = 0;          ///< index into the meanings of the model; 0: none
    std::uint16_t warm_quarters = 0;    ///< how long messages have been coming, up to some hours
    std::uint8_t flags = 0;

    [[nodiscard]] bool has(Flag flag) const { return flags & flag; }
    void set(Flag flag, bool on = true) {
        flags = static_cast<std::uint8_t>(on ? flags | flag : flags & ~flag);
    }
    /// A topic, as opposed to a level that only leads to others.
    [[nodiscard]] bool is_topic() const { return flags & (value | retained | expected); }
};

/// Not thread safe.
class TopicIndex {
public:
    static constexpr std::uint32_t root = 0, none = 0xFFFF'FFFF;

    TopicIndex();
    TopicIndex(TopicIndex&&) = delete;

    [[nodiscard]] std::uint32_t find(std::string_view topic) const;
    [[nodiscard]] std::uint32_t child(std::uint32_t parent, std::string_view name) const;
    /// The node of a topic, made where it is missing; none when there would be more than `most` nodes.
    [[nodiscard]] std::uint32_t insert(std::string_view topic, std::size_t most);
    [[nodiscard]] TopicNode& operator[](std::uint32_t id) { return blocks_[id / block_nodes][id % block_nodes]; }
    [[nodiscard]] const TopicNode& operator[](std::uint32_t id) const {
        return blocks_[id / block_nodes][id % block_nodes];
    }
    /// Ids are below this; the root, which is no topic, is the first.
    [[nodiscard]] std::uint32_t size() const { return size_; }
    void path_of(std::uint32_t id, std::string& path) const;
    [[nodiscard]] std::string path_of(std::uint32_t id) const {
        std::string path;
        path_of(id, path);
        return path;
    }
    /// How many levels.
    [[nodiscard]] std::size_t depth_of(std::uint32_t id) const;
    [[nodiscard]] const LevelNames& names() const { return names_; }
    [[nodiscard]] std::size_t memory_bytes() const;

    /// A copy of the topics, and what leads to them, without all else. Ids are others.
    [[nodiscard]] std::unique_ptr<TopicIndex> compacted() const;

private:
    struct Key {
        std::uint32_t parent, name;
        bool operator==(const Key&) const = default;
    };
    [[nodiscard]] Key key_of(std::uint32_t id) const { return {(*this)[id].parent, (*this)[id].name}; }
    [[nodiscard]] Key key_of(Key key) const { return key; }
    struct Hash {
        using is_transparent = void;
        const TopicIndex* index;
        template <class T>
        std::size_t operator()(T what) const;
    };
    struct Equal {
        using is_transparent = void;
        const TopicIndex* index;
        template <class A, class B>
        bool operator()(A a, B b) const { return index->key_of(a) == index->key_of(b); }
    };
    std::uint32_t add(std::uint32_t parent, std::uint32_t name);

    static constexpr std::uint32_t block_nodes = 4'096;
    std::vector<std::unique_ptr<TopicNode[]>> blocks_;
    std::uint32_t size_ = 0;
    LevelNames names_;
    boost::unordered_flat_set<std::uint32_t, Hash, Equal> children_;
};

}  // namespace trunkline::uns
