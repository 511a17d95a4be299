#include "auth/scram_method.h"

#include <array>

#include <sodium.h>

#include "auth/encoding.h"

namespace trunkline::auth {
namespace {

constexpr std::string_view method_name = "SCRAM-SHA-256";
constexpr std::size_t message_bytes_max = 4096;

// `NAME=value` at the front of `text` up to the next comma, taken off with it.
std::optional<std::string_view> take_attribute(std::string_view& text, char name) {
    if (text.size() < 2 || text[0] != name || text[1] != '=') return std::nullopt;
    const std::size_t comma = text.find(',');
    const std::string_view value = text.substr(2, comma == std::string_view::npos ? comma : comma - 2);
    text = comma == std::string_view::npos ? std::string_view() : text.substr(comma + 1);
    return value;
}

// saslname: `=2C` is a comma, `=3D` an equals sign, no other `=` may stand (RFC 5802, section 5.1).
std::optional<std::string> decode_name(std::string_view text) {
    std::string name;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] != '=') {
            name += text[i];
            continue;
        }
        const std::string_view code = text.substr(i, 3);
        if (code != "=2C" && code != "=3D") return std::nullopt;
        name += code == "=2C" ? ',' : '=';
        i += 2;
    }
    if (name.empty()) return std::nullopt;
    return name;
}

bool good_nonce(std::string_view nonce) {
    if (nonce.empty() || nonce.size() > 512) return false;
    for (const char c : nonce) {
        if (c < 0x21 || c > 0x7E || c == ',') return false;
    }
    return true;
}

std::string fresh_nonce() {
    std::array<unsigned char, 24> random{};
    randombytes_buf(random.data(), random.size());
    return encode_base64(std::string_view(reinterpret_cast<const char*>(random.data()), random.size()));
}

}  // namespace

ScramServer::Result ScramServer::next(std::string_view message) {
    Result result;
    if (ended_ || message.size() > message_bytes_max) {
        result.error = "this is no message of SCRAM";
    } else {
        result = began_ ? final(message) : first(message);
    }
    began_ = true;
    ended_ = ended_ || result.step != Step::more;
    return result;
}

ScramServer::Result ScramServer::first(std::string_view message) {
    Result bad;
    bad.error = "this is no first message of SCRAM";
    std::string_view rest = message;
    // gs2-header: no channel binding ("n"), or one that we do not offer ("y"); "p=" asks for it.
    if (rest.starts_with("p=")) {
        bad.error = "channel binding is not offered: use SCRAM-SHA-256 without it";
        return bad;
    }
    if (!rest.starts_with("n,") && !rest.starts_with("y,")) return bad;
    rest.remove_prefix(2);
    std::string authorization;
    if (rest.starts_with("a=")) {
        const auto name = decode_name(*take_attribute(rest, 'a'));
        if (!name) return bad;
        authorization = *name;
    } else if (rest.starts_with(",")) {
        rest.remove_prefix(1);
    } else {
        return bad;
    }
    header_ = message.substr(0, message.size() - rest.size());
    client_first_bare_ = rest;
    const auto user = take_attribute(rest, 'n');    // `m=`, a mandatory extension, would stand before it
    const auto name = user ? decode_name(*user) : std::nullopt;
    const auto nonce = take_attribute(rest, 'r');
    if (!name || !nonce || !good_nonce(*nonce)) return bad;
    if (!authorization.empty() && authorization != *name) {
        bad.error = "nobody may act for another user";
        return bad;
    }
    user_ = *name;
    account_ = find_(user_);
    full_nonce_ = std::string(*nonce) + nonce_;
    server_first_ = "r=" + full_nonce_ + ",s=" + encode_base64(account_.verifier.salt) +
                    ",i=" + std::to_string(account_.verifier.iterations);
    return {Step::more, server_first_, {}};
}

