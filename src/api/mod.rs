//! (being built)
pub mod api_versions;
