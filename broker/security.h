// Everything that decides who a client is and what it may do, as the configuration names it: users and roles, keys of
// tokens, ways to authenticate for each listener, plugins. Owned by the daemon, used on its thread.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "auth/access_store.h"
#include "auth/backend.h"
#include "auth/backoff.h"
#include "auth/chain.h"
#include "auth/hash_pool.h"
#include "auth/jwt_method.h"
#include "auth/methods.h"
#include "auth/person_login.h"
#include "auth/plugin_host.h"
#include "broker/auth_http.h"
#include "broker/auth_ldap.h"
#include "broker/core/config.h"
#include "namespace/problem.h"

namespace trunkline::broker {

class Broker;

class Security {
public:
    /// `shards` is how many the broker has: plugins keep a state for each.
    Security(const Config& config, std::uint32_t shards);
    /// After the broker, which uses what is here until its end; stop() before.
    ~Security();
    Security(const Security&) = delete;
    Security& operator=(const Security&) = delete;

    /// Before the broker's shards run. Reads roles and keys: a file that is no good is logged, and then nobody may do
    /// anything, or no token is good, until a reload finds a good one. Returns "" or which plugin cannot be loaded:
    /// the broker must not run without it.
    [[nodiscard]] std::string start(Broker& broker);
    /// Reads roles, keys and authorities again, and takes the tokens and passwords of `fresh` where its authenticators
    /// are otherwise those in force. What is no good is logged and changes nothing; returns whether all was good.
    bool reload(const Config& fresh);
    /// Denies what plugins and directories have not answered in time. Every 100 ms or so.
    void look_around();
    /// After the last call of a shard: answers all who still wait.
    void stop();

    /// The roles file in force; attached to the broker where the configuration names one.
    [[nodiscard]] auth::AccessStore& access() { return access_; }
    [[nodiscard]] const std::string& roles_file() const { return roles_file_; }
    /// Checks passwords for administration, until stop(); null without a roles file.
    [[nodiscard]] auth::PersonLogin* people() const { return people_.get(); }
    /// Whose certificates are, for administration: as the first `certificate` of the common `authenticators` says.
    [[nodiscard]] const auth::CertificateMethod& certificates() const { return certificates_; }

    /// `authorizers` in their order. `plugin` null: the roles file.
    struct Authorizer {
        auth::Plugin* plugin = nullptr;
    };
    [[nodiscard]] const std::vector<Authorizer>& authorizers() const { return authorizers_; }
    /// All plugins, each once.
    [[nodiscard]] std::vector<auth::Plugin*> plugins() const;

    /// What --check-config says: problems of the roles file and of the keys. Loads no plugin.
    [[nodiscard]] static std::vector<Problem> check(const Config& config);

private:
    /// One entry of `authenticators` that asks a service elsewhere.
    struct HttpBackend {
        std::unique_ptr<HttpLoginClient> client;
        std::unique_ptr<auth::BackendHealth> health;
    };
    struct LdapBackend {
        std::unique_ptr<LdapDirectory> directory;
        std::unique_ptr<auth::BackendHealth> health;
    };
    using Chain = std::unique_ptr<auth::AuthChain>;
    [[nodiscard]] std::string load_plugins();
    void name_plugin(const PluginConfig& plugin);
    [[nodiscard]] Chain make_chain(const std::vector<AuthenticatorConfig>& list, Broker& broker);
    [[nodiscard]] std::shared_ptr<auth::Method> make_method(const AuthenticatorConfig& one, Broker& broker);
    [[nodiscard]] std::shared_ptr<auth::Method> make_http(const AuthenticatorConfig& one);
    [[nodiscard]] std::shared_ptr<auth::Method> make_ldap(const AuthenticatorConfig& one);
    [[nodiscard]] bool reload_backends(const Config& fresh);
    [[nodiscard]] bool load_roles(bool again);
    [[nodiscard]] bool load_keys(bool again);

    Config config_;                                                    // tokens and passwords change by reload()
    const std::uint32_t shards_;
    const std::string roles_file_;
    auth::AccessStore access_;
    std::map<std::string, std::unique_ptr<auth::JwksStore>> keys_;     // by file
    auth::Backoff backoff_;
    std::map<std::string, PluginConfig> plugin_configs_;               // by file, what all entries say of it together
    std::vector<std::string> plugin_order_;
    std::map<std::string, std::unique_ptr<auth::Plugin>> plugins_;     // by file
    std::vector<Authorizer> authorizers_;
    std::unique_ptr<auth::HashPool> pool_;                             // null: no method needs it
    std::vector<HttpBackend> http_;                                    // in the order of each_authenticator()
    std::vector<LdapBackend> ldap_;
    std::unique_ptr<auth::PersonLogin> people_;                        // null: there is no roles file
    const auth::CertificateMethod certificates_;
    Chain common_;
    std::vector<Chain> chains_;                                        // of listeners with a list of their own
};

}  // namespace trunkline::broker
