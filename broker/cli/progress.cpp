#include "broker/cli/progress.h"

#include <unistd.h>

#include <iostream>

namespace trunkline::cli {

using namespace std::chrono_literals;

Progress::Progress() : terminal_(::isatty(STDERR_FILENO) == 1) {}

Progress::~Progress() {
    if (terminal_ && shown_) std::cerr << "\r\033[K" << std::flush;
}

void Progress::show(const std::function<std::string(long seconds)>& text) {
    const auto now = Clock::now();
    if (now < next_) return;
    next_ = now + (terminal_ ? 250ms : 10'000ms);
    shown_ = true;
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(now - began_).count();
    std::cerr << (terminal_ ? "\r\033[K" : "") << text(static_cast<long>(seconds)) << (terminal_ ? "" : "\n")
              << std::flush;
}

}  // namespace trunkline::cli
