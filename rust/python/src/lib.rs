//! `hushwire._core`: the thin layer between Python and what is not written in Python.

mod engine;

use pyo3::prelude::*;

/// What Python sees. Every class is documented in `src/hushwire/_core.pyi`.
#[pymodule]
fn _core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<engine::PyEngine>()?;
    Ok(())
}
