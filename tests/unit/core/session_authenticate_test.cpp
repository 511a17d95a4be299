// Scripts about who a client is: answers that come late, twice, never, after the end; identifiers that are another's.
#include <catch2/catch.hpp>

#include <memory>
#include <thread>
#include <vector>

#include "auth/access_store.h"
#include "broker/core/audit_sink.h"
#include "broker/core/shard.h"
#include "tests/unit/core/script.h"

using namespace trunkline;
using namespace trunkline::broker;
using namespace trunkline::broker::test;
using mqtt::PacketType;
using mqtt::Reason;
using mqtt::Version;

namespace {

/// What was asked of Late, in its order.
struct Questions {
    struct One {
        std::string client_id, user, address, listener;
        std::int64_t now_ms = 0;
        std::shared_ptr<const std::atomic<bool>> abandoned;
        auth::OnAnswer done;
    };
    std::vector<One> asked;
};

auth::Answer logged_in_as(std::string user, std::int64_t expires_ms = 0) {
    auth::Principal principal;
    principal.user = user;
    principal.method = "password";
    principal.expires_ms = expires_ms;
    auth::Answer answer{auth::Outcome::accept, std::move(user), {}, {}};
    answer.principal = std::make_shared<const auth::Principal>(std::move(principal));
    return answer;
}

auth::Answer refused(auth::Outcome outcome) { return {outcome, {}, {}, "no"}; }

/// Answers nothing by itself; its exchanges accept "yes" when they are told to.
struct Late final : auth::Authenticator {
    struct Rounds final : auth::Exchange {
        explicit Rounds(const std::shared_ptr<Questions>& questions) : questions(questions) {}
        auth::Answer next(std::string_view) override { return refused(auth::Outcome::not_authorized); }
        void next_async(std::string_view data, auth::OnAnswer done) override {
            questions.lock()->asked.push_back({std::string(data), {}, {}, {}, 0, {}, std::move(done)});
        }
        std::weak_ptr<Questions> questions;   // a question that nobody answers keeps its exchange
    };
    explicit Late(std::shared_ptr<Questions> questions) : questions(std::move(questions)) {}
    auth::Answer check(const auth::Credentials&) override { return refused(auth::Outcome::not_authorized); }
    void check_async(const auth::Credentials& c, auth::OnAnswer done) override {
        questions->asked.push_back({std::string(c.client_id), std::string(c.user_name.value_or("")),
                                    std::string(c.address), std::string(c.listener), c.now_ms, c.abandoned,
                                    std::move(done)});
    }
    std::unique_ptr<auth::Exchange> begin(const auth::Credentials&, auth::Answer& first) override {
        first = {auth::Outcome::more, {}, "challenge", {}};
        return std::make_unique<Rounds>(questions);
    }
    std::shared_ptr<Questions> questions;
};

/// Lets everybody in as the user that they say they are.
struct Believer final : auth::Authenticator {
    auth::Answer check(const auth::Credentials& credentials) override {
        return logged_in_as(std::string(credentials.user_name.value_or("")));
    }
    std::unique_ptr<auth::Exchange> begin(const auth::Credentials&, auth::Answer&) override { return nullptr; }
};

struct KeptTrail final : AuditSink {
    void note(auth::audit::Record&& record) override { records.push_back(std::move(record)); }
    void note(const Denial& denial) override {
        denials.push_back(std::string(denial.action) + " " + std::string(denial.actor) + " " +
                          std::string(denial.object) + ": " + std::string(denial.reason));
    }
    std::vector<auth::audit::Record> records;
    std::vector<std::string> denials;
};

struct As {
    std::string id = "a", user = {};
    bool clean = true;
    std::uint32_t expiry_s = 0;
    Version version = Version::v5;
    std::string method = {};
};

Peer& begin(Script& script, const As& as, std::uint32_t shard = 0) {
    Peer& peer = script.open(shard, as.version);
    mqtt::Connect connect;
    connect.version = as.version;
    connect.client_id = as.id;
    connect.clean_start = as.clean;
    if (!as.user.empty()) connect.user_name = as.user;
    if (as.version == Version::v5) {
        connect.session_expiry_s = as.expiry_s;
        connect.has_session_expiry = as.expiry_s != 0;
    }
    if (!as.method.empty()) connect.authentication_method = as.method;
    mqtt::Buffer out;
    mqtt::encode(out, connect);
    peer.send_bytes(out.view());
    return peer;
}

struct LateScript : Script {
    using Script::Script;
    std::shared_ptr<Questions> questions = std::make_shared<Questions>();
    void use() { attach(std::make_unique<Late>(questions)); }
    void answer(std::size_t at, auth::Answer answer) {
        questions->asked.at(at).done(std::move(answer));
        settle();
    }
};

}  // namespace

