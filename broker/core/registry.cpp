#include "broker/core/registry.h"

namespace trunkline::broker {

namespace {

// As auth::take_over() has it.
bool is_anothers(std::string_view owner, std::string_view user) { return !owner.empty() && owner != user; }

}  // namespace

Registry::Claimed Registry::claim(std::string_view client_id, Holder holder, std::string_view user, bool ended) {
    Part& in = part(client_id);
    const std::lock_guard lock(in.mutex);
    const auto at = in.entries.find(client_id);
    if (at == in.entries.end()) {
        in.entries.emplace(std::string(client_id), Entry{holder, false, std::string(user), nullptr});
        return {};
    }
    Entry& entry = at->second;
    Claimed claimed{std::nullopt, entry.durable};
    const bool held = entry.holder.number != 0;
    claimed.refused = (held && is_anothers(entry.user, user)) ||
                      (entry.durable && entry.session_user && is_anothers(*entry.session_user, user));
    claimed.too_late = held && ended && entry.holder.arrival_ns > holder.arrival_ns;
    if (claimed.refused || claimed.too_late) return claimed;
    if (held) claimed.previous = entry.holder;
    entry.holder = holder;
    entry.user = user;
    return claimed;
}

void Registry::release(std::string_view client_id, std::uint64_t number) {
    Part& in = part(client_id);
    const std::lock_guard lock(in.mutex);
    const auto at = in.entries.find(client_id);
    if (at == in.entries.end() || at->second.holder.number != number) return;
    if (at->second.durable) {
        at->second.holder = {};
        at->second.user.clear();
    } else {
        in.entries.erase(at);
    }
}

void Registry::set_durable(std::string_view client_id, bool durable, std::string_view user) {
    Part& in = part(client_id);
    const std::lock_guard lock(in.mutex);
    auto at = in.entries.find(client_id);
    if (at == in.entries.end()) {
        if (!durable) return;
        at = in.entries.emplace(std::string(client_id), Entry{}).first;
    }
    if (at->second.durable != durable) durable_.fetch_add(durable ? 1 : std::uint64_t(-1), std::memory_order_relaxed);
    at->second.durable = durable;
    at->second.session_user = user.empty() ? nullptr : std::make_unique<const std::string>(user);
    if (!durable && at->second.holder.number == 0) in.entries.erase(at);
}

std::optional<Registry::Holder> Registry::find(std::string_view client_id) const {
    const Part& in = part(client_id);
    const std::lock_guard lock(in.mutex);
    const auto at = in.entries.find(client_id);
    if (at == in.entries.end() || at->second.holder.number == 0) return std::nullopt;
    return at->second.holder;
}

}  // namespace trunkline::broker
