// Changes that wait for a second person (audit.approval).
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "broker/core/governance.h"
#include "namespace/model/model.h"

namespace trunkline::admin {

/// Does the step from one model to the other change what holds in a regulated branch of either? What is told of no node
/// of the tree (types, payloads, defaults, naming) counts where there is such a branch at all.
[[nodiscard]] bool touches_regulated(const uns::Model& before, const uns::Model& after);

/// Thread safe. What waits is lost when the broker ends: it is proposed again.
class Approvals {
public:
    static constexpr std::size_t waiting_max = 8;
    static constexpr std::int64_t wait_ms_max = std::int64_t{7} * 24 * 3'600 * 1'000;

    struct Proposal {
        std::uint64_t id = 0;
        std::int64_t at_ms = 0;                   ///< since 1970
        std::string action;                       ///< "model.apply", "model.rollback"
        std::string object;                       ///< "acme 3.1.0"
        std::string who, why;
        std::string changes;                      ///< JSON, as a dry run tells them
        std::string based_on;                     ///< hash of the model that was in force; another one voids it
        std::function<void(broker::Change change, broker::Governance::Done done)> run;
    };

    /// The id; nullopt: too many wait already.
    [[nodiscard]] std::optional<std::uint64_t> add(Proposal proposal);
    /// Oldest first, without `run`.
    [[nodiscard]] std::vector<Proposal> waiting(std::int64_t now_ms);
    /// Takes a proposal out; nullopt: there is none of this id.
    [[nodiscard]] std::optional<Proposal> take(std::uint64_t id, std::int64_t now_ms);
    /// A look at one, without `run`.
    [[nodiscard]] std::optional<Proposal> find(std::uint64_t id, std::int64_t now_ms);

private:
    void forget_old(std::int64_t now_ms);

    std::mutex mutex_;                            // guards what follows
    std::map<std::uint64_t, Proposal> proposals_;
    std::uint64_t next_ = 1;
};

}  // namespace trunkline::admin
