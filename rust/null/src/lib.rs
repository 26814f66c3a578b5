//! `null_core`: the engine of `hushwire._core`, line for line, with a cipher that does nothing.
//!
//! `make bench` measures with it what is left when encryption costs nothing. It is a library of
//! another name, built elsewhere and never installed; `hushwire-python` does not compile with the
//! same feature.

#[path = "../../python/src/engine.rs"]
mod engine;

use pyo3::prelude::*;

const _: () = assert!(
    !hushwire_core::crypto::ENCRYPTS,
    "this is the one library that must not encrypt"
);

/// What `bench/null.py` loads.
#[pymodule]
fn null_core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<engine::PyEngine>()
}
