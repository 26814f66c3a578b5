//! Ancillary data of `sendmsg` and `recvmsg` (cmsg(3)), written and read as octets.

use crate::wire::octets::{array, put};

const WORD: usize = size_of::<usize>();
const HEADER: usize = WORD + 8; // struct cmsghdr: length, level, type

/// Room for everything that IPv6 may tell: 2 KiB in each extension header.
pub const LARGEST: usize = 8192;

/// A buffer of control messages, aligned as the kernel wants it.
pub struct Control<const WORDS: usize> {
    words: [usize; WORDS],
    octets: usize,
}

impl<const WORDS: usize> Default for Control<WORDS> {
    fn default() -> Self {
        Self {
            words: [0; WORDS],
            octets: 0,
        }
    }
}

/// For sending: packet info, traffic class, segment size.
pub type Sending = Control<16>;
/// For receiving.
pub type Receiving = Control<{ LARGEST / WORD }>;

/// One message: level, type, content.
pub type Message<'a> = (i32, i32, &'a [u8]);

impl<const WORDS: usize> Control<WORDS> {
    /// The kernel's view: where it is, and how much of it may be filled.
    pub(super) fn room(&mut self) -> (*mut usize, usize) {
        (self.words.as_mut_ptr(), WORDS * WORD)
    }

    /// The kernel's view of what was pushed.
    pub(super) fn content(&self) -> (*const usize, usize) {
        (self.words.as_ptr(), self.octets)
    }

    /// How much the kernel has filled.
    pub(super) fn filled(&mut self, octets: usize) {
        self.octets = octets.min(WORDS * WORD);
    }

    /// Add a message with up to 24 octets; left out where there is no room (there always is).
    pub fn push(&mut self, level: i32, kind: i32, content: &[u8]) {
        let mut message = [0; HEADER + 24];
        let length = HEADER + content.len();
        let written = put(&mut message, 0, &length.to_ne_bytes())
            .and_then(|()| put(&mut message, WORD, &level.to_ne_bytes()))
            .and_then(|()| put(&mut message, WORD + 4, &kind.to_ne_bytes()))
            .and_then(|()| put(&mut message, HEADER, content));
        let end = self.octets + length.next_multiple_of(WORD);
        if written.is_none() || end > WORDS * WORD {
            return;
        }
        let (words, _) = message.as_chunks::<WORD>();
        for (to, from) in self.words.iter_mut().skip(self.octets / WORD).zip(words) {
            *to = usize::from_ne_bytes(*from);
        }
        self.octets = end;
    }

    /// The messages that were received.
    pub fn messages(&self) -> impl Iterator<Item = Message<'_>> {
        let mut rest = octets_of(&self.words)
            .get(..self.octets)
            .unwrap_or_default();
        std::iter::from_fn(move || {
            let length = usize::from_ne_bytes(array(rest, 0)?);
            let level = i32::from_ne_bytes(array(rest, WORD)?);
            let kind = i32::from_ne_bytes(array(rest, WORD + 4)?);
            let content = rest.get(HEADER..length)?;
            rest = rest
                .get(length.next_multiple_of(WORD)..)
                .unwrap_or_default();
            Some((level, kind, content))
        })
    }
}

#[allow(unsafe_code)]
fn octets_of(words: &[usize]) -> &[u8] {
    // SAFETY: every octet of an integer is initialised, and u8 has no alignment.
    unsafe { std::slice::from_raw_parts(words.as_ptr().cast(), size_of_val(words)) }
}
