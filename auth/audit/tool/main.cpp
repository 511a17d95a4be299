// trunkaudit: reads an audit trail offline and trusts nothing but a public key and witnesses. Exit codes: 0 good,
// 1 findings, 2 usage, 3 cannot read.
#include <CLI/CLI.hpp>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <iostream>
#include <sstream>

#include <nlohmann/json.hpp>

#include "auth/audit/prove.h"
#include "auth/audit/reader.h"
#include "auth/audit/verify.h"

namespace {

using namespace trunkline::auth::audit;

constexpr int good = 0, findings = 1, usage = 2, unreadable = 3;

struct Arguments {
    std::string folder, key, output, format = "jsonl", publish, proof, name, from, to, outcome;
    std::vector<std::string> witnesses;
    RecordFilter filter;
    std::uint64_t sequence = 0, limit = 0;
    unsigned threads = 0;
    bool partial = false, json = false;
};

int complain(const Error& error) {
    std::cerr << "trunkaudit: " << error.message << "\n";
    return error.kind == Failure::invalid ? usage : unreadable;
}

Result<std::string> read_file(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    std::ostringstream text;
    if (!file || !(text << file.rdbuf()) || file.bad()) {
        if (file && file.peek() == std::ifstream::traits_type::eof()) return std::string();  // an empty file
        return Error{Failure::absent, path + ": cannot be read"};
    }
    return text.str();
}

/// A key's text, or the file that holds it.
Result<VerifyKey> read_key(const std::string& text) {
    if (const auto key = VerifyKey::parse(text)) return key;
    const auto file = read_file(text);
    if (!file) return invalid("--key: " + text + " is neither a public key nor a file with one");
    return VerifyKey::parse(*file);
}

/// To the file that --output names, which only its owner may read, or to standard output.
class Output {
public:
    explicit Output(const std::string& path) {
        if (path.empty() || path == "-") return;
        descriptor_ = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        ok_ = descriptor_ >= 0;
    }
    Output(const Output&) = delete;
    Output& operator=(const Output&) = delete;
    ~Output() {
        if (descriptor_ > 2) ::close(descriptor_);
    }
    void write(std::string_view text) {
        buffer_ += text;
        if (buffer_.size() >= 65536) flush();
    }
    bool close() {
        flush();
        return ok_ && (descriptor_ <= 2 || ::fsync(descriptor_) == 0);
    }

private:
    void flush() {
        std::string_view rest = buffer_;
        while (ok_ && !rest.empty()) {
            const ssize_t count = ::write(descriptor_, rest.data(), rest.size());
            if (count < 0 && errno == EINTR) continue;
            ok_ = count > 0;
            if (ok_) rest.remove_prefix(static_cast<std::size_t>(count));
        }
        buffer_.clear();
    }
    int descriptor_ = 1;
    bool ok_ = true;
    std::string buffer_;
};

int write_out(const std::string& path, std::string_view text) {
    Output output(path);
    output.write(text);
    if (output.close()) return good;
    std::cerr << "trunkaudit: cannot write " << path << "\n";
    return unreadable;
}

nlohmann::ordered_json to_json(const VerifyReport& report) {
    nlohmann::ordered_json json{{"good", report.good()},
                                {"first", report.first},
                                {"size", report.size},
                                {"records", report.records},
                                {"publishes", report.publishes},
                                {"segments", report.segments},
                                {"checkpoints", report.checkpoints},
                                {"key_changes", report.key_changes},
                                {"witnessed", report.witnessed},
                                {"not_yet_signed", report.unsigned_leaves}};
    if (report.newest) {
        json["newest_checkpoint"] = {{"size", report.newest->size},
                                     {"root", to_base64(view(report.newest->root))},
                                     {"time", utc_text(report.newest->at.utc_ns)}};
    }
    json["findings"] = nlohmann::ordered_json::array();
    for (const auto& finding : report.findings)
        json["findings"].push_back({{"kind", to_text(finding.kind)},
                                    {"sequence", finding.sequence},
                                    {"last_sequence", finding.last_sequence},
                                    {"file", finding.file},
                                    {"offset", finding.offset},
                                    {"message", finding.message}});
    json["warnings"] = report.warnings;
    return json;
}

void print(const VerifyReport& report) {
    for (const auto& warning : report.warnings) std::cout << "note   " << warning << "\n";
    for (const auto& finding : report.findings) std::cout << "BAD    " << to_text(finding) << "\n";
    std::cout << (report.good() ? "good   " : "BAD    ") << report.size - report.first << " leaves (" << report.records
              << " records, " << report.publishes << " publishes) in " << report.segments << " segments, "
              << report.checkpoints << " checkpoints, " << report.key_changes << " keys, " << report.witnessed
              << " agree with witnesses\n";
    if (report.newest)
        std::cout << "signed " << report.newest->size << " leaves at " << utc_text(report.newest->at.utc_ns)
                  << ", root " << to_base64(view(report.newest->root)) << "\n";
    if (!report.good()) std::cout << "first  " << to_text(report.findings.front()) << "\n";
}

int run_verify(const Arguments& arguments) {
    const auto store = FileAuditStore::open(arguments.folder, FileAuditStore::Mode::read);
    if (!store) return complain(store.error());
    const auto key = read_key(arguments.key);
    if (!key) return complain(key.error());
    VerifyOptions options{*key, {}, arguments.threads, arguments.partial};
    for (const auto& path : arguments.witnesses) {
        auto text = read_file(path);
        if (!text) return complain(text.error());
        options.witnesses.push_back({path, std::move(*text)});
    }
    const auto report = verify(**store, options);
    if (!report) return complain(report.error());
    if (arguments.json) {
        std::cout << to_json(*report).dump(2, ' ', false, nlohmann::json::error_handler_t::replace) << "\n";
    } else {
        print(*report);
    }
    return report->good() ? good : findings;
}

/// `search` and `export`: the records that fit, as JSON Lines or CSV.
int run_export(Arguments& arguments) {
    const auto store = FileAuditStore::open(arguments.folder, FileAuditStore::Mode::read);
    if (!store) return complain(store.error());
    const auto moment = [](const std::string& text, std::int64_t& to) {
        const auto parsed = parse_utc(text);
        if (parsed) to = *parsed;
        return text.empty() || parsed;
    };
    if (!moment(arguments.from, arguments.filter.from_utc_ns) || !moment(arguments.to, arguments.filter.to_utc_ns))
        return complain(invalid("times look like 2026-11-23 or 2026-11-23T02:13:28Z"));
    for (const auto outcome : {Outcome::ok, Outcome::denied, Outcome::failed})
        if (to_text(outcome) == arguments.outcome) arguments.filter.outcome = outcome;
    const auto reader = TrailReader::open(**store);
    if (!reader) return complain(reader.error());
    const bool csv = arguments.format == "csv";
    Output output(arguments.output);
    if (csv) output.write(csv_header());
    std::uint64_t count = 0;
    const auto done = reader->for_each(arguments.filter, [&](const Record& record) {
        output.write(csv ? to_csv_row(record) : to_json_line(record) + "\n");
        return ++count != arguments.limit;
    });
    if (!output.close()) return complain({Failure::failed, "cannot write " + arguments.output});
    return done ? good : complain(done.error());
}

int run_prove(const Arguments& arguments) {
    const auto store = FileAuditStore::open(arguments.folder, FileAuditStore::Mode::read);
    if (!store) return complain(store.error());
    Result<std::string> proof = std::string();
    if (arguments.publish.empty()) {
        proof = prove_record(**store, arguments.sequence);
    } else {
        const auto text = read_file(arguments.publish);
        if (!text) return complain(text.error());
        proof = prove_publish_json(**store, *text, arguments.sequence);
    }
    return proof ? write_out(arguments.output, *proof) : complain(proof.error());
}

int run_check(const Arguments& arguments) {
    const auto key = read_key(arguments.key);
    if (!key) return complain(key.error());
    const auto text = read_file(arguments.proof);
    if (!text) return complain(text.error());
    const auto proven = check_proof(*text, *key);
    if (!proven) {
        std::cout << "BAD    " << proven.error().message << "\n";
        return findings;
    }
    std::cout << "good   leaf " << proven->sequence << " of " << proven->origin << ", in the trail since "
              << proven->checkpoint_time << " or before (signed with " << proven->size << " leaves)\n"
              << proven->summary << "\n";
    return good;
}

int run_keygen(const Arguments& arguments) {
    const auto key = SigningKey::generate(arguments.name);
    if (!key) return complain(key.error());
    if (::access(arguments.output.c_str(), F_OK) == 0)
        return complain(invalid(arguments.output + " is there already; a key is never overwritten"));
    if (const int code = write_out(arguments.output, key->to_secret_text() + "\n"); code != good) return code;
    std::cout << key->verify_key().to_text() << "\n";
    return good;
}

void add_record_options(CLI::App& command, Arguments& arguments) {
    command.add_option("folder", arguments.folder, "folder of the trail")->required();
    command.add_option("--actor", arguments.filter.actor, "who did it: NAME or BEGINNING*");
    command.add_option("--action", arguments.filter.action, "what was done: NAME or BEGINNING*");
    command.add_option("--object", arguments.filter.object, "to what: NAME or BEGINNING*");
    command.add_option("--from", arguments.from, "not before this UTC time");
    command.add_option("--to", arguments.to, "before this UTC time");
    command.add_option("--result", arguments.outcome, "ok, denied or failed")
        ->check(CLI::IsMember({"ok", "denied", "failed"}));
    command.add_option("--since-record", arguments.filter.from_sequence, "from this record on");
    command.add_option("--limit", arguments.limit, "at most so many; 0: all");
    command.add_option("--format", arguments.format, "jsonl or csv")->check(CLI::IsMember({"jsonl", "csv"}));
    command.add_option("-o,--output", arguments.output, "file instead of standard output");
}

int run(int argc, char** argv) {
    Arguments arguments;
    CLI::App app("Reads and verifies an audit trail of Trunkline, offline.");
    app.require_subcommand(1);
    auto* verify = app.add_subcommand("verify", "is the trail what was written and signed?");
    verify->add_option("folder", arguments.folder, "folder of the trail")->required();
    verify->add_option("--key", arguments.key, "public key, or a file with it")->required();
    verify->add_option("--witness", arguments.witnesses, "file of a witness: its own, syslog's or journalctl's output");
    verify->add_option("--threads", arguments.threads, "0: one per core");
    verify->add_flag("--partial", arguments.partial, "the first segments are in an archive");
    verify->add_flag("--json", arguments.json, "the report as JSON");
    auto* prove = app.add_subcommand("prove", "a proof that a record or a publish is in the trail");
    prove->add_option("folder", arguments.folder, "folder of the trail")->required();
    prove->add_option("sequence", arguments.sequence, "number of the record; with --publish where to look from");
    prove->add_option("--publish", arguments.publish, "JSON file with the facts of a publish");
    prove->add_option("-o,--output", arguments.output, "file instead of standard output");
    auto* check = app.add_subcommand("check", "is a proof valid?");
    check->add_option("proof", arguments.proof, "file that prove has written")->required();
    check->add_option("--key", arguments.key, "public key, or a file with it")->required();
    auto* search = app.add_subcommand("search", "records by actor, action, object and time");
    add_record_options(*search, arguments);
    auto* to_file = app.add_subcommand("export", "all records, or those that fit, as JSON Lines or CSV");
    add_record_options(*to_file, arguments);
    auto* keygen = app.add_subcommand("keygen", "makes a key; prints its public half");
    keygen->add_option("name", arguments.name, "name of the trail, such as plant-1/audit")->required();
    keygen->add_option("-o,--output", arguments.output, "file for the private key (mode 0600)")->required();
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        return app.exit(error) == 0 ? good : usage;
    }
    if (*verify) return run_verify(arguments);
    if (*prove) return run_prove(arguments);
    if (*check) return run_check(arguments);
    if (*keygen) return run_keygen(arguments);
    return run_export(arguments);
}

}  // namespace

int main(int argc, char** argv) {
    try {
        return run(argc, argv);
    } catch (const std::exception& error) {
        std::cerr << "trunkaudit: " << error.what() << "\n";
        return unreadable;
    }
}
