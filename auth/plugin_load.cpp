// What may be loaded, and the handshake with it.
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>
#include <mutex>

#include "auth/audit/hash.h"
#include "auth/plugin_desk.h"

namespace trunkline::auth {
namespace {

constexpr std::size_t table_size_min = offsetof(tl_plugin, reserved), table_size_max = 4096;
constexpr std::uint64_t plugin_bytes_max = 256 * 1024 * 1024;

struct Descriptor {
    int value = -1;
    ~Descriptor() {
        if (value >= 0) ::close(value);
    }
};

class Problems {
public:
    explicit Problems(const PluginSpec& spec) : spec_(spec) {}
    Problem operator()(const char* rule, const std::string& message, std::string fix) const {
        return {rule, spec_.place.empty() ? "plugins" : spec_.place, "plugin " + spec_.path + " " + message,
                std::move(fix)};
    }

private:
    const PluginSpec& spec_;
};

bool read_all(int descriptor, std::string& bytes) {
    std::size_t done = 0;
    while (done < bytes.size()) {
        const ssize_t count = ::pread(descriptor, bytes.data() + done, bytes.size() - done, static_cast<off_t>(done));
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0) return false;
        done += static_cast<std::size_t>(count);
    }
    return true;
}

std::string lower(std::string text) {
    std::transform(text.begin(), text.end(), text.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
    return text;
}

/// Opens the file and checks who may change it and what is in it. What is loaded afterwards is this very file.
std::optional<Problem> check_file(const PluginSpec& spec, const std::vector<PluginPermit>& permits, Descriptor& file) {
    const Problems problem(spec);
    const auto permit =
        std::find_if(permits.begin(), permits.end(), [&](const auto& each) { return each.path == spec.path; });
    if (permit == permits.end() || spec.path.empty() || spec.path[0] != '/')
        return problem("TL-1901", "is not in the list of allowed plugins",
                       "add its absolute path, best with its SHA-256, to the list");
    file.value = ::open(spec.path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    struct stat info {};
    if (file.value < 0 || ::fstat(file.value, &info) != 0 || !S_ISREG(info.st_mode))
        return problem("TL-1902", "cannot be opened: " + std::string(std::strerror(errno)),
                       "name a file (no symbolic link) that the broker may read");
    if (info.st_mode & 022 || (info.st_uid != 0 && info.st_uid != ::geteuid()))
        return problem("TL-1903", "could be changed by others", "make it root's or the broker's own, with mode 0755");
    if (!permit->sha256) return std::nullopt;
    const auto size = static_cast<std::uint64_t>(info.st_size);
    std::string bytes(size > plugin_bytes_max ? 0 : size, '\0');
    if (bytes.size() != size || !read_all(file.value, bytes))
        return problem("TL-1902", "cannot be read", "check the file and its disk");
    const std::string found = audit::to_hex(audit::sha256(bytes));
    if (found != lower(*permit->sha256))
        return problem("TL-1904", "has SHA-256 " + found + ", not the allowed one",
                       "find out who changed it; if the change is wanted, allow the new hash");
    return std::nullopt;
}

/// Loads the very file that was checked, by its descriptor. The dynamic loader knows libraries by name as well, so that
/// a descriptor's number must not be used again for another file: it stays open, one for each file ever loaded. The
/// library stays mapped too, its threads may outlive the plugin.
void* load_checked(Descriptor& file) {
    static std::mutex guard;
    static std::map<std::pair<dev_t, ino_t>, int> kept;
    struct stat info {};
    if (::fstat(file.value, &info) != 0) return nullptr;
    const std::lock_guard lock(guard);
    const auto found = kept.find({info.st_dev, info.st_ino});
    const int descriptor = found == kept.end() ? file.value : found->second;
    const std::string path = "/proc/self/fd/" + std::to_string(descriptor);
    void* library = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (library && found == kept.end()) kept[{info.st_dev, info.st_ino}] = std::exchange(file.value, -1);
    return library;
}

/// The plugin's table of functions, of a size and version that we know.
std::optional<Problem> shake_hands(const PluginSpec& spec, Descriptor& file, tl_plugin& table) {
    const Problems problem(spec);
    void* library = load_checked(file);
    if (!library) {
        const char* why = ::dlerror();
        return problem("TL-1905", std::string("does not load: ") + (why ? why : "unknown"),
                       "build it as a shared object for this machine, with all libraries it needs");
    }
    const auto entry = reinterpret_cast<tl_plugin_entry>(::dlsym(library, "trunkline_plugin"));
    if (!entry)
        return problem("TL-1906", "does not export trunkline_plugin()",
                       "include auth/plugin.h, and define that function with C linkage");
    const tl_plugin* found = nullptr;
    try {
        found = entry(Plugin::abi_min, Plugin::abi_max);
    } catch (...) {
        return problem("TL-1907", "threw an exception in trunkline_plugin()", "see the plugin's own documentation");
    }
    const std::string known = std::to_string(Plugin::abi_min) + " to " + std::to_string(Plugin::abi_max);
    if (!found)
        return problem("TL-1907", "speaks no version of the plugin interface from " + known,
                       "build it against this broker's auth/plugin.h");
    if (found->abi < Plugin::abi_min || found->abi > Plugin::abi_max)
        return problem(
            "TL-1907",
            "speaks version " + std::to_string(found->abi) + " of the plugin interface; this broker " + known,
            "build it against this broker's auth/plugin.h");
    if (found->struct_size < table_size_min || found->struct_size > table_size_max || !found->name || !found->version ||
        !found->open)
        return problem("TL-1907", "has an incomplete table: struct_size, name, version and open are needed",
                       "set struct_size to sizeof(tl_plugin), and all members that are not optional");
    std::memcpy(&table, found, std::min<std::size_t>(found->struct_size, sizeof table));
    return std::nullopt;
}

}  // namespace

Plugin::Loaded Plugin::load(const PluginSpec& spec, const std::vector<PluginPermit>& permits, unsigned shards,
                            Log log) {
    Descriptor file;
    if (auto problem = check_file(spec, permits, file)) return *problem;
    std::unique_ptr<Plugin> plugin(new Plugin());
    if (auto problem = shake_hands(spec, file, plugin->table_)) return *problem;
    plugin->name_ = std::string(plugin->table_.name).substr(0, text_max);
    plugin->version_ = std::string(plugin->table_.version).substr(0, text_max);
    plugin->desk_ = std::make_shared<Desk>();
    Desk& desk = *plugin->desk_;
    Desk::keep(plugin->desk_);
    desk.log = std::move(log);
    desk.host.struct_size = sizeof desk.host;
    desk.host.abi = plugin->table_.abi;
    desk.host.context = &desk;
    desk.host.log = &Desk::on_log;
    desk.host.complete = &Desk::on_complete;
    const Problems problem(spec);
    const tl_text config{spec.config_json.data(), spec.config_json.size()};
    std::int32_t status = -1;
    plugin->guarded("open", [&] { status = plugin->table_.open(&desk.host, config, &plugin->state_); });
    plugin->opened_ = status == TL_OK;
    if (!plugin->opened_)
        return problem("TL-1908", "refused to start, code " + std::to_string(status),
                       "look for its own lines in the log, and check its part of the configuration");
    for (unsigned i = 0; i < shards; ++i) {
        void* shard = plugin->state_;
        status = -1;
        if (plugin->table_.open_shard) {
            plugin->guarded("open_shard", [&] { status = plugin->table_.open_shard(plugin->state_, i, &shard); });
            if (status != TL_OK)
                return problem("TL-1908", "refused shard " + std::to_string(i) + ", code " + std::to_string(status),
                               "look for its own lines in the log");
        }
        plugin->shards_.push_back(shard);
    }
    return plugin;
}

}  // namespace trunkline::auth
