#include "namespace/model/yaml_tree.h"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <optional>
#include <unordered_map>

#include <xxhash.h>
#include <yaml.h>
#include <boost/unordered/unordered_flat_set.hpp>

#include "namespace/model/text.h"

namespace trunkline::uns {

void Problems::add(std::string_view rule, Place place, std::string message, std::string fix) {
    if (list_.size() >= problems_max) {
        ++more_;
        return;
    }
    std::string where = file_;
    if (place.line > 0) where += ":" + std::to_string(place.line) + ":" + std::to_string(place.column);
    list_.push_back({place, {std::string(rule), std::move(where), std::move(message), std::move(fix)}});
}

std::vector<Problem> Problems::take() {
    std::stable_sort(list_.begin(), list_.end(), [](const Entry& a, const Entry& b) {
        return std::pair(a.place.line, a.place.column) < std::pair(b.place.line, b.place.column);
    });
    std::vector<Problem> out;
    for (Entry& entry : list_) {
        const bool again = !out.empty() && out.back().place == entry.problem.place &&
                           out.back().rule == entry.problem.rule && out.back().message == entry.problem.message;
        if (!again) out.push_back(std::move(entry.problem));
    }
    if (more_ > 0) {
        out.push_back({"TL-9102", file_, "there are more problems than the 200 listed", "mend these first"});
    }
    list_.clear();
    return out;
}

bool YamlNode::is_null() const {
    return kind == Kind::scalar && is_plain &&
           (text.empty() || text == "~" || text == "null" || text == "Null" || text == "NULL");
}

// Text in blocks that never move.
class YamlTree::Arena {
public:
    std::string_view keep(std::string_view text) {
        if (text.empty()) return {};
        if (text.size() > free_) {
            const std::size_t block = std::max(block_bytes, text.size());
            blocks_.push_back(std::make_unique<char[]>(block));
            at_ = blocks_.back().get();
            free_ = block;
        }
        std::memcpy(at_, text.data(), text.size());
        const std::string_view kept(at_, text.size());
        at_ += text.size();
        free_ -= text.size();
        return kept;
    }

private:
    static constexpr std::size_t block_bytes = 64UL << 10;
    std::vector<std::unique_ptr<char[]>> blocks_;
    char* at_ = nullptr;
    std::size_t free_ = 0;
};

YamlTree::YamlTree() : arena_(std::make_unique<Arena>()) {}
YamlTree::~YamlTree() = default;

// Turns the events of the parser into nodes. A mapping or sequence becomes a node when it ends, so an alias can only
// name what is complete: a circle can't be built.
class YamlBuilder {
public:
    explicit YamlBuilder(Problems& problems) : problems_(problems), tree_(new YamlTree) {}

    std::shared_ptr<const YamlTree> build(std::string_view text) {
        yaml_parser_t parser;
        if (yaml_parser_initialize(&parser) == 0) return nullptr;
        yaml_parser_set_input_string(&parser, reinterpret_cast<const unsigned char*>(text.data()), text.size());
        yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
        bool going = true, ended = false;
        while (going && !ended) {
            yaml_event_t event;
            if (yaml_parser_parse(&parser, &event) == 0) {
                syntax_error(parser);
                going = false;
                break;
            }
            ended = event.type == YAML_STREAM_END_EVENT;
            going = take(event);
            yaml_event_delete(&event);
        }
        yaml_parser_delete(&parser);
        if (!going) return nullptr;
        if (documents_ == 0) {
            YamlNode nothing;
            nothing.is_plain = true;
            nothing.place = {1, 1};
            tree_->nodes_.push_back(nothing);
        }
        return tree_;
    }

private:
    struct Frame {
        YamlNode node;
        std::vector<std::uint32_t> children;
        std::uint32_t anchor = 0;                          // 1 + index in anchors_; 0: none
        boost::unordered_flat_set<std::string_view> keys;  // of a mapping with many
    };
    static constexpr std::size_t anchors_max = 100'000;
    static constexpr std::uint32_t open_anchor = UINT32_MAX;
    static constexpr std::size_t keys_compared_max = 8;  // above it a set is used

    static Place place_of(const yaml_mark_t& mark) {
        return {static_cast<std::uint32_t>(mark.line) + 1, static_cast<std::uint32_t>(mark.column) + 1};
    }
    static std::string_view view(const yaml_char_t* text) {
        return text ? std::string_view(reinterpret_cast<const char*>(text)) : std::string_view();
    }
    bool refuse(std::string_view rule, Place place, std::string message, std::string fix) {
        problems_.add(rule, place, std::move(message), std::move(fix));
        return false;
    }

