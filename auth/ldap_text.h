// Names and filters of a directory as text: what of a user goes into them, and how two names are compared. Pure
// functions.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace trunkline::auth {

/// A value inside a distinguished name, so that it is nothing but a value (RFC 4514, section 2.4).
[[nodiscard]] std::string escape_dn_value(std::string_view value);
/// A value inside a filter, so that it is nothing but a value (RFC 4515, section 3).
[[nodiscard]] std::string escape_filter_value(std::string_view value);

/// What a template may have in it: `%u`, the user name, `%d`, a distinguished name, `%%`, a percent sign.
struct LdapValues {
    std::string_view user;
    std::string_view dn;
};
/// Fills a template of a distinguished name. `%d` stays out of it.
[[nodiscard]] std::string fill_dn(std::string_view text, const LdapValues& values);
/// Fills a template of a filter.
[[nodiscard]] std::string fill_filter(std::string_view text, const LdapValues& values);
/// What is wrong with a template in which only the letters of `allowed` may follow a percent sign; "" when nothing is.
[[nodiscard]] std::string check_template(std::string_view text, std::string_view allowed);

/// A distinguished name in a form in which equal names are equal text: types and ASCII letters in lower case, blanks
/// around separators gone, several blanks as one, escapes in one way. Values that only a schema can compare (numbers,
/// other scripts' letters) are compared byte by byte. nullopt: it is none.
[[nodiscard]] std::optional<std::string> normal_dn(std::string_view dn);
/// The value of its first part, in the same form: "operators" of "CN=Operators,OU=Groups,DC=acme". nullopt: it is none.
[[nodiscard]] std::optional<std::string> first_value(std::string_view dn);
/// A single value in that form.
[[nodiscard]] std::string normal_value(std::string_view value);

/// The attribute that a template compares with the user name, `uid` of "uid=%u,ou=people" or "(&(uid=%u)(x=y))"; ""
/// when there is none or it is not clear which.
[[nodiscard]] std::string attribute_of_user(std::string_view text);

}  // namespace trunkline::auth
