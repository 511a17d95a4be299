#include "broker/config_check.h"

#include "broker/config_file.h"
#include "broker/model_file.h"
#include "broker/security.h"

namespace trunkline::broker {

std::vector<Problem> check_named_files(const Config& config) {
    std::vector<Problem> problems;
    if (!config.model_file.empty()) problems = load_model_file(config.model_file).problems;
    const auto found = Security::check(config);
    problems.insert(problems.end(), found.begin(), found.end());
    return problems;
}

std::vector<Problem> check_config_file(const std::string& path) {
    Options options;
    options.config_file = path;
    ConfigResult loaded = load_config(options);
    return loaded.ok() ? check_named_files(loaded.config) : std::move(loaded.problems);
}

}  // namespace trunkline::broker
