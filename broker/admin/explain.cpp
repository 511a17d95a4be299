#include "broker/admin/explain.h"

#include "broker/admin/namespace_json.h"
#include "broker/core/governance.h"
#include "broker/core/name_book.h"
#include "namespace/topic.h"

namespace trunkline::admin {
namespace {

constexpr std::size_t topics_counted_max = 10'000;
constexpr std::size_t entries_looked_at_max = 500'000;

std::string_view result_text(AccessStep::Result result) {
    return result == AccessStep::Result::ok ? "ok" : result == AccessStep::Result::fail ? "FAIL" : "skipped";
}

std::string_view result_text(uns::Check::Result result) {
    return result == uns::Check::Result::ok ? "ok" : result == uns::Check::Result::fail ? "FAIL" : "skipped";
}

std::string_view reason_text(uns::VerdictReason reason) {
    switch (reason) {
        case uns::VerdictReason::success:
            return "Success";
        case uns::VerdictReason::implementation_specific:
            return "Implementation specific error";
        case uns::VerdictReason::not_authorized:
            return "Not authorized";
        case uns::VerdictReason::topic_name_invalid:
            return "Topic Name invalid";
        case uns::VerdictReason::quota_exceeded:
            return "Quota exceeded";
        case uns::VerdictReason::payload_format_invalid:
            return "Payload format invalid";
    }
    return "";
}

std::string hex(unsigned code) {
    constexpr std::string_view digits = "0123456789ABCDEF";
    return {'0', 'x', digits[code >> 4 & 15], digits[code & 15]};
}

/// What is asked.
struct Asked {
    AccessQuestion who;
    std::string payload;
    bool retain = false;
};

std::optional<Asked> read_question(const Request& request, Response& wrong) {
    const auto refuse = [&](const char* name, const char* why) {
        wrong = bad_parameter(name, why);
        return std::nullopt;
    };
    const Json body = Json::parse(request.body, nullptr, false);
    if (!body.is_object()) {
        wrong = problem(400, "bad-body", "The body is no JSON object", "send topic and what else is known");
        return std::nullopt;
    }
    Asked asked;
    std::string encoding = "utf-8";
    for (const auto& [name, value] : body.items()) {
        std::string* text = name == "topic"       ? &asked.who.topic
                            : name == "client_id" ? &asked.who.client_id
                            : name == "user"      ? &asked.who.user
                            : name == "payload"   ? &asked.payload
                            : name == "encoding"  ? &encoding
                                                  : nullptr;
        bool* flag = name == "retain" ? &asked.retain : name == "subscribe" ? &asked.who.subscribe : nullptr;
        if (!text && !flag) {
            return refuse(name.c_str(), "unknown; topic, payload, encoding, client_id, user, retain, subscribe");
        }
        if (text && !value.is_string()) return refuse(name.c_str(), "a text");
        if (flag && !value.is_boolean()) return refuse(name.c_str(), "true or false");
        if (text) *text = value.get<std::string>();
        if (flag) *flag = value.get<bool>();
    }
    if (encoding == "base64") {
        auto payload = from_base64(asked.payload);
        if (!payload) return refuse("payload", "is no base64");
        asked.payload = std::move(*payload);
    } else if (encoding != "utf-8") {
        return refuse("encoding", "utf-8 or base64");
    }
    if (asked.who.subscribe) {
        const uns::SharedFilter shared = uns::parse_shared(asked.who.topic);
        if (!shared.valid || !uns::is_valid_topic_filter(shared.filter)) return refuse("topic", "an MQTT topic filter");
    } else if (!uns::is_valid_topic_name(asked.who.topic)) {
        return refuse("topic", "a topic name, without wildcards; with \"subscribe\": true a filter");
    }
    return asked;
}

/// The report as it grows: numbered checks, then the verdict.
class Report {
public:
    void step(std::string_view stage, std::string_view result, std::string text, std::string place = {},
              const uns::Finding* finding = nullptr, std::string fix = {}) {
        Json check = {{"step", ++count_},
                      {"stage", stage},
                      {"result", result},
                      {"text", std::move(text)},
                      {"place", std::move(place)}};
        if (finding) {
            check["rule"] = finding->rule;
            check["at"] = finding->at;
            check["expected"] = finding->expected;
            fix = finding->fix;
        }
        if (!fix.empty()) check["fix"] = fix;
        if (result == "FAIL" && fix_.empty()) fix_ = fix;
        checks_.push_back(std::move(check));
    }

