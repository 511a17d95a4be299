#include "auth/mosquitto_import.h"

#include <algorithm>
#include <map>
#include <set>

#include "auth/pattern.h"
#include "namespace/topic.h"

namespace trunkline::auth {
namespace {

constexpr std::string_view blanks = " \t\r\n\v\f";

std::string_view trim(std::string_view text) {
    const std::size_t begin = text.find_first_not_of(blanks);
    if (begin == std::string_view::npos) return {};
    return text.substr(begin, text.find_last_not_of(blanks) - begin + 1);
}

// The next word, up to a space; taken off `text` with the spaces before it.
std::string_view take_word(std::string_view& text) {
    text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
    const std::string_view word = text.substr(0, text.find(' '));
    text.remove_prefix(word.size());
    return word;
}

template <class Read>
void each_line(std::string_view text, const Read& read) {
    for (std::uint32_t number = 1; !text.empty(); ++number) {
        const std::size_t end = text.find('\n');
        std::string_view line = text.substr(0, end);
        text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
        while (!line.empty() && blanks.find(line.back()) != std::string_view::npos) line.remove_suffix(1);
        if (!line.empty() && line.front() != '#') read(number, line);
    }
}

std::string substitute(std::string_view filter, std::string_view client_id, const std::optional<std::string>& user) {
    std::string out;
    for (std::size_t i = 0; i < filter.size(); ++i) {
        const char next = filter[i] == '%' && i + 1 < filter.size() ? filter[i + 1] : '\0';
        if (next == 'c') out += client_id;
        else if (next == 'u' && user) out += *user;
        else { out += filter[i]; continue; }
        ++i;
    }
    return out;
}

// As the roles file wants it, with room for what the import puts before it.
bool fits_roles_file(std::string_view name) {
    return !name.empty() && name.size() <= 240 && std::none_of(name.begin(), name.end(), [](char c) {
        return static_cast<unsigned char>(c) < 0x20 || c == 0x7F;
    });
}

std::string as_yaml(std::string_view text) {
    constexpr std::string_view digits = "0123456789abcdef";
    std::string out = "\"";
    for (const char c : text) {
        if (c == '"' || c == '\\') (out += '\\') += c;
        else if (static_cast<unsigned char>(c) < 0x20) ((out += "\\x") += digits[c >> 4 & 15]) += digits[c & 15];
        else out += c;
    }
    return out + "\"";
}

// A filter of theirs as one of ours: %c and %u of a pattern stay, other percent signs are texts.
std::string our_filter(std::string_view filter, bool pattern) {
    std::string out;
    for (std::size_t i = 0; i < filter.size(); ++i) {
        const char next = i + 1 < filter.size() ? filter[i + 1] : '\0';
        if (filter[i] != '%') {
            out += filter[i];
        } else if (pattern && (next == 'c' || next == 'u')) {
            ((out += "%{") += next) += '}';
            ++i;
        } else {
            out += "%%";
        }
    }
    return out;
}

}  // namespace

std::optional<MosquittoAcl> MosquittoAcl::parse(std::string_view text, const std::string& name,
                                                std::vector<Problem>& problems) {
    MosquittoAcl acl;
    acl.name_ = name;
    Entries* into = &acl.nobody_;
    const std::size_t before = problems.size();
    each_line(text, [&](std::uint32_t number, std::string_view line) {
        const auto report = [&](std::string message, std::string fix) {
            problems.push_back(
                {"TL-9208", name + ":" + std::to_string(number) + ":1", std::move(message), std::move(fix)});
        };
        const std::string_view keyword = take_word(line);
        if (keyword == "user") {
            const std::string user(trim(line));
            if (!fits_roles_file(user)) {
                return report("user names nobody, or a name over 240 bytes or with control characters",
                              "write `user NAME`");
            }
            into = &acl.users_[user];
            return;
        }
        if (keyword != "topic" && keyword != "pattern") {
            return report("a line begins with neither user, topic nor pattern", "mend it, or begin it with #");
        }
        Entry entry;
        entry.line = number;
        const std::string_view first = take_word(line);
        const std::string_view rest = trim(line);
        if (!rest.empty()) {
            if (first == "read")
                entry.access = read;
            else if (first == "write")
                entry.access = write;
            else if (first == "deny")
                entry.access = deny;
            else if (first != "readwrite")
                return report("this is no kind of access", "write read, write, readwrite or deny");
        }
        entry.filter = rest.empty() ? first : rest;
        if (!uns::is_valid_topic_filter(entry.filter)) return report("this is no topic filter", "");
        Entries& entries = keyword == "pattern" ? acl.patterns_ : *into;
        (entry.access == deny ? entries.denies : entries.allows).push_back(std::move(entry));
    });
    if (problems.size() != before) return std::nullopt;
    return acl;
}

bool MosquittoAcl::allowed(const std::optional<std::string>& user, std::string_view client_id, Action action,
                           std::string_view topic) const {
    if (action == Action::subscribe) return true;
    if (action == Action::admin) return false;
    const std::uint8_t wanted = action == Action::publish ? write : read;
    const auto any = [&](const std::vector<Entry>& entries, bool denies, bool patterns) {
        return std::any_of(entries.begin(), entries.end(), [&](const Entry& entry) {
            if (!denies && !(entry.access & wanted)) return false;
            if (!patterns) return uns::matches(entry.filter, topic);
            if (!user && entry.filter.find("%u") != std::string::npos) return false;
            return uns::matches(substitute(entry.filter, client_id, user), topic);
        });
    };
    const Entries* own = &nobody_;
    if (user) {
        const auto at = users_.find(*user);
        own = at == users_.end() ? nullptr : &at->second;
    }
    if (own && any(own->denies, true, false)) return false;
    if (own && any(own->allows, false, false)) return true;
    // Mosquitto lets nobody near its patterns whose name could be taken for a wildcard.
    if (client_id.find_first_of("+#") != std::string_view::npos) return false;
    if (user && user->find_first_of("+#") != std::string::npos) return false;
    return !any(patterns_.denies, true, true) && any(patterns_.allows, false, true);
}

std::optional<MosquittoPasswords> parse_mosquitto_passwords(std::string_view text, const std::string& name,
                                                            std::vector<Problem>& problems) {
    MosquittoPasswords passwords;
    std::set<std::string, std::less<>> seen;
    const std::size_t before = problems.size();
    each_line(text, [&](std::uint32_t number, std::string_view line) {
        const auto report = [&](std::string message, std::string fix) {
            problems.push_back(
                {"TL-9208", name + ":" + std::to_string(number) + ":1", std::move(message), std::move(fix)});
        };
        const std::size_t colon = line.find(':');
        const std::string_view user = trim(line.substr(0, colon));
        if (colon == std::string_view::npos || !fits_roles_file(user))
            return report("this is no user and hash", "write NAME:HASH");
        // The value is never shown: it may be a password in the clear.
        const std::string_view hash = trim(line.substr(colon + 1));
        if (!read_password_hash(hash)) {
            return report("the hash of user " + as_yaml(user) + " cannot be used",
                          "run mosquitto_passwd -U on the file");
        }
        if (!seen.emplace(user).second) return report("user " + as_yaml(user) + " is there twice", "keep one line");
        passwords.users.emplace_back(user, hash);
    });
    if (problems.size() != before) return std::nullopt;
    return passwords;
}

namespace {

/// Writes a roles file from what was read.
class Converter {
public:
    Converter(const MosquittoAcl* acl, const MosquittoPasswords* passwords, std::vector<Problem>& notes)
        : acl_(acl), passwords_(passwords), notes_(notes) {}

