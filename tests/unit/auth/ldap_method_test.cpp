#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "auth/chain.h"
#include "auth/ldap_method.h"
#include "auth/ldap_text.h"
#include "tests/unit/auth/samples.h"

using namespace trunkline;
using namespace trunkline::auth;
using namespace trunkline::auth::test;

namespace {

using Kind = DirectoryReply::Kind;

// Answers everybody alike, at once, and counts.
struct FakeDirectory : Directory {
    DirectoryReply next;
    int logins = 0;
    void login(std::shared_ptr<const Attempt>, OnReply done) override {
        ++logins;
        done(DirectoryReply(next));
    }
};

struct LdapFixture {
    FakeDirectory service;
    std::vector<BackendHealth::News> news;
    BackendHealth health{[this](const BackendHealth::News& one) { news.push_back(one); }};
    AccessStore store;
    Backoff backoff;
    GroupRoles roles;

    Answer ask(Kind kind, const char* user = "ann", const char* password = "valve",
               WhenUnreachable when = WhenUnreachable::deny) {
        return ask_bytes(kind, user, password, when);
    }
    Answer ask_bytes(Kind kind, std::string_view user, std::string_view password,
                     WhenUnreachable when = WhenUnreachable::deny) {
        service.next.kind = kind;
        service.next.what = "what it says";
        AuthChain chain({std::make_shared<LdapMethod>(service, health, roles, when)}, store, backoff);
        Credentials credentials;
        credentials.client_id = "c";
        credentials.user_name = user;
        credentials.password = password;
        credentials.address = "192.0.2.1";
        credentials.now_ms = 1'000'000;
        return chain.check(credentials);
    }
};

}  // namespace

TEST_CASE("a user name in a distinguished name is nothing but a value", "[auth][ldap]") {
    CHECK(escape_dn_value("ann") == "ann");
    CHECK(escape_dn_value("ann,ou=admins") == "ann\\2cou\\3dadmins");
    CHECK(escape_dn_value(" #x ") == "\\20#x\\20");
    CHECK(escape_dn_value("#x") == "\\23x");
    CHECK(escape_dn_value("a b") == "a b");
    CHECK(escape_dn_value(" ") == "\\20");
    CHECK(escape_dn_value("a+b;c<d>e\"f\\g") == "a\\2bb\\3bc\\3cd\\3ee\\22f\\5cg");
    CHECK(escape_dn_value(std::string_view("a\0b\r\n", 5)) == "a\\00b\\0d\\0a");
    CHECK(escape_dn_value("J\xc3\xb6rg") == "J\xc3\xb6rg");
    CHECK(fill_dn("uid=%u,ou=100%%,dc=x", {"a,b", "never"}) == "uid=a\\2cb,ou=100%,dc=x");
    CHECK(fill_dn("uid=%u", {"%u%d%%", {}}) == "uid=%u%d%%");      // what is filled in is not a template again
}

TEST_CASE("a user name in a filter is nothing but a value", "[auth][ldap]") {
    CHECK(escape_filter_value("ann") == "ann");
    CHECK(escape_filter_value("*") == "\\2a");
    CHECK(escape_filter_value("a)(|(uid=*") == "a\\29\\28|\\28uid=\\2a");
    CHECK(escape_filter_value("\\2a") == "\\5c2a");
    CHECK(escape_filter_value(std::string_view("\0x", 2)) == "\\00x");
    CHECK(escape_filter_value("\xc3\xb6") == "\\c3\\b6");
    CHECK(fill_filter("(&(uid=%u)(member=%d))", {"*", "cn=a(b),dc=x"}) == "(&(uid=\\2a)(member=cn=a\\28b\\29,dc=x))");
}

