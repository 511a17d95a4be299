#include "namespace/model/units.h"

#include <algorithm>
#include <array>
#include <vector>

#include "namespace/model/text.h"

namespace trunkline::uns {
namespace {

constexpr std::size_t unit_bytes_max = 64;
constexpr int brackets_max = 8;

// Atoms that take prefixes (UCUM, tables 2 to 23, "metric: yes"), sorted.
constexpr auto metric_atoms = std::to_array<std::string_view>(
    {"A",   "B",     "B[10.nV]", "B[SPL]", "B[V]",  "B[W]",        "B[kW]",       "B[mV]",    "B[uV]",   "Bd",
     "Bi",  "Bq",    "By",       "C",      "Cel",   "Ci",          "F",           "G",        "Gal",     "Gb",
     "Gy",  "H",     "Hz",       "J",      "K",     "L",           "Lmb",         "Mx",       "N",       "Np",
     "Oe",  "Ohm",   "P",        "Pa",     "R",     "RAD",         "REM",         "S",        "St",      "Sv",
     "T",   "U",     "V",        "W",      "Wb",    "[Amb'a'1'U]", "[anti'Xa'U]", "[e]",      "[eps_0]", "[g]",
     "[k]", "[m_e]", "[m_p]",    "[mu_0]", "[c]",   "[h]",         "[ly]",        "[G]",      "[iU]",    "[IU]",
     "ar",  "b",     "bar",      "bit",    "cal",   "cal_IT",      "cal_[15]",    "cal_[20]", "cal_m",   "cal_th",
     "cd",  "dyn",   "eV",       "eq",     "erg",   "g",           "g%",          "gf",       "kat",     "l",
     "lm",  "lx",    "m",        "m[H2O]", "m[Hg]", "mol",         "osm",         "ph",       "pc",      "rad",
     "s",   "sb",    "sr",       "st",     "t",     "tex",         "u",           "bit_s",    "mho"});

// Atoms that take none.
constexpr auto plain_atoms = std::to_array<std::string_view>({"%",
                                                              "'",
                                                              "''",
                                                              "10*",
                                                              "10^",
                                                              "AU",
                                                              "Torr_",
                                                              "[Btu]",
                                                              "[Btu_IT]",
                                                              "[Btu_m]",
                                                              "[Btu_th]",
                                                              "[Btu_39]",
                                                              "[Btu_59]",
                                                              "[Btu_60]",
                                                              "[Cal]",
                                                              "[Ch]",
                                                              "[D'ag'U]",
                                                              "[FEU]",
                                                              "[HP]",
                                                              "[HPF]",
                                                              "[LPF]",
                                                              "[MET]",
                                                              "[PFU]",
                                                              "[PNU]",
                                                              "[S]",
                                                              "[acr_br]",
                                                              "[acr_us]",
                                                              "[arb'U]",
                                                              "[bbl_us]",
                                                              "[bf_i]",
                                                              "[bu_br]",
                                                              "[bu_us]",
                                                              "[car_Au]",
                                                              "[car_m]",
                                                              "[ch_br]",
                                                              "[ch_us]",
                                                              "[cft_i]",
                                                              "[cicero]",
                                                              "[cin_i]",
                                                              "[cml_i]",
                                                              "[cr_i]",
                                                              "[crd_us]",
                                                              "[cup_m]",
                                                              "[cup_us]",
                                                              "[cyd_i]",
                                                              "[degF]",
                                                              "[degR]",
                                                              "[degRe]",
                                                              "[didot]",
                                                              "[diop]",
                                                              "[dpt_us]",
                                                              "[dqt_us]",
                                                              "[dr_ap]",
                                                              "[dr_av]",
                                                              "[drp]",
                                                              "[dye'U]",
                                                              "[fdr_br]",
                                                              "[fdr_us]",
                                                              "[foz_br]",
                                                              "[foz_us]",
                                                              "[foz_m]",
                                                              "[ft_br]",
                                                              "[ft_i]",
                                                              "[ft_us]",
                                                              "[fth_br]",
                                                              "[fth_i]",
                                                              "[fth_us]",
                                                              "[fur_us]",
                                                              "[gal_br]",
                                                              "[gal_us]",
                                                              "[gal_wi]",
                                                              "[gil_br]",
                                                              "[gil_us]",
                                                              "[gr]",
                                                              "[hd_i]",
                                                              "[hnsf'U]",
                                                              "[hp'_C]",
                                                              "[hp'_M]",
                                                              "[hp'_Q]",
                                                              "[hp'_X]",
                                                              "[in_br]",
                                                              "[in_i'H2O]",
                                                              "[in_i'Hg]",
                                                              "[in_i]",
                                                              "[in_us]",
                                                              "[ka'U]",
                                                              "[kn_br]",
                                                              "[kn_i]",
                                                              "[knk'U]",
                                                              "[lb_ap]",
                                                              "[lb_av]",
                                                              "[lb_tr]",
                                                              "[lbf_av]",
                                                              "[lcwt_av]",
                                                              "[ligne]",
                                                              "[lk_br]",
                                                              "[lk_us]",
                                                              "[lne]",
                                                              "[lton_av]",
                                                              "[mclg'U]",
                                                              "[mesh_i]",
                                                              "[mi_br]",
                                                              "[mi_i]",
                                                              "[mi_us]",
                                                              "[mil_i]",
                                                              "[mil_us]",
                                                              "[min_br]",
                                                              "[min_us]",
                                                              "[mu_s]",
                                                              "[nmi_br]",
                                                              "[nmi_i]",
                                                              "[oz_ap]",
                                                              "[oz_av]",
                                                              "[oz_m]",
                                                              "[oz_tr]",
                                                              "[p'diop]",
                                                              "[pH]",
                                                              "[pc_br]",
                                                              "[pca]",
                                                              "[pca_pr]",
                                                              "[pied]",
                                                              "[pk_br]",
                                                              "[pk_us]",
                                                              "[pnt]",
                                                              "[pnt_pr]",
                                                              "[pouce]",
                                                              "[ppb]",
                                                              "[ppm]",
                                                              "[ppth]",
                                                              "[pptr]",
                                                              "[psi]",
                                                              "[pt_br]",
                                                              "[pt_us]",
                                                              "[pwt_tr]",
                                                              "[qt_br]",
                                                              "[qt_us]",
                                                              "[rch_us]",
                                                              "[rd_br]",
                                                              "[rd_us]",
                                                              "[rlk_us]",
                                                              "[sc_ap]",
                                                              "[scwt_av]",
                                                              "[sct]",
                                                              "[sft_i]",
                                                              "[sin_i]",
                                                              "[smgy]",
                                                              "[smi_us]",
                                                              "[smoot]",
                                                              "[srd_us]",
                                                              "[ston_av]",
                                                              "[stone_av]",
                                                              "[syd_i]",
                                                              "[tbs_m]",
                                                              "[tbs_us]",
                                                              "[tsp_m]",
                                                              "[tsp_us]",
                                                              "[twp]",
                                                              "[wood'U]",
                                                              "[yd_br]",
                                                              "[yd_i]",
                                                              "[yd_us]",
                                                              "[m/s2/Hz^0.5]",
                                                              "a",
                                                              "a_g",
                                                              "a_j",
                                                              "a_t",
                                                              "ac",
                                                              "atm",
                                                              "att",
                                                              "circ",
                                                              "d",
                                                              "deg",
                                                              "gon",
                                                              "h",
                                                              "har",
                                                              "min",
                                                              "mo",
                                                              "mo_g",
                                                              "mo_j",
                                                              "mo_s",
                                                              "r",
                                                              "sph",
                                                              "wk",
                                                              "[pi]",
                                                              "[mi_i]/[gal_us]"});

constexpr auto prefixes =
    std::to_array<std::string_view>({"Y", "Z", "E", "P", "T", "G", "M", "k", "h",  "da", "d",  "c",
                                     "m", "u", "n", "p", "f", "a", "z", "y", "Ki", "Mi", "Gi", "Ti"});

// What people write and what UCUM calls it.
constexpr auto common_mistakes =
    std::to_array<std::pair<std::string_view, std::string_view>>({{"\u00b0C", "Cel"},
                                                                  {"\u00b0F", "[degF]"},
                                                                  {"degC", "Cel"},
                                                                  {"degF", "[degF]"},
                                                                  {"celsius", "Cel"},
                                                                  {"fahrenheit", "[degF]"},
                                                                  {"kelvin", "K"},
                                                                  {"\u00b0", "deg"},
                                                                  {"degrees", "deg"},
                                                                  {"rpm", "r/min"},
                                                                  {"RPM", "r/min"},
                                                                  {"1/min", "/min"},
                                                                  {"rev/min", "r/min"},
                                                                  {"U/min", "r/min"},
                                                                  {"kWh", "kW.h"},
                                                                  {"Wh", "W.h"},
                                                                  {"MWh", "MW.h"},
                                                                  {"GWh", "GW.h"},
                                                                  {"kVA", "kV.A"},
                                                                  {"VA", "V.A"},
                                                                  {"kVAr", "kV.A"},
                                                                  {"kvar", "kV.A"},
                                                                  {"var", "V.A"},
                                                                  {"Ah", "A.h"},
                                                                  {"mAh", "mA.h"},
                                                                  {"Nm", "N.m"},
                                                                  {"psi", "[psi]"},
                                                                  {"PSI", "[psi]"},
                                                                  {"inHg", "[in_i'Hg]"},
                                                                  {"mmHg", "mm[Hg]"},
                                                                  {"inch", "[in_i]"},
                                                                  {"in", "[in_i]"},
                                                                  {"ft", "[ft_i]"},
                                                                  {"yd", "[yd_i]"},
                                                                  {"mi", "[mi_i]"},
                                                                  {"lb", "[lb_av]"},
                                                                  {"lbs", "[lb_av]"},
                                                                  {"oz", "[oz_av]"},
                                                                  {"gal", "[gal_us]"},
                                                                  {"gpm", "[gal_us]/min"},
                                                                  {"cfm", "[cft_i]/min"},
                                                                  {"hp", "[HP]"},
                                                                  {"ppm", "[ppm]"},
                                                                  {"ppb", "[ppb]"},
                                                                  {"pH", "[pH]"},
                                                                  {"sec", "s"},
                                                                  {"secs", "s"},
                                                                  {"seconds", "s"},
                                                                  {"hr", "h"},
                                                                  {"hours", "h"},
                                                                  {"minutes", "min"},
                                                                  {"days", "d"},
                                                                  {"week", "wk"},
                                                                  {"year", "a"},
                                                                  {"ohm", "Ohm"},
                                                                  {"\u03a9", "Ohm"},
                                                                  {"\u2126", "Ohm"},
                                                                  {"\u00b5m", "um"},
                                                                  {"\u00b5S/cm", "uS/cm"},
                                                                  {"m\u00b3", "m3"},
                                                                  {"m\u00b2", "m2"},
                                                                  {"m\u00b3/h", "m3/h"},
                                                                  {"m/s\u00b2", "m/s2"},
                                                                  {"m^3", "m3"},
                                                                  {"m^2", "m2"},
                                                                  {"m^3/h", "m3/h"},
                                                                  {"Nm3/h", "m3/h{norm}"},
                                                                  {"liter", "L"},
                                                                  {"litre", "L"},
                                                                  {"lpm", "L/min"},
                                                                  {"meter", "m"},
                                                                  {"metre", "m"},
                                                                  {"ton", "t"},
                                                                  {"tons", "t"},
                                                                  {"kmh", "km/h"},
                                                                  {"kph", "km/h"},
                                                                  {"mph", "[mi_i]/h"},
                                                                  {"bytes", "By"},
                                                                  {"byte", "By"},
                                                                  {"bits", "bit"},
                                                                  {"pcs", "{pcs}"},
                                                                  {"pieces", "{pieces}"},
                                                                  {"units", "{units}"},
                                                                  {"items", "{items}"},
                                                                  {"count", "{count}"},
                                                                  {"bottles/h", "{bottles}/h"},
                                                                  {"pcs/h", "{pcs}/h"},
                                                                  {"percent", "%"},
                                                                  {"pct", "%"},
                                                                  {"barg", "bar{gauge}"},
                                                                  {"bara", "bar{absolute}"},
                                                                  {"bar(g)", "bar{gauge}"},
                                                                  {"bar(a)", "bar{absolute}"},
                                                                  {"dB", "dB"},
                                                                  {"dBA", "dB[SPL]"},
                                                                  {"-", "1"},
                                                                  {"none", "1"},
                                                                  {"kcal", "kcal"},
                                                                  {"hz", "Hz"},
                                                                  {"volt", "V"},
                                                                  {"volts", "V"},
                                                                  {"amps", "A"},
                                                                  {"amp", "A"},
                                                                  {"watt", "W"},
                                                                  {"kw", "kW"},
                                                                  {"KW", "kW"},
                                                                  {"Kg", "kg"},
                                                                  {"KG", "kg"},
                                                                  {"Bar", "bar"},
                                                                  {"mBar", "mbar"}});

template <std::size_t count>
bool is_among(const std::array<std::string_view, count>& names, std::string_view name) {
    return std::find(names.begin(), names.end(), name) != names.end();
}

bool is_simple_unit(std::string_view name) {
    if (is_among(metric_atoms, name) || is_among(plain_atoms, name)) return true;
    for (const std::string_view prefix : prefixes) {
        if (name.size() > prefix.size() && name.starts_with(prefix) &&
            is_among(metric_atoms, name.substr(prefix.size()))) {
            return true;
        }
    }
    return false;
}

// Recursive descent over UCUM's grammar (section 12.1, BNF in chapter "Syntax rules"). `what` is set at the first
// fault.
class UnitReader {
public:
    explicit UnitReader(std::string_view text) : text_(text) {}

