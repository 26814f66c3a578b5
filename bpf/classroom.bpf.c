// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
/* The classroom's two programs: what leaves UDP port 12345 is XORed, what comes to it is XORed back,
 * and before the first message the two sides agree on the octet, all of it in here.
 *
 *   egress   message ── key? ── yes ── count, print, XOR ── wire
 *                        └───── no ─── a copy to user space; the frame becomes an OFFER ── wire
 *   ingress  OFFER ───── new key ───── the frame becomes an ANSWER ── back to the wire
 *            ANSWER ──── new key ───── user space sends what it holds
 *            message ─── key? ── yes ── XOR, count, print ── application
 *                         └───── no ─── dropped; user space asks for a new exchange
 *
 * The kernel's own context (struct __sk_buff) is all that they read, and their maps carry BTF, so
 * one object runs on every kernel from 5.17 on, without that kernel's headers.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/pkt_cls.h>
#include <linux/udp.h>
#include <stdbool.h>
#include <stddef.h>

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>

#include "classroom/shared.h"
#include "classroom/maps.h"
#include "classroom/message.h"
#include "classroom/cipher.h"
#include "classroom/log.h"
#include "classroom/exchange.h"
#include "classroom/tell.h"

/* On, to whatever else looks at this frame: other programs, then the kernel. */
#define GOES_ON TC_ACT_UNSPEC
#define TOLD_AGAIN_NS 50000000ULL

/* The frame ends here, and its sender is told of success: TC_ACT_SHOT would be an error for it, and
 * would keep the kernel from sending the later fragments. No device has the index 0. */
static __always_inline int swallow(void)
{
	return bpf_redirect(0, 0);
}

static __always_inline void decide(struct message *m, __u32 direction, __u8 fate, __u8 secret)
{
	struct decision decision = { .fate = fate, .secret = secret };
	struct datagram datagram;

	datagram_of(m, direction, &datagram);
	bpf_map_update_elem(&fragments, &datagram, &decision, BPF_ANY);
}

static __always_inline int encipher(struct __sk_buff *skb, struct message *m, __u32 direction,
				    __u8 secret)
{
	__u32 check = m->part == WHOLE ? m->transport + UDP_CHECK : 0;

	if (direction == EGRESS && m->part != LATER)
		log_message(skb, m, direction, secret);
	if (xor_payload(skb, m->payload, m->size, check, secret)) {
		count(direction, FAILED, 1, m->size);
		return TC_ACT_SHOT;
	}
	if (direction == INGRESS && m->part != LATER)
		log_message(skb, m, direction, secret);
	/* The octets of later fragments belong to the message that the first one has begun. */
	count(direction, XORED, m->part != LATER, m->size);
	return GOES_ON;
}

/* An OFFER, out of whatever frame this is. */
static __noinline int offer(struct __sk_buff *skb, struct message *m, struct peer *peer)
{
	struct exchange x;

	fill_exchange(&x, peer, KIND_OFFER, 0);
	if (write_exchange(skb, m, &x)) {
		count(EGRESS, FAILED, 1, m->size);
		return TC_ACT_SHOT;
	}
	count(EGRESS, OFFER, 1, sizeof(x));
	LOG_ABOUT(m, EGRESS, "OFFER A = %u", peer->public_value);
	return GOES_ON;
}

/* No key yet: a copy waits in user space. Only a plain frame can become an OFFER; for others user
 * space, which sees it in the event, sends one that can. */
static __noinline int hold(struct __sk_buff *skb, struct message *m, struct peer *peer)
{
	bool plain = m->part == WHOLE && !skb->gso_size;

	if (m->part == FIRST)
		decide(m, EGRESS, FATE_HOLD, 0);
	if (tell_frame(skb, m, EVENT_HELD, skb->len, plain)) {
		count(EGRESS, LOST, m->part != LATER, m->size);
		return swallow();
	}
	__sync_fetch_and_add(&peer->handed_over, 1);
	count(EGRESS, HELD, m->part != LATER, m->size);
	return plain ? offer(skb, m, peer) : swallow();
}

/* Does user space still hold something for this peer, or is it on its way there? */
static __always_inline bool others_wait(struct message *m, struct peer *peer)
{
	__u32 *ready = bpf_map_lookup_elem(&done, &m->pair);

	return peer->handed_over != (ready ? *ready : 0);
}

