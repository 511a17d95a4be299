// TLS: who gets in, what is agreed on, reload.
#include <catch2/catch.hpp>

#include <openssl/err.h>

#include <fstream>

#include "tests/unit/net/certificates.h"
#include "tests/unit/net/fixture.h"

using namespace trunkline::net::test;
using trunkline::broker::Limits;
using trunkline::broker::ListenerConfig;
using trunkline::broker::ListenerKind;

namespace {

ListenerConfig tls_listener(const Certificates& files, const std::string& certificate = "server") {
    ListenerConfig listener = tcp_listener();
    listener.url = "mqtts://127.0.0.1:0";
    listener.kind = ListenerKind::tls;
    listener.tls.certificate_file = files.path(certificate + ".pem");
    listener.tls.key_file = files.path(certificate + ".key");
    return listener;
}

/// A blocking TLS client.
class TlsPeer {
public:
    struct Options {
        std::string certificate = {};   // of Certificates::issue(), or ""
        int version_max = TLS1_3_VERSION;
        const char* ciphers = nullptr;
    };
    TlsPeer(const Certificates& files, std::uint16_t port, const Options& options) : peer_(port) {
        context_ = SSL_CTX_new(TLS_client_method());
        SSL_CTX_load_verify_file(context_, files.path("ca.pem").c_str());
        SSL_CTX_set_verify(context_, SSL_VERIFY_PEER, nullptr);
        SSL_CTX_set_max_proto_version(context_, options.version_max);
        if (options.version_max < TLS1_2_VERSION) SSL_CTX_set_min_proto_version(context_, TLS1_VERSION);
        if (options.ciphers) SSL_CTX_set_cipher_list(context_, options.ciphers);
        SSL_CTX_set_security_level(context_, 0);
        if (!options.certificate.empty()) {
            SSL_CTX_use_certificate_file(context_, files.path(options.certificate + ".pem").c_str(), SSL_FILETYPE_PEM);
            SSL_CTX_use_PrivateKey_file(context_, files.path(options.certificate + ".key").c_str(), SSL_FILETYPE_PEM);
        }
        ssl_ = SSL_new(context_);
        SSL_set_fd(ssl_, peer_.descriptor());
        connected_ = SSL_connect(ssl_) == 1;
    }
    TlsPeer(const Certificates& files, std::uint16_t port) : TlsPeer(files, port, Options()) {}
    ~TlsPeer() {
        SSL_free(ssl_);
        SSL_CTX_free(context_);
    }
    TlsPeer(const TlsPeer&) = delete;

    [[nodiscard]] SSL* ssl() { return ssl_; }
    [[nodiscard]] bool connected() const { return connected_; }
    [[nodiscard]] std::string common_name() const {
        char name[64] = {};
        X509_NAME_get_text_by_NID(X509_get_subject_name(SSL_get0_peer_certificate(ssl_)), NID_commonName, name, 64);
        return name;
    }
    bool send(std::string_view bytes) {
        return SSL_write(ssl_, bytes.data(), static_cast<int>(bytes.size())) == static_cast<int>(bytes.size());
    }
    std::string receive(std::size_t size) {
        std::string bytes(size, '\0');
        std::size_t done = 0;
        while (done < size) {
            const int got = SSL_read(ssl_, bytes.data() + done, static_cast<int>(size - done));
            if (got <= 0) {
                orderly_end = SSL_get_error(ssl_, got) == SSL_ERROR_ZERO_RETURN;
                break;
            }
            done += static_cast<std::size_t>(got);
        }
        bytes.resize(done);
        return bytes;
    }
    bool echoes(const std::string& text) {
        return connected_ && send(frame(text)) && receive(text.size() + 4) == frame(text);
    }
    bool orderly_end = false;

private:
    Peer peer_;
    SSL_CTX* context_;
    SSL* ssl_;
    bool connected_ = false;
};

}  // namespace

