//! Distinguished names.
