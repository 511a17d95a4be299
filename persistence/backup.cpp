#include "persistence/backup.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>

#include <nlohmann/json.hpp>
#include <openssl/evp.h>

namespace trunkline::store {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr std::size_t block_bytes = 1 << 20;
constexpr std::uintmax_t manifest_bytes_max = 256 << 20;

/// A descriptor that closes itself.
struct File {
    int fd = -1;
    explicit File(int opened) : fd(opened) {}
    ~File() {
        if (fd >= 0) ::close(fd);
    }
    File(const File&) = delete;
    File& operator=(const File&) = delete;
};

std::string failed(const std::string& path) { return path + ": " + std::strerror(errno); }

std::string hex(std::uint64_t number) {
    char text[17];
    std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(number));
    return text;
}

std::uint64_t from_hex(const Json& json, const char* key) {
    const std::string text = json.value(key, "");
    std::uint64_t number = 0;
    for (const char c : text) {
        const int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
        if (digit < 0 || text.size() != 16) return 0;
        number = number << 4 | static_cast<std::uint64_t>(digit);
    }
    return number;
}

bool is_sha256(const std::string& text) {
    return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == std::string::npos;
}

std::string sha256_of(std::string_view text) {
    Sha256 hash;
    hash.add(text);
    return hash.finish();
}

std::string read_small_file(const fs::path& path, std::string& text) {
    std::error_code error;
    if (fs::file_size(path, error) > manifest_bytes_max || error) {
        return path.string() + ": " + (error ? error.message() : "too large");
    }
    std::ifstream in(path, std::ios::binary);
    text.assign(std::istreambuf_iterator<char>(in), {});
    return in.bad() || !in.is_open() ? path.string() + " cannot be read" : "";
}

std::string write_small_file(const std::string& path, std::string_view text) {
    const File file(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    if (file.fd < 0) return failed(path);
    for (std::size_t at = 0; at < text.size();) {
        const ssize_t wrote = ::write(file.fd, text.data() + at, text.size() - at);
        if (wrote < 0) return failed(path);
        at += static_cast<std::size_t>(wrote);
    }
    return ::fsync(file.fd) == 0 ? "" : failed(path);
}

Json to_json(const StoreSummary& store) {
    Json tables = Json::object();
    for (std::size_t i = 0; i < table_count; ++i) {
        const TableSummary& table = store.tables[i];
        tables[table_name(static_cast<Table>(i))] = {
            {"keys", table.keys}, {"bytes", table.bytes}, {"xxh3", hex(table.hash)}};
    }
    return {{"epoch", store.stamp.epoch}, {"position", store.stamp.position}, {"hash", hex(store.stamp.hash)},
            {"time_ms", store.time_ms}, {"tables", std::move(tables)}};
}

StoreSummary store_from_json(const Json& json) {
    StoreSummary store;
    store.stamp = {json.value("epoch", std::uint64_t{0}), json.value("position", std::uint64_t{0}),
                   from_hex(json, "hash")};
    store.time_ms = json.value("time_ms", std::int64_t{0});
    const Json& tables = json.at("tables");
    for (std::size_t i = 0; i < table_count; ++i) {
        const Json& table = tables.at(table_name(static_cast<Table>(i)));
        store.tables[i] = {table.at("keys").get<std::uint64_t>(), table.at("bytes").get<std::uint64_t>(),
                           from_hex(table, "xxh3")};
    }
    return store;
}

/// What differs between two summaries, "" when nothing does.
std::string difference(const StoreSummary& wanted, const StoreSummary& found) {
    if (wanted == found) return {};
    if (wanted.stamp != found.stamp) {
        return "ends at batch " + std::to_string(found.stamp.position) + " instead of " +
               std::to_string(wanted.stamp.position);
    }
    for (std::size_t i = 0; i < table_count; ++i) {
        if (wanted.tables[i] == found.tables[i]) continue;
        return std::string("table ") + table_name(static_cast<Table>(i)) + " holds " +
               std::to_string(found.tables[i].keys) + " keys that are not the " +
               std::to_string(wanted.tables[i].keys) + " of the manifest";
    }
    return "has another time than the manifest";
}

}  // namespace

std::uint64_t BackupManifest::bytes() const {
    std::uint64_t all = 0;
    for (const BackupFile& file : files) all += file.bytes;
    return all;
}

