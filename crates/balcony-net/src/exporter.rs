//! RFC 9266 `tls-exporter` for the unbuffered TLS connection, which has no exporter of its own.
//!
//! rustls hands the exporter secret to its key log while it processes the ClientHello, on the
//! thread that called it. The key log here turns it into the 32 bytes of the channel binding at
//! once and leaves only those in a thread-local, where the handshake picks them up. The secret
//! itself is never kept.

use std::cell::Cell;

use hmac::{Hmac, KeyInit, Mac};
use rustls::KeyLog;
use sha2::{Digest, Sha256, Sha384};
use zeroize::Zeroizing;

/// RFC 9266 §2.
const LABEL: &[u8] = b"EXPORTER-Channel-Binding";
/// RFC 9266 §2: "L … 32".
pub(crate) const LENGTH: usize = 32;
/// The name of the exporter secret in the key log format that rustls follows.
const SECRET_NAME: &str = "EXPORTER_SECRET";

thread_local! {
    static CAPTURED: Cell<Option<[u8; LENGTH]>> = const { Cell::new(None) };
}

/// The key log that a server's TLS configuration must carry for [`capture`] to work.
#[derive(Debug)]
pub(crate) struct ExporterLog;

impl KeyLog for ExporterLog {
    fn log(&self, label: &str, _client_random: &[u8], secret: &[u8]) {
        if label == SECRET_NAME {
            CAPTURED.set(channel_binding(secret));
        }
    }

    fn will_log(&self, label: &str) -> bool {
        label == SECRET_NAME
    }
}

/// Runs `f`, which advances a handshake, and returns the channel binding if `f` came to the
/// exporter secret. TLS 1.3 only: RFC 9266 §4.2 asks more of TLS 1.2 than can be seen from here.
pub(crate) fn capture<R>(f: impl FnOnce() -> R) -> (R, Option<[u8; LENGTH]>) {
    CAPTURED.set(None);
    let result = f();
    (result, CAPTURED.take())
}

/// The exporter of RFC 8446 §7.5 with the label of RFC 9266 and an empty context; `None` for a
/// secret that no cipher suite of TLS 1.3 has.
fn channel_binding(exporter_secret: &[u8]) -> Option<[u8; LENGTH]> {
    // The secret is as long as the hash of the cipher suite (RFC 8446 §7.1), and the two suites'
    // hashes differ.
    match exporter_secret.len() {
        32 => export(exporter_secret, &Sha256::digest(b""), hmac_sha256),
        48 => export(exporter_secret, &Sha384::digest(b""), hmac_sha384),
        _ => None,
    }
}

type HmacFn = fn(&[u8], &[&[u8]]) -> Option<Zeroizing<Vec<u8>>>;

/// `TLS-Exporter(label, "", 32)`: HKDF-Expand-Label over Derive-Secret, each one HMAC block long.
fn export(secret: &[u8], empty_hash: &[u8], hmac: HmacFn) -> Option<[u8; LENGTH]> {
    let derived = expand_label(secret, LABEL, empty_hash, empty_hash.len(), hmac)?;
    let exported = expand_label(&derived, b"exporter", empty_hash, LENGTH, hmac)?;
    exported.get(..LENGTH)?.try_into().ok()
}

/// RFC 8446 §7.1 `HKDF-Expand-Label`. Only for outputs of at most one hash, so one round of RFC
/// 5869 §2.3.
fn expand_label(
    secret: &[u8],
    label: &[u8],
    context: &[u8],
    length: usize,
    hmac: HmacFn,
) -> Option<Zeroizing<Vec<u8>>> {
    let length = u16::try_from(length).ok()?.to_be_bytes();
    let label_length = [u8::try_from(label.len().checked_add(6)?).ok()?];
    let context_length = [u8::try_from(context.len()).ok()?];
    let first_round = [1];
    hmac(
        secret,
        &[
            &length,
            &label_length,
            b"tls13 ",
            label,
            &context_length,
            context,
            &first_round,
        ],
    )
}

fn hmac_sha256(key: &[u8], parts: &[&[u8]]) -> Option<Zeroizing<Vec<u8>>> {
    digest_parts(Hmac::<Sha256>::new_from_slice(key).ok()?, parts)
}

fn hmac_sha384(key: &[u8], parts: &[&[u8]]) -> Option<Zeroizing<Vec<u8>>> {
    digest_parts(Hmac::<Sha384>::new_from_slice(key).ok()?, parts)
}

fn digest_parts(mut mac: impl Mac, parts: &[&[u8]]) -> Option<Zeroizing<Vec<u8>>> {
    for part in parts {
        mac.update(part);
    }
    Some(Zeroizing::new(mac.finalize().into_bytes().to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_exporter_secret_is_asked_for() {
        assert!(ExporterLog.will_log("EXPORTER_SECRET"));
        assert!(!ExporterLog.will_log("CLIENT_TRAFFIC_SECRET_0"));
        let ((), captured) = capture(|| ExporterLog.log("SERVER_TRAFFIC_SECRET_0", &[], &[7; 32]));
        assert_eq!(captured, None);
    }

    #[test]
    fn a_capture_is_taken_once_and_depends_on_the_secret() {
        let ((), one) = capture(|| ExporterLog.log(SECRET_NAME, &[], &[1; 32]));
        let ((), two) = capture(|| ExporterLog.log(SECRET_NAME, &[], &[2; 32]));
        let ((), none) = capture(|| ());
        assert!(one.is_some() && two.is_some() && one != two);
        assert_eq!(none, None);
    }

    #[test]
    fn a_secret_of_no_known_hash_gives_nothing() {
        assert_eq!(channel_binding(&[1; 20]), None);
        assert!(channel_binding(&[1; 48]).is_some());
    }
}
