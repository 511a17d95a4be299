#include "namespace/payload/json_scan.h"

#include <cstdint>
#include <vector>

#include "namespace/payload/limits.h"
#include "namespace/payload/plain_text.h"
#include "namespace/payload/rules.h"
#include "namespace/payload/text.h"
#include "namespace/payload/violations.h"

namespace trunkline::uns {

namespace {

/// A fault carries what is wrong; the scanner adds where.
struct Fault {
    std::string_view rule = rule::not_json;
    std::string text, expected, fix;
};

class Scanner {
public:
    explicit Scanner(std::string_view text) : text_(text) {}

    std::optional<Violation> run() {
        if (auto fault = scan()) {
            std::string at;
            for (const Frame& frame : frames_) append_token(at, frame.object ? frame.key : std::to_string(frame.index));
            return make_violation(fault->rule, std::move(at), fault->text + place(), std::move(fault->expected),
                                  std::move(fault->fix));
        }
        return std::nullopt;
    }

private:
    struct Frame {
        bool object = false;
        std::size_t index = 0;
        std::string key;
    };
    using Result = std::optional<Fault>;

    /// One value after the other; the stack of open arrays and objects is frames_, so that depth is no recursion.
    Result scan() {
        if (text_.starts_with("\xEF\xBB\xBF")) {
            return Fault{rule::not_json, "the payload starts with a byte order mark", "JSON", "send UTF-8 without BOM"};
        }
        skip_space();
        if (at_ == text_.size()) return syntax("there is only white space", "a JSON value", "send a value");
        for (;;) {
            bool opened = false;
            if (Result fault = value(opened)) return fault;
            if (opened) continue;
            bool done = false;
            if (Result fault = after_value(done)) return fault;
            if (done) break;
        }
        if (at_ < text_.size()) {
            return syntax("there is more after the end of the JSON value", "the end",
                          "send one JSON value in a message");
        }
        return std::nullopt;
    }

    /// A scalar, or the start of an array or object: then `opened` says that a value is due.
    Result value(bool& opened) {
        const char c = peek();
        if (c == '{' || c == '[') return open(c == '{', opened);
        if (c == '"') return string(nullptr);
        if (c == '-' || (c >= '0' && c <= '9')) return number();
        for (const std::string_view word : {"true", "false", "null"}) {
            if (!text_.substr(at_).starts_with(word)) continue;
            at_ += word.size();
            if (at_ < text_.size() && is_word(text_[at_])) break;
            return std::nullopt;
        }
        return no_value();
    }

    Result open(bool object, bool& opened) {
        if (frames_.size() >= payload_limits::depth_max) {
            return Fault{rule::too_deep, "arrays and objects are nested deeper than 64 levels", "at most 64 levels",
                         "flatten the payload"};
        }
        frames_.push_back({object, 0, {}});
        ++at_;
        skip_space();
        if (peek() == (object ? '}' : ']') && at_ < text_.size()) {
            frames_.pop_back();
            ++at_;
            return std::nullopt;
        }
        opened = true;
        return object ? key() : std::nullopt;
    }

    /// Commas, and the ends of arrays and objects. `done` when the whole value has ended.
    Result after_value(bool& done) {
        for (;;) {
            skip_space();
            if (frames_.empty()) {
                done = true;
                return std::nullopt;
            }
            Frame& frame = frames_.back();
            const char end = frame.object ? '}' : ']';
            if (at_ == text_.size()) return unfinished();
            if (text_[at_] == end) {
                ++at_;
                frames_.pop_back();
                continue;
            }
            if (text_[at_] != ',') {
                return syntax(std::string("there is no comma or ") + end + " after a value",
                              std::string("a comma or ") + end, "separate the members by commas");
            }
            ++at_;
            skip_space();
            if (at_ < text_.size() && text_[at_] == end) {
                return syntax("there is a comma after the last member", "a member", "leave the comma out");
            }
            ++frame.index;
            return frame.object ? key() : std::nullopt;
        }
    }

    Result key() {
        if (at_ == text_.size()) return unfinished();
        if (text_[at_] != '"') {
            return syntax("a member's name is not in double quotes", "a name in double quotes",
                          "write names as \"name\"");
        }
        std::string& name = frames_.back().key;
        name.clear();
        if (Result fault = string(&name)) return fault;
        skip_space();
        if (at_ == text_.size()) return unfinished();
        if (text_[at_] != ':') return syntax("there is no colon after a name", "a colon", "write \"name\": value");
        ++at_;
        skip_space();
        return std::nullopt;
    }

