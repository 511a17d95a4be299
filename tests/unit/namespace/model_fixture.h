// What the tests of the model share: files of the source tree, and models that must compile.
#pragma once

#include <catch2/catch.hpp>

#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <string_view>

#include "namespace/model/model.h"

namespace trunkline::uns::test {

/// A file of the source tree; `path` starts at its root.
inline std::string read_source(const std::string& path) {
    std::ifstream in(std::string(TRUNKLINE_SOURCE) + "/" + path);
    INFO(path);
    REQUIRE(in);
    std::ostringstream text;
    text << in.rdbuf();
    return text.str();
}

inline std::shared_ptr<const Model> compiled(std::string_view text, std::string_view file = "m.yaml") {
    const Model::Result result = Model::compile(text, file);
    for (const Problem& problem : result.problems) UNSCOPED_INFO(to_string(problem));
    REQUIRE(result.model);
    return result.model;
}

/// The lines that every model needs.
inline std::string head(std::string_view rest) {
    return "trunkline: 1\nnamespace: t\nversion: 1.0.0\n" + std::string(rest);
}

}  // namespace trunkline::uns::test
