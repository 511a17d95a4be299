// A state machine over a memory store, driven batch by batch.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "broker/core/state.h"
#include "persistence/memory_store.h"

namespace trunkline::broker::test {

struct ListenerLog final : StateListener {
    std::multiset<std::string> sessions, filters;
    void session_added(std::string_view client_id, std::string_view) override { sessions.emplace(client_id); }
    void session_removed(std::string_view client_id) override { sessions.erase(sessions.find(std::string(client_id))); }
    static std::string name(std::string_view filter, std::uint8_t qos) {
        return std::string(filter) + " " + std::to_string(qos);
    }
    void filter_added(std::string_view filter, std::uint8_t qos) override { filters.insert(name(filter, qos)); }
    void filter_removed(std::string_view filter, std::uint8_t qos) override {
        filters.erase(filters.find(name(filter, qos)));
        fewest_filters = std::min(fewest_filters, filters.size());
    }
    std::size_t fewest_filters = SIZE_MAX;   ///< at any moment after a removal
};

/// One message as a subscriber sees it.
struct Got {
    std::uint64_t n;
    std::string topic, payload;
    int qos;
    bool retain;
    std::vector<std::uint32_t> identifiers;
    bool operator==(const Got&) const = default;
};

inline std::vector<Got> read_delivery(const Delivery& delivery, std::uint64_t from_n = 0) {
    std::vector<Got> got;
    store::OwedReader reader(*delivery.chunk, delivery.section_offset);
    std::uint64_t n = reader.first_n();
    for (auto entry = reader.next(); entry; entry = reader.next(), ++n) {
        if (n < from_n) continue;
        const auto message = reader.message(*entry);
        if (!message) continue;
        Got one{n, std::string(message->topic), std::string(message->payload), entry->qos, entry->retain, {}};
        for (std::uint32_t i = 0; i < entry->subscription_identifier_count; ++i) {
            one.identifiers.push_back(store::load_le<std::uint32_t>(entry->subscription_identifiers.data() + 4 * i));
        }
        got.push_back(std::move(one));
    }
    return got;
}

class StateFixture {
public:
    explicit StateFixture(StateLimits limits = {}) : limits_(limits) { fetch_status = reload(); }

    /// Throws the state away and loads it from the store.
    store::StoreStatus reload() {
        state.reset();
        retained = std::make_unique<uns::RetainedTree>();
        listener = ListenerLog();
        state = std::make_unique<State>(limits_, *retained, &listener);
        return state->load(store);
    }

    template <class... Ops>
    ShardEffects run(const Ops&... ops) {
        auto batch = std::make_shared<store::OpBatch>();
        (batch->add(ops), ...);
        return run_batch(std::move(batch));
    }
    ShardEffects run_batch(std::shared_ptr<const store::OpBatch> batch) {
        const Submission submission{shard, ++token, std::move(batch)};
        writes.clear();
        applied = state->apply({state->stamp().epoch, state->stamp().position + 1, time_ms, growth},
                               {&submission, submission.ops->empty() ? 0u : 1u}, writes);
        if (!store.write(writes, true).ok()) return {};
        return state->release();
    }
    ShardEffects tick(std::int64_t ms) {
        time_ms += ms;
        return run();
    }

    /// Connects and returns the claim's result.
    ClaimResult connect(const std::string& client, bool clean = false, std::uint32_t expiry_s = 3600,
                        std::optional<store::WillRecord> will = std::nullopt) {
        store::ClaimOp op;
        op.owner = ++owner;
        op.shard = shard;
        op.clean_start = clean;
        op.expiry_s = expiry_s;
        op.client_id = client;
        op.will = std::move(will);
        effects = run(op);
        owners[client] = op.owner;
        return effects.at(shard).claims.at(0);
    }
    const DurableSession& session(const std::string& client) { return *state->find_session(client); }
    ShardEffects subscribe(const std::string& client, const std::string& filter, std::uint8_t qos = 1,
                           std::uint32_t identifier = 0, bool no_local = false, bool as_published = false) {
        store::SubscribeOp op;
        op.session = session(client).id;
        op.owner = owners[client];
        op.qos = qos;
        op.filter = filter;
        op.subscription_identifier = identifier;
        op.no_local = no_local;
        op.retain_as_published = as_published;
        return run(op);
    }
    store::DetachOp detach(const std::string& client, std::uint32_t expiry_s = 3600, std::uint64_t sent_below = 0) {
        store::DetachOp op;
        op.session = session(client).id;
        op.owner = owners[client];
        op.expiry_s = expiry_s;
        op.sent_below = sent_below;
        return op;
    }
    static store::PublishOp publish(std::string_view topic, std::string_view payload, std::uint8_t qos = 1) {
        store::PublishOp op;
        op.topic = topic;
        op.payload = payload;
        op.qos = qos;
        return op;
    }
    store::AcknowledgeOp ack(const std::string& client, std::uint64_t from, std::uint64_t to) {
        store::AcknowledgeOp op;
        op.session = session(client).id;
        op.owner = owners[client];
        op.complete = {{from, to}};
        return op;
    }
    /// Everything that a fetch of the whole queue gives.
    std::vector<Got> queued(const std::string& client, std::uint64_t from_n = 0) {
        FetchResult result;
        const DurableSession& one = session(client);
        fetch_status = state->fetch(one.id, one.owner, from_n, 1u << 30, result);
        std::vector<Got> all;
        for (const Delivery& delivery : result.chunks) {
            for (Got& got : read_delivery(delivery, std::max(from_n, one.cursor))) all.push_back(std::move(got));
        }
        fetched_live = result.live;
        return all;
    }
    static std::vector<std::string> payloads(const std::vector<Got>& all) {
        std::vector<std::string> out;
        for (const Got& got : all) out.push_back(got.payload);
        return out;
    }

    store::MemoryStore store;
    std::unique_ptr<uns::RetainedTree> retained;
    ListenerLog listener;
    std::unique_ptr<State> state;
    store::WriteSet writes;
    std::uint32_t shard = 0;
    Token token = 0;
    std::uint64_t owner = 100;
    std::int64_t time_ms = 1'000'000;
    bool growth = true;
    bool fetched_live = false;
    Applied applied = Applied::yes;
    ShardEffects effects;
    store::StoreStatus fetch_status;
    std::map<std::string, std::uint64_t> owners;

private:
    StateLimits limits_;
};

}  // namespace trunkline::broker::test
