// All rules of a file by the levels of their filters, so that a decision looks only at rules that may be about the
// topic. Built once, then read by any number of threads.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <boost/unordered/unordered_flat_map.hpp>

#include "auth/pattern.h"

namespace trunkline::auth {

/// A rule and one of its filters.
struct RuleAt {
    std::uint32_t rule = 0;
    std::uint32_t pattern = 0;
    bool operator==(const RuleAt&) const = default;
};

class RuleTrie {
public:
    void add(const Pattern& pattern, RuleAt what, bool deny);

    /// Appends what may be about `filter`, a plain valid filter or a topic name: each pattern that covers it for some
    /// principal, and, with `overlaps`, each denying one that matches some of its topics. Placeholders are taken as
    /// `+`, so relate() must judge those.
    void find(std::string_view filter, bool overlaps, std::vector<RuleAt>& out) const;

private:
    struct Node {
        std::vector<RuleAt> rules;          // whose filter ends here
        std::vector<std::uint32_t> texts;   // children by text
        std::uint32_t plus = 0, hash = 0, placeholder = 0;   // children; 0: none
        bool denies = false;                // one of the rules here or below
    };
    struct Edge {
        std::uint32_t parent;
        std::string level;
    };
    struct EdgeView {
        std::uint32_t parent;
        std::string_view level;
    };
    struct EdgeHash {
        using is_transparent = void;
        std::size_t operator()(const EdgeView& edge) const;
        std::size_t operator()(const Edge& edge) const { return (*this)(EdgeView{edge.parent, edge.level}); }
    };
    struct EdgeEqual {
        using is_transparent = void;
        template <class A, class B>
        bool operator()(const A& a, const B& b) const { return a.parent == b.parent && a.level == b.level; }
    };
    struct Search {
        std::vector<std::string_view> levels;
        bool overlaps = false;
        bool dollar = false;                // the filter begins with $
        std::vector<RuleAt>* out = nullptr;
    };
    void visit(std::uint32_t node, std::size_t depth, Search& search) const;
    void visit_all(std::uint32_t node, Search& search, bool texts_only) const;
    static void take(const Node& node, Search& search);
    [[nodiscard]] std::uint32_t text_child(std::uint32_t node, std::string_view level) const;

    std::vector<Node> nodes_{1};
    std::vector<bool> dollar_{false};       // by node: its text begins with $
    boost::unordered_flat_map<Edge, std::uint32_t, EdgeHash, EdgeEqual> edges_;
};

}  // namespace trunkline::auth