TEST_CASE("TLS 1.3 and 1.2 with forward secrecy, nothing below", "[net]") {
    Certificates files;
    files.issue("server", "broker");
    Server server({tls_listener(files)});
    TlsPeer newest(files, server.port());
    CHECK(newest.echoes("over TLS 1.3"));
    CHECK(SSL_version(newest.ssl()) == TLS1_3_VERSION);
    CHECK(server.echo().last_info().secure);
    CHECK(server.echo().last_info().certificate.empty());
    TlsPeer older(files, server.port(), {.version_max = TLS1_2_VERSION});
    CHECK(older.echoes("over TLS 1.2"));
    CHECK(std::string(SSL_get_cipher_name(older.ssl())).starts_with("ECDHE-"));
    TlsPeer oldest(files, server.port(), {.version_max = TLS1_1_VERSION});
    CHECK_FALSE(oldest.connected());
    TlsPeer weak(files, server.port(), {.version_max = TLS1_2_VERSION, .ciphers = "ECDHE-ECDSA-AES128-SHA:AES128-SHA"});
    CHECK_FALSE(weak.connected());
    CHECK(eventually([&] { return server.net->listeners()[0].handshake_failures == 2; }));
    CHECK(server.opened() == 2);
}

TEST_CASE("a minimum version of 1.3 refuses 1.2", "[net]") {
    Certificates files;
    files.issue("server", "broker");
    auto listener = tls_listener(files);
    listener.tls.min_version = "1.3";
    Server server({listener});
    CHECK(TlsPeer(files, server.port()).echoes("x"));
    CHECK_FALSE(TlsPeer(files, server.port(), {.version_max = TLS1_2_VERSION}).connected());
}

