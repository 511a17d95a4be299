#include "broker/security.h"

#include <algorithm>
#include <chrono>
#include <thread>

#include "auth/plugin_method.h"
#include "auth/scram_method.h"
#include "broker/config_access.h"
#include "broker/core/broker.h"
#include "broker/core/log.h"
#include "broker/steady_time.h"

namespace trunkline::broker {
namespace {

constexpr std::int64_t person_remember_ms = 300'000;   // a password is sent with every request of administration

void log_problems(Level level, const char* event, const std::vector<Problem>& problems) {
    for (const Problem& problem : problems) {
        log(level, event,
            {{"rule", problem.rule}, {"place", problem.place}, {"what", problem.message}, {"fix", problem.fix}});
    }
}

template <class Visit>
void each_authenticator(const Config& config, const Visit& visit) {
    for (const AuthenticatorConfig& one : config.authenticators) visit(one);
    for (const ListenerConfig& listener : config.listeners) {
        for (const AuthenticatorConfig& one : listener.authenticators) visit(one);
    }
}

auth::CertificateMethod::Source source_of(CertificateName name) {
    using Source = auth::CertificateMethod::Source;
    switch (name) {
        case CertificateName::mapping: return Source::mapping;
        case CertificateName::cn: return Source::common_name;
        case CertificateName::dns: return Source::dns;
        case CertificateName::email: return Source::email;
        case CertificateName::uri: return Source::uri;
    }
    return Source::mapping;
}

auth::CertificateMethod certificates_of(const std::vector<AuthenticatorConfig>& list, const auth::AccessStore& access) {
    const auto entry = std::find_if(list.begin(), list.end(), [](const AuthenticatorConfig& one) {
        return one.method == AuthMethod::certificate;
    });
    const AuthenticatorConfig& as = entry == list.end() ? AuthenticatorConfig() : *entry;
    return {access, source_of(as.certificate_name), as.known_only};
}

auth::WhenUnreachable unreachable_of(const AuthenticatorConfig& one) {
    return one.defer_unreachable ? auth::WhenUnreachable::defer : auth::WhenUnreachable::deny;
}

auth::BackendHealth::Say say_health(std::string method, std::string service) {
    return [method = std::move(method), service = std::move(service)](const auth::BackendHealth::News& news) {
        const std::string failures = std::to_string(news.failures);
        if (news.works) {
            log(Level::info, "auth_backend_recovered",
                {{"method", method}, {"service", service}, {"logins_not_judged", failures}});
        } else {
            log(Level::error, "auth_backend_failed",
                {{"method", method}, {"service", service}, {"what", news.what}, {"logins_not_judged", failures}});
        }
    };
}

// Without authenticators clients are anonymous, but where there are rules they are so by a chain: who uses which client
// identifier is one of the rules.
std::vector<AuthenticatorConfig> nobody_is_asked(bool remote) {
    std::vector<AuthenticatorConfig> list(2);
    list[0].method = AuthMethod::certificate;
    list[0].known_only = false;
    list[1].method = AuthMethod::anonymous;
    list[1].remote = remote;
    return list;
}

// Hashing is for the time after everybody else: half of the cores is enough, and each thread needs a hash's memory.
unsigned hash_threads() { return std::clamp(std::thread::hardware_concurrency() / 2, 1U, 8U); }

}  // namespace

Security::Security(const Config& config, std::uint32_t shards)
    : config_(config), shards_(shards), roles_file_(roles_file_of(config.authorizers)),
      certificates_(certificates_of(config.authenticators, access_)) {
    each_authenticator(config_, [&](const AuthenticatorConfig& one) {
        if (one.method == AuthMethod::jwt) keys_.try_emplace(one.jwks_file, std::make_unique<auth::JwksStore>());
    });
}

Security::~Security() { stop(); }

std::string Security::start(Broker& broker) {
    static_cast<void>(load_roles(false));
    static_cast<void>(load_keys(false));
    if (std::string wrong = load_plugins(); !wrong.empty()) return wrong;
    if (!roles_file_.empty()) {
        broker.attach(access_);
        pool_ = std::make_unique<auth::HashPool>(hash_threads());
        people_ = std::make_unique<auth::PersonLogin>(access_, *pool_, backoff_, person_remember_ms);
    }
    for (const AuthorizerConfig& authorizer : config_.authorizers) {
        const auto plugin = plugins_.find(authorizer.plugin.file);
        authorizers_.push_back({plugin == plugins_.end() ? nullptr : plugin->second.get()});
        if (authorizers_.back().plugin) broker.attach(*authorizers_.back().plugin);
    }
    broker.attach_observers(plugins());
    if (!config_.authenticators.empty()) {
        common_ = make_chain(config_.authenticators, broker);
    } else if (!config_.authorizers.empty()) {
        common_ = make_chain(nobody_is_asked(config_.allow_anonymous), broker);
    }
    for (std::size_t i = 0; i < config_.listeners.size(); ++i) {
        auth::AuthChain* chain = common_.get();
        if (const auto& own = config_.listeners[i].authenticators; !own.empty()) {
            chains_.push_back(make_chain(own, broker));
            chain = chains_.back().get();
        }
        if (chain) broker.attach(static_cast<std::uint16_t>(i), *chain);
    }
    return {};
}

Security::Chain Security::make_chain(const std::vector<AuthenticatorConfig>& list, Broker& broker) {
    std::vector<std::shared_ptr<auth::Method>> methods;
    for (const AuthenticatorConfig& one : list) methods.push_back(make_method(one, broker));
    return std::make_unique<auth::AuthChain>(std::move(methods), access_, backoff_);
}

std::shared_ptr<auth::Method> Security::make_method(const AuthenticatorConfig& one, Broker& broker) {
    switch (one.method) {
        case AuthMethod::password:
            if (!pool_) pool_ = std::make_unique<auth::HashPool>(hash_threads());
            return std::make_shared<auth::PasswordMethod>(access_, *pool_, one.remember_ms);
        case AuthMethod::certificate:
            return std::make_shared<auth::CertificateMethod>(access_, source_of(one.certificate_name), one.known_only);
        case AuthMethod::jwt: return std::make_shared<auth::JwtMethod>(*keys_.at(one.jwks_file), one.jwt);
        case AuthMethod::scram: return std::make_shared<auth::ScramMethod>(access_);
        case AuthMethod::anonymous: return std::make_shared<auth::AnonymousMethod>(one.remote);
        case AuthMethod::http: return make_http(one);
        case AuthMethod::ldap: return make_ldap(one);
        case AuthMethod::plugin: break;
    }
    const auto on_shard = [&broker](std::uint32_t shard, std::function<void()> work) {
        broker.run_on_shard(shard, [work = std::move(work)](ShardApi&) { work(); });
    };
    return std::make_shared<auth::PluginMethod>(*plugins_.at(one.plugin.file), one.timeout_ms, on_shard, steady_ns);
}

std::shared_ptr<auth::Method> Security::make_http(const AuthenticatorConfig& one) {
    HttpLoginClient::Options options;
    static_cast<void>(parse_service_url(one.http.url, "http", options.url));   // was looked at with the configuration
    options.ca_file = one.http.ca_file;
    options.token = one.http.token;
    options.timeout_ms = one.timeout_ms;
    options.requests_max = one.http.requests_max;
    HttpBackend& backend = http_.emplace_back();
    backend.client = std::make_unique<HttpLoginClient>(std::move(options));
    backend.health = std::make_unique<auth::BackendHealth>(say_health("http", one.http.url));
    return std::make_shared<auth::HttpMethod>(*backend.client, *backend.health, unreachable_of(one));
}

std::shared_ptr<auth::Method> Security::make_ldap(const AuthenticatorConfig& one) {
    LdapBackend& backend = ldap_.emplace_back();
    backend.directory = std::make_unique<LdapDirectory>(one.ldap, one.timeout_ms);
    backend.health = std::make_unique<auth::BackendHealth>(say_health("ldap", one.ldap.url));
    auth::GroupRoles roles;
    for (const LdapGroupRoles& entry : one.ldap.group_roles) roles.add(entry.group, entry.roles);
    return std::make_shared<auth::LdapMethod>(*backend.directory, *backend.health, std::move(roles),
                                              unreachable_of(one));
}

void Security::name_plugin(const PluginConfig& plugin) {
    if (plugin.file.empty()) return;
    const auto [at, fresh] = plugin_configs_.emplace(plugin.file, plugin);
    if (fresh) plugin_order_.push_back(plugin.file);
    if (at->second.sha256.empty()) at->second.sha256 = plugin.sha256;
    if (at->second.config_json == "{}") at->second.config_json = plugin.config_json;
}

std::string Security::load_plugins() {
    each_authenticator(config_, [&](const AuthenticatorConfig& one) { name_plugin(one.plugin); });
    for (const AuthorizerConfig& one : config_.authorizers) name_plugin(one.plugin);
    for (const std::string& file : plugin_order_) {
        const PluginConfig& plugin = plugin_configs_.at(file);
        const auto permit = plugin.sha256.empty() ? std::nullopt : std::optional(plugin.sha256);
        const auto say = [file](int level, std::string_view line) {
            const Level as = level >= TL_LOG_ERROR ? Level::error : level == TL_LOG_WARNING ? Level::warn : Level::info;
            log(as, "plugin", {{"file", file}, {"what", line}});
        };
        auto loaded = auth::Plugin::load({file, plugin.config_json, plugin.place}, {{file, permit}}, shards_, say);
        if (loaded.has_error()) return to_string(loaded.error());
        log(Level::info, "plugin_loaded",
            {{"file", file}, {"name", (*loaded)->name()}, {"version", (*loaded)->version()}});
        plugins_.emplace(file, std::move(*loaded));
    }
    return {};
}

std::vector<auth::Plugin*> Security::plugins() const {
    std::vector<auth::Plugin*> all;
    for (const std::string& file : plugin_order_) {
        if (const auto at = plugins_.find(file); at != plugins_.end()) all.push_back(at->second.get());
    }
    return all;
}

bool Security::load_roles(bool again) {
    if (roles_file_.empty()) return true;
    const auto outcome = access_.load_file(roles_file_);
    log_problems(Level::error, "roles_problem", outcome.problems);
    log_problems(Level::warn, "roles_warning", outcome.warnings);
    if (outcome.taken) {
        const auto access = access_.current();
        log(Level::info, "roles_loaded", {{"file", roles_file_}, {"users", std::to_string(access->file().users.size())},
                                          {"roles", std::to_string(access->file().roles.size())},
                                          {"rules", std::to_string(access->file().rules.size())}});
    } else {
        log(Level::error, "roles_refused",
            {{"file", roles_file_},
             {"consequence", again ? "the roles that were in force stay" : "nobody may do anything until it is mended "
                                                                          "and reloaded (SIGHUP)"}});
    }
    return outcome.taken;
}

bool Security::load_keys(bool again) {
    bool good = true;
    for (const auto& [file, store] : keys_) {
        std::vector<Problem> problems;
        const bool taken = store->load_file(file, problems);
        good = good && taken;
        log_problems(taken ? Level::warn : Level::error, "jwks_problem", problems);
        if (taken) {
            log(Level::info, "jwks_loaded", {{"file", file}, {"keys", std::to_string(store->current()->keys.size())}});
        } else {
            log(Level::error, "jwks_refused",
                {{"file", file}, {"consequence", again ? "the keys that were in force stay" : "no token is good"}});
        }
    }
    return good;
}

bool Security::reload_backends(const Config& fresh) {
    const auto same_list = [](const ListenerConfig& a, const ListenerConfig& b) {
        return a.authenticators == b.authenticators;
    };
    const bool same = config_.authenticators == fresh.authenticators &&
                      std::equal(config_.listeners.begin(), config_.listeners.end(), fresh.listeners.begin(),
                                 fresh.listeners.end(), same_list);
    if (same) {
        config_.authenticators = fresh.authenticators;
        for (std::size_t i = 0; i < config_.listeners.size(); ++i) {
            config_.listeners[i].authenticators = fresh.listeners[i].authenticators;
        }
    }
    bool good = true;
    const auto told = [&](const AuthenticatorConfig& one, const std::string& wrong) {
        if (wrong.empty()) return;
        good = false;
        log(Level::error, "auth_backend_reload_failed",
            {{"method", name_of(one.method)}, {"place", one.place}, {"what", wrong},
             {"consequence", "what was in force stays"}});
    };
    std::size_t http = 0, ldap = 0;
    each_authenticator(config_, [&](const AuthenticatorConfig& one) {
        if (one.method == AuthMethod::http) told(one, http_[http++].client->reload(one.http.token));
        if (one.method == AuthMethod::ldap) told(one, ldap_[ldap++].directory->reload(one.ldap.search.password));
    });
    return good;
}

bool Security::reload(const Config& fresh) {
    const bool roles = load_roles(true);
    const bool keys = load_keys(true);
    const bool backends = reload_backends(fresh);
    return roles && keys && backends;
}

void Security::look_around() {
    for (const auto& [file, plugin] : plugins_) plugin->expire(steady_ns());
    for (const LdapBackend& backend : ldap_) backend.directory->look_around();
}

// Those who are answered may be deferred to a method that has been stopped: it is still there to say so.
void Security::stop() {
    for (const HttpBackend& backend : http_) backend.client->stop();
    for (const LdapBackend& backend : ldap_) backend.directory->stop();
    if (pool_) pool_->stop();
    plugins_.clear();
}

std::vector<Problem> Security::check(const Config& config) {
    std::vector<Problem> problems;
    if (const std::string roles = roles_file_of(config.authorizers); !roles.empty()) {
        auth::AccessStore store;
        problems = store.load_file(roles).problems;
    }
    each_authenticator(config, [&](const AuthenticatorConfig& one) {
        auth::JwksStore keys;
        std::vector<Problem> found;
        if (one.method != AuthMethod::jwt || keys.load_file(one.jwks_file, found)) return;
        problems.insert(problems.end(), found.begin(), found.end());
    });
    return problems;
}

}  // namespace trunkline::broker
