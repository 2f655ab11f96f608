//! What is measured, and how it is told.

mod disk;
mod histogram;
mod meter;
mod process;
mod report;

pub(crate) use disk::Disk;
pub(crate) use histogram::Histogram;
pub(crate) use meter::{Meter, Spent, memory_of};
pub(crate) use report::{OWN_LIMIT_US, Report, Run};
