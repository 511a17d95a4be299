// The record format: what is written is read back, and damage is a value.
#include <catch2/catch.hpp>

#include "persistence/chunk.h"
#include "persistence/record.h"

namespace trunkline::store {
namespace {

/// One operation of every kind, all fields set.
OpBatch every_kind() {
    OpBatch batch;
    PublishOp publish;
    publish.qos = 2;
    publish.retain = publish.no_queue = true;
    publish.inbound_id = 0xFFFE;
    publish.publisher = 77;
    publish.expires_at_ms = 1'700'000'000'123;
    publish.topic = "a/b/c";
    publish.properties = std::string_view("\x01\x00", 2);
    publish.payload = "payload";
    batch.add(publish);
    ClaimOp claim;
    claim.owner = 5;
    claim.shard = 3;
    claim.clean_start = true;
    claim.expiry_s = 99;
    claim.client_id = "client";
    claim.will = WillRecord{1, true, 10, 20, "will/topic", "wp", "bye"};
    claim.user = "ann";
    batch.add(claim);
    batch.add(DetachOp{1, 2, 3, 4, true});
    batch.add(DropOp{1, 2, "client", "ann"});
    batch.add(SubscribeOp{1, 2, 2, true, true, 2, 12345, "$share/g/a/#"});
    batch.add(UnsubscribeOp{1, 2, "a/+"});
    batch.add(AcknowledgeOp{1, 2, {{1, 3}, {5, 6}}, {{7, 9}}});
    batch.add(ReleaseInboundOp{1, 2, 3});
    batch.add(WillSentOp{4});
    batch.add(RestartOp{9});
    batch.add(DropRetainedOp{"a/b"});
    QuarantineOp quarantine;
    quarantine.qos = 1;
    quarantine.retain = true;
    quarantine.inbound_id = 7;
    quarantine.publisher = 8;
    quarantine.at_ms = 9;
    quarantine.expires_at_ms = 10;
    quarantine.topic = "a/B";
    quarantine.properties = std::string_view("\x01\x01", 2);
    quarantine.payload = "200";
    quarantine.client_id = "edge";
    quarantine.user = "anna";
    quarantine.rule = "TL-3102";
    quarantine.text = "value 200 is above max 120";
    quarantine.at = "/value";
    quarantine.expected = "at most 120";
    quarantine.fix = "correct it";
    batch.add(quarantine);
    batch.add(DropQuarantinedOp{11, true});
    batch.add(ModelOp{12, 13, "acme", "1.0.0", "0123", "plant.yaml", "anna", "because", "trunkline: 1\n"});
    batch.add(RegulatedOp{14, 15, "01234567890123456789012345678901", "anna", "edge", "10.0.0.1:7"});
    batch.add(LeavesKeptOp{16, 17});
    return batch;
}

/// Reads the operation by its kind; true when a reader took it.
bool readable(std::string_view bytes) {
    const auto header = peek_op(bytes);
    if (!header) return false;
    switch (header->kind) {
        case OpKind::publish: return read_publish(bytes).has_value();
        case OpKind::claim: return read_claim(bytes).has_value();
        case OpKind::detach: return read_detach(bytes).has_value();
        case OpKind::drop: return read_drop(bytes).has_value();
        case OpKind::subscribe: return read_subscribe(bytes).has_value();
        case OpKind::unsubscribe: return read_unsubscribe(bytes).has_value();
        case OpKind::acknowledge: return read_acknowledge(bytes).has_value();
        case OpKind::release_inbound: return read_release_inbound(bytes).has_value();
        case OpKind::will_sent: return read_will_sent(bytes).has_value();
        case OpKind::restart: return read_restart(bytes).has_value();
        case OpKind::drop_retained: return read_drop_retained(bytes).has_value();
        case OpKind::quarantine: return read_quarantine(bytes).has_value();
        case OpKind::drop_quarantined: return read_drop_quarantined(bytes).has_value();
        case OpKind::model: return read_model(bytes).has_value();
        case OpKind::regulated: return read_regulated(bytes).has_value();
        case OpKind::leaves_kept: return read_leaves_kept(bytes).has_value();
    }
    return false;
}

std::vector<std::string> split(const OpBatch& batch) {
    std::vector<std::string> ops;
    for (std::string_view rest = batch.bytes(); !rest.empty();) {
        const auto header = peek_op(rest);
        if (!header) break;
        ops.emplace_back(rest.substr(0, header->size));
        rest.remove_prefix(header->size);
    }
    return ops;
}

}  // namespace

TEST_CASE("every operation is read back as it was written", "[persistence][record]") {
    const OpBatch batch = every_kind();
    const auto ops = split(batch);
    REQUIRE(ops.size() == batch.count());
    REQUIRE(ops.size() == 16);

    const auto publish = read_publish(ops[0]);
    REQUIRE(publish);
    CHECK(publish->qos == 2);
    CHECK(publish->retain);
    CHECK(publish->no_queue);
    CHECK(publish->inbound_id == 0xFFFE);
    CHECK(publish->publisher == 77);
    CHECK(publish->expires_at_ms == 1'700'000'000'123);
    CHECK(publish->topic == "a/b/c");
    CHECK(publish->properties == std::string_view("\x01\x00", 2));
    CHECK(publish->payload == "payload");

    const auto claim = read_claim(ops[1]);
    REQUIRE(claim);
    CHECK(claim->owner == 5);
    CHECK(claim->shard == 3);
    CHECK(claim->clean_start);
    CHECK(claim->expiry_s == 99);
    CHECK(claim->client_id == "client");
    CHECK(claim->will == WillRecord{1, true, 10, 20, "will/topic", "wp", "bye"});
    CHECK(claim->user == "ann");

    const auto detach = read_detach(ops[2]);
    CHECK((detach && detach->session == 1 && detach->owner == 2 && detach->sent_below == 3 && detach->expiry_s == 4 &&
           detach->drop_will));
    const auto drop = read_drop(ops[3]);
    CHECK((drop && drop->user == "ann"));
    CHECK((drop && drop->session == 1 && drop->owner == 2 && drop->client_id == "client"));
    const auto subscribe = read_subscribe(ops[4]);
    REQUIRE(subscribe);
    CHECK((subscribe->qos == 2 && subscribe->no_local && subscribe->retain_as_published));
    CHECK(subscribe->retain_handling == 2);
    CHECK(subscribe->subscription_identifier == 12345);
    CHECK(subscribe->filter == "$share/g/a/#");
    const auto unsubscribe = read_unsubscribe(ops[5]);
    CHECK((unsubscribe && unsubscribe->filter == "a/+"));
    const auto acknowledge = read_acknowledge(ops[6]);
    REQUIRE((acknowledge && acknowledge->complete.size() == 2 && acknowledge->received.size() == 1));
    CHECK(acknowledge->complete[1].from == 5);
    CHECK(acknowledge->received[0].to == 9);
    const auto release = read_release_inbound(ops[7]);
    CHECK((release && release->packet_id == 3 && release->owner == 2));
    CHECK(read_will_sent(ops[8])->session == 4);
    CHECK(read_restart(ops[9])->epoch == 9);
    CHECK(read_drop_retained(ops[10])->topic == "a/b");
    const auto quarantine = read_quarantine(ops[11]);
    REQUIRE(quarantine);
    CHECK((quarantine->qos == 1 && quarantine->retain && quarantine->inbound_id == 7 && quarantine->publisher == 8));
    CHECK((quarantine->at_ms == 9 && quarantine->expires_at_ms == 10));
    CHECK((quarantine->topic == "a/B" && quarantine->properties.size() == 2 && quarantine->payload == "200"));
    CHECK((quarantine->client_id == "edge" && quarantine->user == "anna" && quarantine->rule == "TL-3102"));
    CHECK((quarantine->text == "value 200 is above max 120" && quarantine->at == "/value"));
    CHECK((quarantine->expected == "at most 120" && quarantine->fix == "correct it"));
    const auto dropped = read_drop_quarantined(ops[12]);
    CHECK((dropped && dropped->id == 11 && dropped->if_published));
    const auto model = read_model(ops[13]);
    REQUIRE(model);
    CHECK((model->applied_ms == 12 && model->rolled_back_from == 13 && model->name == "acme"));
    CHECK((model->version == "1.0.0" && model->hash == "0123" && model->file == "plant.yaml"));
    CHECK((model->who == "anna" && model->why == "because" && model->source == "trunkline: 1\n"));
    const auto regulated = read_regulated(ops[14]);
    REQUIRE(regulated);
    CHECK((regulated->utc_ns == 14 && regulated->monotonic_ns == 15 && regulated->leaf.ends_with("8901")));
    CHECK((regulated->principal == "anna" && regulated->client_id == "edge" && regulated->source == "10.0.0.1:7"));
    const auto kept = read_leaves_kept(ops[15]);
    CHECK((kept && kept->through == 16 && kept->trail_size == 17));
}

TEST_CASE("a leaf that is made later takes the place of the one before it, and nothing else changes",
          "[persistence][record]") {
    const std::string before(RegulatedOp::leaf_bytes, 'x'), after(RegulatedOp::leaf_bytes, 'y');
    OpBatch batch, expected;
    batch.add(LeavesKeptOp{16, 17});
    expected.add(LeavesKeptOp{16, 17});
    const std::uint32_t at = batch.add(RegulatedOp{14, 15, before, "anna", "edge", "10.0.0.1:7"});
    expected.add(RegulatedOp{14, 15, after, "anna", "edge", "10.0.0.1:7"});
    batch.set_leaf(at, after);
    CHECK(batch.bytes() == expected.bytes());
    CHECK(read_regulated(batch.bytes().substr(at))->leaf == after);
}

TEST_CASE("an operation cut off anywhere is refused", "[persistence][record]") {
    for (const std::string& op : split(every_kind())) {
        CHECK(readable(op));
        for (std::size_t size = 0; size < op.size(); ++size) {
            const std::string cut = op.substr(0, size);  // a buffer of its own, so that ASan sees an overrun
            CHECK(!readable(cut));
        }
    }
}

TEST_CASE("an operation that claims a shorter length than its fields is refused", "[persistence][record]") {
    for (std::string op : split(every_kind())) {
        const auto size = static_cast<std::uint32_t>(op.size());
        const auto kind = peek_op(op)->kind;
        if (kind == OpKind::publish) continue;  // its payload is the rest, whatever its length
        for (std::uint32_t claimed = 0; claimed < size; ++claimed) {
            std::memcpy(op.data() + 4, &claimed, 4);
            CHECK(!readable(op));
        }
    }
}

TEST_CASE("flipped bits in an operation never reach beyond it", "[persistence][record]") {
    for (const std::string& op : split(every_kind())) {
        for (std::size_t bit = 0; bit < op.size() * 8; ++bit) {
            std::string flipped = op;
            flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << bit % 8));
            (void)readable(flipped);  // any answer; ASan watches the reads
        }
    }
    SUCCEED();
}

