#include "auth/certificate.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <memory>
#include <string>

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "auth/encoding.h"

namespace trunkline::auth {
namespace {

constexpr std::size_t names_of_a_kind_max = 64;   // of each kind

bool readable(std::string_view text) {
    return !text.empty() && std::none_of(text.begin(), text.end(), [](char c) {
        return static_cast<unsigned char>(c) < 0x20 || c == 0x7F;
    });
}

std::string utf8(const ASN1_STRING* value) {
    unsigned char* bytes = nullptr;
    const int size = ASN1_STRING_to_UTF8(&bytes, value);
    std::string text;
    if (size > 0) text.assign(reinterpret_cast<char*>(bytes), static_cast<std::size_t>(size));
    OPENSSL_free(bytes);
    return readable(text) ? text : std::string();
}

// The one value of a field of a name, or "".
std::string only(const X509_NAME* name, int field) {
    const int at = X509_NAME_get_index_by_NID(name, field, -1);
    if (at < 0 || X509_NAME_get_index_by_NID(name, field, at) >= 0) return {};
    return utf8(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at)));
}

std::string rfc2253(const X509_NAME* name) {
    BIO* out = BIO_new(BIO_s_mem());
    std::string text;
    if (out && X509_NAME_print_ex(out, name, 0, XN_FLAG_RFC2253) >= 0) {
        char* bytes = nullptr;
        const long size = BIO_get_mem_data(out, &bytes);
        if (size > 0) text.assign(bytes, static_cast<std::size_t>(size));
    }
    BIO_free(out);
    return text;
}

std::string serial_of(const X509* certificate) {
    BIGNUM* number = ASN1_INTEGER_to_BN(X509_get0_serialNumber(certificate), nullptr);
    std::string bytes(number ? static_cast<std::size_t>(BN_num_bytes(number)) : 0, '\0');
    if (number) BN_bn2bin(number, reinterpret_cast<unsigned char*>(bytes.data()));
    BN_free(number);
    return encode_hex(bytes);
}

std::string address_of(const ASN1_OCTET_STRING* value) {
    std::array<char, INET6_ADDRSTRLEN> text{};
    const int size = ASN1_STRING_length(value);
    if (size != 4 && size != 16) return {};
    const char* made =
        inet_ntop(size == 4 ? AF_INET : AF_INET6, ASN1_STRING_get0_data(value), text.data(), text.size());
    return made ? made : "";
}

void read_alternative_names(const X509* certificate, CertificateFields& fields) {
    auto* names = static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr));
    const auto add = [](std::vector<std::string>& list, std::string text) {
        if (!text.empty() && list.size() < names_of_a_kind_max) list.push_back(std::move(text));
    };
    for (int i = 0; i < sk_GENERAL_NAME_num(names); ++i) {
        const GENERAL_NAME* name = sk_GENERAL_NAME_value(names, i);
        switch (name->type) {
            case GEN_DNS: add(fields.dns, utf8(name->d.dNSName)); break;
            case GEN_EMAIL: add(fields.email, utf8(name->d.rfc822Name)); break;
            case GEN_URI: add(fields.uri, utf8(name->d.uniformResourceIdentifier)); break;
            case GEN_IPADD: add(fields.ip, address_of(name->d.iPAddress)); break;
            default: break;
        }
    }
    GENERAL_NAMES_free(names);
}

}  // namespace

std::optional<CertificateFields> read_certificate(std::string_view der) {
    const auto* at = reinterpret_cast<const unsigned char*>(der.data());
    const std::unique_ptr<X509, decltype(&X509_free)> certificate(
        d2i_X509(nullptr, &at, static_cast<long>(der.size())), &X509_free);
    if (!certificate || at != reinterpret_cast<const unsigned char*>(der.data()) + der.size()) return std::nullopt;
    CertificateFields fields;
    const X509_NAME* subject = X509_get_subject_name(certificate.get());
    fields.subject = rfc2253(subject);
    fields.issuer = rfc2253(X509_get_issuer_name(certificate.get()));
    fields.common_name = only(subject, NID_commonName);
    fields.organization = only(subject, NID_organizationName);
    fields.organizational_unit = only(subject, NID_organizationalUnitName);
    fields.serial = serial_of(certificate.get());
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
    unsigned int size = 0;
    if (X509_digest(certificate.get(), EVP_sha256(), digest.data(), &size) == 1) {
        fields.fingerprint = encode_hex({reinterpret_cast<const char*>(digest.data()), size});
    }
    read_alternative_names(certificate.get(), fields);
    return fields;
}

}  // namespace trunkline::auth
