// Hostile models are refused quickly and in little memory; large ones compile quickly; tools of the language.
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <fstream>

#include "namespace/model/diff.h"
#include "namespace/model/level_pattern.h"
#include "namespace/model/text.h"
#include "namespace/model/units.h"
#include "tests/unit/namespace/model_fixture.h"

using namespace trunkline;
using namespace trunkline::uns;
using namespace trunkline::uns::test;

namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr double slower = 20;  // sanitizers
#else
constexpr double slower = 2;  // a machine that does other things too
#endif

double seconds_since(std::chrono::steady_clock::time_point start) {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

std::string repeated(std::string_view text, std::size_t count) {
    std::string out;
    out.reserve(text.size() * count);
    for (std::size_t i = 0; i < count; ++i) out += text;
    return out;
}

// Each name stands for ten of the one before.
std::string bomb(const std::string& begin, const std::string& end) {
    std::string text = "trunkline: 1\nnamespace: t\nversion: 1\nx0: &x0 " + begin + "a" + end + "\n";
    for (int i = 1; i < 12; ++i) {
        const std::string before = "*x" + std::to_string(i - 1);
        text += "x" + std::to_string(i) + ": &x" + std::to_string(i) + " [" + before;
        for (int j = 0; j < 9; ++j) text += ", " + before;
        text += "]\n";
    }
    return text;
}

// 10 sites, 10 areas each, 30 lines each, 33 fillers each: 102,111 nodes.
std::string large_model() {
    std::string out = head(
        "levels: isa95\ntypes:\n  filler:\n    version: 2\n    level: work_cell\n    metrics:\n"
        "      t: {type: number, unit: Cel, min: -20, max: 120}\ntree:\n  acme:\n");
    for (int site = 0; site < 10; ++site) {
        out += "    site-" + std::to_string(site) + ":\n      $owner: s@x.example\n";
        for (int area = 0; area < 10; ++area) {
            out += "      area-" + std::to_string(area) + ":\n";
            for (int line = 0; line < 30; ++line) {
                out += "        line-" + std::to_string(line) + ":\n          $kind: production_line\n";
                for (int cell = 0; cell < 33; ++cell) {
                    out += "          filler-" + std::to_string(cell) +
                           ": {$type: filler@2, $metadata: {asset_no: \"4711\"}}\n";
                }
            }
        }
    }
    return out;
}

}  // namespace

// How much more memory than before a process of its own needs to compile `text`, in MiB; -1: it did not end well.
long mebibytes_to_compile(const std::string& text) {
    const pid_t child = fork();
    if (child == 0) {
        std::ifstream statm("/proc/self/statm");
        long total = 0, resident = 0;
        statm >> total >> resident;
        const bool refused = Model::compile(text, "m.yaml").model == nullptr;
        rusage usage{};
        getrusage(RUSAGE_SELF, &usage);
        const long used = usage.ru_maxrss / 1024 - resident * sysconf(_SC_PAGESIZE) / (1L << 20);
        _exit(!refused || used > 1000 ? 255 : static_cast<int>(std::max(used, 0L) / 4));
    }
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status) || WEXITSTATUS(status) == 255) return -1;
    return 4L * WEXITSTATUS(status);
}

