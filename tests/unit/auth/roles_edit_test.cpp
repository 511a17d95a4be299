// Changes of users in the text of a roles file: what is meant, and nothing else.
#include <catch2/catch.hpp>

#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "auth/password_hash.h"
#include "auth/roles_edit.h"
#include "auth/roles_file.h"
#include "auth/scram_verifier.h"

using namespace trunkline;
using namespace trunkline::auth;

namespace {

const std::string hash = hash_password("one");
const std::string other_hash = hash_password("two");

std::string file() {
    return "# Who is who\ntrunkline: 1\nusers:\n  ann:            # the day shift\n    password: " + hash +
           "   # renewed in May\n    groups: [ops]\n\n  # gateways\n  gw-1: {password: \"" + hash +
           "\", roles: [edge]}\n  gw-2: {certificate: {cn: gw-2}, roles: [edge]}\n  gw-3:\n\ngroups:\n"
           "  ops: {roles: [edge]}\n# rules\nroles:\n  edge: {rules: [{allow: publish, topic: \"#\"}]}\n";
}

std::string taken(const Edited& edited) {
    if (edited.has_error()) FAIL(to_string(edited.error()));
    REQUIRE(parse_roles(*edited, "roles.yaml").file);
    return *edited;
}

std::string password_of(const std::string& text, std::string_view user) {
    const auto parsed = parse_roles(text, "roles.yaml");
    for (const User& one : parsed.file->users) {
        if (one.name == user) return one.password ? one.password->text : "";
    }
    return "no such user";
}

std::string without(std::string text, const std::string& part) {
    const auto at = text.find(part);
    REQUIRE(at != std::string::npos);
    return text.erase(at, part.size());
}

}  // namespace

TEST_CASE("a user is added behind the others, and the rest stays as it was", "[auth]") {
    const NewUser user{"bob \"the\" builder", hash, {"ops"}, {"edge"}};
    const std::string text = taken(add_user(file(), "roles.yaml", user));
    const std::string line = "  \"bob \\\"the\\\" builder\": {password: \"" + hash +
                             "\", groups: [\"ops\"], roles: [\"edge\"]}\n";
    CHECK(without(text, line) == file());
    CHECK(password_of(text, user.name) == hash);
    CHECK(add_user(file(), "roles.yaml", {"ann", "", {}, {}}).error().rule == "TL-9209");
    CHECK(add_user(file(), "roles.yaml", {"bob", "", {"nobody"}, {}}).has_error());
    for (const char* none : {"trunkline: 1\n", "trunkline: 1\nusers: {}   # none yet\n", "trunkline: 1\nusers:\n",
                             "trunkline: 1"}) {
        const std::string first = taken(add_user(none, "roles.yaml", {"bob", hash, {}, {}}));
        CHECK(password_of(first, "bob") == hash);
        CHECK(password_of(taken(remove_user(first, "roles.yaml", "bob")), "bob") == "no such user");
    }
    CHECK(add_user("trunkline: 1\nusers: {a: {}}\n", "roles.yaml", {"bob", "", {}, {}}).has_error());
}

TEST_CASE("a user is removed with all its lines", "[auth]") {
    const std::string text = taken(remove_user(file(), "roles.yaml", "ann"));
    CHECK(text == without(file(), "  ann:            # the day shift\n    password: " + hash +
                                      "   # renewed in May\n    groups: [ops]\n"));
    CHECK(taken(remove_user(file(), "roles.yaml", "gw-3")) == without(file(), "  gw-3:\n"));
    CHECK(remove_user(file(), "roles.yaml", "nobody").error().rule == "TL-9209");
}

TEST_CASE("a password is replaced where it stands, or put in", "[auth]") {
    for (const char* user : {"ann", "gw-1", "gw-2", "gw-3"}) {
        INFO(user);
        const std::string text = taken(change_password(file(), "roles.yaml", user, other_hash, ""));
        CHECK(password_of(text, user) == other_hash);
        CHECK(text.find("# renewed in May") != std::string::npos);
        for (const char* other : {"ann", "gw-1", "gw-2", "gw-3"}) {
            if (std::string(other) != user) CHECK(password_of(text, other) == password_of(file(), other));
        }
    }
    CHECK(change_password(file(), "roles.yaml", "nobody", other_hash, "").has_error());
}

TEST_CASE("a SCRAM verifier goes with its password", "[auth]") {
    const std::string before = make_scram_verifier("one", "0123456789abcdef", 4'096).text();
    const std::string after = make_scram_verifier("two", "0123456789abcdef", 4'096).text();
    const std::string text =
        "trunkline: 1\nusers:\n  a:\n    scram: \"" + before + "\"\n    password: '" + hash + "'\n";
    const std::string changed = taken(change_password(text, "roles.yaml", "a", other_hash, after));
    CHECK(changed.find(before) == std::string::npos);
    CHECK(changed.find(after) != std::string::npos);
    CHECK(password_of(changed, "a") == other_hash);
}

TEST_CASE("a file is replaced in one step, for its owner alone, behind its link", "[auth]") {
    char folder[] = "/tmp/trunkline-roles-XXXXXX";
    REQUIRE(mkdtemp(folder));
    const std::string path = std::string(folder) + "/roles.yaml", link = std::string(folder) + "/link.yaml";
    std::ofstream(path) << "before";
    REQUIRE(symlink(path.c_str(), link.c_str()) == 0);
    CHECK(replace_file(link, "after") == "");
    std::stringstream content;
    content << std::ifstream(path).rdbuf();
    CHECK(content.str() == "after");
    struct stat about {};
    REQUIRE(lstat(link.c_str(), &about) == 0);
    CHECK(S_ISLNK(about.st_mode));
    REQUIRE(stat(path.c_str(), &about) == 0);
    CHECK((about.st_mode & 0777) == 0600);
    CHECK(replace_file(std::string(folder) + "/none.yaml", "x") != "");
    unlink(link.c_str());
    unlink(path.c_str());
    rmdir(folder);
}
