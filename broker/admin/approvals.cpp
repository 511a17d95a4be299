#include "broker/admin/approvals.h"

#include <algorithm>
#include <set>

#include "namespace/model/diff.h"
#include "namespace/model/model_data.h"

namespace trunkline::admin {
namespace {

using Paths = std::set<std::string, std::less<>>;

/// The paths of all nodes as diff() names them, and of those in regulated branches.
void collect(const uns::Model& model, Paths& all, Paths& regulated) {
    const auto& nodes = model.data().nodes;
    std::vector<std::string> paths(nodes.size());
    for (std::size_t i = 1; i < nodes.size(); ++i) {  // a parent stands before its children
        const uns::TreeNode& node = nodes[i];
        const std::string& above = node.parent < i ? paths[node.parent] : paths[0];
        const std::string name = node.is_pattern ? "{" + std::string(node.name) + "}" : std::string(node.name);
        paths[i] = above.empty() ? name : above + "/" + name;
        all.insert(paths[i]);
        const auto counts = [](const uns::Member* member) { return member && member->regulated.value_or(false); };
        if (node.regulated || counts(node.self) || counts(node.open)) regulated.insert(paths[i]);
    }
}

bool has_regulated_member(const uns::Model& model) {
    const auto& members = model.data().members;
    return std::any_of(members.begin(), members.end(),
                       [](const uns::Member& member) { return member.regulated.value_or(false); });
}

}  // namespace

bool touches_regulated(const uns::Model& before, const uns::Model& after) {
    Paths all, regulated;
    collect(before, all, regulated);
    collect(after, all, regulated);
    if (regulated.empty() && !has_regulated_member(before) && !has_regulated_member(after)) return false;
    const auto changes = uns::diff(before, after);
    return std::any_of(changes.begin(), changes.end(), [&](const uns::ModelChange& change) {
        if (!all.contains(change.subject)) return true;
        const auto below = regulated.lower_bound(change.subject + "/");
        if (below != regulated.end() && below->starts_with(change.subject + "/")) return true;
        for (std::string_view above = change.subject;;) {
            if (regulated.contains(above)) return true;
            const auto slash = above.rfind('/');
            if (slash == std::string_view::npos) return false;
            above = above.substr(0, slash);
        }
    });
}

void Approvals::forget_old(std::int64_t now_ms) {
    std::erase_if(proposals_, [now_ms](const auto& one) { return now_ms - one.second.at_ms > wait_ms_max; });
}

std::optional<std::uint64_t> Approvals::add(Proposal proposal) {
    const std::lock_guard lock(mutex_);
    forget_old(proposal.at_ms);
    if (proposals_.size() >= waiting_max) return std::nullopt;
    proposal.id = next_++;
    const std::uint64_t id = proposal.id;
    proposals_.emplace(id, std::move(proposal));
    return id;
}

std::vector<Approvals::Proposal> Approvals::waiting(std::int64_t now_ms) {
    const std::lock_guard lock(mutex_);
    forget_old(now_ms);
    std::vector<Proposal> list;
    for (const auto& [id, proposal] : proposals_) {
        list.push_back(proposal);
        list.back().run = nullptr;
    }
    return list;
}

std::optional<Approvals::Proposal> Approvals::find(std::uint64_t id, std::int64_t now_ms) {
    const std::lock_guard lock(mutex_);
    forget_old(now_ms);
    const auto at = proposals_.find(id);
    if (at == proposals_.end()) return std::nullopt;
    Proposal copy = at->second;
    copy.run = nullptr;
    return copy;
}

std::optional<Approvals::Proposal> Approvals::take(std::uint64_t id, std::int64_t now_ms) {
    const std::lock_guard lock(mutex_);
    forget_old(now_ms);
    const auto at = proposals_.find(id);
    if (at == proposals_.end()) return std::nullopt;
    Proposal proposal = std::move(at->second);
    proposals_.erase(at);
    return proposal;
}

}  // namespace trunkline::admin