static __always_inline int send_later(struct __sk_buff *skb, struct message *m)
{
	struct decision *decision;
	struct datagram datagram;
	struct peer *peer;

	datagram_of(m, EGRESS, &datagram);
	decision = bpf_map_lookup_elem(&fragments, &datagram);
	if (!decision)
		return GOES_ON;
	if (decision->fate == FATE_XOR)
		return encipher(skb, m, EGRESS, decision->secret);
	peer = bpf_map_lookup_elem(&peers, &m->pair);
	if (decision->fate == FATE_HOLD && peer)
		return hold(skb, m, peer);
	return TC_ACT_SHOT;
}

SEC("tc")
int classroom_egress(struct __sk_buff *skb)
{
	struct message m = {};
	struct peer *peer;
	__u32 mark = skb->mark;
	__u8 secret;

	switch (read_message(skb, &m, EGRESS)) {
	case NOT_OURS:
		return GOES_ON;
	case LIES:
		count(EGRESS, MALFORMED, 1, 0);
		return GOES_ON;
	case OURS:
		break;
	}
	if (m.group) {
		count(EGRESS, GROUP, m.part != LATER, m.size);
		return GOES_ON;
	}
	if (mark == MARK_ANSWER || mark == MARK_KNOCK || mark == MARK_RESEND)
		skb->mark = 0;
	if (mark == MARK_ANSWER)
		return GOES_ON;
	if (m.part == LATER)
		return send_later(skb, &m);
	peer = peer_of(&m.pair);
	if (!peer) {
		count(EGRESS, FULL, 1, m.size);
		if (m.part == FIRST)
			decide(&m, EGRESS, FATE_DROP, 0);
		return TC_ACT_SHOT;
	}
	secret = secret_of(peer);
	if (mark == MARK_KNOCK)
		return secret ? swallow() : offer(skb, &m, peer);
	if (!secret || (mark != MARK_RESEND && others_wait(&m, peer)))
		return hold(skb, &m, peer);
	if (m.part == FIRST)
		decide(&m, EGRESS, FATE_XOR, secret);
	return encipher(skb, &m, EGRESS, secret);
}

/* An OFFER gives a key and is sent back as an ANSWER. */
static __noinline int answer(struct __sk_buff *skb, struct message *m, struct exchange *x)
{
	__u32 epoch = bpf_ntohl(x->epoch);
	struct peer fresh = {}, copy = {};
	bool news, again;
	struct peer *peer = peer_of(&m->pair);

	if (!peer) {
		count(INGRESS, FULL, 1, m->size);
		return TC_ACT_SHOT;
	}
	draw(&fresh);
	bpf_spin_lock(&peer->lock);
	news = peer->their_epoch != epoch;
	again = news && peer->their_epoch;
	if (again) {
		peer->epoch = fresh.epoch;
		peer->private_value = fresh.private_value;
		peer->public_value = fresh.public_value;
	}
	peer->their_epoch = epoch;
	peer->their_public = bpf_ntohl(x->public_value);
	peer->secret = power(peer->their_public, peer->private_value);
	copy.epoch = peer->epoch;
	copy.public_value = peer->public_value;
	copy.their_public = peer->their_public;
	copy.secret = peer->secret;
	bpf_spin_unlock(&peer->lock);

	count(INGRESS, OFFER, 1, m->size);
	LOG_ABOUT(m, INGRESS, "OFFER B = %u", copy.their_public);
	if (news) {
		LOG_ABOUT(m, INGRESS, "secret = %u", copy.secret);
		tell_agreed(skb, m, &copy, again);
	}
	fill_exchange(x, &copy, KIND_ANSWER, epoch);
	if (turn_round(skb, m) || write_exchange(skb, m, x)) {
		count(EGRESS, FAILED, 1, m->size);
		return TC_ACT_SHOT;
	}
	count(EGRESS, ANSWER, 1, sizeof(*x));
	LOG_ABOUT(m, EGRESS, "ANSWER A = %u", copy.public_value);
	skb->mark = MARK_ANSWER;
	return bpf_redirect(skb->ifindex, 0);
}

