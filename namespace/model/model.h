// The namespace model, compiled: what each topic means, and what a publish on it gets. Immutable; one is shared by all
// shards as std::shared_ptr<const Model>, and everything here may be called by any number of threads at once.
//
// A publish is judged in two steps. resolve() finds out what a topic means: it depends on the topic alone, so a router
// keeps the answer per topic (and the Model with it: a Resolution points into the Model). judge() decides about one
// message; explain() is the same judgement as a report.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "namespace/model/yaml_tree.h"
#include "namespace/payload/contract.h"
#include "namespace/problem.h"

namespace trunkline::uns {

/// What becomes of a message that breaks the model.
enum class Mode : std::uint8_t { enforce, quarantine, observe };

/// What a topic is. A structure is a level that only holds others; an open topic lies under "#".
enum class MemberKind : std::uint8_t { structure, asset, metric, event, command, open };

/// What a 3.1.1 client gets for a refusal: an acknowledgement all the same, or the end of its connection.
enum class V3Reject : std::uint8_t { ack, disconnect };

[[nodiscard]] std::string_view to_string(Mode mode);
[[nodiscard]] std::string_view to_string(MemberKind kind);

/// Who may write, beside RBAC: `role:NAME`, `user:NAME`, or `client:PATTERN` (`*` any characters, `?` one).
struct Writer {
    enum class Kind : std::uint8_t { role, user, client } kind = Kind::role;
    std::string name;
    bool operator==(const Writer&) const = default;
};

/// Limits of a branch; absent: none.
struct Quota {
    std::optional<std::uint64_t> topics;  ///< different topics below the branch
    std::optional<double> messages_per_s;
    std::optional<std::uint64_t> bytes_per_s;  ///< of payload
    bool operator==(const Quota&) const = default;
};

/// A metric, event or command as its type says it, or what an open topic holds.
struct Member {
    MemberKind kind = MemberKind::metric;
    std::string path;  ///< below the asset: "drive/speed"
    PayloadSpec::Format format = PayloadSpec::Format::any;
    std::string payload_name;  ///< as the model names the payload
    std::string schema_hash;   ///< of a named payload: the same for the same schema
    ValueType value;
    std::shared_ptr<const PayloadContract> contract;  ///< nullptr: the payload is not looked at
    std::uint64_t every_ms = 0;                       ///< liveness contract; 0: none
    std::string description, metadata_json, default_json;
    std::optional<Mode> mode;
    std::optional<std::vector<Writer>> writers;
    std::optional<bool> regulated;
    Place place;
};

/// Why a topic is not in the namespace, and what was probably meant.
struct NameFailure {
    std::string_view rule;  ///< "TL-2103"
    std::size_t level = 0;  ///< from 1; 0: the topic as a whole
    std::string text;       ///< level 3 "Packaging" differs only in case from "packaging"
    std::string expected;   ///< the legal names, or what they look like
    std::string nearest;    ///< the nearest legal name of the level; empty: none is near
    std::string fix;        ///< the nearest legal topic; empty: none is near
    Place place;            ///< of the node where the topic leaves the model
};

/// A topic below an old path that has moved ($aliases).
struct Moved {
    std::string topic;                     ///< where it is now; what all else of the Resolution is about
    std::optional<std::int64_t> until_ms;  ///< accepted up to here, in milliseconds since 1970; absent: for ever
    Place place;
};

/// What a topic means. Pointers and views last as long as the Model.
struct Resolution {
    enum class Status : std::uint8_t {
        member,   ///< a metric, event, command or open topic
        exempt,   ///< never checked, only counted
        unknown,  ///< not in the namespace: `failure` says why
    };
    Status status = Status::unknown;
    MemberKind kind = MemberKind::structure;  ///< of a topic that is unknown: how far it went
    Mode mode = Mode::observe;                ///< what becomes of a message that breaks the contract, or the name
    bool regulated = false;
    bool has_free_level = false;                   ///< a pattern or "#" let a level through: the publisher chose a name
    std::uint16_t asset_levels = 0;                ///< how many levels of the topic name its asset; 0: it has none
    std::uint16_t quota_levels = 0;                ///< how many levels of the topic share `quota`
    const PayloadContract* payload = nullptr;      ///< nullptr: not looked at
    const std::vector<Writer>* writers = nullptr;  ///< nullptr: RBAC alone decides
    const Quota* quota = nullptr;                  ///< nullptr: none
    std::string_view owner;
    const Member* member = nullptr;              ///< of status member
    Place place;                                 ///< in the model file
    std::shared_ptr<const NameFailure> failure;  ///< of status unknown
    std::shared_ptr<const Moved> moved;          ///< set: store and deliver the message under moved->topic
    /// The broker keeps the last value for browsing.
    [[nodiscard]] bool is_state() const { return kind == MemberKind::metric; }
    /// Liveness contract in milliseconds; 0: none.
    [[nodiscard]] std::uint64_t every_ms() const { return member ? member->every_ms : 0; }
};

enum class Outcome : std::uint8_t {
    accept,
    observe,     ///< deliver and count what would have happened
    quarantine,  ///< acknowledge, keep in the quarantine, do not deliver
    reject,
};
[[nodiscard]] std::string_view to_string(Outcome outcome);

/// What broke the model.
struct Finding {
    std::string rule;  ///< "TL-3102"
    std::string text;  ///< "value 131.4 is above max 120 Cel"; a Reason String is rule, blank, text
    std::string at;    ///< "level 3", or a JSON pointer into the payload; empty: the message as a whole
    std::string expected;
    std::string fix;  ///< the nearest legal topic, or what to do
    Place place;      ///< the deciding line of the model file
};

/// MQTT 5 reason codes of PUBACK and PUBREC that a verdict may carry.
enum class VerdictReason : std::uint8_t {
    success = 0x00,
    implementation_specific = 0x83,
    not_authorized = 0x87,
    topic_name_invalid = 0x90,
    quota_exceeded = 0x97,
    payload_format_invalid = 0x99,
};

struct Verdict {
    Outcome outcome = Outcome::accept;
    /// What a 5.0 publisher gets: success unless the outcome is reject.
    VerdictReason reason = VerdictReason::success;
    std::shared_ptr<const Finding> finding;  ///< absent with accept
};

/// Counts what a branch takes; the broker has the counters. Asked last, for messages that are otherwise in order.
class QuotaCounter {
public:
    enum class Finding : std::uint8_t { within, topics, messages, bytes };
    virtual ~QuotaCounter() = default;
    /// `scope` is the part of the topic that shares `quota`.
    virtual Finding take(std::string_view scope, const Quota& quota, std::string_view topic, std::size_t bytes) = 0;
};

/// One message and who sends it.
struct PublishFacts {
    std::string_view topic;
    std::string_view payload;
    bool retain = false;
    std::string_view client_id, user;
    std::span<const std::string> roles;
    std::int64_t now_ms = 0;  ///< milliseconds since 1970, for what ends on a date
    /// A topic that exists and differs from this one only in case; empty: none, or not known. Counts where a name is
    /// the publisher's choice (Resolution::has_free_level).
    std::string_view same_but_case;
    QuotaCounter* quota = nullptr;  ///< nullptr: not counted
};

/// One check of the judgement.
struct Check {
    enum class Result : std::uint8_t { ok, fail, skipped };
    std::string_view stage;  ///< "alias", "writers", "name", "payload", "retain", "quota"
    Result result = Result::ok;
    std::string text;                        ///< what was found, in words
    std::shared_ptr<const Finding> finding;  ///< of fail
    Place place;                             ///< what decided, in the model file
};

struct Report {
    std::vector<Check> checks;  ///< in order
    Verdict verdict;
};

/// Places Sparkplug B topics in the tree.
struct SparkplugName {
    std::string_view group, node, device;  ///< device empty: the node itself
};

/// One child of a level, for browsing what the model says.
struct ModelChild {
    std::string name;     ///< "line-1", or "{line}" where any name of a pattern may stand
    std::string pattern;  ///< regular expression of "{line}"
    MemberKind kind = MemberKind::structure;
    std::string_view level_kind;  ///< "production_line"; empty: none
    std::string_view type;        ///< "filler@2"; empty: none
    std::string_view unit;
    std::string_view description;
    bool has_children = false;
    Place place;
};

class Model {
public:
    struct Result {
        std::shared_ptr<const Model> model;  ///< nullptr when there is any problem
        std::vector<Problem> problems;       ///< all of them, in the order of the file
    };
    /// Reads, checks and compiles a model. `file` is how places name it. Takes at most 16 MiB; a model of 100,000 nodes
    /// takes well under 2 s. Never throws for what is written in `text`.
    [[nodiscard]] static Result compile(std::string_view text, std::string_view file);
    /// What holds without a model: everything is observed, nothing is known.
    [[nodiscard]] static std::shared_ptr<const Model> empty();

