#include <algorithm>

#include "namespace/model/compiler.h"
#include "namespace/model/text.h"

namespace trunkline::uns {
namespace {

constexpr std::size_t patterns_max = 2'000;  // different ones of a model
constexpr std::size_t program_size_total_max = 1'000'000;

struct LevelRule {
    std::string_view parent;
    std::vector<std::string_view> children;
};

// IEC 62264-1:2013, figure 4, and ISA-88 (IEC 61512-1) below the unit.
const std::vector<LevelRule>& isa95_table() {
    static const std::vector<LevelRule> table{
        {"", {"enterprise"}},
        {"enterprise", {"site"}},
        {"site", {"area"}},
        {"area", {"process_cell", "production_unit", "production_line", "storage_zone"}},
        {"process_cell", {"unit"}},
        {"production_unit", {"unit"}},
        {"production_line", {"work_cell"}},
        {"storage_zone", {"storage_unit"}},
        {"unit", {"equipment_module", "control_module"}},
        {"work_cell", {"equipment_module", "control_module"}},
        {"storage_unit", {"equipment_module", "control_module"}},
        {"equipment_module", {"equipment_module", "control_module"}},
        {"control_module", {"control_module"}}};
    return table;
}

}  // namespace

std::span<const std::string_view> LevelRules::below(std::string_view parent) {
    for (const LevelRule& rule : isa95_table()) {
        if (rule.parent == parent) return rule.children;
    }
    return {};
}

std::vector<std::string_view> LevelRules::kinds() {
    std::vector<std::string_view> out;
    for (const LevelRule& rule : isa95_table()) {
        if (!rule.parent.empty()) out.push_back(rule.parent);
    }
    return out;
}

bool LevelRules::is_kind(std::string_view kind) {
    return !kind.empty() && std::any_of(isa95_table().begin(), isa95_table().end(),
                                        [&](const LevelRule& rule) { return rule.parent == kind; });
}

std::string LevelRules::parents_of(std::string_view kind) {
    std::string out;
    for (const LevelRule& rule : isa95_table()) {
        if (std::find(rule.children.begin(), rule.children.end(), kind) == rule.children.end()) continue;
        out += (out.empty() ? "" : " or ") +
               (rule.parent.empty() ? std::string("at the top") : "under " + with_article(rule.parent));
    }
    return out;
}

Compiler::Compiler(const syntax::Document& document, Problems& problems, std::string_view source)
    : document_(document),
      problems_(problems),
      source_(source),
      owned_(std::make_unique<Model::Data>()),
      data_(*owned_) {
    for (const syntax::Payload& payload : document.payloads) payload_names_.emplace(payload.name.value, &payload);
}

std::shared_ptr<const Model> Compiler::run() {
    compile_head();
    compile_naming();
    compile_payloads();
    compile_types();
    compile_tree();
    compile_aliases();
    compile_exempt();
    compile_sparkplug();
    if (!problems_.empty()) return nullptr;
    data_.source = source_;
    for (const auto& [text, compiled] : pattern_cache_) data_.patterns.push_back(compiled);
    return std::make_shared<const Model>(std::move(owned_));
}

void Compiler::compile_head() {
    data_.file = problems_.file();
    data_.name = document_.name;
    data_.version = document_.version;
    data_.hash = document_.yaml->hash();
    data_.owner = data_.texts.keep(document_.owner);
    data_.description = data_.texts.keep(document_.description);
    data_.mode = document_.mode;
    data_.unmodelled = document_.unmodelled.value_or(document_.mode);
    data_.v3_reject = document_.v3_reject;
    data_.unique_ignoring_case = document_.naming.unique_ignoring_case;
}

bool Compiler::is_kind(std::string_view kind) const {
    using Levels = syntax::Document::Levels;
    if (document_.levels == Levels::free) return true;
    if (document_.levels == Levels::isa95) return LevelRules::is_kind(kind);
    return std::any_of(document_.level_list.begin(), document_.level_list.end(),
                       [&](const syntax::Text& level) { return level.value == kind; });
}

std::vector<std::string_view> Compiler::all_kinds() const {
    if (document_.levels == syntax::Document::Levels::isa95) return LevelRules::kinds();
    std::vector<std::string_view> out;
    for (const syntax::Text& level : document_.level_list) out.push_back(level.value);
    return out;
}

const LevelPattern* Compiler::pattern(const syntax::Text& text) {
    const auto found = pattern_cache_.find(std::string(text.value));
    if (found != pattern_cache_.end()) return found->second.get();
    if (pattern_cache_.size() >= patterns_max || program_size_ > program_size_total_max) {
        add("TL-9102", text.place, "the regular expressions of the model are too many or too large together",
            "use the same expression where the same is meant, or naming rules");
        return nullptr;
    }
    LevelPattern::Error error;
    auto compiled = LevelPattern::compile(text.value, error);
    if (compiled) {
        program_size_ += static_cast<std::size_t>(compiled->program_size());
    } else {
        add(error.too_large ? "TL-9151" : "TL-9150", text.place, error.message, error.mend);
        if (error.too_large) program_size_ += LevelPattern::program_size_max;
    }
    return pattern_cache_.emplace(std::string(text.value), std::move(compiled)).first->second.get();
}

void Compiler::compile_naming() {
    for (const auto& [what, expression] : document_.naming.expressions) {
        const bool member =
            what.value == "default" || what.value == "metric" || what.value == "event" || what.value == "command";
        if (!member && !is_kind(what.value)) {
            std::vector<std::string_view> known = all_kinds();
            for (const std::string_view word : {"default", "metric", "event", "command", "unique_ignoring_case"}) {
                known.push_back(word);
            }
            const std::string_view near = nearest_word(what.value, known);
            add("TL-9105", what.place, "naming has no key " + quote(what.value) + ", and no level is of that kind",
                near.empty() ? "use default, metric, event, command or a kind of level"
                             : "did you mean " + std::string(near) + "?");
            continue;
        }
        if (const LevelPattern* compiled = pattern(expression)) naming_.emplace_back(what.value, compiled);
    }
}

const LevelPattern* Compiler::naming_of(std::string_view kind) const {
    const LevelPattern* fallback = nullptr;
    for (const auto& [what, compiled] : naming_) {
        if (!kind.empty() && what == kind) return compiled;
        if (what == "default") fallback = compiled;
    }
    return fallback;
}

void Compiler::check_name(const syntax::Text& name, std::string_view kind) {
    const LevelPattern* rule = naming_of(kind);
    if (!rule) return;
    std::string_view rest = name.value;
    for (bool more = true; more;) {
        const std::size_t slash = rest.find('/');
        const std::string_view level = rest.substr(0, slash);
        more = slash != std::string_view::npos;
        if (more) rest.remove_prefix(slash + 1);
        if (rule->matches(level)) continue;
        add("TL-9140", name.place,
            quote(level) + " breaks the naming rule of " + (kind.empty() ? "levels" : with_article(kind)) + ": " +
                rule->text(),
            "rename it, or widen naming." + std::string(kind.empty() ? "default" : kind));
        return;
    }
}

Model::Result Model::compile(std::string_view text, std::string_view file) {
    Problems problems{std::string(file)};
    Result result;
    const auto document = syntax::parse(text, problems);
    if (document) {
        Compiler compiler(*document, problems, text);
        result.model = compiler.run();
    }
    result.problems = problems.take();
    return result;
}

std::shared_ptr<const Model> Model::empty() {
    return compile("trunkline: 1\nnamespace: none\nversion: 0\ndefaults: {mode: observe}\n", "no model").model;
}

}  // namespace trunkline::uns
