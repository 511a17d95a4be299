// The compiled schemas against valijson, an independent implementation that interprets them, on random schemas and
// documents. TRUNKLINE_SCHEMA_CASES says how many schemas (20 documents each), TRUNKLINE_SCHEMA_SEED where to start.
#include <valijson/adapters/nlohmann_json_adapter.hpp>
#include <valijson/schema.hpp>
#include <valijson/schema_parser.hpp>
#include <valijson/validator.hpp>

#include <cstdlib>
#include <nlohmann/json.hpp>
#include <random>

#include "tests/unit/namespace/payload_rows.h"
#include "tests/unit/namespace/setting.h"

using namespace trunkline::uns;
using namespace trunkline::uns::test;
using json = nlohmann::json;

namespace {

/// Few names, few values, so that documents often nearly fit.
class SchemaGenerator {
public:
    explicit SchemaGenerator(std::uint64_t seed) : random_(seed) {}

    json schema(int depth = 0) {
        json schema = json::object();
        if (depth > 0 && one_in(14)) return one_in(3) ? json(false) : json(true);
        if (depth > 1 && one_in(12)) return {{"$ref", one_in(2) ? "#/definitions/a" : "#/definitions/b"}};
        const int count = pick(1, depth == 0 ? 4 : 3);
        for (int i = 0; i < count; ++i) add_keyword(schema, depth);
        if (depth == 0) schema["definitions"] = {{"a", leaf()}, {"b", leaf()}};
        return schema;
    }

    json document(int depth = 0) {
        const int kind = pick(0, depth < 3 ? 8 : 5);
        switch (kind) {
        case 0: return nullptr;
        case 1: return one_in(2);
        case 2: return pick(-3, 6);
        case 3: return number();
        case 4:
        case 5: return word();
        case 6: {
            json items = json::array();
            for (int i = pick(0, 4); i > 0; --i) items.push_back(document(depth + 1));
            return items;
        }
        default: break;
        }
        json members = json::object();
        for (int i = pick(0, 4); i > 0; --i) members[name()] = document(depth + 1);
        return members;
    }

private:
    int pick(int low, int high) { return std::uniform_int_distribution<int>(low, high)(random_); }
    bool one_in(int n) { return pick(1, n) == 1; }
    std::string name() { return std::string(1, static_cast<char>('a' + pick(0, 4))); }
    std::string word() {
        static const char* words[] = {"", "a", "ab", "abc", "äb", "b1", "2023-11-14", "x y"};
        return words[pick(0, 7)];
    }
    double number() { return pick(-6, 12) / 2.0; }

    json leaf() {
        json schema = json::object();
        add_simple(schema);
        return schema;
    }

    void add_simple(json& schema) {
        static const char* types[] = {"null", "boolean", "number", "string", "array", "object"};
        static const char* patterns[] = {"^a", "b$", "[0-9]", "^[a-z]*$", "ab|b1"};
        switch (pick(0, 14)) {
        case 0: schema["type"] = types[pick(0, 5)]; break;
        case 1: schema["type"] = json::array({types[pick(0, 2)], types[pick(3, 5)]}); break;
        case 2: schema["minimum"] = pick(-3, 0); break;
        case 3: schema["maximum"] = pick(0, 5); break;
        case 4: schema["exclusiveMinimum"] = pick(-3, 5); break;
        case 5: schema["exclusiveMaximum"] = pick(-3, 5); break;
        case 6: schema["minLength"] = pick(0, 1); break;
        case 7: schema["maxLength"] = pick(1, 3); break;
        case 8: schema["pattern"] = patterns[pick(0, 4)]; break;
        case 9: schema["enum"] = json::array({document(2), document(2), word()}); break;
        case 10: schema["const"] = document(2); break;
        case 11: schema["minItems"] = pick(0, 1); break;
        case 12: schema["maxItems"] = pick(1, 3); break;
        case 13: schema["minProperties"] = pick(0, 1); break;
        default: schema["maxProperties"] = pick(1, 3); break;
        }
    }

