#include "namespace/life/report_json.h"

#include <nlohmann/json.hpp>

namespace trunkline::uns {
namespace {

using Json = nlohmann::ordered_json;

std::string dump(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

Json counts_json(const OutcomeCounts& counts) {
    return {{"accepted", counts[0]}, {"observed", counts[1]}, {"quarantined", counts[2]}, {"refused", counts[3]}};
}

Json change_json(const ModelChange& change) {
    constexpr std::string_view kinds[]{"added", "removed", "changed"};
    return {{"kind", kinds[static_cast<std::size_t>(change.kind)]},
            {"subject", change.subject},
            {"what", change.what},
            {"before", change.before},
            {"after", change.after},
            {"breaking", change.breaking},
            {"places", change.places},
            {"text", to_string(change)}};
}

Json changes_json(const std::vector<ModelChange>& changes) {
    Json list = Json::array();
    for (const ModelChange& change : changes) list.push_back(change_json(change));
    return list;
}

Json finding_json(const ReplayFinding& finding) {
    return {{"client_id", finding.client_id},
            {"user", finding.user},
            {"topic", finding.topic},
            {"rule", finding.rule},
            {"text", finding.text},
            {"at", finding.at},
            {"expected", finding.expected},
            {"fix", finding.fix},
            {"place", finding.place},
            {"payload", finding.payload},
            {"before", to_string(finding.before)},
            {"after", to_string(finding.after)},
            {"messages", finding.messages},
            {"of", finding.of},
            {"new", finding.is_new}};
}

}  // namespace

std::string to_json(const PlanReport& report, const PlanEnds& ends) {
    Json json = {{"from", ends.from_version},
                 {"name", ends.to_name},
                 {"to", ends.to_version},
                 {"breaks_nothing", report.breaks_nothing()},
                 {"messages", report.messages},
                 {"samples", report.samples},
                 {"topics", report.topics},
                 {"first_ms", report.first_ms},
                 {"last_ms", report.last_ms},
                 {"before", counts_json(report.before)},
                 {"after", counts_json(report.after)},
                 {"mended", report.mended},
                 {"breaking", report.messages_breaking},
                 {"newly_breaking", report.messages_newly_breaking},
                 {"changes", changes_json(report.changes)}};
    json["publishers"] = Json::array();
    for (const ReplayPublisher& one : report.publishers) {
        json["publishers"].push_back({{"client_id", one.client_id},
                                      {"user", one.user},
                                      {"messages", one.messages},
                                      {"breaking", one.breaking},
                                      {"newly_breaking", one.newly_breaking},
                                      {"topics", one.topics}});
    }
    json["findings"] = Json::array();
    for (const ReplayFinding& finding : report.findings) json["findings"].push_back(finding_json(finding));
    json["findings_total"] = report.findings_total;
    json["silenced"] = Json::array();
    for (const SilencedSubscriber& one : report.silenced) {
        json["silenced"].push_back({{"client_id", one.client_id}, {"filter", one.filter}, {"messages", one.messages}});
    }
    json["silenced_total"] = report.silenced_total;
    json["silent"] = Json::array();
    for (const SilentAsset& asset : report.silent) {
        json["silent"].push_back(
            {{"topic", asset.topic}, {"type", asset.type}, {"owner", asset.owner}, {"place", asset.place}});
    }
    json["silent_total"] = report.silent_total;
    json["notes"] = report.notes;
    return dump(json);
}

std::string to_json(const DriftReport& report) {
    Json json = {{"messages", report.messages}, {"topics", report.topics}, {"first_ms", report.first_ms},
                 {"last_ms", report.last_ms},   {"items", Json::array()},  {"items_total", report.items_total},
                 {"notes", report.notes}};
    for (const DriftItem& item : report.items) {
        json["items"].push_back({{"kind", to_string(item.kind)},
                                 {"subject", item.subject},
                                 {"text", item.text},
                                 {"rule", item.rule},
                                 {"place", item.place},
                                 {"change", item.change},
                                 {"messages", item.messages},
                                 {"topics", item.topics},
                                 {"clients", item.clients},
                                 {"topics_total", item.topics_total}});
    }
    return dump(json);
}

std::string to_json(const LearnResult& result) {
    return dump({{"yaml", result.yaml},
                 {"notes", result.notes},
                 {"messages", result.messages},
                 {"topics", result.topics},
                 {"assets", result.assets},
                 {"types", result.types},
                 {"members", result.members},
                 {"loosened", result.loosened}});
}

std::string to_json(const std::vector<Problem>& problems) {
    Json list = Json::array();
    for (const Problem& problem : problems) {
        list.push_back(
            {{"rule", problem.rule}, {"place", problem.place}, {"message", problem.message}, {"fix", problem.fix}});
    }
    return dump(list);
}

std::string to_json(const std::vector<ModelChange>& changes) { return dump(changes_json(changes)); }

std::string to_json(const std::vector<SheetLine>& sheet) {
    Json list = Json::array();
    for (const SheetLine& line : sheet) {
        list.push_back({{"topic", line.topic},
                        {"kind", to_string(line.kind)},
                        {"payload", line.payload},
                        {"type", line.type},
                        {"unit", line.unit},
                        {"range", line.range},
                        {"every_ms", line.every_ms},
                        {"description", line.description},
                        {"place", line.place},
                        {"example", line.example},
                        {"to_send", line.to_send}});
    }
    return dump(list);
}

}  // namespace trunkline::uns
