// Speaks LDAP for auth::LdapMethod: a few threads with a connection each for the search account and for logins.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "auth/hash_pool.h"
#include "auth/ldap_method.h"
#include "broker/core/access_config.h"
#include "broker/listener_url.h"

namespace trunkline::broker {

/// Thread safe. `connections_max` threads, fair among the addresses of clients, let the others wait. A connection is
/// kept and used again; one that was lost is opened anew. Referrals are not followed. A login takes `timeout_ms` at
/// most, from when its turn has come, for which look_around() must be called.
class LdapDirectory : public auth::Directory {
public:
    LdapDirectory(LdapLoginConfig config, std::uint32_t timeout_ms);
    ~LdapDirectory() override;
    LdapDirectory(const LdapDirectory&) = delete;
    LdapDirectory& operator=(const LdapDirectory&) = delete;

    void login(std::shared_ptr<const auth::Attempt> attempt, OnReply done) override;
    /// Takes another password of the search account, and the authorities' file as it is now, for new connections; those
    /// that are there are used no more. Returns "" or what is wrong with the file; then all stays as it is.
    [[nodiscard]] std::string reload(const std::string& password);
    /// Cuts connections on which something takes too long. Every 100 ms or so.
    void look_around();
    /// Answers all that are under way and all that come later as dropped. Ends the threads.
    void stop();

private:
    using Clock = std::chrono::steady_clock;
    using Reply = auth::DirectoryReply;
    class Connection;
    struct Person;
    struct Lines {
        std::vector<std::unique_ptr<Connection>> idle;
    };

    [[nodiscard]] Reply judge(const auth::Attempt& attempt);
    [[nodiscard]] Reply by_search(const auth::Attempt& attempt, Clock::time_point deadline);
    [[nodiscard]] Reply by_template(const auth::Attempt& attempt, Clock::time_point deadline);
    [[nodiscard]] Reply find_groups(Connection& connection, Person& person) const;
    template <class Ask>
    [[nodiscard]] Reply with(Lines& lines, Clock::time_point deadline, const Ask& ask);
    [[nodiscard]] std::unique_ptr<Connection> take(Lines& lines);
    [[nodiscard]] std::unique_ptr<Connection> open(bool as_searcher, Clock::time_point deadline, Reply& wrong);

    const LdapLoginConfig config_;
    ServiceUrl url_;
    const std::uint32_t timeout_ms_;
    std::atomic<bool> stopping_{false};
    std::mutex mutex_;                      // guards what follows, but for the pool
    std::string password_;                  // of the search account
    std::uint64_t generation_ = 0;          // of connections; older ones are closed
    Lines searchers_, binders_;
    std::set<Connection*> open_;            // all that there are, to cut them
    auth::HashPool pool_;
};

}  // namespace trunkline::broker
