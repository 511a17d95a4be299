// The compiled model against a naive evaluator that walks the syntax tree, on random models, topics and publishes.
// TRUNKLINE_MODEL_CASES sets how many publishes (50,000); TRUNKLINE_MODEL_SEED the first seed.
#include <algorithm>
#include <cstdlib>
#include <random>
#include <vector>

#include "namespace/model/syntax.h"
#include "tests/unit/namespace/model_fixture.h"
#include "tests/unit/namespace/setting.h"

using namespace trunkline::uns;
using namespace trunkline::uns::test;

namespace {

constexpr std::size_t topics_per_model = 200;

// What a publish should get. Rules that only differ in how they are told are one: "unknown" for 2101, 2102 and 2106,
// "payload" for all of TL-3.
struct Expected {
    Outcome outcome = Outcome::accept;
    std::string rule;
    bool operator==(const Expected&) const = default;
};

std::string lower(std::string_view text) {
    std::string out(text);
    std::transform(out.begin(), out.end(), out.begin(), [](unsigned char c) { return std::tolower(c); });
    return out;
}

std::vector<std::string> levels_of(std::string_view topic) {
    std::vector<std::string> out(1);
    for (const char c : topic) {
        if (c == '/') {
            out.emplace_back();
        } else {
            out.back() += c;
        }
    }
    return out;
}

// The expressions that random models use, each by hand.
bool matches_by_hand(std::string_view expression, std::string_view level) {
    const auto all = [](std::string_view text, auto test) { return std::all_of(text.begin(), text.end(), test); };
    const auto digit = [](char c) { return c >= '0' && c <= '9'; };
    if (expression == "p-[0-9]+") return level.starts_with("p-") && level.size() > 2 && all(level.substr(2), digit);
    if (expression == "q[a-c]*") {
        return level.starts_with("q") && all(level.substr(1), [](char c) { return c >= 'a' && c <= 'c'; });
    }
    if (expression == "[A-Z]{2}") return level.size() == 2 && all(level, [](char c) { return c >= 'A' && c <= 'Z'; });
    if (expression == "[^ ]+") return !level.empty() && level.find(' ') == std::string_view::npos;
    FAIL("no such expression: " << expression);
    return false;
}

class Naive {
public:
    explicit Naive(const syntax::Document& document) : document_(document) {}

    Expected judge(const std::string& topic, const std::string& payload, bool retain, const std::string& client) {
        for (const auto& filter : document_.exempt) {  // random models have only "x/#" there
            if (filter.value == "x/#" && (topic == "x" || topic.starts_with("x/"))) return {};
        }
        payload_ = payload;
        retain_ = retain;
        client_ = client;
        levels_ = levels_of(topic);
        writers_ = nullptr;
        mode_ = document_.mode;
        explicit_ = false;
        type_ = nullptr;
        if (topic.starts_with("$")) return wrong("TL-2108");
        return below(document_.tree, nullptr, 0);
    }

private:
    struct Path {
        std::vector<std::string> levels;
        const syntax::Member* member;  // nullptr: a part
    };

    const syntax::Type* type_named(std::string_view reference) {
        for (const auto& type : document_.types) {
            if (type.name.value == reference.substr(0, reference.find('@'))) return &type;
        }
        return nullptr;
    }

    // All members and parts of a type as paths below the asset.
    void flatten(const syntax::Type& type, const std::vector<std::string>& above, std::vector<Path>& out) {
        const bool layout = !document_.layout.metrics.empty();
        for (const auto& member : type.members) {
            std::vector<std::string> path;
            if (layout)
                path.push_back(member.kind == MemberKind::metric  ? "_data"
                               : member.kind == MemberKind::event ? "_ev"
                                                                  : "_cmd");
            path.insert(path.end(), above.begin(), above.end());
            for (const auto& level : levels_of(member.name.value)) path.push_back(level);
            out.push_back({path, &member});
        }
        for (const auto& part : type.parts) {
            auto path = above;
            path.emplace_back(part.name.value);
            if (!layout) out.push_back({path, nullptr});
            flatten(*type_named(part.type.value), path, out);
        }
    }

