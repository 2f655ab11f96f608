//! TLS connections against rustls' client: handshakes, channel binding, data, closing, bad input.

// A failed unwrap in a helper is a failed test, too.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use balcony_net::{Closed, Connection, ConnectionLimits, HandshakeError, Read, Source, TlsFacts};
use rustls::crypto::cipher::OutboundPlainMessage;
use rustls::version::{TLS12, TLS13};
use rustls::{ConnectionTrafficSecrets, ContentType, SupportedProtocolVersion};
use sha2::{Digest, Sha256};
use support::{
    LONG, Queue, Server, Tls, TlsClient, finish, localhost, on_home, pattern, read, read_exactly,
    server, tls_client, tls_client_shared, wait_until,
};

static BOTH: [&SupportedProtocolVersion; 2] = [&TLS13, &TLS12];

/// A client and a connection with TLS between them.
struct Pair {
    _server: Server,
    tls: Tls,
    client: TlsClient,
    connection: Arc<Connection>,
    facts: TlsFacts,
}

fn pair(version: &'static SupportedProtocolVersion) -> Pair {
    let server = server(ConnectionLimits::default());
    let tls = Tls::new();
    let (socket, connection) = server.connect();
    let accepting = tls.accept(&connection);
    let mut client = tls_client(tls.client_config(&[version]), socket);
    finish(&mut client);
    let facts = accepting.recv_timeout(LONG).unwrap().unwrap();
    Pair {
        _server: server,
        tls,
        client,
        connection,
        facts,
    }
}

fn exported_by(client: &TlsClient) -> [u8; 32] {
    client
        .conn
        .export_keying_material([0; 32], b"EXPORTER-Channel-Binding", Some(b""))
        .unwrap()
}

fn failed(
    accepting: &std::sync::mpsc::Receiver<Result<TlsFacts, HandshakeError>>,
) -> HandshakeError {
    accepting.recv_timeout(LONG).unwrap().unwrap_err()
}

#[test]
fn tls13_gives_both_channel_bindings_as_the_client_sees_them() {
    let pair = pair(&TLS13);
    assert!(pair.facts.version13 && pair.connection.is_secure());
    assert_eq!(pair.facts.exporter, Some(exported_by(&pair.client)));
    let seen = pair
        .client
        .conn
        .peer_certificates()
        .unwrap()
        .first()
        .unwrap();
    // RFC 5929 §4.1: signed with ECDSA and SHA-256.
    assert_eq!(
        pair.facts.server_end_point,
        Some(Sha256::digest(seen).to_vec())
    );
    assert_eq!(pair.facts.sni.as_deref(), Some("localhost"));
    assert!(!pair.facts.resumed);
}

#[test]
fn the_exporter_is_right_for_suites_of_either_hash() {
    let provider = rustls::crypto::ring::default_provider();
    let suites = provider
        .cipher_suites
        .iter()
        .filter(|suite| suite.tls13().is_some());
    let mut count = 0;
    for suite in suites {
        let server = server(ConnectionLimits::default());
        let tls = Tls::new();
        let (socket, connection) = server.connect();
        let accepting = tls.accept(&connection);
        let mut one = provider.clone();
        one.cipher_suites = vec![*suite];
        let mut roots = rustls::RootCertStore::empty();
        roots.add(tls.certificate()).unwrap();
        let config = rustls::ClientConfig::builder_with_provider(Arc::new(one))
            .with_protocol_versions(&[&TLS13])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let mut client = tls_client(config, socket);
        finish(&mut client);
        let facts = accepting.recv_timeout(LONG).unwrap().unwrap();
        assert_eq!(facts.exporter, Some(exported_by(&client)), "{suite:?}");
        count += 1;
    }
    assert_eq!(count, 3);
}

