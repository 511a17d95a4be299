// Witnesses: the file, syslog, and the queue that waits for them.
#include "auth/audit/witness.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <sstream>

#include "tests/unit/auth/audit_fixture.h"

using namespace trunkline::auth::audit;
using namespace trunkline::auth::audit::testing;

namespace {

struct Folder {
    std::string path;
    Folder() {
        char name[] = "/tmp/trunkline-witness-XXXXXX";
        path = mkdtemp(name) ? name : "";
        REQUIRE_FALSE(path.empty());
    }
    ~Folder() {
        if (std::system(("rm -rf " + path).c_str()) != 0) std::abort();
    }
};

std::string line(const SigningKey& key, std::uint64_t size) {
    const Checkpoint checkpoint{"plant-1/audit", size, sha256("root"), moment(size)};
    return witness_line(checkpoint, sign_note(to_text(checkpoint), {&key}));
}

std::string text_of(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
}

struct Moody : Witness {
    explicit Moody(std::vector<std::string>& taken) : taken(taken) {}
    std::string name() const override { return "moody"; }
    Status deliver(const std::string& text) override {
        if (!well) return Error{Failure::failed, "not now"};
        taken.push_back(text);
        return {};
    }
    bool well = true;
    std::vector<std::string>& taken;
};

}  // namespace

TEST_CASE("a file witness appends lines that are read back, also after half a line", "[auth][audit]") {
    const Folder folder;
    const SigningKey key = new_key();
    const std::string path = folder.path + "/kept";
    FileWitness witness(path);
    REQUIRE(witness.deliver(line(key, 1)));
    std::ofstream(path, std::ios::app) << "2026-01-01 trunkline-checkpoint origin=pl";  // a crash
    CHECK(parse_witness_text(text_of(path)).torn);
    REQUIRE(witness.deliver(line(key, 2)));
    const auto read = parse_witness_text(text_of(path));
    REQUIRE(read.checkpoints.size() == 2);
    CHECK(read.checkpoints[1].checkpoint.size == 2);
    CHECK(read.checkpoints[1].line == 3);
    CHECK(read.checkpoints[1].note.is_signed_by(key.verify_key()));
    CHECK(read.problems.size() == 1);
    CHECK_FALSE(read.torn);
    CHECK(std::system(("test \"$(stat -c %a " + path + ")\" = 600").c_str()) == 0);
    CHECK_FALSE(FileWitness(folder.path + "/none/kept").deliver("x"));
}

TEST_CASE("what a witness's line says for people must be what was signed", "[auth][audit]") {
    const std::string good = "Nov 23 02:13:28 host trunkline[77]: " + line(new_key(), 5);
    CHECK(parse_witness_text("unrelated\r\n" + good + "\r\nmore\n").checkpoints.size() == 1);
    std::string other = good;
    other.replace(other.find("size=5"), 6, "size=6");
    CHECK(parse_witness_text(other + "\n").checkpoints.empty());
    CHECK(parse_witness_text(other + "\n").problems.size() == 1);
}

TEST_CASE("syslog gets each checkpoint as one datagram, and its absence is an error", "[auth][audit]") {
    const Folder folder;
    const std::string path = folder.path + "/log";
    SyslogWitness witness(path);
    CHECK_FALSE(witness.deliver("nobody listens"));
    const int daemon = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.data(), path.size());
    REQUIRE(::bind(daemon, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
    const SigningKey key = new_key();
    REQUIRE(witness.deliver(line(key, 9)));
    char datagram[4096];
    const ssize_t size = ::recv(daemon, datagram, sizeof datagram, MSG_DONTWAIT);
    REQUIRE(size > 0);
    CHECK(size < 1024);  // RFC 3164, section 4.1
    const std::string text(datagram, static_cast<std::size_t>(size));
    CHECK(text.starts_with("<85>trunkline["));
    CHECK(parse_witness_text(text + "\n").checkpoints.at(0).checkpoint.size == 9);
    ::close(daemon);
    CHECK_FALSE(witness.deliver("the daemon has gone"));
}

TEST_CASE("a witness that is away gets what it missed, in order and bounded", "[auth][audit]") {
    std::vector<std::string> taken;
    auto owned = std::make_unique<Moody>(taken);
    Moody& moody = *owned;
    WitnessQueue queue(std::move(owned));
    const std::uint64_t second = 1'000'000'000;
    moody.well = false;
    for (std::size_t i = 0; i < WitnessQueue::lines_max + 10; ++i) queue.add(std::to_string(i));
    queue.pump(0);
    CHECK(queue.failures() == 1);
    CHECK(queue.last_error() == "not now");
    queue.pump(second - 1);
    CHECK(queue.failures() == 1);  // it is not asked during the pause
    queue.pump(second);
    queue.pump(2 * second);
    CHECK(queue.failures() == 2);  // the pause has doubled
    moody.well = true;
    queue.pump(3 * second);
    CHECK(taken.size() == WitnessQueue::lines_max);
    CHECK(taken.front() == "10");
    CHECK(taken.back() == std::to_string(WitnessQueue::lines_max + 9));
    CHECK(queue.dropped() == 10);
    CHECK(queue.waiting() == 0);
    CHECK(queue.last_error().empty());
}
