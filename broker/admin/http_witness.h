// Another Trunkline as a witness: each checkpoint goes to its administration, which keeps it in its own audit folder.
#pragma once

#include <string>

#include "auth/audit/witness.h"

namespace trunkline::admin {

class HttpWitness : public auth::audit::Witness {
public:
    /// `url`: http://HOST:PORT, or https:// with the file of who signs the certificate there (`ca_file`; empty: whom
    /// this machine trusts). `token_file` holds the token for it; empty: none. Files are read at each delivery, so that
    /// they can be changed.
    HttpWitness(std::string url, std::string token_file, std::string ca_file)
        : url_(std::move(url)), token_file_(std::move(token_file)), ca_file_(std::move(ca_file)) {}
    [[nodiscard]] std::string name() const override { return "trunkline " + url_; }
    /// Blocks for up to 5 s.
    [[nodiscard]] auth::audit::Status deliver(const std::string& line) override;

private:
    std::string url_, token_file_, ca_file_;
};

}  // namespace trunkline::admin