    ~Model();
    Model(const Model&) = delete;
    Model& operator=(const Model&) = delete;

    /// What `topic` (a valid topic name) means. Takes time linear in the topic's length.
    [[nodiscard]] Resolution resolve(std::string_view topic) const;
    /// What a topic belongs to, as far as it goes into the model; old paths are followed. Views last as the Model does.
    struct Surroundings {
        std::vector<std::string_view> kinds;  ///< of its level and those above: "site", "production_line"
        std::vector<std::string_view> types;  ///< of its asset, of assets above, of parts: "filler@2", "motor@1"
    };
    [[nodiscard]] Surroundings surroundings(std::string_view topic) const;
    /// Decides about one message on the topic that was resolved: writers, name, payload, RETAIN, quota, in this order;
    /// the first that fails decides. RBAC comes before and is not asked here.
    [[nodiscard]] Verdict judge(const Resolution& resolution, const PublishFacts& facts) const;
    /// The same judgement with every check told, also behind the first that failed: a payload is then judged as of the
    /// nearest legal topic.
    [[nodiscard]] Report explain(const PublishFacts& facts) const;

    /// Where a Sparkplug name is placed, as a topic; nullopt: by none of the model's rows.
    [[nodiscard]] std::optional<std::string> place_sparkplug(const SparkplugName& name) const;

