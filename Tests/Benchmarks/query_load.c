// Requests of many connections to the service, one under way on each: a client in C, so that the service is what is measured.
//   cc -O2 query_load.c -o query_load && ./query_load PORT CONNECTIONS SECONDS ws|post MESSAGE END
// Sends MESSAGE on each connection, as a WebSocket message or as the body of `POST /query`. An answer is complete with the WebSocket message
// that contains END, or with the response. One thread. An answer that contains ":error" or a response other than 200 ends the program.
// Prints one line of JSON: count, seconds, requests per second, median and 99th percentile of the time to the answer in microseconds,
// and the client's own CPU time in microseconds for each request, to show what it costs the measurement.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { maxConnections = 4096, maxAnswerBytes = 1 << 20, maxMicroseconds = 1 << 20 };

struct connection {
    int socket;
    double sent;
    size_t filled;
    char received[maxAnswerBytes];
};

static char request[1 << 16];
static size_t requestBytes;
static const char *end;
static bool isPost;
static uint32_t histogram[maxMicroseconds];

static double seconds(clockid_t clock) {
    struct timespec time;
    clock_gettime(clock, &time);
    return time.tv_sec + time.tv_nsec / 1e9;
}

static void fail(const char *what, const char *bytes, size_t count) {
    fprintf(stderr, "query_load: %s%s%.*s\n", what, count ? ": " : "", (int)(count < 500 ? count : 500), bytes);
    exit(1);
}

static void failure(const char *what) { fail(what, strerror(errno), strlen(strerror(errno))); }

static void sendAll(int socket, const char *bytes, size_t count) {
    // A request is small, and the previous one is answered: the kernel takes it whole.
    if (send(socket, bytes, count, MSG_NOSIGNAL) != (ssize_t)count) failure("send");
}

