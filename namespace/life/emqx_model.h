// One model of EMQX's UNS Governance as its JSON says it.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "namespace/life/emqx_import.h"

namespace trunkline::uns::emqx {

using Json = nlohmann::ordered_json;

struct Node {
    enum class Kind { literal, variable, rest };
    Kind kind = Kind::literal;
    std::string name;     ///< the level, or the variable within {}; of "+" it is "any"
    std::string match;    ///< of a variable: expression for the whole level; empty: any name
    std::string payload;  ///< as our model names it; empty: no endpoint
    std::string place;    ///< JSON pointer
    std::vector<std::unique_ptr<Node>> children;

    /// A name that may stand here, for messages.
    [[nodiscard]] std::string sample() const { return kind == Kind::variable ? "{" + name + "}" : name; }
};

struct Model {
    std::string id, name, file;
    std::map<std::string, std::string> payloads;  ///< name -> JSON Schema with type object
    Node root;
};

/// What our model calls a payload: its name, where that is free and an identifier.
[[nodiscard]] std::string payload_name(const Model& model, const std::string& name, bool several_models);

/// Reads the models of a file; everything that is wrong goes to `problems`.
void read_models(const EmqxFile& file, std::vector<Model>& models, std::vector<Problem>& problems,
                 std::vector<std::string>& notes);

}  // namespace trunkline::uns::emqx
