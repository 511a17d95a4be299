// The proposal as YAML, each line with what it rests on.
#include <algorithm>
#include <array>
#include <functional>

#include "namespace/life/learn_shape.h"
#include "namespace/life/yaml_text.h"
#include "namespace/model/text.h"

namespace trunkline::uns::learning {
namespace {

using Format = PayloadSpec::Format;

std::string_view name_of(Format format) {
    constexpr std::array<std::string_view, 7> names{"reading", "plain", "umh", "sparkplug", "json", "any", "any"};
    return names[static_cast<std::size_t>(format)];
}

std::string_view name_of(ValueType::Kind kind) {
    constexpr std::array<std::string_view, 7> names{"", "number", "integer", "boolean", "string", "object", "array"};
    return names[static_cast<std::size_t>(kind)];
}

bool is_member(const Level& level) {
    return level.is_part || (level.is_leaf() && level.parent && level.parent->parent);
}

/// Levels of the tree below and including this one; 0: all of it are members.
std::size_t tree_depth(const Level& level) {
    if (is_member(level)) return 0;
    std::size_t most = 0;
    for (const auto& [name, child] : level.children) most = std::max(most, tree_depth(*child));
    return most + (level.parent ? 1 : 0);
}

/// Which kind of work center of IEC 62264-1 a name speaks of; empty: none.
std::string_view work_center(std::string_view name) {
    const std::string folded = fold_case(name);
    const auto has = [&](std::string_view word) { return folded.find(word) != std::string::npos; };
    if (has("line") || has("linie")) return "production_line";
    if (has("store") || has("storage") || has("warehouse") || has("silo")) return "storage_zone";
    if (has("process") || has("cell")) return "process_cell";
    if (has("unit")) return "production_unit";
    return {};
}

class Writer {
public:
    Writer(const Shape& shape, const LearnOptions& options, const Tuning& tuning, std::vector<std::string>& notes)
        : shape_(shape), options_(options), tuning_(tuning), notes_(notes) {}

    std::string run() {
        guess_members();
        head();
        if (tuning_.open) {
            open_tree();
        } else {
            levels();
            types();
            tree();
        }
        exempt();
        return std::move(out_);
    }

private:
    using Guesses = std::map<std::string, MemberGuess>;

    void line(std::size_t indent, const std::string& text, const std::string& comment = {}) {
        out_.append(indent, ' ').append(text);
        if (!comment.empty()) out_ += "  # " + comment;
        out_ += '\n';
    }

    void guess_members() {
        std::array<std::size_t, 7> formats{};
        for (const TypeSeen& type : shape_.types) {
            Guesses& guesses = guesses_.emplace_back();
            for (const auto& [path, seen] : type.members) {
                const std::pair key(type.name, path);
                const auto loosened = tuning_.loosened.find(key);
                MemberGuess found =
                    guess(path, seen, loosened == tuning_.loosened.end() ? Loosened::no : loosened->second,
                          tuning_.state.contains(key));
                if (found.kind == MemberKind::metric) ++formats[static_cast<std::size_t>(found.format)];
                guesses.emplace(path, std::move(found));
            }
        }
        const auto most = std::max_element(formats.begin(), formats.end());
        if (*most > 0) default_format_ = static_cast<Format>(most - formats.begin());
    }

    [[nodiscard]] std::string namespace_name() const {
        std::string name = options_.name;
        if (name.empty() && shape_.root->children.size() == 1) name = shape_.root->children.begin()->first;
        std::string out;
        for (const char c : name) {
            const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
            const bool other = (c >= '0' && c <= '9') || c == '-' || c == '.';
            out += letter || (other && !out.empty()) ? c : '_';
        }
        return out.empty() ? "learned" : out.substr(0, 64);
    }

    void head() {
        line(0, "# Proposed from " + counted(shape_.messages, "message") + " on " + counted(shape_.topics, "topic") +
                    " between " + date_text(shape_.first_ms) + " and " + date_text(shape_.last_ms) + ".");
        line(0,
             "# Nobody has read it yet: correct names, ranges and kinds, fill in owners and units, and look at what is "
             "in");
        line(0, "# capitals. Then: trunkctl model check FILE, trunkctl model plan FILE, trunkctl model apply FILE.");
        line(0, "trunkline: 1");
        line(0, "namespace: " + yaml_text(namespace_name()));
        const bool dotted =
            std::count(options_.version.begin(), options_.version.end(), '.') == 2;  // else a number, to some
        line(0, "version: " + (dotted ? options_.version : yaml_text(options_.version)));
        line(0, "");
        line(0, "defaults:");
        line(2, "mode: " + std::string(to_string(options_.mode)),
             options_.mode == Mode::observe
                 ? "refuses nothing; make it quarantine or enforce when plan finds nothing more"
                 : "");
        if (!tuning_.open) line(2, "payload: " + std::string(name_of(default_format_)));
        line(0, "");
    }

