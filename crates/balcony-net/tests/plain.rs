//! Connections without TLS: both directions, peers that do not read, and every way to close.

// A failed unwrap in a helper is a failed test, too.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use balcony_net::{
    Closed, Connection, ConnectionLimits, Gate, GateLimits, Listener, Read, Source, Workers,
};
use support::{Queue, on_home, on_home_later, pattern, read, read_exactly, server, wait_until};

/// More than the kernel takes from a writer whose peer does not read.
const MORE_THAN_SOCKETS_HOLD: usize = 32 * 1024 * 1024;

fn chunks(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    bytes.chunks(50_000).map(<[u8]>::to_vec)
}

fn read_to_end(mut client: TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    client.read_to_end(&mut all).unwrap();
    all
}

/// A source that never ends, so that only the bounds of the connection hold it back.
struct Endless;

impl Source for Endless {
    fn fill(&self, out: &mut Vec<u8>) -> bool {
        out.resize(out.len() + 60_000, b' ');
        true
    }
}

#[test]
fn bytes_go_both_ways() {
    let server = server(ConnectionLimits::default());
    let (mut client, connection) = server.connect();
    client.write_all(b"<stream:stream>").unwrap();
    assert_eq!(
        read(&connection).unwrap(),
        Read::Data(b"<stream:stream>".to_vec())
    );
    connection.queue(b"<stream:features/>");
    let mut answer = [0; 18];
    client.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"<stream:features/>");
    assert!(!connection.is_secure());
}

#[test]
fn what_is_queued_comes_before_what_the_source_gives() {
    let server = server(ConnectionLimits::default());
    let (client, connection) = server.connect();
    connection.queue(b"first ");
    connection.set_source(Queue::of([b"second ".to_vec(), b"third".to_vec()]));
    connection.close_after_flush();
    assert_eq!(read_to_end(client), b"first second third");
}

#[test]
fn a_reader_that_starts_late_gets_everything_in_order() {
    let server = server(ConnectionLimits::default());
    let (client, connection) = server.connect();
    let sent = pattern(MORE_THAN_SOCKETS_HOLD);
    connection.set_source(Queue::of(chunks(&sent)));
    wait_until("the socket takes no more", || connection.is_blocked());
    connection.close_after_flush();
    assert!(read_to_end(client) == sent);
    assert!(!connection.is_blocked());
}

#[test]
fn nothing_is_taken_from_the_source_while_the_peer_does_not_read() {
    let server = server(ConnectionLimits::default());
    let (client, connection) = server.connect();
    let queue = Queue::of(chunks(&pattern(MORE_THAN_SOCKETS_HOLD)));
    connection.set_source(Arc::clone(&queue) as Arc<dyn Source>);
    wait_until("the socket takes no more", || connection.is_blocked());
    let left = queue.left();
    assert!(left > 0);
    for _ in 0..10 {
        connection.flush();
    }
    assert_eq!(queue.left(), left);
    drop(client);
}

#[test]
fn a_peer_that_never_reads_is_closed_after_the_time_out() {
    let limits = ConnectionLimits {
        write_timeout: Duration::from_millis(20),
        ..Default::default()
    };
    let server = server(limits);
    let (client, connection) = server.connect();
    connection.set_source(Arc::new(Endless));
    assert_eq!(
        read(&connection).unwrap(),
        Read::Closed(Closed::WriteTimedOut)
    );
    assert_eq!(connection.ended(), Some(Closed::WriteTimedOut));
    drop(client);
}

#[test]
fn too_much_queued_for_a_peer_that_does_not_read_closes_it() {
    let server = server(ConnectionLimits {
        max_pending: 100_000,
        ..Default::default()
    });
    let (client, connection) = server.connect();
    let block = pattern(50_000);
    while connection.ended().is_none() {
        connection.queue(&block);
    }
    assert_eq!(
        read(&connection).unwrap(),
        Read::Closed(Closed::TooMuchPending)
    );
    drop(client);
}

#[test]
fn a_time_out_gives_the_source_back() {
    let limits = ConnectionLimits {
        write_timeout: Duration::from_millis(20),
        ..Default::default()
    };
    let server = server(limits);
    let (_client, connection) = server.connect();
    let source: Arc<dyn Source> = Arc::new(Endless);
    connection.set_source(Arc::clone(&source));
    assert!(matches!(read(&connection), Ok(Read::Closed(_))));
    wait_until("the connection let go of its source", || {
        Arc::strong_count(&source) == 1
    });
    connection.set_source(Arc::clone(&source));
    assert_eq!(
        Arc::strong_count(&source),
        1,
        "an ended connection keeps no source"
    );
}