TEST_CASE("a hostile model is refused in under two seconds and 256 MiB", "[namespace][model]") {
    const std::string start = head("");
    std::string nested_types = start + "types:\n", patterns = start + "tree:\n  a:\n",
                many_errors = start + "tree:\n  a:\n";
    for (int i = 0; i < 3000; ++i) {
        nested_types += "  t" + std::to_string(i) + ": {version: 1, parts: {a: t" + std::to_string(i + 1) + ", b: t" +
                        std::to_string(i + 1) + "}}\n";
    }
    nested_types += "  t3000: {version: 1, metrics: {x: {type: number}}}\n";
    for (int i = 0; i < 3000; ++i) {
        patterns += "    n" + std::to_string(i) + ": {\"{x}\": {$match: \"([a-z]{0,50}" + std::to_string(i) +
                    "){0,9}\", $type: t}}\n";
    }
    for (int i = 0; i < 100'000; ++i) many_errors += "    n" + std::to_string(i) + ": {$tipe: x, $mode: off}\n";
    std::string overlapping = start + "types: {x: {version: 1}}\ntree:\n";
    for (int i = 0; i < 2000; ++i) {
        overlapping += "  n" + std::to_string(i) + ":\n";
        for (int j = 0; j < 40; ++j)
            overlapping += "    \"{p" + std::to_string(j) + "}\": {$match: \"a{" + std::to_string(j) + "}b.*\"}\n";
    }
    const std::vector<std::pair<std::string, std::string>> hostile{
        {"50 MB", repeated("a: b\n", 10'000'000)},
        {"deep flow lists", start + "tree: " + repeated("[", 1'000'000)},
        {"deep flow mappings", start + "tree: " + repeated("{a: ", 1'000'000)},
        {"deep block",
         [&] {
             std::string out = start + "tree:\n";
             for (std::size_t i = 1; i < 2000; ++i) out += std::string(i, ' ') + "a:\n";
             return out;
         }()},
        {"a bomb of lists", bomb("[", "]")},
        {"a bomb of texts", bomb("\"" + std::string(60'000, 'x'), "\"")},
        {"an alias in itself", start + "tree: &a {b: {c: *a}}\n"},
        {"types within types", nested_types},
        {"parts in a large circle", start + "types:\n" +
                                        [] {
                                            std::string out;
                                            for (int i = 0; i < 30; ++i) {
                                                out += "  t" + std::to_string(i) + ": {version: 1, parts: {a: t" +
                                                       std::to_string((i + 1) % 30) + "}}\n";
                                            }
                                            return out;
                                        }()},
        {"large patterns", patterns},
        {"a huge pattern", start + "naming: {default: \"" + repeated("(a|b)*", 3000) + "\"}\n"},
        {"patterns that overlap everywhere", overlapping},
        {"errors everywhere", many_errors},
        {"a million nodes", start + "tree:\n  a:\n" +
                                [] {
                                    std::string out;
                                    for (int i = 0; i < 700'000; ++i) out += "    n" + std::to_string(i) + ":\n";
                                    return out;
                                }()},
        {"a million scalars", start + "exempt:\n" + repeated("- a\n", 2'000'000)},
        {"a huge text", start + "owner: \"" + std::string(5'000'000, 'x') + "\"\n"},
        {"one long line of colons", start + repeated("a:", 2'000'000)},
        {"no end of anchors", start + "x: [" + repeated("&a b,", 300'000) + "]"},
        {"nothing but quotation marks", repeated("\"", 1'000'000)},
        {"bytes that are no text", std::string(1'000'000, '\xff')},
        {"zero bytes", std::string(1'000'000, '\0')},
    };
    for (const auto& [what, text] : hostile) {
        const auto begin = std::chrono::steady_clock::now();
        const Model::Result result = Model::compile(text, "m.yaml");
        const double took = seconds_since(begin);
        INFO(what << ": " << took << " s");
        CHECK(result.model == nullptr);
        REQUIRE_FALSE(result.problems.empty());
        INFO(to_string(result.problems.front()));
        CHECK(result.problems.size() <= Problems::problems_max + 1);
        CHECK(took < 2.0 * slower);
        for (const Problem& problem : result.problems) CHECK(problem.message.size() < 2000);
        // Sanitizers need memory of their own; and what is refused at once has had no time to take any.
        if (slower > 2 || took < 0.1) continue;
        const long mebibytes = mebibytes_to_compile(text);
        INFO(mebibytes << " MiB");
        CHECK(mebibytes >= 0);
        CHECK(mebibytes < 256);
    }
}

TEST_CASE("a version of a type may have an older one as its part", "[namespace][model]") {
    const auto model = compiled("trunkline: 1\nnamespace: t\nversion: 1\ntypes:\n"
                                "  motor: {version: 1, metrics: {speed: {type: number}}}\n"
                                "  motor@2: {metrics: {power: {type: number}}, parts: {old: motor@1}}\n"
                                "tree: {r: {$type: motor@2}}\n");
    CHECK(model->resolve("r/power").kind == MemberKind::metric);
    CHECK(model->resolve("r/old/speed").kind == MemberKind::metric);
    CHECK(model->resolve("r/old/power").kind != MemberKind::metric);
}

TEST_CASE("parts are nested 32 deep at most, in whichever order their types stand", "[namespace][model]") {
    const bool innermost_first = GENERATE(true, false);
    for (const int deep : {32, 33}) {
        std::string text = "trunkline: 1\nnamespace: t\nversion: 1\ntypes:\n";
        for (int i = 0; i <= deep; ++i) {
            const int height = innermost_first ? i : deep - i;
            text += "  t" + std::to_string(height) + ": {version: 1, ";
            text += height == 0 ? "metrics: {m: {type: number}}}\n"
                                : "parts: {p: t" + std::to_string(height - 1) + "}}\n";
        }
        text += "tree: {r: {$type: t" + std::to_string(deep) + "}}\n";
        const Model::Result result = Model::compile(text, "m.yaml");
        INFO(deep);
        REQUIRE((result.model != nullptr) == (deep == 32));
        if (deep == 33) {
            CHECK(result.problems.front().rule == "TL-9124");
            continue;
        }
        CHECK(result.model->resolve("r/" + repeated("p/", 32) + "m").kind == MemberKind::metric);
    }
}

TEST_CASE("a model of 100,000 nodes compiles in under two seconds", "[namespace][model]") {
    const std::string text = large_model();
    const auto begin = std::chrono::steady_clock::now();
    const auto model = compiled(text);
    const double took = seconds_since(begin);
    INFO(took << " s");
    CHECK(model->node_count() == 102'111);
    CHECK(took < 2.0 * slower);
    CHECK(model->resolve("acme/site-9/area-9/line-29/filler-32/t").status == Resolution::Status::member);
    CHECK(model->resolve("acme/site-9/area-9/line-30/filler-32/t").status == Resolution::Status::unknown);
    std::size_t members = 0;
    model->walk([&](const Model::Entry& entry) {
        members += entry.member ? 1 : 0;
        return true;
    });
    CHECK(members == 99'000);
}

TEST_CASE("a name that is wrong is found wrong in little time, however wide the level", "[namespace][model]") {
    std::string text = head("tree:\n  a:\n");
    for (int i = 0; i < 50'000; ++i) text += "    station" + std::to_string(i) + "x: json\n";
    const auto model = compiled(text);
    const auto begin = std::chrono::steady_clock::now();
    for (int i = 0; i < 1000; ++i) {
        CHECK(model->resolve("a/zzzzzzzzzzzzzzzzzzzzzzzzzzz" + std::to_string(i)).status ==
              Resolution::Status::unknown);
    }
    CHECK(seconds_since(begin) < 1.0 * slower);
    CHECK(model->resolve("a/station77y").failure->nearest == "station77x");
}

TEST_CASE("hash, order and form: models that say the same are the same", "[namespace][model]") {
    const auto a = compiled("trunkline: 1\nnamespace: t\nversion: 1\ntree: {a: {b: json, c: json}}\n");
    const auto b =
        compiled("# a comment\nversion: '1'\ntree:\n  a:\n    c: \"json\"\n    b: json\nnamespace: t\ntrunkline: 1\n");
    const auto c = compiled("trunkline: 1\nnamespace: t\nversion: 1\ntree: {a: {b: json, c: any}}\n");
    CHECK(a->hash().size() == 32);
    CHECK(a->hash() == b->hash());
    CHECK(a->hash() != c->hash());
    CHECK(diff(*a, *b).empty());
    CHECK(diff(*a, *c).size() == 1);
    CHECK(a->source().starts_with("trunkline: 1\n"));
    CHECK(a->json() == R"({"trunkline":1,"namespace":"t","version":1,"tree":{"a":{"b":"json","c":"json"}}})");
}

TEST_CASE("without a model everything is observed", "[namespace][model]") {
    const auto model = Model::empty();
    REQUIRE(model);
    PublishFacts facts;
    facts.topic = "any/thing";
    facts.payload = "x";
    const Verdict verdict = model->judge(model->resolve(facts.topic), facts);
    CHECK(verdict.outcome == Outcome::observe);
    CHECK(verdict.reason == VerdictReason::success);
    CHECK(verdict.finding->rule == "TL-2101");
}

TEST_CASE("units are UCUM codes", "[namespace][model]") {
    for (const char* good :
         {"Cel",     "K",      "m",        "mm",         "km/h",       "m/s2",      "m3/h",      "kW.h",
          "r/min",   "/min",   "1/h",      "1",          "%",          "[degF]",    "[psi]",     "[in_i'Hg]",
          "mm[Hg]",  "kPa",    "bar",      "mbar",       "N.m",        "uS/cm",     "mol/L",     "g/L",
          "10*3/uL", "10^6.m", "{pieces}", "{pieces}/h", "m3{norm}/h", "kg.m2.s-2", "kg/(m.s2)", "[pH]",
          "dB[SPL]", "Ohm",    "kOhm",     "mV/(Ohm.m)", "MiBy",       "cm2",       "W/(m2.K)",  "[gal_us]/min",
          "deg",     "ms",     "min",      "d",          "wk"}) {
        INFO(good);
        CHECK_FALSE(check_unit(good));
    }
    for (const char* bad :
         {"",   "\u00b0C", "degC",  "rpm",  "kWh", "psi", "m//s", "m/", ".",      "foo",     "m.",
          "(m", "m)",      "{open", "km^2", "m 2", "kkg", "kmin", "k%", "[nope]", "m\u00b3", "{\u00fc}"}) {
        INFO(bad);
        const auto error = check_unit(bad);
        REQUIRE(error);
        CHECK_FALSE(error->mend.empty());
    }
    CHECK(check_unit(std::string(100, '('))->message.find("longer") != std::string::npos);
    CHECK(check_unit(repeated("(", 30))->message.find("brackets") != std::string::npos);
}

TEST_CASE("whether two expressions share a name is found out exactly", "[namespace][model]") {
    struct Row {
        const char *a, *b;
        bool may;
    };
    for (const Row& row : std::vector<Row>{{"packer-[0-9]+", "filler-[0-9]+", false},
                                           {"packer-[0-9]+", "packer-7", true},
                                           {"line-[0-9]{1,2}", "line-[0-9]{3}", false},
                                           {"line-[0-9]{1,3}", "line-[0-9]{3,4}", true},
                                           {"[a-c]+", "[d-f]+", false},
                                           {"[a-c]+", "[c-f]+", true},
                                           {"[^a]+", "a+", false},
                                           {"[^a]", "b", true},
                                           {"(a|b)c?", "bc", true},
                                           {"(a|b)c?", "cb", false},
                                           {"(ab)*", "(ba)*", false},
                                           {"(ab)+c", "ab(ab)*c", true},
                                           {"a{2}", "a{3}", false},
                                           {"(a{2}){3}", "a{6}", true},
                                           {"(a{2}){3}", "a{5}", false},
                                           {"a{0}b", "b", true},
                                           {"a{0,2}b", "aab", true},
                                           {"a{0,2}b", "aaab", false},
                                           {"(?i)packer", "PACKER", true},
                                           {"packer", "PACKER", false},
                                           {"\\d+", "\\w", true},
                                           {"\\d+", "\\D+", false},
                                           {"[[:alpha:]]+", "[0-9]+", false},
                                           {"a.c", "abc", true},
                                           {"^abc$", "abc", true},
                                           {"\\x41", "A", true},
                                           {"a\\.b", "a\\-b", false},
                                           {"[\\d-]+", "-+", true},
                                           {"[]a]", "\\]", true},
                                           {"\u00e4+", "[\u00e0-\u00ff]", true},
                                           {"\u00e4+", "a+", false},
                                           {"x*", "y*", false},
                                           {"a+?", "a", true},
                                           {"(?:a|bc)(?P<n>d)", "bcd", true}}) {
        INFO(row.a << " and " << row.b);
        std::size_t budget = 100'000;
        const Overlap found = overlap(row.a, row.b, budget);
        CHECK(found.may == row.may);
        std::size_t again = 100'000;
        CHECK(overlap(row.b, row.a, again).may == row.may);
        if (!found.example) continue;
        LevelPattern::Error error;
        CHECK(LevelPattern::compile(row.a, error)->matches(*found.example));
        CHECK(LevelPattern::compile(row.b, error)->matches(*found.example));
    }
    // What can't be taken apart is taken for wider, never for narrower.
    std::size_t budget = 100'000;
    CHECK(overlap("\\pL+", "a", budget).may);
    CHECK(overlap("[^\\pL]+", "1", budget).may);
    budget = 3;
    CHECK(overlap("[a-z]{1,30}x", "[a-z]{1,30}y", budget).may);
}

TEST_CASE("words, periods, rates and dates are read as people write them", "[namespace][model]") {
    CHECK(parse_duration_ms("5s") == 5000);
    CHECK(parse_duration_ms("1.5min") == 90'000);
    CHECK(parse_duration_ms("1d") == 86'400'000);
    for (const char* bad : {"", "5", "s", "-5s", "5 years", "0s", "1e3s"}) CHECK_FALSE(parse_duration_ms(bad));
    CHECK(parse_rate("100/s") == 100);
    CHECK(parse_rate("60/min") == 1);
    CHECK_FALSE(parse_rate("100"));
    CHECK(parse_byte_rate("1 MiB/s") == 1'048'576);
    CHECK(parse_byte_rate("500kB/s") == 500'000);
    CHECK_FALSE(parse_byte_rate("1 MiB"));
    CHECK(parse_date_ms("1970-01-01T00:00:01Z") == 1000);
    CHECK(parse_date_ms("1970-01-01") == 86'399'999);
    CHECK(parse_date_ms("2024-02-29"));
    for (const char* bad :
         {"2023-02-29", "2024-13-01", "24-01-01", "2024-01-01T25:00:00Z", "tomorrow", "2024-01-01 "}) {
        CHECK_FALSE(parse_date_ms(bad));
    }
    CHECK(date_text(*parse_date_ms("2026-06-30")) == "2026-06-30T23:59:59Z");
    CHECK(date_text(-1) == "1969-12-31T23:59:59Z");
    CHECK(fold_case("ABF\u00dcLLUNG \u0416 \u03a3") == "abf\u00fcllung \u0436 \u03c3");
    CHECK(edit_distance("packaging", "pakcaging", 4) == 1);
    CHECK(edit_distance("abc", "xyz", 1) == 2);
    CHECK(nearest_word("Packaging", {"bottling", "packaging"}) == "packaging");
    CHECK(nearest_word("zzz", {"bottling", "packaging"}).empty());
    CHECK(glob_matches("edge-*-?", "edge-a-b-1"));
    CHECK_FALSE(glob_matches("edge-*", "Edge-1"));
    CHECK(glob_matches("*", ""));
    CHECK(quote("a\nb\xff") == "\"a?b?\"");
    CHECK(quote(std::string(200, 'x')).size() < 100);
}
