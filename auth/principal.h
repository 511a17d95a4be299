// Who a client is, as authentication found it: the subject of every decision about access.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace trunkline::auth {

/// What a verified client certificate says. Empty strings and lists where it says nothing.
struct CertificateFields {
    std::string subject;                    ///< distinguished name as RFC 2253 writes it
    std::string issuer;
    std::string common_name;
    std::string organization;
    std::string organizational_unit;
    std::string serial;                     ///< hexadecimal, lower case, no separators
    std::string fingerprint;                ///< SHA-256 of the DER form, hexadecimal, lower case
    std::vector<std::string> dns;           ///< subject alternative names by kind
    std::vector<std::string> email;
    std::vector<std::string> uri;
    std::vector<std::string> ip;
    [[nodiscard]] bool present() const { return !fingerprint.empty() || !subject.empty() || !common_name.empty(); }
};

/// Made by authentication, kept by the connection, read by every decision.
struct Principal {
    std::string user;                       ///< empty: nobody in particular (anonymous)
    std::string client_id;
    std::vector<std::string> roles;         ///< given by the authenticator (a token's claim), beside those of the file
    std::vector<std::string> groups;        ///< given by the authenticator (LDAP, a token), beside those of the file
    CertificateFields certificate;
    std::string address;                    ///< of the peer, without its port
    std::string method;                     ///< "password", "certificate", "jwt", "scram-sha-256", "anonymous", ...
    std::int64_t expires_ms = 0;            ///< UTC milliseconds since 1970 when the connection must end; 0: never

    [[nodiscard]] bool anonymous() const { return user.empty(); }
};

}  // namespace trunkline::auth
