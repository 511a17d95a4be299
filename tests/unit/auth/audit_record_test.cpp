// Records as bytes, JSON and CSV; checkpoints, keys and notes; the sampler.
#include <catch2/catch.hpp>

#include <random>

#include <nlohmann/json.hpp>

#include "auth/audit/checkpoint.h"
#include "auth/audit/denial_sampler.h"
#include "tests/unit/auth/audit_fixture.h"

using namespace trunkline::auth::audit;
using namespace trunkline::auth::audit::testing;

namespace {

Record full_record() {
    Record made = record(5, 12);
    made.sequence = 77;
    made.old_value = Value::hash_of("a long value");
    made.new_value = Value::of("with \"quotes\", commas\nand lines");
    made.approver = "second person";
    made.outcome = Outcome::denied;
    made.count = 12;
    made.cut = true;
    return made;
}

}  // namespace

TEST_CASE("a record is read back as it was written, and no other bytes are it", "[auth][audit]") {
    const Record written = full_record();
    const std::string bytes = encode(written);
    const auto read = decode_record(bytes);
    REQUIRE(read);
    CHECK(*read == written);
    for (std::size_t size = 0; size < bytes.size(); ++size) CHECK_FALSE(decode_record(bytes.substr(0, size)));
    CHECK_FALSE(decode_record(bytes + "x"));
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        for (int bit = 0; bit < 8; ++bit) {
            std::string other = bytes;
            other[i] = static_cast<char>(other[i] ^ (1 << bit));
            const auto changed = decode_record(other);
            if (!changed) continue;
            CHECK_FALSE(*changed == written);
            CHECK(encode(*changed) == other);  // canonical: one value, one encoding
        }
    }
}

TEST_CASE("a record's bytes do not change from one version of the program to the next", "[auth][audit]") {
    Record golden;
    golden.sequence = 3;
    golden.at = {1'700'000'000'123'456'789, 42};
    golden.actor = "anna";
    golden.action = "login";
    golden.new_value = Value::of("v");
    CHECK(to_hex(encode(golden)) ==
          "01010000030000000000000015cd853dfe9c97172a00000000000000010000000000000004000000616e6e6100000000000000000500"
          "00006c6f67696e00000000000000000000000000010100000076");
    const PublishFacts facts{{1, 2}, "p", "c", "t", sha256("payload")};
    CHECK(to_hex(encode(facts)).substr(0, 36) == "020101000000000000000200000000000000");
    std::string scratch;
    CHECK(leaf_of(facts, scratch) == hash_leaf(encode(facts)));
    PublishFacts other = facts;
    other.topic = "ct", other.client_id = "";
    CHECK_FALSE(leaf_of(other, scratch) == leaf_of(facts, scratch));  // counted texts: no two facts have one encoding
}

TEST_CASE("a text over its limit is cut at a character, and the record says so", "[auth][audit]") {
    Record long_one = record(1);
    long_one.object = std::string(Record::text_bytes_max - 1, 'a') + "\xC3\xA4" + "tail";
    const auto read = decode_record(encode(long_one));
    REQUIRE(read);
    CHECK(read->cut);
    CHECK(read->object == std::string(Record::text_bytes_max - 1, 'a'));
    CHECK(Value::of(std::string(1025, 'x')).kind == Value::Kind::hash);
    CHECK(Value::of(std::string(1025, 'x')).size == 1025);
    CHECK(Value::of(std::string(1024, 'x')).kind == Value::Kind::text);
}

TEST_CASE("a record as JSON and as CSV", "[auth][audit]") {
    Record made = full_record();
    made.actor = "bad \xFF bytes";
    made.object = "=HYPERLINK(\"x\")";
    const auto json = nlohmann::json::parse(to_json_line(made));
    CHECK(json["sequence"] == 77);
    CHECK(json["actor"] == "bad \xEF\xBF\xBD bytes");
    CHECK(json["old"]["bytes"] == 12);
    CHECK(json["new"] == "with \"quotes\", commas\nand lines");
    CHECK(json["result"] == "denied");
    CHECK(json["leaf"] == to_hex(hash_leaf(encode(made))));
    CHECK(to_json_line(made).find('\n') == std::string::npos);
    const std::string row = to_csv_row(made);
    CHECK(row.find(",\"'=HYPERLINK(\"\"x\"\")\",") != std::string::npos);
    CHECK(row.find("\"with \"\"quotes\"\", commas\nand lines\"") != std::string::npos);
    CHECK(row.ends_with("\r\n"));
    const std::string header = csv_header();
    CHECK(std::count(header.begin(), header.end(), ',') == 15);
}

