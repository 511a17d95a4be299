#include "namespace/life/new_asset.h"

#include <algorithm>
#include <optional>

#include "namespace/life/yaml_text.h"
#include "namespace/model/diff.h"
#include "namespace/model/text.h"
#include "namespace/model/yaml_tree.h"
#include "namespace/topic.h"

namespace trunkline::uns {
namespace {

bool is_blank_or_comment(std::string_view line) {
    const std::size_t at = line.find_first_not_of(" \t\r");
    return at == std::string_view::npos || line[at] == '#';
}

std::size_t indent_of(std::string_view line) {
    const std::size_t at = line.find_first_not_of(' ');
    return at == std::string_view::npos ? line.size() : at;
}

/// The text by lines, without their ends.
class Lines {
public:
    explicit Lines(std::string_view text) {
        ends_with_newline_ = text.ends_with('\n');
        while (!text.empty()) {
            const std::size_t end = text.find('\n');
            list_.emplace_back(text.substr(0, end));
            if (end == std::string_view::npos) break;
            text.remove_prefix(end + 1);
        }
        crlf_ = !list_.empty() && list_.front().ends_with('\r');
    }
    [[nodiscard]] std::size_t size() const { return list_.size(); }
    [[nodiscard]] std::string& at(std::size_t line) { return list_[line - 1]; }  // from 1
    [[nodiscard]] const std::string& at(std::size_t line) const { return list_[line - 1]; }
    /// Puts `text` behind line `line`.
    void insert_after(std::size_t line, std::string text) {
        if (crlf_) text += '\r';
        list_.insert(list_.begin() + static_cast<std::ptrdiff_t>(line), std::move(text));
    }
    [[nodiscard]] std::string text() const {
        std::string out;
        for (std::size_t i = 0; i < list_.size(); ++i)
            out += list_[i] + (i + 1 < list_.size() || ends_with_newline_ ? "\n" : "");
        return out;
    }

private:
    std::vector<std::string> list_;
    bool ends_with_newline_ = true, crlf_ = false;
};

/// A key of the tree in the text.
struct Spot {
    const YamlNode* key = nullptr;
    const YamlNode* value = nullptr;
};

class Editor {
public:
    Editor(std::string_view yaml, std::string_view file, std::string_view path, std::string_view type,
           const NewAssetOptions& options)
        : yaml_(yaml), file_(file), path_(path), type_(type), options_(options), lines_(yaml) {}

    NewAsset run() {
        if (yaml_.starts_with("\xEF\xBB\xBF") || !is_valid_topic_name(path_) || path_.starts_with('/') ||
            path_.ends_with('/') || path_.find("//") != std::string_view::npos) {
            return refuse({}, quote(path_) + " can't be the topic of an asset",
                          "write one such as acme/munich/line-1/filler-2");
        }
        Model::Result before = Model::compile(yaml_, file_);
        if (!before.model) {
            result_.problems = std::move(before.problems);
            return std::move(result_);
        }
        if (is_there(*before.model)) return std::move(result_);
        if (!result_.problems.empty()) return std::move(result_);
        Problems problems{std::string(file_)};
        tree_ = YamlTree::parse(yaml_, problems);
        if (!tree_) return refuse({}, "the file can't be edited", "add the asset by hand");
        if (!edit()) return std::move(result_);
        if (!set_version(*before.model)) return std::move(result_);
        check(*before.model);
        return std::move(result_);
    }

private:
    NewAsset refuse(Place place, std::string message, std::string fix) {
        std::string where(file_);
        if (place.line > 0) where += ":" + std::to_string(place.line) + ":" + std::to_string(place.column);
        result_.problems.push_back({"TL-9190", std::move(where), std::move(message), std::move(fix)});
        return std::move(result_);
    }
    bool fail(Place place, std::string message, std::string fix) {
        NewAsset kept = refuse(place, std::move(message), std::move(fix));
        result_ = std::move(kept);
        return false;
    }

