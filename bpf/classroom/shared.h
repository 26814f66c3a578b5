/* What the programs and user space both know. rust/python/src/layout.rs has the same, and each
 * side asserts the sizes, so that neither can change alone. Host byte order unless said otherwise.
 */
#pragma once

#define PRIME 23
#define GENERATOR 5

#define MAGIC "HUSHWIRE-LESSON!"
#define MAGIC_OCTETS 16
#define EXCHANGE_VERSION 1

#define LABEL_OCTETS 16
#define MAX_PEERS 1024
#define MAX_DATAGRAMS 1024        /* whose fragments are followed at one time */
#define SMALL_FRAME 2048          /* a record of the ring buffer for most frames */
#define LARGE_FRAME (65536 + 64)  /* and for the largest that IP can have */
#define EVENTS_OCTETS (1 << 21)

/* Only sockets with CAP_NET_ADMIN can set a mark. */
#define MARK_KNOCK 0x68770001u    /* user space asks for an OFFER to the frame's destination */
#define MARK_RESEND 0x68770002u   /* a message that was held comes back */
#define MARK_ANSWER 0x68770003u   /* an ANSWER of our own on its way out */

enum direction { EGRESS, INGRESS, DIRECTIONS };

/* What becomes of a message. `outcomes` in layout.rs has the names in this order. */
enum outcome {
	XORED,       /* left, or was delivered, with a key */
	HELD,        /* egress: handed to user space until there is a key */
	LOST,        /* egress: could not be handed over, so it is gone */
	UNREADABLE,  /* ingress: no key for this sender; dropped */
	MALFORMED,   /* its lengths lie; not touched, the kernel itself drops it */
	GROUP,       /* to many at once, who share no key; not touched */
	FAILED,      /* the kernel had no memory to change it; dropped */
	FULL,        /* no room for one more peer; dropped */
	OFFER,       /* a key exchange packet, out or in, by the direction */
	ANSWER,
	REFUSED,     /* ingress: a key exchange packet that answers nothing we asked, or is wrong */
	OUTCOMES,
};

struct config {
	char label[LABEL_OCTETS];
	__u16 port;
};
_Static_assert(sizeof(struct config) == 18, "layout.rs: CONFIG_OCTETS");

/* IPv4 addresses as ::ffff:a.b.c.d. */
struct pair {
	__u8 local[16];
	__u8 remote[16];
};
_Static_assert(sizeof(struct pair) == 32, "layout.rs: Pair");

struct peer {
	struct bpf_spin_lock lock;
	__u32 epoch;        /* names our private value to the other side */
	__u32 their_epoch;  /* 0: there is no key yet */
	__u8 private_value;
	__u8 public_value;
	__u8 their_public;
	__u8 secret;
	__u64 told_at;      /* ns; when user space last heard that they cannot be read */
	__u32 handed_over;  /* frames that went to user space, to be held */
	__u32 reserved;
};
_Static_assert(sizeof(struct peer) == 32, "layout.rs: Peer");

struct count {
	__u64 messages;
	__u64 octets;       /* of payload */
};
_Static_assert(sizeof(struct count) == 16, "layout.rs: Count");

enum event_kind {
	EVENT_HELD = 1,     /* a frame to keep and send again */
	EVENT_AGREED,       /* there is a key now, or another one */
	EVENT_UNREADABLE,   /* a frame whose sender needs a new exchange */
};

enum part { WHOLE, FIRST, LATER };  /* of a datagram */

/* The frame, from its Ethernet header on, follows. */
struct event {
	__u32 kind;
	__u32 length;       /* octets of the frame */
	struct pair pair;
	__u32 gso_size;     /* payload octets of each message when the frame holds several, else 0 */
	__u16 vlan_tci;     /* a tag that is not in the frame, when vlan_proto is not 0 */
	__u16 vlan_proto;   /* network byte order */
	__u8 public_value;
	__u8 their_public;
	__u8 secret;
	__u8 flag;          /* HELD: an OFFER went out in its place. AGREED: it replaced a key */
	__u16 network;      /* offset of the IP header in the frame */
	__u16 transport;    /* offset of the UDP header, or of a later fragment's payload */
	__u16 source_port;  /* 0 in a later fragment */
	__u16 destination_port;
	__u8 part;          /* enum part */
	__u8 reserved[3];
};
_Static_assert(sizeof(struct event) == 64, "layout.rs: Event");

/* The payload of a key exchange packet: network byte order, nothing but octets to align. */
struct exchange {
	__u8 magic[MAGIC_OCTETS];
	__u8 version;
	__u8 kind;
	__u8 prime;
	__u8 generator;
	__be32 public_value;
	__be32 epoch;
	__be32 echo;        /* in an ANSWER, the epoch of the OFFER that it answers */
};
_Static_assert(sizeof(struct exchange) == 32, "src/hushwire/classroom/exchange.py: OCTETS");

enum exchange_kind { KIND_OFFER = 1, KIND_ANSWER = 2 };

/* The kernel's context, of which a test run writes two members. */
_Static_assert(sizeof(struct __sk_buff) == 192, "layout.rs: CONTEXT_OCTETS");
_Static_assert(__builtin_offsetof(struct __sk_buff, mark) == 8, "layout.rs: CONTEXT_MARK");
_Static_assert(__builtin_offsetof(struct __sk_buff, gso_size) == 176, "layout.rs: CONTEXT_GSO_SIZE");
