#include "broker/auth_ldap.h"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <utility>

#include <ldap.h>
#include <openldap.h>

#include "auth/ldap_text.h"

namespace trunkline::broker {
namespace {

using Reply = auth::DirectoryReply;
using Kind = Reply::Kind;
using Clock = std::chrono::steady_clock;

constexpr const char* system_authorities = "/etc/ssl/certs/ca-certificates.crt";
constexpr std::size_t message_bytes_max = 4 << 20, diagnostic_bytes_max = 200;
constexpr int groups_max = 2'000, slice_ms = 100;
constexpr std::chrono::seconds connection_lasts{300};

Reply reply_of(Kind kind, std::string what = {}) {
    Reply reply;
    reply.kind = kind;
    reply.what = std::move(what);
    return reply;
}

// What a server says of itself goes to the log: one line, not long.
std::string one_line(std::string_view text) {
    std::string line(text.substr(0, diagnostic_bytes_max));
    std::replace_if(line.begin(), line.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20; }, ' ');
    return line;
}

std::string explain(int code, const char* diagnostic) {
    std::string text = ldap_err2string(code);
    if (diagnostic && *diagnostic) text += ": " + one_line(diagnostic);
    return text;
}

// libldap and its TLS get ready at their first use, which is not for several threads at once.
void start_libldap() {
    static const bool once = [] {
        LDAP* handle = nullptr;
        const int client = 0;
        if (ldap_create(&handle) != LDAP_SUCCESS) return false;
        ldap_set_option(handle, LDAP_OPT_X_TLS_NEWCTX, &client);
        ldap_unbind_ext(handle, nullptr, nullptr);
        return true;
    }();
    static_cast<void>(once);
}

timeval left_until(Clock::time_point deadline) {
    const auto left = std::max<std::chrono::microseconds>(
        std::chrono::duration_cast<std::chrono::microseconds>(deadline - Clock::now()), std::chrono::microseconds(1));
    return {static_cast<time_t>(left.count() / 1'000'000), static_cast<suseconds_t>(left.count() % 1'000'000)};
}

/// A file descriptor that closes itself.
class Descriptor {
public:
    explicit Descriptor(int number = -1) : number_(number) {}
    Descriptor(Descriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
    Descriptor& operator=(Descriptor&& other) noexcept {
        std::swap(number_, other.number_);
        return *this;
    }
    ~Descriptor() {
        if (number_ >= 0) ::close(number_);
    }
    [[nodiscard]] int get() const { return number_; }
    int release() { return std::exchange(number_, -1); }

private:
    int number_;
};

bool wait_connected(int socket, Clock::time_point deadline, const std::atomic<bool>& stopping, int& error) {
    while (Clock::now() < deadline && !stopping) {
        pollfd wanted{socket, POLLOUT, 0};
        if (::poll(&wanted, 1, slice_ms) <= 0) continue;
        socklen_t size = sizeof error;
        if (::getsockopt(socket, SOL_SOCKET, SO_ERROR, &error, &size) != 0) error = errno;
        return error == 0;
    }
    error = ETIMEDOUT;
    return false;
}

/// TCP to the first address that takes it. `wrong` says why there is none.
Descriptor connect_to(const ServiceUrl& url, Clock::time_point deadline, const std::atomic<bool>& stopping,
                      std::string& wrong) {
    addrinfo hints{}, *found = nullptr;
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_ADDRCONFIG;
    if (const int failed = ::getaddrinfo(url.host.c_str(), std::to_string(url.port).c_str(), &hints, &found)) {
        wrong = std::string("its name cannot be resolved: ") + ::gai_strerror(failed);
        return Descriptor();
    }
    const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owner(found, &::freeaddrinfo);
    for (const addrinfo* one = found; one; one = one->ai_next) {
        Descriptor socket(::socket(one->ai_family, one->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, one->ai_protocol));
        if (socket.get() < 0) continue;
        int error = 0;
        if (::connect(socket.get(), one->ai_addr, one->ai_addrlen) != 0) error = errno;
        if (error == EINPROGRESS) {
            error = 0;
            static_cast<void>(wait_connected(socket.get(), deadline, stopping, error));
        }
        if (error != 0) {
            wrong = std::string("it cannot be reached: ") + std::strerror(error);
            continue;
        }
        const int flags = ::fcntl(socket.get(), F_GETFL);
        ::fcntl(socket.get(), F_SETFL, flags & ~O_NONBLOCK);   // libldap waits by itself, and is cut by look_around()
        const int on = 1;
        const timeval send_time{5, 0};
        ::setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        ::setsockopt(socket.get(), SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
        ::setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &send_time, sizeof send_time);
        return socket;
    }
    return Descriptor();
}

// Of the values of an attribute, the one that was meant by what the client typed.
std::string name_among(const std::vector<std::string>& values, const std::string& typed) {
    for (const std::string& value : values) {
        if (auth::normal_value(value) == auth::normal_value(typed)) return value;
    }
    return values.size() == 1 ? values.front() : "";
}

// Codes with which a directory says that it is this login that it does not like, not the world.
bool is_refusal(int code) {
    switch (code) {
        case LDAP_INVALID_CREDENTIALS:
        case LDAP_NO_SUCH_OBJECT:
        case LDAP_INVALID_DN_SYNTAX:
        case LDAP_INAPPROPRIATE_AUTH:
        case LDAP_UNWILLING_TO_PERFORM:
        case LDAP_CONSTRAINT_VIOLATION:
        case LDAP_INSUFFICIENT_ACCESS: return true;
        default: return false;
    }
}

}  // namespace

/// An entry of the directory, and what was read of it.
struct LdapDirectory::Person {
    std::string dn, user;
    std::vector<std::string> groups;
};

/// Used by one thread at a time, but for cut(). After the first operation that got no answer it is `lost`.
class LdapDirectory::Connection {
public:
    struct Entry {
        std::string dn;
        std::vector<std::vector<std::string>> values;   // by attribute, as they were asked for
    };

