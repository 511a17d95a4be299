// Text that is overwritten when it is no longer needed: passwords, tokens.
#pragma once

#include <cstddef>
#include <memory>
#include <string_view>

namespace trunkline::auth {

/// Owns a copy of a secret; moves and never copies itself. Its memory is cleared before it is given back.
class Secret {
public:
    Secret() = default;
    explicit Secret(std::string_view text);
    ~Secret() { wipe(); }
    Secret(Secret&& other) noexcept;
    Secret& operator=(Secret&& other) noexcept;

    [[nodiscard]] std::string_view view() const { return {bytes_.get(), size_}; }
    [[nodiscard]] bool empty() const { return size_ == 0; }
    /// Clears it now.
    void wipe() noexcept;

private:
    std::unique_ptr<char[]> bytes_;
    std::size_t size_ = 0;
};

}  // namespace trunkline::auth
