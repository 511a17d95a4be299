// What is wrong with something a person wrote (configuration, later models and roles), told so that it can be mended.
#pragma once

#include <string>

namespace trunkline {

struct Problem {
    std::string rule;      ///< stable name of the check, such as "TL-9003"; docs/reference lists them
    std::string place;     ///< "file:line:column" or the command-line flag
    std::string message;   ///< what is wrong, with the value found
    std::string fix;       ///< what to do about it
};

/// "place: rule message" and the mend on a line of its own.
[[nodiscard]] inline std::string to_string(const Problem& problem) {
    std::string text = problem.place + ": " + problem.rule + " " + problem.message;
    if (!problem.fix.empty()) text += "\n    fix: " + problem.fix;
    return text;
}

}  // namespace trunkline
