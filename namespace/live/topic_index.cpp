#include "namespace/live/topic_index.h"

#include <algorithm>
#include <cstring>

#include <xxhash.h>

#include "namespace/topic.h"

namespace trunkline::uns {

std::size_t LevelNames::Hash::operator()(std::string_view name) const { return XXH3_64bits(name.data(), name.size()); }

LevelNames::LevelNames() : ids_(0, Hash{this}, Equal{this}) {}

std::uint32_t LevelNames::find(std::string_view name) const {
    const auto at = ids_.find(name);
    return at == ids_.end() ? none : *at;
}

std::uint32_t LevelNames::intern(std::string_view name) {
    if (const auto at = ids_.find(name); at != ids_.end()) return *at;
    const auto size = static_cast<std::uint16_t>(name.size());
    if (size != name.size()) return none;
    const auto needed = static_cast<std::uint32_t>(sizeof size + name.size());
    if (needed > block_bytes - block_used_) {
        blocks_.push_back(std::make_unique_for_overwrite<char[]>(block_bytes));
        block_used_ = 0;
    }
    char* at = blocks_.back().get() + block_used_;
    std::memcpy(at, &size, sizeof size);
    if (!name.empty()) std::memcpy(at + sizeof size, name.data(), name.size());
    places_.push_back(static_cast<std::uint32_t>(blocks_.size() - 1) * block_bytes + block_used_);
    block_used_ += needed;
    const auto id = static_cast<std::uint32_t>(places_.size() - 1);
    ids_.insert(id);
    return id;
}

std::size_t LevelNames::memory_bytes() const {
    return blocks_.size() * block_bytes + places_.capacity() * sizeof(std::uint32_t) +
           ids_.bucket_count() * (sizeof(std::uint32_t) + 1);
}

template <class T>
std::size_t TopicIndex::Hash::operator()(T what) const {
    const Key key = index->key_of(what);
    std::uint64_t x = (std::uint64_t{key.parent} << 32 | key.name) * 0x9E37'79B9'7F4A'7C15ULL;
    x ^= x >> 32;
    return x * 0xD6E8'FEB8'6659'FD93ULL;
}

TopicIndex::TopicIndex() : children_(0, Hash{this}, Equal{this}) {
    blocks_.push_back(std::make_unique<TopicNode[]>(block_nodes));
    (*this)[root] = {};
    (*this)[root].name = names_.intern("");
    size_ = 1;
}

std::uint32_t TopicIndex::child(std::uint32_t parent, std::string_view name) const {
    const std::uint32_t id = names_.find(name);
    if (id == LevelNames::none) return none;
    const auto at = children_.find(Key{parent, id});
    return at == children_.end() ? none : *at;
}

std::uint32_t TopicIndex::find(std::string_view topic) const {
    std::uint32_t id = root;
    for (LevelCursor at(topic); !at.done(); at.next()) {
        id = child(id, at.level());
        if (id == none) return none;
    }
    return id;
}

std::uint32_t TopicIndex::insert(std::string_view topic, std::size_t most) {
    std::uint32_t id = root;
    for (LevelCursor at(topic); !at.done(); at.next()) {
        const std::uint32_t next = child(id, at.level());
        if (next == none && size_ >= most) return none;
        const std::uint32_t name = next == none ? names_.intern(at.level()) : 0;
        if (name == LevelNames::none) return none;
        id = next == none ? add(id, name) : next;
    }
    return id;
}

std::uint32_t TopicIndex::add(std::uint32_t parent, std::uint32_t name) {
    if (size_ == blocks_.size() * block_nodes) blocks_.push_back(std::make_unique<TopicNode[]>(block_nodes));
    TopicNode& node = (*this)[size_];
    node.parent = parent;
    node.name = name;
    children_.insert(size_);
    return size_++;
}

void TopicIndex::path_of(std::uint32_t id, std::string& path) const {
    std::size_t size = 0;
    for (std::uint32_t at = id; at != root; at = (*this)[at].parent) size += names_[(*this)[at].name].size() + 1;
    path.resize(size ? size - 1 : 0);
    for (std::uint32_t at = id; at != root; at = (*this)[at].parent) {
        const std::string_view name = names_[(*this)[at].name];
        size -= name.size() + 1;
        if (!name.empty()) std::memcpy(path.data() + size, name.data(), name.size());
        if (size) path[size - 1] = '/';
    }
}

std::size_t TopicIndex::depth_of(std::uint32_t id) const {
    std::size_t depth = 0;
    for (; id != root; id = (*this)[id].parent) ++depth;
    return depth;
}

std::size_t TopicIndex::memory_bytes() const {
    return blocks_.size() * block_nodes * sizeof(TopicNode) +
           children_.bucket_count() * (sizeof(std::uint32_t) + 1) + names_.memory_bytes();
}

std::unique_ptr<TopicIndex> TopicIndex::compacted() const {
    std::vector<bool> kept(size_);
    for (std::uint32_t id = size_ - 1; id > root; --id) {   // children first
        if (kept[id] || (*this)[id].is_topic()) kept[id] = kept[(*this)[id].parent] = true;
    }
    auto out = std::make_unique<TopicIndex>();
    std::vector<std::uint32_t> to(size_, none);
    to[root] = root;
    for (std::uint32_t id = 1; id < size_; ++id) {
        if (!kept[id]) continue;
        const TopicNode& node = (*this)[id];
        to[id] = out->add(to[node.parent], out->names_.intern(names_[node.name]));
        TopicNode copy = node;
        copy.parent = (*out)[to[id]].parent;
        copy.name = (*out)[to[id]].name;
        (*out)[to[id]] = copy;
    }
    return out;
}

}  // namespace trunkline::uns
