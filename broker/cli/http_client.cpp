#include "broker/cli/http_client.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <optional>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/basic_stream.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>

#include "broker/cli/progress.h"

namespace trunkline::cli {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using namespace std::chrono_literals;
using boost::system::error_code;
using Stream = beast::basic_stream<asio::generic::stream_protocol>;
using TlsStream = asio::ssl::stream<Stream&>;
using EventSink = std::function<bool(std::string_view, std::string_view)>;

constexpr auto token = asio::as_tuple(asio::use_awaitable);
constexpr const char* installed_socket = "/run/trunkline/admin.sock";
constexpr std::uint64_t answer_bytes_max = 64 << 20;
constexpr std::size_t event_bytes_max = 8 << 20;

[[noreturn]] void no_connection(const Server& server, const std::string& why) {
    throw Failure(exit_no_connection, "cannot reach the broker at " + server.name + ": " + why +
                                          "; is it running, and does --server name its administration address?");
}

/// The reason that OpenSSL gives; 0: it is not the one who complains.
int tls_reason(const error_code& error) {
    const bool of_tls = error.category() == asio::error::get_ssl_category();
    return of_tls ? ERR_GET_REASON(static_cast<unsigned long>(error.value())) : 0;
}

[[noreturn]] void not_trusted(const Server& server, long verified) {
    std::string what = "its certificate is not trusted: " + std::string(X509_verify_cert_error_string(verified));
    switch (verified) {
        case X509_V_ERR_HOSTNAME_MISMATCH:
        case X509_V_ERR_IP_ADDRESS_MISMATCH:
            what = "its certificate is not for the name " + server.host +
                   "; give --server the name that the certificate has";
            break;
        case X509_V_ERR_CERT_HAS_EXPIRED:
            what = "its certificate has expired; replace the files that admin.tls names, and reload the broker";
            break;
        case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
        case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
        case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
        case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
        case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
            what += server.files.ca.empty() ? "; name who signs it: --ca FILE"
                                            : "; " + server.files.ca + " (--ca) does not have who signed it";
            break;
        default: break;
    }
    throw Failure(exit_no_connection, "no safe connection to the broker at " + server.name + ": " + what);
}

/// A connection that was there has failed; alerts of TLS 1.3 about a client certificate come with the first answer.
[[noreturn]] void broken(const Server& server, const error_code& error) {
    switch (tls_reason(error)) {
        case 0: no_connection(server, error.message());
        case SSL_R_WRONG_VERSION_NUMBER:
        case SSL_R_HTTP_REQUEST:
        case SSL_R_PACKET_LENGTH_TOO_LONG:
            throw Failure(exit_no_connection, server.name + " does not speak TLS: write http:// instead of https://");
        case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED:
            throw Failure(exit_no_connection,
                          "the broker at " + server.name + " demands a client certificate: --cert FILE and --key FILE");
        case SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE:
        case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
        case SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE:
        case SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED:
        case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
        case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
        case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
        case SSL_R_TLSV1_ALERT_DECRYPT_ERROR:
            throw Failure(exit_no_connection, "the broker at " + server.name + " does not take the client certificate" +
                                                  (server.files.certificate.empty() ? "" : " of --cert") + ": " +
                                                  error.message());
        default: no_connection(server, error.message());
    }
}

asio::ssl::context make_tls(const Server& server) {
    asio::ssl::context context(asio::ssl::context::tls_client);
    SSL_CTX* native = context.native_handle();
    static_cast<void>(SSL_CTX_set_min_proto_version(native, TLS1_2_VERSION));
    const TlsFiles& files = server.files;
    const auto need = [](const error_code& error, const char* option, const std::string& file) {
        if (error) throw Failure(exit_usage, std::string(option) + ": cannot use " + file + ": " + error.message());
    };
    error_code error;
    if (files.ca.empty()) static_cast<void>(context.set_default_verify_paths(error));
    else static_cast<void>(context.load_verify_file(files.ca, error));
    need(error, "--ca", files.ca.empty() ? "the authorities of this machine" : files.ca);
    if (!files.certificate.empty()) {
        const std::string& key = files.key.empty() ? files.certificate : files.key;
        static_cast<void>(context.use_certificate_chain_file(files.certificate, error));
        need(error, "--cert", files.certificate);
        static_cast<void>(context.use_private_key_file(key, asio::ssl::context::pem, error));
        need(error, "--key", key);
    }
    static_cast<void>(context.set_verify_mode(asio::ssl::verify_peer, error));
    return context;
}

asio::awaitable<void> shake_hands(TlsStream& stream, const Server& server) {
    SSL* tls = stream.native_handle();
    error_code no_address;
    static_cast<void>(asio::ip::make_address(server.host, no_address));
    if (no_address) {
        SSL_set_tlsext_host_name(tls, server.host.c_str());
        SSL_set1_host(tls, server.host.c_str());
    } else {
        X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(tls), server.host.c_str());
    }
    auto [error] = co_await stream.async_handshake(asio::ssl::stream_base::client, token);
    if (!error) co_return;
    const long verified = SSL_get_verify_result(tls);
    if (verified != X509_V_OK) not_trusted(server, verified);
    broken(server, error);
}

