// Reads the mappings and values of a model file and reports what is wrong with each, with its place. Private to the
// parser of the model.
#pragma once

#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "namespace/model/syntax.h"

namespace trunkline::uns::syntax {

/// What all readers of one file share, and how single values are read. Each function reports what it can't read and
/// then returns nothing.
class Reader {
public:
    Reader(const YamlTree& yaml, Problems& problems) : yaml_(yaml), problems_(problems) {}

    void add(std::string_view rule, Place place, std::string message, std::string fix) {
        problems_.add(rule, place, std::move(message), std::move(fix));
    }
    [[nodiscard]] const YamlTree& yaml() const { return yaml_; }

    /// `what` names the value in messages: "unit", "$owner".
    std::optional<Text> text(const YamlNode& node, std::string_view what);
    std::optional<At<bool>> boolean(const YamlNode& node, std::string_view what);
    std::optional<At<double>> number(const YamlNode& node, std::string_view what);
    std::optional<At<std::uint64_t>> count(const YamlNode& node, std::string_view what, std::uint64_t min,
                                           std::uint64_t max);
    /// The index of the value among `names`.
    std::optional<std::size_t> choice(const YamlNode& node, std::string_view what,
                                      std::initializer_list<std::string_view> names);
    std::optional<At<Mode>> mode(const YamlNode& node, std::string_view what);
    /// As Mode: reject is enforce.
    std::optional<At<Unknown>> unknown(const YamlNode& node, std::string_view what);
    std::optional<Writers> writers(const YamlNode& node, std::string_view what);
    std::optional<At<Quota>> quota(const YamlNode& node);
    std::vector<Alias> aliases(const YamlNode& node);
    /// A mapping as JSON; anything else is reported.
    std::string metadata(const YamlNode& node, std::string_view what);
    /// A scalar as "text", a sequence or mapping as what it is.
    static std::string shape(const YamlNode& node);

private:
    std::optional<Writer> writer(const YamlNode& node);

    const YamlTree& yaml_;
    Problems& problems_;
};

/// One mapping: ask for each key that may be there, then call finish(), which reports what was not asked for with the
/// nearest key that was.
class MapReader {
public:
    /// `what` is "the file", "type filler", for messages. A node that is no mapping is reported; nothing is empty.
    MapReader(Reader& reader, const YamlNode& node, std::string what);

    /// The value, or nullptr when the key is absent or has none.
    const YamlNode* take(std::string_view key);
    /// The same; an absent key is reported with `mend`.
    const YamlNode* require(std::string_view key, std::string_view mend);
    [[nodiscard]] Place place() const { return node_.place; }
    void finish();

private:
    Reader& reader_;
    const YamlNode& node_;
    std::string what_;
    bool usable_ = true;
    std::vector<std::string_view> asked_;
    std::vector<bool> used_;
};

}  // namespace trunkline::uns::syntax
