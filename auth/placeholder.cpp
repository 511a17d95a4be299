#include "auth/placeholder.h"

#include <array>

#include "auth/nearest.h"

namespace trunkline::auth {
namespace {

constexpr std::array<std::string_view, 9> field_names = {"c", "u", "cn", "o", "ou", "serial", "dns", "email", "san"};

// Calls `use` with each value that is not empty until it returns true; whether it did.
template <class Use>
bool any_value(Field field, const Principal& principal, const Use& use) {
    const CertificateFields& certificate = principal.certificate;
    const auto one = [&](const std::string& value) { return !value.empty() && use(std::string_view(value)); };
    const auto any = [&](const std::vector<std::string>& list) {
        for (const std::string& value : list) {
            if (one(value)) return true;
        }
        return false;
    };
    switch (field) {
        case Field::client_id: return one(principal.client_id);
        case Field::user: return one(principal.user);
        case Field::common_name: return one(certificate.common_name);
        case Field::organization: return one(certificate.organization);
        case Field::organizational_unit: return one(certificate.organizational_unit);
        case Field::serial: return one(certificate.serial);
        case Field::dns: return any(certificate.dns);
        case Field::email: return any(certificate.email);
        case Field::san:
            return any(certificate.dns) || any(certificate.email) || any(certificate.uri) || any(certificate.ip);
    }
    return false;
}

std::optional<Field> field_of(std::string_view word) {
    for (std::size_t i = 0; i < field_names.size(); ++i) {
        if (field_names[i] == word) return static_cast<Field>(i);
    }
    return std::nullopt;
}

std::string unknown_placeholder(std::string_view word) {
    const std::string near = nearest(word, std::vector<std::string>(field_names.begin(), field_names.end()));
    std::string message = "%" + std::string(word) + " is no placeholder";
    message += near.empty() ? "; they are" : "; did you mean %" + near + "? They are";
    for (const std::string_view name : field_names) message += " %" + std::string(name);
    return message + "; %{c} where letters follow, %% for a percent sign";
}

}  // namespace

std::string_view name_of(Field field) { return field_names[static_cast<std::size_t>(field)]; }

std::optional<Template> Template::parse(std::string_view text, std::string& error) {
    Template made;
    made.source_ = text;
    const auto add_text = [&](char c) {
        if (made.parts_.empty() || made.parts_.back().field) made.parts_.push_back({});
        made.parts_.back().text += c;
    };
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] != '%') {
            add_text(text[i]);
            continue;
        }
        std::string_view rest = text.substr(i + 1);
        if (rest.starts_with('%')) {
            add_text('%');
            ++i;
            continue;
        }
        const bool braces = rest.starts_with('{');
        const std::size_t end = braces ? rest.find('}') : rest.find_first_not_of("abcdefghijklmnopqrstuvwxyz");
        if (braces && end == std::string_view::npos) {
            error = "%{ has no closing brace";
            return std::nullopt;
        }
        const std::string_view word = braces ? rest.substr(1, end - 1) : rest.substr(0, end);
        const std::optional<Field> field = field_of(word);
        if (!field) {
            error = unknown_placeholder(word);
            return std::nullopt;
        }
        made.parts_.push_back({{}, field});
        made.literal_ = false;
        i += braces ? end + 1 : word.size();
    }
    if (made.literal_ && !made.parts_.empty()) made.plain_ = made.parts_.front().text;
    return made;
}

bool Template::uses(Field field) const {
    for (const Part& part : parts_) {
        if (part.field == field) return true;
    }
    return false;
}

// One comparison: tries each value of each field, remembers why nothing fitted.
struct Template::Match {
    const Template& self;
    const Principal& principal;
    bool level, first, glob;
    bool absent = false, usable = true;

    [[nodiscard]] bool breaks_level(std::string_view value, bool at_start) const {
        if (!level) return false;
        return value.find_first_of(std::string_view("/+#\0", 4)) != std::string_view::npos ||
               (first && at_start && value.front() == '$');
    }

    void survey() {
        for (std::size_t i = 0; i < self.parts_.size(); ++i) {
            if (!self.parts_[i].field) continue;
            bool any = false;
            const bool good = any_value(*self.parts_[i].field, principal, [&](std::string_view value) {
                any = true;
                return !breaks_level(value, i == 0);
            });
            if (!any) absent = true;
            if (any && !good) usable = false;
        }
    }

    // A `*` in the text of a part stands for anything, with `glob`.
    [[nodiscard]] bool text_from(std::string_view part, std::string_view rest, std::size_t next) const {
        const std::size_t star = glob ? part.find('*') : std::string_view::npos;
        const std::string_view head = part.substr(0, star);
        if (!rest.starts_with(head)) return false;
        rest.remove_prefix(head.size());
        if (star == std::string_view::npos) return from(next, rest);
        part.remove_prefix(star + 1);
        for (std::size_t skip = 0; skip <= rest.size(); ++skip) {
            if (text_from(part, rest.substr(skip), next)) return true;
        }
        return false;
    }

    [[nodiscard]] bool from(std::size_t part, std::string_view rest) const {
        if (part == self.parts_.size()) return rest.empty();
        const Part& now = self.parts_[part];
        if (!now.field) return text_from(now.text, rest, part + 1);
        return any_value(*now.field, principal, [&](std::string_view value) {
            return !breaks_level(value, part == 0) && rest.starts_with(value) &&
                   from(part + 1, rest.substr(value.size()));
        });
    }

    [[nodiscard]] TextMatch run(std::string_view text) {
        survey();
        if (absent) return TextMatch::absent;
        if (!usable) return TextMatch::unusable;
        return from(0, text) ? TextMatch::yes : TextMatch::no;
    }
};

TextMatch Template::match_level(std::string_view level, bool first, const Principal& principal) const {
    return Match{*this, principal, true, first, false}.run(level);
}

TextMatch Template::match_text(std::string_view text, bool glob, const Principal& principal) const {
    return Match{*this, principal, false, false, glob}.run(text);
}

}  // namespace trunkline::auth
