//! `hushwire._core.Engine`: the contract of `engines/base.py`, with plain numbers and octets.
//!
//! `engines/native/engine.py` makes the contract's own types of these. No method holds Python's
//! lock while it waits.

use std::os::fd::{AsFd, AsRawFd, RawFd};

use hushwire_core::crypto::Suite;
use hushwire_core::engine::{Engine, Event, Gone, Interface, NewStream, Refused, Sockets, Unknown};
use hushwire_core::sa::child::{ChildSa, Encapsulation, Endpoint, Mode, Path, Way};
use hushwire_core::sa::selectors::Selector;
use hushwire_core::system::fd::{Lent, taken};
use pyo3::exceptions::{PyKeyError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};
use zeroize::Zeroizing;

/// Address as 4 or 16 octets, index of a device or 0, port.
type PlainEndpoint = (Vec<u8>, u32, u16);
/// Ours, the peer's, whether it names a TCP connection.
type PlainPath = (PlainEndpoint, PlainEndpoint, bool);
/// A path, the encapsulation's name, keepalive, follow.
type PlainWay = (PlainPath, String, bool, bool);
/// IP version, first and last address, protocol, first and last port.
type PlainSelector = (u8, u128, u128, u8, u16, u16);

/// Packets and bytes out, packets and bytes in, when the last came.
type PlainCounters = (u64, u64, u64, u64, Option<f64>);

/// Drops, SAs, features.
type Snapshot<'py> = (
    Bound<'py, PyDict>,
    Vec<(u32, PlainCounters)>,
    Bound<'py, PyDict>,
);

/// See `engines/native/plain.py`.
#[derive(FromPyObject)]
struct PlainSa {
    peer: String,
    inbound_spi: u32,
    outbound_spi: u32,
    cipher: String,
    esn: bool,
    inbound_key: Vec<u8>,
    outbound_key: Vec<u8>,
    local_selectors: Vec<PlainSelector>,
    remote_selectors: Vec<PlainSelector>,
    encapsulation: String,
    path: PlainPath,
    keepalive: bool,
    follow: bool,
    replay_window: u32,
    await_proof: bool,
    transport: bool,
    rewritten: bool,
    copy_dscp: bool,
}

/// See `engines/native/plain.py`; descriptors are -1 where there is none, IPv4's before IPv6's.
#[derive(FromPyObject)]
struct PlainInterface {
    name: String,
    tun: RawFd,
    udp: [RawFd; 2],
    raw: [RawFd; 2],
    whole: [RawFd; 2],
    fragmenter: RawFd,
    keepalive_seconds: f64,
}

#[pyclass(name = "Engine", frozen)]
pub struct PyEngine(Engine);

#[pymethods]
impl PyEngine {
    #[new]
    fn new() -> PyResult<Self> {
        Ok(Self(Engine::new()?))
    }

    fn open(&self, py: Python<'_>, interface: PlainInterface) -> PyResult<()> {
        let lent = |fds: [RawFd; 2]| fds.map(Lent::new);
        let plan = Interface {
            tun: Lent::new(interface.tun)
                .ok_or_else(|| PyValueError::new_err("no TUN device is open"))?,
            sockets: Sockets {
                udp: lent(interface.udp),
                raw: lent(interface.raw),
                whole: lent(interface.whole),
                fragmenter: Lent::new(interface.fragmenter),
            },
            keepalive_seconds: interface.keepalive_seconds,
        };
        if py.detach(|| self.0.open(plan, &interface.name))? {
            return Ok(());
        }
        Err(PyRuntimeError::new_err("an engine is opened once"))
    }

    fn install(&self, py: Python<'_>, sa: PlainSa) -> PyResult<()> {
        let child = child(sa)?;
        let done = py.detach(|| self.0.install(child)).map_err(gone)?;
        done.map_err(|refused| {
            PyValueError::new_err(match refused {
                Refused::SpiInUse(spi) => format!("SPI {spi:#010x} is installed already"),
                Refused::KeyInUse => {
                    "the outbound key is in use: its nonces would be used twice".to_owned()
                }
                Refused::WrongKey => "a key has the wrong length for its cipher".to_owned(),
                Refused::Stopped => "the engine has stopped after a failure".to_owned(),
            })
        })
    }

