//! The certificate of a host that has none: made by us, signed by itself.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, date_time_ymd,
};

use crate::certificates::CertificateError;

/// The organization in the subject of what we made: only such a certificate is replaced when it
/// ends.
pub(crate) const MADE_HERE: &str = "Balcony self-signed certificate";

/// Two years: who pinned it by hand should not have to do it again soon, and no certificate lives
/// for ever.
const VALID_FOR: Duration = Duration::from_secs(730 * 24 * 3600);
/// Clients whose clock is behind ours by less than this accept it.
const CLOCK_SLACK: Duration = Duration::from_secs(24 * 3600);

/// Where a host's chain and key are.
pub(crate) fn paths(directory: &Path, host: &str) -> Result<(PathBuf, PathBuf), CertificateError> {
    if host.is_empty() || host.starts_with('.') || host.contains(['/', '\0']) {
        return Err(CertificateError::BadHostName {
            host: host.to_owned(),
        });
    }
    Ok((
        directory.join(format!("{host}.crt")),
        directory.join(format!("{host}.key")),
    ))
}

/// Makes the directory, for the server's user only, if it is not there.
pub(crate) fn make_directory(directory: &Path) -> Result<(), CertificateError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .map_err(|error| file_error("create", directory, error))
}

/// Makes a key (ECDSA P-256) and a certificate for `host` and writes both, replacing what was
/// there.
pub(crate) fn make(directory: &Path, host: &str, now: SystemTime) -> Result<(), CertificateError> {
    let (certificate, key) = paths(directory, host)?;
    let (chain_pem, key_pem) = generate(host, now).map_err(|error| CertificateError::NotMade {
        host: host.to_owned(),
        detail: error.to_string(),
    })?;
    write_private(&key, &key_pem)?;
    write_private(&certificate, &chain_pem)
}

/// Certificate and key as PEM.
fn generate(host: &str, now: SystemTime) -> Result<(String, String), rcgen::Error> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    // RFC 6120 §13.7.1.2.1: the name as a DNS name in its ASCII form; an address without its
    // brackets.
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let name = idna::domain_to_ascii(bare).unwrap_or_else(|_| bare.to_owned());
    let mut params = CertificateParams::new(vec![name.clone()])?;
    params.distinguished_name = DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::OrganizationName, MADE_HERE);
    params.distinguished_name.push(DnType::CommonName, name);
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let epoch = date_time_ymd(1970, 1, 1);
    params.not_before = epoch + now.saturating_sub(CLOCK_SLACK);
    params.not_after = epoch + now.saturating_add(VALID_FOR);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let certificate = params.self_signed(&key)?;
    Ok((certificate.pem(), key.serialize_pem()))
}

/// Writes a file that only the server's user may read, whole or not at all.
fn write_private(path: &Path, text: &str) -> Result<(), CertificateError> {
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(".new");
    let unfinished = PathBuf::from(unfinished);
    let written = write_new(&unfinished, text).and_then(|()| fs::rename(&unfinished, path));
    written.map_err(|error| file_error("write", path, error))
}

fn write_new(path: &Path, text: &str) -> io::Result<()> {
    // What an earlier attempt left behind; also, an existing file would keep its mode.
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

fn file_error(action: &'static str, path: &Path, error: io::Error) -> CertificateError {
    CertificateError::File {
        action,
        path: path.to_path_buf(),
        error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn both_files_are_for_their_owner_only() {
        let directory = tempfile::tempdir().unwrap();
        make(directory.path(), "localhost", SystemTime::now()).unwrap();
        for name in ["localhost.crt", "localhost.key"] {
            let mode = fs::metadata(directory.path().join(name))
                .unwrap()
                .permissions()
                .mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_host_cannot_name_a_file_elsewhere() {
        for host in ["", "../etc/passwd", ".hidden", "a/b"] {
            assert!(matches!(
                paths(Path::new("/certs"), host),
                Err(CertificateError::BadHostName { .. })
            ));
        }
    }

    #[test]
    fn a_directory_that_cannot_be_written_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        fs::write(&file, "").unwrap();
        let error = make(&file, "localhost", SystemTime::now())
            .unwrap_err()
            .to_string();
        assert!(error.contains("localhost.key"), "{error}");
    }
}
