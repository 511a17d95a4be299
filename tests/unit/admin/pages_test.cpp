// Lists in pages, and packets of a trace as people and programs are shown them.
#include <catch2/catch.hpp>

#include "broker/admin/pages.h"
#include "broker/admin/trace_api.h"
#include "broker/mqtt/encode.h"

using namespace trunkline;
using namespace trunkline::admin;

namespace {

Json list_of(const std::vector<std::string>& names) {
    Json list = Json::array();
    for (const std::string& name : names) list.push_back({{"name", name}});
    return list;
}

Response page(const std::vector<std::string>& names, const std::string& query) {
    Request request;
    REQUIRE(parse_target("/x?" + query, request));
    return paged(list_of(names), "users", "name", request, {{"file", "f"}});
}

std::vector<std::string> names_in(const Json& json) {
    std::vector<std::string> names;
    for (const Json& one : json["users"]) names.push_back(one["name"]);
    return names;
}

}  // namespace

TEST_CASE("pages of a list follow each other by cursor and end without one", "[admin]") {
    const std::vector<std::string> all = {"c", "a", "b b", "d"};
    std::vector<std::string> seen;
    std::string cursor;
    for (int pages = 0; pages < 2; ++pages) {
        const Response answer = page(all, "limit=2&cursor=" + cursor);
        REQUIRE(answer.status == 200);
        const Json json = Json::parse(answer.body);
        CHECK(json["file"] == "f");
        for (const std::string& name : names_in(json)) seen.push_back(name);
        CHECK(json.contains("cursor") == (pages == 0));
        cursor = json.value("cursor", "");
    }
    CHECK(seen == all);
    CHECK(names_in(Json::parse(page(all, "").body)) == all);
    CHECK(names_in(Json::parse(page({}, "").body)).empty());
    CHECK(Json::parse(page(all, "cursor=b%20b").body)["users"].size() == 1);
}

TEST_CASE("a cursor whose entry is gone, and a limit that is none, are refused", "[admin]") {
    CHECK(page({"a", "b"}, "cursor=x").status == 400);
    CHECK(page({"a", "b"}, "limit=0").status == 400);
    CHECK(page({"a", "b"}, "limit=10001").status == 400);
    CHECK(page({}, "cursor=a").status == 400);
}

TEST_CASE("a cursor of two texts gives both back, whatever is in them", "[admin]") {
    for (const std::string first : {"", "a", "1:2", "é", "x:y:z"}) {
        for (const std::string second : {"", "a/#", "7:", "$share/g/#"}) {
            const auto parts = split_pair_cursor(pair_cursor(first, second));
            REQUIRE(parts);
            CHECK(parts->first == first);
            CHECK(parts->second == second);
        }
    }
    for (const char* none : {"", ":", "a", "1", "2:a", "-1:a", "99999999999999999999:a", "1a",
                             "18446744073709551615:x"}) {
        CHECK_FALSE(split_pair_cursor(none));
    }
}

TEST_CASE("a traced packet is JSON with its fields, a cut payload and no secret", "[admin]") {
    mqtt::Buffer bytes;
    mqtt::PublishOut publish;
    publish.topic = "a/b";
    publish.qos = 1;
    publish.packet_id = 7;
    const std::string payload(2'000, 'x');
    publish.payload = payload;
    mqtt::encode(bytes, mqtt::Version::v5, publish);
    broker::TracedPacket packet = broker::describe_packet(*mqtt::next_frame(bytes.view(), 1 << 20), mqtt::Version::v5);
    packet.from_client = true;
    packet.at_ms = 5;
    packet.connection = 3;
    const Json json = trace_json(packet);
    CHECK(json["packet"] == "PUBLISH");
    CHECK(json["direction"] == "in");
    CHECK(json["topic"] == "a/b");
    CHECK(json["packet_id"] == 7);
    CHECK(json["bytes"] == 2'000);
    CHECK(json["truncated"] == true);
    CHECK(json["payload"].get<std::string>().size() == 1'024);
    bytes.clear();
    mqtt::Connect connect;
    connect.client_id = "a";
    connect.user_name = "ann";
    connect.password = "secret";
    mqtt::encode(bytes, connect);
    const auto shown = trace_json(broker::describe_packet(*mqtt::next_frame(bytes.view(), 1 << 20), mqtt::Version::v5));
    CHECK(shown.dump().find("secret") == std::string::npos);
    CHECK(shown["password"] == "(6 bytes, not shown)");
    broker::TracedPacket closed;
    closed.name = "closed";
    CHECK(trace_json(closed)["event"] == "closed");
}
