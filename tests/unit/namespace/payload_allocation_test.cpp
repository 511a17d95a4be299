// What a payload that keeps its contract costs in memory: nothing. Counts the calls of this binary's operator new on
// the thread that asks; simdjson and RE2 allocate through it too.
#include <cstdlib>
#include <new>

#include "tests/unit/namespace/payload_rows.h"

namespace {

thread_local std::size_t allocations = 0;

}  // namespace

[[gnu::noinline]] void* operator new(std::size_t size) {
    ++allocations;
    if (void* memory = std::malloc(size > 0 ? size : 1)) return memory;
    throw std::bad_alloc();
}
[[gnu::noinline]] void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
    ++allocations;
    return std::malloc(size > 0 ? size : 1);
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, const std::nothrow_t&) noexcept { std::free(memory); }

using namespace trunkline::uns;
using namespace trunkline::uns::test;

TEST_CASE("Accepting a payload allocates nothing", "[namespace][payload]") {
    struct Asked {
        Contract contract;
        std::string payload;
    };
    PayloadSpec pattern = spec_of(Format::reading, Kind::string);
    pattern.value.pattern = "B[0-9]{6}";
    std::string large = "[0";
    while (large.size() < 60'000) large += ",1";
    const Asked asked[] = {
        {compiled(spec_of(Format::reading, Kind::number)), R"({"value":23.5,"timestamp":1700000000000})"},
        {compiled(spec_of(Format::reading, Kind::number)), R"({"value":2.35e1,"timestamp":1,"a":{"b":1},"c":[]})"},
        {compiled(spec_of(Format::reading)), R"({"value":{"a":[1,2],"b":{}},"timestamp":"2023-11-14T22:13:20Z"})"},
        {compiled(pattern), R"({"value":"B123456","timestamp":1})"},
        {compiled(spec_of(Format::umh, Kind::number)), R"({"value":23.5,"timestamp_ms":1700000000000})"},
        {compiled(spec_of(Format::plain, Kind::number)), "23.5"},
        {compiled(spec_of(Format::json)), large + "]"},
        {compiled(spec_of(Format::sparkplug)), std::string("\x08\x01\x12\x09\x0A\x05speed\x50\x07", 13)},
        {compiled(schema_of(
             R"({"properties":{"a":{"pattern":"^x","maxLength":3},"b":{"uniqueItems":true,"enum":[[1,2]]}},
            "required":["a"],"additionalProperties":false,"anyOf":[{"required":["z"]},{"minProperties":2}]})")),
         R"({"a":"xyz","b":[1,2]})"},
    };
    for (const Asked& row : asked) {
        CAPTURE(row.payload.substr(0, 100));
        REQUIRE(!row.contract->check(row.payload));    // the thread gets its buffers, the pattern its first states
        const std::size_t before = allocations;
        bool kept = true;
        for (int i = 0; i < 10; ++i) kept = kept && !row.contract->check(row.payload);
        const std::size_t after = allocations;
        CHECK(kept);
        CHECK(after == before);
    }
    const std::size_t before = allocations;
    CHECK(compiled(spec_of(Format::json))->check("{"));
    CHECK(allocations > before);    // the counting counts
}
