// Another Trunkline as a witness: each checkpoint goes to its administration, which keeps it in its own audit folder.
#pragma once

#include <string>

#include "auth/audit/witness.h"

namespace trunkline::admin {

class HttpWitness : public auth::audit::Witness {
public:
    /// `url`: http://HOST:PORT. `token_file` holds the token for it, read at each delivery so that it can be changed;
    /// empty: none.
    HttpWitness(std::string url, std::string token_file) : url_(std::move(url)), token_file_(std::move(token_file)) {}
    [[nodiscard]] std::string name() const override { return "trunkline " + url_; }
    /// Blocks for up to 5 s.
    [[nodiscard]] auth::audit::Status deliver(const std::string& line) override;

private:
    std::string url_, token_file_;
};

}  // namespace trunkline::admin
