// The C client of NATS: https://github.com/nats-io/nats.c, Debian's libnats-dev.
#include <nats/nats.h>
