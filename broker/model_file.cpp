#include "broker/model_file.h"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>

namespace trunkline::broker {
namespace {

constexpr std::uintmax_t model_bytes_max = 16 << 20;

uns::Model::Result refused(const std::string& file, std::string what, std::string fix) {
    return {nullptr, {{"TL-9009", file, std::move(what), std::move(fix)}}};
}

}  // namespace

uns::Model::Result load_model_file(const std::string& file) {
    std::error_code error;
    const std::uintmax_t size = std::filesystem::file_size(file, error);
    if (error) return refused(file, "the model cannot be read: " + error.message(), "check its path and its owner");
    if (size > model_bytes_max) {
        return refused(file, "the model has " + std::to_string(size) + " bytes; 16 MiB is the most that is read",
                       "use types and patterns instead of writing every instance");
    }
    std::ifstream in(file, std::ios::binary);
    std::string text(size, '\0');
    if (!in.read(text.data(), static_cast<std::streamsize>(size))) {
        return refused(file, std::string("the model cannot be read: ") + std::strerror(errno),
                       "check its path and its owner");
    }
    return uns::Model::compile(text, std::filesystem::path(file).filename().string());
}

}  // namespace trunkline::broker
