//! Every way a packet can end other than delivered; what each means says `esp/drops.py`.

macro_rules! causes {
    ($($variant:ident = $name:literal),* $(,)?) => {
        /// A cause.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Cause { $(#[doc = $name] $variant),* }

        impl Cause {
            /// Every cause, in the order of its number.
            pub const ALL: &[Cause] = &[$(Cause::$variant),*];

            /// Its name in counters.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Cause::$variant => $name),* }
            }
        }
    };
}

causes! {
    NotEsp = "not_esp",
    Keepalive = "keepalive",
    Truncated = "truncated",
    UnknownSpi = "unknown_spi",
    Replay = "replay",
    BadIcv = "bad_icv",
    Dummy = "dummy",
    BadPadding = "bad_padding",
    BadNextHeader = "bad_next_header",
    BadInner = "bad_inner",
    SelectorMismatchIn = "selector_mismatch_in",
    Congested = "congested",
    TunWriteFailed = "tun_write_failed",
    NotIp = "not_ip",
    NoSa = "no_sa",
    SelectorMismatchOut = "selector_mismatch_out",
    Reassembly = "reassembly",
    TooBig = "too_big",
    SequenceExhausted = "sequence_exhausted",
    Oversized = "oversized",
    SendFailed = "send_failed",
    StreamFull = "stream_full",
    NoStream = "no_stream",
    ReceiveFailed = "receive_failed",
    EventsFull = "events_full",
}

/// A count for each cause.
#[derive(Clone, Debug, Default)]
pub struct Drops([u64; Cause::ALL.len()]);

impl Drops {
    /// One packet more.
    pub fn count(&mut self, cause: Cause) {
        self.add(cause, 1);
    }

    /// So many packets more.
    pub fn add(&mut self, cause: Cause, packets: u64) {
        if let Some(count) = self.0.get_mut(cause as usize) {
            *count += packets;
        }
    }

    /// Every cause with its count, 0 included.
    pub fn iter(&self) -> impl Iterator<Item = (Cause, u64)> {
        Cause::ALL.iter().copied().zip(self.0)
    }
}
