#include "namespace/payload/schema_links.h"

#include <algorithm>

#include "namespace/payload/json_scan.h"
#include "namespace/payload/limits.h"

namespace trunkline::uns::schema {

std::string escape_token(std::string_view token) {
    std::string text;
    for (const char c : token) {
        if (c == '~') {
            text += "~0";
        } else if (c == '/') {
            text += "~1";
        } else {
            text += c;
        }
    }
    return text;
}

std::optional<std::string> percent_decoded(std::string_view text) {
    const auto digit = [](char c) {
        return c >= '0' && c <= '9'   ? c - '0'
               : c >= 'a' && c <= 'f' ? c - 'a' + 10
               : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                      : -1;
    };
    std::string result;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] != '%') {
            result += text[i];
            continue;
        }
        const int high = i + 2 < text.size() ? digit(text[i + 1]) : -1;
        const int low = i + 2 < text.size() ? digit(text[i + 2]) : -1;
        if (high < 0 || low < 0) return std::nullopt;
        result += static_cast<char>(high * 16 + low);
        i += 2;
    }
    if (valid_utf8_bytes(result) < result.size()) return std::nullopt;
    return result;
}

void Links::check() {
    const auto count = static_cast<NodeId>(program_.nodes.size());
    std::vector<NodeId> ends(count);
    for (NodeId id = 0; id < count; ++id) ends[id] = end_of(id);
    for (NodeId id = 0; id < count; ++id) {
        if (program_.nodes[id].target != no_node) program_.nodes[id].target = ends[id];
    }
    marks_.assign(count, Mark::fresh);
    heights_.assign(count, 0);
    for (NodeId id = 0; id < count; ++id) height(id, 1);
}

NodeId Links::end_of(NodeId id) {
    NodeId end = id;
    for (std::size_t steps = 0; program_.nodes[end].target != no_node; ++steps) {
        if (steps > payload_limits::schema_chain_max) {
            throw SpecError{where_[id] + "/$ref", "$ref leads in a circle, or over more than 32 others",
                            "refer to the schema itself"};
        }
        end = program_.nodes[end].target;
    }
    return end;
}

std::size_t Links::height(NodeId id, std::size_t depth) {
    if (program_.nodes[id].target != no_node) id = program_.nodes[id].target;
    const std::size_t known = marks_[id] == Mark::done ? heights_[id] : 1;
    if (marks_[id] != Mark::open && depth + known - 1 > payload_limits::schema_chain_max) {
        throw SpecError{where_[id], "more than 32 schemas apply to one place, one within the other", "nest less"};
    }
    if (marks_[id] == Mark::done) return known;
    if (marks_[id] == Mark::open) {
        throw SpecError{where_[id],
                        "the schema contains itself without going down into the payload, so a check never ends",
                        "put the reference under properties or items"};
    }
    marks_[id] = Mark::open;
    std::size_t highest = 0;
    const auto visit = [&](NodeId child) {
        if (child != no_node) highest = std::max(highest, height(child, depth + 1));
    };
    const Node& node = program_.nodes[id];
    if (node.combiners) {
        for (const auto* list : {&node.combiners->all_of, &node.combiners->any_of, &node.combiners->one_of}) {
            for (const NodeId child : *list) visit(child);
        }
        for (const NodeId child : {node.combiners->negated, node.combiners->condition, node.combiners->then,
                                   node.combiners->otherwise}) {
            visit(child);
        }
    }
    if (node.object) {
        for (const Dependency& dependency : node.object->dependencies) visit(dependency.node);
    }
    marks_[id] = Mark::done;
    return heights_[id] = highest + 1;
}

}  // namespace trunkline::uns::schema
