// The live tree: of every topic the last value, when it came and from whom, how often, what broke the model, and
// whether it is fresh by what the model says. Values of topics that are not retained are kept here; retained ones stay
// where they are, and cost here only their figures.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <vector>

#include <boost/unordered/unordered_flat_map.hpp>

#include "namespace/live/topic_index.h"
#include "namespace/model/model.h"
#include "namespace/retained_tree.h"

namespace trunkline::uns {

/// What came on a topic since it was told last.
struct LiveUpdate {
    std::string_view topic;
    /// Of the last message, at most its first LiveTree::payload_bytes_max; not looked at where it is retained.
    std::string_view payload;
    std::string_view client_id, user;     ///< of its publisher; empty: the broker itself
    std::int64_t at_ms = 0;               ///< of it, since 1970
    std::uint64_t messages = 0;
    std::uint8_t qos = 0;
    bool retain = false;
    bool truncated = false;               ///< `payload` is only the beginning
    bool cleared = false;                 ///< RETAIN with an empty payload [MQTT-3.3.1-6]
    std::uint32_t place = TopicIndex::none;   ///< of the topic, where LiveTree::place_of() was asked before
};

/// What the model says about a topic, as browsing needs it.
struct Meaning {
    enum class Kind : std::uint8_t { unknown, structure, asset, part, metric, event, command, open, exempt };
    Kind kind = Kind::unknown;
    std::string value_type;               ///< "number"; empty: none
    std::string asset_type;               ///< "filler@2": of an asset, and of what belongs to it
    std::string level;                    ///< "production_line"
    std::string unit, owner, description;
    std::uint64_t every_ms = 0;           ///< liveness contract; 0: none
};
[[nodiscard]] std::string_view to_string(Meaning::Kind kind);
[[nodiscard]] std::optional<Meaning::Kind> meaning_kind(std::string_view name);

enum class Liveness : std::uint8_t {
    none,     ///< nothing is promised
    fresh,
    stale,    ///< no value for three periods
    silent,   ///< the model has it, and no value was ever seen
};
[[nodiscard]] std::string_view to_string(Liveness liveness);

/// Everything about one topic or level but its value.
struct TopicFacts {
    std::int64_t last_ms = 0;             ///< since 1970, to a quarter of a second; 0: no value was seen
    std::uint64_t messages = 0;           ///< since the broker started
    double rate = 0;                      ///< messages a second, over the last ten seconds or so
    std::uint64_t violations = 0;
    std::string client_id, user;          ///< who published last
    bool is_topic = false;
    bool expected = false;                ///< the model has it
    bool truncated = false;               ///< the live value is only the beginning
    Liveness liveness = Liveness::none;
    Meaning meaning;
};

struct TopicQuery {
    std::vector<std::string> words = {};  ///< all of them, anywhere in topic or description; letter case is ignored
    std::string type = {};                ///< of the value ("number") or of the asset ("filler", "filler@2")
    std::string unit = {}, owner = {};    ///< the whole unit; a part of the owner
    std::optional<Meaning::Kind> kind = std::nullopt;
    bool stale = false;                   ///< only stale and silent ones
    std::size_t limit = 1'000;
    std::uint64_t after = 0;              ///< cursor of the page before
    std::int64_t now_ms = 0;
};
struct TopicMatches {
    std::vector<std::string> topics;      ///< sorted
    std::uint64_t matched = 0;            ///< in all, this page and others
    std::optional<std::uint64_t> cursor;  ///< absent: this was the last page
};

/// Of one asset whose members promise values.
struct AssetHealth {
    std::string topic;
    Liveness state = Liveness::fresh;     ///< fresh: all are; silent: none was ever seen; stale: the rest
    std::int64_t since_ms = 0;            ///< that it is so, since 1970
    std::vector<std::string> stale, silent;   ///< members, by their path below the asset; the first 32 of each
    std::uint64_t stale_count = 0, silent_count = 0, members = 0;
    bool operator==(const AssetHealth&) const = default;
};

/// Written by one thread, read by any.
class LiveTree {
public:
    static constexpr std::size_t payload_bytes_max = 4'096;
    struct Limits {
        std::uint64_t topics = 2'000'000;
        std::uint64_t value_bytes = 1ULL << 30;   ///< of values that are not retained, with their topics
    };
    explicit LiveTree(const RetainedTree& retained, Limits limits);
    ~LiveTree();

    // ---- by the one writer

    void update(const LiveUpdate* updates, std::size_t count);
    /// Where a topic is, until tidy(); TopicIndex::none: it is not known.
    [[nodiscard]] std::uint32_t place_of(std::string_view topic) const { return index_->find(topic); }
    /// How many messages of a topic were told.
    [[nodiscard]] std::uint64_t messages(std::uint32_t place) const {
        return place == TopicIndex::none ? 0 : (*index_)[place].messages;
    }
    /// A retained value that was there before: at_ms of its commit.
    void know_retained(std::string_view topic, std::int64_t at_ms);
    /// The topic has no live value any more; what is retained stays.
    void forget_value(std::string_view topic);
    /// A message on `topic` broke the model `count` times. Topics that are not known get no entry for it.
    void note_violations(std::string_view topic, std::uint64_t count);

    /// From here on topics mean what `model` says; learn() finds out, piece by piece.
    void set_model(std::shared_ptr<const Model> model, std::int64_t now_ms);
    /// Looks at up to `most` topics whose meaning is not known yet. `described(topic, json)` is told for each topic
    /// that the model knows, what Model::describe() says. True when there are more.
    using Described = std::function<void(const std::string& topic, const std::string& json)>;
    bool learn(std::size_t most, const Described& described);
    /// Looks for what became stale or fresh; tells each asset whose health is another than before.
    void look_at_health(std::int64_t now_ms, const std::function<void(const AssetHealth&)>& changed);
    /// Gives back the memory of topics that are gone. Where the limits are near, topics that the model does not have
    /// and that have been silent longest go first.
    void tidy();

