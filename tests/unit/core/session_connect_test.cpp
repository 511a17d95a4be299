// Scripts about connections: CONNECT to DISCONNECT, takeover, wills, time, enhanced authentication.
#include <catch2/catch.hpp>

#include <algorithm>

#include "broker/core/shard.h"
#include "tests/unit/core/script.h"

using namespace trunkline;
using namespace trunkline::broker;
using namespace trunkline::broker::test;
using mqtt::PacketType;
using mqtt::Reason;
using mqtt::Version;

namespace {

mqtt::Will will(std::string_view payload = "gone", std::uint8_t qos = 1, std::uint32_t delay_s = 0) {
    mqtt::Will will;
    will.topic = "will";
    will.payload = payload;
    will.qos = qos;
    will.delay_s = delay_s;
    return will;
}

/// Knows one method, "TWO": asks for "more" once, accepts "yes", refuses anything else.
struct TwoRounds final : auth::Authenticator {
    struct Rounds final : auth::Exchange {
        auth::Answer next(std::string_view data) override {
            if (data == "again") return {auth::Outcome::more, {}, "challenge", {}};
            if (data == "yes") return {auth::Outcome::accept, "ann", "welcome", {}};
            return {auth::Outcome::bad_credentials, {}, {}, "no"};
        }
    };
    auth::Answer check(const auth::Credentials&) override { return {auth::Outcome::accept, {}, {}, {}}; }
    std::unique_ptr<auth::Exchange> begin(const auth::Credentials& credentials, auth::Answer& first) override {
        if (credentials.method != "TWO") {
            first = {auth::Outcome::bad_method, {}, {}, "only TWO"};
            return nullptr;
        }
        first = {auth::Outcome::more, {}, "challenge", {}};
        return std::make_unique<Rounds>();
    }
};

Peer& begin_auth(Script& script, std::string_view method, std::uint32_t expiry_s = 0) {
    Peer& peer = script.open();
    mqtt::Connect connect;
    connect.client_id = "a";
    connect.clean_start = true;
    connect.authentication_method = method;
    connect.authentication_data = "hello";
    connect.session_expiry_s = expiry_s;
    connect.has_session_expiry = expiry_s != 0;
    mqtt::Buffer out;
    mqtt::encode(out, connect);
    peer.send_bytes(out.view());
    return peer;
}

}  // namespace

TEST_CASE("the first packet is a CONNECT and there is no second one", "[core][session]") {
    Script script;
    Peer& wrong = script.open();
    wrong.ping();
    CHECK(wrong.transport.closed);  // [MQTT-3.1.0-1]
    CHECK(wrong.quiet());           // [MQTT-3.14.0-1]: no DISCONNECT before the CONNACK
    Peer& twice = script.connect({.id = "twice"});
    twice.send(Hello{.id = "twice"});
    CHECK(twice.expect<mqtt::Disconnect>().reason == Reason::protocol_error);  // [MQTT-3.1.0-2]
    CHECK(twice.transport.closed);
}

TEST_CASE("a client without an identifier is given one", "[core][session]") {
    Script script;
    mqtt::Connack connack;
    script.connect({.id = ""}, 0, &connack);
    REQUIRE(connack.assigned_client_id);  // [MQTT-3.1.3-6] [MQTT-3.2.2-16]
    const std::string first(*connack.assigned_client_id);
    script.connect({.id = ""}, 0, &connack);
    CHECK(*connack.assigned_client_id != first);
    Peer& old = script.open(0, Version::v311);
    old.send(Hello{.id = "", .clean = false, .version = Version::v311});
    CHECK(old.expect<mqtt::Connack>().v3_code == 2);
    CHECK(old.transport.closed);
}