#[test]
fn output_scheduled_by_many_is_taken_at_once() {
    let server = server(ConnectionLimits::default());
    let (mut client, connection) = server.connect();
    let queue = Queue::of([]);
    connection.set_source(Arc::clone(&queue) as Arc<dyn Source>);
    wait_until("the first, empty flush", || queue.fills() == 1);
    let (writer, its_queue) = (Arc::clone(&connection), Arc::clone(&queue));
    on_home(&connection, async move {
        its_queue.push(b"one stanza");
        for _ in 0..100 {
            writer.schedule_flush();
        }
    });
    let mut got = [0; 10];
    client.read_exact(&mut got).unwrap();
    assert_eq!(queue.fills(), 2);
}

#[test]
fn any_thread_may_write() {
    let server = server(ConnectionLimits::default());
    let (client, connection) = server.connect();
    let queue = Queue::of([]);
    connection.set_source(Arc::clone(&queue) as Arc<dyn Source>);
    let writers: Vec<_> = server.workers.iter().cloned().collect();
    let (tell, told) = std::sync::mpsc::channel();
    for worker in &writers {
        for _ in 0..500 {
            let (connection, queue, tell) =
                (Arc::clone(&connection), Arc::clone(&queue), tell.clone());
            worker.spawn(async move {
                queue.push(b"0123456789");
                connection.schedule_flush();
                let _ = tell.send(());
            });
        }
    }
    for _ in 0..500 {
        queue.push(b"0123456789");
        connection.schedule_flush();
    }
    assert_eq!(told.iter().take(1000).count(), 1000);
    connection.close_after_flush();
    let got = read_to_end(client);
    assert_eq!(got.len(), 15_000);
    assert!(got.chunks(10).all(|chunk| chunk == b"0123456789"));
}

#[test]
fn closing_sends_everything_first_and_still_hears_the_peer() {
    let server = server(ConnectionLimits::default());
    let (mut client, connection) = server.connect();
    connection.queue(b"</stream:stream>");
    connection.close_after_flush();
    connection.queue(b"too late");
    let mut got = Vec::new();
    client.read_to_end(&mut got).unwrap();
    assert_eq!(got, b"</stream:stream>");
    client.write_all(b"</stream:stream>").unwrap();
    assert_eq!(
        read(&connection).unwrap(),
        Read::Data(b"</stream:stream>".to_vec())
    );
    drop(client);
    assert_eq!(read(&connection).unwrap(), Read::Closed(Closed::ByPeer));
    assert_eq!(connection.ended(), None);
}

#[test]
fn a_peer_that_closed_its_side_still_gets_output() {
    let server = server(ConnectionLimits::default());
    let (mut client, connection) = server.connect();
    client.write_all(b"last").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read_exactly(&connection, 4), b"last");
    assert_eq!(read(&connection).unwrap(), Read::Closed(Closed::ByPeer));
    connection.queue(b"answer");
    connection.close_after_flush();
    assert_eq!(read_to_end(client), b"answer");
}

#[test]
fn aborting_wakes_the_reader_and_the_peer() {
    let server = server(ConnectionLimits::default());
    let (mut client, connection) = server.connect();
    let reader = Arc::clone(&connection);
    let reading = on_home_later(&connection, async move { reader.read(|_| ()).await });
    connection.abort();
    let result = reading.recv_timeout(support::LONG).unwrap().unwrap();
    assert_eq!(result, Read::Closed(Closed::Aborted));
    assert!(matches!(client.read(&mut [0; 10]), Ok(0) | Err(_)));
}

#[test]
fn a_peer_that_vanished_ends_the_connection_at_the_next_write() {
    let server = server(ConnectionLimits::default());
    let (client, connection) = server.connect();
    socket2::SockRef::from(&client)
        .set_linger(Some(Duration::ZERO))
        .unwrap();
    drop(client);
    wait_until("the write fails", || {
        connection.queue(b"anybody there?");
        connection.ended() == Some(Closed::WriteFailed)
    });
}