/* An ANSWER to our OFFER gives the key, and goes no further. */
static __noinline int complete(struct __sk_buff *skb, struct message *m, struct exchange *x)
{
	struct peer *peer = bpf_map_lookup_elem(&peers, &m->pair);
	__u32 epoch = bpf_ntohl(x->epoch);
	bool ours, news = false, again = false;
	struct peer copy = {};

	if (!peer)
		goto refused;
	bpf_spin_lock(&peer->lock);
	ours = peer->epoch == bpf_ntohl(x->echo);
	if (ours) {
		news = peer->their_epoch != epoch;
		again = news && peer->their_epoch;
		peer->their_epoch = epoch;
		peer->their_public = bpf_ntohl(x->public_value);
		peer->secret = power(peer->their_public, peer->private_value);
		copy.public_value = peer->public_value;
		copy.their_public = peer->their_public;
		copy.secret = peer->secret;
	}
	bpf_spin_unlock(&peer->lock);
	if (!ours)
		goto refused;
	count(INGRESS, ANSWER, 1, m->size);
	LOG_ABOUT(m, INGRESS, "ANSWER B = %u", copy.their_public);
	if (news) {
		LOG_ABOUT(m, INGRESS, "secret = %u", copy.secret);
		tell_agreed(skb, m, &copy, again);
	}
	return TC_ACT_SHOT;
refused:
	count(INGRESS, REFUSED, 1, m->size);
	return TC_ACT_SHOT;
}

static __always_inline int receive_exchange(struct __sk_buff *skb, struct message *m,
					    struct exchange *x)
{
	__u32 their_public = bpf_ntohl(x->public_value);

	if (x->version == EXCHANGE_VERSION && x->prime == PRIME && x->generator == GENERATOR &&
	    x->epoch && their_public && their_public < PRIME) {
		if (x->kind == KIND_OFFER)
			return answer(skb, m, x);
		if (x->kind == KIND_ANSWER)
			return complete(skb, m, x);
	}
	count(INGRESS, REFUSED, 1, m->size);
	return TC_ACT_SHOT;
}

/* Never to the application as it is: the sender has a key that we do not have, or none. */
static __noinline int unreadable(struct __sk_buff *skb, struct message *m)
{
	struct peer *peer = peer_of(&m->pair);
	__u64 now = bpf_ktime_get_ns();

	count(INGRESS, UNREADABLE, m->part != LATER, m->size);
	if (m->part == FIRST)
		decide(m, INGRESS, FATE_DROP, 0);
	if (!peer) {
		count(INGRESS, FULL, 1, m->size);
		return TC_ACT_SHOT;
	}
	if (now - peer->told_at > TOLD_AGAIN_NS) {
		peer->told_at = now;
		LOG_ABOUT(m, INGRESS, "no key for it, dropped");
		tell_frame(skb, m, EVENT_UNREADABLE, skb->len, 0);
	}
	return TC_ACT_SHOT;
}

static __always_inline int receive_later(struct __sk_buff *skb, struct message *m)
{
	struct decision *decision;
	struct datagram datagram;

	datagram_of(m, INGRESS, &datagram);
	decision = bpf_map_lookup_elem(&fragments, &datagram);
	if (!decision)
		return GOES_ON;
	if (decision->fate == FATE_XOR)
		return encipher(skb, m, INGRESS, decision->secret);
	count(INGRESS, UNREADABLE, 0, m->size);
	return TC_ACT_SHOT;
}

SEC("tc")
int classroom_ingress(struct __sk_buff *skb)
{
	struct message m = {};
	struct exchange x;
	struct peer *peer;
	__u8 secret = 0;

	switch (read_message(skb, &m, INGRESS)) {
	case NOT_OURS:
		return GOES_ON;
	case LIES:
		count(INGRESS, MALFORMED, 1, 0);
		return GOES_ON;
	case OURS:
		break;
	}
	if (m.group) {
		count(INGRESS, GROUP, m.part != LATER, m.size);
		return GOES_ON;
	}
	if (m.part == LATER)
		return receive_later(skb, &m);
	if (read_exchange(skb, &m, &x))
		return receive_exchange(skb, &m, &x);
	peer = bpf_map_lookup_elem(&peers, &m.pair);
	if (peer)
		secret = secret_of(peer);
	if (!secret)
		return unreadable(skb, &m);
	if (m.part == FIRST)
		decide(&m, INGRESS, FATE_XOR, secret);
	return encipher(skb, &m, INGRESS, secret);
}

char LICENSE[] SEC("license") = "GPL";
