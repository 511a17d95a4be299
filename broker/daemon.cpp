#include "broker/daemon.h"

#include <algorithm>
#include <chrono>
#include <future>
#include <thread>

#include "broker/admin/access_api.h"
#include "broker/admin/http_witness.h"
#include "broker/config_audit.h"
#include "broker/config_file.h"
#include "broker/config_json.h"
#include "broker/core/governance.h"
#include "broker/core/log.h"
#include "broker/listener_url.h"
#include "broker/model_file.h"
#include "broker/net/tls_context.h"
#include "broker/notify.h"
#include "broker/version.h"

namespace trunkline::broker {

namespace audit = auth::audit;

namespace {

constexpr std::chrono::seconds store_model_time{30};

std::uint32_t shard_count(const Config& config) {
    if (config.workers != 0) return config.workers;
    const unsigned cores = std::thread::hardware_concurrency();
    return cores > 1 ? cores - 1 : 1;
}

StateLimits state_limits(const Limits& limits) {
    StateLimits state;
    state.queue_messages = limits.queue_messages;
    state.queue_bytes = limits.queue_bytes;
    state.retained_messages = limits.retained_messages;
    state.retained_bytes = limits.retained_bytes;
    state.quarantine_messages = limits.quarantine_messages;
    state.quarantine_bytes = limits.quarantine_bytes;
    return state;
}

const char* protocol_name(ListenerKind kind) {
    switch (kind) {
        case ListenerKind::tcp: return "mqtt";
        case ListenerKind::tls: return "mqtts";
        case ListenerKind::ws: return "ws";
        case ListenerKind::wss: return "wss";
        case ListenerKind::unix_socket: return "unix";
    }
    return "unknown";
}

/// What limits have dropped or refused since the start, for the audit trail.
std::vector<std::pair<std::string, std::uint64_t>> audit_drops(const Broker& broker) {
    std::vector<std::pair<std::string, std::uint64_t>> sums;
    for (const char* name : drop_names) sums.emplace_back("dropped " + std::string(name), 0);
    sums.emplace_back("publishes refused", 0);
    for (std::uint32_t shard = 0; shard < broker.shard_count(); ++shard) {
        const Counters& counters = broker.counters(shard);
        for (std::size_t i = 0; i < drop_names.size(); ++i) sums[i].second += counters.dropped[i].get();
        sums.back().second += counters.publishes_refused.get();
    }
    return sums;
}

}  // namespace

Daemon::Daemon(Config config, Options options) : config_(std::move(config)), options_(std::move(options)) {}

Daemon::~Daemon() {
    if (admin_) admin_->stop();
    net_.reset();   // nobody asks any more
    if (security_) security_->stop();
    if (audit_) audit_->stop();
}

std::string Daemon::open_store() {
    if (std::string wrong = lock_.take(config_.data_dir); !wrong.empty()) return wrong;
    store::RocksDbStore::Options store_options;
    store_options.directory = config_.data_dir;
    auto opened = store::RocksDbStore::open(store_options);
    if (!opened.store) return "the store in " + config_.data_dir + " cannot be used: " + opened.status.detail;
    store_ = std::move(opened.store);
    return {};
}

std::string Daemon::start() {
    set_log_level(level_of(config_.log_level));
    if (std::string wrong = open_store(); !wrong.empty()) return wrong;
    const std::uint32_t shards = shard_count(config_);
    wakers_ = std::make_unique<net::ShardWakers>(shards);
    broker_ = std::make_unique<Broker>(config_, shards, [this](std::uint32_t shard) { wakers_->wake(shard); });
    security_ = std::make_unique<Security>(config_, shards);
    if (std::string wrong = security_->start(*broker_); !wrong.empty()) return wrong;
    broker_->on_connect_failure([this](const PeerAddress& peer) { net_->connect_failed(peer); });
    make_audit();
    resources_ = std::make_unique<ResourceWatch>(*broker_);
    state_ = std::make_unique<State>(state_limits(config_.limits), broker_->retained(), broker_.get());
    if (const auto status = state_->load(*store_); !status.ok()) {
        return "the store in " + config_.data_dir + " cannot be loaded: " + status.detail;
    }
    if (std::string wrong = open_audit(); !wrong.empty()) return wrong;
    if (std::string wrong = load_model(); !wrong.empty()) return wrong;
    EmbeddedLog::Options log_options;
    log_options.sync = config_.durability == Durability::strict;
    log_options.shards = shards;
    log_options.disk_reserve_bytes = config_.limits.disk_refuse_bytes;
    log_options.disk_reserve_share = config_.limits.disk_refuse_percent / 100.0;
    log_options.on_fatal = [this](const std::string& what) {
        log(Level::error, "store_failed", {{"what", what}, {"consequence", "nothing more is acknowledged; exiting"}});
        failed_.store(true, std::memory_order_relaxed);
    };
    log_ = std::make_unique<EmbeddedLog>(log_options, *state_, *store_, *broker_);
    broker_->attach(*log_);
    if (const auto status = log_->start(); !status.ok()) return "the log cannot be started: " + status.detail;
    const auto model = [this] {
        broker_->governance().release_old_models();   // here, on the thread of browsing
        return broker_->governance().model();
    };
    browse_ = std::make_unique<Browse>(*broker_, model, std::make_unique<store::ValueJournal>(config_.data_dir));
    broker_->attach(*browse_);
    browse_->start();
    if (std::string wrong = start_admin(); !wrong.empty()) return wrong;
    std::vector<ShardApi*> apis;
    for (std::uint32_t shard = 0; shard < shards; ++shard) apis.push_back(&broker_->shard(shard));
    net_ = std::make_unique<net::NetServer>(config_, std::move(apis), *wakers_);
    net_->start();
    if (audit_) {
        audit_->start(
            [this](const store::LeavesKeptOp& kept, std::function<void(bool)> done) {
                broker_->leaves_kept(kept, std::move(done));
            },
            [this] { return audit_drops(*broker_); });
    }
    if (std::string wrong = store_model(); !wrong.empty()) return wrong;
    readiness_.listening = true;
    readiness_.set("");
    if (!log_options.sync) {
        log(Level::warn, "durability_relaxed", {{"meaning", "acknowledged messages may be lost when power fails"}});
    }
    log(Level::info, "started", {{"version", version}, {"node", config_.node}, {"data", config_.data_dir},
                                 {"workers", std::to_string(shards)}, {"admin", admin_->address()}});
    return {};
}

void Daemon::make_audit() {
    if (!config_.audit.enabled) {
        log(Level::warn, "audit_disabled", {{"meaning", "nothing is audited, regulated publishes leave no proof"}});
        return;
    }
    AuditService::Options options;
    options.node = config_.node;
    options.dir = audit_folder(config_);
    options.key_file = config_.audit.key_file;
    options.policy.interval_ns = config_.audit.checkpoint_interval_ms * 1'000'000;
    options.policy.leaves_max = config_.audit.checkpoint_leaves;
    options.refuse_unaudited = config_.audit.refuse_unaudited;
    options.receipts = config_.audit.receipts;
    options.begin_anew = config_.audit.begin_anew;
    audit_ = std::make_unique<AuditService>(std::move(options));
    for (const AuditWitness& witness : config_.audit.witnesses) {
        switch (witness.kind) {
            case AuditWitness::Kind::file:
                audit_->add_witness(std::make_unique<audit::FileWitness>(witness.target));
                break;
            case AuditWitness::Kind::syslog:
                audit_->add_witness(std::make_unique<audit::SyslogWitness>(witness.target));
                break;
            case AuditWitness::Kind::trunkline:
                audit_->add_witness(std::make_unique<admin::HttpWitness>(witness.target, witness.token_file,
                                                                           witness.ca_file));
                break;
        }
    }
    broker_->attach(*audit_);
}

std::string Daemon::open_audit() {
    if (!audit_) return {};
    if (std::string wrong = audit_->open(state_->leaves_kept()); !wrong.empty()) return wrong;
    audit::Record record;
    record.actor = "trunkline";
    record.method = record.source = "broker";
    record.action = audit::action::start;
    record.object = config_.node;
    record.new_value = audit::Value::of("version " + std::string(version) + ", configuration SHA-256 " +
                                        audit::to_hex(audit::sha256(config_json(config_))));
    record.reason = audit_->after_crash() ? "after a crash: the life before this one has no stop" : "";
    audit_->note(std::move(record));
    return {};
}

std::string Daemon::load_model() {
    Governance& governance = broker_->governance();
    if (config_.model_file.empty()) return governance.load(*store_);
    const auto compiled = load_model_file(config_.model_file);
    if (!compiled.model) {
        std::string text = "the model in " + config_.model_file + " is not accepted:";
        for (const Problem& problem : compiled.problems) text += "\n" + to_string(problem);
        return text;
    }
    const auto current = governance.current();
    if (!current || current->hash != compiled.model->hash()) model_to_store_ = compiled.model;
    governance.preset(compiled.model);
    return {};
}

std::string Daemon::store_model() {
    if (!model_to_store_) return {};
    auto stored = std::make_shared<std::promise<Refused>>();
    auto answer = stored->get_future();
    audit::Record change;
    change.actor = "trunkline --model";
    change.method = change.source = "broker";
    change.action = audit::action::model;
    change.object = config_.model_file;
    if (const auto before = broker_->governance().current()) {
        change.old_value = audit::Value::of(before->name + " " + before->version + " " + before->hash);
    }
    change.new_value = audit::Value::of(model_to_store_->name() + " " + model_to_store_->version() + " " +
                                        model_to_store_->hash());
    if (audit_) audit_->note(std::move(change));
    broker_->governance().apply(std::move(model_to_store_), {"trunkline --model", ""},
                                [stored](const Refused& refused) { stored->set_value(refused); });
    if (answer.wait_for(store_model_time) != std::future_status::ready) return "the model could not be stored in time";
    const Refused refused = answer.get();
    if (refused.kind == Refused::Kind::none) return {};
    return "the model in " + config_.model_file + " cannot be applied: " + refused.what +
           (refused.fix.empty() ? "" : "\n    fix: " + refused.fix);
}

std::string Daemon::start_admin() {
    backups_ = std::make_unique<Backups>(*store_, config_, options_.config_file);
    sources_ = std::make_unique<admin::Sources>(admin::Sources{
        .broker = *broker_,
        .store = [this] { return store_numbers(); },
        .listeners = [this] { return listener_numbers(); },
        .commits = [this] { return commit_numbers(); },
        .alarms = [this] {
            return std::vector<admin::Alarm>{{"disk", resources_->disk_alarm()},
                                             {"memory", resources_->memory_alarm()},
                                             {"audit", audit_ && !audit_->numbers().open}};
        },
        .traffic = [this] { return browse_->traffic(); },
        .explain_access = {},
        .access = security_->roles_file().empty() ? nullptr : &security_->access(),
        .roles_file = security_->roles_file(),
        .people = security_->people(),
        .certificates = &security_->certificates(),
        .load_tls =
            [](const TlsConfig& config, std::string& error) {
                admin::TlsSettings settings;
                const auto loaded = net::TlsContext::load(config, true, error);
                if (!loaded) return settings;
                settings.context = {loaded, loaded->native()};
                settings.expires_s = loaded->expires_s();
                return settings;
            },
        .audit = audit_.get(),
        .browse = browse_.get(),
        .backups = backups_.get(),
        .config_json = [this] { return config_text(); },
        .reload_config = [this](auto done) { ask_reload(std::move(done)); },
        .check_config = [this](const std::string& text, const std::string& file) { return check(text, file); },
        .durable = [this](std::function<void(const State*)> look) {
            log_->inspect([this, look = std::move(look)](const store::Store* store) {
                look(store ? state_.get() : nullptr);
            });
        },
        .version = version,
        .started_wall_ms = admin::wall_ms(),
        .started_steady_ms = admin::steady_ms(),
    });
    if (sources_->access || !security_->plugins().empty() || !config_.authenticators.empty()) {
        sources_->explain_access = [this](const admin::AccessQuestion& question) {
            return admin::explain_access(*sources_, question);
        };
    }
    AdminAddress address;
    if (std::string wrong = parse_admin_address(config_.admin.listen, address); !wrong.empty()) return wrong;
    admin_ = std::make_unique<admin::AdminServer>(*sources_, readiness_);
    return admin_->start({address.host, address.unix_path, address.port}, config_.admin, config_.sys_interval_s);
}

std::string Daemon::config_text() const {
    const std::lock_guard lock(config_mutex_);
    return config_json(config_);
}

admin::StoreNumbers Daemon::store_numbers() const {
    const CommitStats& stats = log_->stats();   // looked at by the log about once a second
    return {stats.store_bytes.load(), stats.disk_free.load(), stats.disk_size.load()};
}

std::vector<admin::ListenerNumbers> Daemon::listener_numbers() const {
    std::vector<admin::ListenerNumbers> numbers;
    if (!readiness_.listening) return numbers;
    for (const net::ListenerStatus& listener : net_->listeners()) {
        numbers.push_back({listener.url, listener.address, protocol_name(listener.kind), listener.connections,
                           listener.certificate_expiry_s});
    }
    if (auto administration = admin_->tls_listener()) numbers.push_back(std::move(*administration));
    return numbers;
}

admin::CommitNumbers Daemon::commit_numbers() const {
    const CommitStats& stats = log_->stats();
    admin::CommitNumbers numbers;
    numbers.commits = stats.commits;
    numbers.messages = stats.operations;
    numbers.bytes = stats.operation_bytes;
    numbers.commit_sum_us = stats.commit_us;
    numbers.queued_messages = stats.queued_messages;
    numbers.sessions_offline = stats.sessions_offline;
    numbers.sessions_expired = stats.sessions_expired;
    if (const std::int64_t oldest_ms = stats.oldest_queued_ms; oldest_ms > 0) {
        numbers.queue_oldest_age_s = static_cast<double>(std::max<std::int64_t>(0, admin::wall_ms() - oldest_ms)) / 1e3;
    }
    double duration_s = static_cast<double>(CommitStats::first_duration_us) / 1e6;
    double batch = static_cast<double>(CommitStats::first_batch);
    for (std::size_t i = 0; i < CommitStats::buckets; ++i) {
        numbers.time_buckets.push_back(stats.duration[i]);
        numbers.batch_buckets.push_back(stats.batch[i]);
        if (i + 1 == CommitStats::buckets) break;   // the last holds the rest
        numbers.time_bounds_s.push_back(duration_s);
        numbers.batch_bounds.push_back(batch);
        duration_s *= 2;
        batch *= 2;
    }
    return numbers;
}

void Daemon::look_around() {
    security_->look_around();
    reload_asked();
    const std::int64_t now_ms = admin::steady_ms();
    if (now_ms < next_look_ms_) return;
    next_look_ms_ = now_ms + ResourceWatch::interval_ms;
    const CommitStats& stats = log_->stats();
    backups_->expire();
    resources_->look({read_memory_use(), stats.disk_free.load(), stats.disk_size.load()}, now_ms);
}

void Daemon::begin_stop() {
    readiness_.set("shutting down");
    log(Level::info, "stopping");
    net_->stop_accepting();
    broker_->shut_down("", [this] { goodbyes_done_.store(true); });
}

void Daemon::finish_stop() {
    readiness_.listening = false;
    admin_->stop();
    browse_->stop();
    net_->stop();
    security_->stop();
    log_->stop();
    if (audit_) audit_->stop();
    log(Level::info, "stopped");
}

void Daemon::pause_50_ms() { std::this_thread::sleep_for(std::chrono::milliseconds(50)); }

}  // namespace trunkline::broker
