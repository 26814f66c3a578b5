/* The state: peers, fragments under way, counters, and the way to user space. */
#pragma once

const volatile struct config config;

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_PEERS);
	__type(key, struct pair);
	__type(value, struct peer);
} peers SEC(".maps");

/* How many of a peer's frames user space has held and is done with: sent or given up. As long as that
 * is not all that were handed over, later messages queue up behind them, so that none overtakes
 * another. Only user space writes here. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_PEERS);
	__type(key, struct pair);
	__type(value, __u32);
} done SEC(".maps");

/* A later fragment names no ports. What was decided for the first one holds for all of them. */
struct datagram {
	struct pair pair;
	__u32 id;
	__u32 direction;
};

enum fate { FATE_XOR = 1, FATE_HOLD, FATE_DROP };

struct decision {
	__u8 fate;
	__u8 secret;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, MAX_DATAGRAMS);
	__type(key, struct datagram);
	__type(value, struct decision);
} fragments SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, DIRECTIONS * OUTCOMES);
	__type(key, __u32);
	__type(value, struct count);
} counts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, EVENTS_OCTETS);
} events SEC(".maps");

static __always_inline void count(__u32 direction, __u32 outcome, __u32 messages, __u32 octets)
{
	__u32 index = direction * OUTCOMES + outcome;
	struct count *counter = bpf_map_lookup_elem(&counts, &index);

	if (counter) {
		counter->messages += messages;
		counter->octets += octets;
	}
}
