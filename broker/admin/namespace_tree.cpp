#include "broker/admin/namespace_tree.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "broker/admin/namespace_json.h"
#include "namespace/payload/value.h"
#include "namespace/topic.h"

namespace trunkline::admin {
namespace {

constexpr std::size_t preview_bytes = 512;
constexpr std::size_t gathered = 256;             // children at a time: the tree's lock is not held while building JSON
constexpr std::size_t model_children_max = 1'000'000;

struct Child {
    std::string name;
    bool inner = false;
    std::optional<uns::ModelChild> model;
};

/// The children of one level in one of the trees of values.
class ValueWalk {
public:
    ValueWalk(const uns::RetainedTree& tree, std::optional<std::string_view> path, std::optional<std::string> after)
        : tree_(tree), path_(path), after_(std::move(after)) {}

    [[nodiscard]] const Child* peek() {
        if (at_ == children_.size() && more_) {
            children_.clear();
            at_ = 0;
            more_ = tree_.children(path_, after_ ? std::optional<std::string_view>(*after_) : std::nullopt, gathered,
                                   [this](std::string_view name, bool inner, const uns::RetainedPtr&) {
                                       children_.push_back({std::string(name), inner, std::nullopt});
                                   });
            more_ = more_ && !children_.empty();
            if (!children_.empty()) after_ = children_.back().name;
        }
        return at_ < children_.size() ? &children_[at_] : nullptr;
    }
    void next() { ++at_; }

private:
    const uns::RetainedTree& tree_;
    std::optional<std::string_view> path_;
    std::optional<std::string> after_;
    std::vector<Child> children_;
    std::size_t at_ = 0;
    bool more_ = true;
};

/// The children of one level as the model has them, in the order of the trees.
std::vector<Child> children_of(const uns::Model& model, std::string_view path,
                               const std::optional<std::string>& after) {
    std::vector<Child> children;
    for (uns::ModelChild& child : model.children(path, "", model_children_max)) {
        if (child.name == "#" || (after && child.name <= *after)) continue;
        std::string name = child.name;
        children.push_back({std::move(name), child.has_children, std::move(child)});
    }
    std::sort(children.begin(), children.end(), [](const Child& a, const Child& b) { return a.name < b.name; });
    return children;
}

void set_text(Json& json, const char* key, std::string_view text) {
    if (!text.empty()) json[key] = text;
}

void add_read(Json& json, const uns::Model* model, std::string_view topic, std::string_view payload) {
    auto format = uns::guess_format(payload);
    if (model && model->node_count() > 0) {
        const uns::Resolution resolution = model->resolve(topic);
        const bool known = resolution.member && resolution.member->format != uns::PayloadSpec::Format::any;
        if (known) format = resolution.member->format;
    }
    const auto value = uns::read_value(payload, format);
    if (!value) return;
    Json read = {{"text", value->text}};
    if (value->number) read["number"] = *value->number;
    if (value->timestamp_ms) read["timestamp_ms"] = *value->timestamp_ms;
    if (value->quality) read["quality"] = uns::name_of(*value->quality);
    set_text(read, "unit", value->unit);
    json["read"] = std::move(read);
}

/// What holds on a topic, and whether it is a retained message.
uns::RetainedPtr value_of(const TreeView& view, std::string_view topic, std::int64_t now_ms, bool& retained) {
    retained = true;
    uns::RetainedPtr value = view.live ? view.live->value(topic, retained) : view.retained.get(topic);
    if (!value) return nullptr;
    const std::int64_t expires = value->fields().expires_at_ms;
    return expires && expires <= now_ms ? nullptr : value;
}

void add_value(Json& node, const TreeView& view, const uns::Model* model, std::string_view topic,
               std::int64_t now_ms) {
    bool retained = true;
    const uns::RetainedPtr value = value_of(view, topic, now_ms, retained);
    if (!value) return;
    const auto fields = value->fields();
    Json json = {{"qos", fields.qos}, {"stored_at_ms", uns::commit_time_ms(fields.stored_at)}, {"retain", retained}};
    add_payload(json, fields.payload, preview_bytes);
    add_read(json, model, topic, fields.payload);
    node["value"] = std::move(json);
}

class Walk {
public:
    Walk(const TreeView& view, std::size_t limit, std::int64_t now_ms)
        : view_(view), model_(view.live ? view.live->model() : nullptr), limit_(limit), now_ms_(now_ms) {}

    /// `resume`: the levels below `path` of the node after which to go on; null: from the start. False: page is full.
    bool below(std::optional<std::string_view> path, std::size_t depth_left, std::size_t level,
               const std::vector<std::string_view>* resume) {
        std::optional<std::string> after;
        const bool on_path = resume && level < resume->size();
        if (on_path) {   // what is left below the node on the path, then its later siblings
            after = std::string((*resume)[level]);
            if (depth_left > 1 && !below(join(path, *after), depth_left - 1, level + 1, resume)) return false;
        }
        ValueWalk retained(view_.retained, path, after);
        ValueWalk live(view_.live ? view_.live->values() : none_, path, after);
        std::vector<Child> model;
        if (model_ && !(path && path->empty())) model = children_of(*model_, path.value_or(""), after);
        std::size_t at = 0;
        while (const auto child = merge(retained, live, model, at)) {
            // About the broker and the namespace, not of it: shown when asked for.
            if (!path && (child->name == "$SYS" || child->name == "$UNS")) continue;
            const std::string topic = join(path, child->name);
            if (page.nodes.size() == limit_) return full();
            add(topic, *child);
            if (child->inner && depth_left > 1 && !below(topic, depth_left - 1, level + 1, nullptr)) return false;
        }
        return true;
    }

