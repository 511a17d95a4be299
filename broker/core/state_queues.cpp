// State: where queued messages lie. Young ones in `log`, one record a batch shared by the sessions that are live; the
// rest in `queues`, one chunk for each session and batch.
#include <algorithm>
#include <cassert>

#include "broker/core/state.h"
#include "broker/core/state_keys.h"

namespace trunkline::broker {

using store::StoreError;
using store::StoreStatus;
using store::Table;

void State::write_live_chunk() {
    std::vector<std::pair<Session*, std::uint32_t>> sections;
    for (Session* session : touched_) {
        Gathered& fresh = session->fresh;
        if (fresh.count == 0) continue;
        if (session->spool) {
            // The bytes of a batch are let go together, wherever its parts lie: what a queue counts must not depend
            // on whether a session happened to be live.
            session->spool->gathered.bytes += std::exchange(fresh.bytes, 0);
        }
        sections.emplace_back(session, live_chunk_.add_section(session->id, fresh.first_n, fresh.count, fresh.entries,
                                                               fresh.bytes));
    }
    if (sections.empty()) return;
    const auto chunk = std::make_shared<const std::string>(live_chunk_.take());
    writes_->put_shared(Table::log, number_key(stamp_.position), chunk);
    log_.push_back({stamp_.position, time_ms_, chunk, static_cast<std::uint32_t>(sections.size())});
    log_bytes_ += chunk->size();
    for (auto [session, section] : sections) {
        Gathered& fresh = session->fresh;
        session->young.push_back({stamp_.position, section, fresh.count, fresh.first_n, fresh.bytes});
        session->young_bytes += fresh.bytes;
        if (session->deliver_fresh) {
            effects_[session->shard].deliveries.push_back({session->id, session->owner, chunk, section});
        }
        session->deliver_fresh = false;
        fresh.reset();
    }
}

void State::write_spooled(Session& session) {
    SpoolBuffer& spool = *session.spool;
    const Gathered& gathered = spool.gathered;
    spool.chunk.add_section(session.id, gathered.first_n, gathered.count, gathered.entries, gathered.bytes);
    const std::uint64_t last_n = gathered.first_n + gathered.count - 1;
    writes_->put_shared(Table::queues, queue_key(session.id, last_n, gathered.bytes),
                        std::make_shared<const std::string>(spool.chunk.take()));
    if (session.queue_keys++ == 0) session.trim_at = last_n;
    session.spool.reset();
}

/// Lets go of what the session has acknowledged.
void State::retire(Session& session) {
    while (!session.young.empty() && session.young.front().end_n() <= session.cursor) {
        const Piece& piece = session.young.front();
        session.queued_bytes -= piece.bytes;
        session.young_bytes -= piece.bytes;
        close_section(piece.position);
        session.young.pop_front();
    }
    if (session.queue_keys > 0 && session.trim_at < session.cursor) trim_queue(session);
}

void State::trim_queue(Session& session) {
    const std::string prefix = number_key(session.id);
    const StoreStatus status = store_->scan(Table::queues, prefix, prefix + number_key(session.trim_at),
                                            [&](std::string_view key, std::string_view) {
        session.trim_at = queue_key_last_n(key);
        if (session.trim_at >= session.cursor) return false;
        writes_->remove(Table::queues, key);
        session.queued_bytes -= queue_key_bytes(key);
        --session.queue_keys;
        return true;
    });
    if (session.trim_at < session.cursor) session.trim_at = session.cursor;
    if (!status.ok()) failure_ = status;
}

State::LogRecord* State::find_record(Position position) {
    const auto at = std::lower_bound(log_.begin(), log_.end(), position,
                                     [](const LogRecord& record, Position p) { return record.position < p; });
    return at == log_.end() || at->position != position ? nullptr : &*at;
}

/// One session less waits for the record; the last one removes it.
void State::close_section(Position position) {
    LogRecord* record = find_record(position);
    assert(record && record->open_sections > 0);
    if (--record->open_sections > 0) return;
    writes_->remove(Table::log, number_key(position));
    log_bytes_ -= record->chunk->size();
    record->chunk.reset();
    while (!log_.empty() && !log_.front().chunk) log_.pop_front();
}

void State::move_old_records() {
    while (!log_.empty() && (log_.front().time_ms + limits_.young_ms <= time_ms_ || log_bytes_ > limits_.young_bytes)) {
        move_record(log_.front());
    }
}

void State::move_record(LogRecord& record) {
    const auto chunk = record.chunk;  // the record goes with its last section
    const Position position = record.position;
    for (auto section = store::first_section(*chunk); section; section = store::next_section(*chunk, *section)) {
        const auto at = sessions_.find(store::OwedReader(*chunk, *section).session());
        if (at == sessions_.end()) continue;
        Session& session = *at->second;
        // older records have gone before, so a piece of this one is the session's first
        if (session.young.empty() || session.young.front().position != position) continue;
        const Piece piece = session.young.front();
        session.young.pop_front();
        session.young_bytes -= piece.bytes;
        touch(session, Session::numbers);
        move_piece(session, piece, *chunk);
        close_section(position);
    }
}

/// Writes what is not acknowledged of a piece into the session's queue. It still stands for all its bytes.
void State::move_piece(Session& session, const Piece& piece, const std::string& chunk) {
    store::ChunkWriter writer;
    writer.start(store::chunk_time_ms(chunk));
    std::string entries;
    const std::uint64_t first_n = std::max(session.cursor, piece.first_n);
    store::OwedReader reader(chunk, piece.section);
    std::uint64_t n = piece.first_n;
    for (auto entry = reader.next(); entry; entry = reader.next(), ++n) {
        if (n < first_n) continue;
        const std::string_view op = std::string_view(chunk).substr(entry->op_offset);
        const auto header = store::peek_op(op);
        assert(header);
        store::put_owed(entries, writer.add_op(op.substr(0, header->size)), {entry->qos, entry->retain, entry->shared},
                        entry->subscription_identifiers);
    }
    writer.add_section(session.id, first_n, static_cast<std::uint32_t>(piece.end_n() - first_n), entries,
                       piece.bytes);
    const std::uint64_t last_n = piece.end_n() - 1;
    writes_->put_shared(Table::queues, queue_key(session.id, last_n, piece.bytes),
                        std::make_shared<const std::string>(writer.take()));
    session.trim_at = session.queue_keys == 0 ? last_n : std::min(session.trim_at, last_n);
    ++session.queue_keys;
}

/// Chunks from the one that holds `from_n`, about `bytes` of them; `next_n` is the number after the last.
StoreStatus State::collect_chunks(const Session& session, std::uint64_t from_n, std::uint64_t bytes,
                                  std::vector<Delivery>& chunks, std::uint64_t& next_n) const {
    const std::uint64_t end = session.stored_n();
    std::uint64_t n = std::max(from_n, session.cursor), total = 0;
    const auto gap = [&] {
        return StoreStatus{StoreError::damaged, "queue of client " + session.client_id + " (session " +
                                                    std::to_string(session.id) + "): message number " +
                                                    std::to_string(n) + " is missing or its record is damaged"};
    };
    while (n < end && total < bytes) {
        const auto young = std::upper_bound(session.young.begin(), session.young.end(), n,
                                            [](std::uint64_t v, const Piece& piece) { return v < piece.end_n(); });
        if (young != session.young.end() && young->first_n <= n) {
            const LogRecord* record = find_record(young->position);
            assert(record && record->chunk);
            chunks.push_back({session.id, session.owner, record->chunk, young->section});
            total += young->bytes;
            n = young->end_n();
            continue;
        }
        const std::uint64_t before = n;
        const std::string prefix = number_key(session.id);
        StoreStatus status = store_->scan(Table::queues, prefix, prefix + number_key(n),
                                          [&](std::string_view key, std::string_view value) {
            if (!store::is_intact_chunk(value)) return false;
            const auto section = store::first_section(value);
            if (!section) return false;
            const store::OwedReader reader(value, *section);
            if (reader.first_n() > n || reader.first_n() + reader.count() != queue_key_last_n(key) + 1) return false;
            chunks.push_back({session.id, session.owner, std::make_shared<const std::string>(value), *section});
            total += value.size();
            n = queue_key_last_n(key) + 1;
            return total < bytes && n < end;
        });
        if (!status.ok()) return status;
        if (n == before) return gap();
    }
    next_n = n;
    return {};
}

StoreStatus State::fetch(SessionId id, std::uint64_t owner, std::uint64_t from_n, std::uint32_t bytes,
                         FetchResult& result) {
    result.session = id;
    result.owner = owner;
    Session* session = owned(id, owner);
    if (!session || !session->connected) return {};
    std::uint64_t next_n = 0;
    StoreStatus status = collect_chunks(*session, from_n, bytes, result.chunks, next_n);
    if (!status.ok()) return status;
    result.live = session->live = next_n == session->next_n;
    return {};
}

/// Visits what is queued and in the store, from the cursor on, until `visit` says false.
StoreStatus State::for_each_queued(const Session& session, const EntryVisit& visit) const {
    constexpr std::uint64_t step = 4 << 20;
    const std::uint64_t end = session.stored_n();
    std::vector<Delivery> chunks;
    for (std::uint64_t n = session.cursor; n < end;) {
        chunks.clear();
        std::uint64_t next_n = n;
        StoreStatus status = collect_chunks(session, n, step, chunks, next_n);
        if (!status.ok()) return status;
        for (const Delivery& delivery : chunks) {
            const std::string& chunk = *delivery.chunk;
            store::OwedReader reader(chunk, delivery.section_offset);
            std::uint64_t number = reader.first_n();
            for (auto entry = reader.next(); entry; entry = reader.next(), ++number) {
                if (number < n) continue;
                const std::string_view op = std::string_view(chunk).substr(entry->op_offset);
                const auto header = store::peek_op(op);
                if (!header) return {StoreError::damaged, "damaged message in the queue of " + session.client_id};
                if (!visit(number, *entry, op.substr(0, header->size))) return {};
            }
        }
        n = next_n;
    }
    return {};
}

std::int64_t State::oldest_queued_ms(Session& session, std::uint32_t& reads_left) {
    if (session.queued_messages() == 0) return 0;
    if (session.oldest_queued_ms != 0 && session.oldest_of == session.cursor) return session.oldest_queued_ms;
    std::int64_t found_ms = 0;
    if (session.queue_keys > 0) {
        if (reads_left == 0) return 0;
        --reads_left;
        const auto see = [&](std::string_view, std::string_view chunk) {
            if (store::is_intact_chunk(chunk)) found_ms = store::chunk_time_ms(chunk);
            return false;
        };
        const std::uint64_t from = std::max(session.cursor, session.trim_at);
        (void)store_->scan(Table::queues, number_key(session.id), queue_key(session.id, from, 0), see);
    }
    if (found_ms == 0 && !session.young.empty()) {
        if (const LogRecord* record = find_record(session.young.front().position)) found_ms = record->time_ms;
    }
    session.oldest_queued_ms = found_ms;
    session.oldest_of = session.cursor;
    return found_ms;
}

std::int64_t State::oldest_queued_ms() {
    std::uint32_t sessions_left = 2'000, reads_left = 16;
    auto at = sessions_.lower_bound(oldest_from_);
    for (; at != sessions_.end() && sessions_left > 0 && reads_left > 0; ++at, --sessions_left) {
        const std::int64_t one_ms = oldest_queued_ms(*at->second, reads_left);
        if (one_ms != 0 && (oldest_seen_ms_ == 0 || one_ms < oldest_seen_ms_)) oldest_seen_ms_ = one_ms;
    }
    oldest_from_ = at == sessions_.end() ? 0 : at->first;
    if (at == sessions_.end()) oldest_known_ms_ = std::exchange(oldest_seen_ms_, 0);
    return queued_ == 0 ? 0 : oldest_known_ms_;
}

}  // namespace trunkline::broker
