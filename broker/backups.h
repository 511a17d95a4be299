// Takes backups of the running broker: a checkpoint of the store beside it, with everything else that a broker needs to
// come back, held until it has been fetched.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "broker/admin/sources.h"
#include "broker/core/config.h"
#include "persistence/backup.h"
#include "persistence/store.h"

namespace trunkline::broker {

/// Thread safe. One backup at a time lies in DATA/backup.tmp; as long as it does, files that the store would delete
/// keep their room on the disk, so one that nobody asks about for a minute is let go.
class Backups final : public admin::BackupSource {
public:
    /// `store` outlives this. What an earlier life has left in DATA/backup.tmp is removed.
    Backups(store::Store& store, const Config& config, std::string config_file);
    ~Backups() override;

    [[nodiscard]] std::string begin() override;
    void prepare(const std::string& id, const std::function<bool()>& go_on) override;
    [[nodiscard]] admin::BackupProgress progress() override;
    [[nodiscard]] std::optional<std::string> manifest(const std::string& id) override;
    [[nodiscard]] std::optional<std::string> read(const std::string& id, const std::string& name, std::uint64_t offset,
                                                  std::uint64_t bytes) override;
    bool release(const std::string& id) override;

    /// Lets go what nobody has asked about lately. Call now and then.
    void expire();

private:
    struct Held;   // a backup, and its folder as long as somebody uses it
    [[nodiscard]] std::shared_ptr<Held> find(const std::string& id);
    [[nodiscard]] std::string take(Held& held, const std::function<bool()>& go_on);
    [[nodiscard]] std::string copy_audit(const Held& held) const;
    [[nodiscard]] std::string copy_config(const Held& held) const;

    store::Store& store_;
    const std::string node_, data_, audit_, root_;
    std::vector<std::string> config_files_;
    std::mutex mutex_;                     // guards what follows, and Held::progress
    std::shared_ptr<Held> held_;
    std::uint64_t count_ = 0;
};

}  // namespace trunkline::broker