#[test]
fn lingering_drops_what_still_comes_and_ends() {
    let server = server(ConnectionLimits::default());
    let (mut client, connection) = server.connect();
    client.write_all(&pattern(200_000)).unwrap();
    connection.queue(b"bye");
    connection.close_after_flush();
    let lingering = Arc::clone(&connection);
    let done = on_home_later(
        &connection,
        async move { lingering.linger(support::LONG).await },
    );
    assert_eq!(read_to_end(client), b"bye");
    done.recv_timeout(support::LONG).unwrap();
    assert_eq!(connection.ended(), Some(Closed::Aborted));
}

#[test]
fn lingering_ends_by_the_clock_too() {
    let server = server(ConnectionLimits::default());
    let (_client, connection) = server.connect();
    let lingering = Arc::clone(&connection);
    on_home(&connection, async move {
        lingering.linger(Duration::from_millis(10)).await
    });
    assert_eq!(connection.ended(), Some(Closed::Aborted));
}

#[test]
fn a_panicking_source_ends_its_own_connection_only() {
    struct Panicking;
    impl Source for Panicking {
        fn fill(&self, _: &mut Vec<u8>) -> bool {
            panic!("on purpose")
        }
    }
    let server = server(ConnectionLimits::default());
    let (_client, connection) = server.connect();
    connection.set_source(Arc::new(Panicking));
    assert_eq!(read(&connection).unwrap(), Read::Closed(Closed::Broken));
    // Both workers still flush.
    for _ in 0..2 {
        let (other, its) = server.connect();
        its.queue(b"fine");
        its.close_after_flush();
        assert_eq!(read_to_end(other), b"fine");
    }
}

#[test]
fn a_session_can_take_its_queue_away() {
    let server = server(ConnectionLimits::default());
    let (_client, connection) = server.connect();
    let queue = Queue::of([]);
    connection.set_source(Arc::clone(&queue) as Arc<dyn Source>);
    assert!(connection.take_source().is_some());
    assert!(connection.take_source().is_none());
    queue.push(b"for the next connection");
    let fills = queue.fills();
    connection.flush();
    assert_eq!((queue.left(), queue.fills()), (1, fills));
}

#[test]
fn the_future_of_an_idle_read_is_small() {
    fn size(connection: &Arc<Connection>) -> usize {
        let mut count = 0usize;
        size_of_val(&connection.read(|bytes| count += bytes.len()))
    }
    let server = server(ConnectionLimits::default());
    let (_client, connection) = server.connect();
    assert!(size(&connection) <= 32, "{}", size(&connection));
}

#[test]
fn connections_past_the_limit_of_an_address_are_closed_and_others_stay() {
    let limits = GateLimits {
        per_address: Some(2),
        exempt_loopback: false,
        ..GateLimits::default()
    };
    let gate = Gate::new(limits);
    let workers = Arc::new(Workers::start(1).unwrap());
    let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let greet = |connection: Arc<Connection>| async move {
        connection.queue(b"hello");
        while let Ok(Read::Data(())) = connection.read(|_| ()).await {}
    };
    let listening = listener
        .serve(
            Arc::clone(&gate),
            workers,
            ConnectionLimits::default(),
            greet,
        )
        .unwrap();
    let connect = || TcpStream::connect(listening.address()).unwrap();
    let mut welcome: Vec<TcpStream> = (0..2).map(|_| connect()).collect();
    for client in &mut welcome {
        client.read_exact(&mut [0; 5]).unwrap();
    }
    assert!(matches!(connect().read(&mut [0; 5]), Ok(0) | Err(_)));
    assert_eq!((gate.open(), gate.refused()), (2, 1));
    welcome.pop();
    wait_until("the place is free again", || gate.open() == 1);
    connect().read_exact(&mut [0; 5]).unwrap();
}

#[test]
fn a_closed_listener_takes_nobody_and_its_connections_go_on() {
    let mut server = server(ConnectionLimits::default());
    let (client, connection) = server.connect();
    let listening = server.listening.take().unwrap();
    let address = listening.address();
    listening.close();
    // Two sockets cannot listen on one address, so this shows that the first is closed.
    let _again = Listener::bind(address).unwrap();
    connection.queue(b"still here");
    connection.close_after_flush();
    assert_eq!(read_to_end(client), b"still here");
}