    bool is_writer() const {
        if (!writers_) return true;
        return std::any_of(writers_->list.begin(), writers_->list.end(), [&](const Writer& writer) {
            return writer.kind == Writer::Kind::client && writer.name == client_;
        });
    }

    static Outcome outcome(Mode mode) {
        return mode == Mode::enforce      ? Outcome::reject
               : mode == Mode::quarantine ? Outcome::quarantine
                                          : Outcome::observe;
    }

    Expected wrong(const std::string& rule) {
        if (!is_writer()) return {Outcome::reject, "TL-1201"};
        Mode mode = explicit_ ? mode_ : document_.unmodelled.value_or(document_.mode);
        if (type_ && type_->unknown) {
            mode = type_->unknown->value;
            if (explicit_ && static_cast<int>(mode_) > static_cast<int>(mode)) mode = mode_;
        }
        return {outcome(mode), rule};
    }

    Expected member(MemberKind kind, std::string_view payload_name, std::string_view type, Mode mode) {
        if (!is_writer()) return {Outcome::reject, "TL-1201"};
        const bool state = kind == MemberKind::metric || kind == MemberKind::open;
        const bool clears = retain_ && payload_.empty() && state;
        bool good = true;
        if (payload_name == "json") good = payload_ == "{}" || payload_ == "true" || payload_ == "7";
        if (payload_name == "plain" && type == "boolean") good = payload_ == "true";
        if (payload_name == "plain" && type == "number") good = payload_ == "7";
        if (!good && !clears) return {outcome(mode), "payload"};
        if (retain_ && kind == MemberKind::event) return {outcome(mode), "TL-4101"};
        if (retain_ && kind == MemberKind::command) return {outcome(mode), "TL-4102"};
        return {};
    }

    Expected in_type(const std::vector<Path>& paths, std::size_t first, std::size_t at) {
        // Level `at` - 1 is taken; those from `first` on are below the asset.
        const auto fits = [&](const Path& path, std::size_t count, bool fold) {
            if (path.levels.size() < count) return false;
            for (std::size_t i = 0; i < count; ++i) {
                const bool last = i + 1 == count;
                const std::string& mine = levels_[first + i];
                if (fold && last ? lower(path.levels[i]) != lower(mine) : path.levels[i] != mine) return false;
            }
            return true;
        };
        for (; at < levels_.size(); ++at) {
            const std::size_t count = at - first + 1;
            if (levels_[at].empty()) return wrong("TL-2109");
            const auto any = [&](bool fold) {
                return std::any_of(paths.begin(), paths.end(),
                                   [&](const Path& path) { return fits(path, count, fold); });
            };
            if (any(false)) continue;
            if (any(true)) return wrong("TL-2103");
            const bool leaf = std::none_of(paths.begin(), paths.end(), [&](const Path& path) {
                return path.levels.size() >= count && fits(path, count - 1, false);
            });
            return wrong(leaf ? "TL-2105" : "unknown");
        }
        for (const Path& path : paths) {
            if (!path.member || path.levels.size() != levels_.size() - first || !fits(path, path.levels.size(), false))
                continue;
            const syntax::Member& found = *path.member;
            if (found.writers) writers_ = &*found.writers;
            std::string_view payload = document_.payload.value;
            if (found.kind != MemberKind::metric && !found.type) payload = "json";
            if (found.payload) payload = found.payload->value;
            return member(found.kind, payload, found.type ? found.type->value : "",
                          found.mode ? found.mode->value : mode_);
        }
        return wrong("TL-2104");
    }

