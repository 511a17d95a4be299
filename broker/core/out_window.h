// Which messages sent to one subscriber are not acknowledged yet, and where in its exchange each of them stands.
#pragma once

#include <cassert>
#include <cstdint>
#include <optional>
#include <vector>

namespace trunkline::broker {

/// Where an outgoing QoS 1 or 2 exchange stands (section 4.3).
enum class OutState : std::uint8_t { done = 0, wait_puback, wait_pubrec, pubrec_committing, wait_pubcomp };

/// Messages are numbered as they go out; a number n has the packet identifier first_id + n mod 32,767. At most 32,767
/// numbers are open at a time, so an identifier is never in use twice [MQTT-2.2.1-4], and the identifier of a durable
/// message follows from its delivery number alone: it is the same after a crash [MQTT-4.4.0-1].
class OutWindow {
public:
    static constexpr std::uint32_t modulus = 32'767;
    static constexpr std::uint16_t low_ids = 1, high_ids = 32'768;

    explicit OutWindow(std::uint16_t first_id) : first_id_(first_id) {}

    /// Starts over at a number: all below are done.
    void reset(std::uint64_t n) {
        base_ = next_ = n;
        open_ = 0;
    }
    [[nodiscard]] std::uint64_t base() const { return base_; }   ///< lowest number not done
    [[nodiscard]] std::uint64_t next() const { return next_; }   ///< the number that goes out next
    [[nodiscard]] std::uint32_t open() const { return open_; }   ///< exchanges under way
    /// How many more may go out before an identifier would be in use twice.
    [[nodiscard]] std::uint32_t room() const { return modulus - static_cast<std::uint32_t>(next_ - base_); }

    /// The next number goes out (or, with done, never will). Returns its packet identifier.
    std::uint16_t push(OutState state) {
        assert(room() > 0);
        if (next_ - base_ >= states_.size()) grow();
        at(next_) = state;
        const std::uint16_t id = id_of(next_++);
        if (state == OutState::done) {
            advance();
        } else {
            ++open_;
        }
        return id;
    }
    [[nodiscard]] std::uint16_t id_of(std::uint64_t n) const {
        return static_cast<std::uint16_t>(first_id_ + n % modulus);
    }
    /// The number an identifier stands for, if it is under way.
    [[nodiscard]] std::optional<std::uint64_t> find(std::uint16_t packet_id) const {
        if (packet_id < first_id_ || packet_id - first_id_ >= static_cast<int>(modulus)) return std::nullopt;
        const std::uint32_t offset = packet_id - first_id_;
        const std::uint32_t from = static_cast<std::uint32_t>(base_ % modulus);
        const std::uint64_t n = base_ + (offset >= from ? offset - from : offset + modulus - from);
        if (n >= next_ || state(n) == OutState::done) return std::nullopt;
        return n;
    }
    [[nodiscard]] OutState state(std::uint64_t n) const { return states_[n & (states_.size() - 1)]; }
    void set_state(std::uint64_t n, OutState state) {
        assert(state != OutState::done);
        at(n) = state;
    }
    void complete(std::uint64_t n) {
        assert(open_ > 0);
        at(n) = OutState::done;
        --open_;
        if (n == base_) advance();
    }
    /// Gives memory back when nothing is under way.
    void shrink() {
        if (base_ == next_) std::vector<OutState>().swap(states_);
    }

private:
    OutState& at(std::uint64_t n) { return states_[n & (states_.size() - 1)]; }
    void advance() {
        while (base_ < next_ && at(base_) == OutState::done) ++base_;
    }
    void grow() {
        std::vector<OutState> wider(states_.empty() ? 16 : states_.size() * 2, OutState::done);
        for (std::uint64_t n = base_; n < next_; ++n) wider[n & (wider.size() - 1)] = state(n);
        states_.swap(wider);
    }

    std::vector<OutState> states_;   // a ring; its size is a power of two
    std::uint64_t base_ = 0, next_ = 0;
    std::uint32_t open_ = 0;
    std::uint16_t first_id_;
};

}  // namespace trunkline::broker
