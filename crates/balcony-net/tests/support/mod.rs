//! A server on loopback whose connections a test drives, and TLS clients that trust its
//! certificate.
#![allow(dead_code, unreachable_pub)] // Each test binary uses its own part.

use std::collections::VecDeque;
use std::io;
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use balcony_net::{
    Certificates, Connection, ConnectionLimits, Gate, GateLimits, HandshakeError, Listener,
    Listening, Read, Source, TlsFacts, Workers,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, SupportedProtocolVersion};

/// For steps that must come to an end: a test that waits longer has failed.
pub const LONG: Duration = Duration::from_secs(60);

pub struct Server {
    pub workers: Arc<Workers>,
    pub listening: Option<Listening>,
    pub gate: Arc<Gate>,
    connections: mpsc::Receiver<Arc<Connection>>,
}

/// Starts a server that hands every connection to the test instead of serving it.
pub fn server(limits: ConnectionLimits) -> Server {
    let workers = Arc::new(Workers::start(2).unwrap());
    let gate = Gate::new(GateLimits::default());
    let (tell, connections) = mpsc::channel();
    let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listening = listener
        .serve(
            Arc::clone(&gate),
            Arc::clone(&workers),
            limits,
            move |connection| {
                let _ = tell.send(connection);
                std::future::ready(())
            },
        )
        .unwrap();
    Server {
        workers,
        listening: Some(listening),
        gate,
        connections,
    }
}

impl Server {
    /// A client's socket and the server's connection to it.
    pub fn connect(&self) -> (TcpStream, Arc<Connection>) {
        let address = self.listening.as_ref().unwrap().address();
        let client = TcpStream::connect(address).unwrap();
        client.set_read_timeout(Some(LONG)).unwrap();
        client.set_write_timeout(Some(LONG)).unwrap();
        (client, self.connections.recv_timeout(LONG).unwrap())
    }
}

/// Runs `future` on the connection's own worker and waits for it.
pub fn on_home<T: Send + 'static>(
    connection: &Arc<Connection>,
    future: impl Future<Output = T> + Send + 'static,
) -> T {
    on_home_later(connection, future)
        .recv_timeout(LONG)
        .unwrap()
}

/// Runs `future` on the connection's own worker; the result comes by the channel.
pub fn on_home_later<T: Send + 'static>(
    connection: &Arc<Connection>,
    future: impl Future<Output = T> + Send + 'static,
) -> mpsc::Receiver<T> {
    let (tell, told) = mpsc::channel();
    connection.home().spawn(async move {
        let _ = tell.send(future.await);
    });
    told
}

/// One read of the connection.
pub fn read(connection: &Arc<Connection>) -> io::Result<Read<Vec<u8>>> {
    let reader = Arc::clone(connection);
    on_home(connection, async move { reader.read(<[u8]>::to_vec).await })
}

/// Reads until so many bytes have come.
pub fn read_exactly(connection: &Arc<Connection>, count: usize) -> Vec<u8> {
    let mut all = Vec::new();
    while all.len() < count {
        match read(connection).unwrap() {
            Read::Data(bytes) => all.extend(bytes),
            Read::Closed(reason) => panic!("{reason:?} after {} bytes", all.len()),
        }
    }
    all
}

/// Waits for something that another thread is about to do.
pub fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let start = std::time::Instant::now();
    while !condition() {
        assert!(start.elapsed() < LONG, "never came to: {what}");
        std::thread::yield_now();
    }
}

/// A session's queue: chunks in order, one for each call.
#[derive(Default)]
pub struct Queue {
    pub chunks: Mutex<VecDeque<Vec<u8>>>,
    pub fills: AtomicUsize,
}

impl Queue {
    pub fn of(chunks: impl IntoIterator<Item = Vec<u8>>) -> Arc<Self> {
        Arc::new(Self {
            chunks: Mutex::new(chunks.into_iter().collect()),
            ..Self::default()
        })
    }

    pub fn push(&self, chunk: &[u8]) {
        self.chunks.lock().unwrap().push_back(chunk.to_vec());
    }

    pub fn left(&self) -> usize {
        self.chunks.lock().unwrap().len()
    }

    pub fn fills(&self) -> usize {
        self.fills.load(Ordering::SeqCst)
    }
}

impl Source for Queue {
    fn fill(&self, out: &mut Vec<u8>) -> bool {
        self.fills.fetch_add(1, Ordering::SeqCst);
        let mut chunks = self.chunks.lock().unwrap();
        if let Some(chunk) = chunks.pop_front() {
            out.extend_from_slice(&chunk);
        }
        !chunks.is_empty()
    }
}

/// Bytes in which every position is recognisable.
pub fn pattern(count: usize) -> Vec<u8> {
    (0..count)
        .map(|index| u8::try_from((index * 31 + index / 251) % 251).unwrap())
        .collect()
}

/// A directory with a self-signed certificate for localhost.
pub struct Tls {
    pub directory: tempfile::TempDir,
    pub certificates: Arc<Certificates>,
}

pub fn localhost() -> Vec<String> {
    vec!["localhost".to_owned()]
}

impl Tls {
    pub fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let certificates = Arc::new(Certificates::load(directory.path(), &localhost()).unwrap());
        Self {
            directory,
            certificates,
        }
    }

    /// The certificate as the client sees it.
    pub fn certificate(&self) -> CertificateDer<'static> {
        CertificateDer::from_pem_file(self.directory.path().join("localhost.crt")).unwrap()
    }

    /// A client that trusts the server's certificate, and verifies it.
    pub fn client_config(&self, versions: &[&'static SupportedProtocolVersion]) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth()
    }

    /// Starts the server's side of the handshake.
    pub fn accept(
        &self,
        connection: &Arc<Connection>,
    ) -> mpsc::Receiver<Result<TlsFacts, HandshakeError>> {
        let handshake = connection.accept_tls(self.certificates.config(), LONG);
        on_home_later(connection, handshake)
    }
}

pub type TlsClient = rustls::StreamOwned<ClientConnection, TcpStream>;

pub fn tls_client(config: ClientConfig, socket: TcpStream) -> TlsClient {
    tls_client_shared(Arc::new(config), socket)
}

pub fn tls_client_shared(config: Arc<ClientConfig>, socket: TcpStream) -> TlsClient {
    let name = ServerName::try_from("localhost").unwrap();
    TlsClient::new(ClientConnection::new(config, name).unwrap(), socket)
}

/// Finishes the client's side of a handshake.
pub fn finish(client: &mut TlsClient) {
    while client.conn.is_handshaking() {
        client.conn.complete_io(&mut client.sock).unwrap();
    }
}
