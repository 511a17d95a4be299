#include "broker/cli/events.h"

#include <iostream>

#include "broker/cli/fields.h"

namespace trunkline::cli {

int show_events(const Tool& tool, const std::string& target, const std::string& what, std::uint64_t count,
                const std::function<bool(const Json& event, std::string_view text)>& show) {
    std::uint64_t seen = 0;
    std::string ended;
    stream(tool.server, target, [&](std::string_view name, std::string_view data) {
        const Json json = Json::parse(data, nullptr, false);
        if (name == "end") {
            ended = json.is_object() ? text_of(json, "reason") : "";
            return false;
        }
        if (!json.is_object()) return true;
        seen += show(json, data) ? 1 : 0;
        std::cout.flush();
        return std::cout.good() && (count == 0 || seen < count);
    });
    if (!ended.empty()) throw Failure(exit_findings, "the " + what + " ended: " + ended);
    return exit_ok;
}

void print_event(const Tool& tool, const Json& json, std::string_view text, const std::function<void()>& print_line) {
    if (tool.out.format() == Format::table) {
        print_line();
    } else if (tool.out.format() == Format::yaml) {
        std::cout << "---\n" << to_yaml(json);
    } else {
        std::cout << text << '\n';
    }
}

}  // namespace trunkline::cli