    Expected below(const std::vector<syntax::Node>& children, const syntax::Node* node, std::size_t at) {
        std::vector<Path> paths;
        if (type_) flatten(*type_, {}, paths);
        if (at == levels_.size()) {
            if (node && node->keys && node->keys->payload) {
                return member(MemberKind::metric, node->keys->payload->value, "", mode_);
            }
            return wrong("TL-2104");
        }
        const std::string& level = levels_[at];
        if (level.empty()) return wrong("TL-2109");
        for (const auto& child : children) {
            if (!child.is_pattern && child.name.value == level) return enter(child, at);
        }
        const auto starts = [&](const Path& path) { return path.levels.front() == level; };
        if (std::any_of(paths.begin(), paths.end(), starts)) return in_type(paths, at, at + 1);
        bool alike = std::any_of(children.begin(), children.end(), [&](const syntax::Node& child) {
            return !child.is_pattern && lower(child.name.value) == lower(level);
        });
        alike = alike || std::any_of(paths.begin(), paths.end(),
                                     [&](const Path& path) { return lower(path.levels.front()) == lower(level); });
        if (alike && document_.naming.unique_ignoring_case) return wrong("TL-2103");
        for (const auto& child : children) {
            if (!child.is_pattern) continue;
            std::string_view expression = child.match ? child.match->value : "[^ ]+";
            if (matches_by_hand(expression, level)) return enter(child, at);
        }
        if (node && node->open) return member(MemberKind::open, node->open->value, "", mode_);
        if (alike) return wrong("TL-2103");
        if (node && children.empty() && paths.empty()) return wrong("TL-2105");
        // A form that a pattern takes but for case is told as such.
        for (const auto& child : children) {
            const std::string_view expression = child.match ? child.match->value : "[^ ]+";
            if (child.is_pattern && matches_by_hand(expression, lower(level)) && lower(level) != level) {
                return wrong("unknown or TL-2103");
            }
        }
        return wrong("unknown");
    }

    Expected enter(const syntax::Node& node, std::size_t at) {
        type_ = node.type ? type_named(node.type->value) : nullptr;
        if (node.keys && node.keys->mode) {
            mode_ = node.keys->mode->value;
            explicit_ = true;
        }
        if (node.keys && node.keys->writers) writers_ = &*node.keys->writers;
        return below(node.children, &node, at + 1);
    }

    const syntax::Document& document_;
    std::vector<std::string> levels_;
    std::string payload_, client_;
    bool retain_ = false;
    const syntax::Writers* writers_ = nullptr;
    const syntax::Type* type_ = nullptr;
    Mode mode_ = Mode::enforce;
    bool explicit_ = false;
};

// Random models, small enough that their names meet.
class ModelGenerator {
public:
    explicit ModelGenerator(std::uint64_t seed) : random_(seed) {}

    std::size_t below(std::size_t limit) { return random_() % limit; }
    bool chance(std::size_t percent) { return below(100) < percent; }
    template <class T>
    const T& one_of(const std::vector<T>& list) {
        return list[below(list.size())];
    }

    std::string model() {
        unique_ = chance(50);
        std::string out = "trunkline: 1\nnamespace: t\nversion: 1\ndefaults: {payload: plain, mode: " + one_of(modes_);
        if (chance(50)) out += ", unmodelled: " + one_of(unknowns_);
        out += "}\n";
        if (unique_) out += "naming: {unique_ignoring_case: true}\n";
        if (chance(30)) out += "layout: {metrics: _data, events: _ev, commands: _cmd}\n";
        if (chance(30)) out += "exempt: [\"x/#\"]\n";
        out += "types:\n";
        for (std::size_t i = 0; i < 4; ++i) out += type(i);
        out += "tree:\n";
        for (const std::string& name : names(2)) out += node(name, 1, 0);
        return out;
    }

    std::string topic() {
        static const std::vector<std::string> words{
            "a",  "b", "A", "c",  "m",     "M",     "n",     "p-1",   "P-1", "p-",   "qa", "q",   "AB",
            "Ab", "x", "",  "$x", "drive", "DRIVE", "speed", "_data", "_ev", "_cmd", "go", "done"};
        std::string out;
        for (std::size_t i = 0, count = 1 + below(5); i < count; ++i)
            out += (i ? "/" : "") + words[below(i == 0 ? 6 : words.size())];
        return out.empty() ? "a" : out;
    }

