// Changes of users in the text of a roles file: one user is added, removed, or gets another password, and all else,
// comments too, stays letter by letter. Each result is read again and must say what was meant, or nothing is changed.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <boost/system/result.hpp>

#include "namespace/problem.h"

namespace trunkline::auth {

/// The new text, or why it could not be made. `name` is how messages call the file.
using Edited = boost::system::result<std::string, Problem>;

struct NewUser {
    std::string name;
    std::string password_hash;           ///< as hash_password() gives it; empty: none
    std::vector<std::string> groups, roles;
};

[[nodiscard]] Edited add_user(std::string_view text, const std::string& name, const NewUser& user);
[[nodiscard]] Edited remove_user(std::string_view text, const std::string& name, std::string_view user);
/// `password_hash` takes the place of what is there; so does `scram` where the user has a verifier, since the old
/// password would work there still.
[[nodiscard]] Edited change_password(std::string_view text, const std::string& name, std::string_view user,
                                     std::string_view password_hash, std::string_view scram);

/// Replaces a file by another content in one step, mode 0600, synced to disk with its folder. A symbolic link stays,
/// and what it leads to is replaced. Returns "" or what is wrong.
[[nodiscard]] std::string replace_file(const std::string& path, std::string_view content);

}  // namespace trunkline::auth