#[test]
fn tls12_gives_the_end_point_but_no_exporter() {
    let pair = pair(&TLS12);
    assert!(!pair.facts.version13);
    assert_eq!(pair.facts.exporter, None);
    let seen = pair
        .client
        .conn
        .peer_certificates()
        .unwrap()
        .first()
        .unwrap();
    assert_eq!(
        pair.facts.server_end_point,
        Some(Sha256::digest(seen).to_vec())
    );
}

#[test]
fn a_resumed_connection_has_an_exporter_of_its_own_and_the_same_end_point() {
    for version in BOTH {
        let server = server(ConnectionLimits::default());
        let tls = Tls::new();
        let config = Arc::new(tls.client_config(&[version]));
        let mut seen = Vec::new();
        for resumed in [false, true] {
            let (socket, connection) = server.connect();
            let accepting = tls.accept(&connection);
            let mut client = tls_client_shared(Arc::clone(&config), socket);
            finish(&mut client);
            let facts = accepting.recv_timeout(LONG).unwrap().unwrap();
            assert_eq!(facts.resumed, resumed, "{version:?}");
            if facts.version13 {
                assert_eq!(facts.exporter, Some(exported_by(&client)));
            }
            // The ticket comes with what is read next.
            connection.queue(b"x");
            client.read_exact(&mut [0]).unwrap();
            seen.push(facts);
        }
        let [first, second] = seen.try_into().unwrap();
        assert_eq!(first.server_end_point, second.server_end_point);
        assert!(first.exporter.is_none() || first.exporter != second.exporter);
    }
}

#[test]
fn alpn_may_be_missing_but_not_name_another_protocol() {
    for (offered, agreed) in [
        (vec![], Some(None)),
        (vec!["xmpp-client"], Some(Some("xmpp-client"))),
        (vec!["http/1.1"], None),
    ] {
        let server = server(ConnectionLimits::default());
        let tls = Tls::new();
        let (socket, connection) = server.connect();
        let accepting = tls.accept(&connection);
        let mut config = tls.client_config(&BOTH);
        config.alpn_protocols = offered
            .iter()
            .map(|name| name.as_bytes().to_vec())
            .collect();
        let mut client = tls_client(config, socket);
        let handshake = client.conn.complete_io(&mut client.sock);
        match agreed {
            Some(agreed) => {
                handshake.unwrap();
                finish(&mut client);
                let facts = accepting.recv_timeout(LONG).unwrap().unwrap();
                assert_eq!(facts.alpn.as_deref(), agreed.map(str::as_bytes));
            }
            None => {
                let error = handshake.unwrap_err().to_string();
                assert!(error.contains("NoApplicationProtocol"), "{error}");
                assert!(matches!(failed(&accepting), HandshakeError::Tls(_)));
            }
        }
    }
}

#[test]
fn starttls_begins_behind_what_was_queued() {
    let server = server(ConnectionLimits::default());
    let tls = Tls::new();
    let (mut socket, connection) = server.connect();
    connection.queue(b"<proceed/>");
    let accepting = tls.accept(&connection);
    let mut proceed = [0; 10];
    socket.read_exact(&mut proceed).unwrap();
    assert_eq!(&proceed, b"<proceed/>");
    let mut client = tls_client(tls.client_config(&BOTH), socket);
    finish(&mut client);
    assert!(accepting.recv_timeout(LONG).unwrap().is_ok());
}

#[test]
fn much_data_goes_both_ways() {
    for version in BOTH {
        let mut pair = pair(version);
        let data = pattern(3_000_000);
        pair.connection
            .set_source(Queue::of(data.chunks(70_000).map(<[u8]>::to_vec)));
        let (reader, count) = (Arc::clone(&pair.connection), data.len());
        let reading = support::on_home_later(&pair.connection, async move {
            let mut all = Vec::new();
            while all.len() < count {
                match reader.read(|bytes| all.extend_from_slice(bytes)).await {
                    Ok(Read::Data(())) => {}
                    other => panic!("{other:?}"),
                }
            }
            all
        });
        pair.client.write_all(&data).unwrap();
        let mut got = vec![0; data.len()];
        pair.client.read_exact(&mut got).unwrap();
        assert!(got == data);
        assert!(reading.recv_timeout(LONG).unwrap() == data);
    }
}

