//! A DNS server on loopback that says what a test tells it to.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use balcony_net::Resolver;
use hickory_resolver::proto::dnssec::crypto::Ed25519SigningKey;
use hickory_resolver::proto::dnssec::rdata::{DNSKEY, DNSSECRData, RRSIG};
use hickory_resolver::proto::dnssec::{DnssecSigner, SigningKey};
use hickory_resolver::proto::op::{Message, OpCode, ResponseCode};
use hickory_resolver::proto::rr::rdata::{CNAME, SRV, TLSA};
use hickory_resolver::proto::rr::{DNSClass, Name, RData, Record, RecordSet, RecordType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};

/// What resolvers ask for at most (RFC 6891 §6.2.5 leaves the number to them).
const MAX_DATAGRAM: usize = 1232;

/// What is answered to one question. A name without any is NXDOMAIN.
#[derive(Debug, Clone)]
pub enum Answer {
    Records(Vec<RData>),
    Code(ResponseCode),
    /// Nothing ever comes.
    Silence,
}

#[derive(Debug, Default)]
struct Zone {
    answers: HashMap<(String, RecordType), Answer>,
    asked: Vec<(String, RecordType)>,
    signers: Vec<Signer>,
}

/// The key of a signed zone, which is also the trust anchor for it.
#[derive(Clone)]
struct Signer(Arc<DnssecSigner>);

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Signer({})", self.0.signer_name())
    }
}

/// Stops with the runtime that it was started on.
#[derive(Debug, Clone)]
pub struct DnsServer {
    address: SocketAddr,
    zone: Arc<Mutex<Zone>>,
}

impl DnsServer {
    pub async fn start() -> Self {
        let (socket, listener) = bind().await;
        let server = Self {
            address: socket.local_addr().unwrap(),
            zone: Arc::default(),
        };
        let zone = Arc::clone(&server.zone);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&zone)));
            }
        });
        let zone = Arc::clone(&server.zone);
        tokio::spawn(async move {
            let mut datagram = [0; 4096];
            while let Ok((length, peer)) = socket.recv_from(&mut datagram).await {
                let question = Message::from_vec(&datagram[..length]).unwrap();
                if let Some(answer) = answer(&zone, &question) {
                    let mut bytes = answer.to_vec().unwrap();
                    if bytes.len() > MAX_DATAGRAM {
                        bytes = answer.truncate().to_vec().unwrap();
                    }
                    let _ = socket.send_to(&bytes, peer).await;
                }
            }
        });
        server
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn resolver(&self) -> Resolver {
        Resolver::at(&[self.address]).unwrap()
    }

    /// Adds records to what is answered.
    pub fn set(&self, name: &str, kind: RecordType, answer: Answer) -> &Self {
        let key = (name.to_owned(), kind);
        self.zone.lock().unwrap().answers.insert(key, answer);
        self
    }

    fn add(&self, name: &str, kind: RecordType, data: RData) -> &Self {
        let mut zone = self.zone.lock().unwrap();
        let key = (name.to_owned(), kind);
        match zone.answers.get_mut(&key) {
            Some(Answer::Records(records)) => records.push(data),
            _ => drop(zone.answers.insert(key, Answer::Records(vec![data]))),
        }
        self
    }

    /// `_service._tcp.domain SRV priority weight port target`
    pub fn srv(&self, name: &str, priority: u16, weight: u16, port: u16, target: &str) -> &Self {
        let target = Name::from_ascii(format!("{}.", target.trim_end_matches('.'))).unwrap();
        let data = RData::SRV(SRV::new(priority, weight, port, target));
        self.add(name, RecordType::SRV, data)
    }

    pub fn host(&self, name: &str, address: &str) -> &Self {
        let address: IpAddr = address.parse().unwrap();
        let data = RData::from(address);
        self.add(name, data.record_type(), data)
    }

    pub fn alias(&self, name: &str, target: &str) -> &Self {
        let target = Name::from_ascii(format!("{target}.")).unwrap();
        self.add(name, RecordType::CNAME, RData::CNAME(CNAME(target)))
    }

    pub fn tlsa(&self, name: &str, usage: u8, selector: u8, matching: u8, data: &[u8]) -> &Self {
        let data = TLSA::new(
            usage.into(),
            selector.into(),
            matching.into(),
            data.to_vec(),
        );
        self.add(name, RecordType::TLSA, RData::TLSA(data))
    }

    /// Signs all that is in this zone from now on, and returns its key as a trust anchor. What
    /// does not exist is not proven to be missing.
    pub fn sign(&self, zone: &str) -> String {
        let key = Ed25519SigningKey::generate_pkcs8().unwrap();
        let key = Ed25519SigningKey::from_pkcs8(&key).unwrap();
        let dnskey = DNSKEY::from_key(&key.to_public_key().unwrap());
        let anchor = format!("{zone}. 300 IN DNSKEY {dnskey}\n");
        let name = Name::from_ascii(format!("{zone}.")).unwrap();
        let data = RData::DNSSEC(DNSSECRData::DNSKEY(dnskey.clone()));
        self.add(zone, RecordType::DNSKEY, data);
        let hour = std::time::Duration::from_secs(3600);
        let signer = DnssecSigner::new(dnskey, Box::new(key), name, 2 * hour);
        let mut zone = self.zone.lock().unwrap();
        zone.signers.push(Signer(Arc::new(signer)));
        anchor
    }

    /// Signs with a new key, in the name of the zone's own, which stays published.
    pub fn forge(&self) {
        let key = Ed25519SigningKey::generate_pkcs8().unwrap();
        let key = Box::new(Ed25519SigningKey::from_pkcs8(&key).unwrap());
        let mut zone = self.zone.lock().unwrap();
        let Signer(own) = zone.signers.pop().unwrap();
        let (dnskey, name) = (own.dnskey().clone(), own.signer_name().clone());
        let forger = DnssecSigner::new(dnskey, key, name, own.sig_duration());
        zone.signers.push(Signer(Arc::new(forger)));
    }

    pub fn asked(&self) -> Vec<(String, RecordType)> {
        self.zone.lock().unwrap().asked.clone()
    }
}

