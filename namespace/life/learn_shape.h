// What learning finds in the topics: assets, the types that they are of, and what their members are.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "namespace/life/evidence.h"
#include "namespace/life/learn.h"

namespace trunkline::uns::learning {

/// A level of a topic, with what was published on it.
struct Level {
    std::string name;
    Level* parent = nullptr;
    std::map<std::string, std::unique_ptr<Level>> children;
    std::unique_ptr<Evidence> evidence;  ///< nullptr: nothing was published on it
    bool is_part = false;                ///< belongs to the asset above it, with all that is below
    int type = -1;                       ///< of an asset

    [[nodiscard]] bool is_leaf() const { return children.empty(); }
    [[nodiscard]] std::string topic() const;
};

/// How much of what was observed a member of the proposal still says.
enum class Loosened : std::uint8_t { no, without_range, json, any };

/// What a member is, as far as the traffic tells.
struct MemberGuess {
    MemberKind kind = MemberKind::metric;
    PayloadSpec::Format format = PayloadSpec::Format::any;
    ValueType value;
    std::string every;    ///< "5s"; empty: no promise
    std::string comment;  ///< what it rests on, and doubts
};

struct MemberSeen {
    Evidence evidence;
    bool commanded = false;  ///< only by clients that send nothing else of these assets
    bool never_retained = true;
};

struct TypeSeen {
    std::string name;
    std::map<std::string, MemberSeen> members;  ///< by path
    std::vector<Level*> assets;
    std::set<std::string> stems;
};

/// Everything that one proposal is made of.
struct Shape {
    std::unique_ptr<Level> root = std::make_unique<Level>();  ///< of its own: levels point to what is above them
    std::vector<TypeSeen> types;
    std::map<std::string, std::string> exempt;  ///< filter -> why
    std::uint64_t messages = 0, topics = 0, assets = 0;
    std::int64_t first_ms = 0, last_ms = 0;
    bool topics_left_out = false;
    bool alike_names = false;  ///< somewhere two names side by side differ only in case
};

/// Stricter first: what to do when the proposal does not compile or its own traffic breaks it.
struct Tuning {
    bool exact_types = false;  ///< only assets with the very same members are of one type
    bool unique_names = true;  ///< naming.unique_ignoring_case
    bool open = false;         ///< give up: everything is let through
    std::map<std::pair<std::string, std::string>, Loosened> loosened;  ///< by type and member
    std::set<std::pair<std::string, std::string>> state;               ///< members that must be metrics
    std::set<std::string> exempt;                                      ///< topics
};

/// packer for packer-12, PUMP for PUMP01; the name itself when it has no number at its end.
[[nodiscard]] std::string_view stem_of(std::string_view name);

[[nodiscard]] Shape observe(const Traffic& traffic, const LearnOptions& options, const Tuning& tuning);
[[nodiscard]] MemberGuess guess(std::string_view path, const MemberSeen& seen, Loosened loosened, bool must_be_metric);
[[nodiscard]] std::string write_model(const Shape& shape, const LearnOptions& options, const Tuning& tuning,
                                      std::vector<std::string>& notes);
/// The type and member path of a topic; an empty type: none.
[[nodiscard]] std::pair<std::string, std::string> member_of(const Shape& shape, std::string_view topic);

}  // namespace trunkline::uns::learning