    Json finish(const Asked& asked, std::string_view outcome, unsigned reason, std::string text) {
        Json json = {{"topic", asked.who.topic}, {"client_id", asked.who.client_id},
                     {"user", asked.who.user},   {"subscribe", asked.who.subscribe},
                     {"checks", checks_},        {"outcome", outcome},
                     {"reason_code", reason},    {"verdict", std::move(text)}};
        if (!fix_.empty()) json["fix"] = fix_;
        return json;
    }

private:
    std::size_t count_ = 0;
    Json checks_ = Json::array();
    std::string fix_;
};

AccessAnswer ask_access(const ApiContext& context, const AccessQuestion& question) {
    if (context.sources.explain_access) return context.sources.explain_access(question);
    AccessAnswer answer;
    answer.steps = {
        {AccessStep::Result::skipped, "authenticate", "not configured: whoever connects is who he says", "", "", ""},
        {AccessStep::Result::skipped, "authorise", "not configured: the model alone decides", "", "", ""}};
    return answer;
}

std::string verdict_text(const uns::Verdict& verdict) {
    const auto code = static_cast<unsigned>(verdict.reason);
    const std::string answer = "PUBACK " + hex(code) + " " + std::string(reason_text(verdict.reason));
    switch (verdict.outcome) {
        case uns::Outcome::accept:
            return "accept, " + answer;
        case uns::Outcome::observe:
            return "deliver, as the branch only observes; counted as a violation, " + answer;
        case uns::Outcome::quarantine:
            return "quarantine: acknowledged and not delivered, " + answer + ", uns-verdict: quarantined";
        case uns::Outcome::reject:
            return "reject, " + answer;
    }
    return answer;
}

Json explain_publish(const ApiContext& context, const Asked& asked, const AccessAnswer& access, Report& report) {
    broker::Governance& governance = context.sources.broker.governance();
    const auto model = governance.model();
    if (!access.allowed) return report.finish(asked, "reject", 0x87, "reject, PUBACK 0x87 Not authorized");
    if (!governance.current()) {
        report.step("model", "skipped", "no model is applied: every topic and payload is let through");
        return report.finish(asked, "accept", 0, "accept, PUBACK 0x00 Success");
    }
    const std::string twin = governance.names().same_but_case(asked.who.topic);
    uns::PublishFacts facts;
    facts.topic = asked.who.topic;
    facts.payload = asked.payload;
    facts.retain = asked.retain;
    facts.client_id = asked.who.client_id;
    facts.user = asked.who.user;
    facts.roles = access.roles;
    facts.now_ms = wall_ms();
    facts.same_but_case = twin;
    const uns::Report found = model->explain(facts);
    for (const uns::Check& check : found.checks) {
        std::string text = check.text;
        if (check.stage == "quota" && check.result == uns::Check::Result::ok && text.empty()) text = "not counted here";
        report.step(check.stage, result_text(check.result), std::move(text), model->place_text(check.place),
                    check.finding.get());
    }
    return report.finish(asked, to_string(found.verdict.outcome), static_cast<unsigned>(found.verdict.reason),
                         verdict_text(found.verdict));
}

/// Whether a topic of the model ("{line}" for a pattern, "#" for all below) may match a filter.
bool may_match(std::string_view filter, std::string_view entry) {
    uns::LevelCursor at(entry);
    for (uns::LevelCursor of(filter); !of.done(); of.next(), at.next()) {
        if (of.level() == "#") return true;
        if (at.done()) return false;
        if (at.level() == "#") return true;
        const bool pattern = at.level().starts_with('{');
        if (of.level() != "+" && !pattern && of.level() != at.level()) return false;
    }
    return at.done() || at.level() == "#";
}

Json explain_subscribe(const ApiContext& context, const Asked& asked, const AccessAnswer& access, Report& report) {
    if (!access.allowed) return report.finish(asked, "reject", 0x87, "reject, SUBACK 0x87 Not authorized");
    broker::Governance& governance = context.sources.broker.governance();
    const auto model = governance.model();
    const std::string_view filter = uns::parse_shared(asked.who.topic).filter;
    std::size_t found = 0, looked_at = 0;
    model->walk([&](const uns::Model::Entry& entry) {
        const bool is_topic = entry.member != nullptr;
        if (is_topic && may_match(filter, entry.topic)) ++found;
        return ++looked_at < entries_looked_at_max && found < topics_counted_max;
    });
    if (!governance.current()) {
        report.step("model", "skipped", "no model is applied");
    } else if (found > 0) {
        report.step("name", "ok",
                    "the filter matches " + std::to_string(found) + (found == topics_counted_max ? " or more" : "") +
                        (found == 1 ? " topic" : " topics") + " of the model, those of a pattern counted once");
    } else {
        const uns::Resolution resolution = model->resolve(uns::has_wildcard(filter) ? std::string_view("-") : filter);
        const bool helps = !uns::has_wildcard(filter) && resolution.failure;
        report.step("name", "skipped",
                    "no topic of the model matches the filter: nothing will come" +
                        (helps ? "; " + resolution.failure->text : std::string()),
                    helps ? model->place_text(resolution.failure->place) : "");
    }
    return report.finish(asked, "accept", 0,
                         "accept, SUBACK with the granted QoS; the model says nothing about who reads");
}

}  // namespace

void post_explain(const ApiContext& context, const Request& request, const Reply& reply) {
    Response wrong;
    const auto asked = read_question(request, wrong);
    if (!asked) return reply(wrong);
    Report report;
    const AccessAnswer access = ask_access(context, asked->who);
    for (const AccessStep& step : access.steps) {
        std::string text = step.rule.empty() ? step.text : step.rule + " " + step.text;
        report.step(step.stage, result_text(step.result), std::move(text), step.place, nullptr, step.fix);
    }
    reply(json_response(asked->who.subscribe ? explain_subscribe(context, *asked, access, report)
                                             : explain_publish(context, *asked, access, report)));
}

}  // namespace trunkline::admin