bool is_backup_name(std::string_view name) {
    if (name.empty() || name.size() > 4'096 || name.find('\0') != std::string_view::npos) return false;
    while (true) {
        const auto end = name.find('/');
        const std::string_view segment = name.substr(0, end);
        if (segment.empty() || segment == "." || segment == "..") return false;
        if (end == std::string_view::npos) return true;
        name.remove_prefix(end + 1);
    }
}

std::string to_json(const BackupManifest& manifest) {
    Json files = Json::array();
    for (const BackupFile& file : manifest.files) {
        files.push_back({{"name", file.name}, {"bytes", file.bytes}, {"sha256", file.sha256}});
    }
    const Json json = {{"format", backup_format}, {"node", manifest.node}, {"version", manifest.version},
                       {"taken_at_ms", manifest.taken_at_ms}, {"bytes", manifest.bytes()},
                       {"point", to_json(manifest.store)}, {"files", std::move(files)}};
    return json.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string from_json(std::string_view text, BackupManifest& manifest) {
    const Json json = Json::parse(text, nullptr, false);
    if (!json.is_object()) return "is no JSON object";
    try {
        const auto format = json.at("format").get<std::uint32_t>();
        if (format != backup_format) {
            return "has format " + std::to_string(format) + ", this version knows " + std::to_string(backup_format);
        }
        manifest.node = json.value("node", "");
        manifest.version = json.value("version", "");
        manifest.taken_at_ms = json.value("taken_at_ms", std::int64_t{0});
        manifest.store = store_from_json(json.at("point"));
        manifest.files.clear();
        std::set<std::string> names;
        for (const Json& entry : json.at("files")) {
            BackupFile file{entry.at("name"), entry.at("bytes"), entry.at("sha256")};
            if (!is_backup_name(file.name) || !is_sha256(file.sha256) || !names.insert(file.name).second) {
                return "lists a file with an impossible name or hash";
            }
            manifest.files.push_back(std::move(file));
        }
    } catch (const Json::exception& error) {
        return std::string("lacks something: ") + error.what();
    }
    return manifest.files.empty() ? "lists no files" : "";
}

Sha256::Sha256() : context_(EVP_MD_CTX_new()) {
    EVP_DigestInit_ex(static_cast<EVP_MD_CTX*>(context_), EVP_sha256(), nullptr);
}

Sha256::~Sha256() { EVP_MD_CTX_free(static_cast<EVP_MD_CTX*>(context_)); }

void Sha256::add(std::string_view bytes) {
    EVP_DigestUpdate(static_cast<EVP_MD_CTX*>(context_), bytes.data(), bytes.size());
}

std::string Sha256::finish() {
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int size = 0;
    EVP_DigestFinal_ex(static_cast<EVP_MD_CTX*>(context_), digest, &size);
    constexpr std::string_view digits = "0123456789abcdef";
    std::string text;
    for (unsigned int i = 0; i < size; ++i) text.append({digits[digest[i] >> 4], digits[digest[i] & 15]});
    return text;
}

std::string hash_file(const std::string& path, BackupFile& file, const Progress& progress) {
    const File in(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
    if (in.fd < 0) return failed(path);
    Sha256 hash;
    std::string block(block_bytes, '\0');
    file.bytes = 0;
    while (true) {
        const ssize_t got = ::read(in.fd, block.data(), block.size());
        if (got < 0) return failed(path);
        if (got == 0) break;
        hash.add({block.data(), static_cast<std::size_t>(got)});
        file.bytes += static_cast<std::uint64_t>(got);
        if (progress && !progress(static_cast<std::uint64_t>(got))) return path + ": given up";
    }
    file.sha256 = hash.finish();
    return {};
}

std::string copy_file(const std::string& from, const std::string& to, const Progress& progress) {
    const File in(::open(from.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
    if (in.fd < 0) return failed(from);
    const File out(::open(to.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    if (out.fd < 0) return failed(to);
    std::string block(block_bytes, '\0');
    while (true) {
        const ssize_t got = ::read(in.fd, block.data(), block.size());
        if (got < 0) return failed(from);
        if (got == 0) break;
        for (ssize_t at = 0; at < got;) {
            const ssize_t wrote = ::write(out.fd, block.data() + at, static_cast<std::size_t>(got - at));
            if (wrote < 0) return failed(to);
            at += wrote;
        }
        if (progress && !progress(static_cast<std::uint64_t>(got))) return to + ": given up";
    }
    return ::fsync(out.fd) == 0 ? "" : failed(to);
}

void sync_folder(const std::string& folder) {
    const File file(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (file.fd >= 0) ::fsync(file.fd);
}

std::string read_manifest(const std::string& folder, BackupManifest& manifest) {
    const fs::path path = fs::path(folder) / "manifest.json";
    std::string text, sum;
    if (std::string wrong = read_small_file(path, text); !wrong.empty()) return wrong;
    if (std::string wrong = read_small_file(fs::path(folder) / "manifest.sha256", sum); !wrong.empty()) return wrong;
    if (sum.substr(0, 64) != sha256_of(text)) return path.string() + ": altered or cut, says manifest.sha256";
    const std::string wrong = from_json(text, manifest);
    return wrong.empty() ? "" : path.string() + " " + wrong;
}

std::string write_manifest(const std::string& folder, const std::string& json) {
    if (std::string wrong = write_small_file(folder + "/manifest.json", json); !wrong.empty()) return wrong;
    return write_small_file(folder + "/manifest.sha256", sha256_of(json) + "  manifest.json\n");   // as sha256sum does
}

std::vector<std::string> verify_backup(const std::string& folder, BackupManifest& manifest, const Progress& progress) {
    if (std::string wrong = read_manifest(folder, manifest); !wrong.empty()) return {wrong};
    std::vector<std::string> problems;
    std::set<std::string> listed = {"manifest.json", "manifest.sha256"};
    for (const BackupFile& file : manifest.files) {
        listed.insert(file.name);
        BackupFile found;
        const std::string path = (fs::path(folder) / file.name).string();
        if (std::string wrong = hash_file(path, found, progress); !wrong.empty()) {
            problems.push_back(wrong);
        } else if (found.bytes != file.bytes) {
            problems.push_back(path + ": " + std::to_string(found.bytes) + " bytes instead of " +
                               std::to_string(file.bytes));
        } else if (found.sha256 != file.sha256) {
            problems.push_back(path + ": altered, its SHA-256 is not the one of the manifest");
        }
    }
    std::error_code error;
    for (fs::recursive_directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
        const std::string name = fs::relative(at->path(), folder, error).generic_string();
        if (at->is_directory(error) || listed.contains(name)) continue;
        problems.push_back(at->path().string() + ": the manifest lists no such file");
    }
    if (error) problems.push_back(folder + ": " + error.message());
    if (!problems.empty()) return problems;
    StoreSummary found;
    const std::string store = folder + "/store";
    if (StoreStatus status = summarise(store, found); !status.ok()) return {status.detail};
    if (std::string differs = difference(manifest.store, found); !differs.empty()) return {store + " " + differs};
    return {};
}

}  // namespace trunkline::store