    fn update(&self, py: Python<'_>, spi: u32, way: PlainWay) -> PyResult<()> {
        let (path, encapsulation, keepalive, follow) = way;
        let way = Way {
            path: path_of(&path)?,
            encapsulation: encapsulation_of(&encapsulation)?,
            keepalive,
            follow,
        };
        let done = py.detach(|| self.0.update(spi, way));
        done.map_err(gone)?.map_err(unknown)
    }

    fn set_path_mtu(&self, py: Python<'_>, spi: u32, mtu: usize, whole: usize) -> PyResult<()> {
        let done = py.detach(|| self.0.set_path_mtu(spi, mtu, whole));
        done.map_err(gone)?.map_err(unknown)
    }

    fn confirm(&self, py: Python<'_>, spi: u32) -> PyResult<()> {
        py.detach(|| self.0.confirm(spi))
            .map_err(gone)?
            .map_err(unknown)
    }

    fn retire(&self, py: Python<'_>, spi: u32) -> PyResult<()> {
        py.detach(|| self.0.retire(spi))
            .map_err(gone)?
            .map_err(unknown)
    }

    fn remove(&self, py: Python<'_>, spi: u32) -> PyResult<()> {
        py.detach(|| self.0.remove(spi))
            .map_err(gone)?
            .map_err(unknown)
    }

    /// `socket` is a descriptor that has been given up; a refusal closes it.
    fn add_stream(
        &self,
        py: Python<'_>,
        socket: RawFd,
        path: PlainPath,
        originated: bool,
    ) -> PyResult<()> {
        let socket = taken(socket).ok_or_else(|| PyValueError::new_err("no socket is open"))?;
        let stream = NewStream {
            socket,
            path: path_of(&path)?,
            originated,
        };
        py.detach(|| self.0.add_stream(stream)).map_err(gone)??;
        Ok(())
    }

    fn send_ike(&self, py: Python<'_>, data: Vec<u8>, path: PlainPath) -> PyResult<()> {
        let path = path_of(&path)?;
        py.detach(|| self.0.send_ike(data, path)).map_err(gone)
    }

    fn close_stream(&self, py: Python<'_>, path: PlainPath) -> PyResult<()> {
        let path = path_of(&path)?;
        py.detach(|| self.0.close_stream(path)).map_err(gone)
    }

    /// Drops by name; for each inbound SPI packets and bytes out, in, and when the last came; and
    /// what the kernel does for the engine.
    fn counters<'py>(&self, py: Python<'py>) -> PyResult<Snapshot<'py>> {
        let counters = py.detach(|| self.0.counters()).map_err(gone)?;
        let drops = PyDict::new(py);
        for (cause, packets) in counters.drops.iter() {
            drops.set_item(cause.name(), packets)?;
        }
        let sas = counters.sas.iter().map(|(spi, it)| {
            (
                *spi,
                (
                    it.packets_out,
                    it.bytes_out,
                    it.packets_in,
                    it.bytes_in,
                    it.last_in,
                ),
            )
        });
        let it = counters.features;
        let features = PyDict::new(py);
        for (name, on) in [
            ("TUN headers", it.vnet_header),
            ("TSO", it.tun.tso),
            ("USO", it.tun.uso),
            ("UDP_SEGMENT", it.udp_segment),
            ("UDP_GRO", it.udp_gro),
            ("sendmmsg", it.send_many),
            ("recvmmsg", it.receive_many),
        ] {
            features.set_item(name, on)?;
        }
        Ok((drops, sas.collect(), features))
    }

    /// Tuples whose first item says which event it is.
    fn events<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyAny>>> {
        self.0
            .events()
            .into_iter()
            .map(|event| event_of(py, event))
            .collect()
    }

    #[getter]
    fn event_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }

    fn close(&self, py: Python<'_>) {
        py.detach(|| self.0.close());
    }
}

