#include "broker/cli/files.h"

#include <fstream>
#include <sstream>

#include "broker/cli/http_client.h"

namespace trunkline::cli {

std::string read_file(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    std::stringstream text;
    text << in.rdbuf();
    if (!in) throw Failure(exit_usage, "cannot read " + path);
    return text.str();
}

}  // namespace trunkline::cli
