//! `hushwire._core`: the thin layer between Python and what is not written in Python.

use pyo3::prelude::*;

/// What Python sees. Every class is documented in `src/hushwire/_core.pyi`.
#[pymodule]
fn _core(_module: &Bound<'_, PyModule>) -> PyResult<()> {
    Ok(())
}
