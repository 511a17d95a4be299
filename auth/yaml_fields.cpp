#include "auth/yaml_fields.h"

#include <algorithm>
#include <unordered_set>

#include "auth/nearest.h"
#include "auth/yaml_document.h"

namespace trunkline::auth {
namespace {

std::string quoted_start(std::string_view text) { return "\"" + std::string(text.substr(0, 64)) + "\""; }

// yaml-cpp's message up to what it quotes of the file.
std::string without_quotation(const std::string& message) { return message.substr(0, message.find(':')); }

}  // namespace

std::string YamlContext::place(const YAML::Mark& mark) const {
    if (mark.is_null()) return file;
    return file + ":" + std::to_string(mark.line + 1) + ":" + std::to_string(mark.column + 1);
}

void YamlContext::report(std::string rule, const YAML::Mark& mark, std::string message, std::string fix) {
    if (problems.size() >= problems_max) return;
    if (problems.size() == problems_max - 1) {
        problems.push_back({"TL-9003", place(mark), "there is more wrong with this file", "mend the above first"});
        return;
    }
    problems.push_back({std::move(rule), place(mark), std::move(message), std::move(fix)});
}

std::optional<YAML::Node> read_yaml(std::string_view text, YamlContext& context) {
    try {
        YamlDocument document = load_yaml_document(text);
        if (document.second) {
            context.report("TL-9001", *document.second, "a second document begins here", "remove the line `---`");
            return std::nullopt;
        }
        if (document.root.IsNull()) {
            context.report("TL-9001", YAML::Mark::null_mark(), "the file is empty",
                           "a file without rules begins with `trunkline: 1`");
            return std::nullopt;
        }
        return std::move(document.root);
    } catch (const YAML::Exception& e) {
        context.report("TL-9001", e.mark, "this is not YAML: " + without_quotation(e.msg), "check the indentation");
    } catch (const std::exception&) {
        context.report("TL-9001", YAML::Mark::null_mark(), "this is not YAML", "");
    }
    return std::nullopt;
}

YamlFields::YamlFields(YamlContext& context, const YAML::Node& node, std::string what)
    : context_(context), what_(std::move(what)), mark_(node.Mark()) {
    is_map_ = node.IsMap();
    if (!is_map_) {
        if (!node.IsNull()) context_.report("TL-9003", mark_, what_ + " is no mapping", "write `key: value` lines");
        return;
    }
    for (const auto& pair : node) {
        if (!pair.first.IsScalar()) {
            context_.report("TL-9003", pair.first.Mark(), "a key of " + what_ + " is no plain word", "");
            continue;
        }
        const std::string& key = pair.first.Scalar();
        const bool twice = std::any_of(entries_.begin(), entries_.end(), [&](const Entry& e) { return e.key == key; });
        if (twice) {
            context_.report("TL-9005", pair.first.Mark(), quoted_start(key) + " of " + what_ + " is given twice",
                            "keep one of them");
        } else if (entries_.size() < 64) {
            entries_.push_back({key, pair.first.Mark(), pair.second});
        } else {
            context_.report("TL-9002", pair.first.Mark(), what_ + " has too many keys", "");
            break;
        }
    }
}

const YAML::Node* YamlFields::get(std::string_view key) {
    known_.emplace_back(key);
    for (Entry& entry : entries_) {
        if (entry.key != key) continue;
        entry.asked = true;
        return entry.value.IsDefined() && !entry.value.IsNull() ? &entry.value : nullptr;
    }
    return nullptr;
}

std::optional<YamlText> YamlFields::text(std::string_view key) {
    const YAML::Node* node = get(key);
    if (!node) return std::nullopt;
    if (!node->IsScalar()) {
        context_.report("TL-9003", node->Mark(), std::string(key) + " of " + what_ + " is no text", "write one value");
        return std::nullopt;
    }
    return YamlText{node->Scalar(), node->Mark()};
}

std::vector<YamlText> YamlFields::texts(std::string_view key) {
    std::vector<YamlText> found;
    const YAML::Node* node = get(key);
    if (!node) return found;
    if (node->IsScalar()) return {{node->Scalar(), node->Mark()}};
    if (!node->IsSequence()) {
        context_.report("TL-9003", node->Mark(), std::string(key) + " of " + what_ + " is neither a text nor a list",
                        "write [one, another]");
        return found;
    }
    for (const auto& item : *node) {
        if (item.IsScalar()) {
            found.push_back({item.Scalar(), item.Mark()});
        } else {
            context_.report("TL-9003", item.Mark(), "an entry of " + std::string(key) + " of " + what_ + " is no text",
                            "write plain values");
        }
    }
    return found;
}

bool YamlFields::boolean(std::string_view key, bool otherwise) {
    const auto value = text(key);
    if (!value) return otherwise;
    if (value->value == "true" || value->value == "false") return value->value == "true";
    context_.report("TL-9003", value->mark, std::string(key) + " of " + what_ + " is neither true nor false",
                    "write true or false");
    return otherwise;
}

void YamlFields::each(std::string_view key, const ReadEntry& read) {
    const YAML::Node* node = get(key);
    if (!node) return;
    if (!node->IsMap()) {
        context_.report("TL-9003", node->Mark(), std::string(key) + " is no mapping", "write `name: {...}` lines");
        return;
    }
    std::unordered_set<std::string> seen;
    for (const auto& pair : *node) {
        const YAML::Mark mark = pair.first.Mark();
        if (!pair.first.IsScalar() || pair.first.Scalar().empty()) {
            context_.report("TL-9003", mark, "a name in " + std::string(key) + " is no plain word", "");
        } else if (!seen.insert(pair.first.Scalar()).second) {
            context_.report("TL-9005", mark, quoted_start(pair.first.Scalar()) + " is twice in " + std::string(key),
                            "keep one of them");
        } else {
            read(pair.first.Scalar(), mark, pair.second);
        }
    }
}

void YamlFields::finish() {
    for (const Entry& entry : entries_) {
        if (entry.asked) continue;
        const std::string near = nearest(entry.key, known_);
        std::string all;
        for (const std::string& key : known_) all += (all.empty() ? "" : ", ") + key;
        context_.report("TL-9002", entry.mark, "unknown key " + quoted_start(entry.key) + " in " + what_,
                        near.empty() ? "the keys here are " + all : "did you mean " + quoted_start(near) + "?");
    }
}

YAML::Mark YamlFields::mark_of(std::string_view key) const {
    for (const Entry& entry : entries_) {
        if (entry.key == key) return entry.value.IsNull() ? entry.mark : entry.value.Mark();
    }
    return mark_;
}

}  // namespace trunkline::auth