TEST_CASE("a CONNECT waits for its answer, and what came with it comes after", "[core][session]") {
    LateScript script;
    script.use();
    const Version version = GENERATE(Version::v5, Version::v311);
    Peer& a = begin(script, {.user = "ann", .version = version});
    CHECK(a.quiet());
    REQUIRE(script.questions->asked.size() == 1);
    CHECK(script.questions->asked[0].user == "ann");
    CHECK(script.questions->asked[0].now_ms == script.now.wall_ms);
    a.subscribe(1, "t");
    a.send(Text{.topic = "t", .payload = "early"});
    CHECK(a.quiet());
    script.answer(0, logged_in_as("ann"));
    CHECK(a.expect<mqtt::Connack>().reason == Reason::success);
    (void)a.expect<mqtt::Suback>();
    CHECK(a.expect<mqtt::Publish>().payload == "early");
    script.answer(0, refused(auth::Outcome::not_authorized));   // twice: the first counts
    a.ping();
    CHECK_FALSE(a.quiet());
    CHECK_FALSE(a.transport.closed);
}

TEST_CASE("an answer may come on another thread", "[core][session]") {
    LateScript script;
    script.use();
    Peer& a = begin(script, {.user = "ann"});
    std::thread([&] { script.questions->asked[0].done(logged_in_as("ann")); }).join();
    script.settle();
    CHECK(a.expect<mqtt::Connack>().reason == Reason::success);
}

TEST_CASE("refusals have the code of each version", "[core][session]") {
    struct Row {
        auth::Outcome outcome;
        Reason v5;
        std::uint8_t v3;
    };
    const Row row = GENERATE(Row{auth::Outcome::bad_credentials, Reason::bad_user_name_or_password, 4},
                             Row{auth::Outcome::not_authorized, Reason::not_authorized, 5},
                             Row{auth::Outcome::busy, Reason::server_busy, 3},
                             Row{auth::Outcome::unavailable, Reason::server_unavailable, 3});
    LateScript script;
    script.use();
    Peer& five = begin(script, {.id = "five", .user = "x"});
    Peer& three = begin(script, {.id = "three", .user = "x", .version = Version::v311});
    script.answer(0, refused(row.outcome));
    script.answer(1, refused(row.outcome));
    const auto connack = five.expect<mqtt::Connack>();
    CHECK(connack.reason == row.v5);
    CHECK(connack.reason_string == "no");
    CHECK(three.expect<mqtt::Connack>().v3_code == row.v3);
    CHECK(five.transport.closed);
    CHECK(three.transport.closed);
    const auto& logins = script.broker->counters(0).logins;
    const auto result = row.outcome == auth::Outcome::busy          ? LoginResult::busy
                        : row.outcome == auth::Outcome::unavailable ? LoginResult::unavailable
                                                                    : LoginResult::refused;
    CHECK(logins[0][static_cast<std::size_t>(result)].get() == 2);
}