TEST_CASE("a new connection takes the client identifier over, on any shard", "[core][session]") {
    Script script(3);
    const std::uint32_t to = GENERATE(0U, 1U);
    const std::uint32_t expiry_s = GENERATE(0U, 100U);
    Peer& other = script.connect({.id = "other"}, 2);
    script.subscribe(other, "will", 1);
    Peer& old = script.connect({.id = "a", .clean = false, .expiry_s = expiry_s, .will = will()}, 0);
    script.subscribe(old, "t", 1);
    Peer& p = script.connect({.id = "p"}, 2);
    p.send(Text{.payload = "1", .qos = 1, .id = 1});
    script.settle();
    const std::uint16_t id = old.expect<mqtt::Publish>().packet_id;

    mqtt::Connack connack;
    Peer& fresh = script.connect({.id = "a", .clean = false, .expiry_s = expiry_s}, to, &connack);
    CHECK(old.expect<mqtt::Disconnect>().reason == Reason::session_taken_over);  // [MQTT-3.1.4-3]
    CHECK(old.transport.closed);
    CHECK(connack.session_present == (expiry_s > 0));
    script.settle();
    CHECK(other.payloads() == std::vector<std::string>{"gone"});
    if (expiry_s == 0) {
        CHECK(fresh.quiet());
        return;
    }
    const auto again = fresh.expect<mqtt::Publish>();
    CHECK(again.dup);
    CHECK(again.packet_id == id);
    fresh.ack(PacketType::puback, id);
    p.send(Text{.payload = "2", .qos = 1, .id = 2});
    script.settle();
    CHECK(fresh.payloads() == std::vector<std::string>{"2"});
}

TEST_CASE("a chain of takeovers ends with the last one connected", "[core][session]") {
    Script script(3);
    const std::uint32_t expiry_s = GENERATE(0U, 100U);
    Peer& first = script.connect({.id = "a", .clean = false, .expiry_s = expiry_s}, 0);
    script.subscribe(first, "t", 1);
    const Hello hello{.id = "a", .clean = false, .expiry_s = expiry_s};
    std::vector<Peer*> chain;
    mqtt::Connect connect;
    connect.client_id = "a";
    connect.session_expiry_s = expiry_s;
    connect.has_session_expiry = expiry_s != 0;
    mqtt::Buffer bytes;
    mqtt::encode(bytes, connect);
    for (const std::uint32_t shard : {1U, 2U, 0U, 1U}) {  // all before any of them is answered
        Peer& peer = script.open(shard);
        script.broker->shard(shard).on_bytes(*peer.client, bytes.view());
        if (peer.transport.closed) peer.client = nullptr;
        chain.push_back(&peer);
    }
    script.settle();
    CHECK(first.expect<mqtt::Disconnect>().reason == Reason::session_taken_over);
    for (std::size_t i = 0; i + 1 < chain.size(); ++i) {
        CHECK(chain[i]->transport.closed);
        if (chain[i]->quiet()) continue;
        CHECK(chain[i]->expect<mqtt::Connack>().reason != Reason::success);
    }
    const auto connack = chain.back()->expect<mqtt::Connack>();
    CHECK(connack.reason == Reason::success);
    CHECK(connack.session_present == (expiry_s > 0));
    Peer& p = script.connect({.id = "p"}, 1);
    p.send(Text{.payload = "1", .qos = 1, .id = 1});
    script.settle();
    CHECK(chain.back()->payloads().size() == (expiry_s > 0 ? 1 : 0));
}

TEST_CASE("what is left of a connection given up takes the session from no later one", "[core][session]") {
    Script script(2);
    const std::uint32_t expiry_s = GENERATE(0U, 100U), shard = GENERATE(0U, 1U);
    const bool ended = GENERATE(true, false);
    const Hello hello{.id = "a", .clean = false, .expiry_s = expiry_s};
    Peer& early = script.open(0);
    Peer& later = script.connect(hello, shard);
    early.transport.peer_ended = ended;
    early.send(hello);   // in its socket since before the other came, read now
    script.settle();
    CHECK(early.expect<mqtt::Connack>().reason == (ended ? Reason::unspecified_error : Reason::success));
    CHECK(early.transport.closed == ended);
    CHECK(later.transport.closed == !ended);   // who is still there is another device of that name [MQTT-3.1.4-3]
    if (!ended) return;
    CHECK(later.quiet());
    script.subscribe(later, "t", 0);
    later.send(Text{.payload = "1"});
    CHECK(later.payloads() == std::vector<std::string>{"1"});
}

