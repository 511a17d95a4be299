#include "auth/roles_file.h"

#include <algorithm>
#include <unordered_map>

#include "auth/admin_action.h"
#include "auth/nearest.h"
#include "auth/yaml_fields.h"

namespace trunkline::auth {
namespace {

constexpr std::size_t role_name_bytes_max = 256;
constexpr std::string_view subscribe_only = "subscribe-only";   // without what subscribe says of deliveries

std::string quote(std::string_view text) { return "\"" + std::string(text.substr(0, 128)) + "\""; }

bool is_name(std::string_view name) {
    return !name.empty() && name.size() <= role_name_bytes_max && std::none_of(name.begin(), name.end(), [](char c) {
        return static_cast<unsigned char>(c) < 0x20 || c == 0x7F;
    });
}

/// Names of one kind (roles, groups) and where they are.
struct Names {
    std::string_view what;
    std::unordered_map<std::string, std::uint32_t> index;
    std::vector<std::string> list;

    void add(const std::string& name) {
        index.emplace(name, static_cast<std::uint32_t>(list.size()));
        list.push_back(name);
    }
};

class RolesParser {
public:
    RolesParser(const std::string& name, ParsedRoles& out) : out_(out) {
        context_.file = name;
        file_.name = name;
    }

    void run(std::string_view text) {
        if (text.size() > RolesLimits::bytes_max) {
            context_.report("TL-9004", YAML::Mark::null_mark(), "the file is over 32 MiB", "");
        } else if (const auto document = read_yaml(text, context_)) {
            read_file(*document);
        }
        out_.problems = std::move(context_.problems);
        if (out_.problems.empty()) out_.file = std::move(file_);
    }

private:
    void report(std::string rule, const YAML::Mark& mark, std::string message, std::string fix = {}) {
        context_.report(std::move(rule), mark, std::move(message), std::move(fix));
    }

    void read_file(const YAML::Node& document) {
        YamlFields fields(context_, document, "the file");
        if (!fields.is_map()) return;
        const auto version = fields.text("trunkline");
        if (!version || version->value != "1") {
            report("TL-9003", version ? version->mark : fields.mark(), "the version of the file is not 1",
                   "begin it with `trunkline: 1`");
        }
        if (const auto clock = fields.text("clock")) {
            if (clock->value == "utc" || clock->value == "local") {
                clock_ = clock->value == "utc" ? Clock::utc : Clock::local;
            } else {
                report("TL-9003", clock->mark, "clock is neither utc nor local", "write utc or local");
            }
        }
        // Names first: the parts of the file may stand in any order.
        collect(fields.get("roles"), roles_, RolesLimits::roles_max);
        collect(fields.get("groups"), groups_, RolesLimits::groups_max);
        fields.each("roles", [&](const std::string& name, const YAML::Mark& mark, const YAML::Node& node) {
            read_role(name, mark, node);
        });
        fields.each("groups", [&](const std::string& name, const YAML::Mark& mark, const YAML::Node& node) {
            read_group(name, mark, node);
        });
        fields.each("users", [&](const std::string& name, const YAML::Mark& mark, const YAML::Node& node) {
            read_user(name, mark, node);
        });
        file_.everyone = references(fields, "everyone", roles_);
        file_.anonymous = references(fields, "anonymous", roles_);
        fields.finish();
        std::sort(file_.users.begin(), file_.users.end(), [](const User& a, const User& b) { return a.name < b.name; });
    }

    void collect(const YAML::Node* node, Names& names, std::size_t most) {
        if (!node || !node->IsMap()) return;
        for (const auto& pair : *node) {
            if (!pair.first.IsScalar() || names.index.contains(pair.first.Scalar())) continue;
            if (names.list.size() >= most) {
                report("TL-9004", pair.first.Mark(),
                       "more than " + std::to_string(most) + " " + std::string(names.what));
                return;
            }
            names.add(pair.first.Scalar());
        }
    }

    void check_name(const std::string& name, const YAML::Mark& mark) {
        if (!is_name(name)) {
            report("TL-9003", mark, "this name is over 256 bytes or has control characters", "choose another");
        }
    }

