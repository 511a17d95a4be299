#include "broker/net/tls_context.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <cstring>
#include <ctime>
#include <string_view>

namespace trunkline::net {
namespace {

// Forward secrecy and authenticated encryption only; TLS 1.3 has nothing else.
constexpr const char* tls12_ciphers =
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"
    "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";
constexpr unsigned char session_context[] = "trunkline";
constexpr std::size_t read_ahead_bytes = 16 * 1'024 + 512;

std::string reason() {
    const unsigned long code = ERR_peek_last_error();
    const char* text = code ? ERR_reason_error_string(code) : nullptr;
    ERR_clear_error();
    return text ? text : "cannot be read";
}

int select_protocol(SSL*, const unsigned char** out, unsigned char* out_size, const unsigned char* offered,
                    unsigned int offered_size, void* wanted_text) {
    const std::string_view wanted = static_cast<const char*>(wanted_text);
    for (unsigned int at = 0; at + 1 <= offered_size && at + 1 + offered[at] <= offered_size; at += 1U + offered[at]) {
        const std::string_view name(reinterpret_cast<const char*>(offered + at + 1), offered[at]);
        if (name != wanted) continue;
        *out = offered + at + 1;
        *out_size = offered[at];
        return SSL_TLSEXT_ERR_OK;
    }
    return SSL_TLSEXT_ERR_NOACK;
}

void set_options(SSL_CTX* context, const broker::TlsConfig& config, bool websocket) {
    SSL_CTX_set_min_proto_version(context, config.min_version == "1.3" ? TLS1_3_VERSION : TLS1_2_VERSION);
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE |
                                     SSL_OP_PRIORITIZE_CHACHA | SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                  SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    // Tickets only: the server remembers nothing. Their keys go with the context, so a reload ends resumption, and with
    // it whatever a revoked certificate had been granted.
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_session_id_context(context, session_context, sizeof session_context - 1);
    SSL_CTX_set_num_tickets(context, 1);
    SSL_CTX_set_read_ahead(context, 1);
    SSL_CTX_set_default_read_buffer_len(context, read_ahead_bytes);
    static char mqtt_protocol[] = "mqtt";
    static char http_protocol[] = "http/1.1";
    SSL_CTX_set_alpn_select_cb(context, &select_protocol, websocket ? http_protocol : mqtt_protocol);
}

bool load_certificate(SSL_CTX* context, const broker::TlsConfig& config, std::string& error) {
    ERR_clear_error();
    if (config.certificate_file.empty() || config.key_file.empty()) {
        error = "a TLS listener needs tls.cert and tls.key";
        return false;
    }
    if (SSL_CTX_use_certificate_chain_file(context, config.certificate_file.c_str()) != 1) {
        error = "certificate " + config.certificate_file + ": " + reason();
        return false;
    }
    if (SSL_CTX_use_PrivateKey_file(context, config.key_file.c_str(), SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_check_private_key(context) != 1) {
        error = "key " + config.key_file + ": " + reason();
        return false;
    }
    return true;
}

bool load_client_authority(SSL_CTX* context, const broker::TlsConfig& config, std::string& error) {
    if (config.ca_file.empty()) {
        if (!config.require_client_certificate && config.crl_file.empty()) return true;
        error = "client certificates need tls.ca, the file of those who may sign them";
        return false;
    }
    if (SSL_CTX_load_verify_file(context, config.ca_file.c_str()) != 1) {
        error = "ca " + config.ca_file + ": " + reason();
        return false;
    }
    // The names are a hint in the handshake for clients that hold several certificates.
    SSL_CTX_set_client_CA_list(context, SSL_load_client_CA_file(config.ca_file.c_str()));
    if (!config.crl_file.empty()) {
        X509_STORE* store = SSL_CTX_get_cert_store(context);
        X509_LOOKUP* lookup = X509_STORE_add_lookup(store, X509_LOOKUP_file());
        if (!lookup || X509_load_crl_file(lookup, config.crl_file.c_str(), X509_FILETYPE_PEM) < 1) {
            error = "crl " + config.crl_file + ": " + reason();
            return false;
        }
        X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK);
    }
    SSL_CTX_set_purpose(context, X509_PURPOSE_SSL_CLIENT);
    const int demand = config.require_client_certificate ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0;
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER | demand, nullptr);
    return true;
}

std::int64_t expiry_of(SSL_CTX* context) {
    const X509* certificate = SSL_CTX_get0_certificate(context);
    std::tm when{};
    if (!certificate || ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &when) != 1) return 0;
    return ::timegm(&when);
}

}  // namespace

std::shared_ptr<TlsContext> TlsContext::load(const broker::TlsConfig& config, bool websocket, std::string& error) {
    SSL_CTX* context = SSL_CTX_new(TLS_server_method());
    if (!context) {
        error = reason();
        return nullptr;
    }
    std::shared_ptr<TlsContext> loaded(new TlsContext(context));
    set_options(context, config, websocket);
    if (SSL_CTX_set_cipher_list(context, tls12_ciphers) != 1) {
        error = reason();
        return nullptr;
    }
    if (!load_certificate(context, config, error) || !load_client_authority(context, config, error)) return nullptr;
    loaded->expires_s_ = expiry_of(context);
    return loaded;
}

TlsContext::~TlsContext() { SSL_CTX_free(context_); }

}  // namespace trunkline::net
