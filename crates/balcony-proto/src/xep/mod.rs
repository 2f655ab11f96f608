//! Payloads of extensions: one file for each XEP, lenient in what they ignore.