    bool is_there(const Model& model) {
        const auto described = model.describe(path_);
        const Resolution resolution = model.resolve(path_);
        const bool is_asset =
            described && resolution.asset_levels == level_count(path_) && resolution.kind != MemberKind::open;
        if (!is_asset) return false;
        const std::string needle = "\"asset_type\":\"";
        const std::size_t at = described->find(needle);
        const std::string type =
            at == std::string::npos
                ? std::string()
                : described->substr(at + needle.size(), described->find('"', at + needle.size()) - at - needle.size());
        const bool same = type == type_ || type.substr(0, type.find('@')) == type_;
        const std::string where = model.place_text(resolution.place);
        if (!same) {
            // A name beside the pattern is more special than the pattern, so it may be of another type.
            if (!is_named(model)) return false;
            fail({}, quote(path_) + " is there already, of type " + type + " (" + where + ")",
                 "change its $type by hand");
            return false;
        }
        result_.was_there = true;
        result_.yaml = yaml_;
        result_.text = std::string(path_) + " is there already: " + type + ", " + where;
        return true;
    }

    [[nodiscard]] bool is_named(const Model& model) const {
        const std::size_t slash = path_.rfind('/');
        const std::string_view above = slash == std::string_view::npos ? std::string_view() : path_.substr(0, slash);
        const std::string_view name = slash == std::string_view::npos ? path_ : path_.substr(slash + 1);
        const auto children = model.children(above, "", 300'000);
        return std::any_of(children.begin(), children.end(),
                           [&](const ModelChild& child) { return child.name == name; });
    }

    // The deepest level of the path that the text has, by name; patterns are not gone into, as what is added there
    // would hold for all of their names.
    bool edit() {
        Spot spot = find(tree_->root(), "tree");
        if (!spot.key) {
            lines_.insert_after(lines_.size(), "tree:");
            const std::vector<std::string_view> levels = levels_of(path_);
            return append_block(lines_.size(), 2, levels);
        }
        std::vector<std::string_view> rest = levels_of(path_);
        if (!may_edit(spot)) return false;
        while (!rest.empty() && spot.value->kind == YamlNode::Kind::mapping) {
            const Spot next = find(*spot.value, rest.front());
            if (!next.key) break;
            spot = next;
            rest.erase(rest.begin());
            if (!may_edit(spot)) return false;
        }
        if (rest.empty()) return set_type(spot);
        if (spot.value->kind == YamlNode::Kind::scalar && !spot.value->is_null()) {
            return fail(spot.value->place, quote(spot.key->text) + " is a topic with a payload here, not a level",
                        "write {$payload: " + std::string(spot.value->text) + "} instead, and try again");
        }
        return insert_below(spot, rest);
    }

    [[nodiscard]] Spot find(const YamlNode& map, std::string_view name) const {
        for (std::size_t i = 0; map.kind == YamlNode::Kind::mapping && i + 1 < map.link_count; i += 2) {
            if (tree_->child(map, i).text == name) return {&tree_->child(map, i), &tree_->child(map, i + 1)};
        }
        return {};
    }

    static std::vector<std::string_view> levels_of(std::string_view path) {
        std::vector<std::string_view> levels;
        split_levels(path, levels);
        return levels;
    }

    // What follows the key on its line: an alias or an anchor means that the text stands for several places.
    bool may_edit(const Spot& spot) {
        const std::string& line = lines_.at(spot.key->place.line);
        std::size_t at = spot.key->place.column - 1 + spot.key->text.size();
        while (at < line.size() && line[at] != ':') ++at;
        at = line.find_first_not_of(" \t", at + 1);
        if (at == std::string::npos) return true;
        if (line[at] == '*') {
            return fail(spot.key->place,
                        quote(spot.key->text) + " is written as the alias " + line.substr(at, 40) +
                            ": what is added there would be added everywhere it is used",
                        "write this branch out, then add the asset");
        }
        if (line[at] == '&') {
            const std::size_t end = line.find_first_of(" \t\r,]}{", at + 1);
            const std::string anchor = line.substr(at + 1, end == std::string::npos ? std::string::npos : end - at - 1);
            if (yaml_.find("*" + anchor) != std::string_view::npos) {
                return fail(spot.key->place,
                            quote(spot.key->text) + " is the anchor &" + anchor +
                                ", which is used elsewhere too: the asset would be added there as well",
                            "write the branches out that differ, then add the asset");
            }
        }
        return true;
    }

    [[nodiscard]] std::string node_text() const {
        std::string out = "{$type: " + yaml_text(type_);
        if (!options_.kind.empty()) out += ", $kind: " + yaml_text(options_.kind);
        if (!options_.description.empty()) out += ", $description: " + yaml_text(options_.description);
        return out + "}";
    }

    /// `rest` as nested flow: `line-2: {filler-1: {$type: filler}}`.
    [[nodiscard]] std::string flow_text(const std::vector<std::string_view>& rest) const {
        std::string out = node_text();
        for (std::size_t i = rest.size(); i-- > 0;) {
            out = yaml_text(rest[i]) + ": " + out;
            if (i > 0) out = "{" + out + "}";
        }
        return out;
    }

    bool append_block(std::size_t after, std::size_t indent, const std::vector<std::string_view>& rest) {
        for (std::size_t i = 0; i < rest.size(); ++i) {
            const bool last = i + 1 == rest.size();
            lines_.insert_after(after + i, std::string(indent + i * step_, ' ') + yaml_text(rest[i]) + ":" +
                                               (last ? " " + node_text() : std::string()));
        }
        result_.line = after + rest.size();
        return true;
    }

    bool insert_below(const Spot& spot, const std::vector<std::string_view>& rest) {
        const std::size_t key_indent = spot.key->place.column - 1;
        if (spot.value->is_null() && spot.value->text.empty()) {
            if (indent_of(lines_.at(spot.key->place.line)) != key_indent) return flow_refused(*spot.key);
            return append_block(last_line(spot, key_indent), key_indent + step_, rest);
        }
        if (is_flow(*spot.value)) return insert_in_flow(*spot.value, flow_text(rest));
        if (spot.value->kind != YamlNode::Kind::mapping || spot.value->link_count == 0) return flow_refused(*spot.key);
        const YamlNode& first = tree_->child(*spot.value, 0);
        const std::size_t indent = first.place.column - 1;
        return append_block(last_line(spot, key_indent), indent, rest);
    }

    // The last line of what is below a key: all lines that are indented further. Blank lines and comments at its end
    // belong to what follows.
    [[nodiscard]] std::size_t last_line(const Spot& spot, std::size_t key_indent) const {
        std::size_t last = spot.key->place.line;
        for (std::size_t line = last + 1; line <= lines_.size(); ++line) {
            if (is_blank_or_comment(lines_.at(line))) continue;
            if (indent_of(lines_.at(line)) <= key_indent) break;
            last = line;
        }
        return last;
    }

    [[nodiscard]] bool is_flow(const YamlNode& node) const {
        const std::string& line = lines_.at(node.place.line);
        return node.kind == YamlNode::Kind::mapping && node.place.column <= line.size() &&
               line[node.place.column - 1] == '{';
    }

    bool flow_refused(const YamlNode& node) {
        return fail(node.place, "this layout can't be edited without touching the rest",
                    "add the asset by hand: " + node_text());
    }

    // Puts `text` before the bracket that closes the mapping at `node`.
    bool insert_in_flow(const YamlNode& node, const std::string& text) {
        std::size_t line = node.place.line, at = node.place.column - 1;
        int depth = 0;
        char quoted = 0;
        for (; line <= lines_.size(); ++line, at = 0) {
            std::string& here = lines_.at(line);
            for (; at < here.size(); ++at) {
                const char c = here[at];
                if (quoted != 0) {
                    if (quoted == '"' && c == '\\')
                        ++at;
                    else if (c == quoted)
                        quoted = 0;
                    continue;
                }
                if (c == '"' || c == '\'')
                    quoted = c;
                else if (c == '#' && (at == 0 || here[at - 1] == ' ' || here[at - 1] == '\t'))
                    break;
                else if (c == '{' || c == '[')
                    ++depth;
                else if ((c == '}' || c == ']') && --depth == 0) {
                    std::size_t end = at;
                    while (end > 0 && here[end - 1] == ' ') --end;
                    const bool empty = node.link_count == 0;
                    const bool comma = end > 0 && here[end - 1] == ',';
                    here.replace(end, at - end, (empty ? "" : comma ? " " : ", ") + text);
                    result_.line = line;
                    return true;
                }
            }
        }
        return flow_refused(node);
    }

    // The level is there and is no asset yet.
    bool set_type(const Spot& spot) {
        if (spot.value->is_null() && spot.value->text.empty()) {
            std::string& line = lines_.at(spot.key->place.line);
            std::size_t colon = line.find(':', spot.key->place.column - 1 + spot.key->text.size());
            if (colon == std::string::npos) return flow_refused(*spot.key);
            line.insert(colon + 1, " " + node_text());
            result_.line = spot.key->place.line;
            return true;
        }
        if (spot.value->kind != YamlNode::Kind::mapping) {
            return fail(spot.value->place, quote(spot.key->text) + " is a topic with a payload here, not a level",
                        "write it as {$payload: ...}, and try again");
        }
        if (is_flow(*spot.value)) {
            const std::string inner = node_text();
            return insert_in_flow(*spot.value, inner.substr(1, inner.size() - 2));
        }
        const YamlNode& first = tree_->child(*spot.value, 0);
        lines_.insert_after(spot.key->place.line,
                            std::string(first.place.column - 1, ' ') + "$type: " + yaml_text(type_));
        result_.line = spot.key->place.line + 1;
        return true;
    }

    bool set_version(const Model& before) {
        version_ = options_.version.empty() ? next_version(before.version()) : options_.version;
        const Spot spot = find(tree_->root(), "version");
        if (version_.empty() || !spot.value) {
            return fail(spot.value ? spot.value->place : Place{},
                        "the version " + quote(before.version()) + " does not end in a number",
                        "say the new one: --version 1.0.1");
        }
        // Lines were only added below the tree, which may stand above.
        for (std::size_t line = 1; line <= lines_.size(); ++line) {
            std::string& text = lines_.at(line);
            if (!text.starts_with("version:")) continue;
            const std::size_t at = text.find(before.version(), 8);
            if (at == std::string::npos) break;
            text.replace(at, before.version().size(), version_);
            return true;
        }
        return fail(spot.value->place, "the version can't be edited here",
                    "write version: " + version_ + " by hand, and try again");
    }

    // The new text must say the same as the old one, and this asset.
    void check(const Model& before) {
        std::string text = lines_.text();
        Model::Result after = Model::compile(text, file_);
        if (!after.model) {
            result_.problems = std::move(after.problems);
            for (Problem& problem : result_.problems) problem.message = "with the asset added: " + problem.message;
            return;
        }
        for (const ModelChange& change : diff(before, *after.model)) {
            const bool expected = (change.kind == ModelChange::Kind::added &&
                                   (change.subject == path_ || path_.starts_with(change.subject + "/"))) ||
                                  (change.kind == ModelChange::Kind::changed && change.subject == path_);
            if (expected) continue;
            fail({}, "adding the asset in this layout would also change " + to_string(change), "add the asset by hand");
            return;
        }
        result_.yaml = std::move(text);
        result_.text = "added " + std::string(path_) + " (" + std::string(type_) + ") at " + std::string(file_) + ":" +
                       std::to_string(result_.line) + ", version " + before.version() + " -> " + version_;
    }

    static constexpr std::size_t step_ = 2;

    std::string_view yaml_, file_, path_, type_;
    const NewAssetOptions& options_;
    Lines lines_;
    std::shared_ptr<const YamlTree> tree_;
    std::string version_;
    NewAsset result_;
};

}  // namespace

std::string next_version(std::string_view version) {
    std::size_t at = version.size();
    while (at > 0 && version[at - 1] >= '0' && version[at - 1] <= '9') --at;
    const auto number = parse_count(version.substr(at));
    if (!number) return {};
    return std::string(version.substr(0, at)) + std::to_string(*number + 1);
}

NewAsset new_asset(std::string_view yaml, std::string_view file, std::string_view path, std::string_view type,
                   const NewAssetOptions& options) {
    return Editor(yaml, file, path, type, options).run();
}

}  // namespace trunkline::uns
