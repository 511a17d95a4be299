// Texts about payloads: short, valid UTF-8, without control characters, whatever the payload holds.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "namespace/payload/datum.h"

namespace trunkline::uns {

/// The shortest decimal text that reads back as the same number: 131.4, 120, 1e+300.
[[nodiscard]] std::string text_of(const Number& number);
[[nodiscard]] std::string text_of(double number);

/// `text`, which is UTF-8, cut to `bytes_max` bytes at a character, an ellipsis after it when it was longer; control
/// characters, quotes and backslashes as JSON escapes.
[[nodiscard]] std::string escaped(std::string_view text, std::size_t bytes_max = 48);
/// The same, within quotes.
[[nodiscard]] std::string in_quotes(std::string_view text, std::size_t bytes_max = 48);

/// As a person would read it: 131.4, "idle", true, null, an object, an array.
[[nodiscard]] std::string shown(const Datum& datum);

/// Appends `/token` to a JSON pointer (RFC 6901), with its escapes; a long token is cut.
void append_token(std::string& pointer, std::string_view token);

/// Characters (code points) of valid UTF-8.
[[nodiscard]] std::size_t code_points(std::string_view text);

/// The candidate that `name` most likely was meant to be: equal but for case and separators, or at most two letters
/// away (one, for names of up to four). Empty when there is none.
[[nodiscard]] std::string_view nearest(std::string_view name, std::span<const std::string_view> candidates);

/// "a, b or c", at most `shown_max` of them.
[[nodiscard]] std::string alternatives(std::span<const std::string> words, std::size_t shown_max = 8);

}  // namespace trunkline::uns
