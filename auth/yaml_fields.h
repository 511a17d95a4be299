// Reads the keys of a YAML mapping one by one and collects all that is wrong with it, each with its place. Values of
// the file never appear in a message unless the caller puts them there: some are secrets.
#pragma once

#include <functional>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <yaml-cpp/yaml.h>

#include "namespace/problem.h"

namespace trunkline::auth {

/// What the readers of one file share.
struct YamlContext {
    std::string file;                  ///< as the user named it
    std::vector<Problem> problems;     ///< at most problems_max, the last of which says that there are more

    static constexpr std::size_t problems_max = 200;
    [[nodiscard]] std::string place(const YAML::Mark& mark) const;
    void report(std::string rule, const YAML::Mark& mark, std::string message, std::string fix);
};

/// The one document of `text`, or nullopt with a problem that says where the YAML breaks. Never throws.
[[nodiscard]] std::optional<YAML::Node> read_yaml(std::string_view text, YamlContext& context);

/// A text and where it stands.
struct YamlText {
    std::string value;
    YAML::Mark mark;
};

/// Ask for each key that may be there, then call finish(): what was not asked for is reported with the nearest key.
class YamlFields {
public:
    /// `what` names the mapping in messages: "user alice". A node that is no mapping is reported.
    YamlFields(YamlContext& context, const YAML::Node& node, std::string what);

    /// The value of a key, or null when it is absent or has no value.
    [[nodiscard]] const YAML::Node* get(std::string_view key);
    [[nodiscard]] std::optional<YamlText> text(std::string_view key);
    /// One text or a list of them.
    [[nodiscard]] std::vector<YamlText> texts(std::string_view key);
    [[nodiscard]] bool boolean(std::string_view key, bool otherwise);
    /// Calls `read` for each entry of a mapping by name; names that are twice or empty are reported.
    using ReadEntry = std::function<void(const std::string& name, const YAML::Mark& mark, const YAML::Node& value)>;
    void each(std::string_view key, const ReadEntry& read);
    /// Reports each key that was not asked for.
    void finish();

    [[nodiscard]] const YAML::Mark& mark() const { return mark_; }
    [[nodiscard]] YAML::Mark mark_of(std::string_view key) const;
    [[nodiscard]] bool is_map() const { return is_map_; }

private:
    struct Entry {
        std::string key;
        YAML::Mark mark;
        YAML::Node value;
        bool asked = false;
    };
    YamlContext& context_;
    std::string what_;
    YAML::Mark mark_;
    bool is_map_ = true;
    std::vector<Entry> entries_;
    std::vector<std::string> known_;
};

}  // namespace trunkline::auth