    std::vector<std::uint32_t> references(YamlFields& fields, std::string_view key, const Names& names) {
        std::vector<std::uint32_t> found;
        for (const YamlText& name : fields.texts(key)) {
            const auto at = names.index.find(name.value);
            if (at != names.index.end()) {
                found.push_back(at->second);
                continue;
            }
            const std::string near = nearest(name.value, names.list);
            report("TL-9201", name.mark, std::string(names.what) + " have no " + quote(name.value),
                   near.empty() ? "add it, or take it out here" : "did you mean " + quote(near) + "?");
        }
        std::sort(found.begin(), found.end());
        found.erase(std::unique(found.begin(), found.end()), found.end());
        return found;
    }

    std::optional<Template> read_template(const YamlText& text) {
        std::string error;
        auto made = Template::parse(text.value, error);
        if (!made) report("TL-9202", text.mark, error, "");
        return made;
    }

    std::optional<Template> read_client_id(const YamlText& text) {
        if (std::count(text.value.begin(), text.value.end(), '*') > 2 || text.value.empty()) {
            report("TL-9202", text.mark, "a client identifier is no empty text and has at most two *", "");
            return std::nullopt;
        }
        auto id = read_template(text);
        if (id && id->uses(Field::client_id)) {
            report("TL-9202", text.mark, "%c is the client identifier itself",
                   "write %u or a field of the certificate");
        }
        return id;
    }

    void read_role(const std::string& name, const YAML::Mark& mark, const YAML::Node& node) {
        if (file_.roles.size() >= RolesLimits::roles_max) return;
        check_name(name, mark);
        Role role;
        role.name = name;
        role.place = context_.place(mark);
        YamlFields fields(context_, node, "role " + quote(name));
        if (const auto text = fields.text("description")) role.description = text->value;
        if (const auto text = fields.text("client_id")) role.client_id = read_client_id(*text);
        const auto index = static_cast<std::uint32_t>(file_.roles.size());
        file_.roles.push_back(std::move(role));
        if (const YAML::Node* rules = fields.get("rules")) {
            if (!rules->IsSequence()) {
                report("TL-9003", rules->Mark(), "rules of role " + quote(name) + " are no list",
                       "begin each rule with `- `");
            } else {
                for (const auto& rule : *rules) {
                    if (!read_rule(index, rule)) break;
                }
            }
        }
        fields.finish();
    }

    // False when the file has too many.
    bool read_rule(std::uint32_t role, const YAML::Node& node) {
        if (file_.rules.size() >= RolesLimits::rules_max) {
            report("TL-9004", node.Mark(), "more than " + std::to_string(RolesLimits::rules_max) + " rules");
            return false;
        }
        YamlFields fields(context_, node, "a rule of role " + quote(file_.roles[role].name));
        if (!fields.is_map()) return true;
        Rule rule;
        rule.role = role;
        rule.line = static_cast<std::uint32_t>(node.Mark().line + 1);
        rule.place = file_.name + ":" + std::to_string(rule.line);
        read_effect(fields, rule);
        const bool enough = read_topics(fields, rule);
        read_conditions(fields, rule);
        rule.validity = read_validity(fields, true);
        (void)fields.text("description");
        fields.finish();
        describe(rule);
        file_.rules.push_back(std::move(rule));
        return enough;
    }

