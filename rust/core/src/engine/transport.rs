//! Outbound packets in transport mode: they keep their IP header, and must be whole datagrams.

use super::outbox::{cause_of, count_sent};
use super::pump::Pump;
use crate::esp::drops::Cause;
use crate::esp::reassembly::Whole;
use crate::sa::child::Encapsulation;
use crate::system::datagram::send_whole;
use crate::wire::fragments::{Malformed, cut, parse};
use crate::wire::front::{complete, split};
use crate::wire::ip::{parse_flow, version};
use crate::wire::protocol::{ESP, IPV4, IPV6};

impl Pump {
    pub(super) fn outward_whole(&mut self, packet: &[u8]) -> Result<(), Cause> {
        let part = parse(packet).map_err(|Malformed| Cause::NotIp)?;
        let Some(part) = part else {
            return self.seal_whole(packet, None);
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
                self.seal_whole(&packet, Some((largest, identification)))
            }
        }
    }

    /// A whole datagram; `was` tells of the fragments that it came in.
    fn seal_whole(&mut self, packet: &[u8], was: Option<(usize, u32)>) -> Result<(), Cause> {
        let flow = parse_flow(packet).ok_or(Cause::NotIp)?;
        let index = self.tunnel_for(&flow)?;
        let Some(tunnel) = self.table.get(index) else {
            return Err(Cause::NoSa);
        };
        if tunnel.hosts.is_none() {
            let next_header = if version(packet) == 4 { IPV4 } else { IPV6 };
            return self.seal(index, packet, next_header, packet.len(), 0);
        }
        let (own, payload) = split(packet).ok_or(Cause::BadInner)?;
        if own.is_fragment() {
            return Err(Cause::Reassembly); // §3.3.4: only whole datagrams are sealed
        }
        if tunnel.encapsulation != Encapsulation::Esp {
            return self.seal(index, payload, own.protocol(), packet.len(), 0);
        }
        let header = own.octets.len();
        let mut sealed = own.octets.to_vec();
        sealed.resize(header + tunnel.outbound.sealed_octets(payload.len()), 0);
        let Some(tunnel) = self.table.get_mut(index) else {
            return Err(Cause::NoSa);
        };
        let place = sealed.get_mut(header..).unwrap_or_default();
        tunnel.seal_at(place, payload, own.protocol())?;
        if let Some(event) = tunnel.near_end() {
            self.events.put(event);
        }
        complete(&mut sealed, header, own.protocol_at, ESP).ok_or(Cause::Oversized)?;
        // What came in fragments leaves in fragments that fit where those did.
        let (most, identification) = was.unwrap_or((sealed.len(), 0));
        let pieces = cut(&sealed, most, identification).ok_or(Cause::Oversized)?;
        tunnel.last_out = self.now;
        let socket = self.interface.sockets.whole(version(packet) == 4);
        let socket = socket.ok_or(Cause::SendFailed)?;
        for piece in pieces {
            send_whole(socket, &piece).map_err(|error| cause_of(&error))?;
        }
        count_sent(tunnel, packet.len());
        Ok(())
    }
}