    std::string run() {
        std::map<std::string, std::string> users;      // name -> hash or ""
        if (passwords_) {
            for (const auto& [name, hash] : passwords_->users) users[name] = hash;
            notes_.push_back({"TL-9203", "",
                              std::to_string(passwords_->users.size()) + " password hashes are Mosquitto's",
                              "they work; set passwords anew over time to have them stored as Argon2id"});
        }
        if (acl_) {
            for (const auto& [name, unused] : acl_->users()) users.try_emplace(name);
        }
        out_ = "trunkline: 1\n";
        if (!users.empty()) out_ += "users:\n";
        for (const auto& [name, hash] : users) {
            out_ += "  " + as_yaml(name) + ": {";
            if (!hash.empty()) out_ += "password: " + as_yaml(hash) + (has_entries(name) ? ", " : "");
            if (has_entries(name)) out_ += "roles: [" + as_yaml("user " + name) + "]";
            out_ += "}\n";
        }
        if (acl_ && !(acl_->patterns().allows.empty() && acl_->patterns().denies.empty())) {
            notes_.push_back({"TL-9208", acl_->name(), "Mosquitto keeps names with + or # from all patterns",
                              "here they are harmless, as values are literal: other patterns hold for them too"});
        }
        if (acl_) write_roles();
        return std::move(out_);
    }

private:
    [[nodiscard]] bool has_entries(const std::string& user) const { return acl_ && acl_->users().contains(user); }

