// What a topic belongs to: kinds of levels and types of assets above it, for rules of access that ask for them.
#include "namespace/model/model_data.h"

namespace trunkline::uns {

Model::Surroundings Model::surroundings(std::string_view topic) const {
    Surroundings out;
    const Resolution resolution = resolve(topic);
    if (resolution.status == Resolution::Status::exempt || topic.starts_with('$')) return out;
    if (resolution.moved) topic = resolution.moved->topic;
    const auto add = [](std::vector<std::string_view>& to, std::string_view name) {
        if (!name.empty() && (to.empty() || to.back() != name)) to.push_back(name);
    };
    Walker walker(*data_);
    for (LevelCursor at(topic); !at.done(); at.next()) {
        const Walker::Step step = walker.step(at.level());
        if (step == Walker::Step::case_only || step == Walker::Step::unknown) break;
        if (step == Walker::Step::in_tree) {
            const TreeNode& node = walker.tree_node();
            add(out.kinds, node.kind);
            if (node.type) add(out.types, node.type->id);
        } else if (step == Walker::Step::in_type) {
            add(out.types, data_->type_nodes[walker.type_node()].part_type);
        }
    }
    return out;
}

}  // namespace trunkline::uns
