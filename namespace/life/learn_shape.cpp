// From topics to assets and types.
#include "namespace/life/learn_shape.h"

#include <algorithm>
#include <functional>

#include "namespace/model/text.h"
#include "namespace/topic.h"

namespace trunkline::uns::learning {
namespace {

constexpr std::size_t level_bytes_max = 256;
constexpr std::size_t tree_levels_max = 60;
constexpr std::size_t exempt_max = 1'000;
constexpr double alike_share = 0.5;  // of their members that two assets must share to be of one type

bool is_digit(char c) { return c >= '0' && c <= '9'; }

/// A name with a number at its end: one of several.
bool is_instance(std::string_view name) { return !name.empty() && is_digit(name.back()); }

/// Why a topic can't be a node of a model; empty: it can.
std::string_view unfit(std::string_view topic) {
    std::size_t levels = 0;
    for (LevelCursor at(topic); !at.done(); at.next(), ++levels) {
        const std::string_view level = at.level();
        if (level.empty()) return "an empty level";
        if (level.front() == '$') return "a level that begins with $";
        if (level.front() == '{' && level.back() == '}') return "a level in braces";
        if (level.size() > level_bytes_max) return "a level of more than 256 bytes";
        if (std::any_of(level.begin(), level.end(), [](unsigned char c) { return c < 0x20 || c == 0x7F; })) {
            return "control characters";
        }
    }
    return levels > tree_levels_max ? std::string_view("more than 60 levels") : std::string_view();
}

class Observer {
public:
    Observer(const LearnOptions& options, const Tuning& tuning, Shape& shape)
        : options_(options), tuning_(tuning), shape_(shape) {}

    void take(const TrafficSample& sample) {
        if (sample.topic != topic_) begin_topic(sample.topic);
        if (shape_.messages == 0 && shape_.first_ms == 0) shape_.first_ms = sample.at_ms;
        shape_.first_ms = std::min(shape_.first_ms, sample.at_ms);
        shape_.last_ms = std::max(shape_.last_ms, sample.at_ms);
        if (!level_) return;
        shape_.messages += sample.messages;
        gathering_.take(sample);
    }
    void end() {
        if (level_) level_->evidence->merge(gathering_.end());
        level_ = nullptr;
    }

private:
    void begin_topic(std::string_view topic) {
        end();
        topic_ = topic;
        if (!is_utf8(topic)) return;
        if (topic.starts_with("spBv1.0/")) {
            shape_.exempt.emplace("spBv1.0/#", "Sparkplug B; place its groups with sparkplug:");
            return;
        }
        if (topic.front() == '$') {
            exempt(std::string(topic.substr(0, topic.find('/'))) + "/#", "topics that begin with $ are no part of it");
            return;
        }
        if (const std::string_view why = unfit(topic); !why.empty()) return exempt(std::string(topic), why);
        if (tuning_.exempt.contains(topic_)) return exempt(topic_, "could not be placed in the tree");
        if (shape_.topics >= options_.topics_max) {
            shape_.topics_left_out = true;
            return;
        }
        Level* at = shape_.root.get();
        for (LevelCursor cursor(topic); !cursor.done(); cursor.next()) {
            auto& child = at->children[std::string(cursor.level())];
            if (!child) {
                child = std::make_unique<Level>();
                child->name = cursor.level();
                child->parent = at;
            }
            at = child.get();
        }
        if (!at->evidence) {
            at->evidence = std::make_unique<Evidence>();
            ++shape_.topics;
        }
        level_ = at;
    }

    void exempt(std::string filter, std::string_view why) {
        if (shape_.exempt.size() < exempt_max) shape_.exempt.emplace(std::move(filter), why);
    }

