#include "broker/config_audit.h"

#include <sys/stat.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "broker/units.h"

namespace trunkline::broker {
namespace {

constexpr std::size_t witnesses_max = 16;

std::string show(std::uint64_t number) { return std::to_string(number); }

const char* kind_name(AuditWitness::Kind kind) {
    switch (kind) {
        case AuditWitness::Kind::file: return "file";
        case AuditWitness::Kind::syslog: return "syslog";
        case AuditWitness::Kind::trunkline: return "trunkline";
    }
    return "";
}

void read_witness(std::size_t index, YamlMap& map, YamlContext& context, AuditConfig& audit) {
    audit.witnesses.resize(index + 1);
    AuditWitness& witness = audit.witnesses[index];
    std::string file, syslog, url;
    map.path("file", file);
    map.text("syslog", syslog);
    map.text("trunkline", url);
    map.path("token_file", witness.token_file);
    map.path("ca", witness.ca_file);
    const int given = !file.empty() + !syslog.empty() + !url.empty();
    if (given != 1) {
        context.report("TL-9003", map.place_of("file"),
                       map.path_of("file") + ": a witness is one of file, syslog and trunkline",
                       "write - file: /mnt/other-disk/plant-1.checkpoints, - syslog: /dev/log or - trunkline: "
                       "http://HOST:9883");
        return;
    }
    witness.kind = !file.empty()     ? AuditWitness::Kind::file
                   : !syslog.empty() ? AuditWitness::Kind::syslog
                                     : AuditWitness::Kind::trunkline;
    witness.target = file + syslog + url;
    const bool secure = url.starts_with("https://");
    const std::size_t host = secure ? 8 : 7;
    const bool http = (secure || url.starts_with("http://")) && url.size() > host &&
                      url.find('/', host) == std::string::npos;
    if (!witness.ca_file.empty() && !secure) {
        context.report("TL-9013", map.place_of("ca"), map.path_of("ca") + ": only https:// has certificates",
                       "write trunkline: https://HOST:PORT, or remove ca");
    }
    if (witness.kind == AuditWitness::Kind::trunkline && !http) {
        context.report("TL-9008", map.place_of("trunkline"),
                       map.path_of("trunkline") + ": \"" + url + "\" is no address",
                       "write https://HOST:PORT or http://HOST:PORT, the other broker's administration");
    }
}

}  // namespace

void read_audit(YamlMap& map, YamlContext& context, AuditConfig& audit) {
    map.boolean("enabled", audit.enabled);
    map.path("dir", audit.dir);
    map.path("key_file", audit.key_file);
    map.number("checkpoint_interval", "a duration such as 1s",
               [](std::string_view text) { return parse_duration_ms(text, 1'000); }, 100, 3'600'000, format_duration_ms,
               [&](std::uint64_t ms) { audit.checkpoint_interval_ms = ms; });
    map.count("checkpoint_leaves", 1, 10'000'000, [&](std::uint64_t n) { audit.checkpoint_leaves = n; });
    map.list("witnesses", [&](std::size_t index, YamlMap& one) {
        if (index < witnesses_max) return read_witness(index, one, context, audit);
        context.report("TL-9004", one.place_of("file"),
                       one.path_of("file") + ": more than " + show(witnesses_max) + " witnesses", "remove some");
    });
    std::string unaudited = audit.refuse_unaudited ? "refuse" : "allow";
    map.choice("when_unwritable", unaudited, {"refuse", "allow"});
    audit.refuse_unaudited = unaudited == "refuse";
    map.boolean("receipts", audit.receipts);
    map.boolean("begin_anew", audit.begin_anew);
    std::string approval = audit.approval == AuditConfig::Approval::none ? "none" : "regulated";
    map.choice("approval", approval, {"none", "regulated"});
    audit.approval = approval == "none" ? AuditConfig::Approval::none : AuditConfig::Approval::regulated;
}

void check_audit(const Config& config, const ReportProblem& report) {
    const AuditConfig& audit = config.audit;
    if (!audit.enabled) {
        if (audit.approval != AuditConfig::Approval::none) {
            report("TL-9013", "audit.approval", "approvals are kept in the audit trail, which is not enabled",
                   "set audit.enabled: true or audit.approval: none");
        }
        return;
    }
    struct stat found {};
    if (!audit.key_file.empty() && ::stat(audit.key_file.c_str(), &found) == 0) {
        if (::access(audit.key_file.c_str(), R_OK) != 0) {
            report("TL-9009", "audit.key_file", "file " + audit.key_file + " cannot be read",
                   "check its path and its owner");
        } else if ((found.st_mode & 0077) != 0) {
            report("TL-9009", "audit.key_file", "file " + audit.key_file + " can be read by others", "chmod 600 it");
        }
    }
    if (audit.approval == AuditConfig::Approval::regulated && config.admin.tokens_file.empty() &&
        roles_file_of(config.authorizers).empty()) {
        report("TL-9013", "audit.approval", "a second person cannot be told from the first without names",
               "name admin.tokens_file with a token for each person, or a roles file with users");
    }
    for (std::size_t i = 0; i < audit.witnesses.size(); ++i) {
        const AuditWitness& witness = audit.witnesses[i];
        const std::string key = "audit.witnesses[" + std::to_string(i) + "]";
        if (witness.kind == AuditWitness::Kind::file && witness.target.starts_with(audit_folder(config) + "/")) {
            report("TL-9013", key, "the witness lies in the folder of the trail that it is to watch",
                   "name a file on another disk, best one that cannot be rewritten");
        }
        const auto check_readable = [&](const char* name, const std::string& file) {
            if (file.empty() || ::access(file.c_str(), R_OK) == 0) return;
            report("TL-9009", key + name, "file " + file + " cannot be read", "check its path and its owner");
        };
        check_readable(".token_file", witness.token_file);
        check_readable(".ca", witness.ca_file);
    }
}

std::vector<std::string> audit_differences(const AuditConfig& running, const AuditConfig& fresh) {
    const auto before = nlohmann::ordered_json::parse(audit_json(running));
    const auto after = nlohmann::ordered_json::parse(audit_json(fresh));
    std::vector<std::string> keys;
    for (const auto& [key, value] : before.items()) {
        if (after.at(key) != value) keys.push_back("audit." + key);
    }
    return keys;
}

std::string audit_json(const AuditConfig& audit) {
    nlohmann::ordered_json json = {{"enabled", audit.enabled},
                                   {"dir", audit.dir},
                                   {"key_file", audit.key_file},
                                   {"checkpoint_interval_ms", audit.checkpoint_interval_ms},
                                   {"checkpoint_leaves", audit.checkpoint_leaves}};
    json["witnesses"] = nlohmann::ordered_json::array();
    for (const AuditWitness& witness : audit.witnesses) {
        json["witnesses"].push_back({{kind_name(witness.kind), witness.target}});
        if (!witness.token_file.empty()) json["witnesses"].back()["token_file"] = witness.token_file;
        if (!witness.ca_file.empty()) json["witnesses"].back()["ca"] = witness.ca_file;
    }
    json["when_unwritable"] = audit.refuse_unaudited ? "refuse" : "allow";
    json["receipts"] = audit.receipts;
    json["begin_anew"] = audit.begin_anew;
    json["approval"] = audit.approval == AuditConfig::Approval::none ? "none" : "regulated";
    return json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

std::string audit_folder(const Config& config) {
    return config.audit.dir.empty() ? config.data_dir + "/audit" : config.audit.dir;
}

}  // namespace trunkline::broker
