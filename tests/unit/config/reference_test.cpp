// The shipped example, the schema and the reference say what the program does.
#include <catch2/catch.hpp>

#include <fstream>
#include <sstream>
#include <string>

#include <nlohmann/json.hpp>

#include "broker/config_file.h"
#include "broker/config_json.h"
#include "broker/limits_table.h"

using namespace trunkline;
using namespace trunkline::broker;

namespace {

std::string read(const std::string& path) {
    std::ifstream in(std::string(TRUNKLINE_SOURCE) + "/" + path);
    REQUIRE(in);
    std::ostringstream text;
    text << in.rdbuf();
    return text.str();
}

// Every key of the schema, written into a file, is a key that the program knows, and the other way round.
void check_keys(const nlohmann::json& schema, const std::string& path) {
    for (const auto& [key, value] : schema["properties"].items()) {
        INFO(path << key);
        std::string text = "{zzzz: 1}";
        for (std::string rest = path; !rest.empty();) {
            const auto dot = rest.rfind('.', rest.size() - 2);
            const std::string parent = rest.substr(dot == std::string::npos ? 0 : dot + 1);
            const std::string name = parent.substr(0, parent.size() - 1);
            const bool list =
                name == "listeners" || name == "authenticators" || name == "authorizers" || name == "witnesses" ||
                name == "group_roles";
            text = "{" + name + ": " + (list ? "[" + text + "]" : text) + "}";
            rest = dot == std::string::npos ? "" : rest.substr(0, dot + 1);
        }
        const ConfigResult result = parse_config(text, "t.yaml", {});
        bool known = false;
        for (const Problem& problem : result.problems) {
            if (problem.rule == "TL-9002") known = problem.fix.find(key) != std::string::npos;
        }
        CHECK(known);
        const auto& inner = value.contains("items") ? value["items"] : value;
        if (inner.contains("properties")) check_keys(inner, path + key + ".");
    }
}

}  // namespace

TEST_CASE("the shipped example is a good configuration and holds the defaults", "[config]") {
    Options options;
    options.data_dir = "./trunkline-data";
    const ConfigResult result = parse_config(read("deploy/trunkline.yaml"), "trunkline.yaml", options);
    for (const Problem& problem : result.problems) UNSCOPED_INFO(to_string(problem));
    REQUIRE(result.ok());
    CHECK(config_json(result.config) == config_json(load_config({}).config));
}

TEST_CASE("the schema has the keys of the program, its limits and their defaults", "[config]") {
    const auto schema = nlohmann::json::parse(read("deploy/trunkline.schema.json"));
    check_keys(schema, "");
    const auto& limits = schema["properties"]["limits"]["properties"];
    CHECK(limits.size() == limit_fields().size());
    const std::string reference = read("docs/reference/limits.md");
    for (const LimitField& field : limit_fields()) {
        const std::string name(field.name);
        INFO(name);
        REQUIRE(limits.contains(name));
        CHECK(limits[name]["default"].get<std::uint64_t>() == field.get(Limits{}));
        CHECK(reference.find("| `" + name + "` |") != std::string::npos);
    }
}

TEST_CASE("limits.h has no field that cannot be configured", "[config]") {
    std::istringstream header(read("broker/core/limits.h"));
    std::size_t fields = 0;
    for (std::string line; std::getline(header, line);) fields += line.starts_with("    std::uint") ? 1 : 0;
    CHECK(fields == limit_fields().size());
}

TEST_CASE("the effective configuration shows no key file", "[config]") {
    Config config = load_config({}).config;
    config.listeners[0].tls = {"/etc/cert.pem", "/etc/secret-key.pem", "", "", false, "1.2"};
    const std::string text = config_json(config);
    CHECK(text.find("secret-key") == std::string::npos);
    CHECK(text.find("cert.pem") != std::string::npos);
}
