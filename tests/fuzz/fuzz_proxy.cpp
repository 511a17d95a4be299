// Any bytes at the front of a connection as a PROXY header. How they are cut into packets of the network changes
// nothing: every shorter piece of a header asks for more, what is refused stays refused, and no piece grows without end.
#include <cstdlib>
#include <string_view>

#include "broker/net/proxy_protocol.h"

using namespace trunkline::net;

namespace {

void require(bool holds) {
    if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
    const std::string_view bytes(reinterpret_cast<const char*>(data), size);
    ProxyHeader whole;
    const ProxyStatus status = parse_proxy_header(bytes, whole);
    if (status == ProxyStatus::incomplete) require(size < proxy_header_bytes_max);
    if (status == ProxyStatus::malformed) require(*whole.error != '\0');
    if (status == ProxyStatus::complete) {
        require(whole.size > 0 && whole.size <= size && whole.size <= proxy_header_bytes_max);
        require(!whole.has_source || whole.source.family == 4 || whole.source.family == 6);
    }
    bool refused = false;
    for (std::size_t cut = 0; cut < size; ++cut) {
        ProxyHeader part;
        const ProxyStatus now = parse_proxy_header(bytes.substr(0, cut), part);
        if (refused) require(now == ProxyStatus::malformed);
        refused = now == ProxyStatus::malformed;
        if (status == ProxyStatus::incomplete) require(now == ProxyStatus::incomplete);
        if (status != ProxyStatus::complete) {
            require(now != ProxyStatus::complete);
            continue;
        }
        require(now == (cut < whole.size ? ProxyStatus::incomplete : ProxyStatus::complete));
        if (now == ProxyStatus::complete) {
            require(part.size == whole.size && part.source.to_string() == whole.source.to_string());
        }
    }
    if (refused) require(status == ProxyStatus::malformed);
    return 0;
}
