#include "broker/cli/model_commands.h"

#include <chrono>
#include <fstream>
#include <iostream>
#include <iterator>
#include <optional>
#include <thread>

#include <CLI/CLI.hpp>

#include "broker/cli/fields.h"
#include "broker/cli/model_text.h"
#include "namespace/life/emqx_import.h"
#include "namespace/life/new_asset.h"
#include "namespace/life/report_json.h"
#include "namespace/model/diff.h"
#include "namespace/model/text.h"

namespace trunkline::cli {
namespace {

constexpr std::size_t file_bytes_max = 17UL << 20;  // a little more than a model may have, so that its check says so

std::string read_input(const std::string& name) {
    std::ifstream file(name, std::ios::binary);
    std::istream& in = name == "-" ? std::cin : file;
    if (!in) throw Failure(exit_usage, "cannot read " + name);
    std::string text;
    char chunk[65'536];
    while (text.size() <= file_bytes_max && (in.read(chunk, sizeof chunk), in.gcount() > 0)) {
        text.append(chunk, static_cast<std::size_t>(in.gcount()));
    }
    if (in.bad()) throw Failure(exit_usage, "cannot read " + name);
    return text;
}

/// Beside the file first, so that a full disk leaves the old one.
void write_file(const std::string& name, const std::string& text) {
    const std::string fresh = name + ".new";
    {
        std::ofstream out(fresh, std::ios::binary | std::ios::trunc);
        out << text;
        out.flush();
        if (!out) throw Failure(exit_usage, "cannot write " + fresh);
    }
    if (std::rename(fresh.c_str(), name.c_str()) != 0) throw Failure(exit_usage, "cannot write " + name);
}

Json parsed(const std::string& json) { return Json::parse(json, nullptr, false); }

/// Problems of a file, found here or by the broker; the exit code of findings.
int tell_problems(const Tool& tool, const std::string& file, const Json& problems) {
    if (tool.out.format() == Format::table) {
        print_problems(tool, problems);
        std::cout << printable(file) << " is not accepted: " << counted(problems.size(), "problem") << '\n';
    } else {
        tool.out.value({{"file", file}, {"accepted", false}, {"problems", problems}});
    }
    return exit_findings;
}

std::shared_ptr<const uns::Model> compile(const Tool& tool, const std::string& file, int& code) {
    uns::Model::Result result = uns::Model::compile(read_input(file), file);
    if (!result.model) code = tell_problems(tool, file, parsed(uns::to_json(result.problems)));
    return result.model;
}

std::string about(const Json& model) {
    return text_in(model, "name") + " " + text_in(model, "version") + ", " + counted(count_in(model, "nodes"), "node") +
           ", " + counted(count_in(model, "members"), "member");
}

/// The broker knows a model by the name of its file alone: where it lay says nothing to others.
std::string base_name(const std::string& file) {
    const std::size_t slash = file.rfind('/');
    return slash == std::string::npos || slash + 1 == file.size() ? file : file.substr(slash + 1);
}

/// As request(), with the problems of a model told one by one. nullopt: they were.
std::optional<Json> send_model(const Tool& tool, const char* method, const std::string& target, const std::string& file,
                               const std::string& yaml) {
    const std::string query =
        (target.find('?') == std::string::npos ? "?file=" : "&file=") + percent_encode(base_name(file));
    try {
        return request(tool.server, method, target + query, yaml);
    } catch (const Failure& failure) {
        if (!failure.problem.contains("problems")) throw;
        Json problems = failure.problem["problems"];
        for (Json& problem : problems) {  // here people want to go to the line
            const std::string place = text_in(problem, "place");
            if (place.starts_with(base_name(file) + ":"))
                problem["place"] = file + place.substr(base_name(file).size());
        }
        tell_problems(tool, file, problems);
        return std::nullopt;
    }
}

void tell_notes(const std::vector<std::string>& notes) {
    for (const std::string& note : notes) std::cerr << "note: " << printable(note) << '\n';
}

/// To a file, or to standard output.
void put_text(const std::string& out_file, const std::string& text) {
    if (out_file.empty())
        std::cout << text;
    else
        write_file(out_file, text);
}

void print_version(const Json& version) {
    const std::string why = text_in(version, "why");
    std::cout << "applied  "
              << duration_text((now_ms() - static_cast<std::int64_t>(count_in(version, "applied_ms"))) / 1'000)
              << " ago by " << printable(text_in(version, "who")) << (why.empty() ? "" : ": " + printable(why)) << '\n';
}

/// "60s" in milliseconds.
std::int64_t duration_ms(const std::string& text) {
    const auto ms = uns::parse_duration_ms(text);
    if (!ms) throw Failure(exit_usage, "--wait: write a duration such as 60s or 5min");
    return static_cast<std::int64_t>(*ms);
}

bool has_value(const Server& server, const std::string& topic, std::int64_t since_ms) {
    try {
        const Json json = request(server, "GET", "/api/v1/namespace/get?topic=" + percent_encode(topic));
        const auto stored = static_cast<std::int64_t>(count_in(json, "stored_at_ms"));
        return stored == 0 || stored >= since_ms;
    } catch (const Failure& failure) {
        if (failure.exit_code == exit_no_connection || failure.exit_code == exit_not_authorised) throw;
        return false;
    }
}

/// Waits until every metric of the sheet has a value; returns what is missing then.
std::vector<std::string> wait_for_data(const Tool& tool, const Json& sheet, std::int64_t wait_ms) {
    std::vector<std::string> missing;
    for (const Json& line : sheet) {
        if (text_in(line, "kind") == "metric") missing.push_back(text_in(line, "topic"));
    }
    const std::int64_t begin_ms = now_ms();
    const bool talk = tool.out.format() == Format::table;
    while (true) {
        std::erase_if(missing, [&](const std::string& topic) {
            if (!has_value(tool.server, topic, 0)) return false;
            if (talk) std::cout << tool.out.colour("32", "heard") << "  " << printable(topic) << std::endl;
            return true;
        });
        if (missing.empty() || now_ms() - begin_ms >= wait_ms) return missing;
        std::this_thread::sleep_for(std::chrono::milliseconds(500));
    }
}

}  // namespace

int model_check(const Tool& tool, const std::string& file) {
    int code = exit_ok;
    const auto model = compile(tool, file, code);
    if (!model) return code;
    const Json json = {{"file", file},
                       {"accepted", true},
                       {"name", model->name()},
                       {"version", model->version()},
                       {"hash", model->hash()},
                       {"nodes", model->node_count()},
                       {"members", model->member_count()}};
    if (tool.out.format() == Format::table)
        std::cout << printable(file) << " is good: " << printable(about(json)) << '\n';
    else
        tool.out.value(json);
    return exit_ok;
}

int model_diff(const Tool& tool, const std::string& before, const std::string& after) {
    int code = exit_ok;
    std::shared_ptr<const uns::Model> old;
    if (after.empty()) {  // one file: against the model in force
        const Json json = request(tool.server, "GET", "/api/v1/model");
        old = json.contains("yaml") ? uns::Model::compile(text_in(json, "yaml"), text_in(json, "file")).model
                                    : uns::Model::empty();
        if (!old)
            throw Failure(exit_findings, "the model in force can't be read by this trunkctl; use that of its release");
    } else {
        old = compile(tool, before, code);
    }
    const auto fresh = old ? compile(tool, after.empty() ? before : after, code) : nullptr;
    if (!old || !fresh) return code;
    const auto changes = uns::diff(*old, *fresh);
    if (tool.out.format() == Format::table) {
        for (const auto& change : changes) std::cout << printable(uns::to_string(change)) << '\n';
        if (changes.empty()) std::cout << "no difference in meaning\n";
    } else {
        tool.out.value(parsed(uns::to_json(changes)));
    }
    return changes.empty() ? exit_ok : exit_findings;
}

int model_import(const Tool& tool, const ModelCommands& what) {
    std::vector<uns::EmqxFile> files;
    for (const std::string& name : what.files) files.push_back({name, read_input(name)});
    uns::EmqxOptions options;
    options.name = what.name;
    if (!what.version.empty()) options.version = what.version;
    const uns::EmqxImport result = uns::import_emqx(files, options);
    tell_notes(result.notes);
    if (!result.problems.empty()) return tell_problems(tool, what.files.front(), parsed(uns::to_json(result.problems)));
    put_text(what.out_file, result.yaml);
    return exit_ok;
}

int model_show(const Tool& tool) {
    const Json json = request(tool.server, "GET", "/api/v1/model?as=none");
    const bool applied = json.value("applied", false);
    if (tool.out.format() != Format::table) {
        tool.out.value(json);
    } else if (!applied) {
        std::cout << "no model is applied: every topic and payload is let through\n"
                     "to begin: trunkctl model learn > plant.yaml, read it, trunkctl model apply plant.yaml\n";
    } else {
        std::cout << "model    " << printable(about(json)) << '\n';
        print_version(json.at("current"));
        std::cout << "file     " << printable(text_in(json, "file")) << "\nhash     "
                  << printable(text_in(json, "hash")) << '\n';
    }
    return applied ? exit_ok : exit_findings;
}

int model_export(const Tool& tool, const std::string& version, bool as_json) {
    if (!version.empty()) {
        const Json json = request(tool.server, "GET", "/api/v1/model/versions/" + percent_encode(version));
        if (!as_json) {
            std::cout << text_in(json, "yaml");
            return exit_ok;
        }
        const auto model = uns::Model::compile(text_in(json, "yaml"), text_in(json, "file")).model;
        if (!model)
            throw Failure(exit_findings, "this version can't be read by this trunkctl; use that of its release");
        std::cout << model->json() << '\n';
        return exit_ok;
    }
    const Json json = request(tool.server, "GET", as_json ? "/api/v1/model?as=json" : "/api/v1/model");
    if (!json.value("applied", false)) throw Failure(exit_findings, "no model is applied");
    if (as_json)
        std::cout << json.at("model").dump(2, ' ', false, Json::error_handler_t::replace) << '\n';
    else
        std::cout << text_in(json, "yaml");
    return exit_ok;
}

int model_versions(const Tool& tool) {
    const auto row = [](const Json& version) -> std::vector<std::string> {
        std::string note = text_in(version, "why");
        if (version.contains("rolled_back_from")) note = "rollback" + (note.empty() ? std::string() : ": " + note);
        return {std::to_string(count_in(version, "sequence")), text_in(version, "version"),
                version.value("in_force", false) ? "in force" : "",
                duration_text((now_ms() - static_cast<std::int64_t>(count_in(version, "applied_ms"))) / 1'000),
                text_in(version, "who"), text_in(version, "hash").substr(0, 12), note};
    };
    return show_list(tool, "/api/v1/model/versions?limit=1000", "versions",
                     {"#", "VERSION", "", "AGE", "WHO", "HASH", "WHY"}, row);
}

namespace {

int tell_pending(const Json& json) {
    std::cout << "waits as " << count_in(json, "pending") << "; " << printable(text_in(json, "needs")) << '\n';
    return exit_ok;
}

}  // namespace

int model_pending(const Tool& tool) {
    const Json json = request(tool.server, "GET", "/api/v1/model/pending");
    const Json list = json.value("pending", Json::array());
    if (tool.out.format() != Format::table) {
        tool.out.value(list);
        return exit_ok;
    }
    std::vector<std::vector<std::string>> rows;
    for (const Json& one : list) {
        const auto minutes = (static_cast<std::uint64_t>(now_ms()) - count_in(one, "at_ms")) / 60'000;
        const std::string age = counted(minutes, "minute");
        rows.push_back({text_in(one, "id"), age, text_in(one, "action"), text_in(one, "object"),
                        text_in(one, "who"), text_in(one, "why"),
                        std::to_string(one.value("changes", Json::array()).size())});
    }
    tool.out.table({"ID", "AGE", "ACTION", "MODEL", "WHO", "WHY", "CHANGES"}, std::move(rows));
    return exit_ok;
}

int model_approve(const Tool& tool, const ModelCommands& what) {
    const std::string target = "/api/v1/model/pending/" + percent_encode(what.version) + "/approve";
    const Json json = request(tool.server, "POST", target);
    if (tool.out.format() != Format::table) {
        tool.out.value(json);
    } else {
        std::cout << "in force: the change of " << printable(text_in(json, "who")) << ", approved by "
                  << printable(text_in(json, "approver")) << '\n';
    }
    return exit_ok;
}

int model_withdraw(const Tool& tool, const ModelCommands& what) {
    const Json json = request(tool.server, "DELETE", "/api/v1/model/pending/" + percent_encode(what.version));
    if (tool.out.format() != Format::table) tool.out.value(json);
    return exit_ok;
}

int model_apply(const Tool& tool, const ModelCommands& what) {
    std::string target = std::string("/api/v1/model?dry_run=") + (what.dry_run ? "true" : "false");
    if (!what.reason.empty()) target += "&reason=" + percent_encode(what.reason);
    const auto json = send_model(tool, "PUT", target, what.file, read_input(what.file));
    if (!json) return exit_findings;
    if (tool.out.format() != Format::table) {
        tool.out.value(*json);
        return exit_ok;
    }
    if (json->contains("pending")) return tell_pending(*json);
    std::cout << (what.dry_run ? "would apply " : "applied ") << printable(about(*json)) << '\n';
    print_changes(tool, json->at("changes"));
    if (json->at("changes").empty()) std::cout << "  nothing changes in meaning\n";
    return exit_ok;
}

int model_rollback(const Tool& tool, const ModelCommands& what) {
    Json body = {{"reason", what.reason}};
    if (!what.version.empty()) body["version"] = what.version;
    const Json json = request(tool.server, "POST", "/api/v1/model/rollback",
                              body.dump(-1, ' ', false, Json::error_handler_t::replace));
    if (tool.out.format() == Format::table && json.contains("pending")) return tell_pending(json);
    if (tool.out.format() == Format::table)
        std::cout << "in force again: " << printable(text_in(json, "rolled_back_to")) << '\n';
    else
        tool.out.value(json);
    return exit_ok;
}

int model_plan(const Tool& tool, const std::string& file) {
    const auto json = send_model(tool, "POST", "/api/v1/model/plan", file, read_input(file));
    if (!json) return exit_findings;
    if (tool.out.format() == Format::table)
        print_plan(tool, *json);
    else
        tool.out.value(*json);
    return json->value("breaks_nothing", false) ? exit_ok : exit_findings;
}

int model_learn(const Tool& tool, const ModelCommands& what) {
    Json body = {{"patterns_from", what.patterns_from}, {"mode", what.mode}};
    if (!what.name.empty()) body["name"] = what.name;
    if (!what.version.empty()) body["version"] = what.version;
    const Json json =
        request(tool.server, "POST", "/api/v1/model/learn", body.dump(-1, ' ', false, Json::error_handler_t::replace));
    if (tool.out.format() != Format::table) {
        tool.out.value(json);
    } else {
        put_text(what.out_file, text_in(json, "yaml"));
        for (const Json& note : json.at("notes")) std::cerr << "note: " << printable(note.get<std::string>()) << '\n';
        if (!text_in(json, "yaml").empty()) {
            std::cerr << "learned from " << counted(count_in(json, "messages"), "message") << ": "
                      << counted(count_in(json, "topics"), "topic") << ", "
                      << counted(count_in(json, "assets"), "asset") << ", " << counted(count_in(json, "types"), "type")
                      << '\n';
        }
    }
    return text_in(json, "yaml").empty() ? exit_findings : exit_ok;
}

int model_drift(const Tool& tool) {
    const Json json = request(tool.server, "GET", "/api/v1/model/drift");
    if (tool.out.format() == Format::table)
        print_drift(tool, json);
    else
        tool.out.value(json);
    return count_in(json, "items_total") == 0 ? exit_ok : exit_findings;
}

int model_new_asset(const Tool& tool, const ModelCommands& what) {
    const bool has_file = !what.file.empty();
    std::string file = what.file, yaml;
    if (has_file) {
        yaml = read_input(file);
    } else {
        const Json json = request(tool.server, "GET", "/api/v1/model");
        if (!json.value("applied", false)) throw Failure(exit_findings, "no model is applied; name a file with --file");
        yaml = text_in(json, "yaml");
        file = text_in(json, "file");
    }
    const std::int64_t wait_ms = what.wait.empty() ? 0 : duration_ms(what.wait);
    uns::NewAssetOptions options;
    options.version = what.version;
    options.kind = what.kind;
    options.description = what.description;
    const uns::NewAsset result = uns::new_asset(yaml, file, what.asset_path, what.asset_type, options);
    if (!result.problems.empty()) return tell_problems(tool, file, parsed(uns::to_json(result.problems)));
    const bool people = tool.out.format() == Format::table;
    if (people) std::cout << printable(result.text) << '\n';
    if (has_file && !result.was_there && !what.dry_run) write_file(file, result.yaml);
    if (what.apply && !what.dry_run) {
        std::string target = "/api/v1/model?reason=" + percent_encode(what.reason.empty() ? result.text : what.reason);
        if (!send_model(tool, "PUT", target, file, result.yaml)) return exit_findings;
        if (people) std::cout << "applied\n";
    }
    const auto model = uns::Model::compile(result.yaml, file).model;
    const Json sheet = parsed(uns::to_json(uns::publisher_sheet(*model, what.asset_path, now_ms())));
    if (people) {
        std::cout << "\nits publisher sends:\n";
        print_sheet(tool, sheet);
    }
    std::vector<std::string> missing;
    if (wait_ms > 0) {
        if (people) std::cout << "\nwaiting for its data, up to " << what.wait << " ...\n";
        missing = wait_for_data(tool, sheet, wait_ms);
        for (const std::string& topic : missing) {
            if (people) std::cout << tool.out.colour("31", "MISSING") << "  " << printable(topic) << '\n';
        }
        if (people && missing.empty()) std::cout << "all of it was heard\n";
    }
    if (!people) {
        Json json = {{"text", result.text},
                     {"was_there", result.was_there},
                     {"file", file},
                     {"line", result.line},
                     {"topics", sheet}};
        if (!has_file) json["yaml"] = result.yaml;
        if (wait_ms > 0) json["missing"] = missing;
        tool.out.value(json);
    }
    return missing.empty() ? exit_ok : exit_findings;
}

int explain(const Tool& tool, const ModelCommands& what) {
    Json body = {{"topic", what.topic},
                 {"client_id", what.client},
                 {"user", what.user},
                 {"retain", what.retain},
                 {"subscribe", what.subscribe}};
    const std::string payload = what.payload_file.empty() ? what.payload : read_input(what.payload_file);
    body["payload"] = payload;
    if (!uns::is_utf8(payload)) {
        throw Failure(exit_usage, "the payload is no UTF-8 text; send it as base64 to POST /api/v1/explain");
    }
    const Json json =
        request(tool.server, "POST", "/api/v1/explain", body.dump(-1, ' ', false, Json::error_handler_t::replace));
    if (tool.out.format() == Format::table)
        print_explain(tool, json);
    else
        tool.out.value(json);
    const std::string outcome = text_in(json, "outcome");
    return outcome == "reject" || outcome == "quarantine" ? exit_findings : exit_ok;
}

namespace {

template <class Function>
void on(CLI::App* command, std::function<int(const Tool&)>& action, Function function) {
    command->callback([&action, function] { action = function; });
}

}  // namespace

void ModelCommands::add_offline(CLI::App& model, std::function<int(const Tool&)>& action) {
    auto* check = model.add_subcommand("check", "every fault of a model file, with its mend; needs no broker");
    check->add_option("FILE", file, "model, - for standard input")->required();
    on(check, action, [this](const Tool& tool) { return model_check(tool, file); });
    auto* diff =
        model.add_subcommand("diff", "what two models differ in, by meaning; one file: from the model in force");
    diff->add_option("BEFORE", file, "model")->required();
    diff->add_option("AFTER", other_file, "model");
    on(diff, action, [this](const Tool& tool) { return model_diff(tool, file, other_file); });
    auto* import = model.add_subcommand("import", "a model from EMQX UNS Governance; needs no broker");
    import->add_option("FILE", files, "its JSON, one or several")->required();
    import->add_option("--name", name, "of the namespace");
    import->add_option("--model-version", version, "of the model, 1.0.0 unless told");
    import->add_option("-O,--out", out_file, "write here instead of to standard output")->type_name("FILE");
    on(import, action, [this](const Tool& tool) { return model_import(tool, *this); });
}

void ModelCommands::add_versions(CLI::App& model, std::function<int(const Tool&)>& action) {
    on(model.add_subcommand("show", "the model in force"), action, model_show);
    on(model.add_subcommand("versions", "every version that was applied"), action, model_versions);
    auto* text = model.add_subcommand("export", "the text of the model in force, or of a version");
    text->add_option("VERSION", version, "version or its number");
    text->add_flag("--json", as_json, "as JSON instead of YAML");
    on(text, action, [this](const Tool& tool) { return model_export(tool, version, as_json); });
    auto* put = model.add_subcommand("apply", "check, store and put in force");
    put->add_option("FILE", file, "model, - for standard input")->required();
    put->add_option("--reason", reason, "for the record");
    put->add_flag("--dry-run", dry_run, "only check, and say what would change");
    on(put, action, [this](const Tool& tool) { return model_apply(tool, *this); });
    auto* back = model.add_subcommand("rollback", "put an earlier version in force again");
    back->add_option("VERSION", version, "version or its number, the one before unless told");
    back->add_option("--reason", reason, "for the record");
    on(back, action, [this](const Tool& tool) { return model_rollback(tool, *this); });
    on(model.add_subcommand("pending", "changes that wait for a second person"), action, model_pending);
    auto* agree = model.add_subcommand("approve", "put somebody else's change in force");
    agree->add_option("ID", version, "as pending gives it")->required();
    on(agree, action, [this](const Tool& tool) { return model_approve(tool, *this); });
    auto* withdraw = model.add_subcommand("withdraw", "drop a change that waits");
    withdraw->add_option("ID", version, "as pending gives it")->required();
    on(withdraw, action, [this](const Tool& tool) { return model_withdraw(tool, *this); });
}

void ModelCommands::add_traffic(CLI::App& model, std::function<int(const Tool&)>& action) {
    auto* plan = model.add_subcommand("plan", "what applying would change, and whom it would break");
    plan->add_option("FILE", file, "model, - for standard input")->required();
    on(plan, action, [this](const Tool& tool) { return model_plan(tool, file); });
    auto* learn = model.add_subcommand("learn", "propose a model from what is published");
    learn->add_option("--name", name, "of the namespace, its first level unless told");
    learn->add_option("--model-version", version, "of the model, 0.1.0 unless told");
    learn->add_option("--patterns", patterns_from, "one pattern for so many instances side by side; 0: each by name")
        ->type_name("N");
    learn->add_option("--mode", mode, "observe, quarantine or enforce")
        ->check(CLI::IsMember({"observe", "quarantine", "enforce"}));
    learn->add_option("-O,--out", out_file, "write here instead of to standard output")->type_name("FILE");
    on(learn, action, [this](const Tool& tool) { return model_learn(tool, *this); });
    on(model.add_subcommand("drift", "what the traffic does that the model does not say"), action, model_drift);
}

void ModelCommands::add_new_asset(CLI::App& model, std::function<int(const Tool&)>& action) {
    auto* asset = model.add_subcommand("new-asset", "add an asset, and tell what its publisher must send");
    asset->add_option("TYPE", asset_type, "a type of the model: filler, filler@2")->required();
    asset->add_option("PATH", asset_path, "its topic")->required();
    asset->add_option("--file", file, "the model to edit; the one in force unless told");
    asset->add_option("--kind", kind, "$kind of the level, where several may stand");
    asset->add_option("--description", description, "for people");
    asset->add_option("--model-version", version, "of the new model; the last number plus one unless told");
    asset->add_flag("--apply", apply, "put the new model in force");
    asset->add_option("--reason", reason, "for the record");
    asset->add_option("--wait", wait, "for its first data, such as 60s; tells what is missing");
    asset->add_flag("--dry-run", dry_run, "change and apply nothing");
    on(asset, action, [this](const Tool& tool) { return model_new_asset(tool, *this); });
}

void ModelCommands::add_explain(CLI::App& app, std::function<int(const Tool&)>& action) {
    auto* command =
        app.add_subcommand("explain", "every check of a publish or subscription, with the rule and the fix");
    command->add_option("--client", client, "client identifier")->type_name("ID");
    command->add_option("--user", user, "user name");
    command->add_option("-t,--topic", topic, "topic, or filter with --subscribe")->required();
    auto* message = command->add_option("-m,--message", payload, "payload")->type_name("TEXT");
    command->add_option("-f,--file", payload_file, "payload from a file, - for standard input")
        ->type_name("FILE")
        ->excludes(message);
    command->add_flag("-r,--retain", retain, "with RETAIN");
    command->add_flag("--subscribe", subscribe, "a subscription instead of a publish");
    on(command, action, [this](const Tool& tool) { return explain(tool, *this); });
}

void ModelCommands::add(CLI::App& app, std::function<int(const Tool&)>& action) {
    auto* model = app.add_subcommand("model", "the namespace model: check, plan, apply, learn, drift ...");
    model->require_subcommand(1);
    add_offline(*model, action);
    add_versions(*model, action);
    add_traffic(*model, action);
    add_new_asset(*model, action);
    add_explain(app, action);
}

}  // namespace trunkline::cli
