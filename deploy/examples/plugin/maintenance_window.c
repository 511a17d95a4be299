/* An example of a Trunkline plugin: no commands but in the maintenance window.
 *
 * Publishing below a topic prefix is denied to all principals but one, whose logins this plugin also checks, on a thread
 * of its own as a real one would that asks a server. All else is deferred to the rules of the broker.
 *
 * Configuration (a part of the broker's): {"prefix": "acme/munich/commands/", "principal": "shift-leader",
 * "password": "..."}; the two last ones are optional.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "auth/plugin.h"

enum { text_max = 256, rule_max = 300 };

struct state {
    const tl_host* host;
    char prefix[text_max];
    char principal[text_max];
    char password[text_max];
};

/* A login on its way to the thread that checks it: with copies, the request ends with the call. */
struct login {
    struct state* state;
    uint64_t ticket;
    int right;
};

static tl_text text_of(const char* text) {
    tl_text made;
    made.data = text;
    made.size = strlen(text);
    return made;
}

static int equals(tl_text text, const char* other) {
    return text.size == strlen(other) && memcmp(text.data, other, text.size) == 0;
}

/* The same time for every password of a length: nobody learns where it differs. */
static int equals_in_secret(tl_text text, const char* other) {
    unsigned char difference = 0;
    size_t i;
    if (text.size != strlen(other)) return 0;
    for (i = 0; i < text.size; ++i) difference |= (unsigned char)(text.data[i] ^ other[i]);
    return difference == 0;
}

/* The text of a member of a flat JSON object without escapes, which is all that this example needs. */
static int member(tl_text json, const char* name, char* to) {
    char key[text_max];
    const char *at, *end;
    char* copy = malloc(json.size + 1);
    size_t size;
    int found = 0;
    if (!copy) return 0;
    memcpy(copy, json.data, json.size);
    copy[json.size] = 0;
    key[0] = '"';
    strcpy(key + 1, name);
    strcat(key, "\"");
    at = strstr(copy, key);
    if (at) at = strchr(at + strlen(key), '"');
    end = at ? strchr(at + 1, '"') : NULL;
    size = end ? (size_t)(end - at - 1) : 0;
    if (end && size < text_max) {
        memcpy(to, at + 1, size);
        to[size] = 0;
        found = 1;
    }
    free(copy);
    return found;
}

static int32_t open_plugin(const tl_host* host, tl_text config, void** state) {
    struct state* made = calloc(1, sizeof *made);
    if (!made) return 1;
    made->host = host;
    if (!member(config, "prefix", made->prefix) || made->prefix[0] == 0) {
        host->log(host->context, TL_LOG_ERROR, text_of("maintenance_window: \"prefix\" is missing"));
        free(made);
        return 1;
    }
    member(config, "principal", made->principal);
    member(config, "password", made->password);
    *state = made;
    return TL_OK;
}

static void close_plugin(void* state) { free(state); }

static int32_t authorise(void* shard_state, const tl_authorise_request* request, tl_authorise_answer* answer) {
    const struct state* state = shard_state;
    const size_t size = strlen(state->prefix);
    answer->decision = TL_DEFER;
    answer->cache = TL_CACHE_CLIENT;
    answer->cache_seconds = 60;
    if (request->action != TL_PUBLISH) return TL_OK;
    if (request->topic.size < size || memcmp(request->topic.data, state->prefix, size) != 0) return TL_OK;
    if (state->principal[0] && equals(request->client->principal, state->principal)) return TL_OK;
    answer->decision = TL_DENY;
    answer->rule = text_of("commands wait for the maintenance window");
    return TL_OK;
}

static void* check_login(void* argument) {
    struct login* login = argument;
    tl_authenticated answer;
    memset(&answer, 0, sizeof answer);
    answer.struct_size = sizeof answer;
    answer.decision = login->right ? TL_ALLOW : TL_DENY;
    answer.principal = text_of(login->state->principal);
    answer.reason = text_of("the shift leader's password is another one");
    login->state->host->complete(login->state->host->context, login->ticket, &answer);
    free(login);
    return NULL;
}

static int32_t authenticate(void* shard_state, const tl_authenticate_request* request, uint64_t ticket) {
    struct state* state = shard_state;
    struct login* login;
    pthread_t thread;
    if (!state->principal[0] || !equals(request->user_name, state->principal)) {   /* not ours to say */
        tl_authenticated answer;
        memset(&answer, 0, sizeof answer);
        answer.struct_size = sizeof answer;
        answer.decision = TL_DEFER;
        state->host->complete(state->host->context, ticket, &answer);
        return TL_OK;
    }
    login = calloc(1, sizeof *login);
    if (!login) return 1;
    login->state = state;
    login->ticket = ticket;
    login->right = request->has_password && state->password[0] && equals_in_secret(request->password, state->password);
    if (pthread_create(&thread, NULL, check_login, login) != 0) {
        free(login);
        return 1;
    }
    pthread_detach(thread);
    return TL_OK;
}

const tl_plugin* trunkline_plugin(uint32_t abi_min, uint32_t abi_max) {
    static tl_plugin table;
    if (abi_min > TL_PLUGIN_ABI || abi_max < TL_PLUGIN_ABI) return NULL;
    table.struct_size = sizeof table;
    table.abi = TL_PLUGIN_ABI;
    table.name = "maintenance_window";
    table.version = "1.0.0";
    table.open = open_plugin;
    table.close = close_plugin;
    table.authorise = authorise;
    table.authenticate = authenticate;
    return &table;
}
