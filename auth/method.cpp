#include "auth/method.h"

namespace trunkline::auth {

Attempt::Attempt(const Credentials& credentials)
    : client_id(credentials.client_id), address(credentials.address), listener(credentials.listener),
      shard(credentials.shard), protocol(credentials.protocol), connection(credentials.connection),
      abandoned(credentials.abandoned), local(credentials.local), now_ms(credentials.now_ms) {
    if (credentials.user_name) user.emplace(*credentials.user_name);
    if (credentials.password) password.emplace(*credentials.password);
    if (credentials.certificate) certificate = *credentials.certificate;
    else certificate.subject = credentials.certificate_subject;
}

std::unique_ptr<Exchange> Method::begin(const Credentials&, Answer&) { return nullptr; }

}  // namespace trunkline::auth
