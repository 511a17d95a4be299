// Trails in memory for the tests of the audit trail.
#pragma once

#include <catch2/catch.hpp>

#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "auth/audit/log.h"
#include "auth/audit/verify.h"

/// How a result looks in a failed check: Boost's own way needs every value to be printable.
template <class T>
struct Catch::StringMaker<boost::system::result<T, trunkline::auth::audit::Error>> {
    static std::string convert(const boost::system::result<T, trunkline::auth::audit::Error>& result) {
        return result ? "a value" : "error: " + result.error().message;
    }
};

namespace trunkline::auth::audit::testing {

inline constexpr std::int64_t start_utc_ns = 1'795'400'000'000'000'000;

inline Moment moment(std::uint64_t ms) {
    return {start_utc_ns + static_cast<std::int64_t>(ms) * 1'000'000, ms * 1'000'000};
}

inline SigningKey new_key() {
    auto key = SigningKey::generate("plant-1/audit");
    REQUIRE(key);
    return *key;
}

inline Record record(int number, std::uint64_t ms = 0) {
    Record made;
    made.at = moment(ms);
    made.actor = "operator-" + std::to_string(number % 7);
    made.method = "password";
    made.source = "10.0.0." + std::to_string(number % 250);
    made.action = number % 3 ? "role.change" : "login";
    made.object = "object/" + std::to_string(number);
    made.old_value = Value::of("before");
    made.new_value = Value::of(std::string(static_cast<std::size_t>(number % 50), 'x'));
    made.reason = "because";
    return made;
}

inline std::vector<Digest> leaves(std::size_t count, std::uint64_t seed) {
    std::vector<Digest> made;
    for (std::size_t i = 0; i < count; ++i) made.push_back(hash_leaf(std::to_string(seed) + "/" + std::to_string(i)));
    return made;
}

inline std::unique_ptr<AuditLog> open(AuditStore& store, const SigningKey& key, std::uint64_t ms = 0,
                                      LogOptions options = {}) {
    auto log = AuditLog::open(store, key, moment(ms), options);
    INFO((log ? std::string() : log.error().message));
    REQUIRE(log);
    return std::move(*log);
}

/// Records, publishes and checkpoints in small segments; a checkpoint after every `step` entries.
inline void fill(AuditLog& log, int entries, int step = 10, std::uint64_t ms = 1000) {
    for (int i = 0; i < entries; ++i) {
        if (i % 4 == 3) {
            REQUIRE(log.append_leaves(leaves(5, static_cast<std::uint64_t>(i)), moment(ms)));
        } else {
            REQUIRE(log.append(record(i, ms)));
        }
        if (i % step == step - 1) REQUIRE(log.commit(moment(ms), true));
    }
    REQUIRE(log.commit(moment(ms), true));
}

inline VerifyReport verified(const AuditStore& store, const VerifyKey& key, std::vector<WitnessFile> witnesses = {}) {
    VerifyOptions options;
    options.key = key;
    options.threads = 1;
    options.witnesses = std::move(witnesses);
    auto report = verify(store, options);
    INFO((report ? std::string() : report.error().message));
    REQUIRE(report);
    return *report;
}

/// A witness in the test's hands.
struct KeptLines : Witness {
    explicit KeptLines(std::string& text) : text_(text) {}
    std::string name() const override { return "kept"; }
    Status deliver(const std::string& line) override {
        text_ += line + "\n";
        return {};
    }
    std::string& text_;
};

inline LogOptions small_segments() {
    LogOptions options;
    options.segment_bytes_max = 64 * 1024;
    return options;
}

inline std::vector<std::string> segments_of(const AuditStore& store) {
    std::vector<std::string> names;
    for (const auto& name : *store.list())
        if (segment_first(name)) names.push_back(name);
    return names;
}

}  // namespace trunkline::auth::audit::testing