    // ---- by anyone

    /// Values that are not retained. A topic may be here and among the retained ones: the newer one counts.
    [[nodiscard]] const RetainedTree& values() const { return values_; }
    /// The last value, retained or not; null: none. `retained`: which of the two.
    [[nodiscard]] RetainedPtr value(std::string_view topic, bool& retained) const;
    [[nodiscard]] std::optional<TopicFacts> facts(std::string_view topic, std::int64_t now_ms) const;
    /// Topics of which one message was told, with a value, sorted.
    [[nodiscard]] std::vector<std::string> seen_once() const;
    /// Takes well under 100 ms for a million topics.
    [[nodiscard]] TopicMatches find(const TopicQuery& query) const;
    /// The known topic or level that is most like `topic`, perhaps one above it; empty: nothing like it is known.
    [[nodiscard]] std::string nearest(std::string_view topic) const;
    [[nodiscard]] std::shared_ptr<const Model> model() const;
    /// The health of an asset as look_at_health() saw it last.
    [[nodiscard]] std::optional<AssetHealth> health(std::string_view asset) const;

    struct Numbers {
        std::uint64_t topics = 0;            ///< live, retained and expected ones
        std::uint64_t live_values = 0, live_bytes = 0;
        std::uint64_t index_bytes = 0;       ///< of what finds topics, retained ones too
        std::uint64_t refused_topics = 0;    ///< messages whose topic was not taken for want of room
        std::uint64_t evicted_topics = 0;
        std::uint64_t stale = 0, silent = 0; ///< metrics with `every`, at the last look
        std::array<std::uint64_t, 9> kinds{};   ///< topics by Meaning::Kind; levels count where the model has them
    };
    [[nodiscard]] Numbers numbers() const;

private:
    struct Publisher {
        std::string client_id, user;
        std::uint64_t topics = 0;            ///< that it published to last
    };
    /// What decides about the health of an asset, in figures alone.
    struct AssetLook {
        std::uint32_t asset = 0;             ///< its node
        std::uint32_t members = 0, seen = 0, stale = 0, silent = 0;
        std::uint32_t overdue = 0;           ///< of members that promised a value by `every`
        std::uint64_t listed = 0;            ///< hash of the members that a report lists
        bool operator==(const AssetLook&) const = default;
    };
    struct HealthTotals {
        std::uint64_t stale = 0, silent = 0;
        std::array<std::uint64_t, 9> kinds{};
    };
    void take(const LiveUpdate& update);
    void keep_value(TopicNode& node, const LiveUpdate& update);
    void drop_value(TopicNode& node, std::string_view topic);
    static void count(TopicNode& node, std::int64_t at_ms, std::uint64_t messages);
    void set_publisher(TopicNode& node, std::string_view client_id, std::string_view user);
    void release_publisher(std::uint32_t id);
    [[nodiscard]] std::uint32_t publisher(std::string_view client_id, std::string_view user);
    [[nodiscard]] std::uint32_t enter(std::string_view topic, std::uint32_t place = TopicIndex::none);
    void expect(std::string_view topic);
    void expect_members(const std::string& asset, std::size_t depth);
    void expect_model();
    void learn_one(std::uint32_t id, const Described& described);
    [[nodiscard]] std::uint32_t meaning_of(Meaning&& meaning);
    [[nodiscard]] Liveness liveness(const TopicNode& node, std::int64_t now_ms) const;
    [[nodiscard]] std::vector<AssetLook> look_at_assets(std::int64_t now_ms, std::vector<std::uint32_t>& look_of,
                                                        HealthTotals& totals) const;
    void list_members(std::int64_t now_ms, const std::vector<std::uint32_t>& look_of,
                      const std::vector<std::uint32_t>& found_of, std::vector<AssetHealth>& found) const;
    void note_health(std::int64_t now_ms, const HealthTotals& totals, std::vector<AssetHealth>& found);
    [[nodiscard]] std::vector<std::uint8_t> name_masks(const std::vector<std::string>& words) const;
    void set_flag(TopicNode& node, TopicNode::Flag flag, bool on);
    void evict(std::uint64_t keep);

    const RetainedTree& retained_;
    const Limits limits_;
    RetainedTree values_;

    mutable std::shared_mutex mutex_;         // guards all that follows; the writer needs it only to change something
    std::unique_ptr<TopicIndex> index_ = std::make_unique<TopicIndex>();
    std::uint64_t topics_ = 0;                // nodes that are topics
    std::vector<Publisher> publishers_;       // by id; 0: nobody
    std::vector<std::uint32_t> free_publishers_;
    boost::unordered_flat_map<std::string, std::uint32_t> publisher_ids_;
    std::shared_ptr<const Model> model_;
    std::int64_t model_since_ms_ = 0;
    std::vector<Meaning> meanings_;           // by id; 0: unknown
    boost::unordered_flat_map<std::string, std::uint32_t> meaning_ids_;
    std::uint32_t learnt_ = 0;                // nodes below have been looked at
    boost::unordered_flat_map<std::string, AssetHealth> health_;
    std::uint64_t refused_topics_ = 0, evicted_topics_ = 0;
    HealthTotals totals_;
    std::vector<AssetLook> looks_;            // of the writer: at the last look, in order of their nodes; empty: none
    std::string path_, key_;                  // of the writer
};

}  // namespace trunkline::uns