asio::awaitable<void> connect(Stream& stream, const Server& server) {
    stream.expires_after(10s);
    if (!server.unix_path.empty()) {
        const asio::local::stream_protocol::endpoint endpoint(server.unix_path);
        auto [error] = co_await stream.async_connect(endpoint, token);
        if (error) no_connection(server, error.message());
        co_return;
    }
    asio::ip::tcp::resolver resolver(stream.get_executor());
    auto [failed, found] = co_await resolver.async_resolve(server.host, server.port, token);
    if (failed) no_connection(server, failed.message());
    std::string why = "no address";
    for (const auto& entry : found) {
        const asio::generic::stream_protocol::endpoint endpoint(entry.endpoint());
        auto [error] = co_await stream.async_connect(endpoint, token);
        if (!error) co_return;
        why = error.message();
    }
    no_connection(server, why);
}

http::request<http::string_body> make_request(const Server& server, std::string_view method, const std::string& target,
                                              const std::string& body) {
    http::request<http::string_body> request;
    request.method_string(boost::beast::string_view(method.data(), method.size()));
    request.target(target);
    request.version(11);
    request.set(http::field::host, server.unix_path.empty() ? server.host : "localhost");
    request.set(http::field::user_agent, "trunkctl");
    if (server.login) {
        request.set(http::field::authorization, "Basic " + base64(server.login->user + ":" + server.login->password()));
    } else if (!server.token.empty()) {
        request.set(http::field::authorization, "Bearer " + server.token);
    }
    if (!server.reason.empty()) request.set("Trunkline-Reason", percent_encode(server.reason));
    if (!body.empty()) request.set(http::field::content_type, "application/json");
    request.body() = body;
    request.keep_alive(false);
    request.prepare_payload();
    return request;
}

[[noreturn]] void refused(const Server& server, unsigned status, const std::string& body) {
    const Json json = Json::parse(body, nullptr, false);
    if (json.is_object() && json.value("type", "") == "urn:trunkline:problem:tls-expected") {
        throw Failure(exit_no_connection, server.name + " speaks TLS: write https:// before it", json);
    }
    std::string what = "status " + std::to_string(status);
    if (json.is_object() && json.contains("title")) {
        what = json.value("title", "");
        const std::string detail = json.value("detail", "");
        if (!detail.empty()) what += ": " + detail;
        const std::string fix = json.value("fix", "");
        if (!fix.empty() && (status == 401 || status == 403)) what += "\n    fix: " + fix;
    }
    int code = exit_findings;
    if (status == 400) code = exit_usage;
    if (status == 401 || status == 403) code = exit_not_authorised;
    if (status == 401) {
        what += server.tls ? " (--token-file FILE, --login USER, or --cert FILE)"
                           : " (--token-file FILE, or --login USER)";
    }
    throw Failure(code, what, json.is_object() ? json : Json());
}

// Splits server-sent events off the front of `text`. False when the sink has had enough.
bool take_events(std::string& text, const EventSink& sink) {
    std::size_t end = 0;
    while ((end = text.find("\n\n")) != std::string::npos) {
        std::string name = "message", data;
        std::string_view lines(text.data(), end + 1);
        while (!lines.empty()) {
            const auto newline = lines.find('\n');
            const std::string_view line = lines.substr(0, newline);
            lines.remove_prefix(newline + 1);
            if (line.starts_with("event: ")) name = line.substr(7);
            if (line.starts_with("data: ")) data += line.substr(6);
        }
        const bool go_on = data.empty() || sink(name, data);
        text.erase(0, end + 2);
        if (!go_on) return false;
    }
    return true;
}

