// Who may do what on this shard: roles and plugins asked once, the answers kept where the next message finds them.
//
// What everybody with the same roles may do on a topic is kept on its route (Permissions), one word a role set. What
// depends on who it is (rules with %c, plugins) is kept with the client. All of it is void when the epoch changes:
// roles were read again, the model changed, or the time of a rule began or ended.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "auth/access.h"
#include "auth/access_store.h"
#include "auth/principal.h"
#include "broker/core/broker.h"
#include "broker/core/client.h"
#include "broker/core/router.h"
#include "namespace/model/model.h"

namespace trunkline::broker {

/// Owned by a shard, used on its thread alone.
class Authority {
public:
    /// Topics that a client's own decisions are kept of; beyond it they are forgotten and asked again.
    static constexpr std::size_t own_routes_max = 256;

    Authority(const Broker& broker, std::uint32_t shard, const Router& router, Counters& counters)
        : broker_(broker), shard_(shard), router_(router), counters_(counters) {}

    /// Somebody is to be asked. False: everybody may do everything.
    [[nodiscard]] bool on() const { return on_; }
    /// Before packets, mail and ticks are looked at: takes new roles, a new model, or the time. True: the epoch
    /// changed, and everybody's subscriptions are to be judged again.
    [[nodiscard]] bool begin(const Now& now, const std::shared_ptr<const uns::Model>& model) {
        if (!broker_.access() && broker_.plugins().empty()) return false;
        const bool same = on_ && seen_model_ == model.get() && now.wall_ms >= now_ms_ && now.wall_ms < soonest_ms_ &&
                          (!store_ || store_->generation() == generation_);
        now_ms_ = now.wall_ms;
        return !same && start_epoch(model);
    }
    [[nodiscard]] std::uint32_t epoch() const { return epoch_; }
    /// The client is somebody else from here on (re-authentication).
    static void forget(Client& client) { client.rights = ClientRights(); }

    [[nodiscard]] bool may_publish(Client& client, Route& route, std::uint8_t qos, bool retain) {
        qos_ = qos;
        retain_ = retain;
        return may<auth::Action::publish>(client, route);
    }
    [[nodiscard]] bool may_receive(Client& client, Route& route) { return may<auth::Action::receive>(client, route); }
    /// The same about a topic that has no route; nothing is kept.
    [[nodiscard]] bool may_now(Client& client, auth::Action action, std::string_view topic);
    /// The same for who has no connection.
    [[nodiscard]] bool may_now(const auth::Principal& principal, auth::Action action, std::string_view topic);

    /// What is asked of a topic without a route can be answered without asking twice.
    [[nodiscard]] bool knows_without_route() const { return on_ && !plugins_decide_; }
    /// May not; counted when so, since otherwise its route is asked next.
    [[nodiscard]] bool denies(Client& client, auth::Action action, std::string_view topic);

    struct Subscribed {
        bool allowed = false;
        bool whole = false;                 ///< every delivery of it is allowed, too, in this epoch
    };
    [[nodiscard]] Subscribed may_subscribe(Client& client, std::string_view filter, std::uint8_t qos);
    /// For deliveries that were not asked about, since all of the client's are allowed.
    void count_received() { (void)count(auth::Action::receive, true); }
    /// For one whose subscription is not allowed any more: false.
    bool count_not_received() { return count(auth::Action::receive, false); }

    /// Why the last question was answered with no, as who asked is told: rule, file and line.
    [[nodiscard]] std::shared_ptr<const uns::Finding> why(Client& client, auth::Action action, std::string_view topic);
    [[nodiscard]] std::shared_ptr<const uns::Finding> why(const auth::Principal& principal, auth::Action action,
                                                          std::string_view topic);
    /// Tells the audit trail and the log of a denial.
    void tell_denied(const auth::Principal& principal, auth::Action action, std::string_view object,
                     const uns::Finding& finding) const;

