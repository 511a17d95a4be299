#include "broker/config_json.h"

#include <nlohmann/json.hpp>

#include "broker/config_audit.h"
#include "broker/limits_table.h"

namespace trunkline::broker {
namespace {

using Json = nlohmann::ordered_json;

Json tls_json(const TlsConfig& tls) {
    Json json = {{"cert", tls.certificate_file}, {"key", tls.key_file.empty() ? "" : "***"}};
    if (!tls.ca_file.empty()) json["ca"] = tls.ca_file;
    if (!tls.crl_file.empty()) json["crl"] = tls.crl_file;
    json["require_client_cert"] = tls.require_client_certificate;
    json["min_version"] = tls.min_version;
    return json;
}

}  // namespace

std::string config_json(const Config& config) {
    Json listeners = Json::array();
    for (const ListenerConfig& listener : config.listeners) {
        Json entry = {{"url", listener.url}, {"max_connections", listener.max_connections},
                      {"proxy_protocol", listener.proxy_protocol}, {"allow_insecure", listener.allow_insecure}};
        if (!listener.tls.certificate_file.empty()) entry["tls"] = tls_json(listener.tls);
        listeners.push_back(std::move(entry));
    }
    Json limits = Json::object();
    for (const LimitField& field : limit_fields()) limits[std::string(field.name)] = field.get(config.limits);
    const Json json = {
        {"node", config.node},
        {"data", config.data_dir},
        {"workers", config.workers},
        {"listeners", std::move(listeners)},
        {"admin",
         {{"listen", config.admin.listen},
          {"tokens_file", config.admin.tokens_file},
          {"metrics_without_token", config.admin.metrics_without_token}}},
        {"durability", config.durability == Durability::strict ? "strict" : "relaxed"},
        {"allow_anonymous", config.allow_anonymous},
        {"sys_interval", config.sys_interval_s},
        {"limits", std::move(limits)},
        {"audit", Json::parse(audit_json(config.audit))},
        {"log", {{"level", config.log_level}, {"format", config.log_format}}},
    };
    return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace trunkline::broker
