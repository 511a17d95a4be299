#include "broker/admin/backup_api.h"

namespace trunkline::admin {
namespace {

constexpr std::uint64_t piece_bytes_max = 8 << 20;
constexpr std::uint64_t backup_bytes_max = std::uint64_t{1} << 62;

const char* state_name(BackupProgress::State state) {
    switch (state) {
        case BackupProgress::State::preparing: return "preparing";
        case BackupProgress::State::ready: return "ready";
        case BackupProgress::State::failed: return "failed";
        case BackupProgress::State::none: break;
    }
    return "none";
}

Json progress_json(const BackupProgress& progress) {
    Json json = {{"state", state_name(progress.state)}};
    if (progress.state == BackupProgress::State::none) return json;
    json["id"] = progress.id;
    json["done_bytes"] = progress.done_bytes;
    json["total_bytes"] = progress.total_bytes;
    if (!progress.why.empty()) json["why"] = progress.why;
    return json;
}

Response no_backup(const std::string& id) {
    return problem(404, "not-found", "No such backup",
                   "\"" + id + "\" is not ready, was let go, or nobody asked about it for a minute");
}

/// Begins one unless another is under way; the work is done on the thread of long jobs.
void post_backup(const ApiContext& context, const Request&, const Reply& reply) {
    BackupSource& backups = *context.sources.backups;
    const std::string id = backups.begin();
    if (id.empty()) {
        return reply(problem(409, "conflict", "Another backup is under way",
                             "wait for it; one that nobody fetches any more is let go after a minute"));
    }
    LongJobs& jobs = context.long_jobs;
    const auto job = [&backups, &jobs, id] { backups.prepare(id, [&jobs] { return !jobs.stopping(); }); };
    if (!jobs.post(job)) {
        backups.release(id);
        return reply(problem(503, "busy", "Too many long jobs wait", "try again in a minute"));
    }
    reply(json_response(progress_json(backups.progress()), 202));
}

void get_file(const ApiContext& context, const Request& request, const Reply& reply) {
    Response wrong;
    const std::string id = request.parameters.at("id");
    const auto name = request.get("name");
    if (!name) return reply(bad_parameter("name", "a file of the manifest"));
    const auto offset = number_parameter(request, "offset", 0, 0, backup_bytes_max, wrong);
    if (!offset) return reply(wrong);
    const auto bytes = number_parameter(request, "bytes", piece_bytes_max, 1, piece_bytes_max, wrong);
    if (!bytes) return reply(wrong);
    auto piece = context.sources.backups->read(id, *name, *offset, *bytes);
    if (!piece) {
        return reply(problem(404, "not-found", "No such file",
                             "the backup \"" + id + "\" is gone, or its manifest does not list \"" + *name + "\""));
    }
    Response response;
    response.content_type = "application/octet-stream";
    response.body = std::move(*piece);
    reply(std::move(response));
}

template <class Function>
Handler bind_backups(const ApiContext& context, Function function) {
    return [context, function](const Request& request, const Reply& reply) {
        if (!context.sources.backups) return reply(problem(503, "unavailable", "This broker takes no backups", ""));
        function(context, request, reply);
    };
}

}  // namespace

void add_backup(Router& router, const ApiContext& context) {
    const Parameter id{"id", "path", "string", true, "as POST returned it"};
    router.add({"GET", "/api/v1/backup", "How far the backup is that is being taken", Permission::backup_take, {},
                "application/json", bind_backups(context, [](const ApiContext& c, const Request&, const Reply& reply) {
                    reply(json_response(progress_json(c.sources.backups->progress())));
                })});
    router.add({"POST", "/api/v1/backup", "Begins a backup; 409 while another one is under way",
                Permission::backup_take, {}, "application/json", bind_backups(context, post_backup)});
    router.add({"GET", "/api/v1/backup/{id}/manifest", "What a backup that is ready holds", Permission::backup_take,
                {id}, "application/json",
                bind_backups(context, [](const ApiContext& c, const Request& request, const Reply& reply) {
                    Response response;
                    const std::string wanted = request.parameters.at("id");
                    auto manifest = c.sources.backups->manifest(wanted);
                    if (!manifest) return reply(no_backup(wanted));
                    response.body = std::move(*manifest);
                    reply(std::move(response));
                })});
    router.add({"GET", "/api/v1/backup/{id}/file", "A part of one of its files", Permission::backup_take,
                {id, {"name", "query", "string", true, "as the manifest has it"},
                 {"offset", "query", "integer", false, "of the first byte, 0 unless told"},
                 {"bytes", "query", "integer", false, "1 to 8388608, which it is unless told"}},
                "application/octet-stream", bind_backups(context, get_file)});
    router.add({"DELETE", "/api/v1/backup/{id}", "Lets a backup go, ready or not", Permission::backup_take, {id},
                "application/json",
                bind_backups(context, [](const ApiContext& c, const Request& request, const Reply& reply) {
                    const std::string wanted = request.parameters.at("id");
                    if (!c.sources.backups->release(wanted)) return reply(no_backup(wanted));
                    reply(json_response({{"id", wanted}, {"released", true}}));
                })});
}

}  // namespace trunkline::admin