    /// What the plugins alone say: the rule of the one that denies, or "" and whether one allows.
    [[nodiscard]] std::pair<std::string, bool> plugins_say(const auth::Principal& principal, auth::Action action,
                                                           std::string_view topic);
    /// Who the client is, also where nobody asked.
    [[nodiscard]] const auth::Principal& principal_of(Client& client);
    /// Names of the roles that it has, as the model's $writers ask for.
    [[nodiscard]] std::vector<std::string> role_names(Client& client);
    [[nodiscard]] std::vector<std::string> role_names(const auth::Principal& principal) const;

private:
    using Opinion = ClientRights::Opinion;
    static constexpr std::uint64_t publish_bit = 1, receive_bit = 2;          // of Permissions
    static constexpr std::uint64_t publish_own_bit = 4, receive_own_bit = 8;  // it depends on the client
    static constexpr std::uint64_t not_on_routes = 0xFFFF;   // role set of those whose decisions are not shared

    template <auth::Action action>
    [[nodiscard]] bool may(Client& client, Route& route) {
        constexpr bool publish = action == auth::Action::publish;
        if (client.rights.key >> 32 != epoch_) [[unlikely]] renew(client);
        std::uint64_t word = route.permissions.find(client.rights.key);
        if (word == Permissions::none) [[unlikely]] word = compute(client, route);
        if (word & (publish ? publish_own_bit : receive_own_bit)) return may_personally(client, route, action);
        return count(action, (word & (publish ? publish_bit : receive_bit)) != 0);
    }
    bool count(auth::Action action, bool allowed) {
        counters_.authorisations[static_cast<std::size_t>(action)][allowed ? 1 : 0].add();
        return allowed;
    }
    [[nodiscard]] bool start_epoch(const std::shared_ptr<const uns::Model>& model);
    void renew(Client& client);
    [[nodiscard]] std::uint64_t compute(Client& client, Route& route);
    [[nodiscard]] bool may_personally(Client& client, Route& route, auth::Action action);
    /// What the roles say alone.
    [[nodiscard]] auth::Decision ask_roles(const auth::Principal& principal, const auth::RoleSet& roles,
                                           auth::Action action, std::string_view topic);
    /// What the plugins say together. `client` null: who asks has no connection. `cache_seconds`: how long all of them
    /// let their answers hold.
    [[nodiscard]] Opinion ask_plugins(const Client* client, const auth::Principal& principal, auth::Action action,
                                      std::string_view topic, std::uint32_t& cache_seconds);
    [[nodiscard]] static Opinion opinion(const auth::Decision& decision) {
        return decision.allowed ? Opinion::allow : decision.rule ? Opinion::deny : Opinion::none;
    }
    /// A deny of anybody denies; else one must allow.
    [[nodiscard]] static bool together(Opinion roles, Opinion plugins) {
        return roles != Opinion::deny && plugins != Opinion::deny &&
               (roles == Opinion::allow || plugins == Opinion::allow);
    }
    [[nodiscard]] std::shared_ptr<const uns::Finding> why(const auth::Principal& principal, const auth::RoleSet& roles,
                                                          auth::Action action, std::string_view topic);

    const Broker& broker_;
    const std::uint32_t shard_;
    const Router& router_;
    Counters& counters_;
    bool on_ = false;
    bool plugins_decide_ = false;
    const auth::AccessStore* store_ = nullptr;
    std::uint64_t generation_ = 0;              // of access_
    std::shared_ptr<const auth::Access> access_;
    std::shared_ptr<const uns::Model> model_;   // null: none was applied
    const uns::Model* seen_model_ = nullptr;
    std::uint32_t epoch_ = 0;
    std::int64_t now_ms_ = 0;                   // since 1970
    std::int64_t soonest_ms_ = 0;               // what was decided holds until then
    std::uint8_t qos_ = 0;                      // of the message that plugins are asked about
    bool retain_ = false;
    std::string plugin_rule_;                   // of the plugin that denied the last question; empty: none did
};

/// A principal as bytes, to be kept with the will of a session that outlives its connection. No secret is in it.
[[nodiscard]] std::string encode_principal(const auth::Principal& principal);
/// nullopt: damaged.
[[nodiscard]] std::optional<auth::Principal> decode_principal(std::string_view bytes);

}  // namespace trunkline::broker