ScramServer::Result ScramServer::final(std::string_view message) {
    Result bad;
    bad.error = "this is no final message of SCRAM";
    const std::size_t proof_at = message.rfind(",p=");
    if (proof_at == std::string_view::npos) return bad;
    std::string_view rest = message;
    const auto binding = take_attribute(rest, 'c');
    const auto nonce = take_attribute(rest, 'r');
    if (!binding || !nonce || decode_base64(*binding, Base64::standard) != header_ || *nonce != full_nonce_) return bad;
    const auto proof = decode_base64(message.substr(proof_at + 3), Base64::standard);
    if (!proof || proof->size() != 32) return bad;

    const std::string authenticated =
        client_first_bare_ + "," + server_first_ + "," + std::string(message.substr(0, proof_at));
    std::string key = hmac_sha256(account_.verifier.stored_key, authenticated);
    for (std::size_t i = 0; i < key.size(); ++i) key[i] = static_cast<char>(key[i] ^ (*proof)[i]);
    const std::string stored = sha256(key);
    sodium_memzero(key.data(), key.size());
    const bool fits = sodium_memcmp(stored.data(), account_.verifier.stored_key.data(), stored.size()) == 0;
    if (!fits || !account_.known) {
        bad.error = wrong_password;
        return bad;
    }
    const std::string signature = hmac_sha256(account_.verifier.server_key, authenticated);
    return {Step::done, "v=" + encode_base64(signature), {}};
}

/// One connection's exchange; a re-authentication begins another within it.
class ScramMethod::ScramExchange : public Exchange {
public:
    explicit ScramExchange(const ScramMethod& method) : method_(method) { restart(); }

    Answer next(std::string_view data) override {
        ScramServer::Result result = server_->next(data);
        Answer answer;
        answer.data = std::move(result.data);
        if (result.step == ScramServer::Step::more) {
            answer.outcome = Outcome::more;
            return answer;
        }
        if (result.step == ScramServer::Step::failed) {
            answer.outcome = Outcome::bad_credentials;
            answer.reason = std::move(result.error);
            answer.detail = server_->user().empty() ? "" : "scram of " + server_->user();
        } else {
            Principal principal;
            principal.user = server_->user();
            principal.method = method_.name();
            answer.outcome = Outcome::accept;
            answer.user = principal.user;
            answer.principal = std::make_shared<const Principal>(std::move(principal));
        }
        restart();
        return answer;
    }

private:
    void restart() {
        server_.emplace([this](std::string_view user) { return method_.find(user); }, fresh_nonce());
    }
    const ScramMethod& method_;
    std::optional<ScramServer> server_;
};

ScramMethod::ScramMethod(const AccessStore& store) : store_(store), secret_(32, '\0') {
    randombytes_buf(secret_.data(), secret_.size());
}

ScramServer::Account ScramMethod::find(std::string_view user) const {
    const auto access = store_.current();
    const User* found = access->find_user(user);
    ScramServer::Account account;
    account.known = found && found->scram;
    const std::string made_up = hmac_sha256(secret_, user);     // the same salt each time somebody asks for this name
    std::size_t salt_bytes = 16;
    if (const auto& like = access->users_with_scram(); !like.empty()) {  // what is shown resembles a real account's
        const auto pick = static_cast<unsigned char>(made_up[31]) * 256U + static_cast<unsigned char>(made_up[30]);
        const ScramVerifier& other = *access->file().users[like[pick % like.size()]].scram;
        account.verifier.iterations = other.iterations;
        salt_bytes = other.salt.size();
    }
    while (account.verifier.salt.size() < salt_bytes)
        account.verifier.salt += hmac_sha256(made_up, account.verifier.salt);
    account.verifier.salt.resize(salt_bytes);
    account.verifier.stored_key = account.verifier.server_key = hmac_sha256(secret_, made_up);
    if (account.known) account.verifier = *found->scram;
    return account;
}

void ScramMethod::check(std::shared_ptr<const Attempt>, OnMethodAnswer done) { done({}); }

std::unique_ptr<Exchange> ScramMethod::begin(const Credentials& credentials, Answer& first) {
    if (credentials.method != method_name) return nullptr;
    auto exchange = std::make_unique<ScramExchange>(*this);
    // A client may leave its first message for the next packet: it is asked for with nothing.
    if (credentials.data.empty()) first.outcome = Outcome::more;
    else first = exchange->next(credentials.data);
    return exchange;
}

}  // namespace trunkline::auth
