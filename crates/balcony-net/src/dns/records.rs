//! What the records of a domain say one by one, for those who look for mistakes in them. Whoever
//! only wants to connect asks [`Resolver::lookup`].

use hickory_resolver::proto::rr::{RData, RecordType};

use super::{
    Endpoint, Failure, LookupError, MAX_ENDPOINTS, Resolver, Service, ascii, endpoint, host_name,
    order,
};

/// What the SRV records of one name say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SrvRecords {
    /// Where the service is, in the order in which it is tried; at least one, at most 16.
    Endpoints(Vec<Endpoint>),
    /// RFC 2782 "Target": decidedly not available.
    NotOffered,
    /// There are none.
    Missing,
}

impl Resolver {
    /// The records of a service alone: those of direct TLS (XEP-0368 §3), or those of RFC 6120
    /// §3.2.1. `domain` is as for [`Resolver::lookup`], but no IP address.
    ///
    /// # Errors
    /// It is not known.
    pub async fn srv_records(
        &self,
        domain: &str,
        service: Service,
        direct_tls: bool,
    ) -> Result<SrvRecords, LookupError> {
        let domain = ascii(domain)?;
        let asked = self.srv(&domain, service, direct_tls);
        let asked = tokio::time::timeout(self.total, asked).await;
        let (records, refused) =
            order::targets(asked.unwrap_or(Err(LookupError::TimedOut { domain })));
        let records = order::order(records?, MAX_ENDPOINTS, order::random);
        Ok(match (records.is_empty(), refused) {
            (false, _) => SrvRecords::Endpoints(records.into_iter().map(endpoint).collect()),
            (true, true) => SrvRecords::NotOffered,
            (true, false) => SrvRecords::Missing,
        })
    }

    /// What a host is an alias of, in A-labels; `None`: it is none.
    ///
    /// # Errors
    /// It is not known.
    pub async fn alias(&self, host: &str) -> Result<Option<String>, LookupError> {
        let host = ascii(host)?;
        let name = format!("{host}.");
        let asked = self.ask(&name, RecordType::CNAME, &host);
        let asked = tokio::time::timeout(self.total, asked).await;
        let answers = match asked.unwrap_or(Err(Failure::Other(LookupError::TimedOut {
            domain: host.clone(),
        }))) {
            Ok(answers) => answers,
            Err(Failure::NoName | Failure::NoRecords) => return Ok(None),
            Err(Failure::Other(error)) => return Err(error),
        };
        Ok(answers.data.iter().find_map(|data| match data {
            RData::CNAME(target) => Some(host_name(target)),
            _ => None,
        }))
    }
}
