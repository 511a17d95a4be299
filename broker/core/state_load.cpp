// State: its records in the store, written and read back. persistence/README.md has the bytes.
#include <cassert>

#include <xxhash.h>

#include "broker/core/state.h"
#include "broker/core/state_keys.h"

namespace trunkline::broker {

using store::ByteReader;
using store::StoreError;
using store::StoreStatus;
using store::Table;

namespace {

constexpr std::uint8_t session_connected = 1, session_has_will = 2;
constexpr std::uint8_t record_with_user = 2;   // of `sessions`; one without a user stays version 1
constexpr std::uint8_t cursor_has_shared = 1;

StoreStatus bad_record(Table table, std::string_view what) {
    return {StoreError::damaged, std::string("table ") + store::table_name(table) + ": record of " + std::string(what) +
                                     " is damaged or not of format version " + std::to_string(store::record_version)};
}

bool take_version(ByteReader& in) { return in.take<std::uint8_t>() == store::record_version; }

void put_ranges(std::string& out, const RangeSet& set) {
    store::put_le(out, static_cast<std::uint32_t>(set.ranges().size()));
    for (const store::Range& range : set.ranges()) {
        store::put_le(out, range.from);
        store::put_le(out, range.to);
    }
}

void take_ranges(ByteReader& in, RangeSet& set) {
    const auto count = in.take<std::uint32_t>();
    for (std::uint32_t i = 0; i < count && in.ok(); ++i) {
        const auto from = in.take<std::uint64_t>();
        set.add({from, in.take<std::uint64_t>()});
    }
}

}  // namespace

void State::put_session(const Session& session) {
    std::string value;
    store::put_le(value, session.user.empty() ? store::record_version : record_with_user);
    store::put_le(value, static_cast<std::uint8_t>((session.connected ? session_connected : 0) |
                                                   (session.will ? session_has_will : 0)));
    store::put_le(value, session.owner);
    store::put_le(value, session.shard);
    store::put_le(value, session.expiry_s);
    store::put_le(value, session.expires_at_ms);
    store::put_le(value, session.will_at_ms);
    store::put_text(value, session.client_id);
    if (session.will) store::put_will(value, *session.will);
    store::put_le(value, static_cast<std::uint32_t>(session.due_wills.size()));
    for (const store::WillRecord& will : session.due_wills) store::put_will(value, will);
    if (!session.user.empty()) store::put_text(value, session.user);
    writes_->put(Table::sessions, number_key(session.id), value);
}

void State::put_cursor(const Session& session) {
    std::string value;
    store::put_le(value, store::record_version);
    store::put_le(value, session.has_shared ? cursor_has_shared : std::uint8_t{0});
    store::put_le(value, session.cursor);
    store::put_le(value, session.next_n);
    store::put_le(value, session.sent_below);
    store::put_le(value, session.queued_bytes);
    store::put_le(value, session.queue_keys);
    put_ranges(value, session.complete);
    put_ranges(value, session.received);
    writes_->put(Table::cursors, number_key(session.id), value);
}

void State::put_inbound(const Session& session) {
    const std::string key = number_key(session.id);
    if (session.inbound.empty()) return writes_->remove(Table::inbound, key);
    std::string value;
    store::put_le(value, store::record_version);
    for (const std::uint16_t id : session.inbound) store::put_le(value, id);
    writes_->put(Table::inbound, key, value);
}

StoreStatus State::load(const store::Store& store) {
    store_ = &store;
    StoreStatus status = load_all(true);
    if (!status.ok() || !listener_) return status;
    for (const auto& [id, session] : sessions_) {
        listener_->session_added(session->client_id, session->user);
        for (const auto& [filter, one] : session->subscriptions) listener_->filter_added(filter, one.qos);
    }
    return status;
}

/// `first`: at start, the retained tree is read too; later it holds what is committed anyway.
StoreStatus State::load_all(bool first) {
    if (StoreStatus status = load_meta(); !status.ok()) return status;
    if (StoreStatus status = load_sessions(); !status.ok()) return status;
    if (StoreStatus status = load_subscriptions(); !status.ok()) return status;
    if (StoreStatus status = load_log(); !status.ok()) return status;
    if (first) {
        if (StoreStatus status = load_retained(); !status.ok()) return status;
    }
    retained_count_ = retained_.count();
    retained_bytes_ = retained_.bytes();
    if (StoreStatus status = load_audit(first); !status.ok()) return status;
    return load_governance(first);
}

StoreStatus State::load_meta() {
    StoreStatus status;
    const auto value = store_->get(Table::meta, meta_state_key, &status);
    if (!status.ok() || !value) return status;
    ByteReader in(*value);
    if (const auto version = in.take<std::uint8_t>(); version != store::record_version) {
        return {StoreError::version, "the store is of format version " + std::to_string(version) +
                                         "; this program knows version " + std::to_string(store::record_version)};
    }
    stamp_.epoch = in.take<std::uint64_t>();
    stamp_.position = in.take<std::uint64_t>();
    stamp_.hash = in.take<std::uint64_t>();
    time_ms_ = in.take<std::int64_t>();
    commit_time_ = std::max(released_at_, uns::commit_time(time_ms_));  // values are stored with milliseconds alone
    next_session_ = in.take<std::uint64_t>();
    return in.done() ? StoreStatus{} : bad_record(Table::meta, meta_state_key);
}

StoreStatus State::load_sessions() {
    StoreStatus damage;
    const auto damaged = [&damage](Table table, std::string_view what) {
        damage = bad_record(table, what);
        return false;
    };
    StoreStatus status = store_->scan(Table::sessions, {}, {}, [&](std::string_view key, std::string_view value) {
        auto made = std::make_unique<Session>();
        Session& session = *made;
        ByteReader in(value);
        const auto version = in.take<std::uint8_t>();
        if (key.size() != 8 || (version != store::record_version && version != record_with_user)) {
            return damaged(Table::sessions, "a session");
        }
        session.id = store::load_be64(key.data());
        const auto flags = in.take<std::uint8_t>();
        session.connected = (flags & session_connected) != 0;
        connected_ += session.connected;
        session.owner = in.take<std::uint64_t>();
        session.shard = in.take<std::uint32_t>();
        session.expiry_s = in.take<std::uint32_t>();
        session.expires_at_ms = in.take<std::int64_t>();
        session.will_at_ms = in.take<std::int64_t>();
        session.client_id = in.take_text();
        if (flags & session_has_will) session.will = store::take_will(in);
        const auto due = in.take<std::uint32_t>();
        for (std::uint32_t i = 0; i < due && in.ok(); ++i) {
            if (auto will = store::take_will(in)) session.due_wills.push_back(std::move(*will));
        }
        if (version == record_with_user) session.user = in.take_text();
        if (!in.done()) return damaged(Table::sessions, session.client_id);
        if (session.expires_at_ms) expiries_.emplace(session.expires_at_ms, session.id);
        if (session.will_at_ms) wills_.emplace(session.will_at_ms, session.id);
        by_client_.emplace(session.client_id, &session);
        sessions_.emplace_hint(sessions_.end(), session.id, std::move(made));
        return true;
    });
    if (!status.ok() || !damage.ok()) return status.ok() ? damage : status;

    std::size_t cursors = 0;
    status = store_->scan(Table::cursors, {}, {}, [&](std::string_view key, std::string_view value) {
        const auto at = key.size() == 8 ? sessions_.find(store::load_be64(key.data())) : sessions_.end();
        ByteReader in(value);
        if (at == sessions_.end() || !take_version(in)) return damaged(Table::cursors, "a session");
        Session& session = *at->second;
        session.has_shared = (in.take<std::uint8_t>() & cursor_has_shared) != 0;
        session.cursor = in.take<std::uint64_t>();
        session.next_n = in.take<std::uint64_t>();
        session.sent_below = in.take<std::uint64_t>();
        session.queued_bytes = in.take<std::uint64_t>();
        session.queue_keys = in.take<std::uint64_t>();
        take_ranges(in, session.complete);
        take_ranges(in, session.received);
        ++cursors;
        queued_ += session.queued_messages();
        return in.done() ? true : damaged(Table::cursors, session.client_id);
    });
    if (status.ok() && damage.ok() && cursors != sessions_.size()) damaged(Table::cursors, "some session (missing)");
    if (!status.ok() || !damage.ok()) return status.ok() ? damage : status;

    status = store_->scan(Table::inbound, {}, {}, [&](std::string_view key, std::string_view value) {
        const auto at = key.size() == 8 ? sessions_.find(store::load_be64(key.data())) : sessions_.end();
        ByteReader in(value);
        if (at == sessions_.end() || !take_version(in)) return damaged(Table::inbound, "a session");
        while (!in.rest().empty() && in.ok()) at->second->inbound.push_back(in.take<std::uint16_t>());
        return in.ok() ? true : damaged(Table::inbound, at->second->client_id);
    });
    return status.ok() ? damage : status;
}

StoreStatus State::load_subscriptions() {
    StoreStatus damage;
    StoreStatus status = store_->scan(Table::subscriptions, {}, {}, [&](std::string_view key, std::string_view value) {
        const auto at = key.size() > 8 ? sessions_.find(store::load_be64(key.data())) : sessions_.end();
        ByteReader in(value);
        const bool known = take_version(in);
        Subscription one;
        one.qos = in.take<std::uint8_t>();
        const auto flags = in.take<std::uint8_t>();
        one.no_local = (flags & 1) != 0;
        one.retain_as_published = (flags & 2) != 0;
        one.retain_handling = in.take<std::uint8_t>();
        one.identifier = in.take<std::uint32_t>();
        if (at == sessions_.end() || !known || !in.done()) {
            damage = bad_record(Table::subscriptions, key.size() > 8 ? key.substr(8) : "a session");
            return false;
        }
        add_filter(*at->second, key.substr(8), one);
        return true;
    });
    if (!status.ok() || !damage.ok()) return status.ok() ? damage : status;
    return store_->scan(Table::meta, group_prefix, {}, [&](std::string_view key, std::string_view value) {
        const auto group = groups_.find(key.substr(group_prefix.size()));
        if (group == groups_.end() || value.size() != 8) return true;
        group->second.last = store::load_le<std::uint64_t>(value.data());
        return true;
    });
}

StoreStatus State::load_log() {
    StoreStatus damage;
    StoreStatus status = store_->scan(Table::log, {}, {}, [&](std::string_view key, std::string_view value) {
        if (key.size() != 8 || !store::is_intact_chunk(value)) {
            const std::uint64_t position = key.size() == 8 ? store::load_be64(key.data()) : 0;
            damage = bad_record(Table::log, "position " + std::to_string(position));
            return false;
        }
        LogRecord record{store::load_be64(key.data()), store::chunk_time_ms(value),
                         std::make_shared<const std::string>(value), 0};
        for (auto section = store::first_section(value); section; section = store::next_section(value, *section)) {
            const store::OwedReader reader(value, *section);
            const auto at = sessions_.find(reader.session());
            if (at == sessions_.end()) continue;
            Session& session = *at->second;
            const Piece piece{record.position, *section, reader.count(), reader.first_n(),
                              store::section_bytes(value, *section)};
            if (piece.end_n() <= session.cursor) continue;
            session.young.push_back(piece);
            session.young_bytes += piece.bytes;
            ++record.open_sections;
        }
        if (record.open_sections == 0) return true;
        log_bytes_ += value.size();
        log_.push_back(std::move(record));
        return true;
    });
    return status.ok() ? damage : status;
}

StoreStatus State::load_retained() {
    constexpr std::size_t block = 4096;
    StoreStatus damage;
    std::deque<std::string> topics;
    std::vector<uns::RetainedTree::Change> changes;
    const auto flush = [&] {
        retained_.apply(changes.data(), changes.size(), commit_time_);
        changes.clear();
        topics.clear();
    };
    StoreStatus status = store_->scan(Table::retained, {}, {}, [&](std::string_view key, std::string_view value) {
        ByteReader in(value);
        const bool known = take_version(in);
        uns::RetainedMessage::Fields fields;
        fields.qos = in.take<std::uint8_t>();
        fields.expires_at_ms = in.take<std::int64_t>();
        fields.stored_at = uns::commit_time(in.take<std::int64_t>());
        fields.properties = in.take_text();
        fields.payload = in.rest();
        if (!known || !in.ok() || fields.payload.empty() || key.empty()) {
            damage = bad_record(Table::retained, key);
            return false;
        }
        if (fields.expires_at_ms) retained_expiries_.push({fields.expires_at_ms, std::string(key)});
        changes.push_back({topics.emplace_back(key), uns::RetainedMessage::make(fields)});
        if (changes.size() == block) flush();
        return true;
    });
    flush();
    return status.ok() ? damage : status;
}

void State::clear() {
    routes_.clear();
    while (!sessions_.empty()) {  // takes the filters out of the tree
        Session& session = *sessions_.begin()->second;
        for (const auto& [text, one] : session.subscriptions) {
            if (one.qos == 0) continue;
            const uns::SharedFilter shared = uns::parse_shared(text);
            auto* node = filters_.find(shared.group.empty() ? std::string_view(text) : shared.filter);
            if (!node) continue;
            node->value.plain.clear();
            node->value.groups.clear();
            filters_.prune(*node);
        }
        sessions_.erase(sessions_.begin());
    }
    groups_.clear();
    by_client_.clear();
    expiries_.clear();
    wills_.clear();
    filter_count_ = 0;
    log_.clear();
    log_bytes_ = queued_ = 0;
    connected_ = 0;
    stamp_ = {};
    time_ms_ = 0;
    next_session_ = 1;
    quarantine_.clear();
    quarantine_bytes_ = 0;
    next_quarantined_ = 1;
    model_hashes_.clear();
    next_model_ = 1;
    leaves_kept_ = {};
    leaves_.clear();
    replaced_ = nullptr;
    effects_.clear();
    touched_.clear();
    touched_groups_.clear();
    held_ops_.clear();
    retained_changes_.clear();
    retained_index_.clear();
    retained_topics_.clear();
    swept_.clear();
    notices_.clear();
    failure_ = {};
}

namespace {

/// Feeds values into one running hash.
class Hasher {
public:
    void add(std::string_view text) {
        add_number(text.size());
        hash_ = XXH3_64bits_withSeed(text.data(), text.size(), hash_);
    }
    void add_number(std::uint64_t number) { hash_ = XXH3_64bits_withSeed(&number, sizeof number, hash_); }
    void add(const RangeSet& set) {
        for (const store::Range& range : set.ranges()) {
            add_number(range.from);
            add_number(range.to);
        }
    }
    void add(const store::WillRecord& will) {
        std::string bytes;
        store::put_will(bytes, will);
        add(bytes);
    }
    [[nodiscard]] std::uint64_t value() const { return hash_; }

private:
    std::uint64_t hash_ = 0;
};

}  // namespace

std::uint64_t State::state_hash() const {
    Hasher hash;
    for (const std::uint64_t number :
         {stamp_.epoch, stamp_.position, stamp_.hash, next_session_, static_cast<std::uint64_t>(time_ms_),
          leaves_kept_.through, leaves_kept_.trail_size}) {
        hash.add_number(number);
    }
    for (const auto& [id, kept] : sessions_) {
        const auto& session = kept;  // clang 14 takes no structured binding into a lambda
        hash.add(session->client_id);
        hash.add(session->user);
        for (const std::uint64_t number :
             {id, session->owner, std::uint64_t{session->shard}, std::uint64_t{session->connected},
              std::uint64_t{session->expiry_s}, static_cast<std::uint64_t>(session->expires_at_ms),
              static_cast<std::uint64_t>(session->will_at_ms), session->cursor, session->next_n, session->sent_below,
              session->queued_bytes, std::uint64_t{session->has_shared}}) {
            hash.add_number(number);
        }
        if (session->will) hash.add(*session->will);
        for (const store::WillRecord& will : session->due_wills) hash.add(will);
        hash.add(session->complete);
        hash.add(session->received);
        for (const auto& [filter, one] : session->subscriptions) {
            hash.add(filter);
            hash.add_number(one.qos | one.no_local << 2 | one.retain_as_published << 3 | one.retain_handling << 4 |
                            std::uint64_t{one.identifier} << 32);
        }
        for (const std::uint16_t packet_id : session->inbound) hash.add_number(packet_id);
        const StoreStatus status = for_each_queued(*session, [&](std::uint64_t n, const store::OwedEntry& entry,
                                                                 std::string_view op) {
            if (session->complete.contains(n)) return true;
            hash.add_number(n);
            hash.add_number(entry.qos | entry.retain << 2 | entry.shared << 3);
            hash.add(entry.subscription_identifiers);
            hash.add(op);
            return true;
        });
        if (!status.ok()) return 0;
    }
    for (const auto& [text, group] : groups_) {
        hash.add(text);
        hash.add_number(group.last);
    }
    for (const Table table : {Table::quarantine, Table::models}) {
        const StoreStatus status = store_->scan(table, {}, {}, [&](std::string_view key, std::string_view value) {
            hash.add(key);
            hash.add(value);
            return true;
        });
        if (!status.ok()) return 0;
    }
    hash.add_number(next_quarantined_);
    const auto add_retained = [&](std::string_view topic, const uns::RetainedPtr& message) {
        const uns::RetainedMessage::Fields fields = message->fields();
        hash.add(topic);
        hash.add_number(fields.qos);
        hash.add_number(static_cast<std::uint64_t>(fields.expires_at_ms));
        hash.add_number(static_cast<std::uint64_t>(uns::commit_time_ms(fields.stored_at)));
        hash.add(fields.properties);
        hash.add(fields.payload);
    };
    std::string after;
    while (retained_.scan("#", after, 4096, [&](std::string_view topic, const uns::RetainedPtr& message) {
        add_retained(topic, message);
        after = topic;
    })) {
    }
    return hash.value();
}

}  // namespace trunkline::broker
