//! The classroom's programs, loaded: attached, listened to, and asked for their counts.

use std::cell::RefCell;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::rc::Rc;
use std::sync::Mutex;

use libbpf_rs::{
    ErrorKind, MapCore, MapFlags, MapHandle, Object, ObjectBuilder, OpenObject, PrintLevel,
    ProgramInput, ProgramMut, RingBuffer, RingBufferBuilder, set_print,
};
use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::layout::{
    self, CONTEXT_GSO_SIZE, CONTEXT_MARK, CONTEXT_OCTETS, COUNT_OCTETS, Count, DIRECTIONS, Event,
    OUTCOMES, Octets, Pair, Peer,
};
use crate::tcx::{self, Hook};

static OBJECT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/classroom.bpf.o"));

/// As large as a frame can become in a test run, with room to grow.
const LARGEST_FRAME: usize = 1 << 17;

pyo3::create_exception!(
    _core,
    LoadError,
    pyo3::exceptions::PyException,
    "The kernel did not take the programs. Arguments: errno (0 if none), what libbpf said."
);

/// (local, remote, our epoch, our public value, their epoch, their public value, the secret)
type PeerState = ([u8; 16], [u8; 16], u32, u8, u32, u8, u8);

/// (what the program returned, the frame afterwards, its mark afterwards)
type Ran<'py> = (i32, Bound<'py, PyBytes>, u32);

/// What libbpf says while it loads: the verifier's log is in it.
static SAID: Mutex<String> = Mutex::new(String::new());

fn listen(_: PrintLevel, text: String) {
    if let Ok(mut said) = SAID.lock() {
        said.push_str(&text);
    }
}

/// One record of the ring buffer; the classes of `bpf/classroom/shared.h`.
#[pyclass(name = "ClassroomEvent", frozen, get_all)]
pub struct PyEvent {
    kind: u32,
    local: [u8; 16],
    remote: [u8; 16],
    frame: Py<PyBytes>,
    gso_size: u32,
    vlan_tci: u16,
    vlan_proto: u16,
    public_value: u8,
    their_public: u8,
    secret: u8,
    flag: bool,
    network: u16,
    transport: u16,
    source_port: u16,
    destination_port: u16,
    part: u8,
}

/// The two programs in the kernel. They stay as long as this object.
#[pyclass(unsendable)]
pub struct Classroom {
    // Taken down in this order: the links first, so that nothing calls what is gone.
    links: Vec<OwnedFd>,
    ring: RingBuffer<'static>,
    records: Rc<RefCell<Vec<Vec<u8>>>>,
    object: Object,
}

#[pymethods]
impl Classroom {
    /// Loads them, attached to nothing yet.
    #[new]
    #[pyo3(signature = (label, port, compiled = None))]
    fn new(label: &str, port: u16, compiled: Option<&[u8]>) -> PyResult<Self> {
        let config = layout::config(label, port)
            .ok_or_else(|| PyValueError::new_err("a label has at most 15 octets"))?;
        let object = load(compiled.unwrap_or(OBJECT), &config).map_err(load_error)?;
        let records = Rc::new(RefCell::new(Vec::new()));
        let events = map(&object, "events")?;
        let ring = listen_to(&events, Rc::clone(&records)).map_err(os_error)?;
        Ok(Self {
            links: Vec::new(),
            ring,
            records,
            object,
        })
    }

    /// Attaches both to the interface by tcx links. Raises `OSError`; then nothing is attached.
    fn attach_tcx(&mut self, interface: i32) -> PyResult<()> {
        let mut links = Vec::new();
        for (direction, hook) in DIRECTIONS.iter().zip([Hook::Egress, Hook::Ingress]) {
            let program = self.program(direction)?;
            links.push(tcx::attach(program.as_fd(), interface, hook)?);
        }
        self.links = links;
        Ok(())
    }

    /// Takes both off their tcx hooks.
    fn detach(&mut self) {
        self.links.clear();
    }

