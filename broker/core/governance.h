// What holds in the namespace: the model in force and those before it, what broke it lately, and what was put into the
// quarantine for it. One object a broker; every function may be called from any thread.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "namespace/model/model.h"
#include "persistence/store.h"

namespace trunkline::broker {

class Broker;
class NameBook;
class QuotaBook;
class ViolationLog;

/// Who changes something, for the record.
struct Change {
    std::string who;                       ///< "admin", "user:anna", "trunkline --model"
    std::string why;                       ///< as given; may be empty
};

/// A version of the model as the store has it. Immutable.
struct ModelVersion {
    std::uint64_t sequence = 0;            ///< of the applications, from 1
    std::string name, version, hash;       ///< as uns::Model has them
    std::string file;                      ///< how places name it
    std::string who, why;
    std::int64_t applied_ms = 0;           ///< since 1970
    std::uint64_t rolled_back_from = 0;    ///< 0, or the sequence that this one took the place of by a rollback
    std::uint64_t bytes = 0;               ///< of the YAML
};

/// A message in the quarantine, without its payload.
struct QuarantineEntry {
    std::uint64_t id = 0;                  ///< ascending
    std::int64_t at_ms = 0;                ///< since 1970
    std::string topic, client_id, user;
    std::string rule, text, at;            ///< of the uns::Finding
    std::string expected, fix;
    std::uint8_t qos = 0;
    bool retain = false;
    std::uint64_t bytes = 0;               ///< of the payload
};

struct QuarantineMessage {
    QuarantineEntry entry;
    std::string payload, properties;       ///< properties: forwarded MQTT 5 property bytes
};

/// What broke the model, as the recent list keeps it.
struct ViolationRecord {
    std::uint64_t sequence = 0;            ///< of all violations of this life of the broker, also those not in the list
    std::int64_t at_ms = 0;                ///< since 1970
    std::string topic, client_id, user, address;
    uns::Outcome outcome = uns::Outcome::observe;
    std::uint8_t reason = 0;               ///< MQTT 5 reason code of the answer
    std::uint8_t qos = 0;
    std::string rule, text, at, expected, fix;
    std::string place;                     ///< "plant.yaml:61"; empty: nowhere
    std::string model_version;
    std::string payload;                   ///< its first 256 bytes, valid UTF-8 or empty
    std::uint64_t repeated = 0;            ///< the same rule on the same topic from the same client since, not listed
};

/// Counts over all shards since the start.
struct VerdictCounts {
    static constexpr std::size_t no_stage = 5;
    struct Rule { std::string rule; std::uint64_t count = 0; };
    /// By uns::Outcome, then by stage: 0 writers, 1 name, 2 payload, 3 retain, 4 quota, 5 none failed.
    /// Nothing is counted while no model is in force.
    std::array<std::array<std::uint64_t, 6>, 4> verdicts{};
    std::vector<Rule> rules;               ///< in order of the rules
    std::uint64_t quarantined_messages = 0, quarantined_bytes = 0;   ///< in the quarantine now
};

/// Why something was not done, for people; empty: it was.
struct Refused {
    enum class Kind : std::uint8_t { none, conflict, not_found, unavailable, judged, forbidden } kind = Kind::none;
    std::string what, fix;
};

class Governance {
public:
    Governance(Broker& broker, std::uint32_t shards);
    ~Governance();

    /// Before any shard runs: puts the newest stored model in force. Returns "" or why that is not possible, and the
    /// mend.
    [[nodiscard]] std::string load(const store::Store& store);
    /// Before any shard runs: `model`, which apply() is about to store, is in force.
    void preset(std::shared_ptr<const uns::Model> model);

    /// The model in force; the empty one when none was applied.
    [[nodiscard]] std::shared_ptr<const uns::Model> model() const;
    /// Destroys models that were in force once and that nobody uses any more: with 100,000 nodes that takes a while, so
    /// it is not left to a shard. On any thread but theirs, now and then.
    void release_old_models();
    /// Of the model in force; nullopt: none was applied.
    [[nodiscard]] std::optional<ModelVersion> current() const;
    /// All versions, oldest first.
    [[nodiscard]] std::vector<ModelVersion> versions() const;
    /// The YAML of a version, byte for byte; `done` on the log's thread.
    void source(std::uint64_t sequence, std::function<void(std::optional<std::string> yaml)> done);

    /// Stores a model and puts it in force on every shard. Refused (conflict) when its version was applied before with
    /// another content. `done` when the last shard judges by it and it is on disk.
    using Done = std::function<void(const Refused& refused)>;
    void apply(std::shared_ptr<const uns::Model> model, Change change, Done done);
    /// Puts an earlier version in force again, as a new entry of versions(). `done` as of apply().
    void rollback(std::uint64_t sequence, Change change, Done done);

    /// The most recent violations, newest first.
    [[nodiscard]] std::vector<ViolationRecord> violations(std::size_t most) const;
    [[nodiscard]] VerdictCounts counts() const;

    /// Entries with an id above `after`, whose topic matches `filter` ("#": all), oldest first.
    [[nodiscard]] std::vector<QuarantineEntry> quarantine(std::string_view filter, std::uint64_t after,
                                                          std::size_t most) const;
    /// `done` on the log's thread.
    void quarantined(std::uint64_t id, std::function<void(std::optional<QuarantineMessage>)> done);
    /// Judges the message by the model in force and, when it keeps it now (or would only be observed), publishes it in
    /// its publisher's name and takes it out, in one batch. Refused (judged) when it still breaks the model.
    void replay(std::uint64_t id, Change change, Done done);
    /// Removes messages from the quarantine for good; `done(how many there were)`.
    void drop(std::vector<std::uint64_t> ids, Change change, std::function<void(std::uint64_t)> done);

    // For the shards.
    [[nodiscard]] ViolationLog& violation_log(std::uint32_t shard);
    [[nodiscard]] QuotaBook& quotas();
    [[nodiscard]] NameBook& names();

    // What the log has committed, called on its thread.
    void note_added(std::uint64_t id, const store::QuarantineOp& message);
    void note_removed(std::uint64_t id);
    void note_model(std::uint64_t sequence, const store::ModelOp& model);

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace trunkline::broker
