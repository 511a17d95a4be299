// Who a client is: from the decoded CONNECT to the principal, AUTH packets, and when what it showed expires
// (sections 3.1, 3.15, 4.12).
#include <algorithm>
#include <utility>

#include "auth/access_store.h"
#include "auth/certificate.h"
#include "broker/core/audit_sink.h"
#include "broker/core/filter_index.h"
#include "broker/core/log.h"
#include "broker/core/login.h"
#include "broker/core/registry.h"
#include "broker/core/shard.h"
#include "broker/mqtt/encode.h"

namespace trunkline::broker {

using mqtt::Reason;

namespace {

Reason reason_of(auth::Outcome outcome) {
    switch (outcome) {
        case auth::Outcome::bad_credentials: return Reason::bad_user_name_or_password;
        case auth::Outcome::bad_method: return Reason::bad_authentication_method;
        case auth::Outcome::busy: return Reason::server_busy;
        case auth::Outcome::unavailable: return Reason::server_unavailable;
        default: return Reason::not_authorized;
    }
}

constexpr std::string_view expired = "what the client showed has expired; connect again with a fresh one";

}  // namespace

std::string_view Shard::url_of(const Client& client) const {
    const auto& listeners = broker_.config_.listeners;
    return client.listener < listeners.size() ? std::string_view(listeners[client.listener].url) : std::string_view();
}

void Shard::authenticate(Client& client, const mqtt::Connect& connect) {
    if (client.administration) return claim(client);
    auth::Credentials credentials;
    const std::string address = client.peer.host();
    auth::CertificateFields certificate;
    credentials.client_id = client.session->client_id;
    credentials.user_name = connect.user_name;
    credentials.password = connect.password;
    if (client.extra && !client.extra->certificate.empty()) {
        auto read = auth::read_certificate(client.extra->certificate);
        if (read) certificate = std::move(*read);
        if (!certificate.present()) certificate.subject = "unreadable";   // somebody without a name, not nobody
        credentials.certificate = &certificate;
        credentials.certificate_subject = certificate.common_name;
        std::string().swap(client.extra->certificate);
    }
    credentials.local = client.local;
    credentials.address = address;
    credentials.now_ms = now_.wall_ms;
    credentials.shard = index_;
    credentials.protocol = static_cast<std::uint8_t>(client.version);
    credentials.connection = client.number;
    credentials.listener = url_of(client);
    auth::Authenticator& authenticator = broker_.authenticator(client.listener);
    if (!connect.authentication_method) {
        const auto login = ask(client);
        credentials.abandoned = {login, &login->abandoned};
        authenticator.check_async(credentials, answer_to(client, login, nullptr));
        return asked(client, login);
    }
    credentials.method = *connect.authentication_method;
    credentials.data = connect.authentication_data.value_or(std::string_view());
    auth::Answer first;
    std::shared_ptr<auth::Exchange> exchange = authenticator.begin(credentials, first);
    if (!exchange) {  // [MQTT-4.12.0-1]
        note_login(client, first, false);
        return refuse_connect(client, Reason::bad_authentication_method, first.reason);
    }
    client.more().exchange = std::move(exchange);
    client.more().auth_method = credentials.method;
    authenticated(client, std::move(first));
}

std::shared_ptr<Login> Shard::ask(Client& client) {
    auto login = std::make_shared<Login>();
    if (client.state != ClientState::connected) client.state = ClientState::checking;
    client.more().login = login;
    return login;
}

auth::OnAnswer Shard::answer_to(const Client& client, std::shared_ptr<Login> login,
                                std::shared_ptr<auth::Exchange> exchange) {
    // The exchange is held until it has answered, whatever becomes of the connection meanwhile.
    return [desk = broker_.answers_, shard = index_, number = client.number, login = std::move(login),
            exchange = std::move(exchange)](auth::Answer&& answer) {
        if (login->answered.exchange(true)) return;
        {
            const std::lock_guard lock(login->mutex);
            if (login->asking) {
                login->early = std::move(answer);
                return;
            }
        }
        const auto kept = std::make_shared<auth::Answer>(std::move(answer));
        const std::lock_guard lock(desk->mutex);
        if (!desk->broker) return;
        desk->broker->run_on_shard(shard, [number, login, kept](ShardApi& api) {
            static_cast<Shard&>(api).answered(number, *login, std::move(*kept));
        });
    };
}

void Shard::asked(Client& client, const std::shared_ptr<Login>& login) {
    std::optional<auth::Answer> early;
    {
        const std::lock_guard lock(login->mutex);
        login->asking = false;
        early.swap(login->early);
    }
    if (!early) return;
    client.extra->login.reset();
    authenticated(client, std::move(*early));
}

void Shard::answered(std::uint64_t number, const Login& login, auth::Answer&& answer) {
    const auto at = clients_.find(number);
    if (at == clients_.end()) return;
    Client& client = *at->second;
    if (client.state == ClientState::closed || !client.extra || client.extra->login.get() != &login) return;
    client.extra->login.reset();
    authenticated(client, std::move(answer));
    if (client.state != ClientState::authenticating || client.extra->early.empty()) return;
    const std::string early = std::exchange(client.extra->early, {});
    const std::size_t used = consume(client, early);
    if (client.state != ClientState::closed && used < early.size()) {
        client.more().early = early.substr(used) + client.extra->early;
    }
}

void Shard::authenticated(Client& client, auth::Answer&& answer) {
    const bool again = client.state == ClientState::connected;  // re-authentication, section 4.12.1
    if (answer.outcome == auth::Outcome::more) {
        mqtt::Auth packet;
        packet.reason = Reason::continue_authentication;  // [MQTT-4.12.0-2]
        packet.method = client.extra->auth_method;        // [MQTT-4.12.0-5]
        packet.data = answer.data;
        mqtt::encode(client.out, client.version, packet, client.max_packet_bytes);
        want_flush(client);
        if (!again) client.state = ClientState::authenticating;
        return;
    }
    const bool let_in = answer.outcome == auth::Outcome::accept;
    note_login(client, answer, let_in);
    if (!let_in) {
        const Reason reason = reason_of(answer.outcome);
        if (again) return disconnect(client, reason, answer.reason);  // [MQTT-4.12.1-2]
        return refuse_connect(client, reason, answer.reason);         // [MQTT-4.12.0-4]
    }
    client.user = std::move(answer.user);
    client.principal = std::move(answer.principal);
    Authority::forget(client);
    if (again) {
        judge_subscriptions(client);
        mqtt::Auth packet;
        packet.method = client.extra->auth_method;
        if (!answer.data.empty()) packet.data = answer.data;
        mqtt::encode(client.out, client.version, packet, client.max_packet_bytes);
        want_flush(client);
        return check_deadline(client);  // what it showed now may end sooner
    }
    if (!answer.data.empty()) client.more().auth_data = std::move(answer.data);
    if (!will_may_be_sent(client)) return;  // after authentication: whoever is nobody learns nothing of the model
    claim(client);
}

void Shard::on_auth(Client& client, const mqtt::Frame& frame) {
    const auto decoded = mqtt::decode_auth(frame.body, client.version);
    if (decoded.has_error()) return disconnect(client, decoded.error().reason, decoded.error().what);
    if (!client.extra || !client.extra->exchange) {  // [MQTT-4.12.0-6]
        return disconnect(client, Reason::protocol_error, "AUTH without an authentication method in CONNECT");
    }
    if (decoded->method != client.extra->auth_method) {  // [MQTT-4.12.0-5] [MQTT-4.12.1-1]
        return disconnect(client, Reason::protocol_error, "AUTH names another method than CONNECT");
    }
    const bool restart = decoded->reason == Reason::re_authenticate;
    if (restart != (client.state == ClientState::connected) && restart) {
        return disconnect(client, Reason::protocol_error, "re-authentication before the CONNACK");
    }
    if (client.extra->login) {
        return disconnect(client, Reason::protocol_error, "AUTH before the one before it was answered");
    }
    const auto exchange = client.extra->exchange;
    const auto login = ask(client);
    exchange->next_async(decoded->data.value_or(std::string_view()), answer_to(client, login, exchange));
    asked(client, login);
}

bool Shard::has_expired(const Client& client, std::int64_t& due_ms) const {
    if (!client.principal || client.principal->expires_ms == 0) return false;
    const std::int64_t left_ms = client.principal->expires_ms - now_.wall_ms;
    due_ms = std::min(due_ms, now_.steady_ms + std::max<std::int64_t>(left_ms, 0));
    return left_ms <= 0;
}

void Shard::end_expired(Client& client) {
    note_denial(client, "login", client.session->client_id, expired);
    disconnect(client, Reason::not_authorized, expired);
}

void Shard::look_who_may_stay() {
    const auth::AccessStore* store = broker_.access();
    if (!store || store->generation() == access_looked_at_) return;
    const auto access = store->current();
    access_looked_at_ = access->generation();
    std::vector<Client*> gone;
    for (const auto& [number, client] : clients_) {
        if (client->state != ClientState::connected || client->user.empty()) continue;
        const auth::User* user = access->find_user(client->user);
        const std::string_view method = client->principal ? std::string_view(client->principal->method) : "";
        const bool of_file = method == "password" || method == "scram-sha-256";
        if (user ? !user->may_connect(now_.wall_ms) : of_file) gone.push_back(client);
    }
    for (Client* client : gone) {
        constexpr std::string_view why = "this user may not connect any more";
        note_denial(*client, "login", client->session->client_id, why);
        disconnect(*client, Reason::not_authorized, why);
    }
}

void Shard::note_login(const Client& client, const auth::Answer& answer, bool let_in) {
    const std::string_view method = !answer.method.empty() ? std::string_view(answer.method)
                                    : answer.principal    ? std::string_view(answer.principal->method)
                                                          : std::string_view();
    const LoginResult result = let_in                                           ? LoginResult::accepted
                               : answer.outcome == auth::Outcome::busy        ? LoginResult::busy
                               : answer.outcome == auth::Outcome::unavailable ? LoginResult::unavailable
                                                                               : LoginResult::refused;
    counters.logins[login_method(method)][static_cast<std::size_t>(result)].add();
    const std::string& client_id = client.session->client_id;
    if (!let_in) {
        log(Level::info, "login_refused",
            {{"client_id", client_id}, {"address", client.peer.to_string()}, {"listener", url_of(client)},
             {"method", method}, {"reason", answer.reason}, {"detail", answer.detail}});
        return note_denial(client, "login", client_id, answer.detail.empty() ? answer.reason : answer.detail, method);
    }
    // Nobody logs in who is nobody: the trail is for those who are somebody.
    if (!broker_.audit() || answer.user.empty()) return;
    auth::audit::Record record;
    record.actor = answer.user;
    record.method = method;
    record.source = client.peer.host();
    record.action = auth::audit::action::login;
    record.object = client_id;
    broker_.audit()->note(std::move(record));
}

void Shard::note_denial(const Client& client, std::string_view action, std::string_view object, std::string_view reason,
                        std::string_view method) {
    if (!broker_.audit()) return;
    const std::string address = client.peer.host();
    Denial denial;
    denial.actor = client.user;
    denial.method = !method.empty() ? method : client.principal ? std::string_view(client.principal->method) : method;
    denial.client_id = client.session ? std::string_view(client.session->client_id) : std::string_view();
    denial.source = address;
    denial.action = action;
    denial.object = object;
    denial.reason = reason;
    broker_.audit()->note(denial);
}

void Shard::claim(Client& client) {
    client.state = ClientState::claiming;
    client.identity = FilterIndex::hash(client.session->client_id);
    const auto claimed = registry_.claim(client.session->client_id, {index_, client.number, client.arrival_ns},
                                         client.user, client.transport->peer_has_ended());
    if (claimed.refused) return refuse_identity(client);
    if (claimed.too_late) {
        return refuse_connect(client, Reason::session_taken_over, "a later connection uses this client identifier");
    }
    const bool durable = claimed.durable || client.session->expiry_s > 0;
    if (durable) client.session->durable = 1;  // known when the log has answered; not 0 sends the claim
    if (claimed.previous) {
        note_takeover(client);
        client.more().waits_for_release = 1;
        if (claimed.previous->shard == index_) {
            take_over(claimed.previous->number, index_, client.number);
        } else {
            post(claimed.previous->shard, TakeOver{claimed.previous->number, index_, client.number});
        }
        return;
    }
    claim_from_log(client);
}

void Shard::refuse_identity(Client& client) {
    constexpr std::string_view why = "another user has this client identifier";
    note_denial(client, auth::audit::action::takeover, client.session->client_id, why);
    refuse_connect(client, Reason::not_authorized, why);
}

void Shard::note_takeover(const Client& client) {
    if (!broker_.audit() || client.user.empty()) return;
    auth::audit::Record record;
    record.actor = client.user;
    if (client.principal) record.method = client.principal->method;
    record.source = client.peer.host();
    record.action = auth::audit::action::takeover;
    record.object = client.session->client_id;
    broker_.audit()->note(std::move(record));
}

}  // namespace trunkline::broker
