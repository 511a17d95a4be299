// Any bytes as the configuration. What is read can be shown, equals itself and asks for no restart; what is refused
// says so with rule and place, all problems once and in the order of the file.
#include <cstdlib>
#include <string>
#include <string_view>

#include "broker/config_file.h"
#include "broker/config_json.h"

using namespace trunkline;
using namespace trunkline::broker;

namespace {

void require(bool holds) {
    if (!holds) std::abort();
}

bool same(const std::vector<Problem>& one, const std::vector<Problem>& other) {
    return std::equal(one.begin(), one.end(), other.begin(), other.end(), [](const Problem& a, const Problem& b) {
        return to_string(a) == to_string(b);
    });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    if (size > 16'384) return 0;
    // What names files of the machine would read them, and some of those never end.
    if (text.find("/dev") != std::string_view::npos || text.find("/proc") != std::string_view::npos) return 0;
    const ConfigResult result = parse_config(text, "f.yaml", {});
    for (const Problem& problem : result.problems) {
        require(problem.rule.starts_with("TL-9") && !problem.place.empty() && !problem.message.empty());
    }
    const ConfigResult again = parse_config(text, "f.yaml", {});
    require(same(result.problems, again.problems));
    require(needs_restart(result.config, again.config).empty());
    if (result.ok()) require(!config_json(result.config).empty());
    return 0;
}
