#include "broker/core/registry.h"

namespace trunkline::broker {

Registry::Claimed Registry::claim(std::string_view client_id, Holder holder) {
    Part& in = part(client_id);
    const std::lock_guard lock(in.mutex);
    const auto at = in.entries.find(client_id);
    if (at == in.entries.end()) {
        in.entries.emplace(std::string(client_id), Entry{holder, false});
        return {};
    }
    Claimed claimed{std::nullopt, at->second.durable};
    if (at->second.holder.number != 0) claimed.previous = at->second.holder;
    at->second.holder = holder;
    return claimed;
}

void Registry::release(std::string_view client_id, std::uint64_t number) {
    Part& in = part(client_id);
    const std::lock_guard lock(in.mutex);
    const auto at = in.entries.find(client_id);
    if (at == in.entries.end() || at->second.holder.number != number) return;
    if (at->second.durable) {
        at->second.holder = {};
    } else {
        in.entries.erase(at);
    }
}

void Registry::set_durable(std::string_view client_id, bool durable) {
    Part& in = part(client_id);
    const std::lock_guard lock(in.mutex);
    auto at = in.entries.find(client_id);
    if (at == in.entries.end()) {
        if (!durable) return;
        at = in.entries.emplace(std::string(client_id), Entry{}).first;
    }
    if (at->second.durable != durable) durable_.fetch_add(durable ? 1 : std::uint64_t(-1), std::memory_order_relaxed);
    at->second.durable = durable;
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
