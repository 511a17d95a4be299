#include "auth/jwt_method.h"

#include <chrono>
#include <fstream>
#include <iterator>

namespace trunkline::auth {
namespace {

Principal principal_of(JwtClaims&& claims) {
    Principal principal;
    principal.user = std::move(claims.user);
    principal.roles = std::move(claims.roles);
    principal.groups = std::move(claims.groups);
    principal.expires_ms = claims.expires_ms;
    principal.method = "jwt";
    return principal;
}

std::int64_t wall_ms() {
    return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch())
        .count();
}

}  // namespace

/// Each AUTH brings a whole token. The time of CONNECT does for the first; a renewal asks the clock.
class JwtMethod::JwtExchange : public Exchange {
public:
    explicit JwtExchange(const JwtMethod& method) : method_(method) {}
    Answer next(std::string_view data) override { return judge(data, wall_ms()); }

    Answer judge(std::string_view data, std::int64_t now_ms) const {
        JwtResult result = verify_jwt(data, *method_.keys_.current(), method_.options_, now_ms);
        Answer answer;
        if (!result.good) {
            answer.outcome = Outcome::bad_credentials;
            answer.reason = std::move(result.reason);
            return answer;
        }
        answer.outcome = Outcome::accept;
        answer.user = result.claims.user;
        answer.principal = std::make_shared<const Principal>(principal_of(std::move(result.claims)));
        return answer;
    }

private:
    const JwtMethod& method_;
};

std::shared_ptr<const Jwks> JwksStore::current() const {
    const std::lock_guard lock(mutex_);
    return current_;
}

bool JwksStore::load(std::string_view text, const std::string& name, std::vector<Problem>& problems) {
    ParsedJwks parsed = parse_jwks(text, name);
    problems.insert(problems.end(), parsed.problems.begin(), parsed.problems.end());
    if (!parsed.set) return false;
    const std::lock_guard lock(mutex_);
    current_ = std::make_shared<const Jwks>(std::move(*parsed.set));
    return true;
}

bool JwksStore::load_file(const std::string& path, std::vector<Problem>& problems) {
    std::ifstream in(path, std::ios::binary);
    const std::string text(std::istreambuf_iterator<char>(in), {});
    if (in.bad() || text.empty()) {
        problems.push_back({"TL-9207", path, "the file cannot be read or is empty", "check the path and its rights"});
        return false;
    }
    return load(text, path, problems);
}

void JwtMethod::check(std::shared_ptr<const Attempt> attempt, OnMethodAnswer done) {
    if (!attempt->password || !looks_like_jwt(attempt->password->view())) return done({});
    JwtResult result = verify_jwt(attempt->password->view(), *keys_.current(), options_, attempt->now_ms);
    MethodAnswer answer;
    answer.verdict = result.good ? Verdict::allow : Verdict::deny;
    answer.reason = std::move(result.reason);
    if (result.good) answer.principal = principal_of(std::move(result.claims));
    done(std::move(answer));
}

std::unique_ptr<Exchange> JwtMethod::begin(const Credentials& credentials, Answer& first) {
    if (credentials.method != "JWT") return nullptr;
    auto exchange = std::make_unique<JwtExchange>(*this);
    first = exchange->judge(credentials.data, credentials.now_ms);
    return exchange;
}

}  // namespace trunkline::auth