#[test]
fn a_reader_that_starts_late_gets_everything_in_order() {
    for version in BOTH {
        let mut pair = pair(version);
        let data = pattern(20_000_000);
        pair.connection
            .set_source(Queue::of(data.chunks(60_000).map(<[u8]>::to_vec)));
        wait_until("the socket takes no more", || pair.connection.is_blocked());
        // Encrypted behind what waits.
        pair.connection.queue(b"behind ");
        pair.connection.close_after_flush();
        let mut got = Vec::new();
        pair.client.read_to_end(&mut got).unwrap();
        assert_eq!(got.len(), data.len() + 7);
        let at = got
            .windows(7)
            .position(|window| window == b"behind ")
            .unwrap();
        got.drain(at..at + 7);
        assert!(got == data);
    }
}

#[test]
fn records_that_arrive_byte_by_byte_are_read_and_leave_nothing_behind() {
    for version in BOTH {
        let server = server(ConnectionLimits::default());
        let tls = Tls::new();
        let (mut socket, connection) = server.connect();
        socket.set_nodelay(true).unwrap();
        let accepting = tls.accept(&connection);
        let mut client =
            tls_client(tls.client_config(&[version]), socket.try_clone().unwrap()).conn;
        // Sent together with the end of the handshake.
        client.writer().write_all(b"early ").unwrap();
        while client.is_handshaking() || client.wants_write() {
            let mut wire = Vec::new();
            while client.wants_write() {
                client.write_tls(&mut wire).unwrap();
            }
            for byte in wire {
                socket.write_all(&[byte]).unwrap();
            }
            if client.is_handshaking() {
                client.read_tls(&mut socket).unwrap();
                client.process_new_packets().unwrap();
            }
        }
        assert!(accepting.recv_timeout(LONG).unwrap().is_ok());
        assert_eq!(read_exactly(&connection, 6), b"early ");
        client.writer().write_all(b"late").unwrap();
        let mut wire = Vec::new();
        client.write_tls(&mut wire).unwrap();
        for byte in wire {
            socket.write_all(&[byte]).unwrap();
        }
        assert_eq!(read_exactly(&connection, 4), b"late");
    }
}

#[test]
fn close_notify_goes_both_ways() {
    for version in BOTH {
        let mut pair = pair(version);
        pair.connection.queue(b"</stream:stream>");
        pair.connection.close_after_flush();
        let mut got = Vec::new();
        // rustls makes an error of an end without close_notify.
        pair.client.read_to_end(&mut got).unwrap();
        assert_eq!(got, b"</stream:stream>");
        pair.client.write_all(b"bye").unwrap();
        pair.client.conn.send_close_notify();
        pair.client.flush().unwrap();
        assert_eq!(read_exactly(&pair.connection, 3), b"bye");
        for _ in 0..2 {
            assert_eq!(
                read(&pair.connection).unwrap(),
                Read::Closed(Closed::ByPeer)
            );
        }
    }
}

#[test]
fn a_client_that_closed_its_side_still_gets_output() {
    let mut pair = pair(&TLS13);
    pair.client.conn.send_close_notify();
    pair.client.flush().unwrap();
    assert_eq!(
        read(&pair.connection).unwrap(),
        Read::Closed(Closed::ByPeer)
    );
    pair.connection.queue(b"answer");
    pair.connection.close_after_flush();
    let mut got = Vec::new();
    pair.client.read_to_end(&mut got).unwrap();
    assert_eq!(got, b"answer");
}

#[test]
fn an_end_without_close_notify_is_told_apart() {
    let mut pair = pair(&TLS13);
    pair.client.sock.shutdown(Shutdown::Write).unwrap();
    assert_eq!(
        read(&pair.connection).unwrap(),
        Read::Closed(Closed::Truncated)
    );
    pair.connection.queue(b"x");
    pair.client.read_exact(&mut [0]).unwrap();
}