    void write_roles() {
        out_ += "everyone: [\"all\"]\nanonymous: [\"all\", \"anonymous\"]\nroles:\n";
        // Mosquitto grants every subscription and looks at each delivery.
        out_ += "  \"all\":\n    rules:\n      - {allow: subscribe-only, topic: [\"#\", \"$SYS/#\"]}\n";
        write_rules(acl_->patterns(), true);
        out_ += "  \"anonymous\":\n    rules:\n";
        write_rules(acl_->nobody(), false);
        note_conflicts(acl_->nobody(), "anonymous clients");
        std::map<std::string, const MosquittoAcl::Entries*> sorted;
        for (const auto& [name, entries] : acl_->users()) sorted.emplace(name, &entries);
        for (const auto& [name, entries] : sorted) {
            out_ += "  " + as_yaml("user " + name) + ":\n    rules:\n";
            write_rules(*entries, false);
            note_conflicts(*entries, "user " + as_yaml(name));
        }
    }

    // A rule of ours cannot speak of such topics, and "#" does not cover them: nobody may publish or receive there.
    [[nodiscard]] bool is_left_out(const MosquittoAcl::Entry& entry) {
        if (!entry.filter.starts_with("$share/") && entry.filter != "$share") return false;
        notes_.push_back({"TL-9208", acl_->name() + ":" + std::to_string(entry.line) + ":1",
                          "the entry for " + as_yaml(entry.filter) + " is left out: rules are about topics",
                          "write the filter alone, without $share and the group"});
        return true;
    }

    void write_rules(const MosquittoAcl::Entries& entries, bool patterns) {
        for (const MosquittoAcl::Entry& entry : entries.denies) {
            if (is_left_out(entry)) continue;
            out_ += "      - {deny: [publish, receive], topic: " + as_yaml(our_filter(entry.filter, patterns)) + "}\n";
        }
        for (const MosquittoAcl::Entry& entry : entries.allows) {
            if (is_left_out(entry)) continue;
            const bool both = entry.access == (MosquittoAcl::read | MosquittoAcl::write);
            const std::string actions = both                                 ? "[publish, receive]"
                                        : entry.access == MosquittoAcl::read ? "receive"
                                                                             : "publish";
            out_ += "      - {allow: " + actions + ", topic: " + as_yaml(our_filter(entry.filter, patterns)) + "}\n";
        }
    }

    // What a pattern denies and an entry allows is allowed there and denied here.
    void note_conflicts(const MosquittoAcl::Entries& entries, const std::string& whose) {
        for (const MosquittoAcl::Entry& pattern : acl_->patterns().denies) {
            std::string loose;      // placeholders may be anything
            for (uns::LevelCursor at(pattern.filter); !at.done(); at.next()) {
                const bool open = at.level().find("%c") != std::string_view::npos ||
                                  at.level().find("%u") != std::string_view::npos;
                if (!loose.empty() || at.level().data() != pattern.filter.data()) loose += '/';
                loose += open ? "+" : std::string(at.level());
            }
            for (const MosquittoAcl::Entry& entry : entries.allows) {
                if (relate(loose, entry.filter) == Relation::apart) continue;
                notes_.push_back({"TL-9208", acl_->name() + ":" + std::to_string(pattern.line) + ":1",
                                  "this deny also holds for " + whose + ", whom Mosquitto lets through by line " +
                                      std::to_string(entry.line),
                                  "narrow the deny, if that is meant"});
            }
        }
    }

    const MosquittoAcl* acl_;
    const MosquittoPasswords* passwords_;
    std::vector<Problem>& notes_;
    std::string out_;
};

}  // namespace

std::string to_roles_file(const MosquittoAcl* acl, const MosquittoPasswords* passwords, std::vector<Problem>& notes) {
    return Converter(acl, passwords, notes).run();
}

}  // namespace trunkline::auth
