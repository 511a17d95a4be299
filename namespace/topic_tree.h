// An ordered tree of topic levels with a value at each node: retained values, subscriptions and the durable filter
// index are all kept in one of these. Wildcards of filters are ordinary children named "+" and "#".
#pragma once

#include <algorithm>
#include <cassert>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <string_view>
#include <utility>

#include <boost/intrusive/avl_set.hpp>

#include "namespace/topic.h"

namespace trunkline::uns {

/// `Value` is default-constructible and has `bool empty() const`. A node whose value is empty and that has no children
/// goes away. A leaf is one allocation, its level's name included; there can be millions. Not thread safe.
/// Depth is bounded by the callers (the limit on topic levels), so walking recursively is safe.
template <class Value>
class TopicTree {
public:
    class Node;

private:
    struct ByName;
    using Hook = boost::intrusive::avl_set_base_hook<boost::intrusive::optimize_size<true>,
                                                     boost::intrusive::link_mode<boost::intrusive::normal_link>>;
    using Children = boost::intrusive::avl_set<Node, boost::intrusive::key_of_value<ByName>,
                                               boost::intrusive::constant_time_size<false>>;
    struct ByName {
        using type = std::string_view;
        type operator()(const Node& node) const { return node.name(); }
    };

public:
    class Node : public Hook {
    public:
        Value value{};

        [[nodiscard]] std::string_view name() const { return {text(), name_size_}; }
        [[nodiscard]] const Node* parent() const { return parent_; }
        [[nodiscard]] const Children& children() const {
            static const Children none;
            return children_ ? *children_ : none;
        }
        [[nodiscard]] Node* find(std::string_view level) {
            return const_cast<Node*>(std::as_const(*this).find(level));
        }
        [[nodiscard]] const Node* find(std::string_view level) const {
            if (!children_) return nullptr;
            auto at = std::as_const(*children_).find(level);
            return at == children_->end() ? nullptr : &*at;
        }

    private:
        friend class TopicTree;
        /// The name begins right after its size, in what would be padding at the end.
        [[nodiscard]] const char* text() const { return reinterpret_cast<const char*>(&name_size_ + 1); }

        Node* parent_ = nullptr;
        std::unique_ptr<Children> children_;   // null: none
        std::uint16_t name_size_ = 0;
    };

    TopicTree() : root_(make_node(nullptr, {})) {}
    ~TopicTree() {
        clear(root_);
        free_node(root_);
    }
    TopicTree(const TopicTree&) = delete;
    TopicTree& operator=(const TopicTree&) = delete;

    [[nodiscard]] const Node& root() const { return *root_; }

    /// The node of a path, made where it is missing. Give it a value that is not empty, or call prune().
    Node& insert(std::string_view path) {
        Node* node = root_;
        for (LevelCursor at(path); !at.done(); at.next()) {
            if (!node->children_) node->children_ = std::make_unique<Children>();
            typename Children::insert_commit_data where;
            auto [child, absent] = node->children_->insert_check(at.level(), where);
            if (absent) {
                Node* made = make_node(node, at.level());
                node->children_->insert_commit(*made, where);
                node = made;
            } else {
                node = &*child;
            }
        }
        return *node;
    }

    [[nodiscard]] Node* find(std::string_view path) { return const_cast<Node*>(std::as_const(*this).find(path)); }
    [[nodiscard]] const Node* find(std::string_view path) const {
        const Node* node = root_;
        for (LevelCursor at(path); node && !at.done(); at.next()) node = node->find(at.level());
        return node;
    }

    /// Removes `node` and then its ancestors as far as they hold nothing.
    void prune(Node& node) {
        Node* at = &node;
        while (at != root_ && at->value.empty() && !at->children_) {
            Node* parent = at->parent_;
            parent->children_->erase(parent->children_->iterator_to(*at));
            if (parent->children_->empty()) parent->children_.reset();
            free_node(at);
            at = parent;
        }
    }

    /// The tree holds filters: calls `visit(const Value&)` for every node whose filter matches the topic name.
    template <class Visit>
    void match(std::string_view topic, Visit&& visit) const {
        match_from(*root_, LevelCursor(topic), !topic.empty() && topic.front() == '$', visit);
    }

    /// Calls `visit(const Node&)` for every node with a value.
    template <class Visit>
    void for_each(Visit&& visit) const { each(*root_, visit); }

    /// The path of a node, built from its ancestors into `path`.
    template <class String>
    static void path_of(const Node& node, String& path) {
        if (node.parent() && node.parent()->parent()) {
            path_of(*node.parent(), path);
            path += '/';
        } else {
            path.clear();
        }
        path += node.name();
    }

private:
    template <class Visit>
    static void match_from(const Node& node, LevelCursor at, bool dollar, Visit& visit) {
        if (at.done()) {
            if (!node.value.empty()) visit(node.value);
            if (const Node* rest = node.find("#"); rest && !rest->value.empty()) visit(rest->value);  // parent level
            return;
        }
        LevelCursor next = at;
        next.next();
        if (const Node* same = node.find(at.level())) match_from(*same, next, false, visit);
        if (dollar) return;  // [MQTT-4.7.2-1]
        if (const Node* any = node.find("+")) match_from(*any, next, false, visit);
        if (const Node* rest = node.find("#"); rest && !rest->value.empty()) visit(rest->value);
    }

    template <class Visit>
    static void each(const Node& node, Visit& visit) {
        if (!node.value.empty()) visit(node);
        for (const Node& child : node.children()) each(child, visit);
    }

    static Node* make_node(Node* parent, std::string_view name) {
        assert(name.size() <= UINT16_MAX);  // a topic is never longer
        constexpr std::size_t padding = alignof(Node) - sizeof(Node::name_size_);
        void* memory = std::malloc(sizeof(Node) - padding + std::max(padding, name.size()));
        if (!memory) throw std::bad_alloc();
        Node* node = new (memory) Node;
        assert(node->text() + padding == reinterpret_cast<const char*>(node + 1));
        node->parent_ = parent;
        node->name_size_ = static_cast<std::uint16_t>(name.size());
        if (!name.empty()) std::memcpy(const_cast<char*>(node->text()), name.data(), name.size());
        return node;
    }
    static void free_node(Node* node) {
        node->~Node();
        std::free(node);
    }
    static void clear(Node* node) {
        if (!node->children_) return;
        node->children_->clear_and_dispose([](Node* child) {
            clear(child);
            free_node(child);
        });
        node->children_.reset();
    }

    Node* root_;
};

}  // namespace trunkline::uns
