// Reading the configuration again while clients are served: by a signal or by administration.
#include <algorithm>
#include <chrono>

#include "auth/access_store.h"
#include "broker/config_check.h"
#include "broker/config_file.h"
#include "broker/core/log.h"
#include "broker/daemon.h"
#include "broker/notify.h"

namespace trunkline::broker {

namespace audit = auth::audit;

namespace {

void add_file(std::vector<std::string>& files, const std::string& file) {
    if (!file.empty() && std::find(files.begin(), files.end(), file) == files.end()) files.push_back(file);
}

/// Files that a reload reads, as the configuration names them.
std::vector<std::string> files_of(const Config& config) {
    std::vector<std::string> files;
    const auto add_tls = [&](const TlsConfig& tls) {
        for (const auto* file : {&tls.certificate_file, &tls.key_file, &tls.ca_file, &tls.crl_file}) {
            add_file(files, *file);
        }
    };
    add_file(files, config.admin.tokens_file);
    add_tls(config.admin.tls);
    for (const ListenerConfig& listener : config.listeners) {
        add_tls(listener.tls);
        for (const AuthenticatorConfig& one : listener.authenticators) add_file(files, one.jwks_file);
    }
    for (const AuthenticatorConfig& one : config.authenticators) add_file(files, one.jwks_file);
    for (const AuthorizerConfig& one : config.authorizers) add_file(files, one.roles_file);
    return files;
}

}  // namespace

Level level_of(const std::string& name) {
    for (const Level level : {Level::error, Level::warn, Level::debug}) {
        if (level_name(level) == name) return level;
    }
    return Level::info;
}

admin::ConfigReload Daemon::compare(const Config& fresh) const {
    const std::lock_guard lock(config_mutex_);
    admin::ConfigReload reload;
    reload.taken = true;
    reload.file = options_.config_file;
    const auto note = [&](bool same, const char* key) {
        if (!same) reload.changed.emplace_back(key);
    };
    note(config_.log_level == fresh.log_level, "log.level");
    note(config_.admin.tokens_file == fresh.admin.tokens_file, "admin.tokens_file");
    note(config_.admin.metrics_without_token == fresh.admin.metrics_without_token, "admin.metrics_without_token");
    const bool both_tls = config_.admin.tls.given() && fresh.admin.tls.given();   // else it takes a restart
    note(!both_tls || config_.admin.tls == fresh.admin.tls, "admin.tls");
    reload.needs_restart = needs_restart(config_, fresh);
    reload.read_again = files_of(fresh);
    return reload;
}

admin::ConfigReload Daemon::check(const std::string& text, const std::string& file) const {
    ConfigResult fresh = text.empty() ? load_config(options_) : parse_config(text, file, options_);
    std::vector<Problem> problems = std::move(fresh.problems);
    if (problems.empty()) problems = check_named_files(fresh.config);
    admin::ConfigReload reload;
    if (problems.empty()) reload = compare(fresh.config);
    reload.file = text.empty() ? options_.config_file : file;
    reload.problems = std::move(problems);
    return reload;
}

void Daemon::ask_reload(std::function<void(const admin::ConfigReload& reload)> done) {
    const std::lock_guard lock(config_mutex_);
    reloads_.push_back(std::move(done));
}

void Daemon::reload_asked() {
    std::vector<std::function<void(const admin::ConfigReload&)>> asked;
    {
        const std::lock_guard lock(config_mutex_);
        asked.swap(reloads_);
    }
    if (asked.empty()) return;
    const admin::ConfigReload result = reload();   // who asked at the same time shares one
    for (const auto& done : asked) done(result);
}

void Daemon::reload_by_signal() {
    const std::string before = config_text();
    note_config_change(before, reload().taken ? "taken" : "kept what was in force");
}

admin::ConfigReload Daemon::reload() {
    notify_supervisor("RELOADING=1\nMONOTONIC_USEC=" + std::to_string(
        std::chrono::duration_cast<std::chrono::microseconds>(
            std::chrono::steady_clock::now().time_since_epoch()).count()));
    ConfigResult fresh = load_config(options_);
    auto problems = std::move(fresh.problems);
    if (problems.empty()) problems = admin_->reload(fresh.config.admin);
    for (const Problem& problem : problems) {
        log(Level::error, "config_reload_problem",
            {{"rule", problem.rule}, {"place", problem.place}, {"what", problem.message}, {"fix", problem.fix}});
    }
    admin::ConfigReload result;
    result.file = options_.config_file;
    if (problems.empty()) {
        result = compare(fresh.config);
        take(fresh.config, problems, result);
    }
    result.taken = problems.empty();
    result.problems = std::move(problems);
    readiness_.last_reload_ok = result.taken;
    log(result.taken ? Level::info : Level::error, "config_reloaded",
        {{"result", result.taken ? "taken" : "kept what was in force"}});
    notify_supervisor("READY=1");
    return result;
}

void Daemon::take(const Config& fresh, std::vector<Problem>& problems, const admin::ConfigReload& compared) {
    for (const std::string& key : compared.needs_restart) log(Level::warn, "config_needs_restart", {{"key", key}});
    std::vector<std::string> of_tls = net_->reload_tls(fresh);
    const std::string of_admin_tls = admin_->reload_tls(fresh.admin.tls);
    if (!of_admin_tls.empty()) of_tls.push_back(of_admin_tls);
    for (const std::string& wrong : of_tls) {
        log(Level::error, "tls_reload_failed", {{"what", wrong}});
        problems.push_back({"TL-9009", wrong.substr(0, wrong.find(": ")), wrong,
                            "mend the files that tls names; the certificate that was in force stays"});
    }
    if (!security_->reload(fresh)) {
        std::vector<Problem> found = Security::check(config_);   // it has logged them
        if (found.empty()) found.push_back({"TL-9001", "roles and keys", "they could not be read", "see the log"});
        problems.insert(problems.end(), found.begin(), found.end());
    }
    set_log_level(level_of(fresh.log_level));
    const std::lock_guard lock(config_mutex_);
    config_.log_level = fresh.log_level;
    config_.admin.tokens_file = fresh.admin.tokens_file;
    config_.admin.unix_users = fresh.admin.unix_users;
    config_.admin.metrics_without_token = fresh.admin.metrics_without_token;
    if (of_admin_tls.empty() && config_.admin.tls.given() && fresh.admin.tls.given()) {
        config_.admin.tls = fresh.admin.tls;
    }
}

void Daemon::note_config_change(const std::string& before, const std::string& result) {
    if (!audit_) return;
    audit::Record record;
    record.actor = "operator";
    record.method = "signal";
    record.source = "broker";
    record.action = audit::action::config;
    record.object = options_.config_file.empty() ? "defaults" : options_.config_file;
    record.old_value = audit::Value::hash_of(before);
    record.new_value = audit::Value::hash_of(config_text());
    record.reason = "SIGHUP: " + result;
    record.outcome = readiness_.last_reload_ok ? audit::Outcome::ok : audit::Outcome::failed;
    audit_->note(std::move(record));
}

}  // namespace trunkline::broker
