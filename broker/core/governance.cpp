#include "broker/core/governance.h"

#include <algorithm>
#include <chrono>
#include <iterator>
#include <map>
#include <utility>

#include "broker/core/broker.h"
#include "broker/core/log.h"
#include "broker/core/name_book.h"
#include "broker/core/quota_book.h"
#include "broker/core/shard.h"
#include "broker/core/state_keys.h"
#include "broker/core/violation_log.h"
#include "namespace/topic.h"

namespace trunkline::broker {

using store::Table;

namespace {

/// Retained topics are names that exist already; so many are looked at when a model comes into force.
constexpr std::size_t retained_block = 1'024;

ModelVersion version_of(std::uint64_t sequence, const store::ModelOp& op) {
    ModelVersion version;
    version.sequence = sequence;
    version.name = op.name;
    version.version = op.version;
    version.hash = op.hash;
    version.file = op.file;
    version.who = op.who;
    version.why = op.why;
    version.applied_ms = op.applied_ms;
    version.rolled_back_from = op.rolled_back_from;
    version.bytes = op.source.size();
    return version;
}

QuarantineEntry entry_of(std::uint64_t id, const store::QuarantineOp& op) {
    QuarantineEntry entry;
    entry.id = id;
    entry.at_ms = op.at_ms;
    entry.topic = op.topic;
    entry.client_id = op.client_id;
    entry.user = op.user;
    entry.rule = op.rule;
    entry.text = op.text;
    entry.at = op.at;
    entry.expected = op.expected;
    entry.fix = op.fix;
    entry.qos = op.qos;
    entry.retain = op.retain;
    entry.bytes = op.payload.size();
    return entry;
}

/// The operation in a record of the store, see state_governance.cpp.
std::string_view op_of(const std::string& record) { return std::string_view(record).substr(1); }

std::string text_of(const std::vector<Problem>& problems) {
    std::string text;
    for (const Problem& problem : problems) text += (text.empty() ? "" : "\n") + to_string(problem);
    return text;
}

Refused unavailable(Refusal why) { return {Refused::Kind::unavailable, explain(why), "try again"}; }

}  // namespace

struct Governance::Impl {
    explicit Impl(Broker& of) : broker(of) {}
    Broker& broker;
    std::vector<std::unique_ptr<ViolationLog>> violations;
    QuotaBook quotas;
    NameBook names;
    mutable std::mutex mutex;   // of what follows
    std::shared_ptr<const uns::Model> model = uns::Model::empty();
    std::vector<std::shared_ptr<const uns::Model>> old_models;   // shards may judge by them a moment longer
    std::vector<std::shared_ptr<NameBook>> old_names;            // large: nothing to destroy on a shard
    std::vector<ModelVersion> versions;
    std::map<std::uint64_t, QuarantineEntry> entries;
    std::uint64_t entry_bytes = 0;

    /// Names that publishers chose exist where values are retained under them. Any thread but a shard's: a million
    /// retained topics take more than a second.
    [[nodiscard]] std::shared_ptr<NameBook> names_under(const uns::Model& fresh) const {
        auto book = std::make_shared<NameBook>();
        if (!fresh.unique_ignoring_case()) return book;
        std::vector<std::string> topics;
        std::string after;
        bool more = true;
        while (more) {
            topics.clear();
            more = broker.retained().scan("#", after, retained_block, [&](std::string_view topic, const auto&) {
                topics.emplace_back(topic);
            });
            for (const std::string& topic : topics) {
                if (fresh.resolve(topic).has_free_level) book->claim(topic);
            }
            if (topics.empty()) break;
            after = topics.back();
        }
        return book;
    }

    void put_in_force(std::shared_ptr<const uns::Model> fresh, std::shared_ptr<NameBook> fresh_names,
                      std::function<void()> done) {
        quotas.clear();
        names.swap(*fresh_names);
        {
            const std::lock_guard lock(mutex);
            old_models.push_back(std::exchange(model, fresh));
            old_names.push_back(std::move(fresh_names));
        }
        broker.use_model(fresh, std::move(done));
    }

