/* XOR over a payload, and the checksum that goes with it. */
#pragma once

#define CHUNK 64
#define MAX_CHUNKS (65536 / CHUNK + 1)
#define UDP_CHECK 6               /* offset of the checksum in the UDP header */

struct walk {
	struct __sk_buff *skb;
	__u64 mask;
	__s64 difference;  /* one's complement sum of the new octets less that of the old */
	__u32 offset;
	__u32 left;
	__u32 failed;
};

/* One chunk; the last one may be short. Returns 1 to end the loop. */
static long xor_chunk(__u32 index, struct walk *w)
{
	__u64 before[CHUNK / 8] = {}, after[CHUNK / 8];
	__u32 octets = w->left;

	if (octets >= CHUNK) {
		octets = CHUNK;
		if (bpf_skb_load_bytes(w->skb, w->offset, before, CHUNK))
			goto failed;
		for (int i = 0; i < CHUNK / 8; i++)
			after[i] = before[i] ^ w->mask;
		if (bpf_skb_store_bytes(w->skb, w->offset, after, CHUNK, 0))
			goto failed;
	} else {
		octets &= CHUNK - 1;
		if (!octets)
			return 1;
		if (bpf_skb_load_bytes(w->skb, w->offset, before, octets))
			goto failed;
		for (int i = 0; i < CHUNK / 8; i++)
			after[i] = before[i] ^ w->mask;
		if (bpf_skb_store_bytes(w->skb, w->offset, after, octets, 0))
			goto failed;
		/* Behind the payload the checksum sees zeros. */
		__builtin_memset(after, 0, sizeof(after));
		if (bpf_skb_load_bytes(w->skb, w->offset, after, octets))
			goto failed;
	}
	w->difference = bpf_csum_diff((__be32 *)before, CHUNK, (__be32 *)after, CHUNK,
				      (__wsum)w->difference);
	w->offset += octets;
	w->left -= octets;
	return w->left == 0;
failed:
	w->failed = 1;
	return 1;
}

/* XORs `size` octets at `payload`; `check` is the offset of a checksum to mend, or 0.
 *
 * A fragment has no checksum of its own: that of its datagram stays as it was, wrong on the way and
 * right again when the other side has undone the XOR. RFC 768: over IPv4 a checksum of 0 is none.
 */
static __noinline int xor_payload(struct __sk_buff *skb, __u32 payload, __u32 size, __u32 check,
				  __u32 secret)
{
	struct walk w = {
		.skb = skb,
		.mask = (secret & 0xff) * 0x0101010101010101ULL,
		.offset = payload,
		.left = size,
	};
	__u16 there = 0;

	if (!size)
		return 0;
	/* A message handed over by reference has its payload elsewhere; and a clone is not ours. */
	if (bpf_skb_pull_data(skb, payload + size))
		return -1;
	bpf_loop(MAX_CHUNKS, xor_chunk, &w, 0);
	if (w.failed || w.left)
		return -1;
	if (check && bpf_skb_load_bytes(skb, check, &there, sizeof(there)))
		return -1;
	if (!there) {
		/* Only for a network card that has summed the whole frame; others refuse it. */
		bpf_csum_update(skb, (__wsum)w.difference);
		return 0;
	}
	return bpf_l4_csum_replace(skb, check, 0, (__wsum)w.difference, BPF_F_MARK_MANGLED_0);
}

/* The one's complement sum of what is there, negated: what is to be added when it goes. */
static long sum_chunk(__u32 index, struct walk *w)
{
	__u64 before[CHUNK / 8] = {};
	__u32 octets = w->left;

	if (octets >= CHUNK) {
		octets = CHUNK;
		if (bpf_skb_load_bytes(w->skb, w->offset, before, CHUNK))
			goto failed;
	} else {
		octets &= CHUNK - 1;
		if (!octets)
			return 1;
		if (bpf_skb_load_bytes(w->skb, w->offset, before, octets))
			goto failed;
	}
	w->difference = bpf_csum_diff((__be32 *)before, CHUNK, NULL, 0, (__wsum)w->difference);
	w->offset += octets;
	w->left -= octets;
	return w->left == 0;
failed:
	w->failed = 1;
	return 1;
}
