//! What moves packets without Python.
