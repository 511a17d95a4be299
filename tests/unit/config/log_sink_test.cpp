#include <catch2/catch.hpp>

#include <unistd.h>

#include <string>

#include <nlohmann/json.hpp>

#include "broker/log_sink.h"

using namespace trunkline::broker;

TEST_CASE("a JSON line is valid whatever a value holds", "[log]") {
    const std::string value = "quote \" back \\ line\nbell\x07 bad \xFF\xC0\xAF good \xC3\xA4";
    const std::string line = StderrLog::format(true, 1'700'000'000'123, Level::warn, "client_refused",
                                               {{"client", value}, {"why", "x"}}, 3);
    REQUIRE(line.back() == '\n');
    CHECK(line.find('\n') == line.size() - 1);
    const auto json = nlohmann::json::parse(line);
    CHECK(json["time"] == "2023-11-14T22:13:20.123Z");
    CHECK(json["level"] == "warn");
    CHECK(json["event"] == "client_refused");
    CHECK(json["suppressed"] == 3);
    CHECK(json["client"].get<std::string>().find("good \xC3\xA4") != std::string::npos);
}

TEST_CASE("a text line keeps outside values on one line", "[log]") {
    const std::string line = StderrLog::format(false, 0, Level::info, "a", {{"b", "c\nd e"}}, 0);
    CHECK(line == "1970-01-01T00:00:00.000Z info a b=\"c\\nd e\"\n");
}

TEST_CASE("one event cannot flood the log, others are not held back by it", "[log]") {
    int ends[2];
    REQUIRE(::pipe(ends) == 0);
    StderrLog sink(false, ends[1]);
    for (int i = 0; i < 500; ++i) sink.write(Level::warn, "noisy", {});
    sink.write(Level::warn, "quiet", {});
    ::close(ends[1]);
    std::string text;
    char buffer[4'096];
    for (ssize_t got = 0; (got = ::read(ends[0], buffer, sizeof buffer)) > 0;) text.append(buffer, static_cast<std::size_t>(got));
    ::close(ends[0]);
    std::size_t noisy = 0;
    for (std::size_t at = 0; (at = text.find("noisy", at)) != std::string::npos; ++at) ++noisy;
    CHECK(noisy >= StderrLog::burst);
    CHECK(noisy <= 2 * StderrLog::burst);   // a second may turn in between
    CHECK(text.find("quiet") != std::string::npos);
}