/// Over a connection that is there. `time`: the stream whose time is limited, below TLS.
template <class Layer>
asio::awaitable<void> talk(Layer& stream, Stream& time, const Server& server,
                           http::request<http::string_body>& message, std::string& answer, const EventSink* sink,
                           std::string* cursor) {
    const auto is_under = [&message](const char* path) {
        return message.target().find(path) != boost::beast::string_view::npos;
    };
    // compiling and replaying take their time, and reading an audit trail does
    time.expires_after(is_under("/api/v1/model") ? 150s : is_under("/api/v1/audit") ? 600s : 30s);
    auto [write_error, sent] = co_await http::async_write(stream, message, token);
    if (write_error) broken(server, write_error);
    beast::flat_buffer buffer;
    http::response_parser<http::string_body> parser;
    parser.body_limit(answer_bytes_max);
    auto [header_error, header] = co_await http::async_read_header(stream, buffer, parser, token);
    if (header_error) broken(server, header_error);
    const unsigned status = parser.get().result_int();
    if (!sink || status != 200) {
        auto [error, got] = co_await http::async_read(stream, buffer, parser, token);
        if (error) broken(server, error);
        answer = std::move(parser.get().body());
        if (cursor) *cursor = std::string(parser.get()["Trunkline-Cursor"]);
        if (status >= 300) refused(server, status, answer);
        co_return;
    }
    std::string text(static_cast<const char*>(buffer.data().data()), buffer.size());
    text.insert(0, parser.get().body());
    std::string chunk(64 * 1'024, '\0');
    while (take_events(text, *sink)) {
        if (text.size() > event_bytes_max) throw Failure(exit_findings, "the broker sent an event without an end");
        time.expires_after(60s);   // the broker says something at least every 15 s
        auto [error, got] = co_await stream.async_read_some(asio::buffer(chunk), token);
        if (error) broken(server, error);
        text.append(chunk.data(), got);
    }
}

asio::awaitable<void> exchange(const Server& server, http::request<http::string_body> message, std::string& answer,
                               const EventSink* sink, std::string* cursor) {
    Stream stream(co_await asio::this_coro::executor);
    if (!server.tls) {
        co_await connect(stream, server);
        co_await talk(stream, stream, server, message, answer, sink, cursor);
        co_return;
    }
    asio::ssl::context context = make_tls(server);   // before anybody is bothered: files may be wrong
    co_await connect(stream, server);
    TlsStream tls(stream, context);
    co_await shake_hands(tls, server);
    co_await talk(tls, stream, server, message, answer, sink, cursor);
}

std::string run(const Server& server, http::request<http::string_body> message, const EventSink* sink,
                std::string* cursor = nullptr) {
    asio::io_context context{1};
    std::string answer;
    std::exception_ptr failure;
    asio::co_spawn(context, exchange(server, std::move(message), answer, sink, cursor),
                   [&](std::exception_ptr thrown) { failure = thrown; });
    if (sink) {
        context.run();
    } else {
        Progress progress;
        for (context.run_for(Progress::quiet); !context.stopped(); context.run_for(250ms)) {
            progress.show([&](long seconds) {
                return "trunkctl: waiting for " + server.name + ", " + std::to_string(seconds) + " s";
            });
        }
    }
    if (failure) std::rethrow_exception(failure);
    return answer;
}

/// Asked with a body: nothing changes by it.
constexpr std::string_view questions[] = {"/api/v1/model/plan",   "/api/v1/model/learn", "/api/v1/explain",
                                          "/api/v1/audit/verify", "/api/v1/audit/prove", "/api/v1/access/test",
                                          "/api/v1/config/check"};

bool is_change(std::string_view method, std::string_view target) {
    if (method == "GET" || target.find("dry_run=true") != std::string_view::npos) return false;
    const std::string_view path = target.substr(0, target.find('?'));
    return std::find(std::begin(questions), std::end(questions), path) == std::end(questions);
}

Json masked(const std::string& body) {
    if (body.empty()) return nullptr;
    Json json = Json::parse(body, nullptr, false);
    if (json.is_discarded()) return std::to_string(body.size()) + " bytes";
    if (json.is_object() && json.contains("password")) json["password"] = "***";
    return json;
}

std::string environment(const char* name) {
    const char* value = std::getenv(name);
    return value ? value : "";
}

}  // namespace

