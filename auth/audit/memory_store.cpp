#include <algorithm>

#include "auth/audit/store.h"

namespace trunkline::auth::audit {
namespace {

Error no_file(const std::string& name) { return {Failure::absent, name + ": no such file"}; }

}  // namespace

Result<std::vector<std::string>> MemoryAuditStore::list() const {
    std::vector<std::string> names;
    for (const auto& [name, bytes] : files_) names.push_back(name);
    return names;
}

Result<std::uint64_t> MemoryAuditStore::size(const std::string& name) const {
    const auto found = files_.find(name);
    if (found == files_.end()) return no_file(name);
    return found->second.size();
}

Result<std::string> MemoryAuditStore::read(const std::string& name, std::uint64_t offset, std::uint64_t length) const {
    const auto found = files_.find(name);
    if (found == files_.end()) return no_file(name);
    if (offset >= found->second.size()) return std::string();
    return found->second.substr(offset, length);
}

Status MemoryAuditStore::append(const std::string& name, std::string_view bytes) {
    if (bytes.size() > space) return Error{Failure::no_space, name + ": no space"};
    space -= bytes.size();
    files_[name].append(bytes);
    return {};
}

Status MemoryAuditStore::write_at(const std::string& name, std::uint64_t offset, std::string_view bytes) {
    std::string& file = files_[name];
    if (file.size() < offset + bytes.size()) file.resize(offset + bytes.size());
    file.replace(offset, bytes.size(), bytes);
    return {};
}

Status MemoryAuditStore::truncate(const std::string& name, std::uint64_t size) {
    const auto found = files_.find(name);
    if (found == files_.end()) return no_file(name);
    found->second.resize(size);
    return {};
}

Status MemoryAuditStore::remove(const std::string& name) {
    files_.erase(name);
    synced_.erase(name);
    return {};
}

Status MemoryAuditStore::sync(const std::string& name) {
    const auto found = files_.find(name);
    if (found == files_.end()) return no_file(name);
    if (syncs_left == 0) return Error{Failure::failed, name + ": sync failed"};
    --syncs_left;
    ++syncs;
    synced_[name] = found->second;
    return {};
}

void MemoryAuditStore::cut_power(std::size_t kept) {
    auto files = synced_;
    for (auto& [name, bytes] : files_) {
        const auto synced = synced_.find(name);
        const std::size_t safe = synced == synced_.end() ? 0 : synced->second.size();
        if (bytes.size() > safe && kept > 0) files[name].append(bytes, safe, kept);
    }
    files_ = files;
    synced_ = std::move(files);
}

}  // namespace trunkline::auth::audit
