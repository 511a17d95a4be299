#include "auth/yaml_document.h"

#include <sstream>
#include <string>

#include <yaml-cpp/eventhandler.h>

namespace trunkline::auth {
namespace {

/// Sees where documents begin and forgets the rest.
struct DocumentStarts : YAML::EventHandler {
    YAML::Mark last;
    void OnDocumentStart(const YAML::Mark& mark) override { last = mark; }
    void OnDocumentEnd() override {}
    void OnNull(const YAML::Mark&, YAML::anchor_t) override {}
    void OnAlias(const YAML::Mark&, YAML::anchor_t) override {}
    void OnScalar(const YAML::Mark&, const std::string&, YAML::anchor_t, const std::string&) override {}
    void OnSequenceStart(const YAML::Mark&, const std::string&, YAML::anchor_t, YAML::EmitterStyle::value) override {}
    void OnSequenceEnd() override {}
    void OnMapStart(const YAML::Mark&, const std::string&, YAML::anchor_t, YAML::EmitterStyle::value) override {}
    void OnMapEnd() override {}
};

}  // namespace

// YAML::LoadAll() never comes back from some broken files: it finds one empty document after the other.
YamlDocument load_yaml_document(std::string_view text) {
    const std::string whole(text);
    std::istringstream stream(whole);
    YAML::Parser parser(stream);
    DocumentStarts starts;
    YamlDocument document;
    if (parser.HandleNextDocument(starts) && parser.HandleNextDocument(starts)) document.second = starts.last;
    document.root = YAML::Load(whole);
    return document;
}

}  // namespace trunkline::auth
