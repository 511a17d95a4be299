#include "broker/yaml_reader.h"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iterator>

#include <nlohmann/json.hpp>

#include "broker/units.h"

namespace trunkline::broker {
namespace {

constexpr std::size_t reference_bytes_max = 64 * 1024;

std::string in_quotes(std::string_view text) { return "\"" + std::string(text) + "\""; }

// Edit distance with insertions, deletions, replacements and swapped neighbours.
std::size_t edit_distance(std::string_view a, std::string_view b) {
    std::vector<std::vector<std::size_t>> cost(a.size() + 1, std::vector<std::size_t>(b.size() + 1));
    for (std::size_t i = 0; i <= a.size(); ++i) cost[i][0] = i;
    for (std::size_t j = 0; j <= b.size(); ++j) cost[0][j] = j;
    for (std::size_t i = 1; i <= a.size(); ++i) {
        for (std::size_t j = 1; j <= b.size(); ++j) {
            const std::size_t replace = cost[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
            cost[i][j] = std::min({cost[i - 1][j] + 1, cost[i][j - 1] + 1, replace});
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
                cost[i][j] = std::min(cost[i][j], cost[i - 2][j - 2] + 1);
            }
        }
    }
    return cost[a.size()][b.size()];
}

bool is_nothing(const YAML::Node& node) {
    return !node.IsDefined() || node.IsNull() || ((node.IsMap() || node.IsSequence()) && node.size() == 0);
}

constexpr int json_depth_max = 32;

// A plain scalar as the JSON core schema of YAML 1.2 has it (section 10.2); what is quoted is a text.
nlohmann::json json_scalar(const YAML::Node& node, std::string text) {
    if (node.Tag() == "!") return text;
    const auto value = nlohmann::json::parse(text, nullptr, false);
    const bool plain = value.is_boolean() || value.is_number() || value.is_null();
    return plain ? value : nlohmann::json(std::move(text));
}

std::optional<std::string> read_reference(const std::string& path, std::string& error) {
    std::ifstream in(path, std::ios::binary);
    std::string text(reference_bytes_max + 1, '\0');
    if (in) in.read(text.data(), static_cast<std::streamsize>(text.size()));
    if (!in && in.gcount() == 0) {
        error = "file " + path + " cannot be read or is empty";
        return std::nullopt;
    }
    text.resize(static_cast<std::size_t>(in.gcount()));
    if (text.size() > reference_bytes_max) {
        error = "file " + path + " is over 64 KiB";
        return std::nullopt;
    }
    while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
    return text;
}

}  // namespace

std::string nearest(std::string_view word, const std::vector<std::string>& candidates) {
    std::string best;
    std::size_t least = std::max<std::size_t>(2, word.size() / 2) + 1;
    if (word.size() > 64) return best;
    for (const std::string& candidate : candidates) {
        const std::size_t distance = edit_distance(word, candidate);
        if (distance < least) {
            least = distance;
            best = candidate;
        }
    }
    return best;
}

std::optional<std::string> expand_environment(std::string_view text, std::string& error) {
    std::string out;
    while (true) {
        const auto dollar = text.find("${");
        if (dollar == std::string_view::npos) return out.append(text);
        if (dollar > 0 && text[dollar - 1] == '$') {
            out.append(text.substr(0, dollar - 1)).append("${");
            text.remove_prefix(dollar + 2);
            continue;
        }
        out.append(text.substr(0, dollar));
        const auto end = text.find('}', dollar);
        if (end == std::string_view::npos) {
            error = "${ has no closing brace";
            return std::nullopt;
        }
        const std::string_view inside = text.substr(dollar + 2, end - dollar - 2);
        const auto fallback = inside.find(":-");
        const std::string name(inside.substr(0, fallback));
        const char* value = name.empty() ? nullptr : std::getenv(name.c_str());
        if (value && (*value || fallback == std::string_view::npos)) {
            out.append(value);
        } else if (fallback != std::string_view::npos) {
            out.append(inside.substr(fallback + 2));
        } else {
            error = "the environment variable " + in_quotes(name) + " is not set";
            return std::nullopt;
        }
        text.remove_prefix(end + 1);
    }
}

std::string YamlContext::place(const YAML::Mark& mark) const {
    if (mark.is_null()) return file;
    return file + ":" + std::to_string(mark.line + 1) + ":" + std::to_string(mark.column + 1);
}

void YamlContext::report(std::string rule, std::string place, std::string message, std::string fix) {
    problems.push_back({std::move(rule), std::move(place), std::move(message), std::move(fix)});
}

YamlMap::YamlMap(YamlContext& context, const YAML::Node& node, std::string path)
    : context_(context), path_(std::move(path)), mark_(node.Mark()) {
    if (node.IsNull()) return;
    if (!node.IsMap()) {
        context_.report("TL-9003", context_.place(mark_), (path_.empty() ? "the file" : path_) + " is no mapping",
                        "write `key: value` lines");
        return;
    }
    for (const auto& pair : node) {
        const YAML::Node& key = pair.first;
        if (!key.IsScalar()) {
            context_.report("TL-9003", context_.place(key.Mark()), "a key must be a plain word", "");
            continue;
        }
        const bool twice = std::any_of(entries_.begin(), entries_.end(),
                                       [&](const Entry& entry) { return entry.key == key.Scalar(); });
        if (twice) {
            context_.report("TL-9005", context_.place(key.Mark()), path_of(key.Scalar()) + " is given twice",
                            "keep one of them");
            continue;
        }
        entries_.push_back({key.Scalar(), key.Mark(), pair.second});
    }
}

bool YamlMap::has(std::string_view key) const {
    return std::any_of(entries_.begin(), entries_.end(),
                       [&](const Entry& entry) { return entry.key == key && !is_nothing(entry.value); });
}

std::string YamlMap::place_of(std::string_view key) const {
    for (const Entry& entry : entries_) {
        if (entry.key == key) return context_.place(is_nothing(entry.value) ? entry.mark : entry.value.Mark());
    }
    return context_.place(mark_);
}

std::string YamlMap::path_of(std::string_view key) const {
    return path_.empty() ? std::string(key) : path_ + "." + std::string(key);
}

YamlMap::Entry* YamlMap::ask(std::string_view key) {
    known_.emplace_back(key);
    for (Entry& entry : entries_) {
        if (entry.key != key) continue;
        entry.asked = true;
        if (is_nothing(entry.value)) return nullptr;
        context_.places[path_of(key)] = context_.place(entry.value.Mark());
        return &entry;
    }
    return nullptr;
}

std::optional<std::string> YamlMap::resolve(const Entry& entry) {
    std::string error;
    auto value = expand_environment(entry.value.Scalar(), error);
    if (value && value->starts_with("file:")) {
        std::string path = value->substr(5);
        if (!path.starts_with('/') && !context_.directory.empty()) path = context_.directory + "/" + path;
        value = read_reference(path, error);
    }
    if (!value) {
        context_.report("TL-9006", context_.place(entry.value.Mark()), path_of(entry.key) + ": " + error,
                        "set it, or write the value itself; $${ stands for ${");
    }
    return value;
}

std::optional<std::string> YamlMap::scalar(std::string_view key, std::string_view what) {
    Entry* entry = ask(key);
    if (!entry) return std::nullopt;
    if (!entry->value.IsScalar()) {
        context_.report("TL-9003", context_.place(entry->value.Mark()),
                        path_of(key) + (entry->value.IsMap() ? " is a mapping" : " is a list"),
                        "write " + std::string(what));
        return std::nullopt;
    }
    return resolve(*entry);
}

void YamlMap::text(std::string_view key, std::string& out) {
    if (auto value = scalar(key, "a text")) out = std::move(*value);
}

void YamlMap::path(std::string_view key, std::string& out) {
    auto value = scalar(key, "a path");
    if (!value) return;
    const bool relative = !value->empty() && value->front() != '/';
    out = relative && !context_.directory.empty() ? context_.directory + "/" + *value : std::move(*value);
}

void YamlMap::secret(std::string_view key, std::string& out) {
    const std::size_t problems_before = context_.problems.size();
    const auto entry = std::find_if(entries_.begin(), entries_.end(), [&](const Entry& e) { return e.key == key; });
    const bool referred = entry != entries_.end() && entry->value.IsScalar() &&
                          (entry->value.Scalar().starts_with("file:") || entry->value.Scalar().starts_with("${"));
    auto value = scalar(key, "file:PATH");
    if (!value || context_.problems.size() > problems_before) return;
    if (referred && !value->empty()) {
        out = std::move(*value);
    } else {
        context_.report("TL-9015", place_of(key),
                        path_of(key) + (referred ? " is empty" : " is a secret, and stands in the file itself"),
                        "put it into a file with mode 0600 and write file:PATH");
    }
}

void YamlMap::boolean(std::string_view key, bool& out) {
    const auto value = scalar(key, "true or false");
    if (!value) return;
    if (*value == "true" || *value == "false") {
        out = *value == "true";
    } else {
        context_.report("TL-9003", place_of(key),
                        path_of(key) + ": " + in_quotes(*value) + " is neither true nor false",
                        "write true or false");
    }
}

void YamlMap::choice(std::string_view key, std::string& out, std::initializer_list<std::string_view> names) {
    std::string all;
    for (const std::string_view name : names) all += (all.empty() ? "" : ", ") + std::string(name);
    const auto value = scalar(key, "one of " + all);
    if (!value) return;
    if (std::find(names.begin(), names.end(), *value) != names.end()) {
        out = *value;
    } else {
        context_.report("TL-9003", place_of(key), path_of(key) + ": " + in_quotes(*value) + " is not known",
                        "write one of " + all);
    }
}

void YamlMap::number(std::string_view key, std::string_view what, const Parse& parse, std::uint64_t min,
                     std::uint64_t max, const Show& show, const std::function<void(std::uint64_t)>& set) {
    const auto value = scalar(key, what);
    if (!value) return;
    const auto number = parse(*value);
    if (!number) {
        context_.report("TL-9003", place_of(key),
                        path_of(key) + ": " + in_quotes(*value) + " is not " + std::string(what),
                        "write " + std::string(what) + " from " + show(min) + " to " + show(max));
    } else if (*number < min || *number > max) {
        context_.report("TL-9004", place_of(key), path_of(key) + ": " + *value + " is out of range",
                        "write " + std::string(what) + " from " + show(min) + " to " + show(max));
    } else {
        set(*number);
    }
}

void YamlMap::count(std::string_view key, std::uint64_t min, std::uint64_t max,
                    const std::function<void(std::uint64_t)>& set) {
    number(key, "a whole number", parse_count, min, max, [](std::uint64_t n) { return std::to_string(n); }, set);
}

void YamlMap::map(std::string_view key, const std::function<void(YamlMap&)>& read) {
    Entry* entry = ask(key);
    if (!entry) return;
    YamlMap inner(context_, entry->value, path_of(key));
    if (!entry->value.IsMap()) return;
    read(inner);
    inner.finish();
}

YamlMap::Entry* YamlMap::ask_list(std::string_view key) {
    Entry* entry = ask(key);
    if (!entry || entry->value.IsSequence()) return entry;
    context_.report("TL-9003", context_.place(entry->value.Mark()), path_of(key) + " is no list",
                    "begin each entry with `- `");
    return nullptr;
}

void YamlMap::list(std::string_view key, const std::function<void(std::size_t, YamlMap&)>& read) {
    Entry* entry = ask_list(key);
    if (!entry) return;
    for (std::size_t i = 0; i < entry->value.size(); ++i) {
        const YAML::Node item = entry->value[i];
        YamlMap inner(context_, item, path_of(key) + "[" + std::to_string(i) + "]");
        if (!item.IsMap()) continue;
        read(i, inner);
        inner.finish();
    }
}

void YamlMap::texts_by_name(std::string_view key, const ReadName& read) {
    map(key, [&](YamlMap& inner) {
        for (std::size_t i = 0; i < inner.entries_.size(); ++i) {
            const std::string name = inner.entries_[i].key;
            std::string value;
            inner.text(name, value);
            if (!value.empty()) read(name, value, inner.context_.place(inner.entries_[i].mark));
        }
    });
}

void YamlMap::words(std::string_view key, std::vector<std::string>& out) {
    Entry* entry = ask(key);
    if (!entry) return;
    const bool list = entry->value.IsSequence();
    for (std::size_t i = 0; list && i < entry->value.size(); ++i) {
        const YAML::Node item = entry->value[i];
        if (item.IsScalar()) {
            out.push_back(item.Scalar());
        } else {
            context_.report("TL-9003", context_.place(item.Mark()), path_of(key) + " holds what is no word",
                            "write [one, two]");
        }
    }
    if (!list) {
        context_.report("TL-9003", context_.place(entry->value.Mark()), path_of(key) + " is no list",
                        "write [one, two]");
    }
}

void YamlMap::json(std::string_view key, std::string& out) {
    Entry* entry = ask(key);
    if (!entry) return;
    const auto convert = [&](const auto& self, const YAML::Node& node, int depth) -> nlohmann::json {
        if (depth > json_depth_max) {
            context_.report("TL-9004", context_.place(node.Mark()), path_of(key) + " is too deep", "nest it less");
            return nullptr;
        }
        if (node.IsScalar()) return json_scalar(node, resolve({entry->key, node.Mark(), node}).value_or(""));
        if (node.IsSequence()) {
            auto list = nlohmann::json::array();
            for (const auto& item : node) list.push_back(self(self, item, depth + 1));
            return list;
        }
        if (!node.IsMap()) return nullptr;
        auto object = nlohmann::json::object();
        for (const auto& pair : node) {
            if (pair.first.IsScalar()) object[pair.first.Scalar()] = self(self, pair.second, depth + 1);
        }
        return object;
    };
    out = convert(convert, entry->value, 0).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

void YamlMap::named_list(std::string_view key, const std::function<void(YamlMap&)>& read) {
    Entry* entry = ask_list(key);
    if (!entry) return;
    for (std::size_t i = 0; i < entry->value.size(); ++i) {
        const YAML::Node item = entry->value[i];
        const std::string path = path_of(key) + "[" + std::to_string(i) + "]";
        YamlMap one = item.IsScalar() ? YamlMap(context_, path, item.Mark()) : YamlMap(context_, item, path);
        if (item.IsScalar()) one.entries_.push_back({item.Scalar(), item.Mark(), YAML::Node(YAML::NodeType::Null)});
        if (one.entries_.size() > 1 || item.IsNull()) {
            context_.report("TL-9003", context_.place(item.Mark()),
                            path + (item.IsNull() ? " is empty" : " has several names"),
                            "write one name behind each `- `, and indent its values further");
        }
        read(one);
        one.finish();
    }
}

void YamlMap::named(std::string_view key, const std::function<void(YamlMap&)>& read) {
    Entry* entry = ask(key);
    const auto found = std::find_if(entries_.begin(), entries_.end(), [&](const Entry& e) { return e.key == key; });
    if (found == entries_.end()) return;
    const std::string path = path_of(key);
    YamlMap inner = entry ? YamlMap(context_, entry->value, path) : YamlMap(context_, path, found->mark);
    read(inner);
    inner.finish();
}

void YamlMap::absent_section(std::string_view key, std::string_view what) {
    if (const Entry* entry = ask(key)) {
        context_.report("TL-9007", context_.place(entry->mark), path_of(key) + ": this version has no " +
                        std::string(what) + " yet", "remove the section, or leave it empty");
    }
}

void YamlMap::finish() {
    for (const Entry& entry : entries_) {
        if (entry.asked) continue;
        const std::string near = nearest(entry.key, known_);
        std::string all;
        for (const std::string& key : known_) all += (all.empty() ? "" : ", ") + key;
        context_.report("TL-9002", context_.place(entry.mark), "unknown key " + in_quotes(path_of(entry.key)),
                        near.empty() ? "the keys here are " + all : "did you mean " + in_quotes(near) + "?");
    }
}

}  // namespace trunkline::broker
