#include <catch2/catch.hpp>

#include "broker/admin/router.h"
#include "broker/admin/tokens.h"

using namespace trunkline;
using namespace trunkline::admin;

TEST_CASE("a problem document carries type, title, status and detail", "[admin]") {
    const Response response = problem(503, "not-ready", "Not ready", "the disk is full");
    CHECK(response.status == 503);
    CHECK(response.content_type == "application/problem+json");
    const Json json = Json::parse(response.body);
    CHECK(json["type"] == "urn:trunkline:problem:not-ready");
    CHECK(json["title"] == "Not ready");
    CHECK(json["status"] == 503);
    CHECK(json["detail"] == "the disk is full");
}

TEST_CASE("bytes that are no UTF-8 do not break an answer", "[admin]") {
    const Response response = json_response({{"client_id", "\xFF\xFE"}});
    CHECK(Json::parse(response.body)["client_id"] == "\xEF\xBF\xBD\xEF\xBF\xBD");
}

TEST_CASE("targets are decoded, broken ones are refused", "[admin]") {
    Request request;
    REQUIRE(parse_target("/api/v1/namespace/tree?path=a%2Fb+c&depth=2&flag&&x=", request));
    CHECK(request.path == "/api/v1/namespace/tree");
    CHECK(request.get("path") == "a/b c");
    CHECK(request.get("depth") == "2");
    CHECK(request.get("flag") == "");
    CHECK(request.get("x") == "");
    CHECK_FALSE(request.get("nothing"));
    for (const char* broken : {"", "relative", "/a%2", "/a%zz", "/a%00", "/a?b=%0a", "http://other/"}) {
        Request fresh;
        INFO(broken);
        CHECK_FALSE(parse_target(broken, fresh));
    }
    CHECK(percent_encode("a/b c+\xC3\xA4") == "a%2Fb%20c%2B%C3%A4");
}

TEST_CASE("numbers of the query are checked for their range", "[admin]") {
    Request request;
    REQUIRE(parse_target("/x?a=5&b=-1&c=99&d=1x&e=", request));
    Response wrong;
    CHECK(number_parameter(request, "a", 1, 1, 10, wrong) == 5U);
    CHECK(number_parameter(request, "missing", 7, 1, 10, wrong) == 7U);
    for (const char* name : {"b", "c", "d", "e"}) {
        Response answer;
        CHECK_FALSE(number_parameter(request, name, 1, 1, 10, answer));
        CHECK(answer.status == 400);
        CHECK(answer.body.find(name) != std::string::npos);
    }
}

TEST_CASE("routes are found by method and path", "[admin]") {
    Router router;
    const Handler nothing = [](const Request&, const Reply&) {};
    const auto add = [&](const char* method, const char* path) {
        Route route{method, path, "summary", Permission::clients_read};
        route.handler = nothing;
        router.add(route);
    };
    add("GET", "/clients");
    add("GET", "/clients/{id}");
    add("DELETE", "/clients/{id}");
    const auto find = [&](const char* method, const char* path, Response& wrong, Request& request) {
        request.method = method;
        request.path = path;
        return router.find(request, wrong);
    };
    Response wrong;
    Request request;
    REQUIRE(find("GET", "/clients", wrong, request));
    REQUIRE(find("HEAD", "/clients", wrong, request));
    const Route* route = find("DELETE", "/clients/edge/7", wrong, request);
    REQUIRE(route);
    CHECK(route->method == "DELETE");
    CHECK(request.parameters.at("id") == "edge/7");
    CHECK_FALSE(find("GET", "/clients/", wrong, request));
    CHECK(wrong.status == 404);
    CHECK_FALSE(find("GET", "/", wrong, request));
    CHECK_FALSE(find("GET", "/clientsx", wrong, request));
    CHECK_FALSE(find("POST", "/clients/x", wrong, request));
    CHECK(wrong.status == 405);
    CHECK(wrong.headers[0] == std::pair<std::string, std::string>("Allow", "GET, DELETE"));
}

TEST_CASE("the OpenAPI document has exactly the routes that are served", "[admin]") {
    Router router;
    router.add({"GET", "/api/v1/clients/{id}", "One client", Permission::clients_read,
                {{"id", "path", "string", true, "the id"}}});
    router.add({"GET", "/healthz", "Alive", Permission::anybody});
    const Json json = router.openapi("9.9.9");
    CHECK(json["openapi"] == "3.1.0");
    CHECK(json["info"]["version"] == "9.9.9");
    CHECK(json["paths"].size() == 2);
    const Json& get = json["paths"]["/api/v1/clients/{id}"]["get"];
    CHECK(get["parameters"][0]["name"] == "id");
    CHECK(get["security"].size() == 3);
    CHECK(get["x-permission"] == "clients/read");
    CHECK(get["operationId"] == "get_api_v1_clients_id");
    CHECK(json["paths"]["/healthz"]["get"]["security"].empty());
    CHECK_FALSE(json["paths"]["/healthz"]["get"].contains("x-permission"));
}

// A route without a permission is no route: it does not compile.
static_assert(!std::is_default_constructible_v<Route>);
static_assert(!std::is_default_constructible_v<Needs>);

TEST_CASE("tokens are known by their hash", "[admin]") {
    std::vector<Problem> problems;
    // printf %s secret | sha256sum
    const std::string hash = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b";
    const Tokens tokens = Tokens::parse("# comment\n\nops:team:" + hash + "\r\n", "t", problems);
    REQUIRE(problems.empty());
    CHECK(tokens.name_of("secret") == "ops:team");
    CHECK(tokens.name_of("Secret").empty());
    CHECK(tokens.name_of("").empty());
    CHECK(tokens.name_of(hash).empty());

    const Tokens limited = Tokens::parse("a:b:" + hash + " user=ann\nci:" + std::string(64, '0') +
                                             "   roles=viewer,operator  user=bob \n", "t", problems);
    REQUIRE(problems.empty());
    REQUIRE(limited.find("secret"));
    CHECK(limited.find("secret")->name == "a:b");
    CHECK(limited.find("secret")->user == "ann");
    CHECK(limited.find("secret")->roles.empty());
    for (const char* wrong : {" nobody", " user=", " roles=", " roles=a,", " roles=,a", " user=a user=b",
                              " roles=a roles=b", " user=a x", "x", "0", "\tuser=a"}) {
        INFO(wrong);
        std::vector<Problem> found;
        Tokens::parse("ops:" + hash + wrong, "t", found);
        CHECK(found.size() == 1);
    }
    Tokens::parse("ops:abc\n:" + hash + "\nplain\n", "t", problems);
    REQUIRE(problems.size() == 3);
    CHECK(problems[0].place == "t:1:1");
    CHECK(problems[2].place == "t:3:1");
    problems.clear();
    Tokens::parse("# nothing\n", "t", problems);
    CHECK(problems.size() == 1);
    problems.clear();
    Tokens::load("/nonexistent/tokens", problems);
    CHECK(problems.size() == 1);
}
