//! The network of a server in memory whose peers are scripted: who is at a domain is known without
//! DNS, and TLS is pretended.
//!
//! In a pretended handshake each side sends a line with the domains that its certificate proves,
//! and reads the other's. So what was sent ahead of it makes it fail, as it would a real one.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use balcony_core::module::BoxFuture;
use balcony_federation::{Failure, Kind, Opened, Reach, Secured, Shown, Socket};
use balcony_net::Dane;
use balcony_stream::TlsInfo;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::mpsc;

/// Begins the line of a handshake, as a TLS record of a handshake begins.
const HELLO: u8 = 22;

/// Bytes that one direction of a connection holds: as a kernel's buffers.
const BUFFER: usize = 256 * 1024;

/// From an address of TEST-NET-1 (RFC 5737).
pub const ADDRESS: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 5269);

/// Who is at which domain.
#[derive(Default)]
pub struct Roads {
    servers: Mutex<HashMap<String, mpsc::UnboundedSender<DuplexStream>>>,
}

impl Roads {
    /// From now on connections to the domain come out of what is answered. When that is dropped,
    /// nobody listens there.
    pub fn listen(&self, domain: &str) -> mpsc::UnboundedReceiver<DuplexStream> {
        let (take, taken) = mpsc::unbounded_channel();
        self.servers.lock().insert(domain.to_owned(), take);
        taken
    }

    fn dial(&self, remote: &str) -> Result<Opened, Failure> {
        let servers = self.servers.lock();
        let unknown = || Failure::new(Kind::NotFound, "there is no such domain");
        let server = servers.get(remote).ok_or_else(unknown)?;
        let (ours, theirs) = duplex(BUFFER);
        let refused = |_| Failure::unreachable("connection refused");
        server.send(theirs).map_err(refused)?;
        Ok(Opened {
            socket: Box::new(ours),
            address: ADDRESS,
            direct_tls: false,
            dane: None,
        })
    }
}

/// Both ends of a connection.
#[must_use]
pub fn connection() -> (DuplexStream, DuplexStream) {
    duplex(BUFFER)
}

/// Who begins a handshake: whoever opened the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opener {
    /// This side.
    Here,
    /// The other one.
    There,
}

/// One side of a pretended handshake; answers the domains that the other side proves.
///
/// # Errors
/// Something else came, or the end.
pub async fn shake<S: AsyncRead + AsyncWrite + Unpin>(
    socket: &mut S,
    proves: &str,
    opener: Opener,
) -> Result<Vec<String>, String> {
    if opener == Opener::Here {
        greet(socket, proves).await?;
        return hear(socket).await;
    }
    let heard = hear(socket).await?;
    greet(socket, proves).await?;
    Ok(heard)
}

fn failed(error: std::io::Error) -> String {
    error.to_string()
}

async fn greet<S: AsyncWrite + Unpin>(socket: &mut S, proves: &str) -> Result<(), String> {
    let hello = [&[HELLO], proves.as_bytes(), b"\n"].concat();
    socket.write_all(&hello).await.map_err(failed)?;
    socket.flush().await.map_err(failed)
}

async fn hear<S: AsyncRead + Unpin>(socket: &mut S) -> Result<Vec<String>, String> {
    if socket.read_u8().await.map_err(failed)? != HELLO {
        return Err("this is no TLS".to_owned());
    }
    let mut line = Vec::new();
    loop {
        match socket.read_u8().await.map_err(failed)? {
            b'\n' => break,
            byte => line.push(byte),
        }
    }
    let line = String::from_utf8(line).map_err(|error| error.to_string())?;
    Ok(line.split_whitespace().map(str::to_owned).collect())
}

/// The domains of a pretended certificate.
struct Proves(Vec<String>);

impl Shown for Proves {
    fn proves(&self, domain: &str) -> Result<(), String> {
        match self.0.iter().any(|proved| proved == domain) {
            true => Ok(()),
            false => Err(format!("its certificate is not for {domain}")),
        }
    }
}

async fn secure(
    mut socket: Box<dyn Socket>,
    proves: String,
    opener: Opener,
) -> Result<Secured, String> {
    let domains = shake(&mut socket, &proves, opener).await?;
    Ok(Secured {
        socket,
        info: TlsInfo {
            version13: true,
            ..TlsInfo::default()
        },
        shown: Arc::new(Proves(domains)),
    })
}

impl Reach for Roads {
    fn open<'a>(&'a self, remote: &'a str, _: bool) -> BoxFuture<'a, Result<Opened, Failure>> {
        Box::pin(async move { self.dial(remote) })
    }

    fn secure_out<'a>(
        &'a self,
        socket: Box<dyn Socket>,
        local: &'a str,
        _: &'a str,
        _: bool,
        _: Option<Dane>,
    ) -> BoxFuture<'a, Result<Secured, String>> {
        Box::pin(secure(socket, local.to_owned(), Opener::Here))
    }

    fn secure_in<'a>(
        &'a self,
        socket: Box<dyn Socket>,
        to: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Secured, String>> {
        Box::pin(secure(
            socket,
            to.unwrap_or_default().to_owned(),
            Opener::There,
        ))
    }
}
