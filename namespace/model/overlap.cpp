// Whether two regular expressions share a text: both as automata over code points, and a search through their product.
#include <algorithm>
#include <charconv>
#include <unordered_map>
#include <utility>
#include <vector>

#include "namespace/model/level_pattern.h"
#include "namespace/model/text.h"

namespace trunkline::uns {
namespace {

constexpr std::uint32_t code_point_max = 0x10FFFF;
constexpr std::size_t states_max = 20'000;
constexpr int depth_max = 200;
constexpr int repeat_max = 1000;

using Range = std::pair<std::uint32_t, std::uint32_t>;
using Set = std::vector<Range>;  // sorted, disjoint

Set normalised(Set set) {
    std::sort(set.begin(), set.end());
    Set out;
    for (const Range& range : set) {
        if (!out.empty() && range.first <= out.back().second + 1) {
            out.back().second = std::max(out.back().second, range.second);
        } else {
            out.push_back(range);
        }
    }
    return out;
}

Set complement(const Set& set) {
    Set out;
    std::uint32_t next = 0;
    for (const auto& [from, to] : set) {
        if (from > next) out.emplace_back(next, from - 1);
        next = to + 1;
    }
    if (next <= code_point_max) out.emplace_back(next, code_point_max);
    return out;
}

const Set any{{0, code_point_max}};

// One state: leaves by a set of code points to `next`, or for nothing to `next` and `other`.
struct State {
    Set set;
    int next = -1, other = -1;
};

// Thompson's construction. What is not understood becomes wider, never narrower: `exact` then is false.
class Automaton {
public:
    explicit Automaton(std::string_view text) : text_(text) {
        start_ = fresh();
        const int end = alternatives(start_, 0);
        accept_ = end;
        if (at_ < text_.size()) widen();
    }
    [[nodiscard]] bool ok() const { return !gave_up_; }
    [[nodiscard]] bool exact() const { return exact_; }
    [[nodiscard]] int start() const { return start_; }
    [[nodiscard]] int accept() const { return accept_; }
    [[nodiscard]] const State& state(int index) const { return states_[static_cast<std::size_t>(index)]; }
    [[nodiscard]] int count() const { return static_cast<int>(states_.size()); }

private:
    int fresh() {
        if (states_.size() >= states_max) gave_up_ = true;
        if (!gave_up_ || states_.empty()) states_.emplace_back();
        return static_cast<int>(states_.size()) - 1;
    }
    State& at(int index) { return states_[static_cast<std::size_t>(index)]; }
    void widen() {
        gave_up_ = true;
        exact_ = false;
    }
    void link(int from, int to) {
        State& state = at(from);
        if (state.next < 0) {
            state.next = to;
        } else if (state.other < 0 && state.set.empty()) {
            state.other = to;
        } else {
            widen();
        }
    }
    int step(int from, Set set) {
        const int to = fresh();
        if (gave_up_) return to;
        const int middle = fresh();
        if (gave_up_) return to;
        link(from, middle);
        at(middle).set = std::move(set);
        at(middle).next = to;
        return to;
    }
    [[nodiscard]] bool more() const { return at_ < text_.size() && !gave_up_; }
    [[nodiscard]] char peek() const { return text_[at_]; }
    bool take(std::string_view what) {
        if (text_.substr(at_, what.size()) != what) return false;
        at_ += what.size();
        return true;
    }

    // Reads alternatives from state `from`; returns the state after them.
    int alternatives(int from, int depth) {
        if (depth > depth_max) {
            widen();
            return from;
        }
        const int end = fresh();
        int fork = from;
        for (bool again = true; again && !gave_up_;) {
            const int begin = fresh();
            link(fork, begin);
            link(sequence(begin, depth), end);
            again = more() && peek() == '|';
            if (!again) break;
            ++at_;
            const int next = fresh();
            link(fork, next);
            fork = next;
        }
        return end;
    }

    int sequence(int from, int depth) {
        while (more() && peek() != '|' && peek() != ')') from = repeated(from, depth);
        return from;
    }

    int repeated(int from, int depth) {
        const std::size_t start = at_;
        const int begin = fresh();
        link(from, begin);
        int end = atom(begin, depth);
        int least = 0, most = -1;
        if (more() && quantifier(least, most)) {
            const std::size_t after = at_;
            end = count_out(begin, end, start, least, most, depth);
            at_ = after;
            if (more() && quantifier(least, most)) widen();  // a repetition of a repetition
        }
        const int out = fresh();
        link(end, out);
        return out;
    }

