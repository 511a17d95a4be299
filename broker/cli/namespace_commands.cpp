// trunkctl tree, ls, get, find and meta: the namespace as it lives.
#include <algorithm>
#include <array>
#include <iostream>
#include <map>

#include "broker/cli/commands.h"
#include "broker/cli/fields.h"

namespace trunkline::cli {
namespace {

std::size_t level_of(const std::string& topic) {
    return static_cast<std::size_t>(std::count(topic.begin(), topic.end(), '/'));
}

bool is_set(const Json& json, const char* key) {
    const auto at = json.find(key);
    return at != json.end() && at->is_boolean() && at->get<bool>();
}

/// "23.5 Cel", "idle", "{...}"; with what is wrong about its quality.
std::string value_text(const Json& node) {
    if (!node.contains("value")) return {};
    const Json& value = node["value"];
    if (!value.contains("read")) return payload_of(value);
    const Json& read = value["read"];
    std::string text = text_of(read, "text");
    std::string unit = text_of(read, "unit");
    if (unit.empty()) unit = text_of(node, "unit");
    if (!unit.empty()) text += " " + unit;
    const std::string quality = text_of(read, "quality");
    if (!quality.empty() && quality != "good") text += " (" + quality + ")";
    return text;
}

std::string age_text(const Json& node) {
    if (node.contains("age_ms")) return duration_text(static_cast<std::int64_t>(number_of(node, "age_ms")) / 1'000);
    return node.contains("value") ? age_since(node["value"], "stored_at_ms") : std::string();
}

/// "metric number", "work_cell filler@2".
std::string what_text(const Json& node) {
    std::string kind = text_of(node, "kind");
    if (kind == "unknown") kind.clear();
    const std::string level = text_of(node, "level");
    if (!level.empty()) kind = level;
    const std::string type = text_of(node, "type");
    if (!type.empty()) kind += (kind.empty() ? "" : " ") + type;
    return kind;
}

/// What to look at: "STALE", "silent", "3 violations".
std::string note_text(const Json& node) {
    std::string note = text_of(node, "state");
    if (note == "fresh") note.clear();
    if (note == "stale") note = "STALE";
    const std::uint64_t violations = number_of(node, "violations");
    if (violations) {
        note += (note.empty() ? "" : ", ") + number_text(static_cast<double>(violations)) +
                (violations == 1 ? " violation" : " violations");
    }
    return note;
}

std::string rate_text(const Json& node) {
    const double rate = node.value("rate", 0.0);
    if (rate <= 0) return {};
    char text[32];
    std::snprintf(text, sizeof text, rate < 10 ? "%.2f/s" : "%.0f/s", rate);
    return text;
}

struct Row {
    std::string name, what, value, age, note;
};

Row row_of(const Json& node, std::size_t first_level) {
    const std::size_t depth = level_of(text_of(node, "topic")) - first_level;
    std::string name = printable(text_of(node, "name"));
    if (name.empty()) name = "(empty)";
    if (node.value("has_children", false) && !node.contains("value")) name += '/';
    return {std::string(2 * depth, ' ') + name, printable(what_text(node)), printable(value_text(node)),
            age_text(node), note_text(node)};
}

/// Columns that line up; on a terminal the name and the value give way until a row fits.
void print_rows(const Tool& tool, const std::vector<Row>& rows) {
    std::array<std::size_t, 4> widths{};   // the last column, the note, needs none
    std::size_t note = 0;
    for (const Row& row : rows) {
        const std::array<const std::string*, 4> cells{&row.name, &row.what, &row.value, &row.age};
        for (std::size_t i = 0; i < cells.size(); ++i) widths[i] = std::max(widths[i], columns_of(*cells[i]));
        note = std::max(note, columns_of(row.note));
    }
    const auto total = [&] {
        std::size_t sum = note;
        for (const std::size_t width : widths) sum += width + 2;
        return sum;
    };
    for (const std::size_t column : {2U, 1U, 0U}) {
        while (tool.out.width() != 0 && total() > tool.out.width() && widths[column] > 8) --widths[column];
    }
    if (tool.out.width() == 0) widths[2] = std::min<std::size_t>(widths[2], 60);   // longer ones push what follows
    for (const Row& row : rows) {
        const auto cell = [&](const std::string& text, std::size_t column) {
            const std::string shown = tool.out.width() ? cut(text, widths[column]) : text;
            const std::size_t used = columns_of(shown);
            return std::pair(shown, std::string(widths[column] > used ? widths[column] - used + 2 : 2, ' '));
        };
        std::string line;
        const auto add = [&](const std::string& text, std::size_t column, std::string_view colour) {
            const auto [shown, gap] = cell(text, column);
            line += (colour.empty() ? shown : tool.out.colour(colour, shown)) + gap;
        };
        add(row.name, 0, "");
        add(row.what, 1, row.what.empty() ? "" : "2");
        add(row.value, 2, row.value.empty() ? "" : "36");
        add(row.age, 3, "");
        if (!row.note.empty()) line += tool.out.colour(row.note == "silent" ? "33" : "31", row.note);
        line.erase(line.find_last_not_of(' ') + 1);
        std::cout << line << '\n';
    }
}

void print_stats(const Tool& tool, const std::vector<Json>& nodes, std::size_t first_level) {
    struct Level {
        std::uint64_t nodes = 0, values = 0, bytes = 0, stale = 0, silent = 0, violations = 0;
        double rate = 0;
    };
    std::map<std::size_t, Level> levels;
    for (const Json& node : nodes) {
        Level& level = levels[level_of(text_of(node, "topic")) - first_level + 1];
        ++level.nodes;
        const std::string state = text_of(node, "state");
        level.stale += state == "stale";
        level.silent += state == "silent";
        level.violations += number_of(node, "violations");
        level.rate += node.value("rate", 0.0);
        if (!node.contains("value")) continue;
        ++level.values;
        level.bytes += number_of(node["value"], "bytes");
    }
    if (tool.out.format() != Format::table) {
        Json list = Json::array();
        for (const auto& [depth, level] : levels) {
            list.push_back({{"level", depth}, {"nodes", level.nodes}, {"values", level.values},
                            {"bytes", level.bytes}, {"rate", level.rate}, {"stale", level.stale},
                            {"silent", level.silent}, {"violations", level.violations}});
        }
        return tool.out.value(list);
    }
    std::vector<std::vector<std::string>> rows;
    for (const auto& [depth, level] : levels) {
        rows.push_back({std::to_string(depth), std::to_string(level.nodes), std::to_string(level.values),
                        bytes_text(level.bytes), number_text(level.rate), std::to_string(level.stale),
                        std::to_string(level.silent), std::to_string(level.violations)});
    }
    tool.out.table({"LEVEL", "NODES", "VALUES", "BYTES", "MSG/S", "STALE", "SILENT", "VIOLATIONS"}, std::move(rows));
}

std::vector<Json> nodes_below(const Tool& tool, const std::string& path, std::uint32_t depth) {
    std::string target = "/api/v1/namespace/tree?limit=5000&depth=" + std::to_string(depth);
    if (!path.empty()) target += "&path=" + percent_encode(path);
    std::vector<Json> nodes;
    for_each_page(tool.server, target, "nodes", [&](const Json& node) { nodes.push_back(node); });
    return nodes;
}

std::string trimmed(std::string path) {
    if (path.size() > 1 && path.ends_with('/')) path.pop_back();
    return path;
}

/// Nothing is below `path`: says what is there, or that nothing is and what was probably meant.
int nothing_below(const Tool& tool, const std::string& path) {
    if (tool.out.format() != Format::table) tool.out.value(Json::array());
    if (path.empty()) {
        std::cerr << "trunkctl: the namespace is empty: nothing was published yet, and there is no model\n";
        return exit_findings;
    }
    const Json meta = request(tool.server, "GET", "/api/v1/namespace/meta?topic=" + percent_encode(path));
    std::cerr << "trunkctl: nothing is below " << printable(text_of(meta, "topic")) << "; see trunkctl get "
              << printable(path) << '\n';
    return exit_findings;
}

void print_fields(const Json& json, const std::string& prefix, std::vector<std::vector<std::string>>& rows) {
    for (const auto& field : json.items()) {
        const std::string name = prefix.empty() ? field.key() : prefix + "." + field.key();
        if (field.value().is_object()) {
            print_fields(field.value(), name, rows);
        } else if (field.key().ends_with("_ms") && field.key() != "every_ms" && field.key() != "age_ms") {
            rows.push_back({name, age_since(json, field.key().c_str()) + " ago"});
        } else if (field.value().is_array()) {
            std::string list;
            for (const Json& entry : field.value()) {
                list += (list.empty() ? "" : ", ") + (entry.is_string() ? entry.get<std::string>() : entry.dump());
            }
            rows.push_back({name, list.empty() ? "-" : list});
        } else {
            rows.push_back({name, text_of(json, field.key().c_str())});
        }
    }
}

}  // namespace

int tree(const Tool& tool, const std::string& typed, std::uint32_t depth, bool stats) {
    const std::string path = trimmed(typed);
    const std::vector<Json> nodes = nodes_below(tool, path, depth);
    if (nodes.empty()) return nothing_below(tool, path);
    const std::size_t first_level = path.empty() ? 0 : level_of(path) + 1;
    if (stats) {
        print_stats(tool, nodes, first_level);
    } else if (tool.out.format() == Format::table) {
        std::vector<Row> rows;
        for (const Json& node : nodes) rows.push_back(row_of(node, first_level));
        print_rows(tool, rows);
    } else {
        tool.out.value(Json(nodes));
    }
    return exit_ok;
}

int list(const Tool& tool, const std::string& typed) {
    const std::string path = trimmed(typed);
    const std::vector<Json> nodes = nodes_below(tool, path, 1);
    if (nodes.empty()) return nothing_below(tool, path);
    if (tool.out.format() != Format::table) {
        tool.out.value(Json(nodes));
        return exit_ok;
    }
    std::vector<std::vector<std::string>> rows;
    for (const Json& node : nodes) {
        std::string name = text_of(node, "name");
        if (node.value("has_children", false)) name += '/';
        rows.push_back({name, what_text(node), value_text(node), age_text(node), rate_text(node),
                        text_of(node, "publisher"), note_text(node)});
    }
    tool.out.table({"NAME", "WHAT", "VALUE", "AGE", "RATE", "PUBLISHER", "NOTE"}, std::move(rows));
    return exit_ok;
}

int get(const Tool& tool, const std::string& topic) {
    const Json json = request(tool.server, "GET", "/api/v1/namespace/get?topic=" + percent_encode(topic));
    if (tool.out.format() != Format::table) {
        tool.out.value(json);
        return exit_ok;
    }
    const std::string payload = payload_of(json);
    std::cout << (tool.out.terminal() ? printable(payload, true) : payload) << '\n';
    if (!tool.out.terminal()) return exit_ok;   // a pipe gets the value alone
    std::string line = age_text({{"value", json}}) + " old, " + (is_set(json, "retain") ? "retained" : "not retained");
    if (const std::string publisher = text_of(json, "publisher"); !publisher.empty()) line += ", by " + publisher;
    if (const std::string note = note_text(json); !note.empty()) line += ", " + note;
    std::cout << tool.out.colour("2", printable(line)) << '\n';
    return exit_ok;
}

int find(const Tool& tool, const Search& search) {
    std::string words;
    for (const std::string& word : search.words) words += (words.empty() ? "" : " ") + word;
    std::string target = "/api/v1/namespace/find?limit=" + std::to_string(std::min(search.most, 1'000U));
    const auto add = [&](const char* name, const std::string& text) {
        if (!text.empty()) target += std::string("&") + name + "=" + percent_encode(text);
    };
    add("q", words);
    add("type", search.type);
    add("unit", search.unit);
    add("owner", search.owner);
    add("kind", search.kind);
    if (search.stale) target += "&stale=true";
    Json found = Json::array();
    std::uint64_t matched = 0;
    std::string cursor;
    do {
        const Json page = request(tool.server, "GET", cursor.empty() ? target : target + "&cursor=" + cursor);
        matched = number_of(page, "matched");
        for (const Json& topic : page["topics"]) {
            if (found.size() < search.most) found.push_back(topic);
        }
        cursor = text_of(page, "cursor");
    } while (!cursor.empty() && found.size() < search.most);
    std::sort(found.begin(), found.end(),
              [](const Json& a, const Json& b) { return text_of(a, "topic") < text_of(b, "topic"); });
    if (tool.out.format() != Format::table) {
        tool.out.value(found);
        return found.empty() ? exit_findings : exit_ok;
    }
    std::vector<std::vector<std::string>> rows;
    for (const Json& topic : found) {
        rows.push_back({text_of(topic, "topic"), what_text(topic), value_text(topic), age_text(topic),
                        text_of(topic, "owner"), note_text(topic)});
    }
    if (rows.empty()) {
        std::cerr << "trunkctl: nothing is like that\n";
        return exit_findings;
    }
    tool.out.table({"TOPIC", "WHAT", "VALUE", "AGE", "OWNER", "NOTE"}, std::move(rows));
    if (matched > found.size()) {
        std::cerr << "the first " << found.size() << " of " << number_text(static_cast<double>(matched))
                  << "; more words, or -n, show others\n";
    }
    return exit_ok;
}

int meta(const Tool& tool, const std::string& topic) {
    const Json json = request(tool.server, "GET", "/api/v1/namespace/meta?topic=" + percent_encode(topic));
    if (tool.out.format() != Format::table) {
        tool.out.value(json);
        return exit_ok;
    }
    std::vector<std::vector<std::string>> rows;
    print_fields(json, "", rows);
    tool.out.table({"FIELD", "VALUE"}, std::move(rows));
    return exit_ok;
}

}  // namespace trunkline::cli
