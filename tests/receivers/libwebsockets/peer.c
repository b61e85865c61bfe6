/* The receiver of libwebsockets: see tests/receivers/README.md. */
#include <libwebsockets.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct session {
    char id[32];
    unsigned char *data;
    size_t length;
    int is_open, code;
};

static int open_clients;

static void say_message(struct session *session, int is_binary)
{
    printf("%s %s ", session->id, is_binary ? "binary" : "text");
    for (size_t i = 0; i < session->length; i++)
        printf("%02x", session->data[i]);
    printf("\n");
    fflush(stdout);
    session->length = 0;
}

static void say_end(struct session *session, const char *failed)
{
    printf("%s end %d %s\n", session->id, session->code ? session->code : 1006, failed);
    fflush(stdout);
    free(session->data);
    session->data = NULL;
    session->is_open = 0;
}

static int receive(struct lws *wsi, struct session *session, const void *in, size_t length)
{
    unsigned char *data = realloc(session->data, session->length + length + 1);
    if (!data)
        return -1;
    session->data = data;
    memcpy(data + session->length, in, length);
    session->length += length;
    if (lws_is_final_fragment(wsi) && !lws_remaining_packet_payload(wsi))
        say_message(session, lws_frame_is_binary(wsi));
    return 0;
}

/* What inflates to more than this buffer holds, 32 KiB at most, it loses or never
 * ends to wait for, where TCP cuts the frame; of any peer's, and without a filter. */
static void take_whole_messages(struct lws *wsi)
{
    lws_set_extension_option(wsi, "permessage-deflate", "rx_buf_size", "15");
}

static int on_event(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t length)
{
    struct session *session = user;
    char query[64];

    switch (reason) {
    case LWS_CALLBACK_ESTABLISHED:
        memset(session, 0, sizeof *session);
        if (lws_hdr_copy(wsi, query, sizeof query, WSI_TOKEN_HTTP_URI_ARGS) < 4)
            return -1;
        snprintf(session->id, sizeof session->id, "%.31s", query + strlen("id="));
        session->is_open = 1;
        take_whole_messages(wsi);
        break;
    case LWS_CALLBACK_CLIENT_ESTABLISHED:
        session->is_open = 1;
        take_whole_messages(wsi);
        break;
    case LWS_CALLBACK_RECEIVE:
    case LWS_CALLBACK_CLIENT_RECEIVE:
        return receive(wsi, session, in, length);
    case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE:
        if (length >= 2)
            session->code = ((unsigned char *)in)[0] << 8 | ((unsigned char *)in)[1];
        break;
    case LWS_CALLBACK_CLOSED:
        if (session && session->is_open)
            say_end(session, "");
        break;
    case LWS_CALLBACK_CLIENT_CONNECTION_ERROR:
    case LWS_CALLBACK_CLIENT_CLOSED:
        if (session) {
            say_end(session, in && reason == LWS_CALLBACK_CLIENT_CONNECTION_ERROR ? (char *)in : "");
            open_clients--;
        }
        break;
    default:
        break;
    }
    return 0;
}

static const struct lws_protocols protocols[] = {
    {"receiver", on_event, sizeof(struct session), 32768, 0, NULL, 0},
    {NULL, NULL, 0, 0, 0, NULL, 0},
};

static const struct lws_extension extensions[] = {
    {"permessage-deflate", lws_extension_callback_pm_deflate,
     "permessage-deflate; client_max_window_bits"},
    {NULL, NULL, NULL},
};

static int connect_all(struct lws_context *context, struct lws_vhost *vhost, const char *url, int first, int count)
{
    struct lws_client_connect_info info;
    char host[64], target[64];
    int port;

    if (sscanf(url, "ws://%63[^:]:%d", host, &port) != 2)
        return 2;
    struct session *sessions = calloc((size_t)count, sizeof *sessions);
    for (int i = 0; sessions && i < count; i++) {
        snprintf(sessions[i].id, sizeof sessions[i].id, "%d", first + i);
        snprintf(target, sizeof target, "/%d?id=%d", (first + i) % 10, first + i);
        memset(&info, 0, sizeof info);
        info.context = context;
        info.vhost = vhost;
        info.local_protocol_name = protocols[0].name;
        info.address = info.host = info.origin = host;
        info.port = port;
        info.path = target;
        info.userdata = &sessions[i];
        info.ietf_version_or_minus_one = -1;
        open_clients++;
        lws_client_connect_via_info(&info);
    }
    while (open_clients > 0 && lws_service(context, 0) >= 0)
        ;
    free(sessions);
    return 0;
}

int main(int count, char **arguments)
{
    struct lws_context_creation_info info;
    int is_server = count == 2 && !strcmp(arguments[1], "server");

    if (!is_server && count != 5)
        return 2;
    signal(SIGPIPE, SIG_IGN);
    lws_set_log_level(LLL_ERR, NULL);
    memset(&info, 0, sizeof info);
    info.port = CONTEXT_PORT_NO_LISTEN;
    info.protocols = protocols;
    info.extensions = extensions;
    info.options = LWS_SERVER_OPTION_EXPLICIT_VHOSTS;
    info.timeout_secs = 120;
    struct lws_context *context = lws_create_context(&info);
    if (!context)
        return 1;
    if (is_server) {
        info.port = 0;
        info.iface = "127.0.0.1";
    }
    struct lws_vhost *host = lws_create_vhost(context, &info);
    if (!host)
        return 1;
    if (!is_server)
        return connect_all(context, host, arguments[2], atoi(arguments[3]), atoi(arguments[4]));
    printf("%d\n", lws_get_vhost_listen_port(host));
    fflush(stdout);
    while (lws_service(context, 0) >= 0)
        ;
    return 0;
}
