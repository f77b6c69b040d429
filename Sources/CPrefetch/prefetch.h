#ifndef CPREFETCH_H
#define CPREFETCH_H

/// Prefetches the cache line of an address. Never faults, whatever the address.
static inline void prefetch(const void *address) { __builtin_prefetch(address); }

#endif
