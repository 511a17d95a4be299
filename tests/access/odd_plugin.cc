// A plugin that misbehaves as its configuration says, for tests/unit/auth/plugin_test.cpp, which builds it.
#include <cstring>
#include <stdexcept>
#include <string>

#include "auth/plugin.h"

namespace {

struct State {
    const tl_host* host;
    std::string mode;
    std::uint64_t ticket = 0;
    int shards = 0;
};

int32_t open_plugin(const tl_host* host, tl_text config, void** state) {
    const std::string mode(config.data, config.size);
    if (mode == "refuse") return 7;
    if (mode == "throw-open") throw std::runtime_error("open");
    *state = new State{host, mode, 0, 0};
    return TL_OK;
}

void close_plugin(void* state) { delete static_cast<State*>(state); }

int32_t open_shard(void* state, uint32_t shard, void** shard_state) {
    auto* made = static_cast<State*>(state);
    if (made->mode == "refuse-shard" && shard == 1) return 3;
    *shard_state = new State(*made);
    return TL_OK;
}

void close_shard(void* shard_state) { delete static_cast<State*>(shard_state); }

int32_t authorise(void* shard_state, const tl_authorise_request*, tl_authorise_answer* answer) {
    const std::string& mode = static_cast<State*>(shard_state)->mode;
    answer->decision = TL_ALLOW;
    if (mode == "status") return -1;
    if (mode == "garbage") answer->decision = 4711;
    if (mode == "negative") answer->decision = -1;
    if (mode == "throw") throw 42;
    if (mode == "rule") answer->rule = {nullptr, 9};
    if (mode == "long-rule") answer->rule = {"x", static_cast<std::size_t>(-1)};
    if (mode == "bad-cache") answer->cache = 99, answer->cache_seconds = 99;
    if (mode == "untouched") std::memset(answer, 0xFF, sizeof *answer);
    return TL_OK;
}

int32_t authenticate(void* shard_state, const tl_authenticate_request*, uint64_t ticket) {
    auto* state = static_cast<State*>(shard_state);
    const std::string& mode = state->mode;
    if (mode == "hang") return TL_OK;  // never answers
    if (mode == "status") return 5;
    if (mode == "throw") throw std::runtime_error("authenticate");
    tl_authenticated answer{};
    answer.struct_size = sizeof answer;
    answer.decision = TL_ALLOW;
    answer.principal = {"someone", 7};
    if (mode == "garbage") answer.decision = 4711;
    if (mode == "nobody") answer.principal = {"", 0};
    if (mode == "small") answer.struct_size = 4;
    const auto complete = state->host->complete;
    complete(state->host->context, ticket, mode == "null" ? nullptr : &answer);
    if (mode == "twice") complete(state->host->context, ticket, &answer);
    if (mode == "wrong-ticket") complete(state->host->context, ticket + 1000, &answer);
    return mode == "answer-and-fail" ? 1 : TL_OK;
}

void on_connect(void* shard_state, const tl_client* client) {
    auto* state = static_cast<State*>(shard_state);
    if (state->mode == "throw") throw 1;
    state->host->log(state->host->context, TL_LOG_INFO, client->client_id);
}

}  // namespace

#ifndef ODD_NO_SYMBOL
extern "C" const tl_plugin* trunkline_plugin(uint32_t, uint32_t) {
    static tl_plugin table;
    table.struct_size = sizeof table;
    table.abi = TL_PLUGIN_ABI;
#ifdef ODD_ABI
    table.abi = ODD_ABI;
#endif
#ifdef ODD_SMALL
    table.struct_size = 16;
#endif
    table.name = "odd";
    table.version = "0";
    table.open = open_plugin;
    table.close = close_plugin;
    table.open_shard = open_shard;
    table.close_shard = close_shard;
    table.authorise = authorise;
    table.authenticate = authenticate;
    table.on_connect = on_connect;
#ifdef ODD_NULL
    return nullptr;
#endif
    return &table;
}
#endif