    bool read() {
        if (take('/')) return component() && rest_of_term() && at_end();
        return component() && rest_of_term() && at_end();
    }
    [[nodiscard]] const std::string& what() const { return what_; }

private:
    bool fail(std::string what) {
        if (what_.empty()) what_ = std::move(what);
        return false;
    }
    [[nodiscard]] char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
    bool take(char c) {
        if (peek() != c) return false;
        ++at_;
        return true;
    }
    bool at_end() { return at_ == text_.size() || fail("unexpected " + quote(text_.substr(at_)) + " at its end"); }
    static bool is_digit(char c) { return c >= '0' && c <= '9'; }

    bool rest_of_term() {
        while (peek() == '.' || peek() == '/') {
            ++at_;
            if (!component()) return false;
        }
        return true;
    }

    bool component() {
        if (take('(')) {
            if (++depth_ > brackets_max) return fail("too many brackets");
            if (peek() == '/') ++at_;
            if (!component() || !rest_of_term()) return false;
            --depth_;
            return take(')') || fail("a bracket that does not close");
        }
        if (peek() == '{') return annotation();
        if (!factor_or_unit()) return false;
        return peek() != '{' || annotation();
    }

    bool annotation() {
        const std::size_t end = text_.find('}', at_);
        if (end == std::string_view::npos) return fail("an annotation that does not close");
        for (const char c : text_.substr(at_ + 1, end - at_ - 1)) {
            if (c < 0x21 || c > 0x7E || c == '{') return fail("an annotation with " + quote({&c, 1}));
        }
        at_ = end + 1;
        return true;
    }