    bool quantifier(int& least, int& most) {
        if (take("*")) {
            least = 0;
        } else if (take("+")) {
            least = 1;
        } else if (take("?")) {
            least = 0;
            most = 1;
        } else if (peek() == '{') {
            const std::size_t close = text_.find('}', at_);
            if (close == std::string_view::npos) return false;
            const std::string_view inside = text_.substr(at_ + 1, close - at_ - 1);
            const std::size_t comma = inside.find(',');
            const auto first = parse_count(inside.substr(0, comma));
            if (!first || *first > repeat_max) return false;
            least = most = static_cast<int>(*first);
            if (comma != std::string_view::npos) {
                const auto second = parse_count(inside.substr(comma + 1));
                if (!second && comma + 1 < inside.size()) return false;
                if (second && *second > repeat_max) return false;
                most = second ? static_cast<int>(*second) : -1;
            }
            at_ = close + 1;
        } else {
            return false;
        }
        take("?");  // lazy: the same language
        return true;
    }

    // The atom that starts at `text_start` and was read once into [begin, end], `least` to `most` times (-1: any).
    int count_out(int begin, int end, std::size_t text_start, int least, int most, int depth) {
        const int out = fresh();
        if (gave_up_) return out;
        if (most == 0) {  // nothing: the states of the one reading are left behind, unreachable
            at(begin).next = out;
            at(begin).other = -1;
            at(begin).set.clear();
            return out;
        }
        if (least == 0) {
            // A way around. `begin` is a fresh state without a set, so it has room for it unless its atom is a group.
            const int inner = fresh();
            if (gave_up_) return out;
            at(inner) = at(begin);
            at(begin) = {};
            at(begin).next = inner;
            at(begin).other = out;
            if (end == begin) end = inner;
            begin = inner;
        }
        int copies = 1;
        for (; copies < least && !gave_up_; ++copies) end = read_again(end, text_start, depth).second;
        if (most < 0) {  // back to the last copy's begin
            const auto [again, last] = read_again(end, text_start, depth, out);
            link(last, again);
            return out;
        }
        for (; copies < most && !gave_up_; ++copies) end = read_again(end, text_start, depth, out).second;
        link(end, out);
        return out;
    }

    // Reads the atom once more behind `from`; with `out`, `from` may also leave to it. Returns the fork and the end.
    std::pair<int, int> read_again(int from, std::size_t text_start, int depth, int out = -1) {
        const int fork = fresh();
        link(from, fork);
        const int begin = fresh();
        if (gave_up_) return {fork, from};
        link(fork, begin);
        if (out >= 0) link(fork, out);
        at_ = text_start;
        const int end = fresh();
        if (gave_up_) return {fork, from};
        link(atom(begin, depth), end);
        return {fork, end};
    }

    int atom(int from, int depth) {
        if (!more()) return from;
        const char c = peek();
        if (c == '(') return group(from, depth);
        if (c == '[') return step(from, bracket());
        if (c == '\\') return escape(from);
        if (c == '.') {
            ++at_;
            return step(from, any);
        }
        if (c == '^' || c == '$') {  // holds at the ends of a whole match; elsewhere this is wider
            ++at_;
            exact_ = exact_ && (at_ == 1 || at_ == text_.size());
            return from;
        }
        return step(from, folded(code_point()));
    }

    int group(int from, int depth) {
        ++at_;
        if (take("?")) {
            if (take("P<") || take("<")) {
                const std::size_t close = text_.find('>', at_);
                at_ = close == std::string_view::npos ? text_.size() : close + 1;
            } else {
                flags();
            }
        }
        if (at_ > 0 && at_ <= text_.size() && text_[at_ - 1] == ')') return from;  // (?i) alone
        const int end = alternatives(from, depth + 1);
        if (!take(")")) widen();
        return end;
    }

    // After "(?": letters up to ':' or ')'. Flags are never taken back, which only widens.
    void flags() {
        while (at_ < text_.size() && peek() != ':' && peek() != ')') {
            if (peek() == 'i') fold_ = true;
            ++at_;
        }
        if (at_ < text_.size()) ++at_;
    }

    std::uint32_t code_point() {
        const auto first = static_cast<unsigned char>(text_[at_]);
        const std::size_t length = first < 0x80 ? 1 : first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
        std::uint32_t value = length == 1 ? first : first & (0xFFU >> (length + 1));
        for (std::size_t i = 1; i < length && at_ + i < text_.size(); ++i) {
            value = value << 6 | (static_cast<unsigned char>(text_[at_ + i]) & 0x3FU);
        }
        at_ = std::min(at_ + length, text_.size());
        return value;
    }

    Set folded(std::uint32_t c) {
        Set set{{c, c}};
        if (fold_) {
            if (c >= 'a' && c <= 'z') set.emplace_back(c - 32, c - 32);
            if (c >= 'A' && c <= 'Z') set.emplace_back(c + 32, c + 32);
            if (c >= 0x80) {
                exact_ = false;
                return any;
            }
        }
        return normalised(std::move(set));
    }

