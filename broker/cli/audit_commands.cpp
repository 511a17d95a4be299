#include "broker/cli/audit_commands.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <fstream>
#include <iostream>
#include <sstream>
#include <thread>

#include "broker/cli/fields.h"

namespace trunkline::cli {
namespace {

constexpr std::chrono::milliseconds follow_pause{500};

/// "12:03:04.123" of a record's UTC time, with its date when it is not for a terminal.
std::string time_of(const Json& record) {
    const std::string time = text_of(record, "time");
    return time.size() > 23 ? time.substr(0, 10) + " " + time.substr(11, 12) : time;
}

std::vector<std::string> row_of(const Json& record) {
    const std::uint64_t count = number_of(record, "count");
    return {text_of(record, "sequence"),
            time_of(record),
            text_of(record, "actor"),
            text_of(record, "source"),
            text_of(record, "action") + (count > 1 ? " x" + std::to_string(count) : ""),
            text_of(record, "object"),
            text_of(record, "result"),
            text_of(record, "reason")};
}

void show(const Tool& tool, const Json& records) {
    if (tool.out.format() != Format::table) return tool.out.value(records);
    std::vector<std::vector<std::string>> rows;
    for (const Json& record : records) rows.push_back(row_of(record));
    tool.out.table({"RECORD", "UTC", "ACTOR", "SOURCE", "ACTION", "OBJECT", "RESULT", "REASON"}, std::move(rows));
}

void show_line(const Tool& tool, const Json& record) {
    if (tool.out.format() != Format::table) {
        std::cout << record.dump(-1, ' ', false, Json::error_handler_t::replace) << '\n';
        return;
    }
    std::string line;
    for (const std::string& cell : row_of(record)) line += (line.empty() ? "" : "  ") + (cell.empty() ? "-" : cell);
    std::cout << printable(line) << '\n';
}

std::string in_query(const char* name, const std::string& text) {
    return text.empty() ? "" : std::string("&") + name + "=" + percent_encode(text);
}

/// A file that its owner alone may read, or standard output.
class Target {
public:
    explicit Target(const std::string& path) {
        if (path.empty() || path == "-") return;
        descriptor_ = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        if (descriptor_ < 0) throw Failure(exit_usage, path + ": " + std::strerror(errno));
    }
    Target(const Target&) = delete;
    Target& operator=(const Target&) = delete;
    ~Target() {
        if (descriptor_ > STDOUT_FILENO) ::close(descriptor_);
    }
    void write(std::string_view text) const {
        while (!text.empty()) {
            const ssize_t count = ::write(descriptor_, text.data(), text.size());
            if (count < 0 && errno == EINTR) continue;
            if (count <= 0) throw Failure(exit_findings, std::string("cannot write: ") + std::strerror(errno));
            text.remove_prefix(static_cast<std::size_t>(count));
        }
    }

private:
    int descriptor_ = STDOUT_FILENO;
};

}  // namespace

std::string AuditCommands::query() const {
    return in_query("actor", actor_) + in_query("action", action_) + in_query("object", object_) +
           in_query("from", from_) + in_query("to", to_) + in_query("result", result_);
}

int AuditCommands::tail(const Tool& tool) const {
    Json page = request(tool.server, "GET", "/api/v1/audit/tail?limit=" + std::to_string(count_) + query());
    if (!follow_) {
        show(tool, page["records"]);
        return exit_ok;
    }
    while (std::cout.good()) {
        for (const Json& record : page["records"]) show_line(tool, record);
        std::cout.flush();
        std::string cursor = text_of(page, "cursor");
        std::this_thread::sleep_for(follow_pause);
        page = request(tool.server, "GET", "/api/v1/audit?limit=1000&cursor=" + cursor + query());
        if (!page.contains("cursor")) {
            if (!page["records"].empty()) cursor = std::to_string(number_of(page["records"].back(), "sequence") + 1);
            page["cursor"] = cursor;
        }
    }
    return exit_ok;
}

int AuditCommands::search(const Tool& tool) const {
    Json list = Json::array();
    std::string cursor;
    do {
        const std::uint64_t left = limit_ == 0 ? 10'000 : std::min<std::uint64_t>(limit_ - list.size(), 10'000);
        const Json page = request(tool.server, "GET", "/api/v1/audit?limit=" + std::to_string(left) + query() +
                                                          in_query("cursor", cursor));
        for (const Json& record : page["records"]) list.push_back(record);
        cursor = text_of(page, "cursor");
    } while (!cursor.empty() && (limit_ == 0 || list.size() < limit_));
    show(tool, list);
    return list.empty() ? exit_findings : exit_ok;
}

