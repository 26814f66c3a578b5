//! `hushwire._core`: the thin layer between Python and what is not written in Python.

#[cfg(feature = "classroom")]
mod classroom;
mod engine;
#[cfg(feature = "classroom")]
mod layout;
#[cfg(feature = "classroom")]
mod tcx;

use pyo3::prelude::*;

const _: () = assert!(
    hushwire_core::crypto::ENCRYPTS,
    "hushwire._core must encrypt: the feature null-cipher is for the benchmarks' library alone"
);

/// What Python sees; without the feature `classroom` the engine alone. Every class is documented in `src/hushwire/_core.pyi`.
#[pymodule]
fn _core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<engine::PyEngine>()?;
    #[cfg(feature = "classroom")]
    {
        module.add_class::<classroom::Classroom>()?;
        module.add_class::<classroom::PyEvent>()?;
        module.add("LoadError", module.py().get_type::<classroom::LoadError>())?;
    }
    Ok(())
}
