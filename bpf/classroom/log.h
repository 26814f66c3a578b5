/* What the class reads in trace_pipe. */
#pragma once

#define SHOWN 32                  /* payload octets */

static __always_inline const char *name_of(__u32 direction)
{
	return direction == EGRESS ? "egress" : "ingress";
}

/* A message in clear: before the XOR when it leaves, after it when it came. */
static __noinline int log_message(struct __sk_buff *skb, struct message *m, __u32 direction,
				  __u32 secret)
{
	const __u8 *from = direction == EGRESS ? m->pair.local : m->pair.remote;
	const __u8 *to = direction == EGRESS ? m->pair.remote : m->pair.local;
	char text[SHOWN + 1] = {};
	__u32 size = m->size;

	if (size > SHOWN)
		size = SHOWN;
	if (size && bpf_skb_load_bytes(skb, m->payload, text, size))
		return 0;
	for (int i = 0; i < SHOWN; i++)
		if (i < size && (text[i] < ' ' || text[i] > '~'))
			text[i] = '.';
	if (m->version == 4)
		bpf_printk("hushwire %s %s %pI4:%u > %pI4:%u %u octets XOR %u: %s",
			   (const char *)config.label, name_of(direction), from + 12,
			   m->source_port, to + 12, m->destination_port, m->size, secret, text);
	else
		bpf_printk("hushwire %s %s %pI6.%u > %pI6.%u %u octets XOR %u: %s",
			   (const char *)config.label, name_of(direction), from, m->source_port,
			   to, m->destination_port, m->size, secret, text);
	return 0;
}

/* Anything else: what happened with whom. */
#define LOG_ABOUT(m, direction, what, ...)                                                  \
	do {                                                                                \
		if ((m)->version == 4)                                                      \
			bpf_printk("hushwire %s %s %pI4 " what, (const char *)config.label, \
				   name_of(direction), (m)->pair.remote + 12, ##__VA_ARGS__); \
		else                                                                        \
			bpf_printk("hushwire %s %s %pI6 " what, (const char *)config.label, \
				   name_of(direction), (m)->pair.remote, ##__VA_ARGS__);    \
	} while (0)
