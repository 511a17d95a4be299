#include "namespace/life/emqx_import.h"

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <set>

#include <nlohmann/json.hpp>

#include "namespace/life/emqx_model.h"
#include "namespace/life/yaml_text.h"
#include "namespace/model/level_pattern.h"
#include "namespace/model/model.h"
#include "namespace/model/text.h"

namespace trunkline::uns {
namespace {

using emqx::Json;
using emqx::Node;

constexpr std::size_t bytes_max = 16UL << 20;
constexpr std::size_t pairs_max = 2'000'000;  // of nodes that are compared for overlaps

/// Of two models: a topic that both match, as EMQX's pre-check sees them (variables match any name).
class OverlapSearch {
public:
    std::optional<std::string> run(const Node& a, const Node& b) {
        std::vector<std::string> path;
        return search(a, b, path) ? std::optional(text(path)) : std::nullopt;
    }
    [[nodiscard]] bool gave_up() const { return pairs_ > pairs_max; }

private:
    static std::string text(const std::vector<std::string>& path) {
        std::string out;
        for (const std::string& level : path) out += (out.empty() ? "" : "/") + level;
        return out;
    }
    static bool any_name(const Node& node) { return node.kind == Node::Kind::variable; }
    static bool rest(const Node& node) { return node.kind == Node::Kind::rest; }

    // Whether some topic below both nodes is matched by a filter of each.
    bool search(const Node& a, const Node& b, std::vector<std::string>& path) {
        if (++pairs_ > pairs_max) return true;
        for (const auto& x : a.children) {
            if (rest(*x)) return path.push_back(b.children.empty() ? "..." : b.children.front()->sample()), true;
        }
        for (const auto& y : b.children) {
            if (rest(*y)) return path.push_back(a.children.empty() ? "..." : a.children.front()->sample()), true;
        }
        for (const auto& x : a.children) {
            for (const auto& y : b.children) {
                if (!any_name(*x) && !any_name(*y) && x->name != y->name) continue;
                path.push_back(any_name(*x) ? y->sample() : x->sample());
                const bool ends = x->children.empty() && y->children.empty();
                const bool ends_open = (x->children.empty() && has_rest(*y)) || (y->children.empty() && has_rest(*x));
                if (ends || ends_open || (!x->children.empty() && !y->children.empty() && search(*x, *y, path)))
                    return true;
                path.pop_back();
            }
        }
        return false;
    }
    static bool has_rest(const Node& node) {
        return std::any_of(node.children.begin(), node.children.end(), [](const auto& child) { return rest(*child); });
    }

    std::size_t pairs_ = 0;
};

class Importer {
public:
    Importer(std::span<const EmqxFile> files, const EmqxOptions& options) : files_(files), options_(options) {}

    EmqxImport run() {
        std::size_t bytes = 0;
        for (const EmqxFile& file : files_) bytes += file.text.size();
        if (bytes > bytes_max) {
            add("TL-9102", "", "the files have " + std::to_string(bytes) + " bytes together",
                "at most 16 MiB are read");
            return std::move(result_);
        }
        for (const EmqxFile& file : files_) emqx::read_models(file, models_, result_.problems, result_.notes);
        if (!result_.problems.empty()) return std::move(result_);
        if (models_.empty()) {
            add("TL-9107", files_.empty() ? "" : files_.front().name, "there is no model in it",
                "export a model with GET /api/v5/plugin_api/emqx_unsgov/models/ID");
            return std::move(result_);
        }
        std::sort(models_.begin(), models_.end(), [](const auto& a, const auto& b) { return a.id < b.id; });
        check_overlaps();
        if (!result_.problems.empty()) return std::move(result_);
        Node root;
        for (emqx::Model& model : models_) {
            name_payloads(model.root, model);
            for (auto& child : model.root.children) merge(root, std::move(child), model);
        }
        if (!result_.problems.empty()) return std::move(result_);
        write(root);
        if (result_.problems.empty()) check_compiles();
        if (!result_.problems.empty()) result_.yaml.clear();
        return std::move(result_);
    }

private:
    void add(std::string rule, std::string place, std::string message, std::string fix) {
        result_.problems.push_back({std::move(rule), std::move(place), std::move(message), std::move(fix)});
    }

    void check_overlaps() {
        for (std::size_t i = 0; i < models_.size(); ++i) {
            for (std::size_t j = i + 1; j < models_.size(); ++j) {
                const emqx::Model &a = models_[i], &b = models_[j];
                if (a.id == b.id) {
                    add("TL-9104", b.file, "two models have the id " + quote(b.id), "leave one of them out");
                    continue;
                }
                OverlapSearch search;
                const auto topic = search.run(a.root, b.root);
                if (!topic) continue;
                add("TL-9143", b.file,
                    search.gave_up()
                        ? "the models " + quote(a.id) + " and " + quote(b.id) + " are too large to be compared"
                        : "the models " + quote(a.id) + " and " + quote(b.id) + " both match topics such as " +
                              quote(*topic) + "; EMQX asks the first by id, " + quote(a.id) + ", alone",
                    "import them one by one, or take what overlaps out of " + quote(b.id));
            }
        }
    }

    void name_payloads(Node& node, const emqx::Model& model) {
        if (!node.payload.empty() && node.payload != "any") {
            node.payload = emqx::payload_name(model, node.payload, models_.size() > 1);
        }
        for (const auto& child : node.children) name_payloads(*child, model);
    }