static int openSocket(int port) {
    int one = 1, handle = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (handle < 0 || connect(handle, (struct sockaddr *)&address, sizeof address) != 0) failure("connect");
    setsockopt(handle, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return handle;
}

/// Upgrades the connection; the service greets with a message, which may follow the response at once.
static void upgrade(struct connection *connection, int port) {
    char head[512];
    int count = snprintf(head, sizeof head,
                         "GET /ws HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                         "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n",
                         port);
    sendAll(connection->socket, head, count);
    char *found = NULL;
    while (!found) {
        ssize_t got = recv(connection->socket, connection->received + connection->filled, maxAnswerBytes - connection->filled, 0);
        if (got <= 0) failure("handshake");
        connection->filled += got;
        found = memmem(connection->received, connection->filled, "\r\n\r\n", 4);
    }
    if (strncmp(connection->received, "HTTP/1.1 101", 12) != 0) fail("handshake", connection->received, connection->filled);
    connection->filled -= found + 4 - connection->received;
    memmove(connection->received, found + 4, connection->filled);
}

static void prepare(int port, const char *message) {
    size_t count = strlen(message);
    if (count > sizeof request - 512) fail("the message is too long", "", 0);
    if (isPost) {
        requestBytes = snprintf(request, sizeof request,
                                "POST /query HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
                                port, count, message);
        return;
    }
    request[requestBytes++] = (char)0x81;
    if (count < 126) {
        request[requestBytes++] = (char)(0x80 | count);
    } else {
        request[requestBytes++] = (char)(0x80 | 126);
        request[requestBytes++] = (char)(count >> 8);
        request[requestBytes++] = (char)count;
    }
    // The masking key is zero, so that the payload is the text itself.
    memset(request + requestBytes, 0, 4);
    memcpy(request + requestBytes + 4, message, count);
    requestBytes += 4 + count;
}

/// The bytes of the first WebSocket message or response, or 0 while it is incomplete. Sets whether it completes the answer.
static size_t nextMessage(const char *bytes, size_t count, bool *isLast) {
    const char *text = bytes;
    size_t length = 0;
    if (isPost) {
        const char *body = memmem(bytes, count, "\r\n\r\n", 4);
        if (!body) return 0;
        if (strncmp(bytes, "HTTP/1.1 200", 12) != 0) fail("response", bytes, count);
        for (const char *line = bytes; line < body; line = (char *)memchr(line, '\n', count) + 1) {
            if (strncasecmp(line, "content-length:", 15) == 0) length = strtoul(line + 15, NULL, 10);
            if (strncasecmp(line, "connection: close", 17) == 0) fail("the service closes the connection", bytes, count);
        }
        if (length == 0) fail("a response without content-length", bytes, count);
        text = body + 4;
        *isLast = true;
    } else {
        if (count < 2) return 0;
        size_t header = 2;
        length = bytes[1] & 127;
        if (length >= 126) {
            header += length == 126 ? 2 : 8;
            if (count < header) return 0;
            length = 0;
            for (size_t index = 2; index < header; index++) length = length << 8 | (uint8_t)bytes[index];
        }
        text = bytes + header;
    }
    size_t whole = text - bytes + length;
    if (whole > maxAnswerBytes) fail("the answer is too long", "", 0);
    if (count < whole) return 0;
    if (memmem(text, length, ":error\"", 7) || memmem(text, length, "\"type\":\"error\"", 14)) fail("error", text, length);
    if (!isPost) *isLast = memmem(text, length, end, strlen(end)) != NULL;
    return whole;
}

static void start(struct connection *connection, double now) {
    connection->sent = now;
    sendAll(connection->socket, request, requestBytes);
}

/// Takes what has arrived; sends the next request when the answer is complete. Returns how many answers were.
static int receive(struct connection *connection, bool mayContinue) {
    if (connection->filled == maxAnswerBytes) fail("the answer is too long", "", 0);
    ssize_t got = recv(connection->socket, connection->received + connection->filled, maxAnswerBytes - connection->filled, 0);
    if (got < 0) failure("recv");
    if (got == 0) fail("the service closed the connection", connection->received, connection->filled);
    connection->filled += got;
    size_t at = 0, taken;
    int answers = 0;
    bool isLast = false;
    while ((taken = nextMessage(connection->received + at, connection->filled - at, &isLast)) > 0) {
        at += taken;
        answers += isLast;
    }
    memmove(connection->received, connection->received + at, connection->filled - at);
    connection->filled -= at;
    if (answers == 0) return 0;
    double now = seconds(CLOCK_MONOTONIC);
    size_t microseconds = (now - connection->sent) * 1e6;
    histogram[microseconds < maxMicroseconds ? microseconds : maxMicroseconds - 1]++;
    if (mayContinue) start(connection, now);
    return answers;
}

static size_t percentile(long count, double share) {
    long seen = 0;
    for (size_t value = 0; value < maxMicroseconds; value++) {
        seen += histogram[value];
        if (seen >= count * share) return value;
    }
    return maxMicroseconds;
}

int main(int argc, char **argv) {
    if (argc != 7) fail("expected PORT CONNECTIONS SECONDS ws|post MESSAGE END", "", 0);
    int port = atoi(argv[1]), clients = atoi(argv[2]), poll = epoll_create1(0);
    double duration = atof(argv[3]);
    isPost = strcmp(argv[4], "post") == 0;
    end = argv[6];
    if (clients < 1 || clients > maxConnections || duration <= 0 || duration > 600) fail("expected 1 to 4096 connections, up to 600 s", "", 0);
    prepare(port, argv[5]);
    for (int index = 0; index < clients; index++) {
        struct connection *connection = malloc(sizeof *connection);
        if (!connection) failure("memory");
        connection->filled = 0;
        connection->socket = openSocket(port);
        if (!isPost) upgrade(connection, port);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
        if (epoll_ctl(poll, EPOLL_CTL_ADD, connection->socket, &event) != 0) failure("epoll");
        start(connection, seconds(CLOCK_MONOTONIC));
    }
    double begun = seconds(CLOCK_MONOTONIC), used = seconds(CLOCK_PROCESS_CPUTIME_ID);
    long count = 0;
    for (int waiting = clients; waiting > 0;) {
        struct epoll_event events[64];
        int ready = epoll_wait(poll, events, 64, 30000);
        if (ready == 0) fail("no answer within 30 s", "", 0);
        if (ready < 0 && errno != EINTR) failure("epoll");
        bool mayContinue = seconds(CLOCK_MONOTONIC) - begun < duration;
        for (int index = 0; index < ready; index++) {
            int answers = receive(events[index].data.ptr, mayContinue);
            if (answers > 1) fail("more than one answer", "", 0);
            count += answers;
            if (answers && !mayContinue) waiting--;
        }
    }
    double elapsed = seconds(CLOCK_MONOTONIC) - begun;
    printf("{\"count\": %ld, \"seconds\": %.6f, \"rate\": %.1f, \"median_us\": %zu, \"p99_us\": %zu, \"client_us\": %.2f}\n", count, elapsed,
           count / elapsed, percentile(count, 0.5), percentile(count, 0.99), (seconds(CLOCK_PROCESS_CPUTIME_ID) - used) / count * 1e6);
    return 0;
}
