//! Whom we believe that a certificate is whose it says.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{self, PemObject};

/// Why there are no roots.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RootsError {
    /// The system has none, or none that can be read.
    #[error(
        "the system has no root certificates ({0}); install them (Debian: the package \
             ca-certificates), or name a file in the config's `trust_roots`"
    )]
    System(String),
    /// The file cannot be read.
    #[error("cannot read the root certificates in {}: {error}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The file has something else in it, or nothing.
    #[error(
        "{} holds no root certificates in PEM form ({detail}); each begins with \
             -----BEGIN CERTIFICATE-----",
        path.display()
    )]
    NotPem {
        /// Which.
        path: PathBuf,
        /// The parser's words.
        detail: String,
    },
}

/// The issuers that are trusted. Cheap to clone.
#[derive(Clone)]
pub struct Roots {
    pub(super) store: Arc<RootCertStore>,
}

impl fmt::Debug for Roots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Roots({})", self.count())
    }
}

impl Roots {
    /// The system's, or those that the environment's `SSL_CERT_FILE` and `SSL_CERT_DIR` name. Reads
    /// files.
    ///
    /// # Errors
    /// There are none.
    pub fn system() -> Result<Self, RootsError> {
        let found = rustls_native_certs::load_native_certs();
        let mut store = RootCertStore::empty();
        // A system may carry old roots that cannot be parsed; they count as not there.
        store.add_parsable_certificates(found.certs);
        if store.is_empty() {
            let detail = found.errors.first().map(ToString::to_string);
            let detail = detail.unwrap_or_else(|| "nothing was found".to_owned());
            return Err(RootsError::System(detail));
        }
        Ok(Self::from(store))
    }

    /// Those in a PEM file, which may be self-signed certificates of single servers. Reads a file.
    ///
    /// # Errors
    /// The file cannot be read, or anything in it.
    pub fn from_pem_file(path: &Path) -> Result<Self, RootsError> {
        let not_pem = |detail: String| RootsError::NotPem {
            path: path.to_path_buf(),
            detail,
        };
        let found: Result<Vec<_>, _> =
            CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
        let found: Vec<CertificateDer<'static>> = found.map_err(|error| match error {
            pem::Error::Io(error) => RootsError::File {
                path: path.to_path_buf(),
                error,
            },
            other => not_pem(other.to_string()),
        })?;
        let mut store = RootCertStore::empty();
        for certificate in found {
            store
                .add(certificate)
                .map_err(|error| not_pem(error.to_string()))?;
        }
        if store.is_empty() {
            return Err(not_pem("it is empty".to_owned()));
        }
        Ok(Self::from(store))
    }

    /// Nobody: no certificate proves anything.
    #[must_use]
    pub fn none() -> Self {
        Self::from(RootCertStore::empty())
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.store.len()
    }
}

impl From<RootCertStore> for Roots {
    fn from(store: RootCertStore) -> Self {
        Self {
            store: Arc::new(store),
        }
    }
}