    /// The descriptor of a program, "egress" or "ingress", for whoever attaches it otherwise.
    fn program_fd(&self, direction: &str) -> PyResult<i32> {
        Ok(self.program(direction)?.as_fd().as_raw_fd())
    }

    /// A descriptor that is readable when `events` has something to give.
    fn fileno(&self) -> i32 {
        self.ring.epoll_fd()
    }

    /// All that has been told since the last call, without waiting.
    fn events(&self, py: Python<'_>) -> PyResult<Vec<PyEvent>> {
        self.ring.consume().map_err(os_error)?;
        let records = self.records.take();
        Ok(records
            .iter()
            .filter_map(|record| Event::read(record))
            .map(|event| PyEvent {
                kind: event.kind,
                local: event.pair.local,
                remote: event.pair.remote,
                frame: PyBytes::new(py, &event.frame).unbind(),
                gso_size: event.gso_size,
                vlan_tci: event.vlan_tci,
                vlan_proto: event.vlan_proto,
                public_value: event.public_value,
                their_public: event.their_public,
                secret: event.secret,
                flag: event.flag != 0,
                network: event.network,
                transport: event.transport,
                source_port: event.source_port,
                destination_port: event.destination_port,
                part: event.part,
            })
            .collect())
    }

    /// (direction, outcome, messages, payload octets), for every one of them, over all CPUs.
    fn counts(&self) -> PyResult<Vec<(&'static str, &'static str, u64, u64)>> {
        let map = map(&self.object, "counts")?;
        let mut all = Vec::new();
        let names = DIRECTIONS
            .iter()
            .flat_map(|direction| OUTCOMES.iter().map(move |outcome| (*direction, *outcome)));
        for (index, (direction, outcome)) in (0u32..).zip(names) {
            let values = map
                .lookup_percpu(&index.to_ne_bytes(), MapFlags::ANY)
                .map_err(os_error)?
                .unwrap_or_default();
            let (mut messages, mut octets) = (0, 0);
            for count in values.iter().filter_map(|value| Count::read(value)) {
                messages += count.messages;
                octets += count.octets;
            }
            all.push((direction, outcome, messages, octets));
        }
        Ok(all)
    }

    /// The state of every peer.
    fn peers(&self) -> PyResult<Vec<PeerState>> {
        let map = map(&self.object, "peers")?;
        let mut all = Vec::new();
        for key in map.keys() {
            let Some(value) = map.lookup(&key, MapFlags::LOCK).map_err(os_error)? else {
                continue; // gone meanwhile
            };
            if let (Some(pair), Some(peer)) = (Pair::read(&mut Octets(&key)), Peer::read(&value)) {
                all.push((
                    pair.local,
                    pair.remote,
                    peer.epoch,
                    peer.public_value,
                    peer.their_epoch,
                    peer.their_public,
                    peer.secret,
                ));
            }
        }
        Ok(all)
    }

    /// So many of the frames that were handed over for this peer are sent or given up.
    fn done(&self, local: [u8; 16], remote: [u8; 16], frames: u32) -> PyResult<()> {
        let key = Pair { local, remote }.octets();
        map(&self.object, "done")?
            .update(&key, &frames.to_ne_bytes(), MapFlags::ANY)
            .map_err(os_error)
    }

