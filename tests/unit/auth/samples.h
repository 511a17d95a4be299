// What the tests of access share: a parsed file, principals, facts.
#pragma once

#include <cstdlib>
#include <memory>
#include <random>
#include <string>
#include <string_view>

#include <catch2/catch.hpp>
#include <sodium.h>

#include "auth/access.h"

namespace trunkline::auth::test {

/// A count from the environment, for runs that are longer than CI's.
inline std::size_t count_from(const char* variable, std::size_t otherwise) {
    const char* text = std::getenv(variable);
    return text ? std::strtoull(text, nullptr, 10) : otherwise;
}

/// Argon2id at its smallest, so that tests are quick.
inline std::string quick_hash(std::string_view password) {
    char text[crypto_pwhash_STRBYTES];
    REQUIRE(crypto_pwhash_str_alg(text, password.data(), password.size(), 1, 8192, crypto_pwhash_ALG_ARGON2ID13) == 0);
    return text;
}

inline RolesFile parsed(std::string_view text) {
    ParsedRoles result = parse_roles(text, "roles.yaml");
    for (const Problem& problem : result.problems) UNSCOPED_INFO(to_string(problem));
    REQUIRE(result.file);
    return std::move(*result.file);
}

inline std::shared_ptr<const Access> access_of(std::string_view text, std::uint64_t generation = 2) {
    return std::make_shared<const Access>(parsed(text), generation);
}

inline Principal principal(std::string user, std::string client_id) {
    Principal made;
    made.user = std::move(user);
    made.client_id = std::move(client_id);
    return made;
}

struct Facts : TopicFacts {
    std::string member_, type_, kind_, owner_;
    Facts(std::string member, std::string type, std::string kind, std::string owner)
        : member_(std::move(member)), type_(std::move(type)), kind_(std::move(kind)), owner_(std::move(owner)) {}
    std::string_view member() const override { return member_; }
    bool in_type(std::string_view type) const override { return type == type_; }
    bool in_kind(std::string_view kind) const override { return kind == kind_; }
    std::string_view owner() const override { return owner_; }
};

}  // namespace trunkline::auth::test
