// What the namespace's model tells the rules of access about a topic.
#pragma once

#include <algorithm>
#include <optional>
#include <string_view>

#include "auth/rule.h"
#include "namespace/model/model.h"

namespace trunkline::broker {

/// What the model knows of a topic, looked up when a rule asks for it.
class ModelFacts final : public auth::TopicFacts {
public:
    /// `model` null: none is in force. Both must outlive this.
    ModelFacts(const uns::Model* model, std::string_view topic) : model_(model), topic_(topic) {}
    /// Null without a model: a rule that asks then applies to nothing.
    [[nodiscard]] const auth::TopicFacts* get() const { return model_ ? this : nullptr; }

    [[nodiscard]] std::string_view member() const override {
        switch (resolution().kind) {
            case uns::MemberKind::metric: return "metric";
            case uns::MemberKind::event: return "event";
            case uns::MemberKind::command: return "command";
            default: return {};
        }
    }
    [[nodiscard]] std::string_view owner() const override { return resolution().owner; }
    [[nodiscard]] bool in_kind(std::string_view kind) const override {
        const auto& kinds = surroundings().kinds;
        return std::find(kinds.begin(), kinds.end(), kind) != kinds.end();
    }
    [[nodiscard]] bool in_type(std::string_view type) const override {
        return std::ranges::any_of(surroundings().types, [type](std::string_view one) {
            return one == type || one.substr(0, one.find('@')) == type;
        });
    }

private:
    [[nodiscard]] const uns::Resolution& resolution() const {
        if (!resolution_) resolution_ = model_->resolve(topic_);
        return *resolution_;
    }
    [[nodiscard]] const uns::Model::Surroundings& surroundings() const {
        if (!surroundings_) surroundings_ = model_->surroundings(topic_);
        return *surroundings_;
    }
    const uns::Model* model_;
    const std::string_view topic_;
    mutable std::optional<uns::Resolution> resolution_;
    mutable std::optional<uns::Model::Surroundings> surroundings_;
};

}  // namespace trunkline::broker