    void syntax_error(const yaml_parser_t& parser) {
        std::string message = "this is not YAML: ";
        message += parser.problem ? parser.problem : "unreadable";
        if (parser.context) message += std::string(" (") + parser.context + ")";
        Place place = place_of(parser.problem_mark);
        if (parser.error == YAML_READER_ERROR) {
            place = last_;
            message += " at byte " + std::to_string(parser.problem_offset);
        }
        problems_.add(
            "TL-9101", place, message,
            "mend the YAML here or on the line before: indentation by blanks alone, \"key: value\", quotation "
            "marks and brackets that close");
    }

    bool take(const yaml_event_t& event) {
        const Place place = place_of(event.start_mark);
        last_ = place;
        switch (event.type) {
            case YAML_DOCUMENT_START_EVENT:
                if (++documents_ > 1) {
                    return refuse("TL-9103", place, "a second document begins here", "a model is one YAML document");
                }
                return true;
            case YAML_ALIAS_EVENT:
                return take_alias(view(event.data.alias.anchor), place);
            case YAML_SCALAR_EVENT:
                return take_scalar(event, place);
            case YAML_SEQUENCE_START_EVENT: {
                const auto& start = event.data.sequence_start;
                return open(YamlNode::Kind::sequence, view(start.anchor), view(start.tag), place);
            }
            case YAML_MAPPING_START_EVENT: {
                const auto& start = event.data.mapping_start;
                return open(YamlNode::Kind::mapping, view(start.anchor), view(start.tag), place);
            }
            case YAML_SEQUENCE_END_EVENT:
            case YAML_MAPPING_END_EVENT:
                return close();
            default:
                return true;
        }
    }

    bool refuse_tag(std::string_view tag, Place place) {
        if (tag.empty() || tag == "!" || tag == YAML_STR_TAG || tag == YAML_MAP_TAG || tag == YAML_SEQ_TAG) return true;
        return refuse("TL-9103", place, "the tag " + quote(tag) + " has no meaning here", "leave it out");
    }

    /// `index`: 0 without a name. False: there are too many.
    bool anchor(std::string_view name, Place place, std::uint32_t& index) {
        index = 0;
        if (name.empty()) return true;
        if (anchors_.size() >= anchors_max) {
            return refuse("TL-9102", place, "more than " + std::to_string(anchors_max) + " anchors",
                          "name by an anchor only what an alias refers to");
        }
        anchors_.push_back(open_anchor);
        anchor_names_[std::string(name)] = anchors_.size() - 1;
        index = static_cast<std::uint32_t>(anchors_.size());
        return true;
    }

    bool take_scalar(const yaml_event_t& event, Place place) {
        const auto& scalar = event.data.scalar;
        if (!refuse_tag(view(scalar.tag), place)) return false;
        const std::string_view text(reinterpret_cast<const char*>(scalar.value), scalar.length);
        if (text.size() > YamlTree::scalar_bytes_max) {
            return refuse("TL-9102", place, "a text of " + std::to_string(text.size()) + " bytes, above 64 KiB",
                          "shorten it");
        }
        YamlNode node;
        node.is_plain = scalar.style == YAML_PLAIN_SCALAR_STYLE;
        node.place = place;
        node.bytes = static_cast<std::uint32_t>(text.size());
        node.text = tree_->arena_->keep(text);
        std::uint32_t index = 0;
        return anchor(view(scalar.anchor), place, index) && add(node, index);
    }

    bool take_alias(std::string_view name, Place place) {
        const auto found = anchor_names_.find(std::string(name));
        if (found == anchor_names_.end()) {
            return refuse("TL-9101", place, "*" + std::string(name) + " names no anchor before it",
                          "write &" + std::string(name) + " at what is meant");
        }
        const std::uint32_t index = anchors_[found->second];
        if (index == open_anchor) {
            return refuse("TL-9103", place, "*" + std::string(name) + " is inside of what it names",
                          "write out what is meant; a model has no circles");
        }
        const YamlNode& node = tree_->nodes_[index];
        if (stack_.size() + node.height > YamlTree::depth_max) return refuse_depth(place);
        return append(index, node.size, node.bytes, place);
    }

    bool refuse_depth(Place place) {
        return refuse("TL-9102", place, "nested more than " + std::to_string(YamlTree::depth_max) + " levels deep",
                      "a topic has at most 64 levels; flatten what is below");
    }

    bool open(YamlNode::Kind kind, std::string_view anchor_name, std::string_view tag, Place place) {
        if (!refuse_tag(tag, place)) return false;
        if (stack_.size() + 1 > YamlTree::depth_max) return refuse_depth(place);
        if (is_key()) return refuse_key(place);
        Frame& frame = stack_.emplace_back();
        frame.node.kind = kind;
        frame.node.place = place;
        return anchor(anchor_name, place, frame.anchor);
    }