TEST_CASE("every escaped user name is read back as one value, and stays within its part of the name", "[auth][ldap]") {
    std::mt19937 random(7);
    const std::string_view alphabet(" #,+\"\\<>;=*()ab\0\x01\x7f/%", 24);
    for (std::size_t round = 0; round < count_from("TRUNKLINE_LDAP_NAMES", 2'000); ++round) {
        std::string user;
        for (std::size_t i = 0, size = 1 + random() % 8; i < size; ++i) user += alphabet[random() % alphabet.size()];
        INFO(escape_dn_value(user));
        const auto name = normal_dn("uid=" + escape_dn_value(user) + ",ou=people");
        REQUIRE(name);
        CHECK(name->ends_with(",ou=people"));
        CHECK(first_value("uid=" + escape_dn_value(user) + ",ou=people") == normal_value(user));
        const std::string filter = escape_filter_value(user);
        CHECK(filter.find_first_of(std::string_view("*()\0", 4)) == std::string::npos);
    }
}

TEST_CASE("equal names are equal text", "[auth][ldap]") {
    CHECK(normal_dn("CN=Operators, OU=Groups ,DC=Acme") == "cn=operators,ou=groups,dc=acme");
    CHECK(normal_dn("cn=operators,ou=groups,dc=acme") == normal_dn("CN = Operators,ou=Groups,DC=ACME"));
    CHECK(normal_dn("cn=a\\2cb") == normal_dn("CN=A\\,B"));
    CHECK(normal_dn("cn=a  b") == normal_dn("cn=a b"));
    CHECK(normal_dn("cn=a+uid=b,dc=x") == "cn=a+uid=b,dc=x");
    CHECK(normal_dn("cn=a,dc=x") != normal_dn("cn=a\\,dc\\=x"));
    for (const char* none : {"", "operators", "=x", "cn", "cn=a,", "cn=a,b", "cn=a\\", "cn=\"a\"", "cn=a<b"}) {
        INFO(none);
        CHECK_FALSE(normal_dn(none));
    }
    CHECK(first_value("CN=Shift Leaders,OU=x") == "shift leaders");
    CHECK(attribute_of_user("uid=%u,ou=people") == "uid");
    CHECK(attribute_of_user("(&(objectClass=person)(sAMAccountName=%u))") == "sAMAccountName");
    CHECK(attribute_of_user("(|(uid=%u)(mail=%u))").empty());
    CHECK(attribute_of_user("(uid=ann)").empty());
    CHECK(check_template("uid=%u,ou=100%%", "u").empty());
    CHECK_FALSE(check_template("uid=%d", "u").empty());
    CHECK_FALSE(check_template("uid=%", "u").empty());
}

TEST_CASE("roles come from the groups that are named, and no others", "[auth][ldap]") {
    GroupRoles roles;
    roles.add("CN=Operators,OU=Plant,DC=acme", {"operator", "viewer"});
    roles.add("maintenance", {"viewer", "fitter"});
    CHECK(roles.of({}).empty());
    CHECK(roles.of({"cn=operators,ou=plant,dc=acme"}) == std::vector<std::string>{"operator", "viewer"});
    CHECK(roles.of({"cn=operators,ou=other,dc=acme"}).empty());
    CHECK(roles.of({"cn=operators\\,ou=plant,dc=acme"}).empty());
    CHECK(roles.of({"cn=Maintenance,ou=x", "CN=operators, OU=plant, DC=acme"}) ==
          std::vector<std::string>{"fitter", "operator", "viewer"});
    CHECK(roles.of({"maintenance", "", "cn=maintenance2,dc=x"}).empty());      // a group is a distinguished name
}

TEST_CASE("what a directory says decides", "[auth][ldap]") {
    struct Row {
        Kind kind;
        Outcome denying, deferring;
    };
    for (const Row& row : {Row{Kind::wrong, Outcome::bad_credentials, Outcome::bad_credentials},
                           Row{Kind::unknown, Outcome::bad_credentials, Outcome::bad_credentials},
                           Row{Kind::unreachable, Outcome::unavailable, Outcome::not_authorized},
                           Row{Kind::failed, Outcome::unavailable, Outcome::unavailable},
                           Row{Kind::busy, Outcome::busy, Outcome::busy},
                           Row{Kind::dropped, Outcome::busy, Outcome::busy}}) {
        LdapFixture fixture;
        CHECK(fixture.ask(row.kind).outcome == row.denying);
        CHECK(fixture.ask(row.kind, "ann", "valve", WhenUnreachable::defer).outcome == row.deferring);
        CHECK(fixture.news.empty() == (row.kind != Kind::unreachable && row.kind != Kind::failed));
    }
    LdapFixture fixture;
    fixture.roles.add("cn=operators,dc=acme", {"operator"});
    fixture.service.next.user = "Ann";
    fixture.service.next.groups = {"CN=operators,DC=acme", "CN=others,DC=acme"};
    const Answer in = fixture.ask(Kind::bound);
    REQUIRE(in.outcome == Outcome::accept);
    CHECK(in.user == "Ann");                                        // as the directory writes it
    CHECK(in.principal->method == "ldap");
    CHECK(in.principal->roles == std::vector<std::string>{"operator"});
    CHECK(fixture.ask(Kind::wrong).reason == fixture.ask(Kind::unknown).reason);
    for (const std::string& none : {std::string(), std::string("a\nb")}) {
        fixture.service.next.user = none;
        CHECK(fixture.ask(Kind::bound).outcome == Outcome::unavailable);
    }
}

TEST_CASE("a directory is never asked with what it could take for nobody", "[auth][ldap]") {
    LdapFixture fixture;
    fixture.service.next.user = "ann";
    CHECK(fixture.ask(Kind::bound, "ann", "").outcome == Outcome::bad_credentials);
    CHECK(fixture.ask_bytes(Kind::bound, "ann", std::string_view("\0", 1)).outcome == Outcome::bad_credentials);
    CHECK(fixture.ask_bytes(Kind::bound, "ann", std::string_view("va\0lve", 6)).outcome == Outcome::bad_credentials);
    CHECK(fixture.ask_bytes(Kind::bound, std::string_view("a\0b", 3), "valve").outcome == Outcome::bad_credentials);
    CHECK(fixture.ask(Kind::bound, "a\nb", "valve").outcome == Outcome::bad_credentials);
    CHECK(fixture.ask_bytes(Kind::bound, std::string(300, 'a'), "valve").outcome == Outcome::bad_credentials);
    CHECK(fixture.ask(Kind::bound, "", "valve").outcome == Outcome::not_authorized);       // deferred
    Credentials nobody;
    AuthChain chain({std::make_shared<LdapMethod>(fixture.service, fixture.health, fixture.roles,
                                                  WhenUnreachable::deny)}, fixture.store, fixture.backoff);
    CHECK(chain.check(nobody).outcome == Outcome::not_authorized);
    nobody.user_name = "ann";
    CHECK(chain.check(nobody).outcome == Outcome::not_authorized);
    CHECK(fixture.service.logins == 0);
    CHECK(fixture.ask(Kind::bound).outcome == Outcome::accept);
    CHECK(fixture.service.logins == 1);
}

TEST_CASE("wrong passwords at a directory make the next attempt wait", "[auth][ldap]") {
    LdapFixture fixture;
    for (int i = 0; i < 30; ++i) static_cast<void>(fixture.ask(Kind::failed));
    CHECK(fixture.backoff.delay_ms("ann", "192.0.2.1", 1'000'000) == 0);
    for (int i = 0; i < 30; ++i) static_cast<void>(fixture.ask(Kind::unknown));
    CHECK(fixture.backoff.delay_ms("ann", "192.0.2.1", 1'000'000) > 0);
}
