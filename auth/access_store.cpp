#include "auth/access_store.h"

#include <sys/stat.h>

#include <cstring>
#include <fstream>
#include <sstream>

#include <openssl/crypto.h>

namespace trunkline::auth {
namespace {

bool has_hashes(const RolesFile& file) {
    for (const User& user : file.users) {
        if (user.password || user.scram) return true;
    }
    return false;
}

}  // namespace

AccessStore::AccessStore() : current_(Access::deny_all(1)) {}

std::shared_ptr<const Access> AccessStore::current() const {
    const std::lock_guard lock(mutex_);
    return current_;
}

AccessStore::Outcome AccessStore::load(std::string_view text, const std::string& name) {
    ParsedRoles parsed = parse_roles(text, name);
    Outcome outcome{parsed.file.has_value(), std::move(parsed.problems), std::move(parsed.warnings)};
    if (!parsed.file) return outcome;
    const std::lock_guard lock(mutex_);
    const std::uint64_t generation = current_->generation() + 1;
    current_ = std::make_shared<const Access>(std::move(*parsed.file), generation);
    generation_.store(generation, std::memory_order_release);
    return outcome;
}

AccessStore::Outcome AccessStore::load_file(const std::string& path) {
    const auto refuse = [&](const std::string& why, const std::string& fix) {
        Outcome outcome;
        outcome.problems.push_back({"TL-9001", path, why, fix});
        return outcome;
    };
    struct stat about {};
    std::ifstream in(path, std::ios::binary);
    if (!in || stat(path.c_str(), &about) != 0) {
        return refuse("the file cannot be read: " + std::string(std::strerror(errno)), "check the path and its rights");
    }
    if (!S_ISREG(about.st_mode)) return refuse("this is no file", "name a YAML file");
    if (about.st_mode & S_IWOTH) return refuse("everybody may write this file", "chmod o-w it");
    if (static_cast<std::uint64_t>(about.st_size) > RolesLimits::bytes_max)
        return refuse("the file is over 32 MiB", "");
    std::string text(static_cast<std::size_t>(about.st_size), '\0');
    in.read(text.data(), static_cast<std::streamsize>(text.size()));
    if (static_cast<std::size_t>(in.gcount()) != text.size() || in.peek() != std::ifstream::traits_type::eof()) {
        return refuse("the file changed while it was read", "load it again");
    }
    Outcome outcome = load(text, path);
    OPENSSL_cleanse(text.data(), text.size());
    if (outcome.taken && (about.st_mode & S_IROTH) && has_hashes(current()->file())) {
        outcome.warnings.push_back({"TL-9203", path, "everybody may read this file, which holds password hashes",
                                    "chmod o-r it"});
    }
    return outcome;
}

}  // namespace trunkline::auth
