//! Who has an address behind them: a table of prefixes, asked for all that hold an address.

use prefix_trie::PrefixMap;

use super::selectors::Selector;

/// Numbers of SAs, found by the addresses of their selectors.
///
/// A selector is a range. It stands here under the longest prefix that holds all of it, so what is
/// found is more than what is asked for, never less: the selectors themselves decide.
#[derive(Default)]
pub struct Networks {
    ipv4: PrefixMap<(u32, u8), Vec<usize>>,
    ipv6: PrefixMap<(u128, u8), Vec<usize>>,
}

impl Networks {
    /// Add a number under each selector.
    pub fn insert(&mut self, selectors: &[Selector], number: usize) {
        for one in selectors {
            match one.version {
                4 => self.ipv4.entry(ipv4(one)).or_default().push(number),
                _ => self.ipv6.entry(ipv6(one)).or_default().push(number),
            }
        }
    }

    /// Take a number away that was inserted with these selectors.
    pub fn remove(&mut self, selectors: &[Selector], number: usize) {
        for one in selectors {
            match one.version {
                4 => take(&mut self.ipv4, ipv4(one), number),
                _ => take(&mut self.ipv6, ipv6(one), number),
            }
        }
    }

    /// All that may have the address; one with several selectors may come more than once.
    pub fn around(&self, version: u8, address: u128) -> impl Iterator<Item = usize> {
        let (ipv4, ipv6) = match version {
            4 => (Some(self.ipv4.cover_values(&(address as u32, 32))), None),
            _ => (None, Some(self.ipv6.cover_values(&(address, 128)))),
        };
        let lists = ipv4.into_iter().flatten().chain(ipv6.into_iter().flatten());
        lists.flatten().copied()
    }

    /// All that may have an address of these selectors, each once, in ascending order.
    #[must_use]
    pub fn beside(&self, selectors: &[Selector]) -> Vec<usize> {
        let mut found = Vec::new();
        for one in selectors {
            if one.version == 4 {
                let prefix = ipv4(one);
                found.extend(self.ipv4.cover_values(&prefix).flatten());
                found.extend(self.ipv4.children(&prefix).flat_map(|(_, list)| list));
            } else {
                let prefix = ipv6(one);
                found.extend(self.ipv6.cover_values(&prefix).flatten());
                found.extend(self.ipv6.children(&prefix).flat_map(|(_, list)| list));
            }
        }
        found.sort_unstable();
        found.dedup();
        found
    }
}

fn take<P: prefix_trie::Prefix>(map: &mut PrefixMap<P, Vec<usize>>, prefix: P, number: usize) {
    if let Some(list) = map.get_mut(&prefix) {
        list.retain(|other| *other != number);
        if list.is_empty() {
            map.remove(&prefix);
        }
    }
}

fn ipv4(selector: &Selector) -> (u32, u8) {
    let (start, end) = (selector.start as u32, selector.end as u32);
    let length = (start ^ end).leading_zeros();
    let host = u32::MAX.checked_shr(length).unwrap_or(0);
    (start & !host, length as u8)
}

fn ipv6(selector: &Selector) -> (u128, u8) {
    let length = (selector.start ^ selector.end).leading_zeros();
    let host = u128::MAX.checked_shr(length).unwrap_or(0);
    (selector.start & !host, length as u8)
}
