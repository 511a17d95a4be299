// A broker guarded by roles, without sockets: its principals by a table, its roles as text that may be replaced.
#pragma once

#include <catch2/catch.hpp>

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "auth/access_store.h"
#include "broker/core/audit_sink.h"
#include "broker/core/governance.h"
#include "tests/unit/core/script.h"

namespace trunkline::broker::test {

using mqtt::Reason;

/// Everybody is who its client identifier says, with the roles of a table.
struct ByTable final : auth::Authenticator {
    explicit ByTable(const std::map<std::string, std::vector<std::string>>& table) : roles(table) {}
    auth::Answer check(const auth::Credentials& credentials) override {
        auth::Answer answer;
        answer.outcome = auth::Outcome::accept;
        auto principal = std::make_shared<auth::Principal>();
        principal->client_id = credentials.client_id;
        principal->method = "test";
        if (const auto at = roles.find(principal->client_id); at != roles.end()) {
            principal->user = answer.user = "u-" + principal->client_id;
            principal->roles = at->second;
        }
        answer.principal = std::move(principal);
        return answer;
    }
    std::unique_ptr<auth::Exchange> begin(const auth::Credentials&, auth::Answer&) override { return nullptr; }
    const std::map<std::string, std::vector<std::string>>& roles;
};

struct Trail final : AuditSink {
    struct One { std::string actor, action, object, reason; };
    void note(auth::audit::Record&&) override {}
    void note(const Denial& denial) override {
        denials.push_back({std::string(denial.actor), std::string(denial.action), std::string(denial.object),
                           std::string(denial.reason)});
    }
    std::vector<One> denials;
};

/// A broker whose roles are those of `rules`, which may be replaced.
struct Guarded : Script {
    explicit Guarded(std::string_view rules, std::map<std::string, std::vector<std::string>> table,
                     std::uint32_t shards = 1)
        : Script(shards), roles(std::move(table)) {
        load(rules);
        attach_all();
    }
    void attach_all() {
        broker->attach(access);
        broker->attach(std::make_unique<ByTable>(roles));
        broker->attach(trail);
        pass(1);
    }
    void load(std::string_view rules) {
        const auto outcome = access.load("trunkline: 1\nclock: utc\n" + std::string(rules), "roles.yaml");
        for (const Problem& problem : outcome.problems) UNSCOPED_INFO(to_string(problem));
        REQUIRE(outcome.taken);
    }
    /// New roles, as a reload brings them, and a moment for them to be noticed.
    void change(std::string_view rules) {
        load(rules);
        pass(100);
    }
    Peer& join(const std::string& id, std::uint32_t shard = 0, mqtt::Version version = mqtt::Version::v5) {
        return connect({.id = id, .version = version}, shard);
    }
    Peer& join_durable(const std::string& id, std::uint32_t shard = 0) {
        return connect({.id = id, .clean = false, .expiry_s = 3'600}, shard);
    }
    void govern(std::string_view text) {
        auto result = uns::Model::compile(text, "plant.yaml");
        REQUIRE(result.model);
        bool done = false;
        broker->governance().apply(result.model, {"test", ""}, [&](const Refused&) { done = true; });
        settle();
        REQUIRE(done);
        pass(1);
    }
    [[nodiscard]] std::uint64_t decisions(auth::Action action, bool allowed) const {
        std::uint64_t sum = 0;
        for (std::uint32_t i = 0; i < shards; ++i) {
            sum += broker->counters(i).authorisations[static_cast<std::size_t>(action)][allowed].get();
        }
        return sum;
    }
    auth::AccessStore access;
    std::map<std::string, std::vector<std::string>> roles;
    Trail trail;
};

inline Reason subscribe(Script& script, Peer& peer, std::string_view filter, std::uint8_t qos = 1) {
    mqtt::SubscriptionOptions options;
    options.qos = qos;
    peer.subscribe(77, filter, options);
    while (peer.quiet() && script.commit()) {}
    return peer.expect<mqtt::Suback>().reasons.at(0);
}

inline Reason publish(Script& script, Peer& peer, const Text& message) {
    peer.send(message);
    while (peer.quiet() && script.commit()) {}
    const auto ack = peer.expect<mqtt::Ack>();
    return ack.reason == Reason::no_matching_subscribers ? Reason::success : ack.reason;
}

inline constexpr std::string_view plain = R"(roles:
  all: {rules: [{allow: [publish, subscribe], topic: "#"}]}
  edge:
    rules:
      - {allow: publish, topic: "plant/edge/#"}
      - {deny: publish, topic: plant/edge/locked}
  reader:
    rules:
      - {allow: subscribe, topic: "plant/#"}
      - {deny: receive, topic: "plant/secret/#"}
)";
using List = std::vector<std::string>;

}  // namespace trunkline::broker::test