int AuditCommands::status(const Tool& tool) const {
    const Json json = request(tool.server, "GET", "/api/v1/audit/status");
    if (tool.out.format() != Format::table) {
        tool.out.value(json);
        return exit_ok;
    }
    const bool open = json.value("open", false);
    status_line("trail", text_of(json, "origin") + " in " + text_of(json, "folder"));
    status_line("state", open ? "written" : "NOT WRITTEN: " + text_of(json, "alarm"));
    status_line("public key", text_of(json, "public_key"));
    status_line("leaves", number_text(static_cast<double>(number_of(json, "size"))) + ", " +
                              number_text(static_cast<double>(number_of(json, "records"))) + " records and " +
                              number_text(static_cast<double>(number_of(json, "leaves"))) +
                              " publishes since the start");
    if (json.contains("checkpoint")) {
        status_line("checkpoint", text_of(json["checkpoint"], "time") + ", " +
                                      text_of(json["checkpoint"], "size") + " leaves, root " +
                                      text_of(json["checkpoint"], "root"));
    }
    for (const Json& witness : json["witnesses"]) {
        const std::string wrong = text_of(witness, "last_error");
        status_line("witness", text_of(witness, "name") + ": " +
                                   (wrong.empty() ? text_of(witness, "delivered") + " delivered" : "FAILS: " + wrong));
    }
    return open ? exit_ok : exit_findings;
}

int AuditCommands::verify(const Tool& tool) const {
    const Json json = request(tool.server, "POST", "/api/v1/audit/verify");
    const bool good = json.value("good", false);
    if (tool.out.format() != Format::table) {
        tool.out.value(json);
        return good ? exit_ok : exit_findings;
    }
    for (const Json& finding : json["findings"]) {
        std::cout << "BAD    record " << text_of(finding, "sequence") << " (" << printable(text_of(finding, "file"))
                  << ", offset " << text_of(finding, "offset") << "): " << text_of(finding, "kind") << ": "
                  << printable(text_of(finding, "message")) << '\n';
    }
    std::cout << (good ? "good   " : "BAD    ") << text_of(json, "size") << " leaves (" << text_of(json, "records")
              << " records, " << text_of(json, "publishes") << " publishes), " << text_of(json, "checkpoints")
              << " checkpoints\n"
              << "note   the broker has verified itself; an inspector uses trunkaudit, the public key and a witness\n";
    return good ? exit_ok : exit_findings;
}

int AuditCommands::prove(const Tool& tool) const {
    Json proof;
    if (publish_.empty()) {
        proof = request(tool.server, "GET", "/api/v1/audit/prove/" + std::to_string(sequence_));
    } else {
        std::ifstream in(publish_, std::ios::binary);
        std::ostringstream text;
        if (!in || !(text << in.rdbuf())) throw Failure(exit_usage, "cannot read " + publish_);
        proof = request(tool.server, "POST", "/api/v1/audit/prove?from=" + std::to_string(sequence_), text.str());
    }
    Target(file_).write(proof.dump(2) + "\n");
    return exit_ok;
}

int AuditCommands::write_export(const Tool& tool) const {
    const Target target(file_);
    std::string cursor;
    do {
        const std::string page = "/api/v1/audit/export?format=" + format_ + query() + in_query("cursor", cursor) +
                                 in_query("reason", reason_);
        target.write(request_bytes(tool.server, page, &cursor));
    } while (!cursor.empty());
    return exit_ok;
}

