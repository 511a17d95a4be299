// Certificates for tests, made on the spot: an authority, what it issues and what it revokes.
#pragma once

#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <string>

namespace trunkline::net::test {

/// A directory of PEM files that goes with the object.
class Certificates {
public:
    Certificates() : directory_("/tmp/trunkline-certificates-" + std::to_string(::getpid())) {
        std::filesystem::create_directories(directory_);
        authority_key_ = EVP_EC_gen("P-256");
        authority_ = make("Test authority", authority_key_, nullptr, 3'650, true);
        write_certificate("ca.pem", authority_);
    }
    ~Certificates() {
        X509_free(authority_);
        EVP_PKEY_free(authority_key_);
        std::filesystem::remove_all(directory_);
    }
    Certificates(const Certificates&) = delete;

    [[nodiscard]] std::string path(const std::string& name) const { return directory_ + "/" + name; }

    /// NAME.pem and NAME.key; returns the serial number.
    long issue(const std::string& name, const std::string& common_name, int days = 30) {
        EVP_PKEY* key = EVP_EC_gen("P-256");
        X509* certificate = make(common_name, key, authority_, days, false);
        write_certificate(name + ".pem", certificate);
        std::FILE* file = std::fopen(path(name + ".key").c_str(), "w");
        PEM_write_PrivateKey(file, key, nullptr, nullptr, 0, nullptr, nullptr);
        std::fclose(file);
        X509_free(certificate);
        EVP_PKEY_free(key);
        return serial_;
    }
    /// crl.pem that revokes one certificate; 0: none.
    void revoke(long serial) {
        X509_CRL* crl = X509_CRL_new();
        X509_CRL_set_version(crl, 1);
        X509_CRL_set_issuer_name(crl, X509_get_subject_name(authority_));
        ASN1_TIME* time = ASN1_TIME_adj(nullptr, std::time(nullptr), -1, 0);
        X509_CRL_set1_lastUpdate(crl, time);
        ASN1_TIME* next = ASN1_TIME_adj(nullptr, std::time(nullptr), 30, 0);
        X509_CRL_set1_nextUpdate(crl, next);
        if (serial) {
            X509_REVOKED* revoked = X509_REVOKED_new();
            ASN1_INTEGER* number = ASN1_INTEGER_new();
            ASN1_INTEGER_set(number, serial);
            X509_REVOKED_set_serialNumber(revoked, number);
            X509_REVOKED_set_revocationDate(revoked, time);
            X509_CRL_add0_revoked(crl, revoked);
            ASN1_INTEGER_free(number);
        }
        X509_CRL_sort(crl);
        X509_CRL_sign(crl, authority_key_, EVP_sha256());
        std::FILE* file = std::fopen(path("crl.pem").c_str(), "w");
        PEM_write_X509_CRL(file, crl);
        std::fclose(file);
        ASN1_TIME_free(time);
        ASN1_TIME_free(next);
        X509_CRL_free(crl);
    }

private:
    X509* make(const std::string& common_name, EVP_PKEY* key, X509* issuer, int days, bool authority) {
        X509* certificate = X509_new();
        X509_set_version(certificate, 2);
        ASN1_INTEGER_set(X509_get_serialNumber(certificate), ++serial_);
        X509_gmtime_adj(X509_getm_notBefore(certificate), -3'600);
        X509_gmtime_adj(X509_getm_notAfter(certificate), 86'400L * days);
        X509_set_pubkey(certificate, key);
        X509_NAME* name = X509_get_subject_name(certificate);
        X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
                                   reinterpret_cast<const unsigned char*>(common_name.data()),
                                   static_cast<int>(common_name.size()), -1, 0);
        X509_set_issuer_name(certificate, issuer ? X509_get_subject_name(issuer) : name);
        if (authority) {
            X509V3_CTX context;
            X509V3_set_ctx_nodb(&context);
            X509V3_set_ctx(&context, certificate, certificate, nullptr, nullptr, 0);
            X509_EXTENSION* ca = X509V3_EXT_conf_nid(nullptr, &context, NID_basic_constraints, "critical,CA:TRUE");
            X509_add_ext(certificate, ca, -1);
            X509_EXTENSION_free(ca);
        }
        X509_sign(certificate, issuer ? authority_key_ : key, EVP_sha256());
        return certificate;
    }
    void write_certificate(const std::string& name, X509* certificate) const {
        std::FILE* file = std::fopen(path(name).c_str(), "w");
        PEM_write_X509(file, certificate);
        std::fclose(file);
    }

    std::string directory_;
    EVP_PKEY* authority_key_;
    X509* authority_;
    long serial_ = 0;
};

}  // namespace trunkline::net::test
