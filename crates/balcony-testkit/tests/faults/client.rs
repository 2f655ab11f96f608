//! A client that blocks: what faults need is the socket itself.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use balcony_proto::jid::Jid;
use balcony_server::system_random;
use balcony_stream::initiating::{ClientConfig, Initiating, Input, Output, TlsPolicy};

pub(crate) const PASSWORD: &str = "secret";
/// Longer than anything takes that works.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) const HEADER: &str = "<stream:stream to='localhost' version='1.0' \
     xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>";

pub(crate) struct Client {
    pub(crate) socket: TcpStream,
    /// What came and was not looked at yet.
    came: String,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Client {
        Client::over(TcpStream::connect(address).unwrap())
    }

    pub(crate) fn over(socket: TcpStream) -> Client {
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.set_nodelay(true).unwrap();
        Client {
            socket,
            came: String::new(),
        }
    }

    /// Logs in as `name@localhost/test`, in clear.
    pub(crate) fn login(address: SocketAddr, name: &str) -> Client {
        Client::negotiate(address, name, true)
    }

    /// Authenticates as `name@localhost`, in clear, and binds no resource.
    pub(crate) fn authenticated(address: SocketAddr, name: &str) -> Client {
        Client::negotiate(address, name, false)
    }

    fn negotiate(address: SocketAddr, name: &str, bind: bool) -> Client {
        let jid = Jid::parse(&format!("{name}@localhost")).unwrap();
        let mut config = ClientConfig::new(jid, PASSWORD);
        config.tls = TlsPolicy::Clear;
        config.resource = Some("test".into());
        let random = system_random().unwrap();
        let mut machine = Initiating::new(Arc::new(config), random, Duration::ZERO);
        let mut client = Client::connect(address);
        loop {
            while let Some(output) = machine.poll() {
                match output {
                    // What the machine wants to say next is for the test to say.
                    Output::Write(bytes) if !bind && is_bind(&bytes) => return client,
                    Output::Write(bytes) => client.socket.write_all(&bytes).unwrap(),
                    Output::Bound(_) => {
                        let (_, rest) = machine.into_established();
                        client.came = String::from_utf8(rest).unwrap();
                        return client;
                    }
                    other => panic!("{name} did not get in: {other:?}"),
                }
            }
            let mut buffer = [0; 4096];
            let count = client.socket.read(&mut buffer).unwrap();
            assert!(count > 0, "{name} did not get in");
            machine.handle(Input::Bytes(&buffer[..count]), Duration::ZERO);
        }
    }

    pub(crate) fn online(address: SocketAddr, name: &str) -> Client {
        let mut client = Client::login(address, name);
        client.send("<presence/>");
        client.until("<presence ");
        client
    }

    pub(crate) fn send(&mut self, text: &str) {
        self.socket.write_all(text.as_bytes()).unwrap();
    }

    /// Reads until this text came; answers everything up to its end.
    pub(crate) fn until(&mut self, text: &str) -> String {
        loop {
            if let Some(at) = self.came.find(text) {
                let rest = self.came.split_off(at + text.len());
                return std::mem::replace(&mut self.came, rest);
            }
            assert!(self.read(), "{text} did not come, but {}", self.came);
        }
    }

    /// Reads to the end of the connection.
    pub(crate) fn rest(&mut self) -> String {
        while self.read() {}
        std::mem::take(&mut self.came)
    }

    /// What comes in five seconds.
    pub(crate) fn silence(&mut self) -> String {
        let wait = Duration::from_secs(5);
        self.socket.set_read_timeout(Some(wait)).unwrap();
        let mut buffer = [0; 4096];
        let came = match self.socket.read(&mut buffer) {
            Ok(count) => String::from_utf8_lossy(&buffer[..count]).into_owned(),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => String::new(),
            Err(error) => panic!("{error}"),
        };
        self.socket.set_read_timeout(Some(PATIENCE)).unwrap();
        came
    }

    /// A ping to the server and back: all that was sent before it is handled.
    pub(crate) fn ping(&mut self) {
        self.send("<iq type='get' id='ping'><ping xmlns='urn:xmpp:ping'/></iq>");
        self.until("id='ping'");
        self.until("/>");
    }

    fn read(&mut self) -> bool {
        let mut buffer = [0; 65_536];
        match self.socket.read(&mut buffer) {
            Ok(0) => false,
            Ok(count) => {
                self.came
                    .push_str(&String::from_utf8_lossy(&buffer[..count]));
                true
            }
            // Whoever ends a connection with something unread in it resets it.
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => false,
            Err(error) => panic!("{error}; so far {}", self.came),
        }
    }
}

fn is_bind(bytes: &[u8]) -> bool {
    String::from_utf8_lossy(bytes).contains("urn:ietf:params:xml:ns:xmpp-bind")
}
