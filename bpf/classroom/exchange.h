/* Diffie-Hellman with p = 23 and g = 5: toy numbers, so that a class can do it on paper.
 *
 *   a sender without a key   OFFER  (A = g^a, its epoch)  in place of the message, which is held
 *   the other side           ANSWER (B = g^b, its epoch, the epoch it answers)
 *   both                     secret = B^a = A^b mod p
 *
 * Two OFFERs that cross are no trouble: a and b stay as they are, so both compute the same. An epoch
 * names the private value; an OFFER with another one than we know comes from a side that has begun
 * anew, and is met with a new private value of ours.
 */
#pragma once

/* 22 is the largest exponent that matters (Fermat), so five bits are enough. */
static __always_inline __u8 power(__u32 base, __u32 exponent)
{
	__u32 result = 1;

	for (int bit = 0; bit < 5; bit++) {
		if (exponent & 1 << bit)
			result = result * base % PRIME;
		base = base * base % PRIME;
	}
	return result;
}

static __always_inline void draw(struct peer *peer)
{
	peer->private_value = 1 + bpf_get_prandom_u32() % (PRIME - 2);
	peer->public_value = power(GENERATOR, peer->private_value);
	peer->epoch = bpf_get_prandom_u32() | 1;
}

static __always_inline struct peer *peer_of(struct pair *pair)
{
	struct peer *peer = bpf_map_lookup_elem(&peers, pair);
	struct peer fresh = {};

	if (peer)
		return peer;
	draw(&fresh);
	bpf_map_update_elem(&peers, pair, &fresh, BPF_NOEXIST);
	return bpf_map_lookup_elem(&peers, pair);
}

/* The secret of this moment, 0 when there is none. */
static __always_inline __u8 secret_of(struct peer *peer)
{
	__u8 secret;

	bpf_spin_lock(&peer->lock);
	secret = peer->their_epoch ? peer->secret : 0;
	bpf_spin_unlock(&peer->lock);
	return secret;
}

/* Is this payload a key exchange packet? Applications' own never look so: theirs are XORed. */
static __always_inline bool read_exchange(struct __sk_buff *skb, struct message *m,
					  struct exchange *x)
{
	if (m->part != WHOLE || m->size != sizeof(*x))
		return false;
	if (bpf_skb_load_bytes(skb, m->payload, x, sizeof(*x)))
		return false;
	for (int i = 0; i < MAGIC_OCTETS; i++)
		if (x->magic[i] != MAGIC[i])
			return false;
	return true;
}

/* Makes a key exchange packet of the frame, whatever it held: lengths and checksums are mended, all
 * else stays. Returns 0, or an error of a frame that cannot be changed any more. */
static __noinline int write_exchange(struct __sk_buff *skb, struct message *m, struct exchange *x)
{
	struct walk w = { .skb = skb, .offset = m->payload, .left = m->size };
	__be16 before = bpf_htons(m->size + UDP_HEADER);
	__be16 after = bpf_htons(sizeof(*x) + UDP_HEADER);
	__u32 check = m->transport + UDP_CHECK;
	__be16 total_before, total_after;

	if (m->size)
		bpf_loop(MAX_CHUNKS, sum_chunk, &w, 0);
	if (w.failed || w.left)
		return -1;
	w.difference = bpf_csum_diff(NULL, 0, (__be32 *)x, sizeof(*x), (__wsum)w.difference);
	if (skb->len != m->payload + sizeof(*x) &&
	    bpf_skb_change_tail(skb, m->payload + sizeof(*x), 0))
		return -1;
	if (bpf_skb_store_bytes(skb, m->payload, x, sizeof(*x), 0))
		return -1;
	if (bpf_l4_csum_replace(skb, check, 0, (__wsum)w.difference, BPF_F_MARK_MANGLED_0))
		return -1;
	if (before == after)
		return 0;
	/* RFC 768: the length is covered twice, in the UDP header and in the pseudo header. */
	if (bpf_skb_store_bytes(skb, m->transport + 4, &after, 2, 0) ||
	    bpf_l4_csum_replace(skb, check, before, after, BPF_F_MARK_MANGLED_0 | 2) ||
	    bpf_l4_csum_replace(skb, check, before, after,
				BPF_F_PSEUDO_HDR | BPF_F_MARK_MANGLED_0 | 2))
		return -1;
	if (m->version == 6) {
		total_after = bpf_htons(m->payload + sizeof(*x) - m->network - 40);
		return bpf_skb_store_bytes(skb, m->network + 4, &total_after, 2, 0);
	}
	total_after = bpf_htons(m->payload + sizeof(*x) - m->network);
	if (bpf_skb_load_bytes(skb, m->network + 2, &total_before, 2) ||
	    bpf_l3_csum_replace(skb, m->network + 10, total_before, total_after, 2))
		return -1;
	return bpf_skb_store_bytes(skb, m->network + 2, &total_after, 2, 0);
}

static __always_inline void fill_exchange(struct exchange *x, struct peer *peer, __u8 kind,
					  __u32 echo)
{
	__builtin_memcpy(x->magic, MAGIC, MAGIC_OCTETS);
	x->version = EXCHANGE_VERSION;
	x->kind = kind;
	x->prime = PRIME;
	x->generator = GENERATOR;
	x->public_value = bpf_htonl(peer->public_value);
	x->epoch = bpf_htonl(peer->epoch);
	x->echo = bpf_htonl(echo);
}

/* Back to where it came from: MAC addresses, IP addresses, ports. A sum does not mind the order. */
static __noinline int turn_round(struct __sk_buff *skb, struct message *m)
{
	__u8 one[16], other[16];
	__u8 hops = 64;

#define SWAP(first, second, octets)                                                          \
	do {                                                                                 \
		if (bpf_skb_load_bytes(skb, first, one, octets) ||                           \
		    bpf_skb_load_bytes(skb, second, other, octets) ||                        \
		    bpf_skb_store_bytes(skb, first, other, octets, 0) ||                     \
		    bpf_skb_store_bytes(skb, second, one, octets, 0))                        \
			return -1;                                                           \
	} while (0)

	SWAP(0, 6, 6);
	SWAP(m->transport, m->transport + 2, 2);
	if (m->version == 6) {
		SWAP(m->network + 8, m->network + 24, 16);
		/* It has come a long way already: the answer begins with a hop limit of its own. */
		return bpf_skb_store_bytes(skb, m->network + 7, &hops, 1, 0);
	}
	SWAP(m->network + 12, m->network + 16, 4);
#undef SWAP
	/* TTL and protocol are one word of the header's checksum. */
	if (bpf_skb_load_bytes(skb, m->network + 8, one, 2))
		return -1;
	other[0] = hops;
	other[1] = one[1];
	if (bpf_l3_csum_replace(skb, m->network + 10, *(__be16 *)one, *(__be16 *)other, 2))
		return -1;
	return bpf_skb_store_bytes(skb, m->network + 8, &hops, 1, 0);
}
