#include "namespace/payload/json_view.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cassert>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "namespace/payload/json_scan.h"
#include "namespace/payload/limits.h"
#include "namespace/payload/rules.h"
#include "namespace/payload/text.h"
#include "namespace/payload/violations.h"

namespace trunkline::uns {

namespace dom = simdjson::dom;

namespace {

/// What a thread keeps between payloads. simdjson reads past the end of its input, so payloads are copied into a
/// buffer with that much room: they lie in read buffers of sockets that end where they end.
struct ThreadBuffers {
    dom::parser parser;
    std::unique_ptr<char[]> bytes;
    std::size_t capacity = 0;
    bool in_use = false;

    /// False when there is no memory.
    bool reserve(std::size_t size) {
        if (size <= capacity) return true;
        const std::size_t wanted = std::max<std::size_t>(std::bit_ceil(size), 4'096);
        bytes.reset(new (std::nothrow) char[wanted + simdjson::SIMDJSON_PADDING]);
        capacity = 0;
        if (!bytes) return false;
        if (parser.allocate(wanted, payload_limits::depth_max)) return false;
        std::memset(bytes.get(), 0, wanted + simdjson::SIMDJSON_PADDING);
        capacity = wanted;
        return true;
    }

    void release_large() {
        if (capacity <= payload_limits::kept_bytes) return;
        parser = dom::parser();
        bytes.reset();
        capacity = 0;
    }
};

ThreadBuffers& buffers() {
    thread_local ThreadBuffers instance;
    return instance;
}

constexpr std::size_t few_members = 12;

}  // namespace

std::optional<std::string_view> repeated_name(const dom::object& object) {
    std::array<std::string_view, few_members> few;
    std::size_t count = 0;
    for (const auto field : object) {
        if (count == few_members) {
            thread_local std::vector<std::string_view> names;
            names.clear();
            for (const auto each : object) names.push_back(each.key);
            std::sort(names.begin(), names.end());
            const auto twice = std::adjacent_find(names.begin(), names.end());
            const auto found = twice == names.end() ? std::nullopt : std::optional(*twice);
            if (names.capacity() * sizeof(names[0]) > payload_limits::kept_bytes)
                std::vector<std::string_view>().swap(names);
            return found;
        }
        for (std::size_t i = 0; i < count; ++i) {
            if (few[i] == field.key) return field.key;
        }
        few[count++] = field.key;
    }
    return std::nullopt;
}

namespace {

bool is_compound(const dom::element& element) {
    const dom::element_type type = element.type();
    return type == dom::element_type::OBJECT || type == dom::element_type::ARRAY;
}

/// Recursion is bounded by the depth of the document. `pointer` is null when only the answer counts.
bool find_duplicate_in(const dom::element& element, std::string* pointer, std::string_view& name) {
    const std::size_t size = pointer ? pointer->size() : 0;
    const auto in_child = [&](const dom::element& child, auto token) {
        if (pointer) append_token(*pointer, token());
        if (find_duplicate_in(child, pointer, name)) return true;
        if (pointer) pointer->resize(size);
        return false;
    };
    if (element.type() == dom::element_type::OBJECT) {
        const dom::object object = object_in(element);
        if (const auto twice = repeated_name(object)) {
            name = *twice;
            if (pointer) append_token(*pointer, name);
            return true;
        }
        for (const auto field : object) {
            if (is_compound(field.value) && in_child(field.value, [&] { return field.key; })) return true;
        }
    } else if (element.type() == dom::element_type::ARRAY) {
        std::size_t index = 0;
        for (const dom::element item : array_in(element)) {
            if (is_compound(item) && in_child(item, [&] { return std::to_string(index); })) return true;
            ++index;
        }
    }
    return false;
}

}  // namespace

JsonView::JsonView(std::string_view payload) : payload_(payload) {
    // simdjson of later versions skips a byte order mark; it is refused here whatever the version.
    if (payload.empty() || payload.size() > payload_limits::payload_bytes_max || payload[0] == '\xEF') return;
    ThreadBuffers& mine = buffers();
    assert(!mine.in_use);
    mine.in_use = holds_buffers_ = true;
    if (!mine.reserve(payload.size())) return;
    std::memcpy(mine.bytes.get(), payload.data(), payload.size());
    ok_ = mine.parser.parse(mine.bytes.get(), payload.size(), false).get(root_) == simdjson::SUCCESS;
}

JsonView::~JsonView() {
    if (!holds_buffers_) return;
    ThreadBuffers& mine = buffers();
    mine.in_use = false;
    mine.release_large();
}

Violation JsonView::fault() const {
    if (payload_.size() > payload_limits::payload_bytes_max) {
        return make_violation(rule::too_large, "", "the payload has " + std::to_string(payload_.size()) + " bytes",
                              "at most 16 MiB", "send a reference to the data, or declare the topic's payload as any");
    }
    if (auto fault = find_json_fault(payload_)) return *fault;
    return make_violation(rule::not_json, "", "the payload can't be read as JSON", "JSON", "send valid JSON");
}

std::optional<Violation> find_duplicate(dom::element element) {
    std::string pointer;
    std::string_view name;
    if (!find_duplicate_in(element, &pointer, name)) return std::nullopt;
    return duplicate_violation(pointer, name);
}

bool has_duplicates(dom::element element) {
    std::string_view name;
    return find_duplicate_in(element, nullptr, name);
}

}  // namespace trunkline::uns