    bool close() {
        Frame frame = std::move(stack_.back());
        stack_.pop_back();
        frame.node.first_link = static_cast<std::uint32_t>(tree_->links_.size());
        frame.node.link_count = static_cast<std::uint32_t>(frame.children.size());
        tree_->links_.insert(tree_->links_.end(), frame.children.begin(), frame.children.end());
        for (const std::uint32_t child : frame.children) {
            const YamlNode& node = tree_->nodes_[child];
            frame.node.height = std::max<std::uint16_t>(frame.node.height, node.height + 1);
            frame.node.size += node.size;  // can't overflow: the sums are limited in append()
            frame.node.bytes += node.bytes;
        }
        return add(frame.node, frame.anchor, true);
    }

    bool add(const YamlNode& node, std::uint32_t anchor_index, bool counted = false) {
        const auto index = static_cast<std::uint32_t>(tree_->nodes_.size());
        tree_->nodes_.push_back(node);
        if (anchor_index > 0) anchors_[anchor_index - 1] = index;
        return append(index, counted ? 1 : node.size, counted ? 0 : node.bytes, node.place);
    }

    [[nodiscard]] bool is_key() const {
        return !stack_.empty() && stack_.back().node.kind == YamlNode::Kind::mapping &&
               stack_.back().children.size() % 2 == 0;
    }
    bool refuse_key(Place place) {
        return refuse("TL-9103", place, "a key that is no text", "write a name before the colon; quote {name}");
    }

    // Hangs a node into the one that is being built. `size` and `bytes` are what it adds to the document.
    bool append(std::uint32_t index, std::size_t size, std::size_t bytes, Place place) {
        nodes_ += size;
        bytes_ += bytes;
        if (nodes_ > YamlTree::nodes_max) {
            return refuse("TL-9102", place,
                          "more than " + std::to_string(YamlTree::nodes_max) + " YAML nodes, aliases counted each time",
                          "place instances by a pattern, such as \"{line}\"");
        }
        if (bytes_ > YamlTree::text_bytes_max) {
            return refuse("TL-9102", place, "more than 24 MiB of text, aliases counted each time", "write less");
        }
        if (stack_.empty()) {
            tree_->root_ = index;
            return true;
        }
        Frame& frame = stack_.back();
        if (is_key()) {
            const YamlNode& key = tree_->nodes_[index];
            if (key.kind != YamlNode::Kind::scalar) return refuse_key(place);
            if (key.is_plain && key.text == "<<") {
                problems_.add("TL-9103", place, "merge keys are not part of the language",
                              "write the keys out; what assets share belongs into a type, used as a part");
            }
            check_duplicate(frame, key, place);
        }
        frame.children.push_back(index);
        return true;
    }

    void check_duplicate(Frame& frame, const YamlNode& key, Place place) {
        bool again = false;
        if (frame.children.size() < 2 * keys_compared_max) {
            for (std::size_t i = 0; i < frame.children.size(); i += 2) {
                again = again || tree_->nodes_[frame.children[i]].text == key.text;
            }
        } else {
            if (frame.keys.empty()) {
                for (std::size_t i = 0; i < frame.children.size(); i += 2) {
                    frame.keys.insert(tree_->nodes_[frame.children[i]].text);
                }
            }
            again = !frame.keys.insert(key.text).second;
        }
        if (again)
            problems_.add("TL-9104", place, "the key " + quote(key.text) + " is given twice", "keep one of them");
    }