    void read_effect(YamlFields& fields, Rule& rule) {
        const auto allow = fields.texts("allow");
        const auto deny = fields.texts("deny");
        if (allow.empty() == deny.empty()) {
            report("TL-9204", fields.mark(), allow.empty() ? "this rule neither allows nor denies"
                                                           : "this rule both allows and denies",
                   "write one of `allow: publish` and `deny: publish`; several as [publish, subscribe]");
            return;
        }
        rule.effect = deny.empty() ? Effect::allow : Effect::deny;
        for (const YamlText& text : deny.empty() ? allow : deny) {
            bool known = false;
            for (const Action action : {Action::publish, Action::subscribe, Action::receive, Action::admin}) {
                if (text.value != name_of(action)) continue;
                rule.actions |= bit(action);
                known = true;
            }
            if (text.value == name_of(Action::subscribe)) rule.actions |= bit(Action::receive);
            if (text.value == subscribe_only) {
                rule.actions |= bit(Action::subscribe);
                known = true;
            }
            if (known) continue;
            const std::string near = nearest(text.value, {"publish", "subscribe", "receive", "admin"});
            report(
                "TL-9204", text.mark, quote(text.value) + " is no action",
                near.empty() ? "they are publish, subscribe, receive and admin" : "did you mean " + quote(near) + "?");
        }
        if ((rule.actions & bit(Action::admin)) && rule.actions != bit(Action::admin)) {
            report("TL-9204", fields.mark(), "admin stands alone: its rules are about actions, not topics",
                   "make two rules of this one");
        }
    }

    bool read_topics(YamlFields& fields, Rule& rule) {
        const bool admin = rule.actions == bit(Action::admin);
        std::vector<YamlText> texts = fields.texts("topic");
        for (YamlText& text : fields.texts("topics")) texts.push_back(std::move(text));
        const std::vector<YamlText> actions = fields.texts("actions");
        if (!(admin ? texts : actions).empty()) {
            report("TL-9204", (admin ? texts : actions).front().mark,
                   admin ? "a rule about admin has actions, not topics" : "only a rule about admin has actions",
                   admin ? "write `actions: [\"model/#\"]`" : "write `topic: ...`");
        }
        for (const YamlText& text : admin ? actions : texts) {
            if (++patterns_ > RolesLimits::patterns_max) {
                report("TL-9004", text.mark, "more than " + std::to_string(RolesLimits::patterns_max) + " filters");
                return false;
            }
            std::string error;
            auto pattern = Pattern::parse(text.value, error);
            if (pattern && admin) check_action(*pattern, text);
            if (pattern) rule.topics.push_back(std::move(*pattern));
            else report("TL-9202", text.mark, quote(text.value) + ": " + error, "");
        }
        if ((admin ? actions : texts).empty()) {
            report("TL-9204", fields.mark(), admin ? "this rule names no actions" : "this rule names no topic",
                   admin ? "write `actions: [\"model/#\"]`" : "write `topic: a/b/#`; `topic: \"#\"` for all");
        }
        return true;
    }

    // A typing error in a deny would let through what nobody wants: it is told; another version may know the action.
    void check_action(const Pattern& pattern, const YamlText& text) {
        static const Principal nobody;
        const auto known = admin_action_names();
        if (pattern.per_principal() || std::any_of(known.begin(), known.end(), [&](std::string_view action) {
                return relate(pattern, action, nobody, false) != Relation::apart;
            })) {
            return;
        }
        const std::string near = nearest(text.value, {known.begin(), known.end()});
        out_.warnings.push_back({"TL-9204", context_.place(text.mark),
                                 "administration has no action " + quote(text.value) + ": the rule is about nothing",
                                 near.empty() ? "docs/access.md lists the actions" : "did you mean " + quote(near) +
                                                                                     "?"});
    }

    void read_conditions(YamlFields& fields, Rule& rule) {
        if (const auto text = fields.text("member")) {
            rule.conditions.member = text->value;
            if (text->value != "metric" && text->value != "event" && text->value != "command") {
                report("TL-9204", text->mark, quote(text->value) + " is no kind of member",
                       "write metric, event or command");
            }
        }
        if (const auto text = fields.text("type")) rule.conditions.type = not_empty(*text, "type");
        if (const auto text = fields.text("kind")) rule.conditions.kind = not_empty(*text, "kind");
        if (const auto text = fields.text("branch-owner")) {
            not_empty(*text, "branch-owner");
            rule.conditions.branch_owner = read_template(*text);
        }
        if (!rule.conditions.none() && rule.actions == bit(Action::admin)) {
            report("TL-9204", fields.mark(), "member, type, kind and branch-owner are about topics, not admin actions");
        }
    }