    /// Runs a program on one frame (BPF_PROG_TEST_RUN), with a mark and a GSO size.
    #[pyo3(signature = (direction, frame, mark = 0, gso_size = 0))]
    fn test_run<'py>(
        &self,
        py: Python<'py>,
        direction: &str,
        frame: &[u8],
        mark: u32,
        gso_size: u32,
    ) -> PyResult<Ran<'py>> {
        let mut context = [0; CONTEXT_OCTETS];
        for (at, value) in [(CONTEXT_MARK, mark), (CONTEXT_GSO_SIZE, gso_size)] {
            if let Some(place) = context.get_mut(at..at + 4) {
                place.copy_from_slice(&value.to_ne_bytes());
            }
        }
        let mut context_after = context;
        let mut frame_after = vec![0; LARGEST_FRAME];
        let output = self
            .program(direction)?
            .test_run(ProgramInput {
                context_in: Some(&mut context),
                context_out: Some(&mut context_after),
                data_in: Some(frame),
                data_out: Some(&mut frame_after),
                ..ProgramInput::default()
            })
            .map_err(os_error)?;
        let code = output.return_value.cast_signed();
        let frame = PyBytes::new(py, output.data.unwrap_or_default());
        let mark = output
            .context
            .and_then(|after| after.get(CONTEXT_MARK..)?.first_chunk().copied())
            .map_or(0, u32::from_ne_bytes);
        Ok((code, frame, mark))
    }
}

impl Classroom {
    fn program(&self, direction: &str) -> PyResult<ProgramMut<'_>> {
        let name = format!("classroom_{direction}");
        self.object
            .progs_mut()
            .find(|program| program.name() == name.as_str())
            .ok_or_else(|| PyValueError::new_err(format!("there is no program {name}")))
    }
}

fn load(octets: &[u8], config: &[u8]) -> libbpf_rs::Result<Object> {
    if let Ok(mut said) = SAID.lock() {
        said.clear();
    }
    let before = set_print(Some((PrintLevel::Info, listen)));
    let object = ObjectBuilder::default()
        .open_memory(octets)
        .and_then(|mut open| {
            set_config(&mut open, config)?;
            open.load()
        });
    set_print(before);
    object
}

/// The only constants of the programs that are not fixed in their source.
fn set_config(open: &mut OpenObject, config: &[u8]) -> libbpf_rs::Result<()> {
    for mut map in open.maps_mut() {
        if map.name().to_string_lossy().ends_with(".rodata")
            && let Some(value) = map.initial_value_mut()
            && let Some(place) = value.get_mut(..config.len())
        {
            place.copy_from_slice(config);
        }
    }
    Ok(())
}

fn listen_to(
    events: &MapHandle,
    records: Rc<RefCell<Vec<Vec<u8>>>>,
) -> libbpf_rs::Result<RingBuffer<'static>> {
    let mut builder = RingBufferBuilder::new();
    builder.add(events, move |record| {
        records.borrow_mut().push(record.to_vec());
        0
    })?;
    builder.build()
}

fn map(object: &Object, name: &str) -> PyResult<MapHandle> {
    let map = object
        .maps()
        .find(|map| map.name() == name)
        .ok_or_else(|| PyValueError::new_err(format!("there is no map {name}")))?;
    let (key, value) = (map.key_size() as usize, map.value_size() as usize);
    let agreed = match name {
        "counts" => (key, value) == (4, COUNT_OCTETS),
        "peers" => (key, value) == (layout::PAIR_OCTETS, layout::PEER_OCTETS),
        "done" => (key, value) == (layout::PAIR_OCTETS, 4),
        _ => true,
    };
    if !agreed {
        return Err(PyValueError::new_err(format!(
            "the map {name} has another layout"
        )));
    }
    MapHandle::try_from(&map).map_err(os_error)
}

fn load_error(error: libbpf_rs::Error) -> PyErr {
    let said = SAID.lock().map(|said| said.clone()).unwrap_or_default();
    LoadError::new_err((errno(&error), format!("{said}{error}")))
}

fn os_error(error: libbpf_rs::Error) -> PyErr {
    PyOSError::new_err((errno(&error), error.to_string()))
}

/// The system's number of what went wrong, 0 where libbpf-rs knows only that something did.
fn errno(error: &libbpf_rs::Error) -> i32 {
    match error.kind() {
        ErrorKind::NotFound => 2,
        ErrorKind::OutOfMemory => 12,
        ErrorKind::PermissionDenied => 13,
        ErrorKind::AlreadyExists => 17,
        ErrorKind::InvalidInput => 22,
        _ => 0,
    }
}
