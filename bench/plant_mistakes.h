// Mistakes that a plant's people make, seeded into the simulated one: one of each kind, the same every time, so that
// what finds them can be shown and tested. Pure, like the plant.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace trunkline::bench {

class Asset;

enum class MistakeKind : std::uint8_t {
    wrong_case,        // a level in other case than the rest of the plant writes it
    unknown_area,      // an area that the plant does not have
    wrong_id_format,   // an asset's name that is not formed as its kind's are
    string_in_number,  // "1.62" where a number belongs
    out_of_range,      // a value that the metric cannot have
    wrong_unit,        // the value in another unit, and saying so
    silent_asset,      // an asset that sends nothing at all
    unknown_metric,    // a metric that the asset's type does not have
};
std::string_view mistake_name(MistakeKind kind);  ///< "wrong case"

/// One seeded mistake.
struct Mistake {
    MistakeKind kind = MistakeKind::wrong_case;
    std::string topic;            ///< what is published wrongly; of a silent asset: the asset
    std::string right;            ///< the topic that was meant, or the same
    std::string client;           ///< id, without a prefix, of the gateway whose mistake it is
    std::string what;             ///< in words: "area Packaging instead of packaging"
    std::string_view rule;        ///< what deploy/examples/discrete.yaml has against it: "TL-2103"; "": nothing is sent
    std::size_t asset = 0;        ///< index of the asset whose reading it is
    std::size_t metric = 0;       ///< index of the metric that is read for it
    /// An additional tag beside the right one; otherwise every reading of the metric is wrong.
    [[nodiscard]] bool is_extra_tag() const;
};

/// Seeds one mistake of each kind. `gateways`: by asset, the gateway that reads it. There must be at least
/// assets_for_mistakes assets, which make two packaging lines.
std::vector<Mistake> seed_mistakes(const std::vector<Asset>& assets, const std::vector<std::string_view>& gateways);
inline constexpr std::size_t assets_for_mistakes = 10;

/// The payload of a reading as a mistake of this kind spoils it; names that are wrong leave it as it is.
std::string spoil(MistakeKind kind, const std::string& payload);

}  // namespace trunkline::bench