#[test]
fn a_forged_record_is_an_error_and_the_peer_gets_the_alert() {
    for version in BOTH {
        let mut pair = pair(version);
        let mut forged = vec![0x17, 3, 3, 0, 40];
        forged.extend_from_slice(&[7; 40]);
        pair.client.sock.write_all(&forged).unwrap();
        let error = read(&pair.connection).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData);
        let error = pair.client.read(&mut [0; 10]).unwrap_err().to_string();
        assert!(error.contains("BadRecordMac"), "{error}");
        pair.connection.queue(b"nothing follows the alert");
        assert!(
            pair.client
                .sock
                .read(&mut [0; 10])
                .is_ok_and(|count| count == 0)
        );
    }
}

#[test]
fn key_updates_of_both_sides_are_followed() {
    let mut pair = pair(&TLS13);
    for round in 0..5u8 {
        pair.client.conn.refresh_traffic_keys().unwrap();
        pair.client.write_all(&[round]).unwrap();
        assert_eq!(read_exactly(&pair.connection, 1), [round]);
        pair.connection.queue(&[round]);
        let mut got = [0];
        pair.client.read_exact(&mut got).unwrap();
        assert_eq!(got, [round]);
    }
}

/// Encrypts for the client of `pair`, which must not send anything itself afterwards.
fn sealer(client: rustls::ClientConnection) -> impl FnMut(ContentType, &[u8]) -> Vec<u8> {
    let suite = client.negotiated_cipher_suite().unwrap();
    let aead = suite.tls13().unwrap().aead_alg;
    let (mut sequence, secrets) = client.dangerous_extract_secrets().unwrap().tx;
    let (ConnectionTrafficSecrets::Aes128Gcm { key, iv }
    | ConnectionTrafficSecrets::Aes256Gcm { key, iv }
    | ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv }) = secrets
    else {
        panic!("an unknown cipher")
    };
    let mut encrypter = aead.encrypter(key, iv);
    move |typ, payload| {
        let version = rustls::ProtocolVersion::TLSv1_2;
        let plain = OutboundPlainMessage {
            typ,
            version,
            payload: payload.into(),
        };
        let record = encrypter.encrypt(plain, sequence).unwrap();
        sequence += 1;
        record.encode()
    }
}

#[test]
fn half_a_handshake_message_after_the_handshake_does_not_disturb_writing() {
    let server = server(ConnectionLimits::default());
    let tls = Tls::new();
    let (socket, connection) = server.connect();
    let accepting = tls.accept(&connection);
    let mut config = tls.client_config(&[&TLS13]);
    config.enable_secret_extraction = true;
    let mut client = tls_client(config, socket);
    finish(&mut client);
    accepting.recv_timeout(LONG).unwrap().unwrap();
    connection.queue(b"x");
    client.read_exact(&mut [0]).unwrap();

    let mut socket = client.sock;
    let mut seal = sealer(client.conn);
    // A KeyUpdate (RFC 8446 §4.6.3) without its last byte, behind data that shows that it arrived.
    let mut wire = seal(ContentType::ApplicationData, b"data");
    wire.extend(seal(ContentType::Handshake, &[24, 0, 0, 1]));
    socket.write_all(&wire).unwrap();
    assert_eq!(read_exactly(&connection, 4), b"data");
    connection.queue(b"answer");
    let mut header = [0; 5];
    socket.read_exact(&mut header).unwrap();
    assert_eq!(header[0], 23, "an encrypted record");
    assert_eq!(connection.ended(), None);
    socket
        .write_all(&seal(ContentType::Handshake, &[0]))
        .unwrap();
    drop(socket);
    assert!(matches!(
        read(&connection),
        Ok(Read::Closed(Closed::Truncated)) | Err(_)
    ));
}