    // A topic of the model, often with something wrong.
    std::string changed(const std::string& topic) {
        std::vector<std::string> levels = levels_of(topic);
        for (std::string& level : levels) {
            if (level == "{v0}") level = one_of(std::vector<std::string>{"p-1", "p-22", "p-x", "P-1"});
            if (level == "{v1}") level = one_of(std::vector<std::string>{"q", "qabc", "qd"});
            if (level == "{v2}") level = one_of(std::vector<std::string>{"XY", "AB", "Xy", "XYZ"});
            if (level == "#") level = one_of(std::vector<std::string>{"any", "p-1", "a", "x/y//z"});
        }
        if (chance(35)) {
            std::string& level = one_of_mutable(levels);
            switch (below(5)) {
                case 0:
                    level = lower(level);
                    break;
                case 1:
                    std::transform(level.begin(), level.end(), level.begin(),
                                   [](unsigned char c) { return std::toupper(c); });
                    break;
                case 2:
                    level += "x";
                    break;
                case 3:
                    level.clear();
                    break;
                default:
                    level = "a";
                    break;
            }
        }
        if (chance(10)) levels.pop_back();
        if (chance(10)) levels.emplace_back(chance(50) ? "m" : "a");
        std::string out;
        for (std::size_t i = 0; i < levels.size(); ++i) out += (i ? "/" : "") + levels[i];
        return out.empty() ? "a" : out;
    }

private:
    std::string& one_of_mutable(std::vector<std::string>& list) { return list[below(list.size())]; }

    // Different names, of which no two are the same but for case when the model forbids it.
    std::vector<std::string> names(std::size_t most) {
        std::vector<std::string> out;
        for (std::size_t i = 0, count = 1 + below(most + 1); i < count; ++i) {
            const std::string name = one_of(std::vector<std::string>{"a", "b", "A", "c", "p-1", "qa", "AB", "x"});
            const bool taken = std::any_of(out.begin(), out.end(), [&](const std::string& other) {
                return other == name || (unique_ && lower(other) == lower(name));
            });
            if (!taken) out.push_back(name);
        }
        return out;
    }

    std::string type(std::size_t index) {
        std::string out = "  t" + std::to_string(index) + ":\n    version: 1\n";
        if (chance(40)) out += "    unknown: " + one_of(unknowns_) + "\n";
        if (index > 0 && chance(60)) out += "    parts: {drive: t" + std::to_string(below(index)) + "}\n";
        if (chance(80)) {
            out += "    metrics:\n      m: {type: boolean" +
                   std::string(chance(30) ? ", mode: " + one_of(modes_) : "") + "}\n";
            if (chance(50)) out += "      n/speed: {type: number}\n";
            if (chance(30)) out += "      n: {payload: json}\n";
        }
        if (chance(50)) out += "    events:\n      done: {}\n";
        if (chance(50))
            out += "    commands:\n      go: {type: number" +
                   std::string(chance(50) ? ", writers: [\"client:one\"]" : "") + "}\n";
        return out;
    }

    std::string node(const std::string& name, std::size_t indent, std::size_t depth) {
        const std::string pad(indent * 2, ' '), inner = pad + "  ";
        std::string body;
        if (chance(45)) body += inner + "$type: t" + std::to_string(below(4)) + "\n";
        if (chance(25)) body += inner + "$mode: " + one_of(modes_) + "\n";
        if (chance(15)) body += inner + "$writers: [\"client:" + one_of(clients_) + "\"]\n";
        if (chance(15)) body += inner + "$payload: json\n";
        if (depth < 3) {
            for (const std::string& child : names(2)) body += chance(60) ? node(child, indent + 1, depth + 1) : "";
            std::vector<std::string> expressions{"p-[0-9]+", "q[a-c]*", "[A-Z]{2}"};
            for (std::size_t i = 0; i < expressions.size(); ++i) {
                if (!chance(20)) continue;
                std::string text = node("\"{v" + std::to_string(i) + "}\"", indent + 1, depth + 1);
                text += inner + "  $match: \"" + expressions[i] + "\"\n";
                body += text;
            }
        }
        if (chance(15)) body += inner + "\"#\": " + (chance(50) ? "any" : "json") + "\n";
        if (body.empty()) body = inner + "$description: nothing\n";
        return pad + name + ":\n" + body;
    }

