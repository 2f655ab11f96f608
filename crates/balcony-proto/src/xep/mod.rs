//! Payloads of extensions: one file for each XEP, lenient in what they ignore.
pub mod data_form;
pub mod date_time;
pub mod delay;
pub mod hints;
pub mod roster;