    // \d \w \s and what else stands for a class; false: it is none.
    bool class_escape(char c, Set& set) {
        const Set digit{{'0', '9'}}, word{{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}},
            space{{'\t', '\n'}, {'\f', '\r'}, {' ', ' '}};
        switch (c) {
            case 'd':
                set = digit;
                return true;
            case 'D':
                set = complement(digit);
                return true;
            case 'w':
                set = word;
                return true;
            case 'W':
                set = complement(word);
                return true;
            case 's':
                set = space;
                return true;
            case 'S':
                set = complement(space);
                return true;
            case 'p':
            case 'P':
            case 'C': {
                exact_ = false;
                set = any;
                if (c != 'C' && at_ < text_.size()) {
                    const std::size_t close = peek() == '{' ? text_.find('}', at_) : at_;
                    at_ = close == std::string_view::npos ? text_.size() : close + 1;
                }
                return true;
            }
            default:
                return false;
        }
    }

    // The code point of an escape such as \. \n \x41 \x{1F600}; `at_` is behind the letter.
    std::uint32_t escaped(char c) {
        switch (c) {
            case 'a':
                return 7;
            case 'f':
                return 12;
            case 'n':
                return 10;
            case 'r':
                return 13;
            case 't':
                return 9;
            case 'v':
                return 11;
            case 'x': {
                std::string_view digits = text_.substr(at_, 2);
                if (take("{")) digits = text_.substr(at_, std::min(text_.find('}', at_), text_.size()) - at_);
                at_ = std::min(at_ + digits.size(), text_.size());
                take("}");
                std::uint32_t value = 0;
                std::from_chars(digits.data(), digits.data() + digits.size(), value, 16);
                return value;
            }
            default:
                return static_cast<unsigned char>(c);
        }
    }

    int escape(int from) {
        ++at_;
        if (at_ >= text_.size()) {
            widen();
            return from;
        }
        const char c = text_[at_++];
        Set set;
        if (class_escape(c, set)) return step(from, std::move(set));
        if (c == 'b' || c == 'B' || c == 'A' || c == 'z') {
            exact_ = false;
            return from;
        }
        if ((c >= '0' && c <= '9') || c == 'Q') {  // octal, and literal text up to \E
            widen();
            return from;
        }
        return step(from, folded(escaped(c)));
    }

    Set bracket() {
        ++at_;
        const bool negated = take("^");
        Set set;
        for (bool first = true; more() && (first || peek() != ']'); first = false) {
            if (peek() == '[' && text_.substr(at_, 2) == "[:") {
                posix_class(set);
                continue;
            }
            Set inner;
            if (peek() == '\\' && at_ + 1 < text_.size()) {
                const char c = text_[at_ + 1];
                at_ += 2;
                if (class_escape(c, inner)) {
                    set.insert(set.end(), inner.begin(), inner.end());
                    continue;
                }
                range(set, escaped(c));
            } else {
                range(set, code_point());
            }
        }
        take("]");
        if (!exact_ && negated) return any;  // an inexact class would become too narrow
        set = normalised(std::move(set));
        return negated ? complement(set) : set;
    }

    // What follows a first code point within brackets: maybe "-" and a last one.
    void range(Set& set, std::uint32_t from) {
        std::uint32_t to = from;
        if (at_ + 1 < text_.size() && peek() == '-' && text_[at_ + 1] != ']') {
            ++at_;
            if (peek() == '\\' && at_ + 1 < text_.size()) {
                const char c = text_[at_ + 1];
                at_ += 2;
                to = escaped(c);
            } else {
                to = code_point();
            }
        }
        if (to < from) return;
        set.emplace_back(from, to);
        if (!fold_) return;
        for (std::uint32_t c = std::max<std::uint32_t>(from, 'A'); c <= std::min<std::uint32_t>(to, 'z'); ++c) {
            const Set both = folded(c);
            set.insert(set.end(), both.begin(), both.end());
        }
        if (to >= 0x80) exact_ = false;
    }

    void posix_class(Set& set) {
        const std::size_t close = text_.find(":]", at_);
        if (close == std::string_view::npos) {
            widen();
            return;
        }
        const std::string_view name = text_.substr(at_ + 2, close - at_ - 2);
        at_ = close + 2;
        const std::vector<std::pair<std::string_view, Set>> classes{
            {"digit", {{'0', '9'}}},
            {"alpha", {{'A', 'Z'}, {'a', 'z'}}},
            {"lower", {{'a', 'z'}}},
            {"upper", {{'A', 'Z'}}},
            {"alnum", {{'0', '9'}, {'A', 'Z'}, {'a', 'z'}}},
            {"word", {{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}}},
            {"xdigit", {{'0', '9'}, {'A', 'F'}, {'a', 'f'}}}};
        for (const auto& [known, members] : classes) {
            if (name == known) {
                set.insert(set.end(), members.begin(), members.end());
                return;
            }
        }
        exact_ = false;
        set = any;
    }

