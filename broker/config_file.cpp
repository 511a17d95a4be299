#include "broker/config_file.h"

#include <pwd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <sstream>

#include "auth/yaml_document.h"
#include "broker/config_access.h"
#include "broker/config_audit.h"
#include "broker/limits_table.h"
#include "broker/listener_url.h"
#include "broker/units.h"
#include "broker/yaml_reader.h"

namespace trunkline::broker {
namespace {

constexpr std::size_t file_bytes_max = 1 << 20;

std::string show_number(std::uint64_t number) { return std::to_string(number); }

void read_tls(YamlMap& map, TlsConfig& tls) {
    map.path("cert", tls.certificate_file);
    map.path("key", tls.key_file);
    map.path("ca", tls.ca_file);
    map.path("crl", tls.crl_file);
    map.boolean("require_client_cert", tls.require_client_certificate);
    map.choice("min_version", tls.min_version, {"1.2", "1.3"});
}

// An entry that is wrong stays empty, so that each keeps its index.
void read_listener(std::size_t index, YamlMap& map, YamlContext& context, Config& config) {
    config.listeners.resize(index + 1);
    ListenerConfig& listener = config.listeners[index];
    std::string url;
    map.text("url", url);
    const std::string wrong = url.empty() ? "a listener needs a url" : parse_listener_url(url, listener);
    if (!wrong.empty()) {
        context.report("TL-9008", map.place_of("url"), map.path_of("url") + ": " + wrong,
                       "write mqtt://127.0.0.1:1883, mqtts://, ws://, wss:// or unix:/run/trunkline/mqtt.sock");
    }
    map.map("tls", [&](YamlMap& tls) { read_tls(tls, listener.tls); });
    map.count("max_connections", 0, 10'000'000,
              [&](std::uint64_t n) { listener.max_connections = static_cast<std::uint32_t>(n); });
    map.boolean("proxy_protocol", listener.proxy_protocol);
    map.boolean("allow_insecure", listener.allow_insecure);
    read_authenticators(map, context, listener.authenticators);
    if (!wrong.empty()) listener.host.clear();
}

/// The uid of a user of this machine, by name or number.
std::optional<std::uint32_t> uid_of(const std::string& name) {
    if (const auto number = parse_count(name)) {
        return *number < UINT32_MAX ? std::optional(static_cast<std::uint32_t>(*number)) : std::nullopt;
    }
    std::array<char, 4'096> buffer{};
    passwd entry{};
    passwd* found = nullptr;
    if (::getpwnam_r(name.c_str(), &entry, buffer.data(), buffer.size(), &found) != 0 || !found) return std::nullopt;
    return found->pw_uid;
}

void read_unix_users(YamlMap& admin, YamlContext& context, AdminConfig& config) {
    admin.texts_by_name("unix_users", [&](const std::string& name, const std::string& user, const std::string& place) {
        const auto uid = uid_of(name);
        if (!uid) {
            context.report("TL-9003", place, "admin.unix_users: this machine has no user \"" + name + "\"",
                           "write the name or the uid of one");
        } else if (!config.unix_users.emplace(*uid, user).second) {
            context.report("TL-9005", place, "admin.unix_users: \"" + name + "\" is uid " + std::to_string(*uid) +
                           ", which is there already", "keep one of them");
        }
    });
}

void read_limits(YamlMap& map, Limits& limits) {
    for (const LimitField& field : limit_fields()) {
        const auto set = [&](std::uint64_t value) { field.set(limits, value); };
        switch (field.unit) {
            case LimitUnit::count:
                map.count(field.name, field.min, field.max, set);
                break;
            case LimitUnit::percent:
                map.number(field.name, "a percentage", [](std::string_view text) {
                    if (text.ends_with('%')) text.remove_suffix(1);
                    return parse_count(text);
                }, field.min, field.max, show_number, set);
                break;
            case LimitUnit::bytes:
                map.number(field.name, "a size such as 64 KiB", parse_bytes, field.min, field.max, format_bytes, set);
                break;
            case LimitUnit::milliseconds:
            case LimitUnit::seconds: {
                const std::uint64_t unit_ms = field.unit == LimitUnit::seconds ? 1'000 : 1;
                map.number(field.name, "a duration such as 10s or 7d",
                           [=](std::string_view text) { return parse_duration_ms(text, unit_ms); },
                           field.min * unit_ms, field.max * unit_ms, format_duration_ms,
                           [&](std::uint64_t ms) { field.set(limits, ms / unit_ms); });
                break;
            }
        }
    }
}

void read_file(YamlMap& map, YamlContext& context, Config& config) {
    map.text("node", config.node);
    map.path("data", config.data_dir);
    map.count("workers", 0, 256, [&](std::uint64_t n) { config.workers = static_cast<std::uint32_t>(n); });
    map.list("listeners", [&](std::size_t index, YamlMap& listener) {
        read_listener(index, listener, context, config);
    });
    map.map("admin", [&](YamlMap& admin) {
        admin.text("listen", config.admin.listen);
        admin.map("tls", [&](YamlMap& tls) { read_tls(tls, config.admin.tls); });
        admin.path("tokens_file", config.admin.tokens_file);
        admin.boolean("metrics_without_token", config.admin.metrics_without_token);
        read_unix_users(admin, context, config.admin);
    });
    map.map("model", [&](YamlMap& model) { model.path("file", config.model_file); });
    std::string durability = config.durability == Durability::strict ? "strict" : "relaxed";
    map.choice("durability", durability, {"strict", "relaxed"});
    config.durability = durability == "strict" ? Durability::strict : Durability::relaxed;
    map.boolean("allow_anonymous", config.allow_anonymous);
    map.number("sys_interval", "a duration such as 10s",
               [](std::string_view text) { return parse_duration_ms(text, 1'000); }, 0, 3'600'000, format_duration_ms,
               [&](std::uint64_t ms) { config.sys_interval_s = static_cast<std::uint32_t>((ms + 999) / 1'000); });
    map.map("limits", [&](YamlMap& limits) { read_limits(limits, config.limits); });
    map.map("log", [&](YamlMap& log) {
        log.choice("level", config.log_level, {"error", "warn", "info", "debug"});
        log.choice("format", config.log_format, {"json", "text"});
    });
    read_authenticators(map, context, config.authenticators);
    read_authorizers(map, context, config.authorizers);
    map.map("audit", [&](YamlMap& audit) { read_audit(audit, context, config.audit); });
    map.absent_section("history", "history");
    map.absent_section("bridges", "bridges");
    map.absent_section("sparkplug", "Sparkplug");
    map.finish();
}

/// Flags replace what the file says; their places are their names.
void apply_options(const Options& options, YamlContext& context, Config& config) {
    const auto choice = [&](const std::optional<std::string>& value, const char* flag, const char* key,
                            std::initializer_list<std::string_view> names, std::string& out) {
        if (!value) return;
        if (std::find(names.begin(), names.end(), *value) == names.end()) {
            std::string all;
            for (const std::string_view name : names) all += (all.empty() ? "" : ", ") + std::string(name);
            context.report("TL-9003", flag, "\"" + *value + "\" is not known", "write one of " + all);
            return;
        }
        out = *value;
        context.places[key] = flag;
    };
    if (options.data_dir) config.data_dir = *options.data_dir;
    if (options.data_dir) context.places["data"] = "--data";
    if (options.workers) config.workers = *options.workers;
    if (options.admin) config.admin.listen = *options.admin;
    if (options.admin) context.places["admin.listen"] = "--admin";
    if (options.model_file) config.model_file = *options.model_file;
    if (options.model_file) context.places["model.file"] = "--model";
    if (options.allow_anonymous) config.allow_anonymous = true;
    choice(options.log_level, "--log-level", "log.level", {"error", "warn", "info", "debug"}, config.log_level);
    choice(options.log_format, "--log-format", "log.format", {"json", "text"}, config.log_format);
    if (options.listen.empty()) return;
    config.listeners.clear();
    for (const std::string& url : options.listen) {
        ListenerConfig listener;
        const std::string wrong = parse_listener_url(url, listener);
        if (wrong.empty()) {
            config.listeners.push_back(std::move(listener));
        } else {
            context.report("TL-9008", "--listen " + url, wrong,
                           "write mqtt://127.0.0.1:1883, mqtts://, ws://, wss:// or unix:/run/trunkline/mqtt.sock");
        }
    }
}

class Checker {
public:
    Checker(YamlContext& context, const Config& config, bool listeners_from_flags)
        : context_(context), config_(config), listeners_from_flags_(listeners_from_flags) {}

    void check_all() {
        for (std::size_t i = 0; i < config_.listeners.size(); ++i) check_listener(config_.listeners[i], i);
        check_admin();
        check_limits();
        if (config_.node.empty() || config_.node.size() > 64) {
            report("TL-9004", "node", "the node's name has 1 to 64 bytes", "choose a short name such as plant-1");
        }
        if (config_.data_dir.empty()) report("TL-9004", "data", "the data folder is empty", "name a folder");
        check_readable("model.file", config_.model_file);
        check_access(config_, [&](std::string rule, std::string place, std::string message, std::string fix) {
            const auto known = context_.places.find(place);
            context_.report(std::move(rule), known == context_.places.end() ? std::move(place) : known->second,
                            std::move(message), std::move(fix));
        });
        check_audit(config_, [this](const std::string& rule, const std::string& key, const std::string& message,
                                    const std::string& fix) { report(rule, key, message, fix); });
    }

private:
    void report(std::string rule, const std::string& key, std::string message, std::string fix) {
        const auto known = context_.places.find(key);
        context_.report(std::move(rule), known == context_.places.end() ? context_.file : known->second,
                        key + ": " + std::move(message), std::move(fix));
    }

    void check_readable(const std::string& key, const std::string& file) {
        if (!file.empty() && ::access(file.c_str(), R_OK) != 0) {
            report("TL-9009", key, "file " + file + " cannot be read", "check its path and its owner");
        }
    }

    void check_tls(const std::string& key, const TlsConfig& tls, bool needed) {
        if (needed && (tls.certificate_file.empty() || tls.key_file.empty())) {
            report("TL-9009", key, "TLS needs tls.cert and tls.key", "name PEM files for both");
        }
        if (tls.require_client_certificate && tls.ca_file.empty()) {
            report("TL-9009", key, "require_client_cert needs tls.ca", "name the PEM file of who signs the clients");
        }
        check_readable(key, tls.certificate_file);
        check_readable(key, tls.key_file);
        check_readable(key, tls.ca_file);
        check_readable(key, tls.crl_file);
    }

    void check_listener(const ListenerConfig& listener, std::size_t index) {
        if (listener.host.empty()) return;   // reported already
        std::string key = "listeners[" + std::to_string(index) + "].url";
        if (listeners_from_flags_) context_.places[key] = "--listen " + listener.url;
        const bool encrypted = listener.kind == ListenerKind::tls || listener.kind == ListenerKind::wss;
        if (!encrypted && !(listener.tls.certificate_file + listener.tls.key_file + listener.tls.ca_file).empty()) {
            report("TL-9013", key, "tls is given for a listener without TLS", "write mqtts:// or wss://");
        }
        check_tls(key, listener.tls, encrypted);
        for (std::size_t other = 0; other < index; ++other) {
            const ListenerConfig& earlier = config_.listeners[other];
            if (earlier.host == listener.host && earlier.port == listener.port &&
                (listener.port != 0 || listener.kind == ListenerKind::unix_socket)) {
                report("TL-9013", key, listener.url + " has the address of " + earlier.url, "choose another port");
            }
        }
        check_authentication(listener, key, encrypted);
    }

    void check_authentication(const ListenerConfig& listener, const std::string& key, bool encrypted) {
        const auto& authenticators = authenticators_of(config_, listener);
        const bool certificate = std::any_of(
            listener.authenticators.begin(), listener.authenticators.end(),
            [](const AuthenticatorConfig& one) { return one.method == AuthMethod::certificate; });
        if (certificate && (!encrypted || listener.tls.ca_file.empty())) {
            report("TL-9013", key, listener.url + " authenticates by certificate but never sees one",
                   "use mqtts:// or wss://, and name who signs the clients in tls.ca");
        }
        // Behind a proxy on loopback a client counts as local only if the proxy says that it is.
        if (listener.loopback) return;
        const bool asks = !authenticators.empty();
        if (!asks && config_.allow_anonymous) return;
        if (!asks) {
            report("TL-9010", key, listener.url + " can be reached from outside without authentication",
                   "add authenticators, listen on 127.0.0.1 or a Unix socket, or set allow_anonymous: true "
                   "(--allow-anonymous) by name");
        }
        if (!encrypted && !listener.allow_insecure && (!asks || sends_secrets(authenticators))) {
            report("TL-9011", key, listener.url + " would carry passwords in the clear",
                   "use mqtts:// or wss://, or set allow_insecure: true on this listener");
        }
    }

    void check_admin() {
        AdminAddress address;
        const std::string wrong = parse_admin_address(config_.admin.listen, address);
        if (!wrong.empty()) {
            report("TL-9008", "admin.listen", wrong, "write 127.0.0.1:9883 or unix:/run/trunkline/admin.sock");
            return;
        }
        if (!address.loopback && config_.admin.tokens_file.empty()) {
            report("TL-9012", "admin.listen", config_.admin.listen + " can be reached from outside without a token",
                   "listen on loopback or a Unix socket, or name admin.tokens_file");
        }
        const TlsConfig& tls = config_.admin.tls;
        if (!(tls.certificate_file + tls.key_file + tls.ca_file + tls.crl_file).empty()) {
            report("TL-9007", "admin.tls", "this version has no TLS for administration yet",
                   "listen on loopback or a Unix socket behind a proxy that ends TLS");
        }
        check_readable("admin.tokens_file", config_.admin.tokens_file);
        if (!config_.admin.unix_users.empty() && roles_file_of(config_.authorizers).empty()) {
            report("TL-9013", "admin.unix_users", "its users are those of a roles file, and there is none",
                   "add `authorizers: [{roles: {file: roles.yaml}}]`");
        }
    }

    void check_limits() {
        const Limits& limits = config_.limits;
        const auto at_most = [&](std::uint64_t lower, std::uint64_t upper, const char* name, const char* than) {
            if (lower <= upper) return;
            report("TL-9013", std::string("limits.") + name,
                   std::to_string(lower) + " is more than " + than + " (" + std::to_string(upper) + ")",
                   std::string("lower it, or raise ") + than);
        };
        at_most(limits.max_connect_packet_bytes, limits.max_packet_bytes, "max_connect_packet_bytes",
                "max_packet_bytes");
        at_most(limits.memory_pause_percent, limits.memory_refuse_percent, "memory_pause_percent",
                "memory_refuse_percent");
        at_most(limits.disk_refuse_percent, limits.disk_warn_percent, "disk_refuse_percent", "disk_warn_percent");
    }

    YamlContext& context_;
    const Config& config_;
    bool listeners_from_flags_;
};

void read_text(std::string_view text, YamlContext& context, Config& config) {
    try {
        const auth::YamlDocument document = auth::load_yaml_document(text);
        if (document.second) {
            context.report("TL-9001", context.place(*document.second), "the file holds more than one document",
                           "remove what follows the line ---");
        }
        if (document.root.IsNull()) return;
        YamlMap root(context, document.root, "");
        if (document.root.IsMap()) read_file(root, context, config);
    } catch (const YAML::Exception& error) {
        context.report("TL-9001", context.place(error.mark), "not readable as YAML: " + error.msg,
                       "check indentation, quotes and colons there");
    }
}

/// Places of the file in ascending order, what has no line last, each once.
void sort_by_place(std::vector<Problem>& problems) {
    const auto key = [](const Problem& problem) {
        const auto column = problem.place.rfind(':');
        const auto line = column == std::string::npos || column == 0 ? column : problem.place.rfind(':', column - 1);
        const auto number = [&](std::size_t from) {
            return static_cast<std::uint64_t>(std::strtoull(problem.place.c_str() + from + 1, nullptr, 10));
        };
        if (line == std::string::npos) return std::pair{~std::uint64_t{0}, std::uint64_t{0}};
        return std::pair{number(line) ? number(line) : ~std::uint64_t{0}, number(column)};
    };
    std::stable_sort(problems.begin(), problems.end(),
                     [&](const Problem& a, const Problem& b) { return key(a) < key(b); });
}

ConfigResult finish(YamlContext& context, Config config, const Options& options) {
    apply_options(options, context, config);
    if (config.listeners.empty() && context.problems.empty()) {
        ListenerConfig local;
        if (parse_listener_url("mqtt://127.0.0.1:1883", local).empty()) config.listeners.push_back(std::move(local));
    }
    Checker(context, config, !options.listen.empty()).check_all();
    sort_by_place(context.problems);
    return {std::move(config), std::move(context.problems)};
}

}  // namespace

ConfigResult parse_config(std::string_view text, const std::string& file, const Options& options) {
    YamlContext context;
    context.file = file;
    const auto slash = file.rfind('/');
    if (slash != std::string::npos) context.directory = slash == 0 ? "/" : file.substr(0, slash);
    Config config;
    read_text(text, context, config);
    return finish(context, std::move(config), options);
}

ConfigResult load_config(const Options& options) {
    if (options.config_file.empty()) {
        YamlContext context;
        context.file = "defaults";
        return finish(context, Config{}, options);
    }
    std::ifstream in(options.config_file, std::ios::binary);
    std::ostringstream text;
    if (in) text << in.rdbuf();
    if (!in || text.str().size() > file_bytes_max) {
        ConfigResult result;
        result.problems.push_back({"TL-9001", options.config_file,
                                   in ? "the file is over 1 MiB" : "the file cannot be read",
                                   "check the path given with --config and who may read it"});
        return result;
    }
    return parse_config(text.str(), options.config_file, options);
}

std::vector<std::string> needs_restart(const Config& running, const Config& fresh) {
    std::vector<std::string> keys;
    const auto note = [&](bool same, std::string key) {
        if (!same) keys.push_back(std::move(key));
    };
    note(running.node == fresh.node, "node");
    note(running.data_dir == fresh.data_dir, "data");
    note(running.workers == fresh.workers, "workers");
    note(running.durability == fresh.durability, "durability");
    note(running.model_file == fresh.model_file, "model.file");
    note(running.allow_anonymous == fresh.allow_anonymous, "allow_anonymous");
    note(running.authenticators == fresh.authenticators, "authenticators");
    note(running.authorizers == fresh.authorizers, "authorizers");
    note(running.log_format == fresh.log_format, "log.format");
    note(running.sys_interval_s == fresh.sys_interval_s, "sys_interval");
    note(running.admin.listen == fresh.admin.listen, "admin.listen");
    const auto same_listener = [](const ListenerConfig& a, const ListenerConfig& b) {
        return a.url == b.url && a.max_connections == b.max_connections && a.proxy_protocol == b.proxy_protocol &&
               a.tls.require_client_certificate == b.tls.require_client_certificate &&
               a.tls.min_version == b.tls.min_version && a.tls.certificate_file == b.tls.certificate_file &&
               a.tls.key_file == b.tls.key_file && a.tls.ca_file == b.tls.ca_file && a.tls.crl_file == b.tls.crl_file &&
               a.authenticators == b.authenticators;
    };
    note(std::equal(running.listeners.begin(), running.listeners.end(), fresh.listeners.begin(),
                    fresh.listeners.end(), same_listener), "listeners");
    for (const std::string& key : audit_differences(running.audit, fresh.audit)) keys.push_back(key);
    for (const LimitField& field : limit_fields()) {
        note(field.get(running.limits) == field.get(fresh.limits), "limits." + std::string(field.name));
    }
    return keys;
}

}  // namespace trunkline::broker
