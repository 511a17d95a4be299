// Search over all topics: one pass over the distinct names of levels, one over the nodes.
#include <algorithm>
#include <mutex>

#include "namespace/live/live_tree.h"
#include "namespace/model/text.h"
#include "namespace/topic.h"

namespace trunkline::uns {

namespace {

constexpr std::size_t words_max = 8;   // one bit each; further words are looked for in the whole topics that are left

char lower_case(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

/// `word` is folded already.
bool contains(std::string_view text, std::string_view word) {
    if (word.size() > text.size()) return false;
    const char first = word.front();
    for (std::size_t at = 0; at + word.size() <= text.size(); ++at) {
        if (lower_case(text[at]) != first) continue;
        std::size_t i = 1;
        while (i < word.size() && lower_case(text[at + i]) == word[i]) ++i;
        if (i == word.size()) return true;
    }
    return false;
}

std::string in_lower_case(std::string_view text) {
    std::string out(text);
    std::transform(out.begin(), out.end(), out.begin(), lower_case);
    return out;
}

/// A type as people name it: "filler" is any version of "filler@2".
bool is_type(const Meaning& meaning, std::string_view type) {
    if (meaning.value_type == type || meaning.asset_type == type) return true;
    return meaning.asset_type.size() > type.size() && meaning.asset_type.starts_with(type) &&
           meaning.asset_type[type.size()] == '@';
}

}  // namespace

std::vector<std::uint8_t> LiveTree::name_masks(const std::vector<std::string>& words) const {
    const LevelNames& names = index_->names();
    std::vector<std::uint8_t> masks(names.size());
    for (std::uint32_t id = 0; id < names.size(); ++id) {
        const std::string_view name = names[id];
        for (std::size_t i = 0; i < words.size(); ++i) {
            if (contains(name, words[i])) masks[id] |= static_cast<std::uint8_t>(1U << i);
        }
    }
    return masks;
}

TopicMatches LiveTree::find(const TopicQuery& query) const {
    std::vector<std::string> words, path_words;
    for (const std::string& text : query.words) {
        if (text.empty()) continue;
        const std::string word = in_lower_case(text);
        const bool across = word.find('/') != std::string::npos;
        if (across || words.size() == words_max) path_words.push_back(word);
        for (LevelCursor at(word); !at.done() && words.size() < words_max; at.next()) {
            // Of a word over several levels each part is in some level: few topics are left for the closer look.
            if (!at.level().empty()) words.emplace_back(at.level());
        }
    }
    const auto all = static_cast<std::uint8_t>((1U << words.size()) - 1);
    const std::string owner = in_lower_case(query.owner);

    const std::shared_lock lock(mutex_);
    std::vector<bool> fits(meanings_.size());
    std::vector<std::uint8_t> said(meanings_.size());
    for (std::size_t i = 0; i < meanings_.size(); ++i) {
        const Meaning& meaning = meanings_[i];
        fits[i] = (query.type.empty() || is_type(meaning, query.type)) &&
                  (query.unit.empty() || meaning.unit == query.unit) &&
                  (owner.empty() || contains(meaning.owner, owner)) && (!query.kind || meaning.kind == *query.kind);
        for (std::size_t w = 0; w < words.size(); ++w) {
            if (contains(meaning.description, words[w])) said[i] |= static_cast<std::uint8_t>(1U << w);
        }
    }
    const std::vector<std::uint8_t> names = name_masks(words);
    std::vector<std::uint8_t> masks(index_->size());
    TopicMatches out;
    std::vector<std::uint32_t> found;
    std::string path;
    bool more = false;
    for (std::uint32_t id = 1; id < index_->size(); ++id) {
        const TopicNode& node = (*index_)[id];
        masks[id] = masks[node.parent] | names[node.name] | said[node.meaning];
        if (masks[id] != all || !fits[node.meaning]) continue;
        const Meaning::Kind kind = meanings_[node.meaning].kind;
        const bool level = kind == Meaning::Kind::asset || (query.kind && node.meaning != 0);
        if (!node.is_topic() && !level) continue;
        if (query.stale) {
            const Liveness state = liveness(node, query.now_ms);
            if (state != Liveness::stale && state != Liveness::silent) continue;
        }
        if (!path_words.empty()) {
            index_->path_of(id, path);
            if (!std::all_of(path_words.begin(), path_words.end(), [&](const auto& w) { return contains(path, w); }))
                continue;
        }
        ++out.matched;
        if (id <= query.after) continue;
        if (found.size() < query.limit) {
            found.push_back(id);
        } else {
            more = true;
        }
    }
    if (more && !found.empty()) out.cursor = found.back();
    for (const std::uint32_t id : found) out.topics.push_back(index_->path_of(id));
    std::sort(out.topics.begin(), out.topics.end());
    return out;
}

std::string LiveTree::nearest(std::string_view topic) const {
    const std::shared_lock lock(mutex_);
    std::uint32_t at = TopicIndex::root;
    for (LevelCursor level(topic); !level.done(); level.next()) {
        std::uint32_t next = index_->child(at, level.level());
        if (next == TopicIndex::none) {
            std::vector<std::string_view> names;
            std::vector<std::uint32_t> ids;
            for (std::uint32_t id = at + 1; id < index_->size(); ++id) {   // a child comes after its parent
                if ((*index_)[id].parent != at) continue;
                names.push_back(index_->names()[(*index_)[id].name]);
                ids.push_back(id);
            }
            const std::string_view near = nearest_word(level.level(), names);
            for (std::size_t i = 0; i < names.size() && !near.empty(); ++i) {
                if (names[i] == near) next = ids[i];
            }
        }
        if (next == TopicIndex::none) break;
        at = next;
    }
    return index_->path_of(at);
}

}  // namespace trunkline::uns