TEST_CASE("a chunk gives back its sections, entries and messages", "[persistence][chunk]") {
    ChunkWriter writer;
    for (int round = 0; round < 2; ++round) {  // the writer is reused
        writer.start(1234);
        const auto ops = split(every_kind());
        const std::uint32_t first = writer.add_op(ops[0]);
        const std::uint32_t second = writer.add_op(ops[0]);
        std::string entries, ids;
        put_le(ids, std::uint32_t{7});
        put_le(ids, std::uint32_t{8});
        put_owed(entries, first, {1, true, false}, {});
        put_owed(entries, second, {2, false, true}, ids);
        writer.add_section(10, 100, 2, entries, 77);
        entries.clear();
        put_owed(entries, second, {1, false, false}, {});
        writer.add_section(11, 5, 1, entries, 0);
        const std::string chunk = writer.take();

        REQUIRE(is_intact_chunk(chunk));
        CHECK(chunk_time_ms(chunk) == 1234);
        auto section = first_section(chunk);
        REQUIRE(section);
        CHECK(section_bytes(chunk, *section) == 77);
        OwedReader reader(chunk, *section);
        CHECK(reader.session() == 10);
        CHECK(reader.first_n() == 100);
        CHECK(reader.count() == 2);
        auto entry = reader.next();
        REQUIRE(entry);
        CHECK((entry->qos == 1 && entry->retain && !entry->shared));
        CHECK(reader.message(*entry)->payload == "payload");
        entry = reader.next();
        REQUIRE(entry);
        CHECK((entry->qos == 2 && !entry->retain && entry->shared));
        CHECK(entry->subscription_identifiers == ids);
        CHECK(!reader.next());
        section = next_section(chunk, *section);
        REQUIRE(section);
        CHECK(OwedReader(chunk, *section).session() == 11);
        CHECK(!next_section(chunk, *section));
    }
}

TEST_CASE("a chunk with any bit flipped or any byte missing is known to be damaged", "[persistence][chunk]") {
    ChunkWriter writer;
    writer.start(1);
    std::string entries;
    put_owed(entries, writer.add_op(split(every_kind())[0]), {}, {});
    writer.add_section(1, 1, 1, entries, 0);
    const std::string chunk = writer.take();
    for (std::size_t bit = 0; bit < chunk.size() * 8; ++bit) {
        std::string flipped = chunk;
        flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << bit % 8));
        CHECK(!is_intact_chunk(flipped));
    }
    for (std::size_t size = 0; size < chunk.size(); ++size) CHECK(!is_intact_chunk(chunk.substr(0, size)));
}

TEST_CASE("an owed reader over garbage ends at once or gives bounded entries", "[persistence][chunk]") {
    std::string garbage(200, '\xFF');
    for (std::uint32_t offset = 0; offset < 300; ++offset) {
        OwedReader reader(garbage, offset);
        int entries = 0;
        while (auto entry = reader.next()) {
            (void)reader.message(*entry);
            REQUIRE(++entries < 100);
        }
    }
}

}  // namespace trunkline::store