    void store(const std::shared_ptr<const uns::Model>& fresh, const Change& change, std::uint64_t rolled_back_from,
               Done done) {
        const auto now = std::chrono::system_clock::now().time_since_epoch();
        const std::int64_t now_ms = std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
        broker.run_on_shard(0, [this, fresh, book = names_under(*fresh), change, rolled_back_from, now_ms,
                                done = std::move(done)](ShardApi& api) {
            const auto add = [&](store::OpBatch& ops) {
                ops.add(store::ModelOp{now_ms, rolled_back_from, fresh->name(), fresh->version(), fresh->hash(),
                                       fresh->file(), change.who, change.why, fresh->source()});
            };
            static_cast<Shard&>(api).submit_request(add, [this, fresh, book, done](Refusal why) {
                if (why == Refusal::version_taken) {
                    return done({Refused::Kind::conflict,
                                 "version " + fresh->version() + " of " + fresh->name() +
                                     " was applied before with another content",
                                 "raise `version` in the model: a version never changes once it was applied"});
                }
                if (why != Refusal::none) return done(unavailable(why));
                put_in_force(fresh, book, [done] { done({}); });
            });
        });
    }
};

Governance::Governance(Broker& broker, std::uint32_t shards) : impl_(std::make_unique<Impl>(broker)) {
    for (std::uint32_t i = 0; i < shards; ++i) impl_->violations.push_back(std::make_unique<ViolationLog>());
}

Governance::~Governance() = default;

std::string Governance::load(const store::Store& store) {
    const auto current = this->current();
    if (!current) return {};
    store::StoreStatus status;
    const auto record = store.get(Table::models, number_key(current->sequence), &status);
    if (!record) return "the model in force cannot be read: " + status.detail;
    const auto op = store::read_model(op_of(*record));
    if (!op) return "the model in force, " + current->name + " " + current->version + ", is damaged in the store";
    auto compiled = uns::Model::compile(op->source, op->file);
    if (!compiled.model) {
        return "the model in force, " + current->name + " " + current->version +
               ", is not accepted by this version of the broker; start it with --model and a mended file:\n" +
               text_of(compiled.problems);
    }
    preset(std::move(compiled.model));
    return {};
}

void Governance::preset(std::shared_ptr<const uns::Model> model) {
    impl_->names.swap(*impl_->names_under(*model));
    impl_->broker.preset_model(model);
    const std::lock_guard lock(impl_->mutex);
    impl_->model = std::move(model);
}

std::shared_ptr<const uns::Model> Governance::model() const {
    const std::lock_guard lock(impl_->mutex);
    return impl_->model;
}

void Governance::release_old_models() {
    std::vector<std::shared_ptr<const uns::Model>> unused;
    std::vector<std::shared_ptr<NameBook>> unused_names;   // destroyed when the lock is gone, as they are
    const std::lock_guard lock(impl_->mutex);
    unused_names.swap(impl_->old_names);
    auto& old = impl_->old_models;
    const auto used = std::partition(old.begin(), old.end(), [](const auto& model) { return model.use_count() > 1; });
    std::move(used, old.end(), std::back_inserter(unused));
    old.erase(used, old.end());
}

std::optional<ModelVersion> Governance::current() const {
    const std::lock_guard lock(impl_->mutex);
    return impl_->versions.empty() ? std::nullopt : std::optional(impl_->versions.back());
}

std::vector<ModelVersion> Governance::versions() const {
    const std::lock_guard lock(impl_->mutex);
    return impl_->versions;
}

void Governance::source(std::uint64_t sequence, std::function<void(std::optional<std::string> yaml)> done) {
    impl_->broker.log().inspect([sequence, done = std::move(done)](const store::Store* store) {
        const auto record = store ? store->get(Table::models, number_key(sequence), nullptr) : std::nullopt;
        const auto op = record ? store::read_model(op_of(*record)) : std::nullopt;
        done(op ? std::optional(std::string(op->source)) : std::nullopt);
    });
}

void Governance::apply(std::shared_ptr<const uns::Model> model, Change change, Done done) {
    impl_->store(model, change, 0, std::move(done));
}

void Governance::rollback(std::uint64_t sequence, Change change, Done done) {
    source(sequence, [this, sequence, change = std::move(change), done = std::move(done)](auto yaml) {
        const std::vector<ModelVersion> all = versions();
        const auto version =
            std::find_if(all.begin(), all.end(), [&](const auto& v) { return v.sequence == sequence; });
        if (!yaml || version == all.end()) {
            return done({Refused::Kind::not_found, "there is no version with number " + std::to_string(sequence),
                         "trunkctl model versions lists them"});
        }
        auto compiled = uns::Model::compile(*yaml, version->file);
        if (!compiled.model) return done({Refused::Kind::conflict, text_of(compiled.problems), "mend and apply it"});
        impl_->store(compiled.model, change, all.back().sequence, done);
    });
}

std::vector<ViolationRecord> Governance::violations(std::size_t most) const {
    std::vector<ViolationRecord> all;
    for (const auto& log : impl_->violations) log->newest(most, all);
    std::stable_sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.at_ms > b.at_ms; });
    if (all.size() > most) all.resize(most);
    return all;
}

VerdictCounts Governance::counts() const {
    VerdictCounts counts;
    std::map<std::string, std::uint64_t, std::less<>> rules;
    for (std::uint32_t shard = 0; shard < impl_->violations.size(); ++shard) {
        impl_->violations[shard]->add_counts(rules);
        const auto& verdicts = impl_->broker.counters(shard).verdicts;
        for (std::size_t outcome = 0; outcome < verdicts.size(); ++outcome) {
            for (std::size_t stage = 0; stage < verdicts[outcome].size(); ++stage) {
                counts.verdicts[outcome][stage] += verdicts[outcome][stage].get();
            }
        }
    }
    for (const auto& [rule, count] : rules) counts.rules.push_back({rule, count});
    const std::lock_guard lock(impl_->mutex);
    counts.quarantined_messages = impl_->entries.size();
    counts.quarantined_bytes = impl_->entry_bytes;
    return counts;
}