    TreePage page;

private:
    static std::string join(std::optional<std::string_view> path, std::string_view name) {
        return path ? std::string(*path) + "/" + std::string(name) : std::string(name);
    }
    bool full() {
        page.cursor = last_;
        return false;
    }

    static std::optional<Child> merge(ValueWalk& retained, ValueWalk& live, std::vector<Child>& model,
                                      std::size_t& at) {
        const Child* const parts[] = {retained.peek(), live.peek(), at < model.size() ? &model[at] : nullptr};
        const Child* first = nullptr;
        for (const Child* part : parts) {
            if (part && (!first || part->name < first->name)) first = part;
        }
        if (!first) return std::nullopt;
        Child child{first->name, false, std::nullopt};
        for (const Child* part : parts) {
            if (!part || part->name != child.name) continue;
            child.inner |= part->inner;
            if (part->model) child.model = part->model;
        }
        if (parts[0] && parts[0]->name == child.name) retained.next();
        if (parts[1] && parts[1]->name == child.name) live.next();
        if (parts[2] && parts[2]->name == child.name) ++at;
        return child;
    }

    void add(const std::string& topic, const Child& child) {
        Json node = {{"topic", topic}, {"name", child.name}, {"has_children", child.inner}};
        if (child.model) {
            node["kind"] = uns::to_string(child.model->kind);
            set_text(node, "type", child.model->type);
            set_text(node, "level", child.model->level_kind);
            set_text(node, "unit", child.model->unit);
            set_text(node, "description", child.model->description);
            set_text(node, "pattern", child.model->pattern);
        }
        if (view_.live) {
            if (const auto facts = view_.live->facts(topic, now_ms_)) add_facts(node, *facts, now_ms_);
        }
        add_value(node, view_, model_.get(), topic, now_ms_);
        page.nodes.push_back(std::move(node));
        last_ = topic;
    }

    const TreeView& view_;
    const std::shared_ptr<const uns::Model> model_;
    const uns::RetainedTree none_;
    std::size_t limit_;
    std::int64_t now_ms_;
    std::string last_;
};

}  // namespace

void add_facts(Json& node, const uns::TopicFacts& facts, std::int64_t now_ms) {
    const uns::Meaning& meaning = facts.meaning;
    if (meaning.kind != uns::Meaning::Kind::unknown) node["kind"] = uns::to_string(meaning.kind);
    const bool asset = meaning.kind == uns::Meaning::Kind::asset;
    set_text(node, "type", asset ? meaning.asset_type : meaning.value_type);
    if (!asset) set_text(node, "asset_type", meaning.asset_type);
    set_text(node, "level", meaning.level);
    set_text(node, "unit", meaning.unit);
    set_text(node, "owner", meaning.owner);
    set_text(node, "description", meaning.description);
    if (facts.is_topic && facts.last_ms) {
        node["last_ms"] = facts.last_ms;
        node["age_ms"] = std::max<std::int64_t>(0, now_ms - facts.last_ms);
    }
    if (facts.messages) {
        node["messages"] = facts.messages;
        node["rate"] = std::round(facts.rate * 1e3) / 1e3;
    }
    set_text(node, "publisher", facts.client_id);
    set_text(node, "user", facts.user);
    if (facts.violations) node["violations"] = facts.violations;
    if (facts.liveness != uns::Liveness::none) {
        node["state"] = uns::to_string(facts.liveness);
        node["stale"] = facts.liveness != uns::Liveness::fresh;
    }
    if (facts.truncated) node["truncated"] = true;
}

TreePage tree_page(const TreeView& view, std::optional<std::string_view> root, std::size_t depth, std::size_t limit,
                   std::optional<std::string_view> after, std::int64_t now_ms) {
    Walk walk(view, limit, now_ms);
    std::vector<std::string_view> levels;
    if (after) {
        uns::split_levels(*after, levels);
        if (root) {   // levels of the cursor below the root
            const std::size_t above = uns::level_count(*root);
            const bool inside = levels.size() > above && after->starts_with(std::string(*root) + "/");
            if (!inside) return std::move(walk.page);
            levels.erase(levels.begin(), levels.begin() + static_cast<std::ptrdiff_t>(above));
        }
    }
    walk.below(root, depth, 0, after ? &levels : nullptr);
    return std::move(walk.page);
}

Json topic_json(const TreeView& view, const std::string& topic, std::int64_t now_ms) {
    Json node = {{"topic", topic}, {"name", topic.substr(topic.rfind('/') + 1)}};
    const auto model = view.live ? view.live->model() : nullptr;
    if (view.live) {
        if (const auto facts = view.live->facts(topic, now_ms)) add_facts(node, *facts, now_ms);
    }
    add_value(node, view, model.get(), topic, now_ms);
    return node;
}

Json value_json(const TreeView& view, std::string_view topic, std::int64_t now_ms) {
    bool retained = true;
    const uns::RetainedPtr value = value_of(view, topic, now_ms, retained);
    if (!value) return nullptr;
    Json json = retained_json(topic, *value);
    json["retain"] = retained;
    const auto model = view.live ? view.live->model() : nullptr;
    add_read(json, model.get(), topic, value->fields().payload);
    if (view.live) {
        if (const auto facts = view.live->facts(topic, now_ms)) add_facts(json, *facts, now_ms);
    }
    return json;
}

}  // namespace trunkline::admin
