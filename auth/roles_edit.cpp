#include "auth/roles_edit.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <optional>

#include "auth/roles_file.h"
#include "auth/yaml_fields.h"

namespace trunkline::auth {
namespace {

Problem refusal(std::string place, std::string message, std::string fix) {
    return {"TL-9209", std::move(place), std::move(message), std::move(fix)};
}

/// The text by lines, each with its end.
class Lines {
public:
    explicit Lines(std::string_view text) {
        while (!text.empty()) {
            const std::size_t end = std::min(text.find('\n'), text.size() - 1) + 1;
            lines_.emplace_back(text.substr(0, end));
            text.remove_prefix(end);
        }
        if (!lines_.empty() && lines_.back().back() != '\n') lines_.back() += '\n';
    }
    [[nodiscard]] std::size_t size() const { return lines_.size(); }
    [[nodiscard]] std::string& operator[](std::size_t i) { return lines_[i]; }
    void insert(std::size_t at, std::string line) { lines_.insert(lines_.begin() + static_cast<long>(at), line); }
    void erase(std::size_t from, std::size_t to) {
        lines_.erase(lines_.begin() + static_cast<long>(from), lines_.begin() + static_cast<long>(to));
    }
    [[nodiscard]] std::string text() const {
        std::string all;
        for (const std::string& line : lines_) all += line;
        return all;
    }
    /// Where a block that begins at `line` with its key in column `column` ends: behind its last line that is neither
    /// empty nor a comment.
    [[nodiscard]] std::size_t end_of_block(std::size_t line, std::size_t column) const {
        std::size_t end = line + 1;
        for (std::size_t i = line + 1; i < lines_.size(); ++i) {
            const std::size_t first = lines_[i].find_first_not_of(" \t\r\n");
            if (first == std::string::npos || lines_[i][first] == '#') continue;
            if (first <= column) break;
            end = i + 1;
        }
        return end;
    }

private:
    std::vector<std::string> lines_;
};

/// Where something stands, from 0.
struct Spot {
    std::size_t line = 0, column = 0;
};
Spot spot_of(const YAML::Mark& mark) {
    return {static_cast<std::size_t>(std::max(mark.line, 0)), static_cast<std::size_t>(std::max(mark.column, 0))};
}

struct Found {
    Spot key;
    YAML::Node value;
};
std::optional<Found> find_key(const YAML::Node& map, std::string_view key) {
    if (!map.IsMap()) return std::nullopt;
    for (const auto& entry : map) {
        if (!entry.first.IsScalar() || entry.first.Scalar() != key) continue;
        return Found{spot_of(entry.first.Mark()), entry.second};
    }
    return std::nullopt;
}

std::string yaml_text(std::string_view text) {
    std::string out = "\"";
    for (const char c : text) {
        if (c == '"' || c == '\\') out += '\\';
        out += c;
    }
    return out + "\"";
}

std::string list_of(const std::vector<std::string>& names) {
    std::string out = "[";
    for (const std::string& name : names) out += (out.size() > 1 ? ", " : "") + yaml_text(name);
    return out + "]";
}

/// A file that was read and may be edited.
struct Document {
    ParsedRoles parsed;
    YAML::Node root;
};
boost::system::result<Document, Problem> read(std::string_view text, const std::string& name) {
    Document document{parse_roles(text, name), {}};
    if (!document.parsed.file) return document.parsed.problems.front();
    YamlContext context{name, {}};
    auto root = read_yaml(text, context);
    if (!root) return context.problems.front();
    document.root = *root;
    return document;
}

/// The new text, when it says what was meant: the users of before, less `gone`, with `made`.
Edited checked(const Document& before, Lines& lines, const std::string& name, std::string_view gone,
               std::string_view made) {
    std::string text = lines.text();
    const ParsedRoles after = parse_roles(text, name);
    if (!after.file) return after.problems.front();
    std::vector<std::string_view> expected, found;
    for (const User& user : before.parsed.file->users) {
        if (user.name != gone) expected.push_back(user.name);
    }
    if (!made.empty()) expected.insert(std::lower_bound(expected.begin(), expected.end(), made), made);
    for (const User& user : after.file->users) found.push_back(user.name);
    if (found != expected || after.file->rules.size() != before.parsed.file->rules.size()) {
        return refusal(name, "the file is written in a way that this change would break", "change it with an editor");
    }
    return Edited(boost::system::in_place_value, std::move(text));
}

/// Replaces the scalar at `spot`, whose value is `value`, by `fresh` in quotes.
bool replace_scalar(Lines& lines, Spot spot, std::string_view value, std::string_view fresh) {
    if (spot.line >= lines.size()) return false;
    std::string& line = lines[spot.line];
    const bool in_quotes = spot.column < line.size() && (line[spot.column] == '"' || line[spot.column] == '\'');
    const std::size_t begin = spot.column + (in_quotes ? 1 : 0);
    if (line.compare(begin, value.size(), value) != 0) return false;
    const std::size_t size = value.size() + (in_quotes ? 2 : 0);
    if (in_quotes && (spot.column + size > line.size() || line[spot.column + size - 1] != line[spot.column])) {
        return false;
    }
    line.replace(spot.column, size, yaml_text(fresh));
    return true;
}

}  // namespace

Edited add_user(std::string_view text, const std::string& name, const NewUser& user) {
    auto document = read(text, name);
    if (document.has_error()) return document.error();
    const auto& users_before = document->parsed.file->users;
    const auto same = std::find_if(users_before.begin(), users_before.end(),
                                   [&](const User& one) { return one.name == user.name; });
    if (same != users_before.end()) {
        return refusal(same->place, "there is a user " + user.name + " already", "choose another name, or change it");
    }
    std::string fields;
    const auto add = [&fields](const char* key, const std::string& value) {
        fields += (fields.empty() ? "" : ", ") + std::string(key) + ": " + value;
    };
    if (!user.password_hash.empty()) add("password", yaml_text(user.password_hash));
    if (!user.groups.empty()) add("groups", list_of(user.groups));
    if (!user.roles.empty()) add("roles", list_of(user.roles));
    const std::string entry = yaml_text(user.name) + ": {" + fields + "}\n";
    Lines lines(text);
    const auto users = find_key(document->root, "users");
    if (!users) {
        lines.insert(lines.size(), "users:\n");
        lines.insert(lines.size(), "  " + entry);
    } else if (users->value.IsMap() && users->value.size() > 0 && users->value.Style() != YAML::EmitterStyle::Flow) {
        const Spot first = spot_of(users->value.begin()->first.Mark());
        lines.insert(lines.end_of_block(users->key.line, users->key.column), std::string(first.column, ' ') + entry);
    } else if (users->value.size() == 0) {
        std::string& line = lines[users->key.line];
        const std::size_t comment = line.find('#');
        const std::string kept = comment == std::string::npos ? "\n" : "  " + line.substr(comment);
        line = line.substr(0, line.find(':', users->key.column) + 1) + kept;
        lines.insert(users->key.line + 1, std::string(users->key.column + 2, ' ') + entry);
    } else {
        return refusal(name, "users are written between braces", "write one user a line, or add it with an editor");
    }
    return checked(*document, lines, name, {}, user.name);
}

Edited remove_user(std::string_view text, const std::string& name, std::string_view user) {
    auto document = read(text, name);
    if (document.has_error()) return document.error();
    const auto users = find_key(document->root, "users");
    const auto entry = users ? find_key(users->value, user) : std::nullopt;
    if (!entry) return refusal(name, "there is no user " + std::string(user), "see trunkctl users ls");
    if (users->value.Style() == YAML::EmitterStyle::Flow) {
        return refusal(name, "users are written between braces", "write one user a line, or remove it with an editor");
    }
    Lines lines(text);
    lines.erase(entry->key.line, lines.end_of_block(entry->key.line, entry->key.column));
    if (users->value.size() == 1) {
        std::string& line = lines[users->key.line];
        line.insert(line.find(':', users->key.column) + 1, " {}");
    }
    return checked(*document, lines, name, user, {});
}

Edited change_password(std::string_view text, const std::string& name, std::string_view user,
                       std::string_view password_hash, std::string_view scram) {
    auto document = read(text, name);
    if (document.has_error()) return document.error();
    const auto users = find_key(document->root, "users");
    const auto entry = users ? find_key(users->value, user) : std::nullopt;
    if (!entry) return refusal(name, "there is no user " + std::string(user), "see trunkctl users ls");
    const Problem unusual = refusal(name, "the user is written in a way that this change would break",
                                    "change it with an editor");
    Lines lines(text);
    // The later place first, so that the other one stays where it is.
    struct Change {
        Spot spot;
        std::string value, fresh;
    };
    std::vector<Change> changes;
    const auto password = find_key(entry->value, "password");
    const auto verifier = find_key(entry->value, "scram");
    const auto change_to = [&changes](const Found& found, std::string_view fresh) {
        changes.push_back({spot_of(found.value.Mark()), found.value.Scalar(), std::string(fresh)});
    };
    if (password) change_to(*password, password_hash);
    if (verifier) change_to(*verifier, scram);
    std::sort(changes.begin(), changes.end(), [](const Change& a, const Change& b) {
        return std::pair(a.spot.line, a.spot.column) > std::pair(b.spot.line, b.spot.column);
    });
    for (const Change& change : changes) {
        if (!replace_scalar(lines, change.spot, change.value, change.fresh)) return unusual;
    }
    if (!password) {
        const std::string field = "password: " + yaml_text(password_hash);
        const bool flow = entry->value.IsMap() && entry->value.Style() == YAML::EmitterStyle::Flow;
        if (flow) {
            const Spot at = spot_of(entry->value.Mark());
            if (lines[at.line].substr(at.column, 1) != "{") return unusual;
            lines[at.line].insert(at.column + 1, field + (entry->value.size() > 0 ? ", " : ""));
        } else if (entry->value.IsMap() && entry->value.size() > 0) {
            const Spot first = spot_of(entry->value.begin()->first.Mark());
            lines.insert(first.line, std::string(first.column, ' ') + field + "\n");
        } else {
            lines.insert(entry->key.line + 1, std::string(entry->key.column + 2, ' ') + field + "\n");
        }
    }
    return checked(*document, lines, name, {}, {});
}

std::string replace_file(const std::string& path, std::string_view content) {
    const auto failed = [&](const std::string& what) { return what + ": " + std::strerror(errno); };
    char* resolved = realpath(path.c_str(), nullptr);
    if (!resolved) return failed("cannot find " + path);
    const std::string target = resolved;
    std::free(resolved);
    std::string made = target + ".XXXXXX";
    const int file = mkostemp(made.data(), O_CLOEXEC);   // mode 0600
    if (file < 0) return failed("cannot write beside " + target);
    const auto give_up = [&](const std::string& what) {
        const std::string why = failed(what);
        close(file);
        unlink(made.c_str());
        return why;
    };
    while (!content.empty()) {
        const ssize_t written = write(file, content.data(), content.size());
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0) return give_up("cannot write " + made);
        content.remove_prefix(static_cast<std::size_t>(written));
    }
    struct stat about {};
    if (stat(target.c_str(), &about) == 0 && about.st_uid != geteuid()) {
        if (fchown(file, about.st_uid, about.st_gid) != 0) return give_up("cannot keep the owner of " + target);
    }
    if (fsync(file) != 0) return give_up("cannot sync " + made);
    if (rename(made.c_str(), target.c_str()) != 0) return give_up("cannot replace " + target);
    close(file);
    const std::string folder = target.substr(0, std::max<std::size_t>(target.rfind('/'), 1));
    const int directory = open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (directory < 0) return failed("cannot sync " + folder);
    const bool synced = fsync(directory) == 0;
    close(directory);
    return synced ? std::string() : failed("cannot sync " + folder);
}

}  // namespace trunkline::auth
