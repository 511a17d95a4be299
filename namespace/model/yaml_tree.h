// YAML text as a tree with places, bounded: what would take too much memory or time is refused before it is built.
// The one place that knows the YAML library of the namespace.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "namespace/problem.h"

namespace trunkline::uns {

/// Where something stands in a file; both count from 1. Line 0: nowhere.
struct Place {
    std::uint32_t line = 0;
    std::uint32_t column = 0;
};

/// Collects what is wrong with one file. Past `problems_max` it only counts.
class Problems {
public:
    static constexpr std::size_t problems_max = 200;

    explicit Problems(std::string file) : file_(std::move(file)) {}
    void add(std::string_view rule, Place place, std::string message, std::string fix);
    [[nodiscard]] bool empty() const { return list_.empty(); }
    [[nodiscard]] bool full() const { return list_.size() >= problems_max; }
    [[nodiscard]] std::size_t count() const { return list_.size() + more_; }
    [[nodiscard]] const std::string& file() const { return file_; }
    /// In the order of the file; a problem found twice at one place is told once.
    [[nodiscard]] std::vector<Problem> take();

private:
    struct Entry {
        Place place;
        Problem problem;
    };
    std::string file_;
    std::vector<Entry> list_;
    std::size_t more_ = 0;
};

/// A node of the tree. A mapping's children are key, value, key, value ...; keys are scalars. Nodes are owned by the
/// YamlTree and may be reached by several ways (aliases), never in a circle.
struct YamlNode {
    enum class Kind : std::uint8_t { scalar, sequence, mapping };
    Kind kind = Kind::scalar;
    bool is_plain = false;         ///< a scalar without quotation marks
    std::uint16_t height = 1;      ///< levels of nodes below and including this one
    std::uint32_t size = 1;        ///< nodes below and including this one, aliases counted each time
    std::uint32_t bytes = 0;       ///< of all scalars below and including this one, aliases counted each time
    std::uint32_t first_link = 0;  ///< of the children, in YamlTree
    std::uint32_t link_count = 0;
    Place place;
    std::string_view text;  ///< of a scalar; lives as long as the tree

    /// Nothing: an empty value, `~` or `null` (YAML 1.2 core schema).
    [[nodiscard]] bool is_null() const;
};

class YamlTree {
public:
    static constexpr std::size_t bytes_max = 16UL << 20;  ///< of the file
    static constexpr std::size_t depth_max = 100;         ///< of nesting
    static constexpr std::size_t nodes_max = 1'500'000;   ///< aliases counted each time
    static constexpr std::size_t scalar_bytes_max = 64UL << 10;
    static constexpr std::size_t text_bytes_max = 24UL << 20;  ///< of all scalars, aliases counted each time

    /// nullptr when `text` is no single YAML document within the limits; `problems` then tells why.
    static std::shared_ptr<const YamlTree> parse(std::string_view text, Problems& problems);

    ~YamlTree();
    YamlTree(const YamlTree&) = delete;
    YamlTree& operator=(const YamlTree&) = delete;

    [[nodiscard]] const YamlNode& root() const { return nodes_[root_]; }
    /// Child `index` of a sequence; of a mapping, keys are at even and values at odd indices.
    [[nodiscard]] const YamlNode& child(const YamlNode& node, std::size_t index) const {
        return nodes_[links_[node.first_link + index]];
    }
    /// A node as JSON text: plain scalars by the YAML 1.2 core schema, everything else as strings.
    [[nodiscard]] std::string json(const YamlNode& node) const;
    /// A number that is the same for equal documents: order of keys, comments, quotation marks and white space do not
    /// count.
    [[nodiscard]] std::string hash() const;

private:
    friend class YamlBuilder;
    YamlTree();
    void append_json(const YamlNode& node, std::string& out) const;

    class Arena;
    class Hasher;
    std::unique_ptr<Arena> arena_;
    std::deque<YamlNode> nodes_;  // grows without moving what is there
    std::vector<std::uint32_t> links_;
    std::uint32_t root_ = 0;
};

/// `text` as a JSON string with its quotation marks.
void append_json_string(std::string& out, std::string_view text);

}  // namespace trunkline::uns