TEST_CASE("moments as text", "[auth][audit]") {
    CHECK(utc_text(0) == "1970-01-01T00:00:00.000000000Z");
    CHECK(utc_text(1'709'164'799'999'999'999) == "2024-02-28T23:59:59.999999999Z");
    CHECK(utc_text(-1) == "1969-12-31T23:59:59.999999999Z");
    CHECK(parse_utc("2024-02-28T23:59:59.999999999Z") == 1'709'164'799'999'999'999);
    CHECK(parse_utc("2024-02-29") == 1'709'164'800'000'000'000);
    CHECK(parse_utc("2024-02-29T00:00:00.5Z") == 1'709'164'800'500'000'000);
    for (const char* wrong :
         {"", "2023-02-29", "2024-2-29", "2024-02-29T24:00:00Z", "2024-02-29T00:00:00", "1969-01-01",
          "2024-02-29T00:00:00.Z", "2024-02-29T00:00:00.0000000000Z", "-024-02-29", "2024-00-01"})
        CHECK_FALSE(parse_utc(wrong));
}

TEST_CASE("keys are read back from their texts, and a wrong character is found", "[auth][audit]") {
    const SigningKey key = new_key();
    const std::string text = key.verify_key().to_text();
    REQUIRE(VerifyKey::parse(text + "\n"));
    CHECK(*VerifyKey::parse(text) == key.verify_key());
    CHECK(SigningKey::parse(key.to_secret_text())->verify_key() == key.verify_key());
    for (std::size_t i = 0; i < text.size(); ++i) {
        std::string other = text;
        other[i] = other[i] == 'a' ? 'b' : 'a';
        const auto parsed = VerifyKey::parse(other);
        CHECK_FALSE((parsed && *parsed == key.verify_key()));
        if (i < text.rfind('+')) CHECK_FALSE(parsed);
    }
    // The example of C2SP's signed-note and of Go's note package.
    const auto known = VerifyKey::parse("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW");
    REQUIRE(known);
    const auto note = parse_note(
        "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n\n"
        "\xE2\x80\x94 PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6"
        "KE6RyyBwJnAM=\n");
    REQUIRE(note);
    CHECK(note->is_signed_by(*known));
    CHECK_FALSE(note->is_signed_by(key.verify_key()));
}

TEST_CASE("a signed checkpoint is read back, and no byte of it can be changed", "[auth][audit]") {
    const SigningKey key = new_key();
    const Checkpoint checkpoint{"plant-1/audit", 1234, sha256("root"), moment(5)};
    const std::string note = sign_note(to_text(checkpoint), {&key});
    const auto parsed = parse_note(note);
    REQUIRE(parsed);
    CHECK(*parse_checkpoint(parsed->text) == checkpoint);
    CHECK(parsed->is_signed_by(key.verify_key()));
    for (std::size_t i = 0; i < note.size(); ++i) {
        std::string other = note;
        other[i] = static_cast<char>(other[i] ^ 1);
        const auto changed = parse_note(other);
        CHECK_FALSE((changed && changed->signatures.size() == 1 && changed->is_signed_by(key.verify_key())));
    }
    for (const char* wrong : {"", "o\n1\n", "o o\n1\nAA==\n", "o\n01\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n"})
        CHECK_FALSE(parse_checkpoint(wrong));
}