    /// A string; its text goes to `name` as it is written, which does for showing it.
    Result string(std::string* name) {
        const std::size_t start = at_++;
        for (;;) {
            if (at_ == text_.size()) {
                at_ = start;
                return syntax("a string is not closed", "a closing quote",
                              "send the whole payload; escape quotes as \\\"");
            }
            const auto c = static_cast<unsigned char>(text_[at_]);
            if (c == '"') break;
            if (c < 0x20) {
                return syntax("a string holds a control character", "an escape such as \\n",
                              "escape line breaks, tabs and other control characters");
            }
            if (c == '\\') {
                if (Result fault = escape()) return fault;
            } else {
                ++at_;
            }
        }
        if (name) *name = text_.substr(start + 1, at_ - start - 1);
        ++at_;
        return std::nullopt;
    }

    Result escape() {
        const char c = at_ + 1 < text_.size() ? text_[at_ + 1] : '\0';
        if (c == 'u') return code_point();
        if (std::string_view("\"\\/bfnrt").find(c) == std::string_view::npos || c == '\0') {
            return syntax("a string holds an escape that JSON does not have", "\\\", \\\\, \\n, \\uXXXX ...",
                          "write a backslash as \\\\");
        }
        at_ += 2;
        return std::nullopt;
    }

    /// The four digits of \uXXXX at `from`, or -1.
    [[nodiscard]] int hex4(std::size_t from) const {
        if (from + 6 > text_.size() || text_[from] != '\\' || text_[from + 1] != 'u') return -1;
        int code = 0;
        for (std::size_t i = from + 2; i < from + 6; ++i) {
            const char c = text_[i];
            const int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10
                            : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
            if (digit < 0) return -1;
            code = code * 16 + digit;
        }
        return code;
    }

    Result code_point() {
        const int code = hex4(at_);
        if (code < 0) return syntax("\\u is not followed by four digits", "\\uXXXX", "write four hexadecimal digits");
        if (code < 0xD800 || code > 0xDFFF) {
            at_ += 6;
            return std::nullopt;
        }
        const int low = code < 0xDC00 ? hex4(at_ + 6) : -1;
        if (low < 0xDC00 || low > 0xDFFF) {
            return Fault{rule::not_utf8, "a string holds half of a surrogate pair", "both halves, or the character",
                         "send the character as UTF-8"};
        }
        at_ += 12;
        return std::nullopt;
    }

    Result number() {
        std::size_t end = at_;
        while (end < text_.size() && (is_word(text_[end]) || text_[end] == '.' || text_[end] == '+')) ++end;
        const std::string_view written = text_.substr(at_, end - at_);
        if (!parse_json_number(written)) return bad_number(written);
        at_ = end;
        return std::nullopt;
    }

    Result bad_number(std::string_view written) {
        if (written.find_first_not_of("0123456789", written[0] == '-') == std::string_view::npos &&
            written.size() > 15 && (written[0] != '0' && !written.starts_with("-0"))) {
            return Fault{rule::number_range, "integer " + escaped(written, 32) + " does not fit 64 bits",
                         "an integer of at most 64 bits", "write it with an exponent, or as a string"};
        }
        const std::size_t exponent = written.find_first_of("eE");
        if (exponent != std::string_view::npos && parse_json_number(std::string(written.substr(0, exponent)) + "e0") &&
            is_exponent(written.substr(exponent + 1))) {
            return Fault{rule::number_range, "number " + escaped(written, 32) + " does not fit a double",
                         "a number up to 1.8e308", "send a number that exists; for no value send quality bad"};
        }
        if (written.size() > 300 && written.find('.') != std::string_view::npos &&
            written.find_first_not_of("0123456789.-") == std::string_view::npos) {
            return Fault{rule::number_range, "number " + escaped(written, 32) + " does not fit a double",
                         "a number up to 1.8e308", "send fewer digits"};
        }
        return syntax(in_quotes(written, 32) + " is no number of JSON", "a number such as -12.5 or 1e-3",
                      "no leading zeros, digits on both sides of the point, no hexadecimal, no NaN or Infinity");
    }

