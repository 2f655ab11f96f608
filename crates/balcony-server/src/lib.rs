//! (sentence)
