#include "auth/plugin_method.h"

namespace trunkline::auth {
namespace {

MethodAnswer answer_of(PluginLogin&& login, const std::string& plugin) {
    MethodAnswer answer;
    if (login.decision == PluginDecision::defer) return answer;
    if (login.decision == PluginDecision::allow) {
        answer.verdict = Verdict::allow;
        answer.principal.user = std::move(login.principal);
        answer.principal.method = "plugin";
        return answer;
    }
    answer.verdict = Verdict::deny;
    answer.outcome = login.failed ? Outcome::not_authorized : Outcome::bad_credentials;
    // What a plugin that failed says of itself is for the log; the client learns that it was not let in.
    answer.reason = login.failed || login.reason.empty() ? "a plugin does not let this client in" : login.reason;
    answer.detail = "plugin " + plugin + (login.reason.empty() ? "" : ": " + login.reason);
    return answer;
}

}  // namespace

void PluginMethod::check(std::shared_ptr<const Attempt> attempt, OnMethodAnswer done) {
    const std::uint32_t shard = attempt->shard;
    on_shard_(shard, [this, attempt = std::move(attempt), done = std::move(done)] {
        PluginClient client;
        client.connection = attempt->connection;
        client.protocol = attempt->protocol;
        client.client_id = attempt->client_id;
        client.address = attempt->address;
        client.certificate = attempt->certificate.subject;
        client.listener = attempt->listener;
        Plugin::LoginRequest request;
        if (attempt->user) request.user_name = *attempt->user;
        if (attempt->password) request.password = attempt->password->view();
        const std::uint64_t deadline = now_ns_() + timeout_ms_ * std::uint64_t{1'000'000};
        plugin_.authenticate(attempt->shard, client, request, deadline, [this, attempt, done](PluginLogin login) {
            done(answer_of(std::move(login), plugin_.name()));
        });
    });
}

}  // namespace trunkline::auth