    std::mt19937_64 random_;
    bool unique_ = false;
    const std::vector<std::string> modes_{"enforce", "quarantine", "observe"},
        unknowns_{"reject", "quarantine", "observe"};
    const std::vector<std::string> clients_{"one", "two"};
};

std::vector<std::string> members_of(const Model& model) {
    std::vector<std::string> out;
    model.walk([&](const Model::Entry& entry) {
        out.emplace_back(entry.topic);
        return out.size() < 300;
    });
    return out;
}

bool same(const Expected& expected, const Verdict& verdict) {
    if (verdict.outcome != expected.outcome) return false;
    const std::string rule = verdict.finding ? verdict.finding->rule : "";
    const bool unknown = rule == "TL-2101" || rule == "TL-2102" || rule == "TL-2106";
    if (expected.rule == "unknown") return unknown;
    if (expected.rule == "unknown or TL-2103") return unknown || rule == "TL-2103";
    if (expected.rule == "payload") return rule.starts_with("TL-3");
    return rule == expected.rule;
}

}  // namespace

TEST_CASE("the compiled model judges as a naive walk over the syntax tree does", "[namespace][model]") {
    const std::size_t cases = setting("TRUNKLINE_MODEL_CASES", 50'000);
    const std::size_t first_seed = setting("TRUNKLINE_MODEL_SEED", 1);
    const std::vector<std::string> payloads{"true", "7", "{}", "", "nonsense"};
    std::size_t done = 0, refused = 0, accepted = 0, known = 0;
    for (std::uint64_t seed = first_seed; done < cases; ++seed) {
        ModelGenerator random(seed);
        const std::string yaml = random.model();
        const Model::Result result = Model::compile(yaml, "m.yaml");
        if (!result.model) {  // a member and a node of one name, and the like: refused for a reason that it tells
            REQUIRE_FALSE(result.problems.empty());
            REQUIRE(++refused < 200 + seed);
            continue;
        }
        Problems problems("m.yaml");
        const auto document = syntax::parse(yaml, problems);
        REQUIRE(document);
        Naive naive(*document);
        const std::vector<std::string> topics = members_of(*result.model);
        for (std::size_t i = 0; i < topics_per_model && done < cases; ++i, ++done) {
            const std::string topic =
                topics.empty() || random.chance(25) ? random.topic() : random.changed(random.one_of(topics));
            const std::string payload = random.one_of(payloads);
            const std::string client = random.chance(50) ? "one" : "two";
            PublishFacts facts;
            facts.topic = topic;
            facts.payload = payload;
            facts.retain = random.chance(20);
            facts.client_id = client;
            const Resolution resolution = result.model->resolve(topic);
            const Verdict verdict = result.model->judge(resolution, facts);
            const Expected expected = naive.judge(topic, payload, facts.retain, client);
            accepted += verdict.outcome == Outcome::accept ? 1 : 0;
            known += resolution.status == Resolution::Status::member ? 1 : 0;
            if (same(expected, verdict)) continue;
            CAPTURE(seed, yaml, topic, payload, facts.retain, client);
            CAPTURE(to_string(expected.outcome), expected.rule, to_string(verdict.outcome));
            if (verdict.finding) UNSCOPED_INFO(verdict.finding->rule << " " << verdict.finding->text);
            FAIL("the verdicts differ");
        }
    }
    // The cases are about something: neither all refused nor all let through.
    CHECK(accepted > cases / 50);
    CHECK(known > cases / 10);
    CHECK(cases - accepted > cases / 50);
}
