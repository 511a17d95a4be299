// A growable byte buffer that never zero-fills: packets are encoded into it and sockets are written from it.
#pragma once

#include <cassert>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>
#include <string_view>
#include <utility>

namespace trunkline::mqtt {

/// Bytes in [data(), data()+size()). Appending is amortised O(1); consume() drops bytes from the front without moving.
/// Not thread safe. An empty buffer owns no memory after release().
class Buffer {
public:
    Buffer() = default;
    Buffer(Buffer&& other) noexcept { swap(other); }
    Buffer& operator=(Buffer&& other) noexcept {
        Buffer moved(std::move(other));
        swap(moved);
        return *this;
    }
    Buffer(const Buffer&) = delete;
    Buffer& operator=(const Buffer&) = delete;
    ~Buffer() { std::free(memory_); }

    [[nodiscard]] const char* data() const { return memory_ + begin_; }
    [[nodiscard]] char* data() { return memory_ + begin_; }
    [[nodiscard]] std::size_t size() const { return end_ - begin_; }
    [[nodiscard]] bool empty() const { return begin_ == end_; }
    [[nodiscard]] std::size_t capacity() const { return capacity_; }
    [[nodiscard]] std::string_view view() const { return {data(), size()}; }

    /// Room for at least `bytes` more at the end; returns where they go. Follow with commit().
    char* prepare(std::size_t bytes) {
        if (capacity_ - end_ < bytes) grow(bytes);
        return memory_ + end_;
    }
    /// Makes `bytes` of what prepare() gave part of the buffer.
    void commit(std::size_t bytes) {
        assert(bytes <= capacity_ - end_);
        end_ += static_cast<std::uint32_t>(bytes);
    }
    void append(std::string_view bytes) {
        if (bytes.empty()) return;
        std::memcpy(prepare(bytes.size()), bytes.data(), bytes.size());
        commit(bytes.size());
    }
    void push_back(std::uint8_t byte) {
        *prepare(1) = static_cast<char>(byte);
        commit(1);
    }
    /// Big-endian, as on the wire.
    void put_u16(std::uint16_t value) {
        char* to = prepare(2);
        to[0] = static_cast<char>(value >> 8);
        to[1] = static_cast<char>(value);
        commit(2);
    }
    void put_u32(std::uint32_t value) {
        put_u16(static_cast<std::uint16_t>(value >> 16));
        put_u16(static_cast<std::uint16_t>(value));
    }

    /// Drops `bytes` from the front.
    void consume(std::size_t bytes) {
        assert(bytes <= size());
        begin_ += static_cast<std::uint32_t>(bytes);
        consumed_ += static_cast<std::uint32_t>(bytes);
        if (begin_ == end_) begin_ = end_ = 0;
    }
    /// Forgets bytes from the end so that size() is `bytes`.
    void truncate(std::size_t bytes) {
        assert(bytes <= size());
        end_ = begin_ + static_cast<std::uint32_t>(bytes);
    }
    void clear() { begin_ = end_ = consumed_ = 0; }
    /// Where the end is, counted in bytes from the first that was ever appended since the last clear() or release(),
    /// modulo 2^32.
    [[nodiscard]] std::uint32_t position() const { return consumed_ + (end_ - begin_); }
    /// Gives the memory back; what was in the buffer is gone.
    void release() {
        std::free(memory_);
        memory_ = nullptr;
        begin_ = end_ = capacity_ = consumed_ = 0;
    }
    void swap(Buffer& other) noexcept {
        std::swap(memory_, other.memory_);
        std::swap(begin_, other.begin_);
        std::swap(end_, other.end_);
        std::swap(capacity_, other.capacity_);
        std::swap(consumed_, other.consumed_);
    }

private:
    void grow(std::size_t bytes) {
        const std::size_t used = size();
        if (begin_ > 0 && begin_ >= capacity_ / 2 && capacity_ - used >= bytes) {  // slide instead of growing
            std::memmove(memory_, memory_ + begin_, used);
        } else {
            std::size_t wanted = capacity_ < 256 ? 512 : std::size_t{capacity_} * 2;
            while (wanted - used < bytes) wanted *= 2;
            if (wanted > UINT32_MAX) throw std::bad_alloc();
            char* fresh = static_cast<char*>(std::malloc(wanted));
            if (!fresh) throw std::bad_alloc();
            if (used) std::memcpy(fresh, memory_ + begin_, used);
            std::free(memory_);
            memory_ = fresh;
            capacity_ = static_cast<std::uint32_t>(wanted);
        }
        begin_ = 0;
        end_ = static_cast<std::uint32_t>(used);
    }

    char* memory_ = nullptr;
    std::uint32_t begin_ = 0;
    std::uint32_t end_ = 0;
    std::uint32_t capacity_ = 0;
    std::uint32_t consumed_ = 0;   // in what alignment would leave empty
};

}  // namespace trunkline::mqtt
