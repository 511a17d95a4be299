#include "broker/admin/router.h"

#include <algorithm>
#include <cctype>

namespace trunkline::admin {
namespace {

// A parameter takes one segment; as the last one it takes the rest, since client ids may hold slashes.
bool match(std::string_view pattern, std::string_view path, std::map<std::string, std::string>& parameters) {
    while (true) {
        const auto pattern_end = pattern.find('/');
        const std::string_view want = pattern.substr(0, pattern_end);
        const bool last = pattern_end == std::string_view::npos;
        if (want.starts_with('{')) {
            const auto path_end = last ? std::string_view::npos : path.find('/');
            const std::string_view value = path.substr(0, path_end);
            if (value.empty()) return false;
            parameters[std::string(want.substr(1, want.size() - 2))] = value;
            if (last) return true;
            if (path_end == std::string_view::npos) return false;
            path = path.substr(path_end + 1);
        } else {
            const auto path_end = path.find('/');
            if (path.substr(0, path_end) != want) return false;
            if (last || path_end == std::string_view::npos) return last && path_end == std::string_view::npos;
            path = path.substr(path_end + 1);
        }
        pattern = pattern.substr(pattern_end + 1);
    }
}

std::string operation_id(const Route& route) {
    std::string id = route.method;
    std::transform(id.begin(), id.end(), id.begin(), [](unsigned char c) { return std::tolower(c); });
    for (const char c : route.path) {
        if (std::isalnum(static_cast<unsigned char>(c))) id += c;
        if (c == '/' && id.back() != '_') id += '_';
    }
    return id;
}

}  // namespace

const Route* Router::find(Request& request, Response& wrong) const {
    std::string allowed;
    for (const Route& route : routes_) {
        std::map<std::string, std::string> parameters;
        if (!match(route.path, request.path, parameters)) continue;
        if (route.method == request.method || (request.method == "HEAD" && route.method == "GET" && !route.stream)) {
            request.parameters = std::move(parameters);
            return &route;
        }
        allowed += (allowed.empty() ? "" : ", ") + route.method;
    }
    if (allowed.empty()) {
        wrong = problem(404, "not-found", "There is nothing here", "see /openapi.json for what there is");
    } else {
        wrong = problem(405, "method-not-allowed", "This method is not allowed here", "allowed: " + allowed);
        wrong.headers.emplace_back("Allow", allowed);
    }
    return nullptr;
}

Json Router::openapi(std::string_view version) const {
    Json paths = Json::object();
    const Json problem_content = {
        {"application/problem+json", {{"schema", {{"$ref", "#/components/schemas/Problem"}}}}}};
    for (const Route& route : routes_) {
        Json operation = {{"operationId", operation_id(route)}, {"summary", route.summary}};
        for (const Parameter& parameter : route.parameters) {
            operation["parameters"].push_back({{"name", parameter.name},
                                               {"in", parameter.in},
                                               {"required", parameter.required},
                                               {"description", parameter.description},
                                               {"schema", {{"type", parameter.type}}}});
        }
        if (!route.body_description.empty()) {
            operation["requestBody"] = {{"required", true},
                                        {"description", route.body_description},
                                        {"content", {{"application/json", {{"schema", {{"type", "object"}}}}}}}};
        }
        const bool json = route.content_type == "application/json";
        const Json content = {{route.content_type, {{"schema", {{"type", json ? "object" : "string"}}}}}};
        operation["responses"] = {{"200", {{"description", "OK"}, {"content", content}}},
                                  {"default", {{"description", "A problem"}, {"content", problem_content}}}};
        operation["security"] = Json::array();
        if (route.needs.permission != Permission::anybody) {
            operation["x-permission"] = auth::name_of(route.needs.permission);
            operation["security"].push_back({{"bearer", Json::array()}});
            operation["security"].push_back({{"basic", Json::array()}});
            operation["security"].push_back({{"certificate", Json::array()}});
        }
        std::string method = route.method;
        std::transform(method.begin(), method.end(), method.begin(), [](unsigned char c) { return std::tolower(c); });
        paths[route.path][method] = std::move(operation);
    }
    return {{"openapi", "3.1.0"},
            {"info", {{"title", "Trunkline administration"}, {"version", version}}},
            {"paths", std::move(paths)},
            {"components",
             {{"schemas",
               {{"Problem",
                 {{"type", "object"},
                  {"properties",
                   {{"type", {{"type", "string"}}},
                    {"title", {{"type", "string"}}},
                    {"status", {{"type", "integer"}}},
                    {"detail", {{"type", "string"}}}}}}}}},
              {"securitySchemes",
               {{"bearer", {{"type", "http"}, {"scheme", "bearer"}}},
                {"basic", {{"type", "http"}, {"scheme", "basic"}}},
                {"certificate", {{"type", "mutualTLS"}}}}}}}};
}

}  // namespace trunkline::admin