    [[nodiscard]] const std::string& name() const;
    [[nodiscard]] const std::string& version() const;
    /// 32 hexadecimal digits, the same for models that say the same: order of keys and comments do not count.
    [[nodiscard]] const std::string& hash() const;
    [[nodiscard]] const std::string& file() const;
    [[nodiscard]] V3Reject v3_reject() const;
    [[nodiscard]] bool unique_ignoring_case() const;
    /// Nodes of the tree, and members of all types.
    [[nodiscard]] std::size_t node_count() const;
    [[nodiscard]] std::size_t member_count() const;
    /// "plant.yaml:61", or "" for a place that is nowhere.
    [[nodiscard]] std::string place_text(Place place) const;

    /// What $UNS/meta/<topic> holds: description, type, unit, range, owner, metadata, model version, as a JSON object.
    /// nullopt when the model does not know the topic. Assets and levels are described too.
    [[nodiscard]] std::optional<std::string> describe(std::string_view topic) const;
    /// The children of a topic as the model has them (a level "{line}" of `topic` or any name that fits it names the
    /// pattern); "" is the top. Sorted by name, patterns last; at most `limit` of those above `after`.
    [[nodiscard]] std::vector<ModelChild> children(std::string_view topic, std::string_view after,
                                                   std::size_t limit) const;
    /// Every asset and member with its topic, patterns as "{line}", in the order of the tree. Stops when `visit`
    /// returns false.
    struct Entry {
        std::string_view topic;
        MemberKind kind;
        std::string_view level_kind, type, owner;
        Mode mode;
        const Member* member;  ///< nullptr for levels and assets
        Place place;
    };
    void walk(const std::function<bool(const Entry&)>& visit) const;
    /// The YAML that the model was compiled from, byte for byte.
    [[nodiscard]] const std::string& source() const;
    /// What the YAML says as JSON, key for key.
    [[nodiscard]] std::string json() const;

    /// What the model's own sources see (model_data.h); nothing for others.
    struct Data;
    [[nodiscard]] const Data& data() const { return *data_; }
    explicit Model(std::unique_ptr<Data> data);

private:
    std::unique_ptr<Data> data_;
};

}  // namespace trunkline::uns
