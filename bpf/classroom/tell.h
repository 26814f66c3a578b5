/* What user space is told, and what it keeps for us: one record of the ring buffer each. */
#pragma once

static __always_inline void describe(struct event *event, struct __sk_buff *skb,
				     const struct message *m, __u32 kind)
{
	__builtin_memset(event, 0, sizeof(*event));
	event->kind = kind;
	event->pair = m->pair;
	event->network = m->network;
	event->transport = m->transport;
	event->source_port = m->source_port;
	event->destination_port = m->destination_port;
	event->part = m->part;
	if (skb->vlan_present) {
		event->vlan_tci = skb->vlan_tci;
		event->vlan_proto = skb->vlan_proto;
	}
}

/* Records have two sizes, because the verifier wants to know one when it reads the program. */
#define HAND_OVER(room)                                                                      \
	do {                                                                                 \
		struct { struct event event; __u8 frame[room]; } *record;                    \
		record = bpf_ringbuf_reserve(&events, sizeof(*record), 0);                   \
		if (!record)                                                                 \
			return -1;                                                           \
		describe(&record->event, skb, m, kind);                                      \
		record->event.flag = flag;                                                   \
		record->event.gso_size = skb->gso_size;                                      \
		record->event.length = octets;                                               \
		if (bpf_skb_load_bytes(skb, 0, record->frame, octets)) {                     \
			bpf_ringbuf_discard(record, 0);                                      \
			return -1;                                                           \
		}                                                                            \
		bpf_ringbuf_submit(record, 0);                                               \
		return 0;                                                                    \
	} while (0)

static __noinline int tell_frame(struct __sk_buff *skb, struct message *m, __u32 kind, __u32 octets,
				 __u32 flag)
{
	if (octets < 1)
		return -1;
	if (octets <= SMALL_FRAME)
		HAND_OVER(SMALL_FRAME);
	if (octets <= LARGE_FRAME)
		HAND_OVER(LARGE_FRAME);
	return -1;
}

static __noinline int tell_agreed(struct __sk_buff *skb, struct message *m, struct peer *copy,
				  __u32 again)
{
	struct event *event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);

	if (!event)
		return -1;
	describe(event, skb, m, EVENT_AGREED);
	event->public_value = copy->public_value;
	event->their_public = copy->their_public;
	event->secret = copy->secret;
	event->flag = again;
	bpf_ringbuf_submit(event, 0);
	return 0;
}