    std::string not_empty(const YamlText& text, std::string_view key) {
        if (text.value.empty()) report("TL-9003", text.mark, std::string(key) + " is empty", "name one, or remove it");
        return text.value;
    }

    Validity read_validity(YamlFields& fields, bool windows) {
        Validity validity;
        validity.clock = clock_;
        const auto time = [&](std::string_view key, std::int64_t& into) {
            const auto text = fields.text(key);
            if (!text) return;
            const auto ms = parse_time(text->value, clock_);
            if (ms) into = *ms;
            else report("TL-9206", text->mark, quote(text->value) + " is no time",
                        "write 2026-01-31, 2026-01-31T06:00 or 2026-01-31T06:00:00Z");
        };
        time("from", validity.from_ms);
        time("until", validity.until_ms);
        if (validity.from_ms >= validity.until_ms) {
            report("TL-9206", fields.mark_of("until"), "until is not after from", "");
        }
        if (!windows) return validity;
        if (const auto days = fields.texts("days"); !days.empty()) {
            validity.days = 0;
            for (const YamlText& text : days) {
                if (const auto bits = parse_days(text.value)) validity.days |= *bits;
                else report("TL-9206", text.mark, quote(text.value) + " is no day", "write mon-fri or [mon, wed]");
            }
        }
        if (const auto hours = fields.text("hours"); hours && !parse_hours(hours->value, validity)) {
            report("TL-9206", hours->mark, quote(hours->value) + " are no hours", "write 06:00-14:00");
        }
        return validity;
    }

    static void describe(Rule& rule) {
        rule.text = rule.effect == Effect::allow ? "allow" : "deny";
        for (const Action action : {Action::publish, Action::subscribe, Action::receive, Action::admin}) {
            const bool both = (rule.actions & bit(Action::subscribe)) && (rule.actions & bit(Action::receive));
            if (!(rule.actions & bit(action)) || (both && action == Action::receive)) continue;
            rule.text += " " + std::string(action == Action::subscribe && !both ? subscribe_only : name_of(action));
        }
        std::size_t shown = 0;
        for (const Pattern& topic : rule.topics) {
            rule.text += shown == 0 ? " " : ", ";
            if (++shown > 4) {
                rule.text += std::to_string(rule.topics.size() - 4) + " more";
                break;
            }
            rule.text += topic.source();
        }
        if (!rule.conditions.member.empty()) rule.text += " member=" + rule.conditions.member;
        if (!rule.conditions.type.empty()) rule.text += " type=" + rule.conditions.type;
        if (!rule.conditions.kind.empty()) rule.text += " kind=" + rule.conditions.kind;
        if (rule.conditions.branch_owner) rule.text += " branch-owner=" + rule.conditions.branch_owner->source();
        const std::string when = rule.validity.describe();
        if (!when.empty()) rule.text += " " + when;
    }

    void read_group(const std::string& name, const YAML::Mark& mark, const YAML::Node& node) {
        check_name(name, mark);
        YamlFields fields(context_, node, "group " + quote(name));
        Group group;
        group.name = name;
        group.roles = references(fields, "roles", roles_);
        (void)fields.text("description");
        fields.finish();
        file_.groups.push_back(std::move(group));
    }

    void read_user(const std::string& name, const YAML::Mark& mark, const YAML::Node& node) {
        if (file_.users.size() >= RolesLimits::users_max) {
            if (file_.users.size() == RolesLimits::users_max && !users_full_) {
                report("TL-9004", mark, "more than " + std::to_string(RolesLimits::users_max) + " users");
                users_full_ = true;
            }
            return;
        }
        check_name(name, mark);
        YamlFields fields(context_, node, "user " + quote(name));
        User user;
        user.name = name;
        user.place = context_.place(mark);
        read_password(fields, name, user);
        if (const auto text = fields.text("scram")) {
            user.scram = read_scram_verifier(text->value);
            if (!user.scram) {
                report("TL-9203", text->mark, "scram of user " + quote(name) + " is no SCRAM-SHA-256 verifier",
                       "write SCRAM-SHA-256$ITERATIONS:SALT$STORED_KEY:SERVER_KEY with 4096 iterations or more");
            }
        }
        if (const YAML::Node* certificate = fields.get("certificate")) read_certificate(*certificate, user);
        user.roles = references(fields, "roles", roles_);
        user.groups = references(fields, "groups", groups_);
        for (const YamlText& text : fields.texts("client_ids")) {
            if (auto id = read_client_id(text)) user.client_ids.push_back(std::move(*id));
        }
        user.validity = read_validity(fields, false);
        user.disabled = fields.boolean("disabled", false);
        (void)fields.text("description");
        fields.finish();
        file_.users.push_back(std::move(user));
    }

