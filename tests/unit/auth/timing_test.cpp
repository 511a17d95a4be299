#include <chrono>
#include <cmath>

#include "auth/methods.h"
#include "tests/unit/auth/samples.h"

using namespace trunkline::auth;
using namespace trunkline::auth::test;

namespace {

/// Mean and variance as they come (Welford).
struct Sample {
    double count = 0, mean = 0, squares = 0;
    void add(double value) {
        count += 1;
        const double off = value - mean;
        mean += off / count;
        squares += off * (value - mean);
    }
    [[nodiscard]] double variance() const { return squares / (count - 1); }
};

double welch_t(const Sample& a, const Sample& b) {
    return (a.mean - b.mean) / std::sqrt(a.variance() / a.count + b.variance() / b.count);
}

}  // namespace

// Welch's t of interleaved attempts with a wrong password, as in leakage tests: |t| < 4.5 shows no difference.
TEST_CASE("a wrong password takes as long for users who do not exist", "[auth]") {
    AccessStore store;
    std::string text = "trunkline: 1\nusers:\n";
    const std::string hashes[] = {"$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHRzb21lc2FsdA$" + std::string(42, 'B') + "A",
                                  "$7$200$c2FsdHNhbHRzYWw=$" + std::string(85, 'A') + "A=="};
    for (int i = 0; i < 100; ++i) text += "  user" + std::to_string(i) + ": {password: \"" + hashes[i % 2] + "\"}\n";
    REQUIRE(store.load(text, "roles.yaml").taken);
    HashPool pool(1);
    const PasswordMethod method(store, pool);
    std::mt19937_64 random(5);
    Sample known, unknown;
    const std::size_t attempts = count_from("TRUNKLINE_TIMING_ATTEMPTS", 1'000);
    // What is far slower than usual was interrupted by something else: left out on both sides alike.
    double usual_ns = 0;
    for (std::size_t i = 0; i < attempts + 100; ++i) {
        const bool exists = random() % 2;
        Credentials credentials;
        // A new unknown name each time: each resembles one known user for good, and a hundred would be no fair sample.
        const std::string user = exists ? "user" + std::to_string(random() % 100) : "none" + std::to_string(random());
        credentials.user_name = user;
        credentials.password = "wrong";
        const Attempt attempt(credentials);
        const auto begin = std::chrono::steady_clock::now();
        const MethodAnswer answer = method.verify(attempt);
        const double ns = std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - begin).count();
        REQUIRE(answer.verdict == (exists ? Verdict::deny : Verdict::defer));
        if (i < 100) {
            usual_ns = std::max(usual_ns, ns);
        } else if (ns < 2 * usual_ns) {
            (exists ? known : unknown).add(ns);
        }
    }
    const double t = welch_t(known, unknown);
    INFO("t " << t << ", known " << known.mean << " ns, unknown " << unknown.mean << " ns");
    CHECK(known.count > static_cast<double>(attempts) / 3);
    CHECK(std::abs(t) < 4.5);
}
