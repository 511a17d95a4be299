// Who asks, and which routes that somebody may use.
#include <catch2/catch.hpp>

#include <set>

#include "broker/admin/api.h"
#include "broker/admin/identity.h"
#include "broker/core/broker.h"

using namespace trunkline;
using namespace trunkline::admin;

namespace {

// printf %s secret | sha256sum
constexpr const char* hash_of_secret = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b";

constexpr const char* some_roles = R"(trunkline: 1
clock: utc
users:
  ann: {roles: [reader]}
  bob: {roles: [reader, no-model]}
  gone: {roles: [reader], disabled: true}
  late: {roles: [reader], until: 2020-01-01}
  nobody: {}
roles:
  reader:
    rules:
      - {allow: admin, actions: ["+/read"]}
      - {allow: subscribe, topic: "plant/%u/#"}
      - {allow: receive, topic: "plant/all/+/state"}
      - {deny: receive, topic: "plant/ann/secret/#"}
  no-model:
    rules:
      - {deny: admin, actions: ["model/#"]}
)";

/// Makes its decoy of a password once. Nothing here lets it check one.
auth::PersonLogin& people() {
    static auth::AccessStore store;
    static auth::HashPool pool(1);
    static auth::Backoff backoff;
    static auth::PersonLogin login(store, pool, backoff, 0);
    return login;
}

struct World {
    explicit World(const char* roles = nullptr) : sources{.broker = broker, .access = roles ? &store : nullptr} {
        if (roles && *roles) REQUIRE(store.load(roles, "roles.yaml").taken);
        if (roles) sources.people = &people();
    }
    Guard::Found of(const std::string& token, std::optional<std::uint32_t> uid = {}, const std::string& user = "") {
        Shown shown;
        shown.token = token;
        shown.user = user;
        shown.uid = uid;
        shown.confidential = true;
        return guard.identify(shown);
    }
    void tokens(const std::string& text) {
        std::vector<Problem> problems;
        settings.tokens = std::make_shared<const Tokens>(Tokens::parse(text, "tokens", problems));
        REQUIRE(problems.empty());
        guard.use(settings);
    }
    Request request_of(const std::shared_ptr<const Identity>& who) {
        Request request;
        request.who = who;
        return request;
    }

    broker::Broker broker{broker::Config{}, 1, [](std::uint32_t) {}};
    auth::AccessStore store;
    Sources sources;
    GuardSettings settings;
    Guard guard{sources};
};

using Is = Guard::Verdict::Is;

}  // namespace