int AuditCommands::checkpoint(const Tool& tool) const {
    const Json json = request(tool.server, "POST", "/api/v1/audit/checkpoint");
    if (tool.out.format() != Format::table) {
        tool.out.value(json);
    } else {
        std::cout << "signed " << text_of(json["checkpoint"], "size") << " leaves at "
                  << text_of(json["checkpoint"], "time") << '\n';
    }
    return exit_ok;
}

int AuditCommands::rotate_key(const Tool& tool) const {
    const Json body = {{"reason", reason_}};
    const Json json = request(tool.server, "POST", "/api/v1/audit/rotate-key",
                              body.dump(-1, ' ', false, Json::error_handler_t::replace));
    if (tool.out.format() != Format::table) {
        tool.out.value(json);
    } else {
        std::cout << text_of(json, "public_key") << '\n';
    }
    return exit_ok;
}

void AuditCommands::add(CLI::App& app, std::function<int(const Tool&)>& action) {
    auto* audit = app.add_subcommand("audit", "the audit trail: who did what, and its proofs");
    audit->require_subcommand(1);
    const auto on = [this, &action](CLI::App* command, int (AuditCommands::*run)(const Tool&) const) {
        command->callback([this, &action, run] {
            action = [this, run](const Tool& tool) { return (this->*run)(tool); };
        });
    };
    const auto filters = [this](CLI::App* command) {
        command->add_option("--actor", actor_, "who did it: NAME or BEGINNING*")->type_name("NAME");
        command->add_option("--action", action_, "what was done: NAME or BEGINNING*")->type_name("NAME");
        command->add_option("--object", object_, "to what: NAME or BEGINNING*")->type_name("NAME");
        command->add_option("--from", from_, "not before this UTC time")->type_name("TIME");
        command->add_option("--to", to_, "before this UTC time")->type_name("TIME");
        command->add_option("--result", result_, "ok, denied or failed");
    };
    auto* tail = audit->add_subcommand("tail", "the newest records");
    tail->add_option("-n,--count", count_, "so many")->check(CLI::Range(1U, 10'000U))->type_name("N");
    tail->add_flag("-f,--follow", follow_, "and those that come");
    filters(tail);
    on(tail, &AuditCommands::tail);
    auto* search = audit->add_subcommand("search", "records by actor, action, object and time, oldest first");
    filters(search);
    search->add_option("-n,--limit", limit_, "at most so many; all unless told")->type_name("N");
    on(search, &AuditCommands::search);
    on(audit->add_subcommand("status", "public key, size, newest checkpoint, witnesses"), &AuditCommands::status);
    on(audit->add_subcommand("verify", "is the trail what was written and signed?"), &AuditCommands::verify);
    auto* prove = audit->add_subcommand("prove", "a proof that a record or a publish is in the trail");
    prove->add_option("RECORD", sequence_, "its number; with --publish where to look from");
    prove->add_option("--publish", publish_, "JSON file with the facts of a publish")->type_name("FILE");
    prove->add_option("--to-file", file_, "file instead of standard output")->type_name("FILE");
    on(prove, &AuditCommands::prove);
    auto* to_file = audit->add_subcommand("export", "records as JSON Lines or CSV; is itself audited");
    filters(to_file);
    to_file->add_option("--format", format_, "jsonl or csv")->check(CLI::IsMember({"jsonl", "csv"}));
    to_file->add_option("--to-file", file_, "file instead of standard output")->type_name("FILE");
    to_file->add_option("--reason", reason_, "why, for the record")->type_name("TEXT");
    on(to_file, &AuditCommands::write_export);
    on(audit->add_subcommand("checkpoint", "sign what is there now"), &AuditCommands::checkpoint);
    auto* rotate = audit->add_subcommand("rotate-key", "a new key signs from now on; prints its public half");
    rotate->add_option("--reason", reason_, "why, for the record")->type_name("TEXT");
    on(rotate, &AuditCommands::rotate_key);
}

}  // namespace trunkline::cli