TEST_CASE("connections that go while they wait for a takeover leave the identifier to the next", "[core][session]") {
    Script script(2);
    Peer& first = script.connect({.id = "a", .clean = false, .expiry_s = 100}, 0);
    script.subscribe(first, "t", 1);
    mqtt::Connect connect;
    connect.client_id = "a";
    connect.session_expiry_s = 100;
    connect.has_session_expiry = true;
    mqtt::Buffer bytes;
    mqtt::encode(bytes, connect);
    Peer& waits = script.open(1);
    script.broker->shard(1).on_bytes(*waits.client, bytes.view());
    script.broker->shard(1).on_closed(*waits.client);
    waits.client = nullptr;
    script.settle();
    CHECK(first.transport.closed);
    mqtt::Connack connack;
    script.connect({.id = "a", .clean = false, .expiry_s = 100}, 1, &connack);
    CHECK(connack.session_present);
    CHECK(script.broker->durable_session_count() == 1);
}

TEST_CASE("a will is published unless DISCONNECT 0x00 came first", "[core][session]") {
    Script script(2);
    const std::uint32_t expiry_s = GENERATE(0U, 100U);
    Peer& other = script.connect({.id = "other"}, 1);
    script.subscribe(other, "will", 2);
    const Hello hello{.id = "a", .expiry_s = expiry_s, .will = will()};
    Peer* a = &script.connect(hello);
    a->drop();
    script.settle();
    CHECK(other.payloads() == std::vector<std::string>{"gone"});  // [MQTT-3.1.2-8]
    a = &script.connect(hello);
    a->disconnect();
    script.settle();
    CHECK(other.quiet());  // [MQTT-3.1.2-10] [MQTT-3.14.4-3]
    a = &script.connect(hello);
    a->disconnect(Reason::disconnect_with_will);
    script.settle();
    CHECK(other.payloads() == std::vector<std::string>{"gone"});
    a = &script.connect(hello);
    a->send_bytes(std::string_view("\xF0\x00\x00", 3));  // malformed AUTH
    script.settle();
    CHECK(other.payloads() == std::vector<std::string>{"gone"});
}

