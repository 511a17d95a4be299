#include "tests/sim/session_world.h"

#include <algorithm>

#include "broker/core/log.h"
#include "broker/core/shard_api.h"
#include "namespace/topic.h"
#include "tests/sim/op_story.h"

namespace trunkline::sim {

namespace {

constexpr int steps = 1'500;
constexpr std::uint32_t a_week_s = 7 * 86'400;
constexpr std::uint32_t tick_ms = 100;

thread_local std::string error_line;   // of the broker's, written on this thread

struct ErrorLines final : broker::LogSink {
    void write(broker::Level level, std::string_view event,
               std::initializer_list<broker::LogField> fields) override {
        if (level != broker::Level::error) return;
        error_line = "the broker logged an error: " + std::string(event);
        for (const auto& [name, value] : fields) error_line += ' ' + std::string(name) + '=' + std::string(value);
    }
};

Subscribed filter_of(std::string as_sent, std::uint8_t qos) {
    Subscribed one;
    const auto shared = uns::parse_shared(as_sent);
    one.group = shared.group;
    one.filter = shared.group.empty() ? as_sent : std::string(shared.filter);
    one.as_sent = std::move(as_sent);
    one.options.qos = qos;
    return one;
}

}  // namespace

void watch_error_lines() {
    static ErrorLines sink;
    broker::set_log_level(broker::Level::error);
    broker::set_log_sink(&sink);
}

SessionWorld::SessionWorld(std::uint64_t seed, Broken broken, Story& story)
    : random_(seed ^ 0x5E5510ull), story_(story), broken_(broken), faults_(draw_faults(random_)),
      limits_(small_state_limits(random_, faults_)), config_(small_config(random_)),
      oracle_(now_ms_, faults_.refuses()),
      around_{random_, story, oracle_, faults_, now_ms_, broken, [this]() -> Link& { return open(); }},
      woken_(shard_count), node_(random_, limits_, broken, [this](std::uint32_t shard, Effects&& effects) {
          broker_->post(shard, std::move(effects));
      }) {
    node_.full_percent = faults_.full_percent;
    node_.follower_percent = faults_.follower_percent;
    node_.on_submit = [this](const store::OpBatch& ops) { oracle_.submitted(ops); };
    make_clients();
}

SessionWorld::~SessionWorld() {
    broker_.reset();
    node_.crash();
}

void SessionWorld::add_client(Traits traits, std::vector<Subscribed> filters) {
    clients_.push_back(std::make_unique<SimClient>(around_, std::move(traits), std::move(filters)));
}

/// An anchor that must get everything, two members of a shared subscription of which one stays, and a mixed crowd.
void SessionWorld::make_clients() {
    Traits anchor;
    anchor.id = "anchor";
    anchor.durable = anchor.anchored = true;
    anchor.expiry_s = a_week_s;
    anchor.publishes = false;
    anchor.receive_maximum = static_cast<std::uint16_t>(1 + random_.below(10));
    Subscribed all = filter_of("#", static_cast<std::uint8_t>(1 + random_.below(2)));
    all.anchored = true;
    add_client(anchor, {all});

    const auto group_qos = static_cast<std::uint8_t>(1 + random_.below(2));
    for (int i = 0; i < (random_.chance(60) ? 3 : 0); ++i) {
        Traits member = anchor;
        member.id = "member" + std::to_string(i);
        member.anchored = i == 0;
        member.durable = i < 2;
        member.version = random_.chance(70) ? mqtt::Version::v5 : mqtt::Version::v311;
        if (member.version != mqtt::Version::v5) member.receive_maximum = 65535;
        Subscribed shared = filter_of("$share/g/t/#", group_qos);
        shared.anchored = i == 0;
        add_client(member, {shared});
    }

    const char* filters[] = {"#", "t/+", "t/0", "t/1", "t/a/#", "r/#", "+/a/b", "w/+", "t/2", "r/+/0"};
    const std::size_t crowd = 3 + random_.below(3);
    for (std::size_t i = 0; i < crowd; ++i) {
        Traits traits;
        traits.id = "client" + std::to_string(i);
        traits.version = random_.chance(60) ? mqtt::Version::v5 : mqtt::Version::v311;
        traits.durable = random_.chance(60);
        traits.expiry_s = random_.chance(70) ? a_week_s : static_cast<std::uint32_t>(1 + random_.below(4));
        if (traits.version == mqtt::Version::v5) {
            if (random_.chance(60)) traits.receive_maximum = static_cast<std::uint16_t>(1 + random_.below(6));
            if (random_.chance(30)) traits.alias_maximum = 2;
        }
        traits.wills = random_.chance(60);
        std::vector<Subscribed> mine;
        for (const char* filter : filters) {
            if (!random_.chance(30)) continue;
            Subscribed& one = mine.emplace_back(filter_of(filter, static_cast<std::uint8_t>(random_.below(3))));
            if (traits.version != mqtt::Version::v5) continue;
            one.options.no_local = random_.chance(20);
            one.options.retain_as_published = random_.chance(20);
            if (random_.chance(30)) one.options.retain_handling = mqtt::RetainHandling::do_not_send;
        }
        add_client(traits, std::move(mine));
    }
}

void SessionWorld::run() {
    start();
    connect_anchors();
    for (int i = 0; i < steps; ++i) step();
    settle();
    check_end();
    node_.check_replays();
    story_.tell(now_ms_, "all", "end", {node_.state().state_hash(), node_.history().size(), oracle_.deliveries()});
}

// --- one step of something

void SessionWorld::step() {
    pass_time(static_cast<std::int64_t>(random_.below(4)));
    if (random_.below(80) == 0) pass_time(static_cast<std::int64_t>(random_.below(1'500)));   // wills and sessions end
    trouble();
    const std::uint64_t what = random_.below(100);
    if (what < 45) {
        clients_[random_.below(clients_.size())]->turn();
    } else if (what < 78) {
        shard_turn(static_cast<std::uint32_t>(random_.below(shard_count)));
    } else {
        log_step();
    }
    release_wills();
}

void SessionWorld::pass_time(std::int64_t ms) {
    now_ms_ += ms;
    node_.growth_allowed = now_ms_ >= no_growth_until_ms_;
}

void SessionWorld::trouble() {
    const auto happens = [this](std::uint32_t permille) { return permille > 0 && random_.below(1'000) < permille; };
    if (happens(faults_.crash_permille)) crash();
    if (happens(faults_.stall_permille)) {
        stalled_until_ms_ = now_ms_ + static_cast<std::int64_t>(random_.below(faults_.stall_ms_max));
    }
    if (happens(faults_.no_growth_permille)) {
        no_growth_until_ms_ = now_ms_ + static_cast<std::int64_t>(random_.below(200));
    }
}

void SessionWorld::log_step() {
    if (now_ms_ < stalled_until_ms_) return;
    node_.step(now_ms_);
    if (node_.idle()) oracle_.log_idle();
    const auto& history = node_.history();
    for (; read_history_ < history.size(); ++read_history_) {
        const LoggedBatch& batch = history[read_history_];
        for (const Submission& submission : batch.submissions) {
            tell_operations(story_, now_ms_, batch.info.position, *submission.ops);
            oracle_.committed(*submission.ops);
        }
    }
}

/// One turn of a shard's loop: its mail, some bytes of some connections, its timers, its output.
void SessionWorld::shard_turn(std::uint32_t index) {
    broker::ShardApi& shard = broker_->shard(index);
    shard.set_time({now_ms_, now_ms_});
    if (woken_[index]) {
        woken_[index] = false;
        shard.on_mail();
    }
    for (std::size_t i = 0; i < links_.size(); ++i) {
        if (links_[i]->shard == index) serve(*links_[i]);
    }
    if (random_.chance(10) || calm_) shard.on_tick();
    shard.end_turn();
    if (!error_line.empty()) throw Violation(std::exchange(error_line, {}));
}

void SessionWorld::serve(Link& link) {
    broker::ShardApi& shard = broker_->shard(link.shard);
    if (link.client && link.reading && !link.up.empty() && (calm_ || random_.chance(70))) {
        const std::size_t bytes = calm_ || random_.chance(60) ? link.up.size() : 1 + random_.below(link.up.size());
        link.unread.append(link.up, 0, bytes);
        link.up.erase(0, bytes);
        const std::size_t used = shard.on_bytes(*link.client, link.unread);
        link.unread.erase(0, used);
    }
    if (link.stalled && (calm_ || random_.chance(70))) {
        link.flush(*link.stalled);
        if (!link.stalled && link.client) shard.on_writable(*link.client);
    }
    // the end of a connection may be noticed late: until then it is half open
    if (link.client && link.client_gone && (link.up.empty() || !link.reading) && (calm_ || random_.chance(20))) {
        broker::Client& client = *link.client;
        link.client = nullptr;
        link.stalled = nullptr;
        shard.on_closed(client);
    }
}

Link& SessionWorld::open() {
    Link& link = *links_.emplace_back(
        std::make_unique<Link>(static_cast<std::uint32_t>(random_.below(shard_count)), faults_.socket_bytes));
    broker::ShardApi& shard = broker_->shard(link.shard);
    shard.set_time({now_ms_, now_ms_});
    broker::ConnectionInfo info;
    info.local = true;
    link.client = shard.on_open(link, info);
    shard.end_turn();
    return link;
}

void SessionWorld::release_will(Link& link) {
    oracle_.will_released(std::exchange(link.will, 0), link.said_goodbye && link.cancels_will);
}

/// Tells the oracle of the connections that the broker let go of since the last look.
void SessionWorld::release_wills() {
    for (const auto& link : links_) {
        if (!link->client) release_will(*link);
    }
    prune_links();
}

void SessionWorld::prune_links() {
    std::erase_if(links_, [](const auto& link) { return !link->client && link->client_gone; });
}

// --- lives of the machine

void SessionWorld::start() {
    broker_ = std::make_unique<broker::Broker>(config_, shard_count, [this](std::uint32_t s) { woken_[s] = true; },
                                               ++lives_ << 20);
    broker_->attach(node_);
    for (std::uint32_t i = 0; i < shard_count; ++i) broker_->shard(i).set_time({now_ms_, now_ms_});
    node_.start(now_ms_, broker_->retained(), broker_.get());
    oracle_.check_retained(broker_->retained());
    check_subscriptions();
}

void SessionWorld::crash() {
    story_.tell(now_ms_, "machine", "crashes");
    for (const auto& link : links_) {
        release_will(*link);
        link->crash(random_.below(link->down.size() + 1));
    }
    broker_.reset();
    node_.crash();
    oracle_.crashed();
    std::fill(woken_.begin(), woken_.end(), false);
    pass_time(static_cast<std::int64_t>(random_.below(50)));
    start();
    read_history_ = node_.history().size();
}

/// What a SUBACK promised to a durable session is there after a restart.
void SessionWorld::check_subscriptions() const {
    for (std::size_t i = 0; i < clients_.size(); ++i) {
        if (!clients_[i]->keeps_session()) continue;
        const auto* session = node_.state().find_session(clients_[i]->traits().id);
        for (const Subscribed& one : const_cast<Oracle&>(oracle_).filters(i)) {
            if (one.confirmed && (!session || !session->subscriptions.contains(one.as_sent))) {
                throw Violation("the subscription of " + clients_[i]->traits().id + " to " + one.as_sent + " is gone");
            }
        }
    }
}

// --- peace

void SessionWorld::calm_round() {
    // not in lockstep: a 3.1.1 client whose own queue is full is closed for what it publishes, and must get to
    // acknowledge something in between
    for (const auto& client : clients_) {
        if (random_.chance(80)) client->calm_turn();
    }
    for (std::uint32_t i = 0; i < shard_count; ++i) shard_turn(i);
    for (std::uint64_t i = random_.below(12); i > 0; --i) log_step();
    release_wills();
}

bool SessionWorld::quiet() const {
    return node_.idle() && std::none_of(woken_.begin(), woken_.end(), [](bool woken) { return woken; }) &&
           std::all_of(clients_.begin(), clients_.end(), [](const auto& client) { return client->quiet(); }) &&
           std::all_of(links_.begin(), links_.end(), [](const auto& link) { return link->down.empty(); });
}

/// The clients that must miss nothing are there before anything happens.
void SessionWorld::connect_anchors() {
    calm_ = true;
    const Faults faults = std::exchange(faults_, Faults{});
    node_.full_percent = 0;
    for (const auto& client : clients_) {
        if (!client->traits().anchored) continue;
        client->connect();
        for (int round = 0; round < 50 && !(client->connected() && client->quiet()); ++round) {
            client->calm_turn();
            for (std::uint32_t i = 0; i < shard_count; ++i) shard_turn(i);
            for (int i = 0; i < 8; ++i) log_step();
            pass_time(1);
        }
        if (!client->connected()) throw Violation(client->traits().id + " can't connect");
    }
    faults_ = faults;
    node_.full_percent = faults_.full_percent;
    calm_ = false;
}

/// No more chaos: everything must arrive, and come to rest.
void SessionWorld::settle() {
    story_.tell(now_ms_, "all", "calm");
    calm_ = true;
    faults_ = Faults{};
    node_.full_percent = 0;
    no_growth_until_ms_ = stalled_until_ms_ = 0;
    int still = 0;
    for (int round = 0; round < 5'000 && still < 60; ++round) {   // so long that wills and expiries come due
        pass_time(still > 0 ? tick_ms : 5);
        calm_round();
        still = quiet() ? still + 1 : 0;
    }
    if (still < 60) throw Violation("the broker does not come to rest");
}

void SessionWorld::check_end() {
    oracle_.check_end();
    oracle_.check_retained(broker_->retained());
    for (const auto& client : clients_) {
        const auto* session = node_.state().find_session(client->traits().id);
        if (!client->connected() || !session) continue;
        if (session->queued_messages() != 0 || session->queued_bytes != 0 || session->queue_keys != 0) {
            throw Violation("the queue of " + client->traits().id + " is not empty when all is acknowledged");
        }
    }
}

}  // namespace trunkline::sim
