#include "tests/sim/op_story.h"

#include <string>

namespace trunkline::sim {

using store::OpKind;

namespace {

std::string list(const std::vector<store::Range>& ranges) {
    std::string text;
    for (const store::Range& range : ranges) {
        text += std::to_string(range.from) + '-' + std::to_string(range.to - 1) + ' ';
    }
    return text;
}

}  // namespace

void tell_operations(Story& story, std::int64_t now_ms, std::uint64_t position, const store::OpBatch& ops) {
    const auto tell = [&](std::string_view what, std::initializer_list<std::uint64_t> numbers, std::string_view text) {
        story.tell(now_ms, "log " + std::to_string(position), what, numbers, text);
    };
    for (std::string_view rest = ops.bytes(); !rest.empty();) {
        const auto header = store::peek_op(rest);
        const std::string_view op = rest.substr(0, header->size);
        rest.remove_prefix(header->size);
        if (header->kind == OpKind::publish) {
            const auto publish = *store::read_publish(op);
            tell("publish of session, id", {publish.publisher, publish.inbound_id}, publish.payload.substr(0, 8));
        } else if (header->kind == OpKind::claim) {
            const auto claim = *store::read_claim(op);
            tell("claim for", {claim.owner, claim.clean_start, claim.expiry_s}, claim.client_id);
        } else if (header->kind == OpKind::detach) {
            const auto detach = *store::read_detach(op);
            tell("detach of, owner, expiry", {detach.session, detach.owner, detach.expiry_s}, {});
        } else if (header->kind == OpKind::drop) {
            const auto drop = *store::read_drop(op);
            tell("drop of", {drop.session}, drop.client_id);
        } else if (header->kind == OpKind::subscribe) {
            const auto subscribe = *store::read_subscribe(op);
            tell("subscribe of", {subscribe.session, subscribe.retain_handling}, subscribe.filter);
        } else if (header->kind == OpKind::unsubscribe) {
            const auto unsubscribe = *store::read_unsubscribe(op);
            tell("unsubscribe of", {unsubscribe.session}, unsubscribe.filter);
        } else if (header->kind == OpKind::acknowledge) {
            const auto acknowledge = *store::read_acknowledge(op);
            tell("acknowledge of", {acknowledge.session},
                 list(acknowledge.complete) + "received " + list(acknowledge.received));
        } else if (header->kind == OpKind::release_inbound) {
            const auto release = *store::read_release_inbound(op);
            tell("release inbound of, id", {release.session, release.packet_id}, {});
        } else if (header->kind == OpKind::will_sent) {
            tell("will sent of", {store::read_will_sent(op)->session}, {});
        } else {
            tell("other", {static_cast<std::uint64_t>(header->kind)}, {});
        }
    }
}

}  // namespace trunkline::sim
