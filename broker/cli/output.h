// How trunkctl shows things: tables for people, JSON and YAML for programs.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

namespace trunkline::cli {

using Json = nlohmann::ordered_json;

enum class Format { table, json, yaml, jsonl };

class Output {
public:
    Output(Format format, bool colour_wanted);

    [[nodiscard]] Format format() const { return format_; }
    [[nodiscard]] bool terminal() const { return terminal_; }
    /// Columns of the terminal; 0: not a terminal, nothing is cut.
    [[nodiscard]] std::size_t width() const { return width_; }

    /// A value in the chosen format (not table). An array is one line an element in jsonl.
    void value(const Json& json) const;
    /// Rows under headings; on a terminal the widest columns are cut until a row fits.
    void table(const std::vector<std::string>& headings, std::vector<std::vector<std::string>> rows) const;
    /// `code` is an ANSI colour such as "32"; plain where colour is off.
    [[nodiscard]] std::string colour(std::string_view code, std::string_view text) const;

private:
    Format format_;
    bool terminal_;
    bool colour_;
    std::size_t width_;
};

/// Outside text must not steer the terminal: control characters become '?', newlines and tabs a space unless `lines`.
[[nodiscard]] std::string printable(std::string_view text, bool lines = false);
/// Columns that UTF-8 text takes (one a character), and the text cut to at most `columns`, ending in an ellipsis.
[[nodiscard]] std::size_t columns_of(std::string_view text);
[[nodiscard]] std::string cut(std::string_view text, std::size_t columns);

[[nodiscard]] std::string to_yaml(const Json& json);
[[nodiscard]] std::string bytes_text(std::uint64_t bytes);      ///< "12.3 MiB"
[[nodiscard]] std::string duration_text(std::int64_t seconds);  ///< "3d 4h", "2m 5s"
[[nodiscard]] std::string number_text(double number);           ///< "12,345"

}  // namespace trunkline::cli