TEST_CASE("trust follows key changes forwards and backwards, and nowhere else", "[auth][audit]") {
    const SigningKey one = new_key(), two = new_key(), three = new_key(), foreign = new_key();
    const auto change = [](const SigningKey* from, const SigningKey& to, std::uint64_t size) {
        KeyChange made{"plant-1/audit", size, moment(1), std::nullopt, to.verify_key()};
        if (from) made.previous = from->verify_key();
        return made;
    };
    const KeyChange second = change(&one, two, 10);
    const std::string note = sign_key_change(second, &one, two);
    REQUIRE(open_key_change(note));
    CHECK(*open_key_change(note) == second);
    CHECK_FALSE(open_key_change(sign_key_change(second, &foreign, two)));
    CHECK_FALSE(open_key_change(sign_key_change(second, nullptr, two)));
    CHECK_FALSE(open_key_change(sign_key_change(second, &one, foreign)));
    const std::vector<KeyChange> chain = {change(nullptr, one, 0), second, change(&two, three, 20)};
    CHECK(is_trusted(three.verify_key(), one.verify_key(), chain));
    CHECK(is_trusted(one.verify_key(), three.verify_key(), chain));
    CHECK_FALSE(is_trusted(foreign.verify_key(), one.verify_key(), chain));
    CHECK_FALSE(is_trusted(three.verify_key(), foreign.verify_key(), chain));
}

TEST_CASE("a checkpoint is due after a second or 10,000 leaves, and never without leaves", "[auth][audit]") {
    const CheckpointPolicy policy;
    const std::uint64_t second = 1'000'000'000;
    CHECK_FALSE(checkpoint_due(policy, 0, 0, 100 * second));
    CHECK_FALSE(checkpoint_due(policy, 1, 5 * second, 6 * second - 1));
    CHECK(checkpoint_due(policy, 1, 5 * second, 6 * second));
    CHECK_FALSE(checkpoint_due(policy, 9'999, 5 * second, 5 * second));
    CHECK(checkpoint_due(policy, 10'000, 5 * second, 5 * second));
    CHECK(checkpoint_due(policy, 1, 5 * second, 4 * second));
}

TEST_CASE("denials are sampled and counted exactly", "[auth][audit]") {
    std::mt19937 random(3);
    SamplerPolicy policy;
    policy.kinds_max = 20;
    DenialSampler sampler(policy);
    std::uint64_t recorded = 0, summed = 0, ms = 0;
    const int total = 50'000;
    std::size_t most = 0;
    for (int i = 0; i < total; ++i) {
        ms += random() % 20;
        const std::string actor = "client-" + std::to_string(random() % (i < total / 2 ? 5 : 60));
        recorded += sampler.should_record(actor, "10.0.0.1", "publish", "roles.yaml:14", moment(ms));
        if (i % 500) continue;
        const auto summaries = sampler.summaries(moment(ms));
        most = std::max(most, summaries.size());
        for (const auto& summary : summaries) {
            CHECK(summary.outcome == Outcome::denied);
            CHECK(summary.action == action::denial);
            summed += summary.count;
        }
    }
    for (const auto& summary : sampler.drain(moment(ms))) summed += summary.count;
    CHECK(sampler.drain(moment(ms)).empty());
    CHECK(recorded + summed == total);
    CHECK(sampler.total() == total);
    CHECK(recorded < total / 10);
    CHECK(recorded > 100);
    CHECK(most <= policy.kinds_max + 1);
}

TEST_CASE("the first denials of a kind are told in full, and others are not mistaken for them", "[auth][audit]") {
    DenialSampler sampler;
    for (int i = 0; i < 10; ++i) CHECK(sampler.should_record("a", "b", "c", "d", moment(0)));
    CHECK_FALSE(sampler.should_record("a", "b", "c", "d", moment(0)));
    CHECK(sampler.should_record("ab", "", "c", "d", moment(0)));
    CHECK(sampler.summaries(moment(59'999)).empty());
    const auto summaries = sampler.summaries(moment(60'000));
    REQUIRE(summaries.size() == 1);
    CHECK(summaries[0].count == 1);
    CHECK(summaries[0].actor == "a");
    CHECK(summaries[0].reason == "d");
    CHECK(sampler.should_record("a", "b", "c", "d", moment(60'000)));
}