TEST_CASE("a delayed will waits, is withdrawn by a reconnect and never outlives its session", "[core][session]") {
    Script script;
    Peer& other = script.connect({.id = "other"});
    script.subscribe(other, "will", 1);
    const Hello hello{.id = "a", .clean = false, .expiry_s = 60, .will = will("late", 1, 20)};
    Peer* a = &script.connect(hello);
    a->drop();
    script.settle();
    script.pass(10'000);
    script.settle();
    CHECK(other.quiet());
    a = &script.connect(hello);
    script.pass(30'000);
    script.settle();
    CHECK(other.quiet());  // [MQTT-3.1.3-9]
    a->drop();
    script.settle();
    script.pass(21'000);
    script.settle();
    CHECK(other.payloads() == std::vector<std::string>{"late"});

    a = &script.connect({.id = "a", .clean = true, .expiry_s = 5, .will = will("end", 1, 50)});
    a->drop();
    script.settle();
    script.pass(6'000);
    script.settle();
    CHECK(other.payloads() == std::vector<std::string>{"end"});  // the session ended before the delay

    a = &script.connect(hello);
    a->drop();
    script.settle();
    Hello clean{.id = "a", .clean = true, .expiry_s = 60};
    script.connect(clean);  // ends the old session, and with it the wait
    script.settle();
    CHECK(other.payloads() == std::vector<std::string>{"late"});
}

TEST_CASE("a retained will is kept, and a will survives a crash of the broker", "[core][session]") {
    Script script;
    mqtt::Will kept = will("kept", 0);
    kept.retain = true;
    Peer& a = script.connect({.id = "a", .clean = false, .expiry_s = 60, .will = kept});
    (void)a;
    script.restart();
    script.settle();
    Peer& late = script.connect({.id = "late"});
    late.subscribe(1, "will");
    (void)late.expect<mqtt::Suback>();
    const auto message = late.expect<mqtt::Publish>();
    CHECK(message.retain);  // [MQTT-3.1.2-15]
    CHECK(message.payload == "kept");
}

TEST_CASE("a client that is silent for one and a half keep alive periods is gone", "[core][session]") {
    Script script;
    Peer& a = script.connect({.id = "a", .keep_alive_s = 10});
    for (int i = 0; i < 3; ++i) {
        for (int s = 0; s < 14; ++s) script.pass(1'000);
        a.ping();
        CHECK(std::holds_alternative<tests::Ping>(*a.next()));  // [MQTT-3.12.4-1]
    }
    for (int s = 0; s < 17; ++s) script.pass(1'000);
    CHECK(a.expect<mqtt::Disconnect>().reason == Reason::keep_alive_timeout);  // [MQTT-3.1.2-22]
    CHECK(a.transport.closed);
    Peer& old = script.connect({.id = "old", .version = Version::v311});
    for (int s = 0; s < 300; ++s) script.pass(10'000);
    CHECK_FALSE(old.transport.closed);
}

TEST_CASE("a connection without a CONNECT is closed after its time", "[core][session]") {
    Script script;
    Peer& a = script.open();
    for (int s = 0; s < 9; ++s) script.pass(1'000);
    CHECK_FALSE(a.transport.closed);
    for (int s = 0; s < 3; ++s) script.pass(1'000);
    CHECK(a.transport.closed);
}

TEST_CASE("a client that takes nothing for a minute is closed", "[core][session]") {
    Script script;
    Peer& a = script.connect({.id = "a"});
    script.subscribe(a, "t", 0);
    Peer& p = script.connect({.id = "p"});
    a.transport.takes = 0;
    p.send(Text{});
    for (int s = 0; s < 59; ++s) script.pass(1'000);
    CHECK_FALSE(a.transport.closed);
    for (int s = 0; s < 62; ++s) script.pass(1'000);
    CHECK(a.transport.closed);
}

TEST_CASE("enhanced authentication: rounds before the CONNACK and again later", "[core][session]") {
    Script script;
    script.attach(std::make_unique<TwoRounds>());
    Peer& a = begin_auth(script, "TWO", GENERATE(0U, 60U));
    auto more = a.expect<mqtt::Auth>();
    CHECK(more.reason == Reason::continue_authentication);  // [MQTT-4.12.0-2] [MQTT-3.15.2-1]
    CHECK(more.method == "TWO");                            // [MQTT-4.12.0-5]
    CHECK(more.data == "challenge");
    CHECK_FALSE(more.reason_string);                        // [MQTT-3.15.2-2]
    CHECK(more.user_properties.empty());                    // [MQTT-3.15.2-3]
    a.auth(Reason::continue_authentication, "TWO", "again");
    CHECK(a.expect<mqtt::Auth>().data == "challenge");
    a.auth(Reason::continue_authentication, "TWO", "yes");
    script.settle();
    const auto connack = a.expect<mqtt::Connack>();
    CHECK(connack.reason == Reason::success);
    CHECK(connack.authentication_method == "TWO");
    CHECK(connack.authentication_data == "welcome");

    script.subscribe(a, "t", 0);
    a.auth(Reason::re_authenticate, "TWO", "again");  // [MQTT-4.12.1-1]
    CHECK(a.expect<mqtt::Auth>().reason == Reason::continue_authentication);
    a.send(Text{});                                   // the session goes on meanwhile
    CHECK(a.expect<mqtt::Publish>().topic == "t");
    a.auth(Reason::continue_authentication, "TWO", "yes");
    CHECK(a.expect<mqtt::Auth>().reason == Reason::success);
    a.auth(Reason::re_authenticate, "TWO", "wrong");
    CHECK(a.expect<mqtt::Disconnect>().reason == Reason::not_authorized);  // [MQTT-4.12.1-2]
    CHECK(a.transport.closed);
}

TEST_CASE("enhanced authentication that goes wrong ends the connection", "[core][session]") {
    Script script;
    script.attach(std::make_unique<TwoRounds>());
    Peer& unknown = begin_auth(script, "THREE");
    CHECK(unknown.expect<mqtt::Connack>().reason == Reason::bad_authentication_method);  // [MQTT-4.12.0-1]
    CHECK(unknown.transport.closed);

    Peer& wrong = begin_auth(script, "TWO");
    (void)wrong.expect<mqtt::Auth>();
    wrong.auth(Reason::continue_authentication, "TWO", "wrong");
    CHECK(wrong.expect<mqtt::Connack>().reason == Reason::bad_user_name_or_password);  // [MQTT-4.12.0-4]
    CHECK(wrong.transport.closed);

    Peer& other = begin_auth(script, "TWO");
    (void)other.expect<mqtt::Auth>();
    other.auth(Reason::continue_authentication, "THREE", "yes");
    CHECK(other.expect<mqtt::Connack>().reason == Reason::protocol_error);  // [MQTT-4.12.0-5]

    Peer& early = begin_auth(script, "TWO");
    (void)early.expect<mqtt::Auth>();
    early.ping();
    CHECK(early.expect<mqtt::Connack>().reason == Reason::protocol_error);

    Peer& plain = script.connect({.id = "plain"});
    plain.auth(Reason::re_authenticate, "TWO", "yes");
    CHECK(plain.expect<mqtt::Disconnect>().reason == Reason::protocol_error);  // [MQTT-4.12.0-6]

    Peer& slow = begin_auth(script, "TWO");
    (void)slow.expect<mqtt::Auth>();
    for (int s = 0; s < 12; ++s) script.pass(1'000);
    CHECK(static_cast<int>(slow.expect<mqtt::Connack>().reason) >= 0x80);
    CHECK(slow.transport.closed);
}

TEST_CASE("a broker that is drained tells its clients where to go", "[core][session]") {
    Script script(2);
    const bool reference = GENERATE(false, true);
    Peer& a = script.connect({.id = "a", .clean = false, .expiry_s = 60});
    Peer& b = script.connect({.id = "b"}, 1);
    Peer& old = script.connect({.id = "old", .version = Version::v311}, 1);
    Peer& waiting = script.open(1);
    waiting.send(Hello{.id = "w", .clean = false, .expiry_s = 60});
    Peer& fresh = script.open(1);
    bool done = false;
    script.broker->shut_down(reference ? "other:1883" : "", [&] { done = true; });
    script.turn();
    CHECK_FALSE(done);
    script.settle();
    CHECK(done);
    for (Peer* peer : {&a, &b}) {
        const auto bye = peer->expect<mqtt::Disconnect>();
        CHECK(bye.reason == (reference ? Reason::use_another_server : Reason::server_shutting_down));
        CHECK(bye.server_reference.value_or("") == (reference ? "other:1883" : ""));
        CHECK(peer->transport.closed);
    }
    CHECK(old.transport.closed);
    CHECK(old.quiet());
    CHECK(static_cast<int>(waiting.expect<mqtt::Connack>().reason) >= 0x80);
    CHECK(fresh.transport.closed);
    Peer& late = script.open();
    late.send(Hello{.id = "late"});
    CHECK(late.expect<mqtt::Connack>().reason == Reason::server_unavailable);
}

TEST_CASE("an administrator lists and kicks clients", "[core][session]") {
    Script script(2);
    script.connect({.id = "a"}, 0);
    Peer& b = script.connect({.id = "b", .clean = false, .expiry_s = 60}, 1);
    std::vector<std::string> ids;
    bool done = false;
    script.broker->visit_clients([&](const ClientInfo& info) { ids.push_back(info.client_id); }, [&] { done = true; });
    script.turn();
    CHECK(done);
    CHECK(ids == std::vector<std::string>{"a", "b"});
    std::vector<bool> found;
    for (const char* id : {"b", "nobody"}) script.broker->kick(id, [&](bool was) { found.push_back(was); });
    script.turn();
    CHECK(std::count(found.begin(), found.end(), true) == 1);
    CHECK(b.expect<mqtt::Disconnect>().reason == Reason::administrative_action);
}
