/* From a frame to the UDP message in it. Everything is read with bounds, nothing is changed. */
#pragma once

#define ETH_HEADER 14
#define ETH_TYPE 12
#define UDP_HEADER 8
#define MAX_TAGS 2
#define MAX_EXTENSIONS 6
#define FRAGMENT_OFFSET 0x1fff
#define MORE_FRAGMENTS 0x2000
#define PACKET_OTHERHOST 3        /* <linux/if_packet.h> */

enum verdict { NOT_OURS, OURS, LIES };

struct message {
	struct pair pair;
	__u32 network;     /* offset of the IP header */
	__u32 transport;   /* offset of the UDP header; of a later fragment, its payload */
	__u32 end;         /* offset after the IP packet; Ethernet may pad behind it */
	__u32 payload;     /* offset of the first payload octet in this frame */
	__u32 size;        /* payload octets in this frame */
	__u32 id;          /* of a fragmented datagram */
	__u32 part;
	__u32 group;       /* to many at once */
	__u16 source_port;
	__u16 destination_port;
	__u8 version;
};

/* RFC 791, and RFC 4291 section 2.5.5.2 for the address. */
static __always_inline void map_address(__u8 *to, __be32 address)
{
	__builtin_memset(to, 0, 10);
	to[10] = to[11] = 0xff;
	__builtin_memcpy(to + 12, &address, 4);
}

static __always_inline bool read_ipv4(struct __sk_buff *skb, struct message *m, bool egress)
{
	struct iphdr ip;
	__u16 fragment;

	if (bpf_skb_load_bytes(skb, m->network, &ip, sizeof(ip)))
		return false;
	if (ip.version != 4 || ip.ihl < 5 || ip.protocol != IPPROTO_UDP)
		return false;
	map_address(m->pair.local, egress ? ip.saddr : ip.daddr);
	map_address(m->pair.remote, egress ? ip.daddr : ip.saddr);
	fragment = bpf_ntohs(ip.frag_off);
	m->part = fragment & FRAGMENT_OFFSET ? LATER : fragment & MORE_FRAGMENTS ? FIRST : WHOLE;
	m->id = bpf_ntohs(ip.id);
	m->transport = m->network + ip.ihl * 4;
	m->end = m->network + bpf_ntohs(ip.tot_len);
	m->version = 4;
	return true;
}

/* RFC 8200 section 4: which extension headers may stand before UDP. */
static __always_inline bool read_ipv6(struct __sk_buff *skb, struct message *m, bool egress)
{
	struct ipv6hdr ip;
	__u32 offset = m->network + sizeof(ip);
	__u8 next;

	if (bpf_skb_load_bytes(skb, m->network, &ip, sizeof(ip)) || ip.version != 6)
		return false;
	__builtin_memcpy(m->pair.local, egress ? &ip.saddr : &ip.daddr, 16);
	__builtin_memcpy(m->pair.remote, egress ? &ip.daddr : &ip.saddr, 16);
	m->end = offset + bpf_ntohs(ip.payload_len);
	m->version = 6;
	m->part = WHOLE;
	next = ip.nexthdr;
	for (int i = 0; i < MAX_EXTENSIONS && next != IPPROTO_UDP; i++) {
		__u8 header[8];
		__u16 fragment;

		if (bpf_skb_load_bytes(skb, offset, header, sizeof(header)))
			return false;
		if (next == IPPROTO_FRAGMENT) {
			fragment = header[2] << 8 | header[3];
			m->id = (__u32)header[4] << 24 | header[5] << 16 | header[6] << 8 | header[7];
			m->part = fragment >> 3 ? LATER : fragment & 1 ? FIRST : WHOLE;
			offset += 8;
		} else if (next == IPPROTO_HOPOPTS || next == IPPROTO_ROUTING || next == IPPROTO_DSTOPTS) {
			offset += 8 + header[1] * 8;
		} else {
			return false;
		}
		next = header[0];
		if (m->part == LATER)
			break;
	}
	m->transport = offset;
	return next == IPPROTO_UDP;
}

static __always_inline void datagram_of(const struct message *m, __u32 direction,
					struct datagram *datagram)
{
	datagram->pair = m->pair;
	datagram->id = m->id;
	datagram->direction = direction;
}

/* A later fragment is ours when the first one was. */
static __always_inline enum verdict read_later(struct message *m, __u32 direction)
{
	struct datagram datagram;

	datagram_of(m, direction, &datagram);
	if (!bpf_map_lookup_elem(&fragments, &datagram))
		return NOT_OURS;
	m->payload = m->transport;
	m->size = m->end - m->transport;
	return OURS;
}

static __always_inline enum verdict read_udp(struct __sk_buff *skb, struct message *m,
					     __u32 direction)
{
	struct udphdr udp;
	__u32 length;

	if (bpf_skb_load_bytes(skb, m->transport, &udp, sizeof(udp)))
		return NOT_OURS;
	m->source_port = bpf_ntohs(udp.source);
	m->destination_port = bpf_ntohs(udp.dest);
	if (m->source_port != config.port && m->destination_port != config.port) {
		if (m->part == FIRST) {
			/* Identifications come round: what is known of this one is history. */
			struct datagram datagram;

			datagram_of(m, direction, &datagram);
			bpf_map_delete_elem(&fragments, &datagram);
		}
		return NOT_OURS;
	}
	length = bpf_ntohs(udp.len);
	m->payload = m->transport + UDP_HEADER;
	if (m->end > skb->len || m->end < m->payload || length < UDP_HEADER)
		return LIES;
	if (m->part == WHOLE && m->transport + length > m->end)
		return LIES;
	if (m->part == FIRST && m->transport + length <= m->end)
		return LIES;
	m->size = m->part == WHOLE ? length - UDP_HEADER : m->end - m->payload;
	return OURS;
}

static __noinline enum verdict read_message(struct __sk_buff *skb, struct message *m,
					    __u32 direction)
{
	bool egress = direction == EGRESS;
	__u8 destination;
	__be16 type;
	bool known;

	/* Not for this host: an interface that hears everything hears these too. */
	if (!egress && skb->pkt_type == PACKET_OTHERHOST)
		return NOT_OURS;
	if (bpf_skb_load_bytes(skb, 0, &destination, 1))
		return NOT_OURS;
	m->group = destination & 1;
	m->network = ETH_HEADER;
	if (bpf_skb_load_bytes(skb, ETH_TYPE, &type, sizeof(type)))
		return NOT_OURS;
	for (int i = 0; i < MAX_TAGS; i++) {
		if (type != bpf_htons(ETH_P_8021Q) && type != bpf_htons(ETH_P_8021AD))
			break;
		m->network += 4;
		if (bpf_skb_load_bytes(skb, m->network - 2, &type, sizeof(type)))
			return NOT_OURS;
	}
	if (type == bpf_htons(ETH_P_IP))
		known = read_ipv4(skb, m, egress);
	else if (type == bpf_htons(ETH_P_IPV6))
		known = read_ipv6(skb, m, egress);
	else
		return NOT_OURS;
	if (!known)
		return NOT_OURS;
	if (m->part != LATER)
		return read_udp(skb, m, direction);
	if (m->end > skb->len || m->end < m->transport)
		return NOT_OURS;
	return read_later(m, direction);
}