    Connection(LdapDirectory& owner, std::uint64_t generation) : owner_(owner), generation_(generation) {}
    ~Connection() {
        {
            const std::lock_guard lock(owner_.mutex_);
            owner_.open_.erase(this);
        }
        if (handle_) ldap_unbind_ext(handle_, nullptr, nullptr);
    }

    /// TCP, TLS, options. Kind::bound: it stands.
    [[nodiscard]] Reply open(Clock::time_point deadline);
    /// Kind::bound, Kind::wrong, or why it is not known.
    [[nodiscard]] Reply bind(const std::string& dn, std::string_view password);
    /// Kind::bound: `found` has the entries. Kind::unknown: there is no such base.
    [[nodiscard]] Reply search(const std::string& base, int scope, const std::string& filter,
                               const std::vector<std::string>& attributes, int most, std::vector<Entry>& found);

    void use_until(Clock::time_point deadline) {
        const std::lock_guard lock(owner_.mutex_);
        deadline_ = deadline;
    }
    /// With the owner's mutex held. Whoever reads from it learns at once that it has ended.
    void cut_after(Clock::time_point now) const {
        if (deadline_ < now && watched_.get() >= 0) ::shutdown(watched_.get(), SHUT_RDWR);
    }

    bool lost = false;
    Clock::time_point idle_since;
    [[nodiscard]] std::uint64_t generation() const { return generation_; }

private:
    [[nodiscard]] Reply set_up();
    [[nodiscard]] Reply secure();
    [[nodiscard]] Reply check_version();
    [[nodiscard]] Reply broken(int code);
    [[nodiscard]] Reply wait(int number, LDAPMessage*& message);

