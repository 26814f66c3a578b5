//! The DS and ECN fields of the two IP headers of a tunnel (RFC 6040, RFC 4301 §5.1.2).
//!
//! Encapsulation: outer ECN = inner ECN (§4.1, normal mode); outer DSCP = 0, or the inner one where
//! the user wants it. Decapsulation: inner ECN by the table of §4.2, the inner DSCP stays.

use super::drops::Cause;
use crate::wire::checksum::adjusted;
use crate::wire::ip::{traffic_class, version};
use crate::wire::octets::{array, octet, put};

const NOT_ECT: u8 = 0b00;
const ECT_1: u8 = 0b01;
const ECT_0: u8 = 0b10;
const CE: u8 = 0b11;
const ECN: u8 = 0b11;

// RFC 6040 §4.2, Figure 4: row by the arriving inner field, column by the arriving outer field,
// both in the order Not-ECT, ECT(1), ECT(0), CE, as the two bits count. None: dropped.
const DECAPSULATED: [[Option<u8>; 4]; 4] = [
    [Some(NOT_ECT), Some(NOT_ECT), Some(NOT_ECT), None],
    [Some(ECT_1), Some(ECT_1), Some(ECT_1), Some(CE)],
    [Some(ECT_0), Some(ECT_1), Some(ECT_0), Some(CE)],
    [Some(CE), Some(CE), Some(CE), Some(CE)],
];

/// What the outer header gets for this inner packet.
#[must_use]
pub fn outer_traffic_class(inner: &[u8], copy_dscp: bool) -> u8 {
    let class = traffic_class(inner);
    if copy_dscp { class } else { class & ECN }
}

/// Change the inner packet as the 8 bits of the outer header that brought it demand.
///
/// # Errors
/// `Congested` where the network marked a packet whose sender understands only loss: losing it is
/// how that sender is told.
pub fn decapsulate(inner: &mut [u8], outer_class: u8) -> Result<(), Cause> {
    let before = traffic_class(inner) & ECN;
    let row = DECAPSULATED.get(usize::from(before));
    let after = row
        .and_then(|row| row.get(usize::from(outer_class & ECN)))
        .copied()
        .flatten();
    let after = after.ok_or(Cause::Congested)?;
    if after != before {
        set(inner, after);
    }
    Ok(())
}

fn set(packet: &mut [u8], ecn: u8) -> Option<()> {
    let second = octet(packet, 1)?;
    if version(packet) == 6 {
        return put(packet, 1, &[second & !(ECN << 4) | ecn << 4]);
    }
    let before: [u8; 2] = array(packet, 0)?;
    let after = [before[0], second & !ECN | ecn];
    let sum = adjusted(array(packet, 10)?, &before, &after);
    put(packet, 0, &after)?;
    put(packet, 10, &sum)
}
