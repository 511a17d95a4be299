// access_decide ACL_FILE [PASSWORD_FILE]: reads requests from standard input, a JSON object a line, and answers each
// with one. {"user": null or "...", "client": "...", "action": "publish" or "receive", "topic": "..."} -> {"native":
// bool, "converted": bool, "noted": bool}; {"user": "...", "password": "..."} -> {"password": bool}. "converted" is
// what the roles file made from the ACL file decides, "noted" that the conversion said it would differ.
#include <fstream>
#include <iostream>
#include <iterator>
#include <string>

#include <nlohmann/json.hpp>

#include "auth/access.h"
#include "auth/mosquitto_import.h"
#include "namespace/topic.h"

using namespace trunkline;
using namespace trunkline::auth;

namespace {

std::string read_file(const char* path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
}

int fail(const std::vector<Problem>& problems) {
    for (const Problem& problem : problems) std::cerr << to_string(problem) << "\n";
    return 1;
}

// Whether a deny by pattern meets an entry of the user that allows: the difference that the conversion notes.
bool is_noted(const MosquittoAcl& acl, const std::optional<std::string>& user, const Decision& decision) {
    if (decision.allowed || !decision.rule || decision.rule->effect != Effect::deny) return false;
    return !acl.patterns().denies.empty() && (!user || acl.users().contains(*user));
}

}  // namespace

int main(int argc, char** argv) {
    if (argc < 2) return 2;
    std::vector<Problem> problems, notes;
    const auto acl = MosquittoAcl::parse(read_file(argv[1]), argv[1], problems);
    std::optional<MosquittoPasswords> passwords;
    if (argc > 2) passwords = parse_mosquitto_passwords(read_file(argv[2]), argv[2], problems);
    if (!problems.empty() || !acl) return fail(problems);
    ParsedRoles parsed = parse_roles(to_roles_file(&*acl, passwords ? &*passwords : nullptr, notes), "converted.yaml");
    if (!parsed.file) return fail(parsed.problems);
    const Access access(std::move(*parsed.file), 2);
    for (std::string line; std::getline(std::cin, line);) {
        const auto request = nlohmann::json::parse(line);
        std::optional<std::string> user;
        if (request["user"].is_string()) user = request["user"].get<std::string>();
        nlohmann::json answer;
        if (request.contains("password")) {
            const User* known = access.find_user(user.value_or(""));
            answer["password"] = known && known->password &&
                                 verify_password(*known->password, request["password"].get<std::string>());
        } else {
            const Action action = request["action"] == "publish" ? Action::publish : Action::receive;
            const std::string topic = request["topic"];
            Principal who;
            who.user = user.value_or("");
            who.client_id = request["client"];
            const Decision decision = access.decide(who, action, topic, {});
            answer["native"] = acl->allowed(user, who.client_id, action, topic);
            answer["converted"] = decision.allowed;
            answer["noted"] = is_noted(*acl, user, decision);
        }
        std::cout << answer.dump() << "\n";
    }
    return 0;
}
