// What can fail in the audit trail, as a value: never an exception past these functions.
#pragma once

#include <cstdint>
#include <string>

#include <boost/system/result.hpp>

namespace trunkline::auth::audit {

enum class Failure : std::uint8_t {
    invalid,   ///< bytes or text that are not what they should be
    damaged,   ///< the stored trail is not what was written: needs a person
    no_space,  ///< nothing was written; may be tried again
    failed,    ///< the disk failed: what was written is in doubt, and nothing more is accepted
    absent,    ///< what was asked for is not there
};

struct Error {
    Failure kind = Failure::invalid;
    std::string message;  ///< names file, offset or field, and what to do where a person can do something
};

/// boost::system::result calls this when value() is asked of an error. Nobody may: it is a broken invariant and stops.
[[noreturn]] void throw_exception_from_error(const Error& error, const boost::source_location& location);

template <class T>
using Result = boost::system::result<T, Error>;
using Status = Result<void>;

[[nodiscard]] inline Error invalid(std::string message) { return {Failure::invalid, std::move(message)}; }

}  // namespace trunkline::auth::audit
