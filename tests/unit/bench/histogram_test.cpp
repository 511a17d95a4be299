#include "bench/histogram.h"

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include <catch2/catch.hpp>

using trunkline::bench::Histogram;

TEST_CASE("a histogram without values answers zero", "[bench]") {
    const Histogram histogram;
    CHECK(histogram.quantile(0.5) == 0);
    CHECK(histogram.minimum() == 0);
    CHECK(histogram.maximum() == 0);
    CHECK(histogram.mean() == 0);
}

TEST_CASE("a histogram is exact for small values and at the ends", "[bench]") {
    Histogram histogram;
    for (int value = 1; value <= 100; ++value) histogram.record(value);
    CHECK(histogram.quantile(0) == 1);
    CHECK(histogram.quantile(0.5) == 50);
    CHECK(histogram.quantile(0.99) == 99);
    CHECK(histogram.quantile(1) == 100);
    CHECK(histogram.mean() == Approx(50.5));
}

TEST_CASE("a histogram's quantiles are within one percent of the sorted values'", "[bench]") {
    std::mt19937_64 random(7);
    std::lognormal_distribution<double> distribution(11, 2);
    Histogram histogram;
    std::vector<std::uint64_t> values;
    for (int i = 0; i < 50'000; ++i) {
        values.push_back(static_cast<std::uint64_t>(distribution(random)));
        histogram.record(static_cast<std::int64_t>(values.back()));
    }
    std::sort(values.begin(), values.end());
    for (const double quantile : {0.01, 0.5, 0.9, 0.99, 0.999}) {
        const auto rank = static_cast<std::size_t>(std::ceil(quantile * double(values.size()))) - 1;
        const auto exact = static_cast<double>(values[rank]);
        CAPTURE(quantile);
        CHECK(double(histogram.quantile(quantile)) >= exact);
        CHECK(double(histogram.quantile(quantile)) <= exact * 1.01 + 1);
    }
}

TEST_CASE("values out of a histogram's range count at its ends", "[bench]") {
    Histogram histogram;
    histogram.record(-5);
    histogram.record(INT64_MAX);
    CHECK(histogram.count() == 2);
    CHECK(histogram.quantile(0.1) == 0);
    CHECK(histogram.quantile(1) >= (std::uint64_t{1} << 42) - 1);
}

TEST_CASE("merged histograms equal one that saw everything", "[bench]") {
    Histogram one, two, all;
    for (int i = 0; i < 1000; ++i) {
        (i % 3 ? one : two).record(i * i);
        all.record(i * i);
    }
    one.merge(two);
    CHECK(one.count() == all.count());
    CHECK(one.minimum() == all.minimum());
    CHECK(one.maximum() == all.maximum());
    for (const double quantile : {0.1, 0.5, 0.9, 1.0}) CHECK(one.quantile(quantile) == all.quantile(quantile));
    one.clear();
    CHECK(one.count() == 0);
    CHECK(one.quantile(1) == 0);
}
