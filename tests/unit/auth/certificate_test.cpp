#include <memory>
#include <vector>

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "auth/certificate.h"
#include "tests/unit/auth/samples.h"

using namespace trunkline::auth;
using namespace trunkline::auth::test;

namespace {

using Entry = std::pair<const char*, std::string>;

std::string certificate(const std::vector<Entry>& subject, const char* alternative) {
    EVP_PKEY* key = EVP_EC_gen("P-256");
    X509* made = X509_new();
    X509_set_version(made, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(made), 0x1A2B);
    X509_gmtime_adj(X509_getm_notBefore(made), 0);
    X509_gmtime_adj(X509_getm_notAfter(made), 3600);
    X509_set_pubkey(made, key);
    X509_NAME* name = X509_get_subject_name(made);
    for (const auto& [field, value] : subject) {
        REQUIRE(X509_NAME_add_entry_by_txt(name, field, V_ASN1_UTF8STRING,
                                           reinterpret_cast<const unsigned char*>(value.data()),
                                           static_cast<int>(value.size()), -1, 0) == 1);
    }
    if (alternative) {
        X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, nullptr, NID_subject_alt_name, alternative);
        REQUIRE(extension);
        X509_add_ext(made, extension, -1);
        X509_EXTENSION_free(extension);
    }
    REQUIRE(X509_sign(made, key, EVP_sha256()) > 0);
    unsigned char* bytes = nullptr;
    const int size = i2d_X509(made, &bytes);
    std::string der(reinterpret_cast<char*>(bytes), static_cast<std::size_t>(size));
    OPENSSL_free(bytes);
    X509_free(made);
    EVP_PKEY_free(key);
    return der;
}

}  // namespace

TEST_CASE("the fields of a certificate are read", "[auth]") {
    const std::string der =
        certificate({{"O", "Acme"}, {"OU", "Press"}, {"CN", "press-7"}},
                    "DNS:p7.example,DNS:alias.example,email:a@b.example,URI:urn:x,IP:192.0.2.7,IP:::1");
    const auto fields = read_certificate(der);
    REQUIRE(fields);
    CHECK(fields->present());
    CHECK(fields->common_name == "press-7");
    CHECK(fields->organization == "Acme");
    CHECK(fields->organizational_unit == "Press");
    CHECK(fields->subject == "CN=press-7,OU=Press,O=Acme");
    CHECK(fields->serial == "1a2b");
    CHECK(fields->fingerprint.size() == 64);
    CHECK(fields->dns == std::vector<std::string>{"p7.example", "alias.example"});
    CHECK(fields->email == std::vector<std::string>{"a@b.example"});
    CHECK(fields->uri == std::vector<std::string>{"urn:x"});
    CHECK(fields->ip == std::vector<std::string>{"192.0.2.7", "::1"});
    for (std::size_t size = 0; size < der.size(); ++size) CHECK_FALSE(read_certificate(der.substr(0, size)));
    CHECK_FALSE(read_certificate(der + "x"));
}

TEST_CASE("a name that can be read in two ways is no name", "[auth]") {
    CHECK(read_certificate(certificate({{"CN", "admin"}, {"CN", "edge"}}, nullptr))->common_name.empty());
    CHECK(read_certificate(certificate({{"CN", std::string("admin\0edge", 10)}}, nullptr))->common_name.empty());
    CHECK(read_certificate(certificate({{"CN", "admin\nedge"}}, nullptr))->common_name.empty());
    CHECK(read_certificate(certificate({{"O", "x"}}, nullptr))->common_name.empty());
    CHECK(read_certificate(certificate({{"CN", "a/#"}}, nullptr))->common_name == "a/#");
}
