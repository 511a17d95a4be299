#include "auth/access.h"
#include "auth/client_identity.h"
#include "namespace/topic.h"
#include "tests/unit/auth/samples.h"

using namespace trunkline;
using namespace trunkline::auth;
using namespace trunkline::auth::test;

namespace {

constexpr std::string_view plant = R"(trunkline: 1
clock: utc
users:
  ann: {groups: [operators]}
  eve: {roles: [operator], until: 2026-06-01}
  off: {roles: [operator], disabled: true}
  root: {roles: [admin]}
groups:
  operators: {roles: [operator]}
  night: {roles: [nightwatch]}
roles:
  operator:
    rules:
      - {allow: publish, topic: acme/munich/packaging/#, member: command, type: filler}
      - {allow: subscribe, topic: acme/munich/#}
      - {deny: subscribe, topic: acme/munich/lab/#}
      - {deny: receive, topic: acme/munich/+/+/recipe}
  edge:
    rules:
      - {allow: publish, topic: "acme/edge/%c/#"}
      - {deny: publish, topic: acme/edge/+/config}
  nightwatch:
    rules:
      - {allow: publish, topic: alarm, days: fri, hours: 22:00-06:00}
  owner:
    rules:
      - {allow: publish, topic: "#", branch-owner: "%u"}
  admin:
    rules:
      - {allow: admin, actions: ["#"]}
      - {deny: admin, actions: [model/apply]}
everyone: [edge]
)";

bool allowed(const Access& access, const Principal& who, Action action, std::string_view topic,
             const TopicFacts* facts = nullptr, std::int64_t now_ms = 0) {
    return access.decide(who, action, topic, {now_ms, facts}).allowed;
}

}  // namespace

TEST_CASE("operators of packaging may command fillers, in one line", "[auth]") {
    const auto access = access_of(plant);
    const Principal ann = principal("ann", "panel-1");
    const Facts filler("command", "filler", "", ""), metric("metric", "filler", "", ""),
        packer("command", "packer", "", "");
    const char* topic = "acme/munich/packaging/line-1/filler-1/target-rate";
    const Decision decision = access->decide(ann, Action::publish, topic, {0, &filler});
    CHECK(decision.allowed);
    CHECK(access->describe(decision, *access->role_set(ann, 0)) ==
          "roles.yaml:14  allow publish acme/munich/packaging/# member=command type=filler");
    CHECK_FALSE(allowed(*access, ann, Action::publish, topic, &metric));
    CHECK_FALSE(allowed(*access, ann, Action::publish, topic, &packer));
    CHECK_FALSE(allowed(*access, ann, Action::publish, topic, nullptr));
    CHECK_FALSE(allowed(*access, ann, Action::publish, "acme/berlin/x", &filler));
}

TEST_CASE("deny overrides, and nothing said is denied", "[auth]") {
    const auto access = access_of(plant);
    const Principal edge = principal("x", "e1");
    CHECK(allowed(*access, edge, Action::publish, "acme/edge/e1/speed"));
    CHECK_FALSE(allowed(*access, edge, Action::publish, "acme/edge/e2/speed"));
    const Decision denied = access->decide(edge, Action::publish, "acme/edge/e1/config", {});
    CHECK_FALSE(denied.allowed);
    REQUIRE(denied.rule);
    CHECK(denied.rule->place == "roles.yaml:21");
    const Decision nothing = access->decide(edge, Action::publish, "other", {});
    CHECK_FALSE(nothing.allowed);
    CHECK_FALSE(nothing.rule);
    CHECK(access->describe(nothing, *access->role_set(edge, 0)) == "no rule of edge allows it");
    CHECK_FALSE(allowed(*access, principal("", "e1"), Action::publish, "acme/edge/e1/speed"));  // anonymous
    for (const char* bad : {"", "acme/edge/e1/+", "acme/edge/e1/#"}) {
        CHECK_FALSE(allowed(*access, edge, Action::publish, bad));
    }
    CHECK_FALSE(allowed(*access, edge, Action::publish, std::string_view("acme/edge/e1/\0", 14)));
}

TEST_CASE("a subscription needs a rule that covers it whole; denies take away deliveries", "[auth]") {
    const auto access = access_of(plant);
    const Principal ann = principal("ann", "panel-1");
    CHECK(allowed(*access, ann, Action::subscribe, "acme/munich/packaging/+/temperature"));
    CHECK(allowed(*access, ann, Action::subscribe, "$share/group/acme/munich/packaging/#"));
    CHECK_FALSE(allowed(*access, ann, Action::subscribe, "#"));
    CHECK_FALSE(allowed(*access, ann, Action::subscribe, "acme/#"));
    CHECK_FALSE(allowed(*access, ann, Action::subscribe, "acme/+/packaging"));
    CHECK_FALSE(allowed(*access, ann, Action::subscribe, "acme/munich/lab/x"));
    CHECK_FALSE(allowed(*access, ann, Action::subscribe, "acme/munich/lab/#"));
    CHECK_FALSE(allowed(*access, ann, Action::subscribe, "$share/group/#"));
    for (const char* bad :
         {"$share", "$share/g", "$share//acme/munich/x", "$share/+/acme/munich/x", "", "acme/munich/#/x"}) {
        CHECK_FALSE(allowed(*access, ann, Action::subscribe, bad));
    }
    const Decision partly = access->decide(ann, Action::subscribe, "acme/munich/#", {});
    CHECK(partly.allowed);
    REQUIRE(partly.partly);
    CHECK(partly.partly->line == 16);
    CHECK(allowed(*access, ann, Action::receive, "acme/munich/packaging/x"));
    CHECK_FALSE(allowed(*access, ann, Action::receive, "acme/munich/lab/x"));
    CHECK_FALSE(allowed(*access, ann, Action::receive, "acme/munich/a/b/recipe"));
    CHECK_FALSE(allowed(*access, ann, Action::receive, "acme/berlin/x"));
    const Decision held_back = access->decide(ann, Action::subscribe, "acme/munich/a/b/recipe", {});
    CHECK(held_back.allowed);
    REQUIRE(held_back.partly);
    CHECK(held_back.partly->line == 17);
}

TEST_CASE("topics that begin with $ need a rule that is written so", "[auth]") {
    const auto access = access_of(R"(trunkline: 1
roles:
  all: {rules: [{allow: [publish, subscribe], topic: ["#", "+/x", "%u/y"]}]}
  sys: {rules: [{allow: subscribe, topic: "$SYS/#"}]}
users: {a: {roles: [all]}, s: {roles: [sys]}, $SYS: {roles: [all]}}
)");
    CHECK(allowed(*access, principal("a", "c"), Action::subscribe, "#"));
    CHECK(allowed(*access, principal("a", "c"), Action::subscribe, "+/#"));
    CHECK_FALSE(allowed(*access, principal("a", "c"), Action::subscribe, "$SYS/#"));
    CHECK_FALSE(allowed(*access, principal("a", "c"), Action::publish, "$SYS/x"));
    CHECK_FALSE(allowed(*access, principal("$SYS", "c"), Action::publish, "$SYS/y"));
    CHECK(allowed(*access, principal("s", "c"), Action::subscribe, "$SYS/broker/+"));
    CHECK(allowed(*access, principal("s", "c"), Action::receive, "$SYS/broker/uptime"));
    CHECK_FALSE(allowed(*access, principal("s", "c"), Action::subscribe, "#"));
}

TEST_CASE("rules and users hold in their time", "[auth]") {
    const auto access = access_of(plant);
    const std::int64_t may = *parse_time("2026-05-31T23:59", Clock::utc), june = *parse_time("2026-06-01", Clock::utc);
    const Principal eve = principal("eve", "p");
    CHECK(allowed(*access, eve, Action::subscribe, "acme/munich/x", nullptr, may));
    CHECK_FALSE(allowed(*access, eve, Action::subscribe, "acme/munich/x", nullptr, june));
    CHECK(access->decide(eve, Action::subscribe, "acme/munich/x", {may, nullptr}).until_ms == june);
    CHECK_FALSE(allowed(*access, principal("off", "p"), Action::subscribe, "acme/munich/x", nullptr, may));
    CHECK_FALSE(allowed(*access, principal("off", "p"), Action::publish, "acme/edge/p/x", nullptr, may));

    Principal watch = principal("zoe", "p");
    watch.groups = {"night", "no such group"};
    watch.roles = {"no such role"};
    const std::int64_t friday = *parse_time("2026-11-20T22:00", Clock::utc);
    CHECK(allowed(*access, watch, Action::publish, "alarm", nullptr, friday));
    CHECK_FALSE(allowed(*access, watch, Action::publish, "alarm", nullptr, friday - 1));
    CHECK(access->decide(watch, Action::publish, "alarm", {friday - 1, nullptr}).until_ms == friday);
}

TEST_CASE("admin actions are judged like topics", "[auth]") {
    const auto access = access_of(plant);
    CHECK(allowed(*access, principal("root", ""), Action::admin, "clients/kick"));
    CHECK_FALSE(allowed(*access, principal("root", ""), Action::admin, "model/apply"));
    CHECK_FALSE(allowed(*access, principal("ann", ""), Action::admin, "clients/kick"));
    CHECK_FALSE(allowed(*access, principal("root", ""), Action::publish, "clients/kick"));
    CHECK_FALSE(allowed(*access, principal("root", ""), Action::admin, "#"));
}

TEST_CASE("equal role sets are one, and their bits are what each member is answered", "[auth]") {
    const auto access = access_of(plant);
    const auto a = access->role_set(principal("x", "1"), 0), b = access->role_set(principal("y", "2"), 0);
    CHECK(a.get() == b.get());
    CHECK(access->role_set(principal("ann", "1"), 0)->id != a->id);
    CHECK(access->role_set(principal("", "1"), 0)->id == 0);

    const PermissionBits own = access->permissions(*a, "acme/edge/e1/speed", {});
    CHECK_FALSE(own.publish);
    CHECK(own.publish_per_principal);
    CHECK_FALSE(own.receive_per_principal);
    const PermissionBits config = access->permissions(*a, "acme/edge/e1/config", {});
    CHECK_FALSE(config.publish);
    CHECK_FALSE(config.publish_per_principal);      // the deny is the same for everybody
    const auto operators = access->role_set(principal("ann", "1"), 0);
    const PermissionBits open = access->permissions(*operators, "acme/munich/x", {});
    CHECK(open.receive);
    CHECK_FALSE(open.receive_per_principal);
    CHECK(open.generation == access->generation());
    CHECK(open.role_set == operators->id);

    Principal owner = principal("bob", "1");
    owner.roles = {"owner"};
    const Facts bobs("", "", "", "bob"), anns("", "", "", "ann");
    CHECK(access->permissions(*access->role_set(owner, 0), "any/topic", {0, &bobs}).publish_per_principal);
    CHECK(allowed(*access, owner, Action::publish, "any/topic", &bobs));
    CHECK_FALSE(allowed(*access, owner, Action::publish, "any/topic", &anns));
}

TEST_CASE("roles of another generation open nothing", "[auth]") {
    const auto old = access_of(plant, 2), now = access_of(plant, 3);
    const Principal edge = principal("x", "e1");
    const auto stale = old->role_set(edge, 0);
    CHECK(old->decide(edge, *stale, Action::publish, "acme/edge/e1/speed", {}).allowed);
    CHECK_FALSE(now->decide(edge, *stale, Action::publish, "acme/edge/e1/speed", {}).allowed);
}

TEST_CASE("role sets beyond the bound are decided and not shared", "[auth]") {
    std::string text = "trunkline: 1\nroles:\n";
    for (int i = 0; i < 14; ++i)
        text += "  r" + std::to_string(i) + ": {rules: [{allow: publish, topic: t" + std::to_string(i) + "}]}\n";
    const auto access = access_of(text);
    std::size_t unshared = 0;
    for (std::uint32_t set = 1; set < 1U << 13; ++set) {
        Principal who = principal("u", "c");
        for (int role = 0; role < 13; ++role) {
            if (set >> role & 1) who.roles.push_back("r" + std::to_string(role));
        }
        const auto roles = access->role_set(who, 0);
        unshared += roles->id == not_shared;
        REQUIRE(access->decide(who, *roles, Action::publish, "t0", {}).allowed == ((set & 1) != 0));
    }
    CHECK(unshared == (1U << 13) - role_sets_max);
}

TEST_CASE("explain names every rule that has to do with it", "[auth]") {
    const auto access = access_of(plant);
    const Facts metric("metric", "filler", "", "");
    const auto list = access->explain(principal("ann", "p"), Action::publish, "acme/edge/p/config", {0, &metric});
    REQUIRE(list.size() == 3);
    CHECK(list[0].applies);
    CHECK(list[1].applies);
    CHECK(list[2].why_not == "needs the role owner");
    const auto far = access->explain(principal("ann", "p"), Action::publish, "acme/munich/packaging/x", {0, &metric});
    REQUIRE_FALSE(far.empty());
    CHECK(far[0].why_not == "asks for another place in the namespace");
    CHECK(access->who_can(Action::subscribe, "acme/munich/x", {0, nullptr}).size() == 2);
}

TEST_CASE("client identifiers belong to whom the file says", "[auth]") {
    const auto access = access_of(R"(trunkline: 1
users:
  press-7: {client_ids: [press-7, "%u-*"], roles: [device]}
  panel: {client_ids: ["panel-*"]}
  ann: {}
roles:
  device: {client_id: "%cn"}
)");
    const auto refused = [&](Principal who, const char* cn = "") {
        who.certificate.common_name = cn;
        return refuse_client_id(*access, who, *access->role_set(who, 0));
    };
    CHECK(refused(principal("press-7", "press-7"), "press-7").empty());
    CHECK(refused(principal("press-7", "press-7-spare"), "press-7-spare").empty());
    CHECK_FALSE(refused(principal("press-7", "press-7"), "press-8").empty());
    CHECK_FALSE(refused(principal("press-7", "press-7")).empty());          // no certificate at all
    CHECK_FALSE(refused(principal("press-7", "press-8"), "press-8").empty());
    CHECK_FALSE(refused(principal("ann", "press-7")).empty());
    CHECK_FALSE(refused(principal("ann", "panel-3")).empty());
    CHECK_FALSE(refused(principal("", "panel-3")).empty());
    CHECK(refused(principal("ann", "anything")).empty());
    CHECK(refused(principal("panel", "panel-*")).empty());
    CHECK_FALSE(refused(principal("panel", "panel")).empty());
}

TEST_CASE("a session is taken over by its own principal alone", "[auth]") {
    const Principal ann = principal("ann", "x"), bob = principal("bob", "x"), nobody = principal("", "x");
    CHECK(take_over(ann, ann) == Takeover::allow);
    CHECK(take_over(nobody, nobody) == Takeover::allow);
    CHECK(take_over(ann, bob) == Takeover::refuse);
    CHECK(take_over(ann, nobody) == Takeover::refuse);
    CHECK(take_over(nobody, ann) == Takeover::as_new);
}

namespace {

// The rules applied one by one, without the trie: what decide() must equal.
bool plainly_allowed(const Access& access, const Principal& who, Action action, std::string_view topic) {
    const std::string_view filter = action == Action::subscribe ? uns::parse_shared(topic).filter : topic;
    const auto roles = access.role_set(who, 0);
    bool allow = false, deny = false;
    for (const Rule& rule : access.file().rules) {
        if (!(rule.actions & bit(action)) || !roles->has(rule.role)) continue;
        for (const Pattern& pattern : rule.topics) {
            const bool denies = rule.effect == Effect::deny;
            if (relate(pattern, filter, who, denies) == Relation::covers) (denies ? deny : allow) = true;
        }
    }
    return allow && !deny;
}

std::string random_filter(std::mt19937_64& random, bool rule, bool wildcards) {
    static const char* const texts[] = {"a", "b", "c1", "u1", "$s", "", "%c", "%u", "x-%c"};
    std::string filter;
    const std::size_t depth = 1 + random() % 4;
    for (std::size_t i = 0; i < depth; ++i) {
        if (i > 0) filter += '/';
        if (wildcards && random() % 4 == 0) filter += '+';
        else filter += texts[random() % (rule ? 9 : 6)];
    }
    if (wildcards && random() % 4 == 0) filter += "/#";
    if (wildcards && random() % 30 == 0) filter = "#";
    return filter.empty() ? "a" : filter;
}

}  // namespace

TEST_CASE("the compiled rules decide as the rules one by one do", "[auth]") {
    std::mt19937_64 random(11);
    const std::size_t files = count_from("TRUNKLINE_RULE_FILES", 60);
    std::size_t yes = 0, all = 0;
    for (std::size_t n = 0; n < files; ++n) {
        std::string text = "trunkline: 1\nroles:\n";
        for (int role = 0; role < 4; ++role) {
            text += "  r" + std::to_string(role) + ":\n    rules:\n";
            for (int rule = 0; rule < 6; ++rule) {
                static const char* const actions[] = {"publish", "subscribe", "receive", "[publish, subscribe]"};
                text += std::string("    - {") + (random() % 3 == 0 ? "deny: " : "allow: ") + actions[random() % 4] +
                        ", topic: [\"" + random_filter(random, true, true) + "\", \"" +
                        random_filter(random, true, true) + "\"]}\n";
            }
        }
        const auto access = access_of(text);
        for (int i = 0; i < 500; ++i) {
            static const char* const ids[] = {"c1", "u1", "a", "+", "a/b", "$s", ""};
            Principal who = principal(ids[random() % 7], ids[random() % 7]);
            if (who.anonymous()) who.user = "u1";
            for (int role = 0; role < 4; ++role) {
                if (random() % 2) who.roles.push_back("r" + std::to_string(role));
            }
            const auto action = static_cast<Action>(random() % 3);
            const std::string topic = random_filter(random, false, action == Action::subscribe);
            const Decision decision = access->decide(who, action, topic, {});
            INFO(text << "\nuser " << who.user << " client " << who.client_id << " " << name_of(action) << " "
                      << topic);
            REQUIRE(decision.allowed == plainly_allowed(*access, who, action, topic));
            if (action == Action::subscribe) continue;
            const PermissionBits bits = access->permissions(*access->role_set(who, 0), topic, {});
            const bool varies = action == Action::publish ? bits.publish_per_principal : bits.receive_per_principal;
            const bool bit_says = action == Action::publish ? bits.publish : bits.receive;
            REQUIRE((varies || bit_says == decision.allowed));
            REQUIRE(varies == decision.per_principal);
            yes += decision.allowed;
            ++all;
        }
    }
    CHECK(yes > all / 50);
    CHECK(yes < all);
}
