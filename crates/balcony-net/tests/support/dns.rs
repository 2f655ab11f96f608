//! A DNS server on loopback that says what a test tells it to.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use balcony_net::Resolver;
use hickory_resolver::proto::op::{Message, OpCode, ResponseCode};
use hickory_resolver::proto::rr::rdata::{CNAME, SRV};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use tokio::net::UdpSocket;

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
}

/// Stops with the runtime that it was started on.
#[derive(Debug, Clone)]
pub struct DnsServer {
    address: SocketAddr,
    zone: Arc<Mutex<Zone>>,
}

impl DnsServer {
    pub async fn start() -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let server = Self {
            address: socket.local_addr().unwrap(),
            zone: Arc::default(),
        };
        let zone = Arc::clone(&server.zone);
        tokio::spawn(async move {
            let mut datagram = [0; 4096];
            while let Ok((length, peer)) = socket.recv_from(&mut datagram).await {
                let question = Message::from_vec(&datagram[..length]).unwrap();
                if let Some(answer) = answer(&zone, &question) {
                    let _ = socket.send_to(&answer.to_vec().unwrap(), peer).await;
                }
            }
        });
        server
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn resolver(&self) -> Resolver {
        Resolver::at(self.address).unwrap()
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

    pub fn asked(&self) -> Vec<(String, RecordType)> {
        self.zone.lock().unwrap().asked.clone()
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
        }
        None if exists => {}
        None => message.metadata.response_code = ResponseCode::NXDomain,
    }
    Some(message)
}
