// The tree: known answers of RFC 6962's test vectors, and the same as the recursive definition says.
#include <catch2/catch.hpp>

#include <bit>
#include <map>
#include <random>

#include "auth/audit/merkle.h"
#include "auth/audit/store.h"
#include "auth/audit/tiles.h"
#include "tests/unit/auth/audit_fixture.h"

using namespace trunkline::auth::audit;

namespace {

/// The eight inputs that implementations of RFC 6962 are tested with.
const std::vector<std::string> inputs = {std::string(),
                                         std::string(1, '\0'),
                                         "\x10",
                                         "\x20\x21",
                                         "\x30\x31",
                                         "\x40\x41\x42\x43",
                                         "\x50\x51\x52\x53\x54\x55\x56\x57",
                                         "\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f"};
const std::vector<std::string> roots = {"6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
                                        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
                                        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
                                        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
                                        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
                                        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
                                        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
                                        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"};

std::vector<Digest> leaf_hashes(std::size_t count) {
    std::vector<Digest> hashes;
    for (std::size_t i = 0; i < count; ++i) hashes.push_back(hash_leaf("leaf " + std::to_string(i)));
    return hashes;
}

/// MTH of RFC 9162, section 2.1.1, word by word.
Digest naive_root(const std::vector<Digest>& leaves, std::size_t begin, std::size_t end) {
    const std::size_t size = end - begin;
    if (size == 0) return sha256("");
    if (size == 1) return leaves[begin];
    std::size_t k = 1;
    while (k * 2 < size) k *= 2;
    return hash_node(naive_root(leaves, begin, begin + k), naive_root(leaves, begin + k, end));
}

/// PATH of RFC 9162, section 2.1.3.1, word by word.
Proof naive_path(const std::vector<Digest>& leaves, std::size_t m, std::size_t begin, std::size_t end) {
    const std::size_t size = end - begin;
    if (size == 1) return {};
    std::size_t k = 1;
    while (k * 2 < size) k *= 2;
    Proof path;
    if (m < k) {
        path = naive_path(leaves, m, begin, begin + k);
        path.push_back(naive_root(leaves, begin + k, end));
    } else {
        path = naive_path(leaves, m - k, begin + k, end);
        path.push_back(naive_root(leaves, begin, begin + k));
    }
    return path;
}

NodeSource naive_nodes(const std::vector<Digest>& leaves) {
    return [&leaves](unsigned height, std::uint64_t index) -> Result<Digest> {
        const std::size_t size = std::size_t{1} << height;
        REQUIRE((index + 1) * size <= leaves.size());
        return naive_root(leaves, index * size, (index + 1) * size);
    };
}

}  // namespace

TEST_CASE("SHA-256, hexadecimal and Base64 give known answers", "[auth][audit]") {
    CHECK(to_hex(sha256("")) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    CHECK(to_hex(sha256({"a", "bc"})) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    for (const auto& [plain, coded] : std::map<std::string, std::string>{
             {"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"}, {"foob", "Zm9vYg=="}, {"foobar", "Zm9vYmFy"}}) {
        CHECK(to_base64(plain) == coded);
        CHECK(from_base64(coded) == plain);
    }
    for (const char* wrong : {"Zg", "Zg=", "Zh==", "Zm9=", "Z===", "====", "Zg==Zg==", "Zm9v\n", "Zm9*"})
        CHECK_FALSE(from_base64(wrong));
    CHECK(from_hex("00fF") == std::string("\x00\xff", 2));
    CHECK_FALSE(from_hex("0"));
    CHECK_FALSE(from_hex("0g"));
}

TEST_CASE("roots are the known answers of RFC 6962", "[auth][audit]") {
    CompactTree tree;
    CHECK(to_hex(tree.root()) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    for (std::size_t i = 0; i < inputs.size(); ++i) {
        tree.append(hash_leaf(inputs[i]));
        CHECK(to_hex(tree.root()) == roots[i]);
    }
}

TEST_CASE("proofs are the known answers of RFC 6962", "[auth][audit]") {
    std::vector<Digest> leaves;
    for (const auto& input : inputs) leaves.push_back(hash_leaf(input));
    const auto hex = [](const Result<Proof>& proof) {
        std::vector<std::string> texts;
        for (const auto& hash : *proof) texts.push_back(to_hex(hash));
        return texts;
    };
    CHECK(hex(inclusion_proof(0, 8, naive_nodes(leaves))) ==
          std::vector<std::string>{"96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
                                   "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                                   "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4"});
    CHECK(hex(inclusion_proof(5, 8, naive_nodes(leaves))) ==
          std::vector<std::string>{"bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
                                   "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
                                   "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"});
    CHECK(hex(consistency_proof(6, 8, naive_nodes(leaves))) ==
          std::vector<std::string>{"0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
                                   "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
                                   "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"});
}

TEST_CASE("the incremental tree and all proofs are those of the recursive definition", "[auth][audit]") {
    constexpr std::size_t count = 67;
    const auto leaves = leaf_hashes(count);
    const auto nodes = naive_nodes(leaves);
    std::vector<Digest> root_at = {sha256("")};
    CompactTree tree;
    for (std::size_t n = 1; n <= count; ++n) {
        tree.append(leaves[n - 1]);
        root_at.push_back(naive_root(leaves, 0, n));
        REQUIRE(tree.root() == root_at[n]);
        REQUIRE(tree.nodes().size() == static_cast<std::size_t>(std::popcount(n)));
        REQUIRE(*compact_tree_of(n, nodes) == tree);
        REQUIRE(*root_of(n, nodes) == root_at[n]);
        for (std::size_t m = 0; m < n; ++m) {
            const auto path = inclusion_proof(m, n, nodes);
            REQUIRE(*path == naive_path(leaves, m, 0, n));
            REQUIRE(verify_inclusion(leaves[m], m, n, *path, root_at[n]));
            if (n > 1) REQUIRE_FALSE(verify_inclusion(leaves[m], m ^ 1, n, *path, root_at[n]));
            REQUIRE_FALSE(verify_inclusion(leaves[m], n, n, *path, root_at[n]));
            const auto link = consistency_proof(m, n, nodes);
            REQUIRE(verify_consistency(m, root_at[m], n, root_at[n], *link));
            if (m > 0) REQUIRE_FALSE(verify_consistency(m, root_at[m - 1], n, root_at[n], *link));
            if (m > 0) REQUIRE_FALSE(verify_consistency(m, root_at[m], n, root_at[n - 1], *link));
        }
    }
}

TEST_CASE("a proof with any hash changed, added or left out is refused", "[auth][audit]") {
    const auto leaves = leaf_hashes(100);
    const auto nodes = naive_nodes(leaves);
    const Digest root = naive_root(leaves, 0, 100), old_root = naive_root(leaves, 0, 37);
    std::mt19937 random(1);
    for (int round = 0; round < 200; ++round) {
        const std::size_t index = random() % 100;
        auto path = *inclusion_proof(index, 100, nodes);
        auto link = *consistency_proof(37, 100, nodes);
        for (Proof* proof : {&path, &link}) {
            const std::size_t at = random() % proof->size();
            if (round % 3 == 0) (*proof)[at][random() % 32] ^= static_cast<unsigned char>(1U << random() % 8);
            if (round % 3 == 1) proof->erase(proof->begin() + static_cast<std::ptrdiff_t>(at));
            if (round % 3 == 2) proof->insert(proof->begin() + static_cast<std::ptrdiff_t>(at), hash_leaf("more"));
        }
        CHECK_FALSE(verify_inclusion(leaves[index], index, 100, path, root));
        CHECK_FALSE(verify_consistency(37, old_root, 100, root, link));
    }
}

TEST_CASE("proofs from tiles are those of the whole tree", "[auth][audit]") {
    constexpr std::size_t count = 70'000;  // three levels of tiles
    const auto leaves = leaf_hashes(count);
    MemoryAuditStore store;
    TileWriter writer(store);
    CompactTree tree;
    for (std::size_t i = 0; i < count; ++i) {
        tree.append(leaves[i], [&](unsigned height, std::uint64_t index, const Digest& hash) {
            writer.on_node(height, index, hash);
        });
        if (i % 9973 == 0) REQUIRE(writer.flush());
    }
    REQUIRE(writer.sync());
    CHECK(*store.size(tile_file_name(0, 0)) == count * 32);
    CHECK(*store.size(tile_file_name(1, 0)) == count / 256 * 32);
    CHECK(*store.size(tile_file_name(2, 0)) == count / 65536 * 32);
    const auto nodes = tile_nodes(store);
    std::mt19937 random(2);
    for (int round = 0; round < 30; ++round) {
        const std::uint64_t size = 1 + random() % count, index = random() % size, old_size = random() % size;
        const Digest root = naive_root(leaves, 0, size);
        CHECK(*root_of(size, nodes) == root);
        CHECK(verify_inclusion(leaves[index], index, size, *inclusion_proof(index, size, nodes), root));
        CHECK(verify_consistency(old_size, naive_root(leaves, 0, old_size), size, root,
                                 *consistency_proof(old_size, size, nodes)));
    }
    REQUIRE(writer.reset_to(65'536));
    CHECK(*root_of(65'536, nodes) == naive_root(leaves, 0, 65'536));
    CHECK(store.size(tile_file_name(0, 0)).value() == 65'536 * 32);
    const auto missing = inclusion_proof(65'540, count, nodes);
    REQUIRE_FALSE(missing);
    CHECK(missing.error().kind == Failure::damaged);
}