    json list(int depth) {
        json schemas = json::array();
        for (int i = pick(1, 3); i > 0; --i) schemas.push_back(schema(depth + 1));
        return schemas;
    }

    json by_name(int depth) {
        json members = json::object();
        for (int i = pick(1, 3); i > 0; --i) members[name()] = schema(depth + 1);
        return members;
    }

    void add_keyword(json& schema, int depth) {
        if (depth >= 3 || one_in(3)) return add_simple(schema);
        switch (pick(0, 16)) {
        case 0:
        case 1:
        case 2: schema["properties"] = by_name(depth); break;
        case 3: schema["required"] = json::array({name()}); break;
        case 4: schema["additionalProperties"] = one_in(2) ? json(false) : this->schema(depth + 1); break;
        case 5: schema["patternProperties"] = {{"^[ab]", this->schema(depth + 1)}}; break;
        case 6: schema["dependencies"] = {{name(), one_in(2) ? json::array({name()}) : this->schema(depth + 1)}}; break;
        case 7: schema["propertyNames"] = one_in(2) ? json{{"pattern", "^[a-c]"}} : json{{"maxLength", 1}}; break;
        case 8: schema["items"] = this->schema(depth + 1); schema.erase("additionalItems"); break;
        case 9:
            schema["items"] = list(depth);
            schema["additionalItems"] = one_in(2) ? json(false) : this->schema(depth + 1);
            break;
        case 10: schema["contains"] = this->schema(depth + 1); break;
        case 11: schema["uniqueItems"] = true; break;
        case 12: schema["allOf"] = list(depth); break;
        case 13: schema["anyOf"] = list(depth); break;
        case 14: schema["oneOf"] = list(depth); break;
        case 15: schema["not"] = this->schema(depth + 1); break;
        default:
            schema["if"] = this->schema(depth + 1);
            schema["then"] = this->schema(depth + 1);
            if (one_in(2)) schema["else"] = this->schema(depth + 1);
            break;
        }
    }

    std::mt19937_64 random_;
};

/// valijson's verdict.
class Reference {
public:
    explicit Reference(const json& text) {
        valijson::SchemaParser parser(valijson::SchemaParser::kDraft7);
        parser.populateSchema(valijson::adapters::NlohmannJsonAdapter(text), schema_);
    }
    bool takes(const json& document) {
        valijson::Validator validator(valijson::Validator::kStrongTypes);
        return validator.validate(schema_, valijson::adapters::NlohmannJsonAdapter(document), nullptr);
    }

private:
    valijson::Schema schema_;
};

}  // namespace

TEST_CASE("Compiled schemas and valijson agree on random documents", "[namespace][payload][schema]") {
    const std::uint64_t cases = setting("TRUNKLINE_SCHEMA_CASES", 500), first = setting("TRUNKLINE_SCHEMA_SEED", 1);
    std::uint64_t taken = 0, refused = 0;
    for (std::uint64_t seed = first; seed < first + cases; ++seed) {
        SchemaGenerator generator(seed);
        const json text = generator.schema();
        const Contract contract = compiled(schema_of(text.dump()));
        Reference reference(text);
        for (int i = 0; i < 20; ++i) {
            const json document = generator.document();
            const auto violation = contract->check(document.dump());
            const bool wanted = reference.takes(document);
            ++(wanted ? taken : refused);
            if (violation.has_value() == !wanted && (!violation || is_told_well(*violation))) continue;
            FAIL_CHECK("seed " << seed << ": " << text.dump() << " and " << document.dump() << ": valijson "
                               << (wanted ? "takes" : "refuses") << " it, we say "
                               << (violation ? violation->rule + " " + violation->at + " " + violation->text : "fine"));
            return;
        }
    }
    // A generator whose documents all pass, or all fail, would prove nothing.
    CHECK(taken > cases * 4);
    CHECK(refused > cases * 4);
}
