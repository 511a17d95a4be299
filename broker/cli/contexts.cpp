#include "broker/cli/contexts.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>

#include <CLI/CLI.hpp>

#include "broker/cli/fields.h"

namespace trunkline::cli {
namespace {

namespace fs = std::filesystem;

std::string variable(const char* name) {
    const char* value = std::getenv(name);
    return value ? value : "";
}

[[noreturn]] void fail(const std::string& what) { throw Failure(exit_usage, what); }

std::string string_in(const Json& json, const char* key) {
    const auto at = json.find(key);
    return at != json.end() && at->is_string() ? at->get<std::string>() : "";
}

void write_private(const std::string& path, const std::string& text) {
    const std::string fresh = path + ".new";
    const int file = ::open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    bool good = file >= 0 && ::fchmod(file, 0600) == 0 &&
                ::write(file, text.data(), text.size()) == static_cast<ssize_t>(text.size()) && ::fsync(file) == 0;
    std::string why = good ? "" : std::strerror(errno);
    if (file >= 0) ::close(file);
    if (good && ::rename(fresh.c_str(), path.c_str()) != 0) {
        good = false;
        why = std::strerror(errno);
    }
    if (!good) fail("cannot write " + path + ": " + why);
}

void use_context(Server& server, const Context& context, const std::string& token_file) {
    server.files = context.files;
    if (!token_file.empty() || !server.token.empty()) return;
    server.token = context.token_file.empty() ? context.token : first_line(context.token_file);
}

/// What is given goes before what was there; a certificate takes its key along.
void use_files(TlsFiles& in_use, const TlsFiles& given) {
    if (!given.ca.empty()) in_use.ca = given.ca;
    if (!given.certificate.empty()) in_use.certificate = given.certificate;
    if (!given.certificate.empty() || !given.key.empty()) in_use.key = given.key;
}

void check_files(const Server& server) {
    if (server.files.certificate.empty() && !server.files.key.empty()) fail("--key needs --cert, whose key it is");
    if (!server.tls) fail("--ca, --cert and --key are for https://, and " + server.name + " is not");
}

std::string absolute(const std::string& file) { return file.empty() ? file : fs::absolute(file).string(); }

int list_contexts(const Tool& tool) {
    const Contexts contexts = Contexts::load();
    Json list = Json::array();
    std::vector<std::vector<std::string>> rows;
    for (const auto& [name, one] : contexts.all) {
        const std::string token = !one.token_file.empty() ? one.token_file : one.token.empty() ? "-" : "kept here";
        const std::string& certificate = one.files.certificate;
        rows.push_back({name == contexts.current ? "*" : "", name, one.server, token,
                        certificate.empty() ? "-" : certificate});
        list.push_back({{"name", name}, {"server", one.server}, {"current", name == contexts.current},
                        {"token", token}, {"ca", one.files.ca}, {"cert", certificate}, {"key", one.files.key}});
    }
    if (tool.out.format() != Format::table) {
        tool.out.value(list);
    } else {
        tool.out.table({"", "CONTEXT", "SERVER", "TOKEN", "CERTIFICATE"}, std::move(rows));
    }
    return exit_ok;
}

int use_one(const std::string& name) {
    Contexts contexts = Contexts::load();
    (void)contexts.get(name);
    contexts.current = name;
    contexts.save();
    std::cout << printable(name) << " is in use now\n";
    return exit_ok;
}

int remove_one(const std::string& name) {
    Contexts contexts = Contexts::load();
    (void)contexts.get(name);
    contexts.all.erase(name);
    if (contexts.current == name) contexts.current.clear();
    contexts.save();
    std::cout << "removed " << printable(name) << '\n';
    return exit_ok;
}

}  // namespace

std::string Contexts::path() {
    std::string folder = variable("XDG_CONFIG_HOME");
    if (folder.empty() || folder[0] != '/') {   // the specification ignores relative ones
        folder = variable("HOME");
        if (folder.empty()) return {};
        folder += "/.config";
    }
    return folder + "/trunkline/trunkctl.json";
}

Contexts Contexts::load() {
    Contexts contexts;
    const std::string file = path();
    struct stat found {};
    if (file.empty() || ::stat(file.c_str(), &found) != 0) return contexts;
    if ((found.st_mode & 077) != 0) fail(file + " may be read by others, and may hold tokens: chmod 600 it");
    std::ifstream in(file);
    const Json json = Json::parse(in, nullptr, false);
    const Json all = json.is_object() ? json.value("contexts", Json::object()) : Json();
    if (!all.is_object()) fail(file + " is no JSON of contexts");
    for (const auto& [name, one] : all.items()) {
        if (!one.is_object()) fail(file + ": the context " + name + " is no object");
        contexts.all[name] = {string_in(one, "server"), string_in(one, "token_file"), string_in(one, "token"),
                              {string_in(one, "ca"), string_in(one, "cert"), string_in(one, "key")}};
    }
    contexts.current = string_in(json, "current");
    if (!contexts.all.contains(contexts.current)) contexts.current.clear();
    return contexts;
}

void Contexts::save() const {
    const std::string file = path();
    if (file.empty()) fail("there is no place for contexts: set HOME or XDG_CONFIG_HOME");
    const fs::path folder = fs::path(file).parent_path();
    std::error_code error;
    fs::create_directories(folder, error);
    if (error) fail("cannot make " + folder.string() + ": " + error.message());
    Json json = {{"current", current}, {"contexts", Json::object()}};
    for (const auto& [name, one] : all) {
        Json& entry = json["contexts"][name] = {{"server", one.server}};
        if (!one.token_file.empty()) entry["token_file"] = one.token_file;
        if (!one.token.empty()) entry["token"] = one.token;
        if (!one.files.ca.empty()) entry["ca"] = one.files.ca;
        if (!one.files.certificate.empty()) entry["cert"] = one.files.certificate;
        if (!one.files.key.empty()) entry["key"] = one.files.key;
    }
    write_private(file, json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
}

const Context& Contexts::get(const std::string& name) const {
    const auto at = all.find(name);
    if (at != all.end()) return at->second;
    std::string known;
    for (const auto& [one, context] : all) known += (known.empty() ? "" : ", ") + one;
    fail("there is no context \"" + name + "\"" + (known.empty() ? "; add one: trunkctl context add" : "; " + known));
}

Server choose_server(const std::string& server, const std::string& context, const std::string& token_file,
                     const TlsFiles& files) {
    Server chosen;
    const bool has_token = !token_file.empty() || !variable("TRUNKLINE_TOKEN").empty();
    const std::string token_in = has_token ? token_file : variable("TRUNKLINE_TOKEN_FILE");
    std::string name = context;
    const bool by_hand = !server.empty() || (context.empty() && !variable("TRUNKLINE_SERVER").empty());
    if (!by_hand && name.empty()) name = variable("TRUNKLINE_CONTEXT");
    const bool named = !by_hand && !name.empty();
    const Contexts contexts = by_hand ? Contexts() : Contexts::load();
    if (named || !contexts.current.empty()) {
        const Context& use = contexts.get(named ? name : contexts.current);
        chosen = Server::parse(use.server);
        use_context(chosen, use, token_in);
    } else {
        chosen = Server::parse(server);
    }
    if (!token_in.empty()) chosen.token = first_line(token_in);
    use_files(chosen.files,
              {variable("TRUNKLINE_CA"), variable("TRUNKLINE_CERT"), variable("TRUNKLINE_KEY")});
    use_files(chosen.files, files);
    if (files.given()) check_files(chosen);
    return chosen;
}

void add_tls_options(CLI::App& app, TlsFiles& files, bool in_environment) {
    const auto text = [&](std::string what, const char* variable) {
        return in_environment ? what + "; also " + variable : what;
    };
    app.add_option("--ca", files.ca, text("https: who signs the broker's certificate, PEM", "TRUNKLINE_CA"))
        ->type_name("FILE");
    app.add_option("--cert", files.certificate, text("https: certificate to show, PEM", "TRUNKLINE_CERT"))
        ->type_name("FILE");
    app.add_option("--key", files.key, text("its key, unless it is in the same file", "TRUNKLINE_KEY"))
        ->type_name("FILE");
}

void ContextCommands::add(CLI::App& app, std::function<int(const Tool&)>& action) {
    auto* context = app.add_subcommand("context", "brokers by name, for --context and TRUNKLINE_CONTEXT");
    context->require_subcommand(1);
    context->add_subcommand("ls", "list them; the one in use has a star")->callback([&action] {
        action = list_contexts;
    });
    auto* add = context->add_subcommand("add", "add one, or change it");
    add->add_option("NAME", name_, "what to call it")->required();
    add->add_option("--server", server_, "https://HOST:PORT, http://HOST:PORT or unix:PATH")->type_name("URL")
        ->required();
    auto* file = add->add_option("--token-file", token_file_, "file with its token; read at each command")
        ->type_name("FILE");
    add->add_flag("--token-stdin", token_stdin_, "keep the token that is typed or piped in")->excludes(file);
    add_tls_options(*add, files_, false);
    add->add_flag("--use", use_, "use it from now on");
    add->callback([this, &action] { action = [this](const Tool&) { return add_one(); }; });
    auto* use = context->add_subcommand("use", "the one for commands without --context");
    use->add_option("NAME", name_, "the context")->required();
    use->callback([this, &action] { action = [this](const Tool&) { return use_one(name_); }; });
    auto* remove = context->add_subcommand("rm", "forget one");
    remove->add_option("NAME", name_, "the context")->required();
    remove->callback([this, &action] { action = [this](const Tool&) { return remove_one(name_); }; });
}

int ContextCommands::add_one() const {
    if (name_.empty() || name_.size() > 64) fail("a context's name has 1 to 64 bytes");
    Server server = Server::parse(server_);   // says what is wrong with it
    server.files = files_;
    if (files_.given()) check_files(server);
    Contexts contexts = Contexts::load();
    Context one{server_, {}, {}, {absolute(files_.ca), absolute(files_.certificate), absolute(files_.key)}};
    if (!token_file_.empty()) one.token_file = fs::absolute(token_file_).string();
    if (token_stdin_ && (!std::getline(std::cin, one.token) || one.token.empty())) fail("no token was given");
    contexts.all[name_] = one;
    if (use_ || contexts.all.size() == 1) contexts.current = name_;
    contexts.save();
    std::cout << "added " << printable(name_) << (contexts.current == name_ ? ", which is in use now\n" : "\n");
    return exit_ok;
}

}  // namespace trunkline::cli
