// Models of EMQX's UNS Governance plugin as a model of ours that gives the same verdicts.
//
// Source: "UNS Governance" in EMQX's plugin catalog (docs.emqx.com): `variable_types`, `payload_types`, `tree` with
// `{name}`, `+`, `#`, `_payload`, `_type`, `_var_type`. There, of several models the first one by id whose topic
// filters match decides about a topic alone; here models that match the same topic are refused, so that nothing depends
// on order.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "namespace/problem.h"

namespace trunkline::uns {

struct EmqxFile {
    std::string name;  ///< for messages
    std::string text;  ///< one model, or an array of models, as JSON; also the `{"models": [...]}` of its API
};

struct EmqxOptions {
    std::string version = "1.0.0";
    std::string name;  ///< of the namespace; empty: the id of the first model
};

struct EmqxImport {
    std::string yaml;                ///< empty when there is any problem
    std::vector<Problem> problems;   ///< all of them; place is "file.json: /tree/default"
    std::vector<std::string> notes;  ///< where EMQX does something that its author may not expect
};

/// Takes at most 16 MiB together. Never throws for what is written in the files.
[[nodiscard]] EmqxImport import_emqx(std::span<const EmqxFile> files, const EmqxOptions& options = {});

}  // namespace trunkline::uns