    void levels() {
        const std::size_t depth = tree_depth(*shape_.root);
        isa95_ = is_isa95(depth);
        if (isa95_) {
            line(0, "levels: isa95");
            line(0, "");
        } else if (depth >= 3) {
            constexpr std::array<std::string_view, 5> names{"enterprise", "site", "area", "line", "cell"};
            std::string list;
            for (std::size_t i = 0; i < depth; ++i) {
                list +=
                    (i > 0 ? ", " : "") + (i < names.size() ? std::string(names[i]) : "level_" + std::to_string(i + 1));
            }
            line(0, "levels: [" + list + "]", "by depth; call them what you call them");
            line(0, "");
        }
        if (tuning_.unique_names && !shape_.alike_names) {
            line(0, "naming:");
            line(2, "unique_ignoring_case: true");
            line(0, "");
        } else {
            notes_.push_back(
                "somewhere two names differ only in case, so naming.unique_ignoring_case is not proposed: "
                "decide which is right, and set it");
        }
    }

    // Enterprise, site, area, then work centers that say what they are, and work units below them.
    [[nodiscard]] bool is_isa95(std::size_t depth) const {
        if (shape_.root->children.size() != 1 || depth < 4 || depth > 5) return false;
        bool fits = true;
        const std::function<void(const Level&, std::size_t)> look = [&](const Level& level, std::size_t at) {
            if (is_member(level) && at > 0) return;
            if (at == 4 && work_center(level.name).empty()) fits = false;
            // A process cell holds units, and a storage zone storage units: both may be, so a person decides.
            for (const auto& [name, child] : level.children) look(*child, at + 1);
        };
        look(*shape_.root, 0);
        return fits;
    }

    void types() {
        if (shape_.types.empty()) return;
        line(0, "types:");
        for (std::size_t i = 0; i < shape_.types.size(); ++i) type(shape_.types[i], guesses_[i]);
        line(0, "");
    }

    void type(const TypeSeen& type, const Guesses& guesses) {
        std::string of =
            counted(type.assets.size(), "asset") + ", such as " + comment_text(type.assets.front()->topic());
        if (type.stems.size() > 1) {
            of += "; several names with the same members:";
            std::size_t shown = 0;
            for (const std::string& stem : type.stems) {
                if (++shown <= 5) of += " " + comment_text(stem, 32);
            }
        }
        line(2, yaml_text(type.name) + ":", of);
        line(4, "version: 1");
        for (const auto& [kind, word] :
             {std::pair(MemberKind::metric, "metrics"), std::pair(MemberKind::event, "events"),
              std::pair(MemberKind::command, "commands")}) {
            bool first = true;
            for (const auto& [path, member] : guesses) {
                if (member.kind != kind) continue;
                if (first) line(4, std::string(word) + ":");
                first = false;
                const auto topics = type.members.at(path).evidence.topics;
                std::string comment = member.comment;
                if (topics < type.assets.size() && kind == MemberKind::metric) {
                    comment +=
                        "; only " + count_text(topics) + " of " + count_text(type.assets.size()) + " assets send it";
                }
                line(6, yaml_text(path) + ": {" + member_text(member) + "}", comment);
                if (member.comment.find("SEVERAL") != std::string::npos ||
                    member.comment.find("DIFFERENT") != std::string::npos ||
                    member.comment.find("LOOSENED") != std::string::npos) {
                    notes_.push_back("type " + type.name + ", " + path + ": " + member.comment);
                }
            }
        }
    }

    [[nodiscard]] std::string member_text(const MemberGuess& member) const {
        std::string out;
        const auto put = [&](std::string_view key, const std::string& value) {
            if (!value.empty()) out += (out.empty() ? "" : ", ") + std::string(key) + ": " + value;
        };
        const ValueType& value = member.value;
        put("type", std::string(name_of(value.kind)));
        if (!value.unit.empty()) put("unit", yaml_text(value.unit));
        if (value.min) put("min", number_text(*value.min));
        if (value.max) put("max", number_text(*value.max));
        std::string values;
        for (const std::string& text : value.enumeration) values += (values.empty() ? "" : ", ") + yaml_text(text);
        if (!values.empty()) put("enum", "[" + values + "]");
        const bool implied = member.kind == MemberKind::metric || value.kind != ValueType::Kind::any
                                 ? member.format == default_format_
                                 : member.format == Format::json;
        if (!implied || (member.format == Format::json && member.kind != MemberKind::metric)) {
            put("payload", std::string(name_of(member.format)));
        }
        put("every", member.every);
        return out;
    }

    void tree() {
        if (shape_.root->children.empty()) return;
        line(0, "tree:");
        for (const auto& [name, child] : shape_.root->children) node(*child, 1);
    }

