// Any bytes as a record, a frame, a segment, a mark, a note, a witness's file and a proof: no crash, what is taken has
// one encoding alone, and a trail of any bytes is never good.
#include <cstdlib>
#include <string>

#include "auth/audit/log.h"
#include "auth/audit/prove.h"
#include "auth/audit/verify.h"

using namespace trunkline::auth::audit;

namespace {

void require(bool holds) {
    if (!holds) std::abort();
}

const SigningKey& key() {
    static const SigningKey made =
        *SigningKey::parse("PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz");
    return made;
}

void fuzz_segment(std::string_view bytes) {
    MemoryAuditStore store;
    store.bytes(segment_name(0)) = bytes;
    store.bytes(mark_name) = encode(Mark{0, 0, bytes.size(), 1});
    VerifyOptions options;
    options.key = key().verify_key();
    options.threads = 1;
    const auto report = verify(store, options);
    require(report && !report->good());                 // nobody signs by chance
    const auto log = AuditLog::open(store, key(), {});  // refuses, or cuts off what no commit covers; never crashes
    require(!log || (*log)->size() > 0);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
    if (size == 0) return 0;
    const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
    switch (data[0] % 8) {
        case 0: {
            const auto record = decode_record(bytes);
            if (!record) return 0;
            require(encode(*record) == bytes);
            require(!to_json_line(*record).empty() && to_csv_row(*record).ends_with("\r\n"));
            return 0;
        }
        case 1: {
            const auto frame = next_frame(bytes);
            require(frame.state != FrameView::State::whole || frame.size <= bytes.size());
            // The same bytes with a checksum that fits reach further.
            std::string made;
            put_frame(made, static_cast<FrameType>(1 + data[0] / 8 % 4), 0, bytes.substr(0, frame_body_max));
            require(next_frame(made).state != FrameView::State::cut);
            return fuzz_segment(encode(SegmentHeader{"PeterNeumann", std::nullopt, {}}) + made), 0;
        }
        case 2:
            return fuzz_segment(bytes), 0;
        case 3:
            return (void)decode_mark_file(bytes), 0;
        case 4: {
            const auto note = parse_note(bytes);
            if (!note) return 0;
            if (const auto checkpoint = parse_checkpoint(note->text)) require(to_text(*checkpoint) == note->text);
            if (const auto change = parse_key_change(note->text)) require(to_text(*change) == note->text);
            return 0;
        }
        case 5:
            return (void)parse_witness_text(bytes), 0;
        case 6:
            return require(!check_proof(bytes, key().verify_key())), 0;
        default: {
            std::size_t used = 0;
            const auto header = decode_segment_header(bytes, used);
            if (header) require(encode(*header) == bytes.substr(0, used));
            return (void)publish_from_json(bytes), 0;
        }
    }
}