/// The same port for datagrams and for streams.
async fn bind() -> (UdpSocket, TcpListener) {
    loop {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = socket.local_addr().unwrap();
        // Somebody else may have it for streams.
        if let Ok(listener) = TcpListener::bind(address).await {
            return (socket, listener);
        }
    }
}

/// RFC 1035 §4.2.2: each message after its length.
async fn serve(mut stream: TcpStream, zone: Arc<Mutex<Zone>>) {
    while let Ok(length) = stream.read_u16().await {
        let mut bytes = vec![0; length.into()];
        if stream.read_exact(&mut bytes).await.is_err() {
            return;
        }
        let question = Message::from_vec(&bytes).unwrap();
        if let Some(answer) = answer(&zone, &question) {
            let bytes = answer.to_vec().unwrap();
            let length = u16::try_from(bytes.len()).unwrap().to_be_bytes();
            let _ = stream.write_all(&[&length[..], &bytes].concat()).await;
        }
    }
}

fn answer(zone: &Mutex<Zone>, question: &Message) -> Option<Message> {
    let query = question.queries.first()?.clone();
    let name = query.name().to_ascii().to_ascii_lowercase();
    let name = name.trim_end_matches('.').to_owned();
    let mut zone = zone.lock().unwrap();
    zone.asked.push((name.clone(), query.query_type()));
    let mut message = Message::response(question.id, OpCode::Query);
    message.add_query(query.clone());
    let exists = zone.answers.keys().any(|(known, _)| *known == name);
    let found = [query.query_type(), RecordType::CNAME]
        .into_iter()
        .find_map(|kind| zone.answers.get(&(name.clone(), kind)));
    match found {
        Some(Answer::Silence) => return None,
        Some(Answer::Code(code)) => message.metadata.response_code = *code,
        Some(Answer::Records(records)) => {
            for data in records {
                let record = Record::from_rdata(query.name().clone(), 300, data.clone());
                message.add_answer(record);
            }
            let kind = records
                .first()
                .map_or(query.query_type(), RData::record_type);
            message.add_answers(signature(&zone.signers, query.name(), kind, records));
        }
        None if exists => {}
        None => message.metadata.response_code = ResponseCode::NXDomain,
    }
    Some(message)
}

/// The signature of a set of records, if its zone is signed.
fn signature(
    signers: &[Signer],
    name: &Name,
    kind: RecordType,
    records: &[RData],
) -> Option<Record> {
    let signer = signers
        .iter()
        .find(|Signer(signer)| signer.signer_name().zone_of(name))?;
    let mut set = RecordSet::with_ttl(name.clone(), kind, 300);
    for data in records {
        set.add_rdata(data.clone());
    }
    let an_hour_ago = time::OffsetDateTime::now_utc() - time::Duration::HOUR;
    let signature = RRSIG::from_rrset(&set, DNSClass::IN, an_hour_ago, &signer.0).unwrap();
    let data = RData::DNSSEC(DNSSECRData::RRSIG(signature));
    Some(Record::from_rdata(name.clone(), 300, data))
}
