// Who asks administration for something, and whether that somebody may.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "auth/principal.h"
#include "auth/secret.h"
#include "auth/validity.h"
#include "broker/admin/router.h"
#include "broker/admin/sources.h"
#include "broker/admin/tokens.h"

namespace trunkline::admin {

struct Identity {
    std::string name;               ///< the actor of the audit trail; empty: nobody in particular
    std::string method = "local";   ///< how it is known: token, password, unix, certificate; local: nobody had to say
    bool everything = false;        ///< has every permission and sees every topic
    bool unasked = false;           ///< publishes without being asked, too: root, and the broker's own user
    auth::Principal principal;      ///< whose roles are asked
};

/// A client certificate that TLS has verified.
struct ShownCertificate {
    auth::CertificateFields fields;
    std::int64_t until_ms = auth::always_ms;    ///< it ends then, UTC since 1970
};

/// What a request brings to say who asks.
struct Shown {
    std::string token;                          ///< of "Authorization: Bearer"; empty: none
    std::string user;                           ///< of "Authorization: Basic"; empty: none
    auth::Secret password;
    bool unreadable = false;                    ///< Authorization is neither
    std::optional<std::uint32_t> uid;           ///< of who has the other end of the Unix socket
    std::shared_ptr<const ShownCertificate> certificate;   ///< null: none
    bool confidential = false;                  ///< loopback, the Unix socket or TLS: a password may be sent
    std::string source;                         ///< address, "local" for the Unix socket
};

/// Reads the header Authorization (RFC 6750, RFC 7617).
void read_authorization(std::string_view header, Shown& shown);

/// What the configuration says of who may.
struct GuardSettings {
    std::shared_ptr<const Tokens> tokens;             ///< null: there is no tokens file
    std::map<std::uint32_t, std::string> unix_users;  ///< user of the roles file by uid
    bool metrics_without_token = true;
    bool certificates = false;                        ///< clients are asked for one (admin.tls.ca)
};

/// Thread safe.
class Guard {
public:
    /// `sources` outlive it.
    explicit Guard(const Sources& sources) : sources_(sources) {}

    void use(GuardSettings settings);
    /// Whoever reaches administration without saying who that is may not do everything: there are tokens, users of the
    /// Unix socket, client certificates, rules about administration, or a roles file that cannot be used.
    [[nodiscard]] bool guarded() const;

    struct Found {
        std::shared_ptr<const Identity> who;          ///< null: nobody
        std::string why;                              ///< nobody: what was wrong with what was shown
        bool ask_password = false;                    ///< the password must be checked, then ask user()
        bool busy = false;                            ///< nobody: it could not be found out now
        std::string holder = {};                      ///< nobody: whose good certificate it is, who is nobody here
    };
    [[nodiscard]] Found identify(const Shown& shown) const;
    /// A user of the roles file who has shown a password.
    [[nodiscard]] Found user(const std::string& name, const std::string& source) const;
    /// Is it still so? For connections that last: null when it is, else why not.
    [[nodiscard]] std::optional<std::string> gone(const Identity& who, const Shown& shown) const;

    /// Nobody needs to say who that is.
    [[nodiscard]] bool is_open(Permission permission) const;

    struct Verdict {
        enum class Is : std::uint8_t { allowed, denied, not_allowed } is = Is::not_allowed;
        std::string place, text;                      ///< of the rule; of `not_allowed` what is missing
    };
    /// What the roles say; plugins may be asked beside. `denied`: whatever they say.
    [[nodiscard]] Verdict judge(const Identity& who, Permission permission) const;

    /// 403 for the holder of a certificate that is nobody here.
    [[nodiscard]] static Response not_admitted(const Found& found);
    /// 401 with what to do.
    [[nodiscard]] Response unidentified(const Shown& shown, const std::string& why) const;
    /// 403 with the rule that decided.
    [[nodiscard]] static Response forbidden(const Identity& who, std::string_view what, const Verdict& verdict);

private:
    using Settings = std::shared_ptr<const GuardSettings>;
    [[nodiscard]] Settings settings() const;
    [[nodiscard]] bool guarded(const GuardSettings& settings) const;
    [[nodiscard]] Found of_token(const Tokens::Entry& entry, const Shown& shown) const;
    [[nodiscard]] Found of_uid(const GuardSettings& settings, const Shown& shown) const;
    [[nodiscard]] Found of_certificate(const ShownCertificate& certificate, const std::string& source) const;
    [[nodiscard]] Found of_user(const std::string& name, const char* method, const std::string& source) const;

    const Sources& sources_;
    mutable std::mutex mutex_;      // guards the pointer
    Settings settings_ = std::make_shared<const GuardSettings>();
};

/// What somebody may see of the namespace, and may do there, as far as roles and plugins say. A snapshot, for one
/// answer.
class Sight {
public:
    Sight(const Sources& sources, const Request& request);

    /// Nothing is kept from it.
    [[nodiscard]] bool all() const { return who_ && who_->everything; }
    [[nodiscard]] bool may(auth::Action action, const std::string& topic) const;
    /// The same for many. Waits for plugins, where there are some: not on a shard.
    [[nodiscard]] std::vector<bool> may(auth::Action action, const std::vector<std::string>& topics) const;
    /// Something at or below the level may be received.
    [[nodiscard]] bool may_see_below(const std::string& level) const;
    /// 403 with the rule that decided.
    [[nodiscard]] Response refusal(auth::Action action, const std::string& topic) const;

private:
    [[nodiscard]] auth::Decision decide(auth::Action action, const std::string& topic) const;

    const Sources& sources_;
    std::shared_ptr<const Identity> who_;             // null: nobody, who may do nothing
    std::shared_ptr<const auth::Access> access_;      // null: there are no roles
    std::shared_ptr<const auth::RoleSet> roles_;
    std::shared_ptr<const uns::Model> model_;         // null: none is in force
    std::int64_t now_ms_ = 0;
};

}  // namespace trunkline::admin