    LdapDirectory& owner_;
    const std::uint64_t generation_;
    LDAP* handle_ = nullptr;
    Descriptor watched_;        // the same socket as libldap's, under a number that libldap cannot close
    Clock::time_point deadline_ = Clock::time_point::max();
};

Reply LdapDirectory::Connection::open(Clock::time_point deadline) {
    start_libldap();
    std::string wrong = "it has no address";
    Descriptor socket = connect_to(owner_.url_, deadline, owner_.stopping_, wrong);
    if (socket.get() < 0) return reply_of(Kind::unreachable, std::move(wrong));
    {
        const std::lock_guard lock(owner_.mutex_);
        watched_ = Descriptor(::fcntl(socket.get(), F_DUPFD_CLOEXEC, 0));
        deadline_ = deadline;
        owner_.open_.insert(this);
    }
    if (owner_.stopping_) return reply_of(Kind::dropped);   // stop() has not seen this one
    const std::string address = owner_.url_.scheme + "://" + owner_.url_.authority;
    if (watched_.get() < 0 || ldap_init_fd(socket.get(), LDAP_PROTO_TCP, address.c_str(), &handle_) != LDAP_SUCCESS) {
        handle_ = nullptr;
        return reply_of(Kind::failed, "no connection can be made: out of memory or files");
    }
    socket.release();           // libldap closes it
    Reply reply = set_up();
    if (reply.kind == Kind::bound) reply = secure();
    // libldap opens a lost connection again by itself, and would do so without StartTLS: there it finds nobody.
    ldap_set_option(handle_, LDAP_OPT_URI, "ldapi://%2fdev%2fnull");
    return reply;
}

Reply LdapDirectory::Connection::set_up() {
    const int version = LDAP_VERSION3, never = LDAP_DEREF_NEVER;
    ber_len_t most = message_bytes_max;
    Sockbuf* buffer = nullptr;
    const bool good = ldap_set_option(handle_, LDAP_OPT_PROTOCOL_VERSION, &version) == LDAP_OPT_SUCCESS &&
                      ldap_set_option(handle_, LDAP_OPT_REFERRALS, LDAP_OPT_OFF) == LDAP_OPT_SUCCESS &&
                      ldap_set_option(handle_, LDAP_OPT_DEREF, &never) == LDAP_OPT_SUCCESS &&
                      ldap_get_option(handle_, LDAP_OPT_SOCKBUF, &buffer) == LDAP_OPT_SUCCESS && buffer &&
                      ber_sockbuf_ctrl(buffer, LBER_SB_OPT_SET_MAX_INCOMING, &most) == 1;
    return good ? reply_of(Kind::bound) : reply_of(Kind::failed, "libldap does not take its options");
}

Reply LdapDirectory::Connection::secure() {
    const bool ldaps = owner_.url_.scheme == "ldaps";
    if (!ldaps && !owner_.config_.start_tls) return reply_of(Kind::bound);
    const std::string& ca = owner_.config_.ca_file;
    // Set here whatever ldap.conf of the machine says.
    const int demand = LDAP_OPT_X_TLS_HARD, client = 0;
    const bool good = ldap_set_option(handle_, LDAP_OPT_X_TLS_REQUIRE_CERT, &demand) == LDAP_OPT_SUCCESS &&
                      ldap_set_option(handle_, LDAP_OPT_X_TLS_CACERTFILE,
                                      ca.empty() ? system_authorities : ca.c_str()) == LDAP_OPT_SUCCESS &&
                      ldap_set_option(handle_, LDAP_OPT_X_TLS_NEWCTX, &client) == LDAP_OPT_SUCCESS;
    if (!good) return reply_of(Kind::failed, "TLS cannot be set up with ca " + (ca.empty() ? system_authorities : ca));
    const int code = ldaps ? ldap_install_tls(handle_) : ldap_start_tls_s(handle_, nullptr, nullptr);
    if (code == LDAP_SUCCESS && ldap_tls_inplace(handle_)) return check_version();
    if (Clock::now() > deadline_) return reply_of(Kind::failed, "it gave no answer in time");
    Reply reply = broken(code);
    // GnuTLS tells libldap no more than that it did not work.
    return reply_of(Kind::failed, "TLS failed, perhaps its certificate or its host name: " + reply.what);
}

// GnuTLS does not take the lowest version from libldap, and a list of versions costs memory that libldap never gives
// back: so the version is looked at before anything is sent.
Reply LdapDirectory::Connection::check_version() {
    char* version = nullptr;
    ldap_get_option(handle_, LDAP_OPT_X_TLS_VERSION, &version);
    const std::string name = version ? version : "unknown";
    if (version) ldap_memfree(version);
    if (name == "TLS1.3" || name == "TLS1.2" || name == "TLSv1.3" || name == "TLSv1.2") return reply_of(Kind::bound);
    lost = true;
    return reply_of(Kind::failed, "TLS failed: the version is " + one_line(name) + ", lower than 1.2");
}

// What an error of libldap itself says. The connection is used no more.
Reply LdapDirectory::Connection::broken(int code) {
    lost = true;
    char* diagnostic = nullptr;
    ldap_get_option(handle_, LDAP_OPT_DIAGNOSTIC_MESSAGE, &diagnostic);
    const std::string what = explain(code, diagnostic);
    if (diagnostic) ldap_memfree(diagnostic);
    if (Clock::now() > deadline_) return reply_of(Kind::failed, "it gave no answer in time");
    const bool gone = code == LDAP_SERVER_DOWN || code == LDAP_CONNECT_ERROR;
    return reply_of(gone ? Kind::unreachable : Kind::failed, gone ? "the connection was lost: " + what : what);
}

Reply LdapDirectory::Connection::wait(int number, LDAPMessage*& message) {
    timeval left = left_until(deadline_);
    const int kind = ldap_result(handle_, number, LDAP_MSG_ALL, &left, &message);
    if (kind > 0) return reply_of(Kind::bound);
    if (kind == 0) {
        lost = true;
        return reply_of(Kind::failed, "it gave no answer in time");
    }
    int code = LDAP_OTHER;
    ldap_get_option(handle_, LDAP_OPT_RESULT_CODE, &code);
    return broken(code);
}

Reply LdapDirectory::Connection::bind(const std::string& dn, std::string_view password) {
    // Neither may be empty: such a bind succeeds and says nothing (RFC 4513, sections 5.1.1 and 5.1.2).
    if (dn.empty() || password.empty()) return reply_of(Kind::wrong, "nobody, or without a password");
    berval secret{password.size(), const_cast<char*>(password.data())};
    int number = 0;
    const int sent = ldap_sasl_bind(handle_, dn.c_str(), LDAP_SASL_SIMPLE, &secret, nullptr, nullptr, &number);
    if (sent != LDAP_SUCCESS) return broken(sent);
    LDAPMessage* message = nullptr;
    if (Reply reply = wait(number, message); reply.kind != Kind::bound) return reply;
    int code = LDAP_OTHER;
    char* diagnostic = nullptr;
    const int parsed = ldap_parse_result(handle_, message, &code, nullptr, &diagnostic, nullptr, nullptr, 1);
    const std::string what = explain(code, diagnostic);
    if (diagnostic) ldap_memfree(diagnostic);
    if (parsed != LDAP_SUCCESS) return broken(parsed);
    if (code == LDAP_SUCCESS) return reply_of(Kind::bound);
    if (is_refusal(code)) return reply_of(Kind::wrong, what);
    lost = true;
    return reply_of(Kind::failed, "it does not judge logins: " + what);
}

Reply LdapDirectory::Connection::search(const std::string& base, int scope, const std::string& filter,
                                        const std::vector<std::string>& attributes, int most,
                                        std::vector<Entry>& found) {
    std::vector<char*> names;
    for (const std::string& name : attributes) names.push_back(const_cast<char*>(name.c_str()));
    char none[] = LDAP_NO_ATTRS;
    if (names.empty()) names.push_back(none);
    names.push_back(nullptr);
    timeval left = left_until(deadline_);
    int number = 0;
    const int sent = ldap_search_ext(handle_, base.c_str(), scope, filter.c_str(), names.data(), 0, nullptr, nullptr,
                                     &left, most, &number);
    if (sent == LDAP_FILTER_ERROR) return reply_of(Kind::failed, "the filter of the configuration is none");
    if (sent != LDAP_SUCCESS) return broken(sent);
    LDAPMessage* message = nullptr;
    if (Reply reply = wait(number, message); reply.kind != Kind::bound) return reply;
    const std::unique_ptr<LDAPMessage, decltype(&ldap_msgfree)> owner(message, &ldap_msgfree);
    int code = LDAP_OTHER;
    char* diagnostic = nullptr;
    const int parsed = ldap_parse_result(handle_, message, &code, nullptr, &diagnostic, nullptr, nullptr, 0);
    const std::string what = explain(code, diagnostic);
    if (diagnostic) ldap_memfree(diagnostic);
    if (parsed != LDAP_SUCCESS) return broken(parsed);
    if (code == LDAP_NO_SUCH_OBJECT) return reply_of(Kind::unknown, what);
    if (code != LDAP_SUCCESS) return reply_of(Kind::failed, "a search failed: " + what);
    for (LDAPMessage* at = ldap_first_entry(handle_, message); at; at = ldap_next_entry(handle_, at)) {
        Entry& entry = found.emplace_back();
        if (char* dn = ldap_get_dn(handle_, at)) {
            entry.dn = dn;
            ldap_memfree(dn);
        }
        for (const std::string& name : attributes) {
            auto& values = entry.values.emplace_back();
            berval** list = ldap_get_values_len(handle_, at, name.c_str());
            for (berval** value = list; value && *value; ++value) {
                values.emplace_back((*value)->bv_val, (*value)->bv_len);
            }
            if (list) ldap_value_free_len(list);
        }
    }
    return reply_of(Kind::bound);
}

LdapDirectory::LdapDirectory(LdapLoginConfig config, std::uint32_t timeout_ms)
    : config_(std::move(config)), timeout_ms_(timeout_ms), password_(config_.search.password),
      pool_(config_.connections_max) {
    static_cast<void>(parse_service_url(config_.url, "ldap", url_));   // was looked at with the configuration
}

LdapDirectory::~LdapDirectory() {
    stop();
    searchers_.idle.clear();
    binders_.idle.clear();
}

void LdapDirectory::login(std::shared_ptr<const auth::Attempt> attempt, OnReply done) {
    // Held by two: the pool may refuse to take its copy.
    const auto shared_done = std::make_shared<OnReply>(std::move(done));
    const auto asked = attempt;
    const bool taken = pool_.submit(asked->address, auth::delay_left_ms(*asked), [this, attempt, shared_done](bool go) {
        if (!go || stopping_ || attempt->is_abandoned()) return (*shared_done)(reply_of(Kind::dropped));
        Reply reply = judge(*attempt);
        const bool judged = reply.kind == Kind::bound || reply.kind == Kind::wrong || reply.kind == Kind::unknown;
        if (stopping_ && !judged) reply = reply_of(Kind::dropped);   // cut by stop()
        (*shared_done)(std::move(reply));
    });
    if (!taken) (*shared_done)(reply_of(stopping_ ? Kind::dropped : Kind::busy));
}

Reply LdapDirectory::judge(const auth::Attempt& attempt) {
    const auto deadline = Clock::now() + std::chrono::milliseconds(timeout_ms_);
    return config_.bind_dn.empty() ? by_search(attempt, deadline) : by_template(attempt, deadline);
}

std::unique_ptr<LdapDirectory::Connection> LdapDirectory::take(Lines& lines) {
    std::vector<std::unique_ptr<Connection>> old;       // closed without the mutex
    const std::lock_guard lock(mutex_);
    while (!lines.idle.empty()) {
        auto connection = std::move(lines.idle.back());
        lines.idle.pop_back();
        const bool fresh = Clock::now() - connection->idle_since < connection_lasts;
        if (fresh && connection->generation() == generation_) return connection;
        old.push_back(std::move(connection));
    }
    return nullptr;
}

std::unique_ptr<LdapDirectory::Connection> LdapDirectory::open(bool as_searcher, Clock::time_point deadline,
                                                               Reply& wrong) {
    std::uint64_t generation = 0;
    std::string password;
    {
        const std::lock_guard lock(mutex_);
        generation = generation_;
        password = password_;
    }
    auto connection = std::make_unique<Connection>(*this, generation);
    wrong = connection->open(deadline);
    if (wrong.kind != Kind::bound) return nullptr;
    if (!as_searcher || config_.search.bind_dn.empty()) return connection;
    wrong = connection->bind(config_.search.bind_dn, password);
    if (wrong.kind == Kind::bound) return connection;
    wrong = reply_of(Kind::failed, "the search account cannot log in: " + wrong.what);
    return nullptr;
}

// A kept connection may have been closed by the server just now: then another one is asked, at last a new one.
template <class Ask>
Reply LdapDirectory::with(Lines& lines, Clock::time_point deadline, const Ask& ask) {
    while (true) {
        auto connection = take(lines);
        const bool kept = connection != nullptr;
        Reply reply;
        if (kept) connection->use_until(deadline);
        else connection = open(&lines == &searchers_, deadline, reply);
        if (!connection) return reply;
        reply = ask(*connection);
        const bool gone = connection->lost && reply.kind == Kind::unreachable;
        if (gone && kept && !stopping_) continue;
        // It has had the question: whoever can make it fail must not get to the next method by that.
        if (gone) reply.kind = Kind::failed;
        if (!connection->lost) {
            connection->use_until(Clock::time_point::max());
            connection->idle_since = Clock::now();
            const std::lock_guard lock(mutex_);
            lines.idle.push_back(std::move(connection));
        }
        return reply;
    }
}

Reply LdapDirectory::find_groups(Connection& connection, Person& person) const {
    if (config_.group_base.empty()) return reply_of(Kind::bound);
    std::vector<Connection::Entry> found;
    const std::string filter = auth::fill_filter(config_.group_filter, {person.user, person.dn});
    Reply reply = connection.search(config_.group_base, LDAP_SCOPE_SUBTREE, filter, {}, groups_max, found);
    if (reply.kind == Kind::unknown) return reply_of(Kind::failed, "groups.base is not there: " + reply.what);
    for (Connection::Entry& entry : found) person.groups.push_back(std::move(entry.dn));
    return reply;
}

Reply LdapDirectory::by_search(const auth::Attempt& attempt, Clock::time_point deadline) {
    Person person;
    const int scope = config_.search.subtree ? LDAP_SCOPE_SUBTREE : LDAP_SCOPE_ONELEVEL;
    std::vector<std::string> attributes{config_.user_attribute};
    if (!config_.group_attribute.empty()) attributes.push_back(config_.group_attribute);
    Reply reply = with(searchers_, deadline, [&](Connection& connection) {
        std::vector<Connection::Entry> found;
        const std::string filter = auth::fill_filter(config_.search.filter, {*attempt.user, {}});
        Reply answer = connection.search(config_.search.base, scope, filter, attributes, 2, found);
        if (answer.kind == Kind::unknown) return reply_of(Kind::failed, "search.base is not there: " + answer.what);
        if (answer.kind != Kind::bound) return answer;
        if (found.empty()) return reply_of(Kind::unknown);
        if (found.size() > 1) return reply_of(Kind::wrong, "it has several of that name");
        person.dn = found[0].dn;
        person.user = name_among(found[0].values[0], *attempt.user);
        if (found[0].values.size() > 1) person.groups = std::move(found[0].values[1]);
        return answer;
    });
    const bool unknown = reply.kind == Kind::unknown;
    if (!unknown && reply.kind != Kind::bound) return reply;
    // Whom nobody knows takes as long as a wrong password does: a login that cannot succeed.
    if (unknown) person.dn = "cn=trunkline-nobody," + config_.search.base;
    reply = with(binders_, deadline, [&](Connection& connection) {
        return connection.bind(person.dn, attempt.password->view());
    });
    if (unknown && (reply.kind == Kind::bound || reply.kind == Kind::wrong)) return reply_of(Kind::unknown);
    if (reply.kind != Kind::bound) return reply;
    if (!config_.group_base.empty()) {
        reply = with(searchers_, deadline, [&](Connection& connection) { return find_groups(connection, person); });
        if (reply.kind != Kind::bound) return reply;
    }
    reply.user = std::move(person.user);
    reply.groups = std::move(person.groups);
    return reply;
}

Reply LdapDirectory::by_template(const auth::Attempt& attempt, Clock::time_point deadline) {
    std::vector<std::string> attributes{config_.user_attribute};
    if (!config_.group_attribute.empty()) attributes.push_back(config_.group_attribute);
    return with(binders_, deadline, [&](Connection& connection) {
        Person person;
        person.dn = auth::fill_dn(config_.bind_dn, {*attempt.user, {}});
        Reply reply = connection.bind(person.dn, attempt.password->view());
        if (reply.kind != Kind::bound) return reply;
        std::vector<Connection::Entry> found;
        reply = connection.search(person.dn, LDAP_SCOPE_BASE, "(objectClass=*)", attributes, 1, found);
        if (reply.kind == Kind::unknown || (reply.kind == Kind::bound && found.size() != 1)) {
            return reply_of(Kind::failed, "who has logged in may not read the own entry; use search");
        }
        if (reply.kind != Kind::bound) return reply;
        person.user = name_among(found[0].values[0], *attempt.user);
        if (found[0].values.size() > 1) person.groups = std::move(found[0].values[1]);
        reply = find_groups(connection, person);
        reply.user = std::move(person.user);
        reply.groups = std::move(person.groups);
        return reply;
    });
}

std::string LdapDirectory::reload(const std::string& password) {
    if (!config_.ca_file.empty() && ::access(config_.ca_file.c_str(), R_OK) != 0) {
        return "ca " + config_.ca_file + " cannot be read";
    }
    const std::lock_guard lock(mutex_);
    password_ = password;
    ++generation_;
    return {};
}

void LdapDirectory::look_around() {
    const auto now = Clock::now();
    const std::lock_guard lock(mutex_);
    for (const Connection* connection : open_) connection->cut_after(now);
}

void LdapDirectory::stop() {
    if (stopping_.exchange(true)) return;
    {
        const std::lock_guard lock(mutex_);
        for (const Connection* connection : open_) connection->cut_after(Clock::time_point::max());
    }
    pool_.stop();
}

}  // namespace trunkline::broker
