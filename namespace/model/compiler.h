// Checks the meaning of a model and compiles it. Private to the model's own sources.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "namespace/model/model_data.h"
#include "namespace/model/syntax.h"

namespace trunkline::uns {

/// Levels of IEC 62264-1 (and ISA-88 below them): what may stand under what.
struct LevelRules {
    /// Kinds that may stand under `parent` ("" is the top); empty: none.
    static std::span<const std::string_view> below(std::string_view parent);
    static bool is_kind(std::string_view kind);
    static std::vector<std::string_view> kinds();
    /// The kinds under which `kind` may stand, as words.
    static std::string parents_of(std::string_view kind);
};

/// Goes over the syntax tree once: types, then the tree, then what refers to the tree. Reports everything that is
/// wrong; the data is only of use when nothing was.
class Compiler {
public:
    /// `source` is the text that `document` was parsed from; the model keeps it.
    Compiler(const syntax::Document& document, Problems& problems, std::string_view source);
    std::shared_ptr<const Model> run();

private:
    using Place = uns::Place;
    void add(std::string_view rule, Place place, std::string message, std::string fix) {
        problems_.add(rule, place, std::move(message), std::move(fix));
    }

    // compile.cpp
    void compile_head();
    void compile_naming();
    const LevelPattern* pattern(const syntax::Text& text);
    const LevelPattern* naming_of(std::string_view kind) const;
    void check_name(const syntax::Text& name, std::string_view kind);
    [[nodiscard]] bool is_kind(std::string_view kind) const;
    [[nodiscard]] std::vector<std::string_view> all_kinds() const;

    // compile_types.cpp
    void compile_payloads();
    void compile_types();
    void compile_type(const syntax::Type& type);
    void check_cycles();
    bool visit_type(std::size_t index, std::vector<std::size_t>& trail);
    [[nodiscard]] const syntax::Type* find_type(const syntax::Text& reference, std::string_view user);
    std::size_t count_members(std::size_t index);
    void expand(const syntax::Type& type, const std::string& prefix, CompiledType& into);
    NodeId type_child(NodeId parent, std::string_view path, Place place);
    void place_member(const syntax::Member& member, const std::string& prefix, CompiledType& into);
    Member compile_member(const syntax::Member& member);
    void compile_value(const syntax::Member& member, Member& out);
    void check_range(const syntax::Member& member, const Member& out);
    void check_default(const syntax::Member& member, const Member& out);
    bool set_format(const syntax::Text& name, Member& out);
    void compile_contract(Member& out, const syntax::Member* member, Place place);
    const Member* open_member(const syntax::Text& payload, MemberKind kind);

    // compile_tree.cpp
    void compile_tree();
    NodeId compile_node(const syntax::Node& node, NodeId parent);
    void compile_children(const std::vector<syntax::Node>& children, NodeId parent);
    void node_keys(const syntax::Node& node, TreeNode& out);
    std::string_view node_kind(const syntax::Node& node, const TreeNode& parent, const CompiledType* type);
    std::string_view infer_kind(const syntax::Node& node, const TreeNode& parent);
    const CompiledType* node_type(const syntax::Node& node);
    void check_siblings(NodeId parent);
    void check_overlaps(NodeId parent);
    [[nodiscard]] bool same_contracts(NodeId a, NodeId b) const;
    [[nodiscard]] std::string path_of(NodeId node) const;

    // compile_tables.cpp
    void compile_aliases();
    void compile_exempt();
    void compile_sparkplug();
    bool compile_template(const syntax::Text& text, Template& out, bool whole_path);
    bool leads_somewhere(const std::vector<std::string_view>& levels, std::size_t at, NodeId id, std::size_t& deepest);
    void check_sparkplug_target(const syntax::Sparkplug& row, const SparkplugRow& compiled);

    const syntax::Document& document_;
    Problems& problems_;
    std::string_view source_;
    std::unique_ptr<Model::Data> owned_;
    Model::Data& data_;
    std::unordered_map<std::string_view, const syntax::Payload*> payload_names_;
    std::unordered_map<std::string_view, std::vector<std::size_t>> type_names_;  // indices in document_.types
    std::vector<const CompiledType*> compiled_types_;                            // by index; nullptr: broken
    std::vector<std::size_t> member_counts_;                                     // by index, once counted
    std::unordered_map<const syntax::Member*, Member> compiled_members_;
    std::unordered_map<const syntax::Part*, std::size_t> part_types_;            // of types without circles: by index
    std::vector<std::size_t> heights_;                                           // parts within parts below, by index
    std::vector<std::uint8_t> marks_;  // of the search for cycles
    std::unordered_map<std::string, std::shared_ptr<const LevelPattern>> pattern_cache_;
    std::unordered_map<std::string, std::shared_ptr<const PayloadContract>> contract_cache_;
    std::unordered_map<const syntax::Payload*, std::string> schema_hashes_;
    std::map<std::string, const Member*> open_members_;
    std::vector<std::pair<std::string_view, const LevelPattern*>> naming_;  // by what they are for
    struct PendingAlias {
        const syntax::Alias* alias;
        NodeId node;
    };
    std::vector<PendingAlias> pending_aliases_;
    std::size_t program_size_ = 0;
    // Work that a hostile model could make large; each is refused when it is used up.
    std::size_t overlap_budget_ = 2'000'000;     // pairs of states
    std::size_t pair_budget_ = 500'000;          // pairs of patterns side by side
    mutable std::size_t same_budget_ = 500'000;  // nodes compared
    std::size_t sparkplug_budget_ = 1'000'000;   // nodes visited
    std::map<std::pair<const LevelPattern*, const LevelPattern*>, Overlap> overlaps_;
};

}  // namespace trunkline::uns
