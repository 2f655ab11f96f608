//! Payloads of extensions: one file for each XEP, lenient in what they ignore.
pub mod caps;
pub mod caps2;
pub mod component;
pub mod data_form;
pub mod date_time;
pub mod delay;
pub mod dialback;
pub mod disco;
pub mod extdisco;
pub mod forward;
pub mod hints;
pub mod last;
pub mod push;
pub mod roster;
pub mod rsm;
pub mod time;
pub mod version;