    const LearnOptions& options_;
    const Tuning& tuning_;
    Shape& shape_;
    std::string topic_;
    Level* level_ = nullptr;
    TopicEvidence gathering_;
};

template <class Visit>
void each_level(Level& level, const Visit& visit, std::size_t depth = 0) {
    visit(level, depth);
    for (const auto& [name, child] : level.children) each_level(*child, visit, depth + 1);
}

/// What stands below the levels of one family (line-1, line-2 ...): topics, and levels with more below.
struct Family {
    std::set<std::string> topics, levels;
};

// A level without a number belongs to the level above it, as drive to filler-1, when that one has at least as many
// topics of its own as levels below it. All instances decide together, so that one that was heard little does not
// differ. `_data` and the like always belong to what is above.
void find_parts(Level& root) {
    std::map<std::pair<std::size_t, std::string>, Family> families;
    const auto key_of = [](const Level& level, std::size_t depth) {
        return std::pair(depth, std::string(stem_of(level.name)));
    };
    each_level(root, [&](Level& level, std::size_t depth) {
        if (depth == 0 || level.is_leaf()) return;
        Family& family = families[key_of(level, depth)];
        for (const auto& [name, child] : level.children) {
            if (child->is_leaf())
                family.topics.insert(name);
            else
                family.levels.insert(std::string(stem_of(name)));
        }
    });
    const std::function<bool(Level&, std::size_t)> decide = [&](Level& level, std::size_t depth) {
        bool all_parts = true;  // of the levels below
        for (const auto& [name, child] : level.children) {
            if (!child->is_leaf() && !decide(*child, depth + 1)) all_parts = false;
        }
        if (depth < 2 || level.is_leaf() || !all_parts || is_instance(level.name)) return false;
        const auto above = families.find(key_of(*level.parent, depth - 1));
        const bool few = above != families.end() && above->second.topics.size() >= above->second.levels.size();
        level.is_part = few || level.name.front() == '_';
        return level.is_part;
    };
    decide(root, 0);
}

// The asset of a topic, and the member's path below it; nullptr at the top.
Level* asset_of(Level& topic, std::string& path) {
    path = topic.name;
    Level* at = topic.parent;
    while (at->parent && at->is_part) {
        path = at->name + "/" + path;
        at = at->parent;
    }
    return at->parent ? at : nullptr;
}

struct Asset {
    Level* level = nullptr;
    std::map<std::string, const Evidence*> members;
};

std::vector<Asset> find_assets(Level& root) {
    std::map<Level*, std::size_t> index;
    std::vector<Asset> assets;
    each_level(root, [&](Level& level, std::size_t) {
        if (!level.evidence || (!level.is_leaf() && !level.is_part)) return;
        std::string path;
        Level* const asset = asset_of(level, path);
        if (!asset) return;
        const auto [at, fresh] = index.emplace(asset, assets.size());
        if (fresh) assets.push_back({asset, {}});
        assets[at->second].members.emplace(path, level.evidence.get());
    });
    return assets;
}

double share(const TypeSeen& type, const Asset& asset) {
    std::size_t common = 0;
    for (const auto& [path, evidence] : asset.members) common += type.members.contains(path) ? 1 : 0;
    const std::size_t all = type.members.size() + asset.members.size() - common;
    // One that was heard little is of a type that has all it said.
    if (common == asset.members.size() && common > 0) return 1;
    return static_cast<double>(common) / static_cast<double>(all);
}

bool same_members(const TypeSeen& type, const Asset& asset) {
    return type.members.size() == asset.members.size() &&
           std::equal(type.members.begin(), type.members.end(), asset.members.begin(),
                      [](const auto& a, const auto& b) { return a.first == b.first; });
}

void add_asset(TypeSeen& type, const Asset& asset) {
    for (const auto& [path, evidence] : asset.members) {
        MemberSeen& member = type.members[path];
        member.evidence.merge(*evidence);
        member.never_retained = member.never_retained && evidence->retained == 0;
    }
    type.assets.push_back(asset.level);
    type.stems.emplace(stem_of(asset.level->name));
}

// Whether assets of different names may be of one type: members that mean the same.
bool mean_the_same(const TypeSeen& a, const TypeSeen& b) {
    if (a.members.size() < 2 || a.members.size() != b.members.size()) return false;
    for (auto x = a.members.begin(), y = b.members.begin(); x != a.members.end(); ++x, ++y) {
        if (x->first != y->first) return false;
        const MemberGuess p = guess(x->first, x->second, Loosened::no, false);
        const MemberGuess q = guess(y->first, y->second, Loosened::no, false);
        if (p.kind != q.kind || p.format != q.format || p.value.kind != q.value.kind || p.value.unit != q.value.unit ||
            p.value.enumeration.empty() != q.value.enumeration.empty()) {
            return false;
        }
    }
    return true;
}

void group(std::vector<Asset>& assets, bool exact, std::vector<TypeSeen>& types) {
    // Who has most members comes first, so that a type begins with what is complete.
    std::stable_sort(assets.begin(), assets.end(),
                     [](const Asset& a, const Asset& b) { return a.members.size() > b.members.size(); });
    std::map<std::string, std::vector<std::size_t>> by_stem;
    for (const Asset& asset : assets) {
        auto& candidates = by_stem[std::string(stem_of(asset.level->name))];
        const auto fits = [&](std::size_t i) {
            return exact ? same_members(types[i], asset) : share(types[i], asset) >= alike_share;
        };
        const auto found = std::find_if(candidates.begin(), candidates.end(), fits);
        if (found == candidates.end()) {
            candidates.push_back(types.size());
            types.emplace_back();
            add_asset(types.back(), asset);
        } else {
            add_asset(types[*found], asset);
        }
    }
    for (std::size_t i = 0; i < types.size(); ++i) {
        for (std::size_t j = types.size(); --j > i;) {
            if (!mean_the_same(types[i], types[j])) continue;
            for (auto& [path, member] : types[j].members) {
                types[i].members[path].evidence.merge(member.evidence);
                types[i].members[path].never_retained &= member.never_retained;
            }
            types[i].assets.insert(types[i].assets.end(), types[j].assets.begin(), types[j].assets.end());
            types[i].stems.merge(types[j].stems);
            types.erase(types.begin() + static_cast<std::ptrdiff_t>(j));
        }
    }
}

// Clients that write less than half of the members wherever they write, beside somebody who writes the rest: they
// command, it seems. A member that only such clients write, and never retained, is a command.
void find_commands(const std::vector<Asset>& assets, std::vector<TypeSeen>& types) {
    std::set<std::string> commanders, owners;
    for (const Asset& asset : assets) {
        std::map<std::string, std::size_t> members;
        for (const auto& [path, evidence] : asset.members) {
            for (const auto& [client, count] : evidence->clients) ++members[client];
        }
        for (const auto& [client, count] : members) {
            const bool minor = count * 2 < asset.members.size() && members.size() > 1 && !client.empty();
            (minor ? commanders : owners).insert(client);
        }
    }
    for (TypeSeen& type : types) {
        for (auto& [path, member] : type.members) {
            const auto& clients = member.evidence.clients;
            member.commanded = member.never_retained && !clients.empty() && clients.size() < Evidence::clients_max &&
                               std::all_of(clients.begin(), clients.end(), [&](const auto& client) {
                                   return commanders.contains(client.first) && !owners.contains(client.first);
                               });
        }
    }
}

std::string identifier(std::string_view text) {
    std::string out;
    for (const char c : text) {
        const bool good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || is_digit(c) || c == '_' || c == '-';
        out += good ? c : '_';
    }
    if (out.empty() || is_digit(out.front()) || out.front() == '-') out = "asset_" + out;
    return out.substr(0, 48);
}

void name_types(std::vector<TypeSeen>& types) {
    std::set<std::string> taken;
    for (TypeSeen& type : types) {
        std::map<std::string, std::size_t> stems;
        for (const Level* level : type.assets) ++stems[std::string(stem_of(level->name))];
        const auto most = std::max_element(stems.begin(), stems.end(),
                                           [](const auto& a, const auto& b) { return a.second < b.second; });
        const std::string base = identifier(most->first);
        type.name = base;
        for (int n = 2; !taken.insert(type.name).second; ++n) type.name = base + "_" + std::to_string(n);
    }
}

bool has_alike_names(const Level& level) {
    std::set<std::string> folded;
    for (const auto& [name, child] : level.children) {
        if (!folded.insert(fold_case(name)).second || has_alike_names(*child)) return true;
    }
    return false;
}

}  // namespace

std::string_view stem_of(std::string_view name) {
    std::string_view stem = name;
    while (!stem.empty() && is_digit(stem.back())) stem.remove_suffix(1);
    if (stem.size() == name.size()) return name;
    while (!stem.empty() && (stem.back() == '-' || stem.back() == '_' || stem.back() == '.')) stem.remove_suffix(1);
    return stem.empty() ? name : stem;
}

std::string Level::topic() const {
    std::string out = name;
    for (const Level* at = parent; at && at->parent; at = at->parent) out = at->name + "/" + out;
    return out;
}

Shape observe(const Traffic& traffic, const LearnOptions& options, const Tuning& tuning) {
    Shape shape;
    Observer observer(options, tuning, shape);
    traffic([&](const TrafficSample& sample) {
        if (!sample.topic.empty()) observer.take(sample);
        return true;
    });
    observer.end();
    find_parts(*shape.root);
    std::vector<Asset> assets = find_assets(*shape.root);
    shape.assets = assets.size();
    group(assets, tuning.exact_types, shape.types);
    std::sort(shape.types.begin(), shape.types.end(), [](const TypeSeen& a, const TypeSeen& b) {
        return a.assets.front()->topic() < b.assets.front()->topic();
    });
    name_types(shape.types);
    std::sort(shape.types.begin(), shape.types.end(),
              [](const TypeSeen& a, const TypeSeen& b) { return a.name < b.name; });
    for (std::size_t i = 0; i < shape.types.size(); ++i) {
        for (Level* level : shape.types[i].assets) level->type = static_cast<int>(i);
    }
    find_commands(assets, shape.types);
    shape.alike_names = has_alike_names(*shape.root);
    return shape;
}

std::pair<std::string, std::string> member_of(const Shape& shape, std::string_view topic) {
    const Level* at = shape.root.get();
    for (LevelCursor cursor(topic); !cursor.done(); cursor.next()) {
        const auto child = at->children.find(std::string(cursor.level()));
        if (child == at->children.end()) return {};
        at = child->second.get();
    }
    std::string path = at->name;
    for (at = at->parent; at && at->parent && at->is_part; at = at->parent) path = at->name + "/" + path;
    if (!at || at->type < 0) return {};
    return {shape.types[static_cast<std::size_t>(at->type)].name, path};
}

}  // namespace trunkline::uns::learning