#[test]
fn what_is_no_tls_gets_an_alert_and_the_end() {
    for garbage in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        b"<stream:stream to='localhost'>",
        &[0; 100],
    ] {
        let server = server(ConnectionLimits::default());
        let tls = Tls::new();
        let (mut socket, connection) = server.connect();
        let accepting = tls.accept(&connection);
        socket.write_all(garbage).unwrap();
        assert!(matches!(failed(&accepting), HandshakeError::Tls(_)));
        let mut answer = Vec::new();
        socket.read_to_end(&mut answer).unwrap();
        assert_eq!(answer.first(), Some(&21), "an alert record");
        assert!(!connection.is_secure());
    }
}

#[test]
fn a_client_without_a_common_version_gets_an_alert() {
    let server = server(ConnectionLimits::default());
    let tls = Tls::new();
    let (mut socket, connection) = server.connect();
    let accepting = tls.accept(&connection);
    // A ClientHello of TLS 1.1, with one cipher suite and no extension.
    let mut hello = vec![22, 3, 1, 0, 45, 1, 0, 0, 41, 3, 2];
    hello.extend_from_slice(&[9; 32]);
    hello.extend_from_slice(&[0, 0, 2, 0xc0, 0x09, 1, 0]);
    socket.write_all(&hello).unwrap();
    assert!(matches!(failed(&accepting), HandshakeError::Tls(_)));
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).unwrap();
    assert_eq!(answer.first(), Some(&21));
}

#[test]
fn a_handshake_message_that_never_ends_is_refused_within_bounds() {
    let server = server(ConnectionLimits::default());
    let tls = Tls::new();
    let (mut socket, connection) = server.connect();
    let accepting = tls.accept(&connection);
    // A ClientHello that says it is 65,535 bytes long, in records of 4,000.
    let mut record = vec![22, 3, 1, 0x0f, 0xa0, 1, 0, 0xff, 0xff];
    record.resize(4005, 0);
    let mut following = vec![22, 3, 1, 0x0f, 0xa0];
    following.resize(4005, 0);
    let _ = socket.write_all(&record);
    for _ in 0..10 {
        let _ = socket.write_all(&following);
    }
    assert!(matches!(
        failed(&accepting),
        HandshakeError::TooLong | HandshakeError::Tls(_)
    ));
}

#[test]
fn a_silent_client_times_out_and_one_that_leaves_is_noticed() {
    let server = server(ConnectionLimits::default());
    let tls = Tls::new();
    let (_socket, connection) = server.connect();
    let handshake = connection.accept_tls(tls.certificates.config(), Duration::from_millis(10));
    let result = on_home(&connection, handshake);
    assert!(matches!(result, Err(HandshakeError::TimedOut)));

    let (socket, connection) = server.connect();
    let accepting = tls.accept(&connection);
    drop(socket);
    assert!(matches!(
        failed(&accepting),
        HandshakeError::Closed | HandshakeError::Io(_)
    ));
}

#[test]
fn a_reload_serves_new_handshakes_and_leaves_connections_alone() {
    let mut pair = pair(&TLS13);
    let before = pair.tls.certificate();
    for suffix in ["crt", "key"] {
        std::fs::remove_file(
            pair.tls
                .directory
                .path()
                .join(format!("localhost.{suffix}")),
        )
        .unwrap();
    }
    pair.tls.certificates.reload(&localhost()).unwrap();
    let after = pair.tls.certificate();
    assert_ne!(before, after);

    let (socket, connection) = pair._server.connect();
    let accepting = pair.tls.accept(&connection);
    let mut client = tls_client(pair.tls.client_config(&[&TLS13]), socket);
    finish(&mut client);
    let facts = accepting.recv_timeout(LONG).unwrap().unwrap();
    assert_eq!(client.conn.peer_certificates(), Some(&[after.clone()][..]));
    assert_eq!(
        facts.server_end_point,
        Some(Sha256::digest(&after).to_vec())
    );

    pair.connection.queue(b"old");
    let mut got = [0; 3];
    pair.client.read_exact(&mut got).unwrap();
    assert_eq!(&got, b"old");
}