    // Models do not overlap, so the same level of both only joins what is below it.
    void merge(Node& into, std::unique_ptr<Node> node, const emqx::Model& model) {
        const auto same = std::find_if(into.children.begin(), into.children.end(), [&](const auto& child) {
            return child->kind == node->kind && child->name == node->name;
        });
        if (same == into.children.end()) {
            into.children.push_back(std::move(node));
            return;
        }
        Node& there = **same;
        if (there.match != node->match) {
            add("TL-9143", model.file + ": " + node->place,
                "the variable {" + node->name + "} has another pattern here than in a model before it",
                "give the variables different names and patterns that exclude each other");
            return;
        }
        for (auto& child : node->children) merge(there, std::move(child), model);
    }

    void write(const Node& root) {
        std::string& out = result_.yaml;
        out = "# Imported from EMQX UNS Governance:";
        for (const emqx::Model& model : models_) {
            out += " " + comment_text(model.id, 64);
            if (!model.name.empty() && model.name != model.id) out += " (" + comment_text(model.name, 64) + ")";
        }
        std::string name = options_.name.empty() ? models_.front().id : options_.name;
        if (!((name[0] >= 'a' && name[0] <= 'z') || (name[0] >= 'A' && name[0] <= 'Z') || name[0] == '_'))
            name = "emqx-" + name;
        name = name.substr(0, 64);
        out += "\n# What it accepts and refuses is the same; types, units and owners are for you to add.\n";
        out += "trunkline: 1\nnamespace: " + yaml_text(name) + "\nversion: " + options_.version +
               "\n\ndefaults:\n  mode: enforce\n  unmodelled: reject\n";
        write_payloads(out);
        out += "\ntree:\n";
        for (const auto& child : root.children) write_node(*child, 1, out);
    }

    void write_payloads(std::string& out) {
        bool first = true;
        std::map<std::string, std::string> written;
        for (const emqx::Model& model : models_) {
            for (const auto& [name, schema] : model.payloads) {
                const auto [at, fresh] = written.emplace(emqx::payload_name(model, name, models_.size() > 1), schema);
                if (!fresh) {
                    add("TL-9104", model.file, "the payload type " + quote(name) + " would get the name of another one",
                        "rename one of them");
                    continue;
                }
                if (first) out += "\npayloads:\n";
                first = false;
                // JSON is YAML; one line, as it came.
                out += "  " + yaml_text(at->first) + ":\n    schema: " + schema + "\n";
            }
        }
    }

    static std::string key_of(const Node& node) {
        if (node.kind != Node::Kind::variable && node.match.empty()) return yaml_text(node.name);
        std::string name;
        for (const char c : node.name) {
            const bool good =
                (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
            name += good ? c : '_';
        }
        if (name.empty() || name[0] == '-' || (name[0] >= '0' && name[0] <= '9')) name = "v" + name;
        return "\"{" + name.substr(0, 60) + "}\"";
    }

    static void write_node(const Node& node, std::size_t depth, std::string& out) {
        const std::string indent(2 * depth, ' ');
        std::vector<std::string> keys;
        if (!node.match.empty()) keys.push_back("$match: " + yaml_text(node.match));
        const Node* rest = nullptr;
        for (const auto& child : node.children) {
            if (child->kind == Node::Kind::rest) rest = child.get();
        }
        // "#" also stands for no further level, so the level above it is a topic of its own.
        const std::string payload = !node.payload.empty() ? node.payload : rest ? rest->payload : std::string();
        if (!payload.empty()) keys.push_back("$payload: " + yaml_text(payload));
        if (rest) keys.push_back("\"#\": " + yaml_text(rest->payload));
        const bool has_nodes = node.children.size() > (rest ? 1U : 0U);
        if (!has_nodes) {
            std::string list;
            for (const std::string& key : keys) list += (list.empty() ? "" : ", ") + key;
            out += indent + key_of(node) + ": {" + list + "}\n";
            return;
        }
        out += indent + key_of(node) + ":\n";
        for (const std::string& key : keys) out += indent + "  " + key + "\n";
        for (const auto& child : node.children) {
            if (child->kind != Node::Kind::rest) write_node(*child, depth + 1, out);
        }
    }

    // What our language does not take is told in its words; the lines are those of the text that is then not given.
    void check_compiles() {
        const Model::Result compiled = Model::compile(result_.yaml, "imported");
        if (compiled.model) return;
        std::vector<std::string_view> lines;
        for (std::string_view rest = result_.yaml; !rest.empty();) {
            const std::size_t end = rest.find('\n');
            lines.push_back(rest.substr(0, end));
            if (end == std::string_view::npos) break;
            rest.remove_prefix(end + 1);
        }
        for (const Problem& problem : compiled.problems) {
            std::size_t line = 0;
            const std::size_t colon = problem.place.find(':');
            if (colon != std::string::npos)
                line = static_cast<std::size_t>(std::atol(problem.place.c_str() + colon + 1));
            std::string near = line > 0 && line <= lines.size() ? std::string(lines[line - 1]) : std::string();
            near.erase(0, near.find_first_not_of(' ') == std::string::npos ? near.size() : near.find_first_not_of(' '));
            std::string message = problem.message;
            if (!near.empty()) message += " (in " + comment_text(near, 120) + ")";
            add(problem.rule, models_.front().file, std::move(message), problem.fix);
        }
        result_.yaml.clear();
    }

    std::span<const EmqxFile> files_;
    const EmqxOptions& options_;
    EmqxImport result_;
    std::vector<emqx::Model> models_;
};

}  // namespace

EmqxImport import_emqx(std::span<const EmqxFile> files, const EmqxOptions& options) {
    return Importer(files, options).run();
}

}  // namespace trunkline::uns
