#include <catch2/catch.hpp>

#include "auth/validity.h"

using namespace trunkline::auth;

namespace {

std::int64_t at(const char* text) {
    const auto ms = parse_time(text, Clock::utc);
    REQUIRE(ms);
    return *ms;
}

}  // namespace

TEST_CASE("times are read as RFC 3339 writes them, or by the clock of the file", "[auth]") {
    CHECK(at("1970-01-01") == 0);
    CHECK(at("2026-02-28T23:59:59Z") == 1'772'323'199'000);
    CHECK(at("2026-01-01T01:00:00+02:00") == at("2025-12-31T23:00Z"));
    CHECK(at("2026-01-01T01:00") == at("2026-01-01T01:00:00Z"));
    CHECK(format_time(at("2024-02-29")) == "2024-02-29T00:00:00Z");
    for (const char* bad : {"", "2026", "2026-13-01", "2025-02-29", "2026-01-01T24:00", "2026-01-01T1:00",
                            "2026-01-01x", "2026-01-01T01:00+2", "tomorrow", "2026-01-01T01:00:00Zx", "1969-12-31"}) {
        INFO(bad);
        CHECK_FALSE(parse_time(bad, Clock::utc));
    }
}

TEST_CASE("days and hours hold when they say, also over midnight", "[auth]") {
    Validity day, night;
    day.clock = night.clock = Clock::utc;
    REQUIRE(parse_hours("06:00-14:00", day));
    day.days = *parse_days("mon-fri");
    REQUIRE(parse_hours("22:00-06:00", night));
    night.days = *parse_days("fri");
    // 2026-11-20 is a Friday.
    CHECK(day.holds(at("2026-11-20T06:00Z")));
    CHECK(day.holds(at("2026-11-20T13:59:59Z")));
    CHECK_FALSE(day.holds(at("2026-11-20T14:00Z")));
    CHECK_FALSE(day.holds(at("2026-11-21T08:00Z")));
    CHECK(night.holds(at("2026-11-20T23:00Z")));
    CHECK(night.holds(at("2026-11-21T05:59Z")));      // belongs to Friday's night
    CHECK_FALSE(night.holds(at("2026-11-20T05:00Z")));
    CHECK_FALSE(night.holds(at("2026-11-21T23:00Z")));
    CHECK(*parse_days("sat-mon") == 0b1100001);
    for (const char* bad : {"", "monday", "mon-", "-fri", "mon,tue"}) CHECK_FALSE(parse_days(bad));
    for (const char* bad : {"", "6-14", "06:00", "06:00-06:00", "25:00-26:00", "24:00-06:00", "06:00-14:00x"}) {
        INFO(bad);
        CHECK_FALSE(parse_hours(bad, day));
    }
}

TEST_CASE("what is settled until a time does not change before it", "[auth]") {
    Validity when;
    when.clock = Clock::utc;
    when.from_ms = at("2026-11-19T10:20Z");
    when.until_ms = at("2026-11-22T09:07Z");
    REQUIRE(parse_hours("21:50-06:10", when));
    when.days = *parse_days("thu-fri");
    std::int64_t now = at("2026-11-18T00:00:30Z");
    const std::int64_t end = at("2026-11-24");
    bool state = when.holds(now);
    int changes = 0;
    for (std::int64_t settled = when.settled_until(now); now < end; now += 30'000) {
        REQUIRE(settled > now - 30'000);
        if (now < settled) {
            REQUIRE(when.holds(now) == state);
        } else {
            changes += when.holds(now) != state;
            state = when.holds(now);
            settled = when.settled_until(now);
            REQUIRE(settled > now);
        }
    }
    CHECK(changes == 4);
    CHECK(Validity().settled_until(now) == always_ms);
    CHECK(when.settled_until(when.until_ms) == always_ms);
}
