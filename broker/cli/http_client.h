// HTTP to the broker's administration interface, over TCP or a Unix socket.
#pragma once

#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include <nlohmann/json.hpp>

namespace trunkline::cli {

using Json = nlohmann::ordered_json;

/// Exit codes of trunkctl.
enum Exit { exit_ok = 0, exit_findings = 1, exit_usage = 2, exit_no_connection = 3, exit_not_authorised = 4 };

/// Ends the program with a message on standard error.
struct Failure : std::runtime_error {
    Failure(int code, const std::string& what, Json document = {})
        : std::runtime_error(what), exit_code(code), problem(std::move(document)) {}
    int exit_code;
    Json problem;   ///< the broker's problem document; null: there is none
};

/// What would have been sent, had it not been a dry run.
struct DryRun {
    std::string method, target;
    Json body;                ///< secrets masked; null: there is none
};

/// A user of the roles file; the password is read when it is first needed.
class Login {
public:
    Login(std::string name, std::string file) : user(std::move(name)), password_file(std::move(file)) {}
    /// Throws Failure.
    [[nodiscard]] const std::string& password();

    const std::string user, password_file;   ///< without a file it is typed

private:
    std::string password_;
};

/// Files in PEM for https.
struct TlsFiles {
    std::string ca;           ///< who may sign the broker's certificate; empty: whom this machine trusts
    std::string certificate;  ///< to show; empty: none
    std::string key;          ///< of it; empty: the same file
    [[nodiscard]] bool given() const { return !(ca + certificate + key).empty(); }
};

struct Server {
    std::string host, port;   ///< or
    std::string unix_path;
    std::string token;
    std::shared_ptr<Login> login;   ///< instead of a token; null: none
    std::string reason;       ///< why something is changed, for the audit trail
    std::string name;         ///< as shown in messages
    bool tls = false;         ///< https
    TlsFiles files;
    bool dry_run = false;     ///< changes are not sent: request() throws DryRun instead

    /// `https://HOST:PORT`, `http://HOST:PORT`, `HOST:PORT`, `[V6]:PORT` or `unix:PATH`; "" looks at TRUNKLINE_SERVER,
    /// then for the socket of an installed broker, then takes 127.0.0.1:9883. Throws Failure.
    static Server parse(std::string_view text);
};

/// One request on a connection of its own. Throws Failure: no connection, or what the broker's problem document says;
/// and DryRun. What takes over two seconds says so on standard error.
[[nodiscard]] Json request(const Server& server, std::string_view method, const std::string& target,
                           const std::string& body = {});

/// The same, for an answer that is no JSON, byte for byte. `cursor`, where given, becomes the next page's of a list,
/// empty after the last.
[[nodiscard]] std::string request_bytes(const Server& server, const std::string& target,
                                        std::string* cursor = nullptr);

/// Server-sent events: calls `on_event(name, data)` ("message" unless named) until it says false or the server ends.
/// Throws Failure.
void stream(const Server& server, const std::string& target,
            const std::function<bool(std::string_view name, std::string_view data)>& on_event);

/// JSON strings are UTF-8, so other bytes travel as base64.
[[nodiscard]] std::string base64(std::string_view bytes);
/// Of a file with a secret. Throws Failure.
[[nodiscard]] std::string first_line(const std::string& file);
/// A line typed on the terminal that is not shown; `option` is what to give where there is none. Throws Failure.
[[nodiscard]] std::string read_hidden(const std::string& prompt, const char* option);

[[nodiscard]] std::string percent_encode(std::string_view text);

}  // namespace trunkline::cli
