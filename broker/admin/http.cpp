#include "broker/admin/http.h"

#include <charconv>

namespace trunkline::admin {
namespace {

int hex_value(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

bool decode(std::string_view text, bool plus_is_space, std::string& out) {
    out.clear();
    for (std::size_t i = 0; i < text.size(); ++i) {
        char c = text[i];
        if (c == '+' && plus_is_space) c = ' ';
        if (c == '%') {
            if (i + 2 >= text.size() || hex_value(text[i + 1]) < 0 || hex_value(text[i + 2]) < 0) return false;
            c = static_cast<char>(hex_value(text[i + 1]) * 16 + hex_value(text[i + 2]));
            i += 2;
        }
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) return false;
        out += c;
    }
    return true;
}

}  // namespace

std::string dump(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

Response json_response(const Json& json, unsigned status) {
    Response response;
    response.status = status;
    response.body = dump(json) + "\n";
    return response;
}

Response problem(unsigned status, std::string_view kind, std::string_view title, std::string detail) {
    Json json = {{"type", "urn:trunkline:problem:" + std::string(kind)}, {"title", title}, {"status", status}};
    if (!detail.empty()) json["detail"] = std::move(detail);
    Response response = json_response(json, status);
    response.content_type = "application/problem+json";
    return response;
}

Response refused_problem(const broker::Refused& refused) {
    using Kind = broker::Refused::Kind;
    struct Answer { unsigned status; std::string_view kind, title; };
    const Answer answer = refused.kind == Kind::not_found  ? Answer{404, "not-found", "There is no such thing"}
                          : refused.kind == Kind::conflict ? Answer{409, "conflict", "It contradicts what is there"}
                          : refused.kind == Kind::forbidden
                              ? Answer{403, "forbidden", "No rule of access allows it"}
                          : refused.kind == Kind::judged   ? Answer{422, "refused-by-model", "The model refuses it"}
                                                           : Answer{503, "unavailable", "It cannot be stored now"};
    Json json = {{"type", "urn:trunkline:problem:" + std::string(answer.kind)}, {"title", answer.title},
                 {"status", answer.status}, {"detail", refused.what}};
    if (!refused.fix.empty()) json["fix"] = refused.fix;
    Response response = json_response(json, answer.status);
    response.content_type = "application/problem+json";
    return response;
}

Response bad_parameter(std::string_view name, std::string detail) {
    return problem(400, "bad-parameter", "A parameter is missing or wrong", std::string(name) + ": " + detail);
}

bool parse_target(std::string_view target, Request& request) {
    const auto question = target.find('?');
    if (!decode(target.substr(0, question), false, request.path)) return false;
    if (request.path.empty() || request.path.front() != '/') return false;
    if (question == std::string_view::npos) return true;
    std::string_view rest = target.substr(question + 1);
    while (!rest.empty()) {
        const auto end = rest.find('&');
        const std::string_view pair = rest.substr(0, end);
        rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
        if (pair.empty()) continue;
        const auto equals = pair.find('=');
        std::string name, value;
        if (!decode(pair.substr(0, equals), true, name)) return false;
        if (equals != std::string_view::npos && !decode(pair.substr(equals + 1), true, value)) return false;
        request.query[name] = value;
    }
    return true;
}

std::string percent_encode(std::string_view text) {
    constexpr std::string_view digits = "0123456789ABCDEF";
    std::string out;
    for (const char c : text) {
        const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
                           c == '.' || c == '_' || c == '~';
        if (plain) {
            out += c;
        } else {
            const auto byte = static_cast<unsigned char>(c);
            out.append({'%', digits[byte >> 4], digits[byte & 15]});
        }
    }
    return out;
}

std::optional<std::uint64_t> number_parameter(const Request& request, std::string_view name, std::uint64_t fallback,
                                              std::uint64_t min, std::uint64_t max, Response& wrong) {
    const auto text = request.get(name);
    if (!text) return fallback;
    std::uint64_t number = 0;
    const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), number);
    if (error == std::errc() && end == text->data() + text->size() && number >= min && number <= max) return number;
    wrong = bad_parameter(name, "\"" + *text + "\" is no whole number from " + std::to_string(min) + " to " +
                                    std::to_string(max));
    return std::nullopt;
}

}  // namespace trunkline::admin
