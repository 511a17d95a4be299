#include "namespace/payload/pattern.h"

#include <re2/re2.h>

#include <optional>

#include "namespace/payload/limits.h"
#include "namespace/payload/text.h"

namespace trunkline::uns {

namespace {

bool is_hex(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }

/// ECMA 262 to RE2: the same language, or an error. What both read alike is copied.
class EcmaTranslator {
public:
    explicit EcmaTranslator(std::string_view source) : rest_(source) {}

    /// Nothing on success, and then `result` is the expression for RE2.
    std::optional<Pattern::Error> run(std::string& result) {
        while (!rest_.empty() && !error_) step();
        if (!error_ && in_class_) fail("a [ that is not closed", "close it with ]");
        result = std::move(out_);
        return error_;
    }

private:
    void fail(std::string message, std::string mend) {
        if (!error_) error_ = Pattern::Error{std::move(message), std::move(mend)};
    }

    char take() {
        const char c = rest_.front();
        rest_.remove_prefix(1);
        return c;
    }

    void step() {
        const char c = take();
        if (c == '\\') {
            escape();
        } else if (in_class_) {
            in_class(c);
        } else if (c == '[') {
            open_class();
        } else if (c == '.') {
            out_ += R"([^\n\r\x{2028}\x{2029}])";
        } else if (c == '(' && rest_.starts_with("?") && !rest_.starts_with("?:")) {
            fail("(" + std::string(rest_.substr(0, 2)) + ": look-around, named groups and flags",
                 "use (?:...) or plain groups; what can't be said so needs two patterns in allOf");
        } else {
            out_ += c;
        }
    }

    void open_class() {
        in_class_ = true;
        out_ += '[';
        if (rest_.starts_with("^")) out_ += take();
        if (rest_.starts_with("]")) fail("an empty character class", "name the characters");
    }

    void in_class(char c) {
        if (c == ']') in_class_ = false;
        if (c == '[') out_ += '\\';    // RE2 reads [:alpha:] within a class as a class of its own
        out_ += c;
    }

    void escape() {
        if (rest_.empty()) return fail("a backslash at the end", "write \\\\ for a backslash");
        const char c = take();
        const auto byte = static_cast<unsigned char>(c);
        if (c == 's' || c == 'S') return space(c == 'S');
        if (c == 'd' || c == 'D' || c == 'w' || c == 'W' || c == 'n' || c == 'r' || c == 't' || c == 'f' || c == 'v') {
            out_ += '\\';
            out_ += c;
        } else if (c == 'b' || c == 'B') {
            boundary(c);
        } else if (c == 'u' || c == 'x') {
            code_point(c == 'u' ? 4 : 2);
        } else if (c == '0' && (rest_.empty() || rest_[0] < '0' || rest_[0] > '9')) {
            out_ += "\\x00";
        } else if (c == 'p' || c == 'P') {
            out_ += '\\';
            out_ += c;
            if (!rest_.starts_with("{")) fail("\\p without braces", "write \\p{L}");
        } else if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) {
            fail(std::string("\\") + c + ": a back reference or an escape that does not exist",
                 "write out what it should match");
        } else if (byte >= 0x80) {
            fail("a backslash before a character that is not ASCII", "leave the backslash out");
        } else {
            out_ += '\\';
            out_ += c;
        }
    }

    void boundary(char c) {
        if (!in_class_) {
            out_ += '\\';
            out_ += c;
        } else if (c == 'b') {
            out_ += "\\x08";
        } else {
            fail("\\B within a character class", "leave it out");
        }
    }

    /// White space of ECMA 262, which is more than RE2's.
    void space(bool negated) {
        static constexpr std::string_view members =
            R"(\t\n\v\f\r \x{A0}\x{1680}\x{2000}-\x{200A}\x{2028}\x{2029}\x{202F}\x{205F}\x{3000}\x{FEFF})";
        if (in_class_ && negated) return fail("\\S within a character class", "write (?:\\S|...) instead");
        if (!in_class_) out_ += negated ? "[^" : "[";
        out_ += members;
        if (!in_class_) out_ += ']';
    }

    void code_point(std::size_t digits) {
        if (digits == 4 && rest_.starts_with("{")) return fail("\\u{...}", "write \\uXXXX");
        if (rest_.size() < digits) return fail("an unfinished escape", "write \\uXXXX or \\xXX");
        for (std::size_t i = 0; i < digits; ++i) {
            if (!is_hex(rest_[i])) return fail("an unfinished escape", "write \\uXXXX or \\xXX");
        }
        if (digits == 4 && (rest_[0] == 'd' || rest_[0] == 'D') && rest_[1] >= '8') {
            return fail("half of a surrogate pair", "write the character itself");
        }
        out_ += "\\x{";
        out_ += rest_.substr(0, digits);
        out_ += '}';
        rest_.remove_prefix(digits);
    }

    std::string_view rest_;
    std::string out_;
    bool in_class_ = false;
    std::optional<Pattern::Error> error_;
};

}  // namespace

Pattern::Pattern(std::string source, Reach reach, std::unique_ptr<const re2::RE2> compiled)
    : source_(std::move(source)), reach_(reach), compiled_(std::move(compiled)) {}
Pattern::Pattern(Pattern&&) noexcept = default;
Pattern& Pattern::operator=(Pattern&&) noexcept = default;
Pattern::~Pattern() = default;

std::variant<Pattern, Pattern::Error> Pattern::compile(std::string_view source, Reach reach, Dialect dialect) {
    if (source.size() > payload_limits::pattern_bytes_max) {
        return Error{"the pattern is longer than " + std::to_string(payload_limits::pattern_bytes_max) + " bytes",
                     "shorten it, or use enum"};
    }
    std::string expression(source);
    if (dialect == Dialect::ecma) {
        if (auto error = EcmaTranslator(source).run(expression)) {
            error->message = in_quotes(source) + " can't be used: " + error->message;
            return *error;
        }
    }
    re2::RE2::Options options;
    options.set_log_errors(false);
    options.set_max_mem(payload_limits::pattern_memory);
    options.set_never_capture(true);
    auto compiled = std::make_unique<const re2::RE2>(expression, options);
    if (!compiled->ok()) {
        return Error{in_quotes(source) + " is no regular expression of linear time: " + escaped(compiled->error(), 200),
                     "use RE2 syntax: no look-around, no back references, repetitions up to 1000"};
    }
    return Pattern(std::string(source), reach, std::move(compiled));
}

bool Pattern::matches(std::string_view text) const {
    const re2::StringPiece piece(text.data(), text.size());
    return reach_ == Reach::whole ? re2::RE2::FullMatch(piece, *compiled_) : re2::RE2::PartialMatch(piece, *compiled_);
}

}  // namespace trunkline::uns