#[test]
fn a_ticket_does_not_outlive_its_certificate() {
    let server = server(ConnectionLimits::default());
    let tls = Tls::new();
    let path = tls.directory.path().to_path_buf();
    let config = Arc::new(tls.client_config(&[&TLS13]));
    let connect = || {
        let (socket, connection) = server.connect();
        let accepting = tls.accept(&connection);
        let mut client = tls_client_shared(Arc::clone(&config), socket);
        let done: io::Result<()> = (|| {
            while client.conn.is_handshaking() {
                client.conn.complete_io(&mut client.sock)?;
            }
            connection.queue(b"x");
            client.read_exact(&mut [0])
        })();
        drop(client);
        (done, accepting.recv_timeout(LONG).unwrap())
    };
    assert!(connect().1.is_ok_and(|facts| !facts.resumed));
    std::fs::remove_file(path.join("localhost.crt")).unwrap();
    std::fs::remove_file(path.join("localhost.key")).unwrap();
    tls.certificates.reload(&localhost()).unwrap();
    // A full handshake, in which the client refuses the certificate that it does not know.
    let (done, _) = connect();
    assert!(
        done.unwrap_err()
            .to_string()
            .contains("invalid peer certificate")
    );
}

#[test]
fn a_thousand_connections_come_and_go_and_nothing_stays() {
    let server = server(ConnectionLimits::default());
    let tls = Tls::new();
    let config = Arc::new(tls.client_config(&BOTH));
    for index in 0..1000 {
        let (mut socket, connection) = server.connect();
        match index % 4 {
            // Silent.
            0 => drop(socket),
            // Plain, closed by us.
            1 => {
                connection.queue(b"bye");
                connection.close_after_flush();
                let mut got = Vec::new();
                socket.read_to_end(&mut got).unwrap();
                assert_eq!(got, b"bye");
            }
            // TLS, closed by the client.
            2 => {
                let accepting = tls.accept(&connection);
                let mut client = tls_client_shared(Arc::clone(&config), socket);
                finish(&mut client);
                accepting.recv_timeout(LONG).unwrap().unwrap();
                let echo: Arc<Queue> = Queue::of([b"hello".to_vec()]);
                connection.set_source(echo as Arc<dyn Source>);
                let mut got = [0; 5];
                client.read_exact(&mut got).unwrap();
                assert_eq!(&got, b"hello");
            }
            // TLS, left in the middle.
            _ => {
                let accepting = tls.accept(&connection);
                socket.write_all(&[22, 3, 1, 2, 0, 1]).unwrap();
                drop(socket);
                assert!(accepting.recv_timeout(LONG).unwrap().is_err());
            }
        }
        connection.abort();
    }
    wait_until("every connection is gone", || server.gate.open() == 0);
    wait_until("every task is gone", || {
        server.workers.iter().all(|worker| worker.tasks() == 0)
    });
}

#[test]
fn input_of_one_connection_never_shows_up_at_another() {
    let server = server(ConnectionLimits::default());
    let tls = Tls::new();
    let config = Arc::new(tls.client_config(&[&TLS13]));
    let mut pairs: Vec<(rustls::StreamOwned<_, TcpStream>, Arc<Connection>)> = Vec::new();
    for _ in 0..4 {
        let (socket, connection) = server.connect();
        let accepting = tls.accept(&connection);
        let mut client = tls_client_shared(Arc::clone(&config), socket);
        finish(&mut client);
        accepting.recv_timeout(LONG).unwrap().unwrap();
        pairs.push((client, connection));
    }
    for (index, (client, _)) in (0u8..).zip(&mut pairs) {
        client.write_all(&[index; 30_000]).unwrap();
    }
    for (index, (_, connection)) in (0u8..).zip(&pairs) {
        assert!(
            read_exactly(connection, 30_000)
                .iter()
                .all(|&byte| byte == index)
        );
    }
}