    // A level of the tree; members are told by the type.
    void node(const Level& level, std::size_t depth) {
        if (is_member(level)) return;
        std::string keys;
        const auto put = [&](std::string_view key, const std::string& value) {
            keys += (keys.empty() ? "" : ", ") + std::string(key) + ": " + value;
        };
        if (level.type >= 0) put("$type", yaml_text(shape_.types[static_cast<std::size_t>(level.type)].name));
        if (isa95_ && depth == 4) put("$kind", std::string(work_center(level.name)));
        if (isa95_ && depth == 5 && work_center(level.parent->name) == "process_cell") put("$kind", "unit");
        std::string comment;
        if (level.evidence) {
            put("$payload", payload_of(level));
            comment = counted(level.evidence->messages, "message") + " on the level itself";
        }
        const bool has_nodes = std::any_of(level.children.begin(), level.children.end(),
                                           [](const auto& child) { return !is_member(*child.second); });
        if (!has_nodes) {
            line(2 * depth, yaml_text(level.name) + ": {" + keys + "}", comment);
            return;
        }
        line(2 * depth, yaml_text(level.name) + ":", comment);
        std::size_t begin = 0;
        while (begin < keys.size()) {  // one key a line, as children follow
            const std::size_t end = std::min(keys.find(", $", begin), keys.size());
            line(2 * depth + 2, keys.substr(begin, end - begin));
            begin = end + 2;
        }
        children(level, depth + 1);
    }

    [[nodiscard]] std::string payload_of(const Level& level) const {
        const auto found = tuning_.loosened.find({"", level.topic()});
        const Evidence& seen = *level.evidence;
        const std::uint64_t json = seen.of(Format::reading) + seen.of(Format::umh) + seen.of(Format::json);
        std::uint64_t all = 0;
        for (const std::uint64_t count : seen.formats) all += count;
        return found == tuning_.loosened.end() && all > 0 && json == all ? "json" : "any";
    }

    void children(const Level& level, std::size_t depth) {
        std::map<std::pair<int, std::string>, std::vector<const Level*>> families;
        for (const auto& [name, child] : level.children) {
            if (may_be_pattern(*child)) families[{child->type, std::string(stem_of(name))}].push_back(child.get());
        }
        std::set<std::string> taken;
        for (const auto& [name, child] : level.children) {
            const auto family = families.find({child->type, std::string(stem_of(name))});
            const bool joined = !tuning_.exact_types && options_.patterns_from > 0 && may_be_pattern(*child) &&
                                family->second.size() >= options_.patterns_from;
            if (!joined)
                node(*child, depth);
            else if (family->second.front() == child.get())
                pattern(family->second, depth, taken);
        }
    }

    static bool may_be_pattern(const Level& level) {
        return level.type >= 0 && !level.evidence && level.name.back() >= '0' && level.name.back() <= '9' &&
               stem_of(level.name) != level.name &&
               std::all_of(level.children.begin(), level.children.end(),
                           [](const auto& child) { return is_member(*child.second); });
    }

    void pattern(const std::vector<const Level*>& family, std::size_t depth, std::set<std::string>& taken) {
        const std::string& first = family.front()->name;
        std::size_t digits = first.size();
        while (digits > 0 && first[digits - 1] >= '0' && first[digits - 1] <= '9') --digits;
        const std::string prefix = first.substr(0, digits);
        std::size_t shortest = 64, longest = 0;
        for (const Level* level : family) {
            if (level->name.substr(0, digits) != prefix) {  // packer-1 and packer_2: each by its name
                for (const Level* each : family) node(*each, depth);
                return;
            }
            shortest = std::min(shortest, level->name.size() - digits);
            longest = std::max(longest, level->name.size() - digits);
        }
        std::string expression;
        for (const char c : prefix) {
            const bool plain =
                (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
            expression += (plain || static_cast<unsigned char>(c) >= 0x80 ? "" : "\\") + std::string(1, c);
        }
        expression +=
            "[0-9]{" + std::to_string(shortest) + (longest > shortest ? "," + std::to_string(longest) : "") + "}";
        const std::string type = shape_.types[static_cast<std::size_t>(family.front()->type)].name;
        std::string name = type;
        for (int n = 2; !taken.insert(name).second; ++n) name = type + "_" + std::to_string(n);
        line(2 * depth, "\"{" + name + "}\": {$match: " + yaml_text(expression) + ", $type: " + yaml_text(type) + "}",
             counted(family.size(), "asset") + ", " + comment_text(first, 32) + " to " +
                 comment_text(family.back()->name, 32));
    }

    void open_tree() {
        notes_.push_back("no model could be made of these topics: everything is let through, branch by branch");
        line(0, "tree:");
        for (const auto& [name, child] : shape_.root->children) {
            line(2, yaml_text(name) + ": {$payload: any, \"#\": any}");
        }
    }

    void exempt() {
        if (shape_.exempt.empty()) return;
        line(0, "");
        line(0, "exempt:");
        for (const auto& [filter, why] : shape_.exempt) line(2, "- " + yaml_text(filter), why);
    }

    const Shape& shape_;
    const LearnOptions& options_;
    const Tuning& tuning_;
    std::vector<std::string>& notes_;
    std::vector<Guesses> guesses_;
    Format default_format_ = Format::reading;
    bool isa95_ = false;
    std::string out_;
};

}  // namespace

std::string write_model(const Shape& shape, const LearnOptions& options, const Tuning& tuning,
                        std::vector<std::string>& notes) {
    return Writer(shape, options, tuning, notes).run();
}

}  // namespace trunkline::uns::learning
