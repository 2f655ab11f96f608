//! A server on loopback: the real one but for its store, which forgets.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use balcony_net::{
    Certificates, ConnectionLimits, Gate, GateLimits, Listener, Listening, Workers,
    raise_descriptor_limit,
};
use balcony_proto::jid::Jid;
use balcony_server::c2s::{self, TcpLink};
use balcony_stream::Security;
use balcony_testkit::TestServer;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::client::{Client, PASSWORD};

/// Everything in clear: TLS is tested elsewhere, and costs time.
const CONFIG: &str = "[tls]\nrequired = false\n[auth]\niterations = 4096\n";

pub(crate) struct Server {
    pub(crate) test: TestServer,
    pub(crate) gate: Arc<Gate>,
    pub(crate) address: SocketAddr,
    runtime: Runtime,
    _listening: Listening,
    _certificates: TempDir,
}

impl Server {
    /// With these `[limits]`, and accounts for Romeo, Juliet and the nurse.
    pub(crate) fn start(limits: &str) -> Server {
        let _ = raise_descriptor_limit();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let config = format!("{CONFIG}[limits]\n{limits}\n");
        let test = runtime.block_on(TestServer::start(&config)).unwrap();
        for name in ["romeo", "juliet", "nurse"] {
            let account = Jid::parse(&format!("{name}@localhost")).unwrap();
            runtime
                .block_on(test.add_account(&account, PASSWORD))
                .unwrap();
        }
        let folder = tempfile::tempdir().unwrap();
        let hosts = ["localhost".to_owned()];
        let certificates = Arc::new(Certificates::load(folder.path(), &hosts).unwrap());
        let listener = Listener::bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let address = listener.address();
        // All clients of a test come from one address.
        let gate = Gate::new(GateLimits {
            per_address: None,
            accepts_per_second: None,
            ..GateLimits::default()
        });
        let limits = &test.instance.core.config().limits;
        let limits = ConnectionLimits {
            write_timeout: limits.timeouts.write,
            max_pending: limits.session_queue * 2,
        };
        let instance = Arc::clone(&test.instance);
        let serve = move |connection| {
            let link = TcpLink::new(connection, certificates.config());
            c2s::serve(Arc::clone(&instance), link, Security::Plain)
        };
        let workers = Arc::new(Workers::start(2).unwrap());
        let listening = listener
            .serve(Arc::clone(&gate), workers, limits, serve)
            .unwrap();
        Server {
            test,
            gate,
            address,
            runtime,
            _listening: listening,
            _certificates: folder,
        }
    }

    pub(crate) fn login(&self, name: &str) -> Client {
        Client::login(self.address, name)
    }

    /// Waits until something holds; the test fails when it does not within ten seconds.
    pub(crate) fn until(&self, what: &str, holds: impl Fn(&Server) -> bool) {
        let waiting = async {
            while !holds(self) {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        };
        let limit = std::time::Duration::from_secs(10);
        let result = self
            .runtime
            .block_on(async { tokio::time::timeout(limit, waiting).await });
        assert!(result.is_ok(), "it did not come to this: {what}");
    }

    pub(crate) fn is_connected(&self, full_jid: &str) -> bool {
        let jid = Jid::parse(full_jid).unwrap();
        self.test.instance.core.sessions().find(&jid).is_some()
    }
}
