#include "namespace/live/sample_store.h"

#include <algorithm>
#include <cstring>
#include <optional>

#include <xxhash.h>

#include "namespace/payload/value.h"

namespace trunkline::uns {

namespace {

constexpr std::size_t publishers_max = 4;    // of a topic; further ones count with the last of them
constexpr std::size_t left_out_max = 100'000;  // topics without samples that are told apart

std::uint64_t hash_of(std::string_view text, std::uint64_t seed = 0) {
    return XXH3_64bits_withSeed(text.data(), text.size(), seed);
}

/// JSON without what its values say: names of members and kinds of values. Of other text nothing but its class.
std::uint64_t shape_of(std::string_view payload) {
    thread_local std::string shape;
    shape.clear();
    const std::size_t begin = payload.find_first_not_of(" \t\r\n");
    if (begin == std::string_view::npos || (payload[begin] != '{' && payload[begin] != '[')) return 1;
    for (std::size_t at = begin; at < payload.size();) {
        const char c = payload[at];
        if (c == '"') {
            std::size_t end = at + 1;
            while (end < payload.size() && payload[end] != '"') end += payload[end] == '\\' ? 2 : 1;
            end = std::min(end, payload.size());
            const std::size_t next = payload.find_first_not_of(" \t\r\n", std::min(end + 1, payload.size()));
            const bool is_name = next != std::string_view::npos && payload[next] == ':';
            if (is_name) shape.append(payload.substr(at, end - at));
            else shape += 's';
            at = end + 1;
        } else if (c == '-' || (c >= '0' && c <= '9')) {
            if (shape.empty() || shape.back() != '0') shape += '0';
            while (at < payload.size() && std::strchr("+-.eE0123456789", payload[at]) && payload[at]) ++at;
        } else {
            const bool same_again = c == ',' && shape.size() > 1 && shape[shape.size() - 2] == '[';
            if (!std::strchr(" \t\r\n", c) && !same_again) shape += c;
            ++at;
        }
    }
    return hash_of(shape, 2);
}

}  // namespace

/// What is to know about a payload.
struct SampleStore::Look {
    std::uint64_t shape = 0;              ///< of payloads that say the same kind of thing
    std::uint64_t text = 0;               ///< hash of a short text; 0: is none
    std::optional<double> number;
    std::uint8_t publisher = 0;           ///< index into Topic::publishers
};

struct SampleStore::Sample {
    enum Role : std::uint8_t { kind, text, latest, least, most };
    std::unique_ptr<char[]> payload;
    std::uint32_t size = 0;
    std::uint8_t role = kind, publisher = 0, qos = 0;
    bool retain = false, truncated = false, violation = false;
    std::uint64_t key = 0;                ///< shape, or hash of the text
    double number = 0;
    std::int64_t at_ms = 0;
    std::uint64_t messages = 0;
    [[nodiscard]] std::size_t bytes() const { return sizeof(Sample) + size + 16; }
};

struct SampleStore::Topic {
    struct Publisher {
        std::string client_id, user;
    };
    std::string topic;
    std::vector<Publisher> publishers;
    std::vector<Sample> samples;
    [[nodiscard]] std::size_t bytes() const {
        return sizeof(Topic) + topic.size() + sizeof(Publisher) * publishers_max + 64;
    }
    [[nodiscard]] std::size_t count(bool texts) const {
        return static_cast<std::size_t>(std::count_if(samples.begin(), samples.end(), [&](const Sample& s) {
            return (s.role == Sample::text) == texts;
        }));
    }
    [[nodiscard]] Sample* find(std::uint8_t role, std::uint64_t key, bool violation,
                               std::optional<std::uint8_t> publisher = std::nullopt) {
        for (Sample& s : samples) {
            if (s.role == role && s.key == key && s.violation == violation && (!publisher || s.publisher == *publisher))
                return &s;
        }
        return nullptr;
    }
};

SampleStore::SampleStore(std::uint64_t bytes_max) : bytes_max_(bytes_max) {}
SampleStore::~SampleStore() = default;

void SampleStore::add(const Observation& seen) {
    const std::uint64_t hash = hash_of(seen.topic);
    const std::lock_guard lock(mutex_);
    auto at = topics_.find(hash);
    if (at == topics_.end()) {
        auto topic = std::make_unique<Topic>();
        topic->topic = seen.topic;
        const std::size_t size = std::min(seen.payload.size(), payload_bytes_max);
        if (!has_room(topic->bytes() + sizeof(Sample) + size + 16)) {
            numbers_.messages_left_out += seen.messages;
            if (left_out_.size() < left_out_max && left_out_.emplace(hash, true).second) ++numbers_.topics_left_out;
            return;
        }
        numbers_.bytes += topic->bytes();
        ++numbers_.topics;
        at = topics_.emplace(hash, std::move(topic)).first;
    } else if (at->second->topic != seen.topic) {   // two topics of one hash
        numbers_.messages_left_out += seen.messages;
        return;
    }
    note(*at->second, seen);
}

void SampleStore::note(Topic& topic, const Observation& seen) {
    Look look;
    auto& publishers = topic.publishers;
    const auto publisher = std::find_if(publishers.begin(), publishers.end(), [&](const Topic::Publisher& p) {
        return p.client_id == seen.client_id && p.user == seen.user;
    });
    look.publisher = static_cast<std::uint8_t>(publisher - publishers.begin());
    if (publisher == publishers.end()) {
        if (publishers.size() < publishers_max) {
            publishers.push_back({std::string(seen.client_id), std::string(seen.user)});
        } else {
            look.publisher = publishers_max - 1;
        }
    }
    look.shape = shape_of(seen.payload);
    const auto format = seen.truncated ? PayloadSpec::Format::any : guess_format(seen.payload);
    if (const auto value = seen.truncated ? std::nullopt : read_value(seen.payload, format)) {
        look.number = value->number;
        look.shape = hash_of(value->unit, look.shape * 31 + static_cast<std::uint64_t>(value->kind));
        if (value->kind == ValueType::Kind::string && value->text.size() <= text_bytes_max) {
            look.text = hash_of(value->text, look.shape) | 1;
        }
    }
    Sample* sample = place_of(topic, seen, look);
    if (sample) sample->messages += seen.messages;
}

SampleStore::Sample* SampleStore::place_of(Topic& topic, const Observation& seen, const Look& look) {
    const std::size_t bytes = sizeof(Sample) + std::min(seen.payload.size(), payload_bytes_max) + 16;
    const auto make = [&](Sample::Role role, std::uint64_t key) -> Sample* {
        if (!has_room(bytes)) return nullptr;
        Sample& made = topic.samples.emplace_back();
        made.role = role;
        made.key = key;
        ++numbers_.samples;
        numbers_.bytes += sizeof(Sample) + 16;
        put(topic, made, seen, look);
        return &made;
    };
    const auto fallback = [&]() -> Sample* {
        if (Sample* same = topic.find(Sample::kind, look.shape, seen.violation)) return same;
        return topic.samples.empty() ? nullptr : &topic.samples.front();
    };
    if (look.text) {
        if (Sample* same = topic.find(Sample::text, look.text, seen.violation, look.publisher)) return same;
        if (topic.count(true) < texts_max) {
            Sample* made = make(Sample::text, look.text);
            return made ? made : fallback();
        }
    }
    Sample* same = topic.find(Sample::kind, look.shape, seen.violation, look.publisher);
    if (!same) {
        const bool room = topic.count(false) < samples_max;
        Sample* made = room ? make(Sample::kind, look.shape) : nullptr;
        return made ? made : fallback();
    }
    // Known: kept beside the first when it is the latest, or an extreme. Scarce memory goes to further topics.
    const bool scarce = numbers_.bytes > bytes_max_ / 4 * 3;
    const auto keep = [&](Sample::Role role, auto better) {   // true: it is kept as that
        Sample* held = topic.find(role, look.shape, seen.violation);
        if (!held) return !scarce && topic.count(false) < samples_max && make(role, look.shape);
        if (!better(*held)) return false;
        put(topic, *held, seen, look);
        return true;
    };
    bool kept = false;
    const auto offset = same - topic.samples.data();
    if (look.number) {
        const double first = same->number;
        if (*look.number < first) kept = keep(Sample::least, [&](const Sample& s) { return *look.number < s.number; });
        if (*look.number > first) kept = keep(Sample::most, [&](const Sample& s) { return *look.number > s.number; });
    }
    if (!kept) keep(Sample::latest, [&](const Sample& s) { return seen.at_ms >= s.at_ms; });
    return topic.samples.data() + offset;
}

void SampleStore::put(Topic&, Sample& sample, const Observation& seen, const Look& look) {
    const auto size = static_cast<std::uint32_t>(std::min(seen.payload.size(), payload_bytes_max));
    if (size != sample.size) {
        sample.payload = std::make_unique_for_overwrite<char[]>(size);
        numbers_.bytes += size;
        numbers_.bytes -= sample.size;
        sample.size = size;
    }
    if (size) std::memcpy(sample.payload.get(), seen.payload.data(), size);
    sample.publisher = look.publisher;
    sample.qos = seen.qos;
    sample.retain = seen.retain;
    sample.truncated = seen.truncated || size < seen.payload.size();
    sample.violation = seen.violation;
    sample.number = look.number.value_or(0);
    sample.at_ms = seen.at_ms;
}

void SampleStore::visit(const TrafficVisit& visit) const {
    // Topics are never dropped, so what is gathered here stays; each is copied under the lock and visited without it.
    std::vector<const Topic*> topics;
    {
        const std::lock_guard lock(mutex_);
        topics.reserve(topics_.size());
        for (const auto& [hash, topic] : topics_) topics.push_back(topic.get());
    }
    std::sort(topics.begin(), topics.end(), [](const Topic* a, const Topic* b) { return a->topic < b->topic; });
    struct Copy {
        std::string payload;
        TrafficSample sample;
        Topic::Publisher publisher;
    };
    std::vector<Copy> copies;
    for (const Topic* topic : topics) {
        copies.clear();
        {
            const std::lock_guard lock(mutex_);
            for (const Sample& s : topic->samples) {
                Copy& copy = copies.emplace_back();
                copy.payload.assign(s.payload.get(), s.size);
                if (s.publisher < topic->publishers.size()) copy.publisher = topic->publishers[s.publisher];
                copy.sample = {topic->topic, {}, {}, {}, s.at_ms, s.messages, s.qos, s.retain, s.truncated};
            }
        }
        for (Copy& copy : copies) {
            copy.sample.payload = copy.payload;
            copy.sample.client_id = copy.publisher.client_id;
            copy.sample.user = copy.publisher.user;
            if (!visit(copy.sample)) return;
        }
    }
}

SampleStore::Numbers SampleStore::numbers() const {
    const std::lock_guard lock(mutex_);
    return numbers_;
}

}  // namespace trunkline::uns
