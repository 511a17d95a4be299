// Traffic judged by a model, sample by sample: what replay and drift have in common.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>

#include "namespace/life/replay.h"

namespace trunkline::uns {

/// The topic that counts as the right one where several differ only in case: the one with most messages. By folded
/// name, only where there are several.
using CaseTwins = std::map<std::string, std::string>;
[[nodiscard]] CaseTwins find_case_twins(const Traffic& traffic);

/// Judges samples by one model; those of a topic come one after the other.
class SampleJudge {
public:
    SampleJudge(const Model& model, const ReplayOptions& options, const CaseTwins& twins)
        : model_(model), options_(options), twins_(twins) {}

    [[nodiscard]] Verdict judge(const TrafficSample& sample);
    /// Of the topic of the last sample.
    [[nodiscard]] const Resolution& resolution() const { return resolution_; }
    /// Assets that were heard from, as topics.
    [[nodiscard]] const std::set<std::string, std::less<>>& assets() const { return assets_; }
    [[nodiscard]] std::uint64_t unjudged_writers() const { return unjudged_writers_; }
    [[nodiscard]] std::uint64_t unjudged_payloads() const { return unjudged_payloads_; }

private:
    const Model& model_;
    const ReplayOptions& options_;
    const CaseTwins& twins_;
    std::string topic_, twin_;
    bool fresh_ = true;
    Resolution resolution_;
    std::set<std::string, std::less<>> assets_;
    std::uint64_t unjudged_writers_ = 0, unjudged_payloads_ = 0;
};

/// Assets of `model` with a name of their own that are not in `heard` and have something to say.
void find_silent(const Model& model, const std::set<std::string, std::less<>>& heard, std::size_t most,
                 std::vector<SilentAsset>& out, std::uint64_t& total);

/// The first bytes of a payload as text; empty when it is none.
[[nodiscard]] std::string shown_payload(std::string_view payload);

}  // namespace trunkline::uns