    std::string_view text_;
    std::size_t at_ = 0;
    std::vector<State> states_;
    int start_ = 0, accept_ = 0;
    bool exact_ = true, gave_up_ = false, fold_ = false;
};

// The least code point that both sets have, preferring one that can be printed.
std::optional<std::uint32_t> common(const Set& a, const Set& b) {
    std::optional<std::uint32_t> found;
    for (const auto& [a_from, a_to] : a) {
        for (const auto& [b_from, b_to] : b) {
            const std::uint32_t from = std::max(a_from, b_from), to = std::min(a_to, b_to);
            if (from > to) continue;
            for (const std::uint32_t wish : {std::uint32_t{'a'}, std::uint32_t{'0'}, std::uint32_t{'-'}}) {
                if (from <= wish && wish <= to) return wish;
            }
            if (!found || *found < 0x21) found = from < 0x21 && to >= 0x21 ? 0x21 : from;
        }
    }
    return found;
}

std::string utf8(std::uint32_t c) {
    std::string out;
    if (c < 0x80) {
        out += static_cast<char>(c);
    } else if (c < 0x800) {
        out += static_cast<char>(0xC0 | c >> 6);
        out += static_cast<char>(0x80 | (c & 0x3F));
    } else if (c < 0x10000) {
        out += static_cast<char>(0xE0 | c >> 12);
        out += static_cast<char>(0x80 | (c >> 6 & 0x3F));
        out += static_cast<char>(0x80 | (c & 0x3F));
    } else {
        out += static_cast<char>(0xF0 | c >> 18);
        out += static_cast<char>(0x80 | (c >> 12 & 0x3F));
        out += static_cast<char>(0x80 | (c >> 6 & 0x3F));
        out += static_cast<char>(0x80 | (c & 0x3F));
    }
    return out;
}

struct Pair {
    int a, b;
    int from;          // index of the pair before
    std::uint32_t by;  // code point that led here; UINT32_MAX: none
};

}  // namespace

Overlap overlap(std::string_view a_text, std::string_view b_text, std::size_t& budget) {
    const Automaton a(a_text), b(b_text);
    if (!a.ok() || !b.ok()) return {true, std::nullopt};
    std::vector<Pair> queue;
    std::unordered_map<std::uint64_t, bool> seen;
    const auto visit = [&](int left, int right, int from, std::uint32_t by) {
        if (left < 0 || right < 0) return;
        const std::uint64_t key = static_cast<std::uint64_t>(left) << 32 | static_cast<std::uint32_t>(right);
        if (seen.emplace(key, true).second) queue.push_back({left, right, from, by});
    };
    visit(a.start(), b.start(), -1, UINT32_MAX);
    for (std::size_t i = 0; i < queue.size(); ++i) {
        if (budget == 0) return {true, std::nullopt};
        --budget;
        const Pair pair = queue[i];
        const auto index = static_cast<int>(i);
        if (pair.a == a.accept() && pair.b == b.accept()) {
            std::vector<std::uint32_t> word;
            for (int at = index; at >= 0; at = queue[static_cast<std::size_t>(at)].from) {
                if (queue[static_cast<std::size_t>(at)].by != UINT32_MAX) {
                    word.push_back(queue[static_cast<std::size_t>(at)].by);
                }
            }
            std::string example;
            for (auto c = word.rbegin(); c != word.rend(); ++c) example += utf8(*c);
            // A level has at least one character and no slash; the search goes on for one that has.
            if (!example.empty()) return {true, a.exact() && b.exact() ? std::optional(example) : std::nullopt};
            continue;
        }
        const State& left = a.state(pair.a);
        const State& right = b.state(pair.b);
        if (left.set.empty()) {
            visit(left.next, pair.b, index, UINT32_MAX);
            visit(left.other, pair.b, index, UINT32_MAX);
        }
        if (right.set.empty()) {
            visit(pair.a, right.next, index, UINT32_MAX);
            visit(pair.a, right.other, index, UINT32_MAX);
        }
        if (!left.set.empty() && !right.set.empty()) {
            if (const auto c = common(left.set, right.set)) visit(left.next, right.next, index, *c);
        }
    }
    return {};
}

}  // namespace trunkline::uns
