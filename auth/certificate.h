// What a client certificate says of its holder. TLS has verified it; here it is only read.
#pragma once

#include <optional>
#include <string_view>

#include "auth/principal.h"

namespace trunkline::auth {

/// Reads a certificate in DER. nullopt: it is none. A field that is there twice, that is empty or that has a NUL or
/// another control character in it stays empty: nobody gets a name that can be read in two ways.
[[nodiscard]] std::optional<CertificateFields> read_certificate(std::string_view der);

}  // namespace trunkline::auth
