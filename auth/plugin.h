/* The C interface of Trunkline's plugins, version 1: all that a plugin includes. docs/plugins.md explains it.
 *
 * A plugin is a shared object that exports trunkline_plugin(). It may authorise (on every action, at once),
 * authenticate (with an answer that may come later, from any thread) and observe.
 *
 * Rules of both sides
 * - Every struct begins with its size as its creator knows it. Members are only ever added at the end, within a
 *   version; who reads looks at no member beyond the size. Reserved members are zero.
 * - Texts are tl_text, not ended by a zero byte, and valid until the call returns, whoever passes them.
 * - Functions of the plugin return TL_OK or something else, which counts as a failure: the request is denied.
 * - Exceptions must not leave a plugin. One that does is caught, and the request is denied.
 * - Calls for one shard come from one thread, one after the other. Different shards call at the same time.
 * - authorise() and the observers run between two packets: they must not block and should take about a microsecond.
 *   A plugin shares the broker's process: one that does not return stops its shard, one that corrupts memory all of it.
 */
#ifndef TRUNKLINE_PLUGIN_H
#define TRUNKLINE_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define TL_PLUGIN_ABI 1
#define TL_OK 0

/* Decisions. Anything else denies. */
#define TL_DEFER 0 /* no opinion: the next one decides, and at the end nobody's opinion denies */
#define TL_ALLOW 1
#define TL_DENY 2

/* Actions. Others may be added: defer where you do not know one. */
#define TL_PUBLISH 1
#define TL_SUBSCRIBE 2
#define TL_RECEIVE 3
#define TL_ADMIN 4

/* How long a decision of authorise() holds. */
#define TL_CACHE_NO 0     /* ask again each time */
#define TL_CACHE_CLIENT 1 /* for this client, action and topic, for cache_seconds at most; until roles change */

#define TL_LOG_INFO 1
#define TL_LOG_WARNING 2
#define TL_LOG_ERROR 3

typedef struct tl_text {
    const char* data;
    size_t size;
} tl_text;

typedef struct tl_client {
    uint32_t struct_size;
    uint32_t protocol;        /* 3, 4 or 5: MQTT 3.1, 3.1.1, 5.0 */
    uint64_t connection;      /* never used twice while the process lives */
    tl_text client_id;
    tl_text principal;        /* who was authenticated; empty before that, and for anonymous */
    tl_text address;          /* of the peer, with its port */
    tl_text certificate;      /* subject of a verified client certificate, or empty */
    tl_text listener;         /* its URL */
    uint64_t reserved[4];
} tl_client;

typedef struct tl_authorise_request {
    uint32_t struct_size;
    uint32_t action;          /* TL_PUBLISH ... */
    const tl_client* client;
    tl_text topic;            /* or the filter of TL_SUBSCRIBE, or the name of an admin action */
    uint32_t qos;
    uint32_t retain;
    uint64_t reserved[4];
} tl_authorise_request;

typedef struct tl_authorise_answer {
    uint32_t struct_size;
    int32_t decision;         /* TL_DENY when you are called */
    uint32_t cache;           /* TL_CACHE_NO when you are called */
    uint32_t cache_seconds;
    tl_text rule;             /* for explain and the audit trail, at most 256 bytes: what decided. Must stay valid
                                 until the next call for this shard */
    uint64_t reserved[4];
} tl_authorise_answer;

typedef struct tl_authenticate_request {
    uint32_t struct_size;
    uint32_t has_password;
    const tl_client* client;
    tl_text user_name;
    tl_text password;         /* any bytes. Do not log it; overwrite your copy */
    tl_text method;           /* of MQTT 5's enhanced authentication, or empty */
    tl_text data;
    uint64_t reserved[4];
} tl_authenticate_request;

typedef struct tl_authenticated {
    uint32_t struct_size;
    int32_t decision;         /* TL_ALLOW, TL_DENY or TL_DEFER */
    tl_text principal;        /* with TL_ALLOW: who that is, 1 to 256 bytes */
    tl_text reason;           /* with TL_DENY: for the client, at most 256 bytes */
    uint64_t reserved[4];
} tl_authenticated;

/* What the broker offers. Valid as long as the process lives; callable from any thread. */
typedef struct tl_host {
    uint32_t struct_size;
    uint32_t abi;
    void* context;            /* first argument of all of these */
    void (*log)(void* context, int32_t level, tl_text line);
    /* The answer to authenticate(). Once a ticket; later ones, and those after the deadline, are ignored. */
    void (*complete)(void* context, uint64_t ticket, const tl_authenticated* answer);
    void* reserved[6];
} tl_host;

typedef struct tl_plugin {
    uint32_t struct_size;
    uint32_t abi;             /* the version that the plugin was compiled for: TL_PLUGIN_ABI */
    const char* name;         /* ended by a zero byte */
    const char* version;      /* ended by a zero byte */

    /* Members may be NULL but for open(). `config` is the plugin's part of the configuration as JSON. */
    int32_t (*open)(const tl_host* host, tl_text config, void** state);
    void (*close)(void* state);
    /* State of one shard; without these every call gets `state` itself. */
    int32_t (*open_shard)(void* state, uint32_t shard, void** shard_state);
    void (*close_shard)(void* shard_state);

    int32_t (*authorise)(void* shard_state, const tl_authorise_request* request, tl_authorise_answer* answer);
    /* Must return at once. The answer comes by host->complete(), now or later; the deadline of the configuration
       (10 s where it has none) denies. Copy what you need: texts end with the call. */
    int32_t (*authenticate)(void* shard_state, const tl_authenticate_request* request, uint64_t ticket);

    void (*on_connect)(void* shard_state, const tl_client* client);
    void (*on_disconnect)(void* shard_state, const tl_client* client, uint32_t reason_code);
    void (*on_subscribe)(void* shard_state, const tl_client* client, tl_text filter, uint32_t qos);
    void (*on_publish)(void* shard_state, const tl_client* client, tl_text topic, tl_text payload, uint32_t qos,
                       uint32_t retain);
    void* reserved[8];
} tl_plugin;

/* Exported by the plugin. The broker knows all versions from `abi_min` to `abi_max`: return a table of one of them,
   or NULL. The table must stay valid. */
typedef const tl_plugin* (*tl_plugin_entry)(uint32_t abi_min, uint32_t abi_max);
#if defined(__GNUC__)
__attribute__((visibility("default")))
#endif
const tl_plugin* trunkline_plugin(uint32_t abi_min, uint32_t abi_max);

#ifdef __cplusplus
}
#endif

#endif
