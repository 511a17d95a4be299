#include "auth/plugin_host.h"

#include <utility>

#include "auth/plugin_desk.h"

namespace trunkline::auth {

namespace {

tl_text to_text(std::string_view text) { return {text.data(), text.size()}; }

/// A text of a plugin: null when it cannot be one.
std::optional<std::string> from_text(const tl_text& text, std::size_t limit) {
    if (text.size > limit || (text.size > 0 && !text.data)) return std::nullopt;
    return text.size ? std::string(text.data, text.size) : std::string();
}

tl_client to_client(const PluginClient& from) {
    tl_client client{};
    client.struct_size = sizeof client;
    client.protocol = from.protocol;
    client.connection = from.connection;
    client.client_id = to_text(from.client_id);
    client.principal = to_text(from.principal);
    client.address = to_text(from.address);
    client.certificate = to_text(from.certificate);
    client.listener = to_text(from.listener);
    return client;
}

PluginLogin denied(std::string reason, bool failed) { return {PluginDecision::deny, {}, std::move(reason), failed}; }

/// What a plugin's answer says. Whatever is not as it must be denies.
PluginLogin judge(const tl_authenticated* answer) {
    if (!answer || answer->struct_size < sizeof *answer) return denied("the plugin gave no answer", true);
    const auto principal = from_text(answer->principal, Plugin::text_max);
    const auto reason = from_text(answer->reason, Plugin::text_max);
    switch (answer->decision) {
        case TL_DEFER:
            return {PluginDecision::defer, {}, {}, false};
        case TL_DENY:
            return denied(reason.value_or(""), false);
        case TL_ALLOW:
            if (!principal || principal->empty()) return denied("the plugin allowed nobody by name", true);
            return {PluginDecision::allow, *principal, {}, false};
        default:
            return denied("the plugin gave an answer that is none", true);
    }
}

}  // namespace

void Plugin::Desk::on_log(void* context, std::int32_t level, tl_text line) {
    constexpr std::size_t line_max = 4096;
    auto& desk = *static_cast<Desk*>(context);
    if (const auto text = from_text(line, line_max)) desk.say(level, *text);
}

void Plugin::Desk::on_complete(void* context, std::uint64_t ticket, const tl_authenticated* answer) {
    auto& desk = *static_cast<Desk*>(context);
    PluginLogin login = judge(answer);
    const Done done = desk.take(ticket);
    if (!done) {
        ++desk.counters.late;
        return;
    }
    if (login.failed) ++desk.counters.failures;
    ++(login.decision == PluginDecision::allow  ? desk.counters.allowed
       : login.decision == PluginDecision::deny ? desk.counters.denied
                                                : desk.counters.deferred);
    done(std::move(login));
    desk.end_answer();
}

const PluginCounters& Plugin::counters() const { return desk_->counters; }

void Plugin::fail(std::string_view what) {
    const auto count = ++desk_->counters.failures;
    if ((count & (count - 1)) == 0)  // the 1st, 2nd, 4th, 8th ...: a plugin that fails always does not flood the log
        desk_->say(TL_LOG_ERROR,
                   "plugin " + name_ + " " + std::string(what) + "; failures so far: " + std::to_string(count));
}

PluginVerdict Plugin::authorise(unsigned shard, std::uint32_t action, const PluginClient& from, std::string_view topic,
                                std::uint32_t qos, bool retain) {
    if (!table_.authorise) return {PluginDecision::defer, 0, {}, false};
    const tl_client client = to_client(from);
    tl_authorise_request request{};
    request.struct_size = sizeof request;
    request.action = action;
    request.client = &client;
    request.topic = to_text(topic);
    request.qos = qos;
    request.retain = retain;
    tl_authorise_answer answer{};
    answer.struct_size = sizeof answer;
    answer.decision = TL_DENY;
    std::int32_t status = TL_OK;
    const auto failure = [&](const char* what) {
        ++desk_->counters.denied;
        return PluginVerdict{PluginDecision::deny, 0, "plugin " + name_ + " " + what, true};
    };
    if (!guarded("authorise", [&] { status = table_.authorise(shards_.at(shard), &request, &answer); }))
        return failure("threw an exception");
    const auto rule = from_text(answer.rule, text_max);
    const char* wrong = status != TL_OK ? "failed"
                        : answer.decision < TL_DEFER || answer.decision > TL_DENY || !rule
                            ? "gave an answer that is none"
                            : nullptr;
    if (wrong) {
        fail(wrong);
        return failure(wrong);
    }
    PluginVerdict verdict;
    verdict.decision = static_cast<PluginDecision>(answer.decision);
    verdict.rule = "plugin " + name_ + (rule->empty() ? "" : ": " + *rule);
    if (answer.cache == TL_CACHE_CLIENT) verdict.cache_seconds = answer.cache_seconds;
    ++(verdict.decision == PluginDecision::allow  ? desk_->counters.allowed
       : verdict.decision == PluginDecision::deny ? desk_->counters.denied
                                                  : desk_->counters.deferred);
    return verdict;
}

void Plugin::authenticate(unsigned shard, const PluginClient& from, const LoginRequest& login,
                          std::uint64_t deadline_ns, Done done) {
    if (!table_.authenticate) return done({PluginDecision::defer, {}, {}, false});
    std::uint64_t ticket = 0;
    {
        const std::lock_guard lock(desk_->mutex);
        if (desk_->waiting.size() < tickets_max) {
            ticket = desk_->next_ticket++;
            desk_->waiting.emplace(ticket, Desk::Waiting{deadline_ns, std::move(done)});
        }
    }
    if (ticket == 0) {
        fail("has too many logins to answer");
        ++desk_->counters.denied;
        return done(denied("too many logins wait for the plugin", true));
    }
    const tl_client client = to_client(from);
    tl_authenticate_request request{};
    request.struct_size = sizeof request;
    request.has_password = login.password.has_value();
    request.client = &client;
    request.user_name = to_text(login.user_name);
    request.password = to_text(login.password.value_or(std::string_view()));
    request.method = to_text(login.method);
    request.data = to_text(login.data);
    std::int32_t status = TL_OK;
    const bool returned =
        guarded("authenticate", [&] { status = table_.authenticate(shards_.at(shard), &request, ticket); });
    if (returned && status == TL_OK) return;
    if (returned) fail("failed in authenticate");
    if (const Done unanswered = desk_->take(ticket)) {
        ++desk_->counters.denied;
        unanswered(denied("plugin " + name_ + " failed", true));
        desk_->end_answer();
    }
}

std::size_t Plugin::expire(std::uint64_t now_ns) {
    std::vector<Done> late;
    {
        const std::lock_guard lock(desk_->mutex);
        for (auto it = desk_->waiting.begin(); it != desk_->waiting.end();) {
            if (it->second.deadline_ns > now_ns) {
                ++it;
                continue;
            }
            late.push_back(std::move(it->second.done));
            it = desk_->waiting.erase(it);
        }
    }
    for (const auto& done : late) {
        ++desk_->counters.timeouts;
        ++desk_->counters.denied;
        done(denied("plugin " + name_ + " gave no answer in time", true));
    }
    return late.size();
}

std::size_t Plugin::waiting() const {
    const std::lock_guard lock(desk_->mutex);
    return desk_->waiting.size();
}

void Plugin::on_connect(unsigned shard, const PluginClient& from) {
    if (!table_.on_connect) return;
    const tl_client client = to_client(from);
    guarded("on_connect", [&] { table_.on_connect(shards_.at(shard), &client); });
}

void Plugin::on_disconnect(unsigned shard, const PluginClient& from, std::uint32_t reason_code) {
    if (!table_.on_disconnect) return;
    const tl_client client = to_client(from);
    guarded("on_disconnect", [&] { table_.on_disconnect(shards_.at(shard), &client, reason_code); });
}

void Plugin::on_subscribe(unsigned shard, const PluginClient& from, std::string_view filter, std::uint32_t qos) {
    if (!table_.on_subscribe) return;
    const tl_client client = to_client(from);
    guarded("on_subscribe", [&] { table_.on_subscribe(shards_.at(shard), &client, to_text(filter), qos); });
}

void Plugin::on_publish(unsigned shard, const PluginClient& from, std::string_view topic, std::string_view payload,
                        std::uint32_t qos, bool retain) {
    if (!table_.on_publish) return;
    const tl_client client = to_client(from);
    guarded("on_publish",
            [&] { table_.on_publish(shards_.at(shard), &client, to_text(topic), to_text(payload), qos, retain); });
}

Plugin::~Plugin() {
    if (!desk_) return;
    std::map<std::uint64_t, Desk::Waiting> unanswered;
    {
        const std::lock_guard lock(desk_->mutex);
        unanswered.swap(desk_->waiting);
    }
    for (const auto& [ticket, login] : unanswered) login.done(denied("the broker ends", false));
    {   // what is called back may end with the plugin
        std::unique_lock lock(desk_->mutex);
        desk_->answered.wait(lock, [this] { return desk_->answering == 0; });
    }
    if (table_.close_shard && table_.open_shard)
        for (void* shard : shards_) guarded("close_shard", [&] { table_.close_shard(shard); });
    if (opened_ && table_.close) guarded("close", [&] { table_.close(state_); });
    const std::lock_guard lock(desk_->mutex);
    desk_->closed = true;
    desk_->log = {};
}

}  // namespace trunkline::auth