    Problems& problems_;
    std::shared_ptr<YamlTree> tree_;
    std::vector<Frame> stack_;
    std::vector<std::uint32_t> anchors_;  // node of each anchor
    std::unordered_map<std::string, std::size_t> anchor_names_;
    std::size_t nodes_ = 0, bytes_ = 0, documents_ = 0;
    Place last_{1, 1};
};

std::shared_ptr<const YamlTree> YamlTree::parse(std::string_view text, Problems& problems) {
    if (text.size() > bytes_max) {
        problems.add("TL-9102", {}, "the file has " + std::to_string(text.size()) + " bytes, above 16 MiB",
                     "place instances by a pattern, such as \"{line}\", instead of one by one");
        return nullptr;
    }
    return YamlBuilder(problems).build(text);
}

void append_json_string(std::string& out, std::string_view text) {
    out += '"';
    for (const char c : text) {
        if (c == '"' || c == '\\') {
            out += '\\';
            out += c;
        } else if (static_cast<unsigned char>(c) < 0x20) {
            char escape[8];
            std::snprintf(escape, sizeof escape, "\\u%04x", static_cast<unsigned>(c));
            out += escape;
        } else {
            out += c;
        }
    }
    out += '"';
}

namespace {

// A plain scalar as the JSON token that it stands for, by the core schema of YAML 1.2 (section 10.3.2); nullopt: text.
std::optional<std::string> json_token(std::string_view text) {
    if (text == "true" || text == "True" || text == "TRUE") return "true";
    if (text == "false" || text == "False" || text == "FALSE") return "false";
    const bool radix = text.starts_with("0x") || text.starts_with("0o");
    if (radix && text.size() > 2 && text.size() < 18) {
        std::uint64_t value = 0;
        const auto [end, error] =
            std::from_chars(text.data() + 2, text.data() + text.size(), value, text[1] == 'x' ? 16 : 8);
        if (error == std::errc{} && end == text.data() + text.size()) return std::to_string(value);
    }
    const char first = text.front();
    if (first != '-' && first != '+' && first != '.' && (first < '0' || first > '9')) return std::nullopt;
    if (!parse_number(text)) return std::nullopt;
    // JSON has neither a leading + nor leading zeros nor a bare point; what has is written anew.
    std::string_view digits = text;
    if (digits.front() == '-') digits.remove_prefix(1);
    const std::size_t point = digits.find('.');
    const bool is_json =
        first != '+' && digits.front() != '.' &&
        (digits.front() != '0' || digits.size() == 1 || digits[1] == '.' || digits[1] == 'e' || digits[1] == 'E') &&
        (point == std::string_view::npos ||
         (point + 1 < digits.size() && digits[point + 1] >= '0' && digits[point + 1] <= '9'));
    return is_json ? std::string(text) : number_text(*parse_number(text));
}

}  // namespace

void YamlTree::append_json(const YamlNode& node, std::string& out) const {
    switch (node.kind) {
        case YamlNode::Kind::scalar:
            if (node.is_null()) {
                out += "null";
            } else if (const auto token = node.is_plain ? json_token(node.text) : std::nullopt) {
                out += *token;
            } else {
                append_json_string(out, node.text);
            }
            return;
        case YamlNode::Kind::sequence:
            out += '[';
            for (std::size_t i = 0; i < node.link_count; ++i) {
                if (i > 0) out += ',';
                append_json(child(node, i), out);
            }
            out += ']';
            return;
        case YamlNode::Kind::mapping:
            out += '{';
            for (std::size_t i = 0; i + 1 < node.link_count; i += 2) {
                if (i > 0) out += ',';
                append_json_string(out, child(node, i).text);
                out += ':';
                append_json(child(node, i + 1), out);
            }
            out += '}';
            return;
    }
}

// Feeds a node to the hash, mappings in the order of their keys; every text goes with its length before it.
class YamlTree::Hasher {
public:
    explicit Hasher(const YamlTree& tree) : tree_(tree), state_(XXH3_createState()) { XXH3_128bits_reset(state_); }
    ~Hasher() { XXH3_freeState(state_); }
    Hasher(const Hasher&) = delete;
    Hasher& operator=(const Hasher&) = delete;

    void add(const YamlNode& node) {
        if (node.kind == YamlNode::Kind::scalar) {
            if (node.is_null()) return put('n');
            return put_text('s', node.text);
        }
        put(node.kind == YamlNode::Kind::sequence ? '[' : '{');
        if (node.kind == YamlNode::Kind::sequence) {
            for (std::size_t i = 0; i < node.link_count; ++i) add(tree_.child(node, i));
        } else {
            std::vector<std::uint32_t> order;  // indices of the keys
            for (std::uint32_t i = 0; i + 1 < node.link_count; i += 2) order.push_back(i);
            std::sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) {
                return tree_.child(node, a).text < tree_.child(node, b).text;
            });
            for (const std::uint32_t i : order) {
                put_text('k', tree_.child(node, i).text);
                add(tree_.child(node, i + 1));
            }
        }
        put(';');
    }
    XXH128_hash_t digest() { return XXH3_128bits_digest(state_); }

private:
    void put(char c) { XXH3_128bits_update(state_, &c, 1); }
    void put_text(char what, std::string_view text) {
        const auto size = static_cast<std::uint32_t>(text.size());
        const char head[5] = {what, static_cast<char>(size & 0xFF), static_cast<char>(size >> 8 & 0xFF),
                              static_cast<char>(size >> 16 & 0xFF), static_cast<char>(size >> 24)};
        XXH3_128bits_update(state_, head, sizeof head);
        XXH3_128bits_update(state_, text.data(), text.size());
    }

    const YamlTree& tree_;
    XXH3_state_t* state_;
};

std::string YamlTree::json(const YamlNode& node) const {
    std::string out;
    append_json(node, out);
    return out;
}

std::string YamlTree::hash() const {
    Hasher hasher(*this);
    hasher.add(root());
    const XXH128_hash_t hash = hasher.digest();
    char text[40];
    std::snprintf(text, sizeof text, "%016llx%016llx", static_cast<unsigned long long>(hash.high64),
                  static_cast<unsigned long long>(hash.low64));
    return text;
}

}  // namespace trunkline::uns