    // The value is never shown: it may be a password that somebody wrote in the clear.
    void read_password(YamlFields& fields, const std::string& name, User& user) {
        const auto text = fields.text("password");
        if (!text) return;
        user.password = read_password_hash(text->value);
        if (!user.password) {
            report("TL-9203", text->mark, "password of user " + quote(name) + " is no hash that can be used",
                   "make one with `trunkctl users passwd`; a password in the clear is never accepted");
        } else if (user.password->weak()) {
            out_.warnings.push_back({"TL-9203", context_.place(text->mark),
                                     "user " + quote(name) + " has a password hash of Mosquitto's",
                                     "set the password anew to have it stored as Argon2id"});
        }
    }

    void read_certificate(const YAML::Node& node, User& user) {
        YamlFields fields(context_, node, "certificate of user " + quote(user.name));
        CertificateMatch& match = user.certificate;
        const auto take = [&](std::string_view key, std::string& into) {
            if (const auto text = fields.text(key)) into = not_empty(*text, key);
        };
        take("cn", match.common_name);
        take("o", match.organization);
        take("ou", match.organizational_unit);
        take("dns", match.dns);
        take("email", match.email);
        take("uri", match.uri);
        take("fingerprint", match.fingerprint);
        std::erase(match.fingerprint, ':');
        for (char& c : match.fingerprint) {
            if (c >= 'A' && c <= 'F') c = static_cast<char>(c - 'A' + 'a');
        }
        if (fields.is_map() && match.none()) {
            report("TL-9204", fields.mark(), "certificate of user " + quote(user.name) + " names nothing",
                   "write {cn: ...}, {dns: ...}, {email: ...}, {uri: ...} or {fingerprint: ...}");
        }
        fields.finish();
        const std::string key = match.common_name + '\0' + match.organization + '\0' + match.organizational_unit +
                                '\0' + match.dns + '\0' + match.email + '\0' + match.uri + '\0' + match.fingerprint;
        const auto [at, fresh] = certificates_.emplace(key, user.name);
        if (!fresh && !match.none()) {
            report("TL-9205", fields.mark(), "users " + quote(at->second) + " and " + quote(user.name) +
                   " have the same certificate", "one certificate is one user");
        }
    }

    ParsedRoles& out_;
    YamlContext context_;
    RolesFile file_;
    Clock clock_ = Clock::local;
    Names roles_{"roles", {}, {}};
    Names groups_{"groups", {}, {}};
    std::unordered_map<std::string, std::string> certificates_;
    std::size_t patterns_ = 0;
    bool users_full_ = false;
};

}  // namespace

bool CertificateMatch::none() const { return *this == CertificateMatch(); }

bool CertificateMatch::fits(const CertificateFields& certificate) const {
    const auto equal = [](const std::string& want, const std::string& have) { return want.empty() || want == have; };
    const auto among = [](const std::string& want, const std::vector<std::string>& have) {
        return want.empty() || std::find(have.begin(), have.end(), want) != have.end();
    };
    return !none() && equal(common_name, certificate.common_name) && equal(organization, certificate.organization) &&
           equal(organizational_unit, certificate.organizational_unit) && equal(fingerprint, certificate.fingerprint) &&
           among(dns, certificate.dns) && among(email, certificate.email) && among(uri, certificate.uri);
}

ParsedRoles parse_roles(std::string_view text, const std::string& name) {
    ParsedRoles out;
    RolesParser(name, out).run(text);
    return out;
}

}  // namespace trunkline::auth
