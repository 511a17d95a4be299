#include "broker/core/browse.h"

#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>

#include <nlohmann/json.hpp>

#include "broker/core/broker.h"
#include "broker/core/log.h"
#include "broker/core/shard.h"

namespace trunkline::broker {

namespace {

using Json = nlohmann::ordered_json;
using namespace std::chrono_literals;

constexpr auto round_time = 100ms;
constexpr auto outbox_time = 2ms;   // while a shard sends what is in the outbox
constexpr std::size_t retained_per_step = 5'000;
constexpr std::size_t learnt_per_step = 500;
constexpr std::size_t swept_per_step = 500;
constexpr int niceness = 10;
constexpr int pause_per_work = 2;   // describing a model of 100,000 nodes takes seconds, which messages need, too
constexpr std::string_view meta_prefix = "$UNS/meta/";

uns::LiveTree::Limits limits_of(const Limits& limits) { return {limits.live_topics, limits.live_bytes}; }

std::int64_t wall_ms() {
    using namespace std::chrono;
    return duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count();
}

uns::LiveUpdate update_of(const LiveNote& note) {
    uns::LiveUpdate update;
    update.topic = note.topic();
    update.payload = note.payload();
    if (note.publisher) {
        update.client_id = note.publisher->client_id;
        update.user = note.publisher->user;
    }
    update.at_ms = note.at_ms;
    update.messages = note.messages;
    update.qos = note.qos;
    update.retain = note.retain;
    update.truncated = note.truncated;
    update.cleared = note.cleared;
    return update;
}

uns::Observation observation_of(const LiveNote& note) {
    const uns::LiveUpdate update = update_of(note);
    uns::Observation seen;
    seen.topic = update.topic;
    seen.payload = update.payload;
    seen.client_id = update.client_id;
    seen.user = update.user;
    seen.at_ms = update.at_ms;
    seen.violation = note.violations > 0;
    seen.messages = note.violations == 0 ? note.messages : note.delivered ? 0 : note.violations;
    seen.qos = update.qos;
    seen.retain = update.retain;
    seen.truncated = update.truncated;
    return seen;
}

/// The first message of a topic, as the tree has it.
uns::Observation observation_of(const uns::RetainedMessage& message, bool retained, const uns::TopicFacts& facts,
                                const LiveNote& next) {
    const auto fields = message.fields();
    uns::Observation seen;
    seen.topic = next.topic();
    seen.payload = fields.payload.substr(0, uns::SampleStore::payload_bytes_max);
    seen.client_id = facts.client_id;
    seen.user = facts.user;
    seen.at_ms = facts.last_ms;
    seen.qos = fields.qos;
    seen.retain = retained;
    seen.truncated = facts.truncated || seen.payload.size() < fields.payload.size();
    return seen;
}

}  // namespace

Browse::Browse(Broker& broker, ModelSource model, std::unique_ptr<store::ValueJournal> journal)
    : broker_(broker), source_(std::move(model)), tree_(broker.retained(), limits_of(broker.config().limits)),
      samples_(broker.config().limits.live_sample_bytes), journal_(std::move(journal)) {
    if (journal_) read_journal();
}

Browse::~Browse() { stop(); }

void Browse::start() { thread_ = std::thread([this] { run(); }); }

void Browse::stop() {
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    wake_.notify_one();
    if (thread_.joinable()) thread_.join();
}

void Browse::run() {
    const auto id = static_cast<id_t>(::syscall(SYS_gettid));
    (void)::setpriority(PRIO_PROCESS, id, niceness);   // Linux: of the thread alone
    while (true) {
        const auto began = std::chrono::steady_clock::now();
        const bool more = step(wall_ms());
        std::chrono::nanoseconds pause = more ? 0ms : outbox_.empty() ? round_time : outbox_time;
        if (more && (learning_ || sweeping_)) pause = pause_per_work * (std::chrono::steady_clock::now() - began);
        std::unique_lock lock(mutex_);
        if (pause > 0ns) wake_.wait_for(lock, pause, [this] { return stopping_; });
        if (stopping_) return;
    }
}

void Browse::put(LiveNotes&& notes) {
    std::uint64_t bytes = 0;
    for (const auto& note : notes) bytes += note->memory_bytes();
    inbox_bytes_.fetch_add(bytes, std::memory_order_relaxed);
    const std::lock_guard lock(mutex_);   // nobody is woken: the thread looks by itself
    inbox_.push_back(std::move(notes));
}

bool Browse::step(std::int64_t now_ms) {
    bool more = take_notes();
    more |= know_retained();
    follow_model(now_ms);
    more |= learn(now_ms);
    if (journal_) write_journal(now_ms);
    if (!learning_ && now_ms >= next_health_ms_) {
        next_health_ms_ = now_ms + health_interval_ms;
        tree_.look_at_health(now_ms, [&](const uns::AssetHealth& health) { publish_health(health, now_ms); });
    }
    if (now_ms >= next_tidy_ms_) {
        next_tidy_ms_ = now_ms + tidy_interval_ms;
        tree_.tidy();
        if (knows_retained_ && missed_retained_.exchange(false)) {
            knows_retained_ = false;
            retained_after_.clear();
        }
    }
    send_some();
    return more;
}

bool Browse::take_notes() {
    std::vector<LiveNotes> taken;
    {
        const std::lock_guard lock(mutex_);
        taken.swap(inbox_);
    }
    for (LiveNotes& notes : taken) {
        std::uint64_t bytes = 0;
        for (const auto& note : notes) {
            bytes += note->memory_bytes();
            take_note(*note);
        }
        notes.clear();
        inbox_bytes_.fetch_sub(bytes, std::memory_order_relaxed);
    }
    return false;
}

// The only message of a topic is no sample: it is the value that the tree has, and with many topics that are retained
// once and for all a copy of each would be dear. It becomes one when the second comes.
void Browse::take_note(const LiveNote& note) {
    if (note.violations > 0) {
        samples_.add(observation_of(note));
        return tree_.note_violations(note.topic(), note.violations);
    }
    const std::uint32_t place = tree_.place_of(note.topic());
    const std::uint64_t before = tree_.messages(place);
    uns::Observation seen = observation_of(note);
    const uns::RetainedPtr kept = note.retain ? broker_.retained().get(note.topic()) : nullptr;
    if (kept) {
        seen.payload = kept->fields().payload.substr(0, uns::SampleStore::payload_bytes_max);
        seen.truncated = seen.payload.size() < kept->fields().payload.size();
    }
    const bool known = kept || !note.retain || note.cleared;   // else it is not on disk yet
    if (before == 1) {
        bool retained = false;
        const uns::RetainedPtr first = tree_.value(note.topic(), retained);
        const auto facts = tree_.facts(note.topic(), note.at_ms);
        // A retained message that is newer than the first one may be this one already.
        const bool there = first && facts && !(retained && note.retain);
        if (there) samples_.add(observation_of(*first, retained, *facts, note));
        if (!there) ++seen.messages;
    }
    if (known && (before > 0 || note.messages > 1)) samples_.add(seen);
    uns::LiveUpdate update = update_of(note);
    update.place = place;
    if (journal_open_) remember(update);
    tree_.update(&update, 1);
}

void Browse::visit_traffic(const uns::TrafficVisit& visit) const {
    const std::vector<std::string> once = tree_.seen_once();
    auto next = once.begin();
    bool going = true;
    const auto visit_once = [&](const std::string& topic) {
        bool retained = false;
        const uns::RetainedPtr value = tree_.value(topic, retained);
        const auto facts = tree_.facts(topic, 0);
        if (!value || !facts) return;
        const auto fields = value->fields();
        uns::TrafficSample sample;
        sample.topic = topic;
        sample.payload = fields.payload.substr(0, uns::SampleStore::payload_bytes_max);
        sample.client_id = facts->client_id;
        sample.user = facts->user;
        sample.at_ms = facts->last_ms;
        sample.qos = fields.qos;
        sample.retain = retained;
        sample.truncated = facts->truncated || sample.payload.size() < fields.payload.size();
        going = visit(sample);
    };
    samples_.visit([&](const uns::TrafficSample& sample) {
        for (; going && next != once.end() && *next < sample.topic; ++next) visit_once(*next);
        return going && (going = visit(sample));
    });
    for (; going && next != once.end(); ++next) visit_once(*next);
}

bool Browse::know_retained() {
    if (knows_retained_) return false;
    std::vector<std::pair<std::string, std::int64_t>> found;
    const bool more = broker_.retained().scan(
        "#", retained_after_, retained_per_step, [&](std::string_view topic, const uns::RetainedPtr& value) {
            found.emplace_back(topic, uns::commit_time_ms(value->fields().stored_at));
        });
    for (const auto& [topic, at_ms] : found) tree_.know_retained(topic, at_ms);
    if (!found.empty()) retained_after_ = found.back().first;
    knows_retained_ = !more;
    return more;
}

void Browse::read_journal() {
    journal_->read([this](const store::JournalValue& value) {
        uns::LiveUpdate update;
        update.topic = value.topic;
        update.payload = value.payload;
        update.client_id = value.client_id;
        update.user = value.user;
        update.at_ms = value.at_ms;
        update.qos = value.qos;
        update.truncated = value.truncated;
        if (value.gone) {
            tree_.forget_value(value.topic);
        } else {
            tree_.update(&update, 1);
        }
    });
}

void Browse::remember(const uns::LiveUpdate& update) {
    store::JournalValue value{update.topic, update.payload, update.client_id, update.user, update.at_ms, update.qos,
                              update.truncated, false};
    if (update.retain) {   // kept elsewhere from here on
        if (!tree_.values().get(update.topic)) return;
        value.payload = {};
        value.gone = true;
    }
    journal_->add(value);
}

void Browse::write_journal(std::int64_t now_ms) {
    if (!journal_open_ && now_ms < next_journal_ms_) return;
    const auto everything = [this](const store::ValueJournal::Visit& visit) { visit_values(visit); };
    const std::string wrong = journal_open_ ? journal_->flush(everything) : journal_->begin(everything);
    journal_open_ = wrong.empty();
    if (journal_open_) return;
    next_journal_ms_ = now_ms + journal_retry_ms;
    log(Level::warn, "browse_journal_failed", {{"what", wrong}, {"meaning", "values that are not retained will not be "
                                                                              "shown after a restart"}});
}

void Browse::visit_values(const store::ValueJournal::Visit& visit) const {
    std::vector<std::pair<std::string, uns::RetainedPtr>> found;
    std::string after;
    for (bool more = true; more;) {
        found.clear();
        more = tree_.values().scan("#", after, retained_per_step, [&](std::string_view topic, const auto& value) {
            found.emplace_back(topic, value);
        });
        for (const auto& [topic, value] : found) {
            const auto fields = value->fields();
            const auto facts = tree_.facts(topic, 0);
            store::JournalValue kept{topic, fields.payload, {}, {}, uns::commit_time_ms(fields.stored_at), fields.qos,
                                     false, false};
            if (facts) {
                kept.client_id = facts->client_id;
                kept.user = facts->user;
                kept.truncated = facts->truncated;
            }
            visit(kept);
        }
        if (found.empty()) return;
        after = found.back().first;
    }
}

void Browse::follow_model(std::int64_t now_ms) {
    if (!knows_retained_) return;   // a retained value must not look like none
    auto model = source_ ? source_() : nullptr;
    if (!model) model = uns::Model::empty();
    if (model == model_) return;
    model_ = model;
    tree_.set_model(model, now_ms);
    learning_ = true;
    sweeping_ = true;
    swept_after_.clear();
    const bool none = model->node_count() == 0;
    const Json json = {{"name", model->name()}, {"version", model->version()}, {"hash", model->hash()}};
    publish("$UNS/model", none ? std::string() : json.dump(), now_ms);
}

bool Browse::learn(std::int64_t now_ms) {
    if (!model_ || outbox_.size() > outbox_max / 2) return false;   // what is described goes there
    const bool more = tree_.learn(learnt_per_step, [&](const std::string& topic, const std::string& json) {
        publish(std::string(meta_prefix) + topic, json, now_ms);
    });
    if (!more) learning_ = false;
    if (more || !sweeping_) return more;
    sweeping_ = remove_old_meta(now_ms);
    return sweeping_;
}

bool Browse::remove_old_meta(std::int64_t now_ms) {
    std::vector<std::string> gone;
    std::string last;
    const bool more = broker_.retained().scan(
        std::string(meta_prefix) + "#", swept_after_, swept_per_step,
        [&](std::string_view topic, const uns::RetainedPtr&) { gone.emplace_back(last = topic); });
    swept_after_ = last;
    for (std::string& topic : gone) {
        const std::string_view described = std::string_view(topic).substr(meta_prefix.size());
        if (!model_->describe(described)) publish(std::move(topic), {}, now_ms);
    }
    return more;
}

void Browse::publish_health(const uns::AssetHealth& health, std::int64_t now_ms) {
    std::string topic = "$UNS/health/" + health.topic;
    if (health.state == uns::Liveness::none) return publish(std::move(topic), {}, now_ms);
    Json json = {{"state", uns::to_string(health.state)}, {"since_ms", health.since_ms},
                 {"metrics", health.members}, {"stale", health.stale}, {"silent", health.silent}};
    if (health.stale_count > health.stale.size()) json["stale_count"] = health.stale_count;
    if (health.silent_count > health.silent.size()) json["silent_count"] = health.silent_count;
    publish(std::move(topic), json.dump(-1, ' ', false, Json::error_handler_t::replace), now_ms);
}

void Browse::publish(std::string topic, std::string payload, std::int64_t now_ms) {
    const Limits& limits = broker_.config().limits;
    if (topic.size() > limits.max_topic_bytes || topic.size() > UINT16_MAX) return;
    const uns::RetainedPtr held = broker_.retained().get(topic);
    if (held ? held->fields().payload == payload : payload.empty()) return;
    broker_.retained().set(topic, payload.empty() ? nullptr
                                                  : uns::RetainedMessage::make({0, 0, uns::commit_time(now_ms), {},
                                                                                payload}));
    if (!broker_.wants_news(topic)) return;
    if (outbox_.size() >= outbox_max) {
        dropped_.fetch_add(1, std::memory_order_relaxed);
        return;
    }
    outbox_.emplace_back(std::move(topic), std::move(payload));
}

void Browse::send_some() {
    if (outbox_.empty() || sending_->load()) return;   // one portion under way at a time
    const std::size_t count = std::min(outbox_.size(), publishes_per_turn);
    std::vector<std::pair<std::string, std::string>> portion;
    for (std::size_t i = 0; i < count; ++i) {
        portion.push_back(std::move(outbox_.front()));
        outbox_.pop_front();
    }
    sending_->store(true);
    broker_.run_on_shard(0, [portion = std::move(portion), sending = sending_](ShardApi& shard) {
        for (const auto& [topic, payload] : portion) {
            static_cast<Shard&>(shard).publish_own(topic, payload, false, 0);
        }
        sending->store(false);
    });
}

}  // namespace trunkline::broker
