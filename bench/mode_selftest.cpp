// What the generator itself costs: pairs, fan-in or fan-out against a relay in a process of its own that does no more
// than hand messages on.
#include <sys/wait.h>
#include <unistd.h>

#include <stdexcept>
#include <string>

#include "bench/modes.h"
#include "bench/relay.h"

namespace trunkline::bench {

namespace {

/// The relay's process; it ends when this object does, or when we do.
class RelayProcess {
public:
    RelayProcess() {
        int port_pipe[2];
        int life_pipe[2];
        if (pipe(port_pipe) != 0 || pipe(life_pipe) != 0) throw std::runtime_error("cannot create a pipe");
        pid_ = fork();
        if (pid_ < 0) throw std::runtime_error("cannot fork");
        if (pid_ == 0) {
            close(port_pipe[0]);
            close(life_pipe[1]);
            run_relay(port_pipe[1], life_pipe[0]);
        }
        close(port_pipe[1]);
        close(life_pipe[0]);
        life_ = life_pipe[1];
        const bool known = read(port_pipe[0], &port_, sizeof port_) == sizeof port_ && port_ != 0;
        close(port_pipe[0]);
        if (!known) throw std::runtime_error("the relay could not listen");
    }
    ~RelayProcess() {
        close(life_);
        waitpid(pid_, nullptr, 0);
    }
    RelayProcess(const RelayProcess&) = delete;
    RelayProcess& operator=(const RelayProcess&) = delete;

    [[nodiscard]] std::uint16_t port() const { return port_; }
    [[nodiscard]] pid_t pid() const { return pid_; }

private:
    pid_t pid_ = -1;
    int life_ = -1;
    std::uint16_t port_ = 0;
};

}  // namespace

void run_selftest(const Options& options, Report& report) {
    if (options.qos > 1) return report.add_failure(exit_usage, "selftest is for QoS 0 and 1");
    const RelayProcess relay;
    Options own = options;
    own.mode = own.shape == "fan-in" ? Mode::fan_in : own.shape == "fan-out" ? Mode::fan_out : Mode::pairs;
    own.url = "mqtt://127.0.0.1:" + std::to_string(relay.port());
    own.broker_pid = relay.pid();
    report.add("url", own.url);
    report.add("shape", own.shape);
    const Endpoint endpoint(own.url, own.tls, own.nodelay);
    run_traffic(own, endpoint, report);
}

}  // namespace trunkline::bench
