#include "auth/secret.h"

#include <cstring>
#include <utility>

#include <sodium.h>

namespace trunkline::auth {

Secret::Secret(std::string_view text) : bytes_(new char[text.size() + 1]), size_(text.size()) {
    if (!text.empty()) std::memcpy(bytes_.get(), text.data(), text.size());
    bytes_[size_] = '\0';
}

Secret::Secret(Secret&& other) noexcept : bytes_(std::move(other.bytes_)), size_(std::exchange(other.size_, 0)) {}

Secret& Secret::operator=(Secret&& other) noexcept {
    if (this != &other) {
        wipe();
        bytes_ = std::move(other.bytes_);
        size_ = std::exchange(other.size_, 0);
    }
    return *this;
}

void Secret::wipe() noexcept {
    if (bytes_) sodium_memzero(bytes_.get(), size_);
    size_ = 0;
}

}  // namespace trunkline::auth
