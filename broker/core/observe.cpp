// What plugins are told after the fact (auth/plugin.h, on_connect to on_publish).
#include "auth/plugin_host.h"
#include "broker/core/shard.h"

namespace trunkline::broker {

void Shard::attach_observers(const std::vector<auth::Plugin*>& plugins) {
    for (auth::Plugin* plugin : plugins) {
        if (plugin->observes()) observers_.push_back(plugin);
        observes_publishes_ = observes_publishes_ || plugin->observes_publishes();
    }
}

template <class Tell>
void Shard::inform(const Client& client, const Tell& tell) {
    const std::string address = client.principal ? std::string() : client.peer.host();
    auth::PluginClient about;
    about.connection = client.number;
    about.protocol = static_cast<std::uint32_t>(client.version);
    about.client_id = client.session->client_id;
    about.principal = client.user;
    about.address = client.principal ? std::string_view(client.principal->address) : std::string_view(address);
    if (client.principal) about.certificate = client.principal->certificate.subject;
    about.listener = url_of(client);
    for (auth::Plugin* plugin : observers_) tell(*plugin, about);
}

void Shard::tell_connected(const Client& client) {
    inform(client, [&](auth::Plugin& plugin, const auth::PluginClient& about) { plugin.on_connect(index_, about); });
}

void Shard::tell_disconnected(const Client& client) {
    inform(client, [&](auth::Plugin& plugin, const auth::PluginClient& about) {
        plugin.on_disconnect(index_, about, static_cast<std::uint32_t>(client.ended_by));
    });
}

void Shard::tell_subscribed(const Client& client, std::string_view filter, std::uint8_t qos) {
    inform(client, [&](auth::Plugin& plugin, const auth::PluginClient& about) {
        plugin.on_subscribe(index_, about, filter, qos);
    });
}

void Shard::tell_published(const Client& client, const MessageView& message) {
    inform(client, [&](auth::Plugin& plugin, const auth::PluginClient& about) {
        if (!plugin.observes_publishes()) return;
        plugin.on_publish(index_, about, message.topic, message.payload, message.qos, message.retain);
    });
}

}  // namespace trunkline::broker