std::vector<QuarantineEntry> Governance::quarantine(std::string_view filter, std::uint64_t after,
                                                    std::size_t most) const {
    std::vector<QuarantineEntry> found;
    const std::lock_guard lock(impl_->mutex);
    for (auto at = impl_->entries.upper_bound(after); at != impl_->entries.end() && found.size() < most; ++at) {
        if (filter == "#" || uns::matches(filter, at->second.topic)) found.push_back(at->second);
    }
    return found;
}

void Governance::quarantined(std::uint64_t id, std::function<void(std::optional<QuarantineMessage>)> done) {
    impl_->broker.log().inspect([id, done = std::move(done)](const store::Store* store) {
        const auto record = store ? store->get(Table::quarantine, number_key(id), nullptr) : std::nullopt;
        const auto op = record ? store::read_quarantine(op_of(*record)) : std::nullopt;
        if (!op) return done(std::nullopt);
        done(QuarantineMessage{entry_of(id, *op), std::string(op->payload), std::string(op->properties)});
    });
}

void Governance::replay(std::uint64_t id, Change change, Done done) {
    quarantined(id, [this, id, change = std::move(change), done = std::move(done)](auto found) {
        if (!found) {
            return done({Refused::Kind::not_found, "there is no message " + std::to_string(id) + " in the quarantine",
                         "trunkctl quarantine ls lists them"});
        }
        const auto message = std::make_shared<const QuarantineMessage>(std::move(*found));
        const auto judged_by = model();
        const uns::Resolution resolution = judged_by->resolve(message->entry.topic);
        uns::PublishFacts facts;
        facts.topic = message->entry.topic;
        facts.payload = message->payload;
        facts.retain = message->entry.retain;
        facts.client_id = message->entry.client_id;
        facts.user = message->entry.user;
        facts.now_ms = message->entry.at_ms;
        const uns::Verdict verdict = judged_by->judge(resolution, facts);
        if (judged_by != uns::Model::empty() &&
            (verdict.outcome == uns::Outcome::reject || verdict.outcome == uns::Outcome::quarantine)) {
            return done({Refused::Kind::judged, "it still breaks the model: " + verdict.finding->rule + " " +
                                                    verdict.finding->text, verdict.finding->fix});
        }
        const std::string topic = resolution.moved ? resolution.moved->topic : message->entry.topic;
        impl_->broker.run_on_shard(0, [message, topic, id, change, done](ShardApi& api) {
            MessageView view;
            view.qos = message->entry.qos;
            view.retain = message->entry.retain;
            view.topic = topic;
            view.payload = message->payload;
            view.properties = message->properties;
            static_cast<Shard&>(api).release_from_quarantine(id, view, [change, topic, done](Refusal why) {
                if (why != Refusal::none) return done(unavailable(why));
                log(Level::info, "quarantine_replayed", {{"topic", topic}, {"who", change.who}, {"why", change.why}});
                done({});
            });
        });
    });
}

void Governance::drop(std::vector<std::uint64_t> ids, Change change, std::function<void(std::uint64_t)> done) {
    {
        const std::lock_guard lock(impl_->mutex);
        std::erase_if(ids, [this](std::uint64_t id) { return !impl_->entries.contains(id); });
    }
    if (ids.empty()) return done(0);
    impl_->broker.run_on_shard(0, [ids, change = std::move(change), done = std::move(done)](ShardApi& api) {
        const auto add = [&ids](store::OpBatch& ops) {
            for (const std::uint64_t id : ids) ops.add(store::DropQuarantinedOp{id});
        };
        static_cast<Shard&>(api).submit_request(add, [change, count = ids.size(), done](Refusal why) {
            log(Level::info, "quarantine_dropped",
                {{"messages", std::to_string(count)}, {"who", change.who}, {"why", change.why}});
            done(why == Refusal::none ? count : 0);
        });
    });
}

ViolationLog& Governance::violation_log(std::uint32_t shard) { return *impl_->violations[shard]; }
QuotaBook& Governance::quotas() { return impl_->quotas; }
NameBook& Governance::names() { return impl_->names; }

void Governance::note_added(std::uint64_t id, const store::QuarantineOp& message) {
    QuarantineEntry entry = entry_of(id, message);
    const std::lock_guard lock(impl_->mutex);
    impl_->entry_bytes += entry.bytes;
    impl_->entries.insert_or_assign(id, std::move(entry));
}

void Governance::note_removed(std::uint64_t id) {
    const std::lock_guard lock(impl_->mutex);
    const auto at = impl_->entries.find(id);
    if (at == impl_->entries.end()) return;
    impl_->entry_bytes -= at->second.bytes;
    impl_->entries.erase(at);
}

void Governance::note_model(std::uint64_t sequence, const store::ModelOp& model) {
    const std::lock_guard lock(impl_->mutex);
    impl_->versions.push_back(version_of(sequence, model));
}

}  // namespace trunkline::broker
