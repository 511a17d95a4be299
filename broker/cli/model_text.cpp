#include "broker/cli/model_text.h"

#include <algorithm>
#include <iostream>

#include "broker/cli/fields.h"

namespace trunkline::cli {
namespace {

constexpr const char* red = "31";
constexpr const char* green = "32";
constexpr const char* yellow = "33";
constexpr const char* bold = "1";

void heading(const Tool& tool, const std::string& text) { std::cout << '\n' << tool.out.colour(bold, text) << '\n'; }

std::string outcome_counts(const Json& counts) {
    std::string out;
    for (const char* key : {"accepted", "observed", "quarantined", "refused"}) {
        const std::uint64_t count = count_in(counts, key);
        if (count > 0) out += (out.empty() ? "" : ", ") + number_text(static_cast<double>(count)) + " " + key;
    }
    return out.empty() ? "nothing" : out;
}

std::string label(std::string name) {
    name.resize(std::max<std::size_t>(name.size(), 9), ' ');
    return name + " ";
}

std::string list_of(const Json& list) {
    std::string out;
    for (const Json& entry : list) {
        if (entry.is_string()) out += (out.empty() ? "" : ", ") + entry.get<std::string>();
    }
    return out;
}

const Json& array_in(const Json& json, const char* key) {
    static const Json none = Json::array();
    const auto at = json.find(key);
    return at != json.end() && at->is_array() ? *at : none;
}

std::string duration_of(std::uint64_t ms) {
    if (ms % 1'000 != 0) return std::to_string(ms) + "ms";
    return duration_text(static_cast<std::int64_t>(ms / 1'000));
}

void print_findings(const Tool& tool, const Json& plan, const std::string& client) {
    std::string last_topic;
    for (const Json& finding : array_in(plan, "findings")) {
        if (text_in(finding, "client_id") != client) continue;
        const std::string topic = text_in(finding, "topic");
        if (topic != last_topic) std::cout << "    " << printable(topic) << '\n';
        last_topic = topic;
        const std::string place = text_in(finding, "place");
        std::cout << "      " << tool.out.colour(finding.value("new", false) ? red : yellow, text_in(finding, "rule"))
                  << " " << printable(text_in(finding, "text")) << "  (" << count_in(finding, "messages") << " of "
                  << count_in(finding, "of") << ", " << printable(text_in(finding, "after"))
                  << (finding.value("new", false) ? "" : ", as today") << ")"
                  << (place.empty() ? "" : "  " + printable(place)) << '\n';
        const std::string fix = text_in(finding, "fix");
        if (!fix.empty()) std::cout << "        fix: " << printable(fix) << '\n';
    }
}

}  // namespace

std::string text_in(const Json& json, const char* key) {
    const auto at = json.find(key);
    if (at == json.end() || at->is_null()) return {};
    return at->is_string() ? at->get<std::string>() : at->dump();
}

std::uint64_t count_in(const Json& json, const char* key) {
    const auto at = json.find(key);
    return at != json.end() && at->is_number() ? at->get<std::uint64_t>() : 0;
}

std::string counted(std::uint64_t count, const std::string& noun) {
    return number_text(static_cast<double>(count)) + " " + noun + (count == 1 ? "" : "s");
}

void print_problems(const Tool& tool, const Json& problems) {
    for (const Json& problem : problems) {
        std::cout << printable(text_in(problem, "place")) << ": " << tool.out.colour(red, text_in(problem, "rule"))
                  << " " << printable(text_in(problem, "message")) << '\n';
        const std::string fix = text_in(problem, "fix");
        if (!fix.empty()) std::cout << "    fix: " << printable(fix) << '\n';
    }
}

void print_changes(const Tool& tool, const Json& changes) {
    for (const Json& change : changes) {
        const bool breaking = change.value("breaking", false);
        std::cout << "  "
                  << (breaking ? tool.out.colour(red, printable(text_in(change, "text")))
                               : printable(text_in(change, "text")))
                  << '\n';
    }
}

void print_plan(const Tool& tool, const Json& plan) {
    const std::string from = text_in(plan, "from");
    std::cout << label("plan") << printable(text_in(plan, "name")) << " "
              << (from.empty() ? "(no model)" : printable(from)) << " -> " << printable(text_in(plan, "to")) << '\n';
    const std::int64_t age_s = (now_ms() - static_cast<std::int64_t>(count_in(plan, "first_ms"))) / 1'000;
    std::cout << label("traffic");
    if (count_in(plan, "messages") == 0)
        std::cout << "none was kept: only the models are compared\n";
    else
        std::cout << counted(count_in(plan, "messages"), "message") << " on "
                  << counted(count_in(plan, "topics"), "topic") << " of the last " << duration_text(age_s) << '\n';
    std::cout << label("today") << outcome_counts(plan.at("before")) << '\n'
              << label("then") << outcome_counts(plan.at("after")) << '\n';
    const Json& changes = array_in(plan, "changes");
    if (changes.empty()) {
        std::cout << label("changes") << "none: the models mean the same\n";
    } else {
        heading(tool, "what changes");
        print_changes(tool, changes);
    }
    if (!array_in(plan, "publishers").empty()) heading(tool, "publishers that break the model");
    for (const Json& publisher : array_in(plan, "publishers")) {
        const std::string user = text_in(publisher, "user");
        std::cout << "  " << printable(text_in(publisher, "client_id"))
                  << (user.empty() ? "" : " (" + printable(user) + ")") << "  " << count_in(publisher, "breaking")
                  << " of " << counted(count_in(publisher, "messages"), "message") << '\n';
        print_findings(tool, plan, text_in(publisher, "client_id"));
    }
    if (!array_in(plan, "silenced").empty()) heading(tool, "subscribers that would get nothing any more");
    for (const Json& one : array_in(plan, "silenced")) {
        std::cout << "  " << printable(text_in(one, "client_id")) << "  " << printable(text_in(one, "filter")) << "  ("
                  << counted(count_in(one, "messages"), "message") << " today)\n";
    }
    if (!array_in(plan, "silent").empty()) heading(tool, "assets of the model that nothing was heard from");
    for (const Json& asset : array_in(plan, "silent")) {
        const std::string owner = text_in(asset, "owner");
        std::cout << "  " << printable(text_in(asset, "topic")) << "  " << printable(text_in(asset, "type")) << "  "
                  << printable(text_in(asset, "place")) << (owner.empty() ? "" : "  owner " + printable(owner)) << '\n';
    }
    for (const Json& note : array_in(plan, "notes"))
        std::cout << "\nnote: " << printable(note.get<std::string>()) << '\n';
    std::cout << '\n';
    const std::uint64_t breaks = count_in(plan, "newly_breaking");
    const std::uint64_t silenced = count_in(plan, "silenced_total");
    if (breaks == 0 && silenced == 0) {
        std::cout << tool.out.colour(green, "nothing that works today would break") << '\n';
    } else {
        std::cout << tool.out.colour(red, counted(breaks, "message") + " would break that " +
                                              (breaks == 1 ? "does" : "do") + " not today, " +
                                              counted(silenced, "subscription") + " would fall silent")
                  << '\n';
    }
}

void print_drift(const Tool& tool, const Json& drift) {
    std::cout << label("traffic") << counted(count_in(drift, "messages"), "message") << " on "
              << counted(count_in(drift, "topics"), "topic") << '\n';
    std::string last;
    for (const Json& item : array_in(drift, "items")) {
        const std::string kind = text_in(item, "kind");
        if (kind != last) heading(tool, kind);
        last = kind;
        const std::string place = text_in(item, "place"), rule = text_in(item, "rule");
        std::cout << "  " << printable(text_in(item, "subject")) << (place.empty() ? "" : "  " + printable(place))
                  << '\n'
                  << "    " << (rule.empty() ? "" : tool.out.colour(yellow, rule) + " ")
                  << printable(text_in(item, "text"));
        if (const std::uint64_t messages = count_in(item, "messages"))
            std::cout << "  (" << counted(messages, "message") << ")";
        std::cout << '\n';
        const std::string topics = list_of(array_in(item, "topics"));
        const std::uint64_t total = count_in(item, "topics_total"), shown = array_in(item, "topics").size();
        if (!topics.empty() && topics != text_in(item, "subject")) {
            std::cout << "    on " << printable(topics)
                      << (total > shown ? " and " + std::to_string(total - shown) + " more" : "") << '\n';
        }
        const std::string clients = list_of(array_in(item, "clients"));
        if (!clients.empty() && !rule.empty()) std::cout << "    by " << printable(clients) << '\n';
        std::cout << "    change: " << printable(text_in(item, "change")) << '\n';
    }
    for (const Json& note : array_in(drift, "notes"))
        std::cout << "\nnote: " << printable(note.get<std::string>()) << '\n';
    std::cout << '\n';
    const std::uint64_t total = count_in(drift, "items_total");
    if (total == 0)
        std::cout << tool.out.colour(green, "the traffic does what the model says") << '\n';
    else
        std::cout << counted(total, "difference") << " between model and traffic\n";
}

void print_explain(const Tool& tool, const Json& report) {
    std::size_t widest = 0;
    for (const Json& check : array_in(report, "checks")) {
        if (!text_in(check, "place").empty()) widest = std::max(widest, columns_of(printable(text_in(check, "text"))));
    }
    // A long text pushes its own place to the right, not everybody's.
    widest = std::min<std::size_t>(widest, 72);
    for (const Json& check : array_in(report, "checks")) {
        std::string stage = text_in(check, "stage"), result = text_in(check, "result");
        const std::string text = printable(text_in(check, "text")), place = printable(text_in(check, "place"));
        stage.resize(std::max<std::size_t>(stage.size(), 13), ' ');
        const std::string padded = result + std::string(result.size() < 8 ? 8 - result.size() : 1, ' ');
        const char* colour = result == "FAIL" ? red : result == "ok" ? green : "";
        std::string line = std::to_string(count_in(check, "step")) + " " + stage + " " +
                           (*colour ? tool.out.colour(colour, padded) : padded) + text;
        if (!place.empty()) {
            const std::size_t columns = columns_of(text);
            line += std::string(columns < widest ? widest - columns : 0, ' ') + "  " + place;
        }
        while (line.ends_with(' ')) line.pop_back();
        std::cout << line << '\n';
    }
    std::cout << "verdict         " << printable(text_in(report, "verdict")) << '\n';
    const std::string fix = text_in(report, "fix");
    if (fix.empty()) return;
    const bool is_topic = fix.find(' ') == std::string::npos && fix.find('/') != std::string::npos;
    std::cout << "fix             " << (is_topic ? "publish to " : "") << printable(fix) << '\n';
}

void print_sheet(const Tool& tool, const Json& topics) {
    std::vector<std::vector<std::string>> rows;
    for (const Json& line : topics) {
        const std::uint64_t every = count_in(line, "every_ms");
        rows.push_back({text_in(line, "topic"), text_in(line, "kind"),
                        text_in(line, "type").empty() ? text_in(line, "payload") : text_in(line, "type"),
                        text_in(line, "unit"), text_in(line, "range"), every == 0 ? "" : duration_of(every),
                        text_in(line, "example")});
    }
    tool.out.table({"TOPIC", "KIND", "TYPE", "UNIT", "RANGE", "EVERY", "EXAMPLE"}, std::move(rows));
}

}  // namespace trunkline::cli
