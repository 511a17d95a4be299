// SHA-256 by the processor's own instructions against OpenSSL's, and what hashes many things at once.
#include <catch2/catch.hpp>

#include <random>

#include "auth/audit/leaf_maker.h"
#include "auth/audit/merkle.h"

using namespace trunkline::auth::audit;

namespace {

std::string noise(std::size_t size, std::uint32_t seed) {
    std::mt19937 random(seed);
    std::string bytes(size, '\0');
    for (char& byte : bytes) byte = static_cast<char>(random());
    return bytes;
}

/// Of two parts, which OpenSSL always hashes.
Digest by_openssl(const std::string& bytes) {
    return sha256({std::string_view(bytes).substr(0, bytes.size() / 2),
                   std::string_view(bytes).substr(bytes.size() / 2)});
}

}  // namespace

TEST_CASE("SHA-256 gives what FIPS 180-4's examples say", "[auth][audit]") {
    CHECK(to_hex(sha256("")) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    CHECK(to_hex(sha256("abc")) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    CHECK(to_hex(sha256(std::string(1'000'000, 'a'))) ==
          "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST_CASE("a message of any length, alone or beside another of any length, has OpenSSL's SHA-256", "[auth][audit]") {
    std::vector<std::string> messages;
    for (std::size_t size = 0; size <= 260; ++size) messages.push_back(noise(size, static_cast<std::uint32_t>(size)));
    std::vector<Digest> expected;
    for (const auto& message : messages) expected.push_back(by_openssl(message));
    std::size_t wrong = 0;
    for (std::size_t a = 0; a < messages.size(); ++a) {
        wrong += sha256(messages[a]) != expected[a];
        for (std::size_t b = 0; b < messages.size(); b += 7) {
            Digest first, second;
            sha256_two(messages[a], messages[b], first, second);
            wrong += first != expected[a] || second != expected[b];
        }
    }
    CHECK(wrong == 0);
}

TEST_CASE("nodes hashed together are those hashed one by one, also in the place of their children", "[auth][audit]") {
    for (std::size_t pairs = 0; pairs <= 9; ++pairs) {
        std::vector<Digest> row;
        for (std::size_t i = 0; i < 2 * pairs; ++i) row.push_back(sha256(std::to_string(i)));
        std::vector<Digest> expected;
        for (std::size_t i = 0; i < pairs; ++i) expected.push_back(hash_node(row[2 * i], row[2 * i + 1]));
        std::vector<Digest> in_place = row, behind = row;
        hash_nodes(in_place.data(), pairs, in_place.data());
        CHECK(std::equal(expected.begin(), expected.end(), in_place.begin()));
        behind.emplace_back();
        hash_nodes(behind.data(), pairs, behind.data() + 1);
        CHECK(std::equal(expected.begin(), expected.end(), behind.begin() + 1));
    }
}

TEST_CASE("a tree that takes many leaves at once is the one that takes them singly", "[auth][audit]") {
    std::mt19937 random(5);
    using Node = std::pair<std::pair<unsigned, std::uint64_t>, Digest>;
    for (int round = 0; round < 40; ++round) {
        CompactTree one, many;
        std::vector<Node> of_one, of_many;
        for (int part = 0; part < 6; ++part) {
            std::vector<Digest> leaves;
            for (std::size_t n = random() % (round < 20 ? 5 : 300); n > 0; --n)
                leaves.push_back(sha256(std::to_string(random())));
            for (const Digest& leaf : leaves) {
                one.append(leaf, [&](unsigned height, std::uint64_t index, const Digest& hash) {
                    of_one.push_back({{height, index}, hash});
                });
            }
            many.append(leaves, [&](unsigned height, std::uint64_t first, std::span<const Digest> hashes) {
                for (const Digest& hash : hashes) of_many.push_back({{height, first++}, hash});
            });
            CHECK(many == one);
        }
        std::sort(of_one.begin(), of_one.end());
        std::sort(of_many.begin(), of_many.end());
        CHECK(of_many == of_one);
    }
}

TEST_CASE("leaves made together are those of leaf_of, in their order", "[auth][audit]") {
    LeafMaker maker;
    std::string scratch;
    std::mt19937 random(6);
    for (int round = 0; round < 30; ++round) {
        std::vector<std::pair<std::uint32_t, Digest>> expected, made;
        for (std::uint32_t n = 0; n < static_cast<std::uint32_t>(round) && !maker.full(); ++n) {
            const std::string payload = noise(n % 4 == 3 ? 2000 + random() % 100 : random() % 200, random());
            const std::string topic = "plant/" + std::to_string(n), client(random() % 40, 'c');
            PublishFacts facts{{round, n}, "anna", client, topic, {}};
            maker.add(facts, payload, 7 * n);
            facts.payload = sha256(payload);
            expected.emplace_back(7 * n, leaf_of(facts, scratch));
        }
        CHECK(maker.empty() == expected.empty());
        maker.make([&](std::uint32_t tag, const Digest& leaf) { made.emplace_back(tag, leaf); });
        CHECK(made == expected);
        CHECK(maker.empty());
    }
}
