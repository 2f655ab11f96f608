//! Measures the memory that an idle connection costs the server: plain, then TLS 1.3.
//!
//! `cargo run --release -p balcony-net --example idle_memory [COUNT]`, 2,000 connections by
//! default. The clients live in a child process; every connection echoes 400 bytes three times and
//! then idles.
// A measuring tool: what fails may end it.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use balcony_net::{
    Certificates, Connection, ConnectionLimits, Gate, GateLimits, Listener, Read, Workers,
    raise_descriptor_limit,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

/// About one chat message.
const MESSAGE: [u8; 400] = [b'x'; 400];
const ECHOES: usize = 3;
/// What the kernel and the allocator may take to settle before memory is read.
const SETTLE: Duration = Duration::from_secs(1);

fn main() {
    raise_descriptor_limit().unwrap();
    let arguments: Vec<String> = std::env::args().collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[1..] {
        ["client", mode, address, certificate, count] => {
            client(
                mode,
                address.parse().unwrap(),
                certificate,
                count.parse().unwrap(),
            );
        }
        [count] => server(count.parse().unwrap()),
        _ => server(2000),
    }
}

fn server(count: usize) {
    let directory = tempfile::tempdir().unwrap();
    let certificates =
        Arc::new(Certificates::load(directory.path(), &["localhost".to_owned()]).unwrap());
    let certificate = directory.path().join("localhost.crt");
    let workers = Arc::new(Workers::start(2).unwrap());
    let gate = Gate::new(GateLimits::default());
    println!("Connection: {} bytes", size_of::<Connection>());
    for mode in ["plain", "tls"] {
        let certificates = Arc::clone(&certificates);
        let serve = move |connection| serve(connection, mode == "tls", Arc::clone(&certificates));
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let limits = ConnectionLimits::default();
        let listening = listener
            .serve(Arc::clone(&gate), Arc::clone(&workers), limits, serve)
            .unwrap();
        let run = |count: usize| {
            let mut child = Command::new(std::env::current_exe().unwrap())
                .args(["client", mode, &listening.address().to_string()])
                .args([certificate.to_str().unwrap(), &count.to_string()])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            let mut ready = String::new();
            BufReader::new(child.stdout.take().unwrap())
                .read_line(&mut ready)
                .unwrap();
            assert_eq!(ready, "ready\n");
            std::thread::sleep(SETTLE);
            let used = resident_bytes();
            drop(child.stdin.take());
            child.wait().unwrap();
            while gate.open() > 0 {
                std::thread::sleep(Duration::from_millis(1));
            }
            used
        };
        // The threads' own buffers, which do not grow with the connections.
        let before = run(20);
        let after = run(count);
        let each = after.saturating_sub(before) / count;
        println!("{mode}: {each} bytes of RSS for each of {count} idle connections");
    }
}

async fn serve(connection: Arc<Connection>, tls: bool, certificates: Arc<Certificates>) {
    if tls {
        let handshake = connection.accept_tls(certificates.config(), Duration::from_secs(60));
        handshake.await.unwrap();
    }
    // A task of its own, as small as it can be.
    let home = Arc::clone(connection.home());
    home.spawn(echo(connection));
}

async fn echo(connection: Arc<Connection>) {
    while let Ok(Read::Data(())) = connection.read(|bytes| connection.queue(bytes)).await {}
    connection.abort();
}

fn resident_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    let kilobytes = line.split_ascii_whitespace().nth(1).unwrap();
    kilobytes.parse::<usize>().unwrap() * 1024
}

trait Duplex: std::io::Read + std::io::Write {}
impl<T: std::io::Read + std::io::Write> Duplex for T {}

fn client(mode: &str, address: SocketAddr, certificate: &str, count: usize) {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(certificate).unwrap())
        .unwrap();
    let config =
        ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
    let config = Arc::new(config);
    let mut streams: Vec<Box<dyn Duplex>> = Vec::new();
    for _ in 0..count {
        let socket = TcpStream::connect(address).unwrap();
        let mut stream: Box<dyn Duplex> = if mode == "tls" {
            let name = ServerName::try_from("localhost").unwrap();
            let session = ClientConnection::new(Arc::clone(&config), name).unwrap();
            Box::new(StreamOwned::new(session, socket))
        } else {
            Box::new(socket)
        };
        for _ in 0..ECHOES {
            stream.write_all(&MESSAGE).unwrap();
            stream.read_exact(&mut [0; MESSAGE.len()]).unwrap();
        }
        streams.push(stream);
    }
    println!("ready");
    let _ = std::io::stdin().read(&mut [0]);
}
