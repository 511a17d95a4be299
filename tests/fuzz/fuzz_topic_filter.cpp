// Topics and filters: validity, matches() against a naive reference, the tree of filters and the tree of retained
// values against matches().
#include <cstdlib>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "namespace/retained_tree.h"
#include "namespace/topic.h"
#include "namespace/topic_tree.h"

using namespace trunkline;

namespace {

void require(bool holds) {
    if (!holds) std::abort();
}

std::vector<std::string> split(std::string_view text) {
    std::vector<std::string> levels(1);
    for (const char c : text) {
        if (c == '/') {
            levels.emplace_back();
        } else {
            levels.back() += c;
        }
    }
    return levels;
}

/// Section 4.7, word by word.
bool valid_filter(std::string_view text) {
    if (text.empty()) return false;
    const auto levels = split(text);
    for (std::size_t i = 0; i < levels.size(); ++i) {
        for (const char c : levels[i]) {
            if (c == '\0' || (c == '+' && levels[i] != "+")) return false;
            if (c == '#' && (levels[i] != "#" || i + 1 != levels.size())) return false;
        }
    }
    return true;
}

bool match_from(const std::vector<std::string>& filter, const std::vector<std::string>& topic, std::size_t at) {
    if (at == filter.size()) return at == topic.size();
    if (filter[at] == "#") return true;
    if (at == topic.size()) return false;
    return (filter[at] == "+" || filter[at] == topic[at]) && match_from(filter, topic, at + 1);
}

bool matches(std::string_view filter, std::string_view topic) {
    if (topic[0] == '$' && (filter[0] == '+' || filter[0] == '#')) return false;
    return match_from(split(filter), split(topic), 0);
}

struct Mark {
    int count = 0;
    std::string filter;
    [[nodiscard]] bool empty() const { return count == 0; }
};

}  // namespace

/// The input is a list of texts that end with a line feed: each is tried as a filter, as a shared one and as a topic.
extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
    if (size > 512) return 0;
    std::set<std::string> filters, topics;
    std::string_view rest(reinterpret_cast<const char*>(data), size);
    while (!rest.empty()) {
        const std::size_t end = rest.find('\n');
        const std::string text(rest.substr(0, end));
        rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
        const bool is_filter = uns::is_valid_topic_filter(text);
        require(is_filter == valid_filter(text));
        require(uns::is_valid_topic_name(text) == (is_filter && text.find_first_of("+#") == std::string::npos));
        require(uns::level_count(text) == split(text).size());
        const auto shared = uns::parse_shared(text);
        if (shared.valid && !shared.group.empty()) {
            require(text == "$share/" + std::string(shared.group) + "/" + std::string(shared.filter));
            require(shared.group.find_first_of("/+#") == std::string_view::npos && !shared.filter.empty());
        } else {
            require(shared.valid ? shared.filter == text : text.starts_with("$share"));
        }
        if (is_filter) filters.insert(text);
        if (uns::is_valid_topic_name(text)) topics.insert(text);
    }

    uns::TopicTree<Mark> tree;
    uns::RetainedTree retained;
    for (const std::string& filter : filters) tree.insert(filter).value = {1, filter};
    for (const std::string& topic : topics) retained.set(topic, uns::RetainedMessage::make({0, 0, 0, {}, topic}));
    require(retained.count() == topics.size());
    for (const std::string& topic : topics) {
        std::multiset<std::string> found, expected;
        tree.match(topic, [&](const Mark& mark) { found.insert(mark.filter); });
        for (const std::string& filter : filters) {
            const bool does = matches(filter, topic);
            require(uns::matches(filter, topic) == does);
            if (does) expected.insert(filter);
        }
        require(found == expected);
    }
    for (const std::string& filter : filters) {
        std::set<std::string> found;
        std::string after;
        const std::size_t step = 1 + size % 3;
        for (bool more = true; more;) {
            std::size_t visited = 0;
            more = retained.scan(filter, after, step, [&](std::string_view topic, const uns::RetainedPtr& message) {
                require(message->fields().payload == topic);
                require(found.emplace(topic).second);
                after = topic;
                ++visited;
            });
            require(visited <= step && (!more || visited > 0));
        }
        for (const std::string& topic : topics) require(found.contains(topic) == matches(filter, topic));
    }
    for (const std::string& filter : filters) {
        auto* node = tree.find(filter);
        require(node && node->value.filter == filter);
        node->value = {};
        tree.prune(*node);
    }
    require(tree.root().children().empty());
    return 0;
}