    [[nodiscard]] static bool is_exponent(std::string_view text) {
        if (!text.empty() && (text[0] == '+' || text[0] == '-')) text.remove_prefix(1);
        return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
    }

    Result no_value() {
        const char c = peek();
        if (at_ == text_.size()) return unfinished();
        std::size_t end = at_;
        while (end < text_.size() && is_word(text_[end])) ++end;
        const std::string_view word = text_.substr(at_, end - at_);
        if (c == '\'') return syntax("there are single quotes", "double quotes", "write strings as \"text\"");
        if (word == "NaN" || word == "nan" || word == "Infinity" || word == "inf") {
            return syntax(std::string(word) + " is no value of JSON", "a number",
                          "send the last value with quality bad, or no message");
        }
        if (word == "True" || word == "False" || word == "None" || word == "TRUE" || word == "FALSE") {
            return syntax(std::string(word) + " is no value of JSON", "true, false or null", "write it in lower case");
        }
        if (c == '+' || c == '.') return syntax("a number starts with + or a point", "a number such as 0.5",
                                                "write 0.5 for .5, and 5 for +5");
        if (!word.empty()) return syntax("text without quotes: " + escaped(word, 32), "a value",
                                         "put text in double quotes, or declare the payload as plain");
        return syntax("there is no value", "a value", "write a value here");
    }

    Result unfinished() const {
        return Fault{rule::not_json, "the payload ends in the middle", "the rest of the JSON value",
                     "send all of it; look for a buffer that is too short"};
    }

    static Result syntax(std::string text, std::string expected, std::string fix) {
        return Fault{rule::not_json, std::move(text), std::move(expected), std::move(fix)};
    }

    [[nodiscard]] static bool is_word(char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' ||
               static_cast<unsigned char>(c) >= 0x80;
    }
    [[nodiscard]] char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
    void skip_space() {
        while (at_ < text_.size() && std::string_view(" \t\n\r").find(text_[at_]) != std::string_view::npos) ++at_;
    }

    /// " (line 2, column 14)"; for one line only the column.
    [[nodiscard]] std::string place() const {
        std::size_t line = 1, start = 0;
        for (std::size_t i = 0; i < at_; ++i) {
            if (text_[i] == '\n') {
                ++line;
                start = i + 1;
            }
        }
        const std::string column = "column " + std::to_string(at_ - start + 1);
        return line == 1 ? " (" + column + ")" : " (line " + std::to_string(line) + ", " + column + ")";
    }

    std::string_view text_;
    std::size_t at_ = 0;
    std::vector<Frame> frames_;
};

/// Bytes of the character that starts at `at`, or 0 when it is none: RFC 3629, section 4.
std::size_t character_bytes(std::string_view text, std::size_t at) {
    const auto byte = [&](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u; };
    const auto follows = [&](std::size_t i, unsigned low = 0x80, unsigned high = 0xBF) {
        return byte(i) >= low && byte(i) <= high;
    };
    const unsigned first = byte(at);
    if (first < 0x80) return 1;
    if (first >= 0xC2 && first <= 0xDF) return follows(at + 1) ? 2 : 0;
    if (first >= 0xE0 && first <= 0xEF) {
        const bool second = follows(at + 1, first == 0xE0 ? 0xA0 : 0x80, first == 0xED ? 0x9F : 0xBF);
        return second && follows(at + 2) ? 3 : 0;
    }
    if (first >= 0xF0 && first <= 0xF4) {
        const bool second = follows(at + 1, first == 0xF0 ? 0x90 : 0x80, first == 0xF4 ? 0x8F : 0xBF);
        return second && follows(at + 2) && follows(at + 3) ? 4 : 0;
    }
    return 0;
}

}  // namespace

std::size_t valid_utf8_bytes(std::string_view text) {
    std::size_t at = 0;
    while (at < text.size()) {
        const std::size_t bytes = character_bytes(text, at);
        if (bytes == 0) break;
        at += bytes;
    }
    return at;
}

std::optional<Violation> find_json_fault(std::string_view text) {
    if (text.empty()) return empty_violation();
    const std::size_t valid = valid_utf8_bytes(text);
    if (valid < text.size()) {
        return make_violation(rule::not_utf8, "", "byte " + std::to_string(valid + 1) + " of the payload is not UTF-8",
                              "UTF-8", "encode the text as UTF-8, or declare the topic's payload as any");
    }
    return Scanner(text).run();
}

}  // namespace trunkline::uns