TEST_CASE("the header Authorization says who asks, or is unreadable", "[admin]") {
    const auto read = [](std::string_view header) {
        Shown shown;
        read_authorization(header, shown);
        return shown;
    };
    CHECK(read("Bearer abc").token == "abc");
    CHECK(read("bearer abc").token == "abc");
    const Shown basic = read("Basic YW5uOnBhOnNz");   // ann:pa:ss
    CHECK(basic.user == "ann");
    CHECK(basic.password.view() == "pa:ss");
    CHECK_FALSE(basic.unreadable);
    CHECK_FALSE(read("").unreadable);
    for (const char* wrong : {"Bearer", "Bearer ", "Basic", "Basic !!!!", "Basic YW5u", "Basic OnBhc3M=", "Digest a=b",
                              "Bearerabc", "Basically YW5uOnBhOnNz"}) {
        INFO(wrong);
        CHECK(read(wrong).unreadable);
        CHECK(read(wrong).user.empty());
        CHECK(read(wrong).token.empty());
    }
    CHECK(read("Basic " + std::string(8'000, 'A')).unreadable);
}

TEST_CASE("whoever has nothing to say may do everything where nothing is guarded, and nothing elsewhere", "[admin]") {
    World open;
    CHECK_FALSE(open.guard.guarded());
    REQUIRE(open.of("").who);
    CHECK(open.of("").who->everything);
    CHECK(open.of("ignored").who->everything);

    SECTION("rules about clients alone leave it open") {
        World world("trunkline: 1\nroles: {r: {rules: [{allow: publish, topic: a}]}}\n");
        CHECK_FALSE(world.guard.guarded());
    }
    SECTION("a rule about administration") {
        World world(some_roles);
        CHECK(world.guard.guarded());
        CHECK_FALSE(world.of("").who);
        CHECK_FALSE(world.of("unknown").who);
        CHECK(world.of("", {}, "ann").ask_password);
    }
    SECTION("a roles file that was never good") {
        World world("");
        CHECK(world.guard.guarded());
        CHECK_FALSE(world.of("").who);
    }
    SECTION("tokens") {
        open.tokens(std::string("ops:") + hash_of_secret);
        CHECK(open.guard.guarded());
        CHECK_FALSE(open.of("").who);
        CHECK_FALSE(open.of("Secret").who);
        REQUIRE(open.of("secret").who);
        CHECK(open.of("secret").who->name == "ops");
        CHECK(open.of("secret").who->everything);
        CHECK_FALSE(open.of("secret").who->unasked);
    }
    SECTION("users of the Unix socket") {
        open.settings.unix_users = {{12'345, "ann"}};
        open.guard.use(open.settings);
        CHECK(open.guard.guarded());
        CHECK_FALSE(open.of("").who);
    }
}

TEST_CASE("a password goes over loopback, the Unix socket and TLS alone", "[admin]") {
    World world(some_roles);
    Shown shown;
    shown.user = "ann";
    shown.confidential = false;
    const auto found = world.guard.identify(shown);
    CHECK_FALSE(found.who);
    CHECK_FALSE(found.ask_password);
    CHECK(found.why.find("loopback") != std::string::npos);
}

TEST_CASE("a token is a user of the roles file, or has roles of its own", "[admin]") {
    World world(some_roles);
    const std::string line = std::string("t:") + hash_of_secret;
    world.tokens(line + " user=ann");
    REQUIRE(world.of("secret").who);
    CHECK(world.of("secret").who->name == "ann");
    CHECK_FALSE(world.of("secret").who->everything);
    CHECK(world.guard.judge(*world.of("secret").who, Permission::model_read).is == Is::allowed);
    CHECK(world.guard.judge(*world.of("secret").who, Permission::model_apply).is == Is::not_allowed);

    world.tokens(line + " user=ann roles=no-model");
    CHECK(world.guard.judge(*world.of("secret").who, Permission::model_read).is == Is::denied);
    world.tokens(line + " roles=reader");
    CHECK(world.of("secret").who->name == "t");
    CHECK(world.guard.judge(*world.of("secret").who, Permission::model_read).is == Is::allowed);
    world.tokens(line + " roles=unknown");
    CHECK(world.guard.judge(*world.of("secret").who, Permission::model_read).is == Is::not_allowed);
    for (const char* user : {"gone", "late", "who"}) {
        world.tokens(line + " user=" + user);
        CHECK_FALSE(world.of("secret").who);
    }
    world.tokens(std::string("ann:") + hash_of_secret + " roles=no-model");   // or it had ann's roles, too
    CHECK_FALSE(world.of("secret").who);

    World without_roles;
    without_roles.tokens(line + " roles=reader");
    CHECK(without_roles.guard.judge(*without_roles.of("secret").who, Permission::model_read).is == Is::not_allowed);
}

TEST_CASE("the Unix socket knows root, the broker's own user, and whom the configuration names", "[admin]") {
    World world(some_roles);
    world.settings.unix_users = {{12'345, "ann"}, {12'346, "gone"}};
    world.guard.use(world.settings);
    REQUIRE(world.of("", 0).who);
    CHECK(world.of("", 0).who->name == "root");
    CHECK(world.of("", 0).who->unasked);
    CHECK(world.of("", ::geteuid()).who->everything);
    REQUIRE(world.of("", 12'345).who);
    CHECK(world.of("", 12'345).who->name == "ann");
    CHECK(world.of("", 12'345).who->method == "unix");
    CHECK_FALSE(world.of("", 12'345).who->everything);
    CHECK_FALSE(world.of("", 12'346).who);
    CHECK_FALSE(world.of("", 12'347).who);
    CHECK(world.of("", 12'347).why.find("12347") != std::string::npos);
    CHECK_FALSE(world.of("wrong", 0).who);   // what is said counts, not who could have said nothing
    CHECK_FALSE(World().of("", 12'347).who);
}

TEST_CASE("a running connection ends with what its identity stood on", "[admin]") {
    World world(some_roles);
    Shown shown;
    shown.token = "secret";
    world.tokens(std::string("t:") + hash_of_secret + " user=ann");
    const auto who = world.guard.identify(shown).who;
    REQUIRE(who);
    CHECK_FALSE(world.guard.gone(*who, shown));
    world.tokens(std::string("t:") + hash_of_secret + " user=ann roles=no-model");
    CHECK(world.guard.gone(*who, shown));
    world.tokens(std::string("t:") + std::string(64, '0'));
    CHECK(world.guard.gone(*who, shown));
    const auto person = world.guard.user("ann", "127.0.0.1").who;
    REQUIRE(person);
    CHECK_FALSE(world.guard.gone(*person, Shown()));
    REQUIRE(world.store.load("trunkline: 1\n", "roles.yaml").taken);
    CHECK(world.guard.gone(*person, Shown()));
}

TEST_CASE("a refusal names the rule with its place, and never more than it knows", "[admin]") {
    World world(some_roles);
    const auto bob = world.guard.user("bob", "127.0.0.1").who;
    const auto verdict = world.guard.judge(*bob, Permission::model_read);
    REQUIRE(verdict.is == Is::denied);
    const Response response = Guard::forbidden(*bob, "admin model/read", verdict);
    CHECK(response.status == 403);
    const Json json = Json::parse(response.body);
    CHECK(json["type"] == "urn:trunkline:problem:forbidden");
    CHECK(json["at"] == "roles.yaml:18");
    CHECK(json["identity"] == "bob");
    CHECK(json["detail"].get<std::string>().find("deny admin model/#") != std::string::npos);
}

TEST_CASE("what is seen of the namespace is what may be received", "[admin]") {
    World world(some_roles);
    const Sight ann(world.sources, world.request_of(world.guard.user("ann", "").who));
    using auth::Action;
    CHECK_FALSE(ann.all());
    CHECK(ann.may(Action::receive, "plant/ann/x"));
    CHECK(ann.may(Action::receive, "plant/all/7/state"));
    CHECK(ann.may(Action::subscribe, "plant/ann/#"));
    for (const char* topic : {"plant", "plant/bob/x", "plant/all/7", "plant/ann/secret/x", "$SYS/broker/uptime"}) {
        INFO(topic);
        CHECK_FALSE(ann.may(Action::receive, topic));
    }
    CHECK_FALSE(ann.may(Action::subscribe, "plant/#"));
    CHECK_FALSE(ann.may(Action::publish, "plant/ann/x"));
    CHECK(ann.may(Action::receive, std::vector<std::string>{"plant/ann/x", "a"}) == std::vector<bool>{true, false});
    for (const char* level : {"plant", "plant/ann", "plant/ann/x", "plant/all", "plant/all/7"}) {
        INFO(level);
        CHECK(ann.may_see_below(level));
    }
    for (const char* level : {"office", "plant/bob", "plant/ann/secret", "plant/ann/secret/x", "$SYS", "$SYS/broker"}) {
        INFO(level);
        CHECK_FALSE(ann.may_see_below(level));
    }
    const Sight nobody(world.sources, Request());
    CHECK_FALSE(nobody.may(Action::receive, "plant/ann/x"));
    CHECK_FALSE(nobody.may_see_below("plant"));
    World open;
    const Sight everything(open.sources, open.request_of(open.of("").who));
    CHECK(everything.may(Action::receive, "plant/bob/x"));
    CHECK(everything.may_see_below("$SYS"));
}

TEST_CASE("each route needs one permission, and a role with one permission reaches exactly its routes", "[admin]") {
    World world(some_roles);
    Readiness readiness;
    Meter meter;
    LongJobs long_jobs;
    const Router router = make_router({world.sources, readiness, meter, long_jobs, nullptr});
    const std::set<std::string> open = {"/healthz", "/readyz", "/openapi.json"};
    std::set<Permission> used;
    for (const Route& route : router.routes()) {
        INFO(route.method << " " << route.path);
        CHECK((route.needs.permission == Permission::anybody) == open.contains(route.path));
        used.insert(route.needs.permission);
        const bool changes = route.method != "GET";
        const std::string needs(auth::name_of(route.needs.permission));
        // What reads may be asked with a body, but nothing that ends in /read changes anything by DELETE or PUT.
        if (route.method == "DELETE" || route.method == "PUT") CHECK_FALSE(needs.ends_with("/read"));
        if (!changes && route.path.starts_with("/api/")) CHECK_FALSE(needs.ends_with("/write"));
    }
    CHECK(used.size() == auth::admin_actions);   // no permission is for nothing
    for (std::size_t i = 1; i < auth::admin_actions; ++i) {
        const auto one = static_cast<Permission>(i);
        const std::string name(auth::name_of(one));
        CHECK(name == auth::admin_action_names()[i - 1]);
        const std::string text = "trunkline: 1\nusers: {u: {roles: [r]}}\n"
                                 "roles: {r: {rules: [{allow: admin, actions: [" + name + "]}]}}\n";
        auth::AccessStore::Outcome outcome = world.store.load(text, "roles.yaml");
        REQUIRE(outcome.taken);
        CHECK(outcome.warnings.empty());
        const auto who = world.guard.user("u", "").who;
        REQUIRE(who);
        world.settings.metrics_without_token = false;
        world.guard.use(world.settings);
        for (const Route& route : router.routes()) {
            INFO(name << ": " << route.method << " " << route.path);
            const bool may = world.guard.judge(*who, route.needs.permission).is == Is::allowed;
            CHECK(may == (route.needs.permission == one || open.contains(route.path)));
        }
    }
}

TEST_CASE("a rule about an action that there is not is told", "[admin]") {
    auth::AccessStore store;
    const auto outcome = store.load("trunkline: 1\nroles: {r: {rules: [{deny: admin, actions: [modle/apply, \"+/x\", "
                                    "\"model/#\", \"#\", \"+/write\", \"%u/read\"]}]}}\n", "roles.yaml");
    REQUIRE(outcome.taken);
    REQUIRE(outcome.warnings.size() == 2);
    CHECK(outcome.warnings[0].fix.find("model/apply") != std::string::npos);
}

TEST_CASE("a certificate is the user that it is on the listeners of clients", "[admin]") {
    using Source = auth::CertificateMethod::Source;
    World world(some_roles);
    world.settings.certificates = true;
    world.guard.use(world.settings);
    const auth::CertificateMethod by_name(world.store, Source::common_name, true);
    const auth::CertificateMethod anybody(world.store, Source::common_name, false);
    const auth::CertificateMethod mapped(world.store, Source::mapping, true);
    world.sources.certificates = &by_name;
    const auto shown_by = [](const std::string& common_name) {
        ShownCertificate certificate;
        certificate.fields.common_name = common_name;
        certificate.fields.subject = "CN=" + common_name;
        Shown shown;
        shown.certificate = std::make_shared<const ShownCertificate>(std::move(certificate));
        shown.source = "192.0.2.7";
        return shown;
    };
    const Shown ann = shown_by("ann");
    const auto found = world.guard.identify(ann);
    REQUIRE(found.who);
    CHECK(found.who->name == "ann");
    CHECK(found.who->method == "certificate");
    CHECK_FALSE(found.who->everything);
    CHECK_FALSE(found.who->unasked);
    CHECK(found.who->principal.certificate.common_name == "ann");
    CHECK(found.who->principal.address == "192.0.2.7");
    CHECK(world.guard.judge(*found.who, Permission::model_read).is == Is::allowed);
    CHECK(world.guard.judge(*found.who, Permission::model_apply).is == Is::not_allowed);
    CHECK_FALSE(world.guard.gone(*found.who, ann));

    SECTION("whoever may not come in is told so by name") {
        for (const char* name : {"gone", "late", "stranger"}) {
            INFO(name);
            const auto refused = world.guard.identify(shown_by(name));
            CHECK_FALSE(refused.who);
            CHECK(refused.holder == name);
            CHECK(Guard::not_admitted(refused).status == 403);
        }
        const auto nameless = world.guard.identify(shown_by(""));
        CHECK_FALSE(nameless.who);
        CHECK_FALSE(nameless.holder.empty());
        world.sources.certificates = &mapped;
        CHECK_FALSE(world.guard.identify(ann).who);   // nobody maps it
    }
    SECTION("a name that the roles file need not have is somebody with no role") {
        world.sources.certificates = &anybody;
        const auto stranger = world.guard.identify(shown_by("stranger"));
        REQUIRE(stranger.who);
        CHECK(stranger.who->name == "stranger");
        CHECK(world.guard.judge(*stranger.who, Permission::status_read).is == Is::not_allowed);
        CHECK_FALSE(world.guard.identify(shown_by("gone")).who);
    }
    SECTION("what was sent goes before it, and is refused where it is wrong") {
        world.tokens(std::string("ops:") + hash_of_secret);
        Shown both = shown_by("ann");
        both.token = "secret";
        REQUIRE(world.guard.identify(both).who);
        CHECK(world.guard.identify(both).who->name == "ops");
        both.token = "wrong";
        CHECK_FALSE(world.guard.identify(both).who);
        CHECK(world.guard.identify(both).holder.empty());
        Shown login = shown_by("ann");
        login.user = "bob";
        login.confidential = true;
        CHECK(world.guard.identify(login).ask_password);
    }
    SECTION("it ends with the user") {
        REQUIRE(world.store.load("trunkline: 1\nroles: {r: {rules: [{allow: admin, actions: ['#']}]}}\n", "r").taken);
        CHECK(world.guard.gone(*found.who, ann));
    }
}

TEST_CASE("where certificates are asked for, nobody has everything", "[admin]") {
    World world;
    world.settings.certificates = true;
    world.guard.use(world.settings);
    CHECK(world.guard.guarded());
    CHECK_FALSE(world.of("").who);
    Shown shown;
    shown.certificate = std::make_shared<const ShownCertificate>();
    CHECK_FALSE(world.guard.identify(shown).who);   // there is no roles file
}
