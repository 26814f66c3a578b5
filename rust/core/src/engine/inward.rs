//! From the wire to this host (RFC 4301 §5.2, RFC 4303 §3.4).

use super::pump::Pump;
use crate::esp::drops::Cause;
use crate::esp::ecn::decapsulate;
use crate::esp::open::inner;
use crate::wire::checksum::remake;
use crate::wire::esp::parse_header;
use crate::wire::front::{Front, complete};
use crate::wire::ip::{Flow, parse_flow};

impl Pump {
    /// An ESP packet, opened in place; `own` is the IP header that it came under, if it has no
    /// other.
    ///
    /// Returns the tunnel by which an authentic packet came, or why it went no further, which has
    /// been counted.
    pub(super) fn inward(
        &mut self,
        packet: &mut [u8],
        traffic_class: u8,
        own: Option<Front<'_>>,
    ) -> Result<usize, Cause> {
        self.opened(packet, traffic_class, own)
            .inspect_err(|cause| self.drops.count(*cause))
    }

    fn opened(
        &mut self,
        packet: &mut [u8],
        traffic_class: u8,
        own: Option<Front<'_>>,
    ) -> Result<usize, Cause> {
        let (spi, _) = parse_header(packet).ok_or(Cause::Truncated)?;
        let index = self.table.inbound(spi).ok_or(Cause::UnknownSpi)?;
        let tunnel = self.table.get(index).ok_or(Cause::UnknownSpi)?;
        let half = self.receiving.get_mut(index).ok_or(Cause::UnknownSpi)?;
        let (payload, next_header) = half.inbound.open(packet)?;
        let Some(hosts) = &tunnel.hosts else {
            let packet = inner(payload, next_header)?;
            self.inspect(index, packet)?;
            decapsulate(packet, traffic_class)?;
            self.deliver(index, packet);
            return Ok(index);
        };
        // In transport mode the packet's own header has had the marks of the way all along.
        let own = own.unwrap_or(Front {
            octets: &hosts.front,
            protocol_at: hosts.protocol_at,
        });
        if tunnel.rewritten {
            remake(own.octets, next_header, payload);
        }
        let header = own.octets.len();
        let mut packet = own.octets.to_vec();
        packet.extend_from_slice(payload);
        complete(&mut packet, header, own.protocol_at, next_header).ok_or(Cause::BadInner)?;
        self.inspect(index, &packet)?;
        self.deliver(index, &mut packet);
        Ok(index)
    }

    /// Whether this SA may carry the opened packet (RFC 4301 §5.2); then it is proved.
    fn inspect(&mut self, index: usize, packet: &[u8]) -> Result<Flow, Cause> {
        let flow = parse_flow(packet).ok_or(Cause::BadInner)?;
        let tunnel = self.table.get(index).ok_or(Cause::UnknownSpi)?;
        if !tunnel.matcher.inbound(&flow) || !self.table.belongs(index, &flow) {
            return Err(Cause::SelectorMismatchIn);
        }
        if !tunnel.proved {
            self.proved.push(index);
        }
        if let Some(half) = self.receiving.get_mut(index) {
            half.last = Some(self.now);
        }
        Ok(flow)
    }
}