Server Server::parse(std::string_view text) {
    Server server;
    server.token = environment("TRUNKLINE_TOKEN");
    std::string chosen(text);
    if (chosen.empty()) chosen = environment("TRUNKLINE_SERVER");
    struct stat found {};
    if (chosen.empty() && ::stat(installed_socket, &found) == 0 && S_ISSOCK(found.st_mode)) {
        chosen = std::string("unix:") + installed_socket;
    }
    if (chosen.empty()) chosen = "127.0.0.1:9883";
    server.name = chosen;
    if (chosen.starts_with("unix:")) {
        server.unix_path = chosen.substr(5);
        const bool fits = !server.unix_path.empty() && server.unix_path.size() <= 107;
        if (!fits) throw Failure(exit_usage, "--server: the path of a Unix socket has 1 to 107 bytes");
        return server;
    }
    server.tls = chosen.starts_with("https://");
    if (server.tls) chosen.erase(0, 8);
    if (chosen.starts_with("http://")) chosen.erase(0, 7);
    while (chosen.ends_with('/')) chosen.pop_back();
    const auto colon = chosen.rfind(':');
    const bool bare = colon == std::string::npos || chosen.ends_with(']');
    server.host = bare ? chosen : chosen.substr(0, colon);
    server.port = bare ? "9883" : chosen.substr(colon + 1);
    if (server.host.starts_with('[') && server.host.ends_with(']')) {
        server.host = server.host.substr(1, server.host.size() - 2);
    }
    const bool digits = server.port.find_first_not_of("0123456789") == std::string::npos;
    if (server.host.empty() || server.port.empty() || !digits) {
        throw Failure(exit_usage, "--server: write https://HOST:PORT, http://HOST:PORT or unix:PATH");
    }
    return server;
}

Json request(const Server& server, std::string_view method, const std::string& target, const std::string& body) {
    if (server.dry_run && is_change(method, target)) throw DryRun{std::string(method), target, masked(body)};
    const std::string answer = run(server, make_request(server, method, target, body), nullptr);
    Json json = Json::parse(answer, nullptr, false);
    if (json.is_discarded()) throw Failure(exit_no_connection, server.name + " does not answer as a broker does");
    return json;
}

std::string request_bytes(const Server& server, const std::string& target, std::string* cursor) {
    return run(server, make_request(server, "GET", target, {}), nullptr, cursor);
}

void stream(const Server& server, const std::string& target, const EventSink& on_event) {
    run(server, make_request(server, "GET", target, {}), &on_event);
}

std::string base64(std::string_view bytes) {
    constexpr std::string_view digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string out;
    for (std::size_t i = 0; i < bytes.size(); i += 3) {
        std::uint32_t group = 0;
        for (std::size_t j = 0; j < 3; ++j) {
            group = group << 8 | (i + j < bytes.size() ? static_cast<unsigned char>(bytes[i + j]) : 0);
        }
        const std::size_t chars = std::min<std::size_t>(3, bytes.size() - i) + 1;
        for (std::size_t j = 0; j < 4; ++j) out += j < chars ? digits[group >> (18 - 6 * j) & 63] : '=';
    }
    return out;
}

std::string first_line(const std::string& file) {
    std::ifstream in(file);
    std::string line;
    if (!std::getline(in, line) || line.empty()) throw Failure(exit_usage, "cannot read a line from " + file);
    if (line.back() == '\r') line.pop_back();
    return line;
}

std::string read_hidden(const std::string& prompt, const char* option) {
    termios shown{};
    if (!isatty(STDIN_FILENO) || tcgetattr(STDIN_FILENO, &shown) != 0) {
        throw Failure(exit_usage, std::string("a password is typed on a terminal; else give ") + option);
    }
    std::cerr << prompt << std::flush;
    termios hidden = shown;
    hidden.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &hidden);
    std::string line;
    const bool read = static_cast<bool>(std::getline(std::cin, line));
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &shown);
    std::cerr << '\n';
    if (!read || line.empty()) throw Failure(exit_usage, "no password was given");
    return line;
}

const std::string& Login::password() {
    if (password_.empty()) {
        password_ = password_file.empty() ? read_hidden("Password of " + user + ": ", "--login-password-file")
                                          : first_line(password_file);
    }
    return password_;
}

std::string percent_encode(std::string_view text) {
    constexpr std::string_view digits = "0123456789ABCDEF";
    constexpr std::string_view plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~";
    std::string out;
    for (const char c : text) {
        if (plain.find(c) != std::string_view::npos) {
            out += c;
        } else {
            const auto byte = static_cast<unsigned char>(c);
            out.append({'%', digits[byte >> 4], digits[byte & 15]});
        }
    }
    return out;
}

}  // namespace trunkline::cli