TEST_CASE("an answer that never comes ends at the deadline of the CONNECT", "[core][session]") {
    LateScript script;
    script.use();
    Peer& a = begin(script, {.user = "ann"});
    Peer& old = begin(script, {.id = "old", .user = "ann", .version = Version::v311});
    CHECK_FALSE(*script.questions->asked[0].abandoned);
    for (int s = 0; s < 12; ++s) script.pass(1'000);
    CHECK(a.expect<mqtt::Connack>().reason == Reason::server_busy);
    CHECK(old.expect<mqtt::Connack>().v3_code == 3);
    CHECK(a.transport.closed);
    CHECK(*script.questions->asked[0].abandoned);               // nobody needs to hash for it
    script.answer(0, logged_in_as("ann"));                                // too late for anything
    CHECK(a.quiet());
    CHECK(script.broker->counters(0).connections.get() == 0);
}

TEST_CASE("an answer after the peer went away, or after the broker, changes nothing", "[core][session]") {
    auto questions = std::make_shared<Questions>();
    {
        LateScript script;
        script.questions = questions;
        script.use();
        begin(script, {.user = "ann"}).drop();
        CHECK(*questions->asked[0].abandoned);
        script.answer(0, logged_in_as("ann"));
        CHECK(script.broker->counters(0).sockets.get() == 0);

        Peer& waits = begin(script, {.id = "b", .user = "ann"});
        bool done = false;
        script.broker->shut_down("", [&] { done = true; });
        script.settle();
        CHECK(done);
        CHECK(waits.expect<mqtt::Connack>().reason == Reason::server_unavailable);
        script.answer(1, logged_in_as("ann"));
        begin(script, {.id = "c", .user = "ann"});
    }
    for (auto& one : questions->asked) one.done(logged_in_as("ann"));
}

TEST_CASE("what comes before the answer is bounded", "[core][session]") {
    LateScript script;
    script.use();
    Peer& a = begin(script, {.user = "ann"});
    for (int i = 0; i < 64 && a.transport.reading; ++i) a.send(Text{.topic = "t", .payload = std::string(1'000, 'x')});
    CHECK_FALSE(a.transport.reading);
    script.answer(0, logged_in_as("ann"));
    CHECK(a.expect<mqtt::Connack>().reason == Reason::success);
    CHECK(a.transport.reading);
}

TEST_CASE("two that wait for the same identifier come in one after the other", "[core][session]") {
    LateScript script(2);
    script.use();
    Peer& first = begin(script, {.user = "ann"}, 0);
    Peer& second = begin(script, {.user = "ann"}, 1);
    script.answer(1, logged_in_as("ann"));
    CHECK(second.expect<mqtt::Connack>().reason == Reason::success);
    script.answer(0, logged_in_as("ann"));                                // whoever was let in last has it
    CHECK(first.expect<mqtt::Connack>().reason == Reason::success);
    CHECK(second.expect<mqtt::Disconnect>().reason == Reason::session_taken_over);
}

TEST_CASE("AUTH packets wait for their answers before the CONNACK and later", "[core][session]") {
    LateScript script;
    script.use();
    Peer& a = begin(script, {.method = "ROUNDS"});
    CHECK(a.expect<mqtt::Auth>().data == "challenge");
    a.auth(Reason::continue_authentication, "ROUNDS", "one");
    CHECK(a.quiet());
    script.answer(0, {auth::Outcome::more, {}, "again", {}});
    CHECK(a.expect<mqtt::Auth>().data == "again");
    a.auth(Reason::continue_authentication, "ROUNDS", "two");
    script.answer(1, logged_in_as("ann"));
    CHECK(a.expect<mqtt::Connack>().authentication_method == "ROUNDS");

    script.subscribe(a, "t", 0);
    a.auth(Reason::re_authenticate, "ROUNDS", "three");
    a.send(Text{.topic = "t"});                                 // the session goes on meanwhile
    CHECK(a.expect<mqtt::Publish>().topic == "t");
    script.answer(2, logged_in_as("ann"));
    CHECK(a.expect<mqtt::Auth>().reason == Reason::success);
    a.auth(Reason::re_authenticate, "ROUNDS", "four");
    a.auth(Reason::re_authenticate, "ROUNDS", "five");
    CHECK(a.expect<mqtt::Disconnect>().reason == Reason::protocol_error);
    script.answer(3, logged_in_as("ann"));

    Peer& gone = begin(script, {.method = "ROUNDS"});
    gone.auth(Reason::continue_authentication, "ROUNDS", "six");
    gone.drop();
    script.answer(4, logged_in_as("ann"));
    CHECK(script.broker->counters(0).connections.get() == 0);
}

TEST_CASE("what a client showed expires on the live connection, and is renewed by AUTH", "[core][session]") {
    LateScript script;
    script.use();
    const std::int64_t start = script.now.wall_ms;
    Peer& five = begin(script, {.method = "ROUNDS"});
    (void)five.expect<mqtt::Auth>();
    five.auth(Reason::continue_authentication, "ROUNDS", "token");
    script.answer(0, logged_in_as("ann", start + 5'000));
    CHECK(five.expect<mqtt::Connack>().reason == Reason::success);
    Peer& three = begin(script, {.id = "three", .user = "bob", .version = Version::v311});
    script.answer(1, logged_in_as("bob", start + 5'000));
    CHECK(three.expect<mqtt::Connack>().v3_code == 0);
    five.auth(Reason::re_authenticate, "ROUNDS", "token");
    script.answer(2, logged_in_as("ann", start + 20'000));
    CHECK(five.expect<mqtt::Auth>().reason == Reason::success);
    for (int s = 0; s < 4; ++s) script.pass(1'000);
    CHECK_FALSE(three.transport.closed);
    for (int s = 0; s < 3; ++s) script.pass(1'000);
    CHECK(three.transport.closed);
    CHECK_FALSE(five.transport.closed);
    for (int s = 0; s < 15; ++s) script.pass(1'000);
    const auto end = five.expect<mqtt::Disconnect>();
    CHECK(end.reason == Reason::not_authorized);
    CHECK(end.reason_string->find("expired") != std::string_view::npos);
    CHECK(five.transport.closed);
}

TEST_CASE("a reload ends the connections of users who may not connect any more", "[core][session]") {
    auth::AccessStore access;
    const auto load = [&](const std::string& users) {
        REQUIRE(access.load("trunkline: 1\nusers: {" + users + "}\nroles: {r: {}}\n", "roles.yaml").taken);
    };
    load("ann: {roles: [r]}, bob: {roles: [r]}, carl: {roles: [r]}");
    Script script;
    script.broker->attach(access);
    script.attach(std::make_unique<Believer>());
    std::vector<Peer*> peers;
    for (const char* user : {"ann", "bob", "carl"}) {
        peers.push_back(&begin(script, {.id = user, .user = user}));
        CHECK(peers.back()->expect<mqtt::Connack>().reason == Reason::success);
    }
    if (GENERATE(true, false)) script.pass(1'000);   // or within the shard's very first moments
    load("ann: {roles: [r]}, bob: {roles: [r], disabled: true}");
    script.pass(1'000);
    CHECK_FALSE(peers[0]->transport.closed);
    for (Peer* gone : {peers[1], peers[2]}) {
        CHECK(gone->expect<mqtt::Disconnect>().reason == Reason::not_authorized);
        CHECK(gone->transport.closed);
    }
}

TEST_CASE("a connection is not taken over by another user", "[core][session]") {
    const auto version = GENERATE(Version::v5, Version::v311);
    Script script(2);
    KeptTrail trail;
    script.broker->attach(trail);
    script.attach(std::make_unique<Believer>());
    Peer& ann = begin(script, {.user = "ann"});
    CHECK(ann.expect<mqtt::Connack>().reason == Reason::success);
    for (const std::string user : {"bob", ""}) {
        Peer& other = begin(script, {.user = user, .version = version}, 1);
        const auto connack = other.expect<mqtt::Connack>();
        CHECK((version == Version::v5 ? connack.reason == Reason::not_authorized : connack.v3_code == 5));
        CHECK(other.transport.closed);
    }
    script.settle();
    ann.ping();
    CHECK_FALSE(ann.transport.closed);
    CHECK(trail.denials.at(0) == "takeover bob a: another user has this client identifier");
    CHECK(trail.records.size() == 2);                           // the logins of ann and bob

    Peer& again = begin(script, {.user = "ann"}, 1);
    script.settle();
    CHECK(again.expect<mqtt::Connack>().reason == Reason::success);
    CHECK(ann.transport.closed);
    CHECK(trail.records.back().action == "takeover");
    CHECK(trail.records.back().object == "a");
}

TEST_CASE("a stored session belongs to its user, over a restart too", "[core][session]") {
    Script script;
    script.attach(std::make_unique<Believer>());
    Peer& ann = begin(script, {.user = "ann", .clean = false, .expiry_s = 1'000});
    script.settle();
    (void)ann.expect<mqtt::Connack>();
    script.subscribe(ann, "t", 1);
    ann.disconnect();
    script.settle();
    const bool restart = GENERATE(false, true);
    if (restart) {
        script.restart();
        script.attach(std::make_unique<Believer>());
    }
    for (const bool clean : {true, false}) {
        for (const std::uint32_t expiry_s : {0U, 100U}) {
            Peer& bob = begin(script, {.user = "bob", .clean = clean, .expiry_s = expiry_s});
            script.settle();
            CHECK(bob.expect<mqtt::Connack>().reason == Reason::not_authorized);
        }
    }
    Peer& nobody = begin(script, {.clean = true});
    script.settle();
    CHECK(nobody.expect<mqtt::Connack>().reason == Reason::not_authorized);
    Peer& back = begin(script, {.user = "ann", .clean = false, .expiry_s = 1'000});
    script.settle();
    CHECK(back.expect<mqtt::Connack>().session_present);
}

TEST_CASE("of a session that was nobody's somebody gets the identifier, and not the messages", "[core][session]") {
    Script script;
    script.attach(std::make_unique<Believer>());
    Peer& nobody = begin(script, {.clean = false, .expiry_s = 1'000});
    script.settle();
    (void)nobody.expect<mqtt::Connack>();
    script.subscribe(nobody, "t", 1);
    const bool live = GENERATE(false, true);
    if (!live) nobody.disconnect();
    script.settle();
    Peer& ann = begin(script, {.user = "ann", .clean = false, .expiry_s = 1'000});
    script.settle();
    const auto connack = ann.expect<mqtt::Connack>();
    CHECK(connack.reason == Reason::success);
    CHECK_FALSE(connack.session_present);
    CHECK(nobody.transport.closed);
    Peer& late = begin(script, {.clean = false, .expiry_s = 1'000});
    script.settle();
    CHECK(late.expect<mqtt::Connack>().reason == Reason::not_authorized);
}

TEST_CASE("a claim that another user's overtook in the log is refused there", "[core][session]") {
    Script script;
    script.attach(std::make_unique<Believer>());
    Peer& ann = begin(script, {.user = "ann", .clean = false, .expiry_s = 1'000});
    ann.drop();                                                 // the registry forgets her, the log has her claim
    Peer& bob = begin(script, {.user = "bob", .clean = false, .expiry_s = 1'000});
    script.settle();
    CHECK(bob.expect<mqtt::Connack>().reason == Reason::not_authorized);
}
