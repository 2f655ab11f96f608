//! XEP-0045 Multi-User Chat 1.35.1: rooms.
#![allow(dead_code)]
mod room;
