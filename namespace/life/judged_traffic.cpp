#include "namespace/life/judged_traffic.h"

#include <algorithm>

#include "namespace/model/text.h"
#include "namespace/topic.h"

namespace trunkline::uns {
namespace {

constexpr std::size_t payload_shown_max = 200;

bool names_roles(const std::vector<Writer>& writers) {
    return std::any_of(writers.begin(), writers.end(),
                       [](const Writer& writer) { return writer.kind == Writer::Kind::role; });
}

std::string_view first_levels(std::string_view topic, std::size_t levels) {
    std::size_t end = 0;
    for (LevelCursor at(topic); !at.done() && levels > 0; at.next(), --levels) {
        end = static_cast<std::size_t>(at.level().data() - topic.data()) + at.level().size();
    }
    return topic.substr(0, end);
}

}  // namespace

CaseTwins find_case_twins(const Traffic& traffic) {
    struct Seen {
        std::string topic;
        std::uint64_t messages = 0;
        bool several = false;
    };
    std::map<std::string, Seen> seen;
    std::string topic;
    std::uint64_t messages = 0;
    const auto end_topic = [&] {
        if (topic.empty()) return;
        const auto [at, fresh] = seen.try_emplace(fold_case(topic), Seen{topic, messages, false});
        if (fresh) return;
        at->second.several = true;
        if (messages > at->second.messages) at->second = {topic, messages, true};
    };
    traffic([&](const TrafficSample& sample) {
        if (sample.topic != topic) {
            end_topic();
            topic = sample.topic;
            messages = 0;
        }
        messages += sample.messages;
        return true;
    });
    end_topic();
    CaseTwins twins;
    for (auto& [folded, one] : seen) {
        if (one.several) twins.emplace(folded, std::move(one.topic));
    }
    return twins;
}

Verdict SampleJudge::judge(const TrafficSample& sample) {
    if (fresh_ || sample.topic != topic_) {
        fresh_ = false;
        topic_ = sample.topic;
        resolution_ = model_.resolve(topic_);
        twin_.clear();
        if (!twins_.empty()) {
            const auto twin = twins_.find(fold_case(topic_));
            if (twin != twins_.end() && twin->second != topic_) twin_ = twin->second;
        }
        if (resolution_.status == Resolution::Status::member && resolution_.asset_levels > 0) {
            const std::string_view where = resolution_.moved ? std::string_view(resolution_.moved->topic) : topic_;
            assets_.emplace(first_levels(where, resolution_.asset_levels));
        }
    }
    PublishFacts facts;
    facts.topic = sample.topic;
    facts.payload = sample.payload;
    facts.retain = sample.retain;
    facts.client_id = sample.client_id;
    facts.user = sample.user;
    facts.now_ms = options_.now_ms != 0 ? options_.now_ms : sample.at_ms;
    facts.same_but_case = twin_;
    std::vector<std::string> roles;
    Resolution as_asked = resolution_;
    if (options_.roles_of) {
        roles = options_.roles_of(sample.client_id, sample.user);
        facts.roles = roles;
    } else if (resolution_.writers && names_roles(*resolution_.writers)) {
        unjudged_writers_ += sample.messages;
        as_asked.writers = nullptr;
    }
    if (sample.truncated && resolution_.payload) {
        unjudged_payloads_ += sample.messages;
        as_asked.payload = nullptr;
    }
    return model_.judge(as_asked, facts);
}

void find_silent(const Model& model, const std::set<std::string, std::less<>>& heard, std::size_t most,
                 std::vector<SilentAsset>& out, std::uint64_t& total) {
    SilentAsset asset;
    bool silent = false, speaks = false;
    const auto end_asset = [&] {
        if (!silent || !speaks) return;
        ++total;
        if (out.size() < most) out.push_back(asset);
    };
    model.walk([&](const Model::Entry& entry) {
        if (entry.kind == MemberKind::asset) {
            end_asset();
            asset = {std::string(entry.topic), std::string(entry.type), std::string(entry.owner),
                     model.place_text(entry.place)};
            silent = entry.topic.find('{') == std::string_view::npos && !heard.contains(entry.topic);
            speaks = false;
        } else if (entry.kind == MemberKind::metric && entry.member && !entry.member->path.empty()) {
            speaks = true;
        }
        return true;
    });
    end_asset();
}

std::string shown_payload(std::string_view payload) {
    std::string_view cut = payload.substr(0, payload_shown_max);
    if (cut.size() < payload.size()) {
        std::size_t end = cut.size();
        while (end > 0 && (static_cast<unsigned char>(payload[end]) & 0xC0) == 0x80) --end;
        cut = payload.substr(0, end);
    }
    return is_utf8(cut) ? std::string(cut) : std::string();
}

}  // namespace trunkline::uns
