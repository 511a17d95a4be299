// Contexts: brokers by name, with how to get in. They lie in a file of the user's own, which nobody else may read, for
// tokens may stand in it.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>

#include "broker/cli/commands.h"

namespace CLI {
class App;
}

namespace trunkline::cli {

struct Context {
    std::string server;          ///< as --server takes it
    std::string token_file;      ///< or
    std::string token;
    TlsFiles files;
};

class Contexts {
public:
    /// $XDG_CONFIG_HOME/trunkline/trunkctl.json, else below ~/.config.
    [[nodiscard]] static std::string path();
    /// Throws Failure: no JSON, or others may read it.
    [[nodiscard]] static Contexts load();
    /// Writes the file anew, 0600. Throws Failure.
    void save() const;

    /// Throws Failure where there is none of that name.
    [[nodiscard]] const Context& get(const std::string& name) const;

    std::map<std::string, Context> all;
    std::string current;         ///< "": none
};

/// Which broker a command talks to, and as whom: --server, then --context, then TRUNKLINE_SERVER, TRUNKLINE_CONTEXT,
/// the context in use, and what Server::parse("") takes. A context's token and certificate go to its own server only;
/// --token-file, TRUNKLINE_TOKEN, `files` and TRUNKLINE_CA, _CERT, _KEY come before them. Throws Failure.
[[nodiscard]] Server choose_server(const std::string& server, const std::string& context,
                                   const std::string& token_file, const TlsFiles& files);

/// Options --ca, --cert and --key.
void add_tls_options(CLI::App& app, TlsFiles& files, bool in_environment);

/// `trunkctl context`; needs no broker.
class ContextCommands {
public:
    void add(CLI::App& app, std::function<int(const Tool&)>& action);

private:
    int add_one() const;
    std::string name_, server_, token_file_;
    TlsFiles files_;
    bool token_stdin_ = false, use_ = false;
};

}  // namespace trunkline::cli
