#include "tests/sim/breaks.h"

namespace trunkline::sim {

using store::OpKind;

std::optional<Broken> break_named(std::string_view name) {
    for (const BreakName& one : break_names) {
        if (name == one.name) return one.broken;
    }
    return std::nullopt;
}

const char* name_of(Broken broken) {
    for (const BreakName& one : break_names) {
        if (broken == one.broken) return one.name;
    }
    return "nothing";
}

namespace {

/// Appends `op` to `to`, broken. Every field that changes has a fixed size.
void add_broken(Broken broken, OpKind kind, std::string_view op, store::OpBatch& to) {
    if (kind == OpKind::publish && broken == Broken::lose_inbound_id) {
        auto publish = *store::read_publish(op);
        publish.inbound_id = 0;
        to.add(publish);
    } else if (kind == OpKind::publish && broken == Broken::stale_retained) {
        auto publish = *store::read_publish(op);
        publish.retain = false;
        to.add(publish);
    } else if (kind == OpKind::acknowledge && broken == Broken::forget_cursor) {
        auto acknowledge = *store::read_acknowledge(op);
        acknowledge.owner = 0;
        to.add(acknowledge);
    } else if (kind == OpKind::unsubscribe && broken == Broken::keep_subscription) {
        auto unsubscribe = *store::read_unsubscribe(op);
        unsubscribe.owner = 0;
        to.add(unsubscribe);
    } else {
        to.add_encoded(op);
    }
}

}  // namespace

std::shared_ptr<const store::OpBatch> sabotage(Broken broken, std::shared_ptr<const store::OpBatch> batch) {
    if (broken != Broken::lose_inbound_id && broken != Broken::stale_retained && broken != Broken::forget_cursor &&
        broken != Broken::keep_subscription) {
        return batch;
    }
    auto changed = std::make_shared<store::OpBatch>();
    std::string_view rest = batch->bytes();
    while (!rest.empty()) {
        const auto header = store::peek_op(rest);
        add_broken(broken, header->kind, rest.substr(0, header->size), *changed);
        rest.remove_prefix(header->size);
    }
    return changed;
}

void sabotage(Broken broken, broker::Effects& effects) {
    if (broken != Broken::skip_requeue) return;
    for (broker::ClaimResult& claim : effects.claims) {
        claim.cursor = claim.next_n;
        claim.complete.clear();
        claim.received.clear();
    }
}

}  // namespace trunkline::sim
