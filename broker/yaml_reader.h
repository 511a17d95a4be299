// Reads a YAML mapping key by key and collects everything that is wrong with it, each with its place.
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <yaml-cpp/yaml.h>

#include "namespace/problem.h"

namespace trunkline::broker {

/// What all mappings of one file share.
struct YamlContext {
    std::string file;                            ///< as the user named it
    std::string directory;                       ///< relative paths in the file start here; empty: as they are
    std::vector<Problem> problems;
    std::map<std::string, std::string> places;   ///< "listeners[0].url" -> "file:line:column"

    [[nodiscard]] std::string place(const YAML::Mark& mark) const;
    void report(std::string rule, std::string place, std::string message, std::string fix);
};

/// Ask for each key that may be there, then call finish(): what was not asked for is reported as unknown, with the
/// nearest key that was. An absent key, or one without a value, leaves the output untouched.
class YamlMap {
public:
    /// `path` is "" for the file itself, else such as "listeners[0].tls". A node that is no mapping is reported.
    YamlMap(YamlContext& context, const YAML::Node& node, std::string path);

    [[nodiscard]] bool has(std::string_view key) const;
    /// Place of a key's value, or of the mapping when the key is absent.
    [[nodiscard]] std::string place_of(std::string_view key) const;
    [[nodiscard]] std::string path_of(std::string_view key) const;

    void text(std::string_view key, std::string& out);
    /// A file or folder: relative paths are taken from the folder of the configuration file.
    void path(std::string_view key, std::string& out);
    /// A text that must not stand in the file itself: `file:PATH` or `${NAME}`. An empty one is reported, too.
    void secret(std::string_view key, std::string& out);
    void boolean(std::string_view key, bool& out);
    void choice(std::string_view key, std::string& out, std::initializer_list<std::string_view> names);
    /// A number that `parse` reads, within [min, max]; `what` describes it, `show` writes it in messages.
    using Parse = std::function<std::optional<std::uint64_t>(std::string_view)>;
    using Show = std::function<std::string(std::uint64_t)>;
    void number(std::string_view key, std::string_view what, const Parse& parse, std::uint64_t min, std::uint64_t max,
                const Show& show, const std::function<void(std::uint64_t)>& set);
    void count(std::string_view key, std::uint64_t min, std::uint64_t max,
               const std::function<void(std::uint64_t)>& set);

    /// Reads a nested mapping when there is one.
    void map(std::string_view key, const std::function<void(YamlMap&)>& read);
    /// Calls `read` for each mapping of a list, with its index.
    void list(std::string_view key, const std::function<void(std::size_t, YamlMap&)>& read);
    /// A mapping of names that are not known beforehand to texts: calls `read` for each, with the place of the name.
    using ReadName = std::function<void(const std::string& name, const std::string& value, const std::string& place)>;
    void texts_by_name(std::string_view key, const ReadName& read);
    /// A list of words.
    void words(std::string_view key, std::vector<std::string>& out);
    /// Any YAML as JSON text, `{}` when there is none; texts are resolved like others, only plain scalars are numbers.
    void json(std::string_view key, std::string& out);
    /// A list of which each entry is one name with a mapping of values, `- name: {...}`, or the name alone. `read` asks
    /// the entry for the names that may be there by named().
    void named_list(std::string_view key, const std::function<void(YamlMap&)>& read);
    /// Calls `read` when the key is there, also without a value, and checks its mapping for unknown keys.
    void named(std::string_view key, const std::function<void(YamlMap&)>& read);
    /// A section that this version does not have: anything but nothing is reported.
    void absent_section(std::string_view key, std::string_view what);

    void finish();

private:
    struct Entry {
        std::string key;
        YAML::Mark mark;
        YAML::Node value;
        bool asked = false;
    };
    Entry* ask(std::string_view key);
    Entry* ask_list(std::string_view key);
    std::optional<std::string> scalar(std::string_view key, std::string_view what);
    std::optional<std::string> resolve(const Entry& entry);

    YamlMap(YamlContext& context, std::string path, YAML::Mark mark)
        : context_(context), path_(std::move(path)), mark_(mark) {}

    YamlContext& context_;
    std::string path_;
    YAML::Mark mark_;
    std::vector<Entry> entries_;
    std::vector<std::string> known_;
};

/// The candidate with the least edit distance to `word`, or "" when none is near.
[[nodiscard]] std::string nearest(std::string_view word, const std::vector<std::string>& candidates);

/// Replaces `${NAME}` and `${NAME:-default}` by the environment and `$${` by `${`. On failure `error` says why.
[[nodiscard]] std::optional<std::string> expand_environment(std::string_view text, std::string& error);

}  // namespace trunkline::broker
