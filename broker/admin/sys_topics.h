// The broker's own figures as retained messages under $SYS/broker, named as Mosquitto names them.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "broker/admin/sources.h"
#include "broker/admin/totals.h"

namespace trunkline::admin {

/// Used on the administration's thread. Only values that changed are published again.
class SysTopics {
public:
    explicit SysTopics(Sources& sources) : sources_(sources) {}
    void publish(const Totals& totals, const Meter& meter);

    /// Topic below $SYS/broker/ -> value, for the tests and for publish().
    [[nodiscard]] std::map<std::string, std::string> values(const Totals& totals, const Meter& meter) const;

private:
    Sources& sources_;
    std::map<std::string, std::string> published_;
};

}  // namespace trunkline::admin
