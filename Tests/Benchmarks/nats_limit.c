// What the broker and its C client do without us: COUNT messages of SIZE bytes into a stream, each with the expected last sequence, up to 4,096
// unacknowledged, while an ordered consumer reads them. Prints messages per second.
//   cc nats_limit.c -o nats_limit -lnats -lpthread && ./nats_limit nats://127.0.0.1:4222 100000 200
#include <nats/nats.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static atomic_long acknowledged;
static long count;

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec + time.tv_nsec / 1e9;
}

static void check(natsStatus status, const char *what) {
    if (status == NATS_OK) return;
    fprintf(stderr, "%s: %s\n", what, natsStatus_GetText(status));
    exit(1);
}

static void acknowledge(natsConnection *connection, natsSubscription *subscription, natsMsg *message, void *closure) {
    if (strncmp(natsMsg_GetData(message), "{\"stream\"", 9) != 0) {
        fprintf(stderr, "%s\n", natsMsg_GetData(message));
        exit(1);
    }
    natsMsg_Destroy(message);
    atomic_fetch_add(&acknowledged, 1);
}

static void *consume(void *url) {
    natsConnection *connection;
    jsCtx *context;
    natsSubscription *subscription;
    jsSubOptions options;
    check(natsConnection_ConnectTo(&connection, url), "connect");
    check(natsConnection_JetStream(&context, connection, NULL), "JetStream");
    jsSubOptions_Init(&options);
    options.Ordered = true;
    check(js_SubscribeSync(&subscription, context, "limit", NULL, &options, NULL), "subscribe");
    for (long received = 0; received < count; received++) {
        natsMsg *message;
        check(natsSubscription_NextMsg(&message, subscription, 30000), "next");
        natsMsg_Destroy(message);
    }
    return NULL;
}

int main(int argc, char **argv) {
    if (argc != 4) return 64;
    count = atol(argv[2]);
    int size = atoi(argv[3]);
    char *data = calloc(size, 1), inbox[] = "limit_acks.*";
    natsConnection *connection;
    jsCtx *context;
    jsStreamConfig config;
    const char *subjects[] = {"limit"};
    natsSubscription *acks;
    check(natsConnection_ConnectTo(&connection, argv[1]), "connect");
    check(natsConnection_JetStream(&context, connection, NULL), "JetStream");
    jsStreamConfig_Init(&config);
    config.Name = "limit";
    config.Subjects = subjects;
    config.SubjectsLen = 1;
    js_DeleteStream(context, "limit", NULL, NULL);
    check(js_AddStream(NULL, context, &config, NULL, NULL), "create");
    check(natsConnection_Subscribe(&acks, connection, inbox, acknowledge, NULL), "subscribe");
    double start = now();
    pthread_t reader;
    pthread_create(&reader, NULL, consume, argv[1]);
    for (long sequence = 0; sequence < count; sequence++) {
        while (sequence - atomic_load(&acknowledged) >= 4096) nats_Sleep(1);
        char answer[40], expected[24];
        snprintf(answer, sizeof answer, "limit_acks.%ld", sequence);
        snprintf(expected, sizeof expected, "%ld", sequence);
        natsMsg *message;
        check(natsMsg_Create(&message, "limit", answer, data, size), "create");
        check(natsMsgHeader_Set(message, "Nats-Expected-Last-Sequence", expected), "header");
        check(natsConnection_PublishMsg(connection, message), "publish");
        natsMsg_Destroy(message);
    }
    pthread_join(reader, NULL);
    printf("%.0f\n", count / (now() - start));
    js_DeleteStream(context, "limit", NULL, NULL);
    return 0;
}