fn event_of(py: Python<'_>, event: Event) -> PyResult<Bound<'_, PyAny>> {
    Ok(match event {
        Event::Ike(data, path) => ("ike", PyBytes::new(py, &data), plain(&path))
            .into_pyobject(py)?
            .into_any(),
        Event::Acquire(flow) => {
            let ends = (flow.version, flow.source, flow.destination);
            let ports = (flow.source_port, flow.destination_port);
            ("acquire", ends, flow.protocol, ports)
                .into_pyobject(py)?
                .into_any()
        }
        Event::SequenceNearEnd(spi) => ("near_end", spi).into_pyobject(py)?.into_any(),
        Event::StreamClosed(path, why) => ("stream_closed", plain(&path), why)
            .into_pyobject(py)?
            .into_any(),
        Event::PathMoved(spi, path) => ("path_moved", spi, plain(&path))
            .into_pyobject(py)?
            .into_any(),
        Event::UnknownSpi(spi, path) => ("unknown_spi", spi, plain(&path))
            .into_pyobject(py)?
            .into_any(),
        Event::Failure(why) => ("failure", why).into_pyobject(py)?.into_any(),
    })
}

fn child(sa: PlainSa) -> PyResult<ChildSa> {
    let suite = Suite::named(&sa.cipher)
        .ok_or_else(|| PyValueError::new_err(format!("no such cipher here: {}", sa.cipher)))?;
    let selectors = |plain: Vec<PlainSelector>| {
        let one = |(version, start, end, protocol, first, last)| Selector {
            version,
            start,
            end,
            protocol,
            ports: (first, last),
        };
        plain.into_iter().map(one).collect()
    };
    Ok(ChildSa {
        peer: sa.peer,
        inbound_spi: sa.inbound_spi,
        outbound_spi: sa.outbound_spi,
        suite,
        esn: sa.esn,
        inbound_key: Zeroizing::new(sa.inbound_key),
        outbound_key: Zeroizing::new(sa.outbound_key),
        local_selectors: selectors(sa.local_selectors),
        remote_selectors: selectors(sa.remote_selectors),
        encapsulation: encapsulation_of(&sa.encapsulation)?,
        path: path_of(&sa.path)?,
        keepalive: sa.keepalive,
        follow: sa.follow,
        replay_window: sa.replay_window,
        await_proof: sa.await_proof,
        mode: if sa.transport {
            Mode::Transport
        } else {
            Mode::Tunnel
        },
        rewritten: sa.rewritten,
        copy_dscp: sa.copy_dscp,
    })
}

fn encapsulation_of(name: &str) -> PyResult<Encapsulation> {
    match name {
        "esp" => Ok(Encapsulation::Esp),
        "udp" => Ok(Encapsulation::Udp),
        "tcp" => Ok(Encapsulation::Tcp),
        _ => Err(PyValueError::new_err(format!(
            "no such encapsulation: {name}"
        ))),
    }
}

fn path_of((local, remote, in_tcp): &PlainPath) -> PyResult<Path> {
    Ok(Path {
        local: endpoint(local)?,
        remote: endpoint(remote)?,
        in_tcp: *in_tcp,
    })
}

fn endpoint((ip, scope, port): &PlainEndpoint) -> PyResult<Endpoint> {
    let ip = match ip.len() {
        4 => <[u8; 4]>::try_from(ip.as_slice()).map(Into::into),
        _ => <[u8; 16]>::try_from(ip.as_slice()).map(Into::into),
    };
    let ip = ip.map_err(|_| PyValueError::new_err("an address has 4 or 16 octets"))?;
    Ok(Endpoint {
        ip,
        scope: *scope,
        port: *port,
    })
}

fn plain(path: &Path) -> PlainPath {
    let end = |it: &Endpoint| {
        let octets = match it.ip {
            std::net::IpAddr::V4(ip) => ip.octets().to_vec(),
            std::net::IpAddr::V6(ip) => ip.octets().to_vec(),
        };
        (octets, it.scope, it.port)
    };
    (end(&path.local), end(&path.remote), path.in_tcp)
}

fn gone(gone: Gone) -> PyErr {
    PyRuntimeError::new_err(match gone {
        Gone::NotOpen => "the engine is not open",
        Gone::Ended => "the engine has ended",
    })
}

fn unknown(unknown: Unknown) -> PyErr {
    PyKeyError::new_err(unknown.0)
}