TEST_CASE("large transfers in both directions over TLS", "[net]") {
    Certificates files;
    files.issue("server", "broker");
    Server server({tls_listener(files)});
    TlsPeer peer(files, server.port());
    for (int i = 0; i < 5; ++i) CHECK(peer.echoes(std::string(1 << 20, static_cast<char>('a' + i))));
    for (int i = 0; i < 1'000; ++i) REQUIRE(peer.send(frame("many small ones")));
    std::string expected;
    for (int i = 0; i < 1'000; ++i) expected += frame("many small ones");
    CHECK(peer.receive(expected.size()) == expected);
    CHECK(peer.echoes("and on"));
}

TEST_CASE("the goodbye arrives over TLS and the end is an orderly one", "[net]") {
    Certificates files;
    files.issue("server", "broker");
    Server server({tls_listener(files)});
    server.echo().goodbye_bytes = 200'000;
    TlsPeer peer(files, server.port());
    REQUIRE(peer.send(frame("close")));
    CHECK(peer.receive(200'000).size() == 200'000);
    CHECK(peer.receive(1).empty());
    CHECK(peer.orderly_end);
}

TEST_CASE("a required client certificate lets in its owner under its name and nobody else", "[net]") {
    Certificates files;
    files.issue("server", "broker");
    files.issue("client", "edge-7");
    auto listener = tls_listener(files);
    listener.tls.ca_file = files.path("ca.pem");
    listener.tls.require_client_certificate = true;
    Server server({listener});
    for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
        TlsPeer owner(files, server.port(), {.certificate = "client", .version_max = version});
        CHECK(owner.echoes("hello"));
        CHECK(server.echo().last_info().certificate.find("edge-7") != std::string::npos);
        TlsPeer nobody(files, server.port(), {.version_max = version});
        CHECK_FALSE(nobody.echoes("hello"));
    }
    CHECK(server.opened() == 2);
}

TEST_CASE("an optional client certificate is named when there, and must be good", "[net]") {
    Certificates files;
    files.issue("server", "broker");
    files.issue("client", "edge-7");
    auto listener = tls_listener(files);
    listener.tls.ca_file = files.path("ca.pem");
    Server server({listener});
    CHECK(TlsPeer(files, server.port()).echoes("anonymous"));
    CHECK(server.echo().last_info().certificate.empty());
    CHECK(TlsPeer(files, server.port(), {.certificate = "client"}).echoes("named"));
    CHECK(server.echo().last_info().certificate.find("edge-7") != std::string::npos);
    files.issue("expired", "edge-7", -1);
    CHECK_FALSE(TlsPeer(files, server.port(), {.certificate = "expired"}).echoes("too late"));
}

TEST_CASE("a revoked client certificate is refused, once the list is loaded", "[net]") {
    Certificates files;
    files.issue("server", "broker");
    const long serial = files.issue("client", "edge-7");
    files.revoke(0);
    auto listener = tls_listener(files);
    listener.tls.ca_file = files.path("ca.pem");
    listener.tls.crl_file = files.path("crl.pem");
    listener.tls.require_client_certificate = true;
    Server server({listener});
    CHECK(TlsPeer(files, server.port(), {.certificate = "client"}).echoes("still good"));
    files.revoke(serial);
    CHECK(server.net->reload_tls(server.config).empty());
    CHECK_FALSE(TlsPeer(files, server.port(), {.certificate = "client"}).echoes("revoked"));
}

TEST_CASE("a reload changes the certificate for new connections and drops none", "[net]") {
    Certificates files;
    files.issue("server", "old name", 10);
    Server server({tls_listener(files)});
    const auto expiry = server.net->listeners()[0].certificate_expiry_s;
    CHECK(std::abs(expiry - (std::time(nullptr) + 10 * 86'400)) < 10);
    TlsPeer before(files, server.port());
    CHECK(before.common_name() == "old name");
    files.issue("server", "new name", 20);
    CHECK(server.net->reload_tls(server.config).empty());
    TlsPeer after(files, server.port());
    CHECK(after.common_name() == "new name");
    CHECK(before.echoes("still here"));
    CHECK(server.net->listeners()[0].certificate_expiry_s > expiry);
}

TEST_CASE("a bad file keeps the old certificate and is named", "[net]") {
    Certificates files;
    files.issue("server", "good");
    files.issue("other", "other");
    Server server({tls_listener(files)});
    std::ofstream(files.path("broken.pem")) << "no certificate";
    auto config = server.config;
    const auto problem_with = [&](auto change) {
        config = server.config;
        change(config.listeners[0].tls);
        const auto problems = server.net->reload_tls(config);
        return problems.size() == 1 ? problems[0] : std::string();
    };
    CHECK_THAT(problem_with([&](auto& tls) { tls.certificate_file = files.path("broken.pem"); }),
               Catch::Contains("mqtts://127.0.0.1:0") && Catch::Contains("broken.pem"));
    CHECK_THAT(problem_with([&](auto& tls) { tls.key_file = files.path("other.key"); }),
               Catch::Contains("other.key") && Catch::Contains("mismatch"));
    CHECK_THAT(problem_with([&](auto& tls) { tls.ca_file = files.path("missing.pem"); }),
               Catch::Contains("missing.pem"));
    CHECK_THAT(problem_with([&](auto& tls) { tls.require_client_certificate = true; }), Catch::Contains("tls.ca"));
    TlsPeer peer(files, server.port());
    CHECK(peer.common_name() == "good");
    CHECK_THROWS_WITH(Server({tls_listener(files, "broken")}), Catch::Contains("broken.pem"));
}

TEST_CASE("half-open TLS is closed at the CONNECT deadline and garbage at once", "[net]") {
    Certificates files;
    files.issue("server", "broker");
    Limits limits;
    limits.connect_timeout_ms = 400;
    Server server({tls_listener(files)}, 1, limits);
    Peer silent(server.port());
    Peer half(server.port());
    REQUIRE(half.send(std::string("\x16\x03\x01\x02\x00\x01\x00", 7)));
    Peer garbage(server.port());
    REQUIRE(garbage.send("GET / HTTP/1.1\r\n\r\n"));
    CHECK(garbage.is_closed());
    CHECK(silent.is_closed());
    CHECK(half.is_closed());
    CHECK(server.net->listeners()[0].handshake_timeouts == 2);
    CHECK(server.opened() == 0);
    CHECK(eventually([&] { return server.net->listeners()[0].connections == 0; }));
}

TEST_CASE("renegotiation is refused", "[net]") {
    Certificates files;
    files.issue("server", "broker");
    Server server({tls_listener(files)});
    TlsPeer peer(files, server.port(), {.version_max = TLS1_2_VERSION});
    REQUIRE(peer.echoes("first"));
    SSL_renegotiate(peer.ssl());
    CHECK(SSL_do_handshake(peer.ssl()) != 1);
}
