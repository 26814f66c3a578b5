//! Outbound packets in transport mode: they keep their IP header, and must be whole datagrams.

use super::outbox::cause_of;
use super::outward::Outward;
use super::sealing::What;
use super::table::Table;
use crate::esp::drops::Cause;
use crate::esp::reassembly::Whole;
use crate::sa::child::Encapsulation;
use crate::system::datagram::send_whole;
use crate::wire::fragments::{Malformed, cut, parse};
use crate::wire::front::{complete, split};
use crate::wire::ip::{parse_flow, version};
use crate::wire::octets::put;
use crate::wire::protocol::{ESP, IPV4, IPV6};

impl Outward {
    pub(super) fn outward_whole(&mut self, table: &Table, packet: &[u8]) -> Result<(), Cause> {
        let part = parse(packet).map_err(|Malformed| Cause::NotIp)?;
        let Some(part) = part else {
            return self.seal_whole(table, packet, None);
        };
        let lost = self.reassembly.lost;
        let whole = self.reassembly.add(part, packet.len(), self.now);
        self.drops
            .add(Cause::Reassembly, self.reassembly.lost - lost);
        match whole {
            None => Ok(()),
            Some(whole) => {
                let Whole {
                    packet,
                    largest,
                    identification,
                } = whole;
                self.seal_whole(table, &packet, Some((largest, identification)))
            }
        }
    }

    /// A whole datagram; `was` tells of the fragments that it came in.
    fn seal_whole(
        &mut self,
        table: &Table,
        packet: &[u8],
        was: Option<(usize, u32)>,
    ) -> Result<(), Cause> {
        let flow = parse_flow(packet).ok_or(Cause::NotIp)?;
        let index = self.tunnel_for(table, &flow)?;
        let tunnel = table.get(index).ok_or(Cause::NoSa)?;
        if tunnel.hosts.is_none() {
            let next_header = if version(packet) == 4 { IPV4 } else { IPV6 };
            return self.seal(table, index, &What::of(packet, next_header), packet);
        }
        let (own, payload) = split(packet).ok_or(Cause::BadInner)?;
        if own.is_fragment() {
            return Err(Cause::Reassembly); // §3.3.4: only whole datagrams are sealed
        }
        if tunnel.encapsulation != Encapsulation::Esp {
            let what = What {
                inner: packet.len(),
                ..What::of(payload, own.protocol())
            };
            return self.seal(table, index, &what, payload);
        }
        let half = self.sending.get_mut(index).ok_or(Cause::NoSa)?;
        let header = own.octets.len();
        let mut sealed = own.octets.to_vec();
        sealed.resize(header + half.outbound.sealed_octets(payload.len()), 0);
        let place = sealed.get_mut(header..).unwrap_or_default();
        half.seal_at(place, payload, own.protocol())?;
        if let Some(event) = half.near_end() {
            self.events.put(event);
        }
        complete(&mut sealed, header, own.protocol_at, ESP).ok_or(Cause::Oversized)?;
        // What came in fragments leaves in fragments that fit where those did.
        let (most, identification) = was.unwrap_or((sealed.len(), 0));
        let pieces = cut(&sealed, most, identification).ok_or(Cause::Oversized)?;
        if let [whole] = pieces.as_slice() {
            return self.leave_whole(table, index, packet.len(), whole);
        }
        half.last = self.now;
        let socket = self.interface.sockets.whole(version(packet) == 4);
        let socket = socket.ok_or(Cause::SendFailed)?;
        for piece in pieces {
            send_whole(socket, &piece).map_err(|error| cause_of(&error))?;
        }
        half.count(packet.len());
        Ok(())
    }

    /// With others, in the next system call.
    fn leave_whole(
        &mut self,
        table: &Table,
        index: usize,
        inner: usize,
        packet: &[u8],
    ) -> Result<(), Cause> {
        if !self.outbox.has_room(packet.len()) {
            self.flush(table);
        }
        let place = self.outbox.place(packet.len()).ok_or(Cause::Oversized)?;
        put(place, 0, packet);
        self.outbox.keep_whole(packet.len(), index, inner);
        Ok(())
    }
}
