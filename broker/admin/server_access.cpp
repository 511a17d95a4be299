// Whether a request may be answered: who asks, and what the roles and plugins say. Refusals are on record.
#include "broker/admin/server_impl.h"

#include <algorithm>
#include <utility>

#include "auth/plugin_host.h"
#include "broker/core/log.h"

namespace trunkline::admin {
namespace {

constexpr auto login_time = 30s;        // for a password to be checked, guesses of others before it included
constexpr auto plugin_time = 5s;
constexpr std::uint32_t refusals_logged_max = 10;   // a second

// Another site's page in a browser can reach 127.0.0.1 under a name of its own (DNS rebinding); it can't choose Host.
bool is_local_host_header(std::string_view host) {
    if (host.starts_with('[')) return host.substr(0, host.find(']') + 1) == "[::1]";
    host = host.substr(0, host.find(':'));
    return host == "localhost" || host.starts_with("127.") || host.empty();
}

/// A header's percent-encoded text; empty when it is none.
std::string header_text(std::string_view value) {
    Request parsed;
    return !value.empty() && parse_target("/?t=" + std::string(value), parsed) ? parsed.get("t").value_or("") : "";
}

}  // namespace

asio::awaitable<void> AdminServer::Impl::judge(const HttpRequest& header, const Peer& peer, Judged& judged) {
    Request& request = judged.request;
    Shown& shown = judged.shown;
    Response wrong;
    request.method = header.method_string();
    request.accept = header[http::field::accept];
    request.source = shown.source = peer.source;
    request.reason = header_text(header["Trunkline-Reason"]);
    shown.uid = peer.uid;
    shown.local = peer.from_here;
    read_authorization(header[http::field::authorization], shown);
    if (!parse_target(header.target(), request)) {
        judged.answer = problem(400, "bad-request", "The request target is malformed", "");
        co_return;
    }
    const bool guarded = guard.guarded();
    if (!guarded && peer.from_here && !is_local_host_header(header[http::field::host])) {
        judged.answer = problem(403, "wrong-host", "This Host is not served here",
                                "use 127.0.0.1 or localhost, or set admin.tokens_file");
        co_return;
    }
    const bool changes = header.method() != http::verb::get && header.method() != http::verb::head;
    if (changes && header.count("Origin") != 0 && (!guarded || shown.token.empty())) {   // a browser adds passwords
        judged.answer = problem(403, "wrong-origin", "Changes from a browser page need a token",
                                "set admin.tokens_file");
        co_return;
    }
    judged.route = router.find(request, wrong);
    if (!judged.route) {
        judged.answer = std::move(wrong);
        co_return;
    }
    const Permission permission = judged.route->needs.permission;
    if (guard.is_open(permission)) co_return;
    const Guard::Found found = co_await find_out(judged);
    if (!found.who) {
        const bool guess = request.known_by == "password";
        if (found.busy) {
            judged.answer = problem(503, "busy", "The password cannot be checked now", found.why);
        } else {
            judged.answer = guard.unidentified(shown, guess ? "user name or password is wrong" : found.why);
        }
        if (!shown.token.empty()) request.known_by = "token";
        if (request.known_by == "local" && shown.uid) request.known_by = "unix";
        note_refusal(judged, found.why.empty() ? "nobody said who it is" : found.why);
        co_return;
    }
    request.who = found.who;
    request.principal = found.who->name;
    request.known_by = found.who->method;
    const Guard::Verdict verdict = co_await may(*found.who, permission);
    if (verdict.is == Guard::Verdict::Is::allowed) co_return;
    const std::string action = "admin " + std::string(auth::name_of(permission));
    judged.answer = Guard::forbidden(*found.who, action, verdict);
    note_refusal(judged, action + ": " + (verdict.place.empty() ? "" : verdict.place + " ") + verdict.text);
}

asio::awaitable<Guard::Found> AdminServer::Impl::find_out(Judged& judged) {
    Shown& shown = judged.shown;
    Guard::Found found = guard.identify(shown);
    if (!found.ask_password) co_return found;
    judged.request.known_by = "password";
    auto pending = std::make_shared<Pending<auth::PersonLogin::Answer>>(context);
    pending->timer.expires_after(login_time);
    const auto done = answer_to(pending);
    sources.people->check(shown.user, shown.password.view(), shown.source, wall_ms(), done);
    shown.password.wipe();
    co_await pending->timer.async_wait(token);
    if (pending->answer && pending->answer->accepted) co_return guard.user(shown.user, shown.source);
    found = {};
    found.why = pending->answer ? pending->answer->why : "too many log in at this moment";
    found.busy = !pending->answer || pending->answer->busy;
    co_return found;
}

asio::awaitable<Guard::Verdict> AdminServer::Impl::may(const Identity& who, Permission permission) {
    Guard::Verdict verdict = guard.judge(who, permission);
    const bool plugins = std::ranges::any_of(sources.broker.plugins(),
                                             [](const auth::Plugin* one) { return one->authorises(); });
    if (who.everything || verdict.is == Guard::Verdict::Is::denied || !plugins) co_return verdict;
    auto pending = std::make_shared<Pending<PluginsSay>>(context);
    pending->timer.expires_after(plugin_time);
    const auto answer = answer_to(pending);
    sources.broker.ask_plugins(who.principal, auth::Action::admin, std::string(auth::name_of(permission)),
                               [answer](std::string rule, bool allow) { answer({std::move(rule), allow}); });
    co_await pending->timer.async_wait(token);
    if (!pending->answer) {
        verdict = {Guard::Verdict::Is::denied, {}, "plugins that do not answer"};
    } else if (!pending->answer->rule.empty()) {
        verdict = {Guard::Verdict::Is::denied, {}, pending->answer->rule};
    } else if (pending->answer->allow) {
        verdict.is = Guard::Verdict::Is::allowed;
    }
    co_return verdict;
}

void AdminServer::Impl::note_refusal(const Judged& judged, const std::string& why) {
    const Request& request = judged.request;
    const std::int64_t second = steady_ms() / 1'000;
    if (std::exchange(refusals_second, second) != second) refusals_logged = 0;
    if (refusals_logged++ < refusals_logged_max) {
        broker::log(broker::Level::warn, "admin_refused",
                    {{"method", judged.route->method}, {"path", judged.route->path}, {"who", request.principal},
                     {"known_by", request.known_by}, {"source", request.source}, {"why", why}});
    }
    broker::AuditSink* sink = sources.broker.audit();
    if (!sink) return;
    const std::string object = judged.route->method + " " + judged.route->path;
    broker::Denial denial;
    denial.actor = request.principal;
    denial.method = request.known_by;
    denial.source = request.source;
    denial.action = "admin";
    denial.object = object;
    denial.reason = why;
    sink->note(denial);
}

}  // namespace trunkline::admin
