// A topic to its contract.
#include <algorithm>

#include "namespace/model/model_data.h"
#include "namespace/model/text.h"

namespace trunkline::uns {
namespace {

// The milder of two: what a branch that only observes says is not made stricter by a type.
Mode milder(Mode a, Mode b) { return std::max(a, b); }

// What a wrong name gets where the walker stands: what $mode says on the way there, else what defaults say of topics
// that are not modelled; a type may say what its unknown members get.
Mode mode_of_failure(const Model::Data& data, const Walker& walker) {
    const TreeNode& node = walker.tree_node();
    if (node.type && node.type->unknown) {
        return node.mode_is_explicit ? milder(*node.type->unknown, node.mode) : *node.type->unknown;
    }
    return node.mode_is_explicit ? node.mode : data.unmodelled;
}

std::size_t prefix_bytes(std::string_view topic, std::size_t levels) {
    std::size_t end = 0;
    for (LevelCursor at(topic); !at.done() && levels > 0; at.next(), --levels) {
        end = static_cast<std::size_t>(at.level().data() - topic.data()) + at.level().size();
    }
    return end;
}

constexpr std::size_t guesses_max = 4;  // levels of a topic that may be misspelt, case not counted

// The nearest topic that the model accepts: each level that is wrong is replaced by the nearest legal one. Empty when
// some level has none near, or when nothing is published where it ends.
std::string nearest_topic(const Model::Data& data, std::string_view topic) {
    Walker walker(data);
    std::string out;
    std::size_t changed = 0, guessed = 0;
    for (LevelCursor at(topic); !at.done(); at.next()) {
        std::string level(at.level());
        if (level.empty()) {  // a slash too many, at the front, at the end or in between
            ++changed;
            continue;
        }
        auto step = walker.step(level);
        if (step == Walker::Step::case_only || step == Walker::Step::unknown) {
            const std::string right =
                step == Walker::Step::case_only ? std::string(walker.near()) : walker.suggestion(level);
            guessed += fold_case(right) == fold_case(level) ? 0 : 1;
            if (right.empty() || guessed > guesses_max) return {};
            level = right;
            ++changed;
            step = walker.step(level);
            if (step == Walker::Step::case_only || step == Walker::Step::unknown) return {};
        }
        out += (out.empty() ? "" : "/") + level;
    }
    return walker.member() && changed > 0 ? out : std::string();
}

std::string level_text(std::size_t level, std::string_view name) {
    return "level " + std::to_string(level) + " " + quote(name);
}

// Where a walker stands, in words.
std::string standing(const Model::Data& data, const Walker& walker, std::string_view path) {
    const TreeNode& node = walker.tree_node();
    if (walker.type_node() != no_node) {
        const TypeNode& at = data.type_nodes[walker.type_node()];
        return at.part_type.empty() ? quote(path) : quote(path) + ", a part of type " + std::string(at.part_type);
    }
    if (node.type) return quote(path) + ", " + with_article(node.type->id);
    return quote(path);
}

NameFailure dollar_topic() {
    NameFailure failure;
    failure.rule = "TL-2108";
    failure.level = 1;
    failure.text = "topics that begin with $ are the broker's own, not part of the namespace";
    failure.expected = "a topic that does not begin with $";
    return failure;
}

NameFailure wrong_level(const Model::Data& data, const Walker& walker, Walker::Step step, std::string_view topic,
                        std::size_t level, std::string_view name) {
    NameFailure failure;
    failure.level = level;
    const bool in_type = walker.type_node() != no_node;
    const TreeNode& node = walker.tree_node();
    failure.place = in_type                      ? data.type_nodes[walker.type_node()].place
                    : walker.node() == tree_root ? Place{}
                                                 : node.place;
    failure.expected = walker.expected();
    const std::string above(topic.substr(0, prefix_bytes(topic, level - 1)));
    if (name.empty()) {
        failure.rule = "TL-2109";
        failure.text = "level " + std::to_string(level) + " is empty: a slash too many";
        failure.expected = "levels that are not empty";
    } else if (step == Walker::Step::case_only) {
        failure.rule = "TL-2103";
        failure.nearest = walker.near();
        failure.text = level_text(level, name) + " differs only in case from " + quote(walker.near());
        failure.expected = walker.near();
        const NodeId near = in_type ? no_node : data.index.find(walker.node(), walker.near());
        if (near != no_node) failure.place = data.nodes[near].place;
    } else if (walker.is_leaf() && (in_type || walker.node() != tree_root)) {
        failure.rule = "TL-2105";
        failure.text = "the model ends at " + standing(data, walker, above) + "; " + level_text(level, name) +
                       " and what follows is not part of it";
        failure.expected = above.empty() ? "a topic of the model" : above;
    } else {
        failure.nearest = walker.suggestion(name);
        if (node.type && (in_type || node.child_count + node.pattern_count == 0)) {
            failure.rule = "TL-2106";
            failure.text = level_text(level, name) + " is no member of " + standing(data, walker, above);
        } else if (walker.has_patterns() &&
                   (failure.nearest.empty() || data.index.find(walker.node(), failure.nearest) == no_node)) {
            const bool case_only = !failure.nearest.empty() && failure.nearest == fold_case(name);
            failure.rule = case_only ? "TL-2103" : "TL-2102";
            failure.text = case_only ? level_text(level, name) + " differs only in case from " + quote(failure.nearest)
                                     : level_text(level, name) + " is no name that may stand" +
                                           (above.empty() ? " at the top" : " under " + quote(above));
            const NodeId pattern = data.patterns_of(node).front();
            failure.place = data.nodes[pattern].place;
        } else {
            failure.rule = "TL-2101";
            failure.text = level_text(level, name) + " is not in the namespace" +
                           (above.empty() ? "" : " under " + standing(data, walker, above));
        }
    }
    failure.fix = nearest_topic(data, topic);
    return failure;
}

NameFailure no_member(const Model::Data& data, const Walker& walker, std::string_view topic, std::size_t levels) {
    NameFailure failure;
    failure.rule = "TL-2104";
    failure.level = levels;
    const TreeNode& node = walker.tree_node();
    const bool in_type = walker.type_node() != no_node;
    failure.place = in_type ? data.type_nodes[walker.type_node()].place : node.place;
    const std::string what = in_type             ? "a part"
                             : node.type         ? "an asset"
                             : node.kind.empty() ? "a level"
                                                 : "a level (" + std::string(node.kind) + ")";
    failure.text = quote(topic) + " is " + what + ", no topic of its own: publish on one below it";
    failure.expected = walker.expected();
    return failure;
}

}  // namespace

Model::Model(std::unique_ptr<Data> data) : data_(std::move(data)) {}
Model::~Model() = default;

std::string_view to_string(Mode mode) {
    return mode == Mode::enforce ? "enforce" : mode == Mode::quarantine ? "quarantine" : "observe";
}

std::string_view to_string(MemberKind kind) {
    switch (kind) {
        case MemberKind::structure:
            return "structure";
        case MemberKind::asset:
            return "asset";
        case MemberKind::metric:
            return "metric";
        case MemberKind::event:
            return "event";
        case MemberKind::command:
            return "command";
        case MemberKind::open:
            return "open";
    }
    return "";
}

const std::string& Model::name() const { return data_->name; }
const std::string& Model::version() const { return data_->version; }
const std::string& Model::hash() const { return data_->hash; }
const std::string& Model::file() const { return data_->file; }
const std::string& Model::source() const { return data_->source; }
V3Reject Model::v3_reject() const { return data_->v3_reject; }
bool Model::unique_ignoring_case() const { return data_->unique_ignoring_case; }
std::size_t Model::node_count() const { return data_->nodes.size() - 1; }
std::size_t Model::member_count() const { return data_->members.size() - data_->open_members; }

std::string Model::place_text(Place place) const {
    return place.line == 0 ? std::string() : data_->file + ":" + std::to_string(place.line);
}

namespace {

// The longest old path that `topic` lies below, or nullptr; `rest` becomes what follows it.
const AliasEntry* find_alias(const Model::Data& data, std::string_view topic, std::string_view& rest) {
    const AliasEntry* found = nullptr;
    std::size_t levels = 0;
    for (LevelCursor at(topic); !at.done() && levels < data.alias_levels_max; at.next()) {
        if (++levels < data.alias_levels_min) continue;
        const auto end = static_cast<std::size_t>(at.level().data() - topic.data()) + at.level().size();
        const auto entry = data.aliases.find(topic.substr(0, end));
        if (entry == data.aliases.end()) continue;
        found = &entry->second;
        rest = topic.substr(end);
    }
    return found;
}

void take_branch(const TreeNode& node, Resolution& out) {
    out.mode = node.mode;
    out.regulated = node.regulated;
    out.writers = node.writers;
    out.quota = node.quota;
    out.quota_levels = node.quota ? node.quota_depth : 0;
    out.owner = node.owner;
    out.asset_levels = node.type ? node.depth : 0;
}

void take_member(const Member& member, Resolution& out) {
    out.status = Resolution::Status::member;
    out.kind = member.kind;
    out.member = &member;
    out.payload = member.contract.get();
    out.place = member.place;
    if (member.mode) out.mode = *member.mode;
    if (member.writers) out.writers = &*member.writers;
    if (member.regulated) out.regulated = *member.regulated;
}

Resolution resolve_in_tree(const Model::Data& data, std::string_view topic) {
    Resolution out;
    Walker walker(data);
    std::size_t level = 0;
    for (LevelCursor at(topic); !at.done(); at.next()) {
        ++level;
        const auto step = at.level().empty() && !walker.is_open() ? Walker::Step::unknown : walker.step(at.level());
        if (step != Walker::Step::case_only && step != Walker::Step::unknown) continue;
        take_branch(walker.tree_node(), out);
        out.kind = walker.tree_node().type ? MemberKind::asset : MemberKind::structure;
        out.mode = mode_of_failure(data, walker);
        auto failure = wrong_level(data, walker, step, topic, level, at.level());
        out.place = failure.place;
        out.failure = std::make_shared<const NameFailure>(std::move(failure));
        return out;
    }
    take_branch(walker.tree_node(), out);
    out.has_free_level = walker.has_free_level();
    if (const Member* member = walker.member()) {
        take_member(*member, out);
        return out;
    }
    out.kind = walker.tree_node().type ? MemberKind::asset : MemberKind::structure;
    out.mode = mode_of_failure(data, walker);
    auto failure = no_member(data, walker, topic, level);
    out.place = failure.place;
    out.failure = std::make_shared<const NameFailure>(std::move(failure));
    return out;
}

}  // namespace

Resolution Model::resolve(std::string_view topic) const {
    const Data& data = *data_;
    if (!data.aliases.empty()) {
        std::string_view rest;
        if (const AliasEntry* alias = find_alias(data, topic, rest)) {
            auto moved = std::make_shared<Moved>();
            moved->topic = std::string(alias->target) + std::string(rest);
            moved->until_ms = alias->until_ms;
            moved->place = alias->place;
            Resolution out = resolve_in_tree(data, moved->topic);
            out.moved = std::move(moved);
            return out;
        }
    }
    for (const std::string_view filter : data.exempt) {
        if (!matches(filter, topic)) continue;
        Resolution out;
        out.status = Resolution::Status::exempt;
        out.kind = MemberKind::open;
        return out;
    }
    if (topic.starts_with('$')) {
        Resolution out;
        out.mode = data.unmodelled;
        out.failure = std::make_shared<const NameFailure>(dollar_topic());
        return out;
    }
    return resolve_in_tree(data, topic);
}

}  // namespace trunkline::uns