    bool factor_or_unit() {
        const std::size_t start = at_;
        if (is_digit(peek()) && text_.substr(at_, 3) != "10*" && text_.substr(at_, 3) != "10^") {
            while (is_digit(peek())) ++at_;
            return true;
        }
        if (text_.substr(at_, 3) == "10*" || text_.substr(at_, 3) == "10^") at_ += 3;
        while (at_ < text_.size() && in_atom(text_[at_])) {
            if (text_[at_] == '[') {
                const std::size_t end = text_.find(']', at_);
                if (end == std::string_view::npos) return fail("a square bracket that does not close");
                at_ = end + 1;
            } else {
                ++at_;
            }
        }
        const std::string_view name = text_.substr(start, at_ - start);
        if (name.empty())
            return fail(at_ == text_.size() ? "it ends where a unit should be"
                                            : quote(text_.substr(at_)) + " is no unit");
        exponent();
        return is_simple_unit(name) || fail(quote(name) + " is no unit of UCUM");
    }

    static bool in_atom(char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '[' || c == '%' || c == '\'';
    }

    void exponent() {
        const std::size_t start = at_;
        if (peek() == '+' || peek() == '-') ++at_;
        if (!is_digit(peek())) {
            at_ = start;
            return;
        }
        while (is_digit(peek())) ++at_;
    }

    std::string_view text_;
    std::size_t at_ = 0;
    int depth_ = 0;
    std::string what_;
};

}  // namespace

std::optional<UnitError> check_unit(std::string_view unit) {
    if (unit.empty()) return UnitError{"the unit is empty", "leave the key out, or write 1 for a plain number"};
    if (unit.size() > unit_bytes_max)
        return UnitError{"the unit is longer than 64 bytes", "write a UCUM code: Cel, m3/h"};
    UnitReader reader(unit);
    if (reader.read()) return std::nullopt;
    UnitError error{quote(unit) + " is no UCUM code: " + reader.what(),
                    "write a UCUM code such as Cel, bar, m3/h, kW.h, r/min, or {pieces} for what is only counted"};
    for (const auto& [wrong, right] : common_mistakes) {
        if (unit == wrong) error.mend = "write " + std::string(right);
    }
    return error;
}

}  // namespace trunkline::uns
