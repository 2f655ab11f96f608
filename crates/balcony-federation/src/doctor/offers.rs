//! What a server offers to those who come to it.

use balcony_net::Service;
use balcony_proto::ns;
use balcony_proto::stream::Features;

use super::Finding;

/// More mechanisms or features than a server has; what is beyond is a server that wants to fill the
/// screen.
const MAX_TOLD: usize = 20;

/// What is offered after TLS.
pub(super) fn offers(service: Service, at: &str, features: &Features) -> Finding {
    match service {
        Service::Client => to_clients(at, features),
        Service::Server => to_servers(at, features),
    }
}

fn to_clients(at: &str, features: &Features) -> Finding {
    let mut mechanisms = features.mechanisms();
    mechanisms.extend(features.sasl2_mechanisms());
    mechanisms.sort_unstable();
    mechanisms.dedup();
    let scram = mechanisms.iter().any(|name| name.starts_with("SCRAM-"));
    mechanisms.truncate(MAX_TOLD);
    let listed = mechanisms.join(", ");
    let more = [sasl2(features), limits(features)].concat();
    match scram {
        true => Finding::good(format!("{at}: clients log in by {listed}{more}")),
        false => Finding::note(
            format!("{at}: no SCRAM among the mechanisms ({listed}){more}"),
            "offer SCRAM, so that passwords need not be sent",
        ),
    }
}

/// XEP-0388 §2.1: a newer way to log in, and what a client may ask for at once.
fn sasl2(features: &Features) -> String {
    if !features.has(ns::SASL2, "authentication") {
        return String::new();
    }
    let inline = features.sasl2_inline().into_iter();
    let mut inline: Vec<&str> = inline
        .flat_map(|inline| inline.children())
        .map(|child| child.name())
        .collect();
    inline.sort_unstable();
    inline.dedup();
    inline.truncate(MAX_TOLD);
    match inline.is_empty() {
        true => "; SASL2".to_owned(),
        false => format!("; SASL2 with {}", inline.join(", ")),
    }
}

/// XEP-0478 §3.1: what ends a stream, or makes the server ask whether anybody is there. §4: other
/// limits may come with the features after login, which the doctor does not see.
fn limits(features: &Features) -> String {
    let bytes = features.max_bytes();
    let bytes = bytes.map(|bytes| format!("{bytes} bytes an element"));
    let idle = features.idle_seconds();
    let idle = idle.map(|seconds| format!("idle after {seconds} seconds"));
    let told: Vec<String> = [bytes, idle].into_iter().flatten().collect();
    match told.is_empty() {
        true => String::new(),
        false => format!("; limits until login: {}", told.join(", ")),
    }
}

fn to_servers(at: &str, features: &Features) -> Finding {
    let external = features.mechanisms().iter().any(|name| name == "EXTERNAL");
    let dialback = features.has(ns::DIALBACK_FEATURE, "dialback");
    match (external, dialback) {
        (true, true) => Finding::good(format!("{at}: takes certificates and dialback")),
        (true, false) => Finding::good(format!("{at}: takes certificates")),
        // The doctor's own certificate is nobody's, so EXTERNAL is not offered to it.
        (false, true) => Finding::good(format!(
            "{at}: takes dialback; whether certificates too, only a trusted one would tell"
        )),
        (false, false) => Finding::note(
            format!("{at}: offers nothing to a stranger without a trusted certificate"),
            "that is as it should be where certificates are required",
        ),
    }
}

#[cfg(test)]
mod tests {
    use balcony_proto::xml::Element;

    use super::*;
    use crate::doctor::State;

    fn to_a_client(features: &Features) -> Finding {
        offers(Service::Client, "clients", features)
    }

    #[test]
    fn a_client_may_log_in_by_either_profile_of_sasl() {
        let classic = Features::new().with_mechanisms(["SCRAM-SHA-1"]);
        let newer = Features::new().with_sasl2(["SCRAM-SHA-256"], []);
        for features in [&classic, &newer] {
            assert_eq!(to_a_client(features).state, State::Good);
        }
        assert_eq!(
            to_a_client(&classic).what,
            "clients: clients log in by SCRAM-SHA-1"
        );
        let plain = Features::new().with_mechanisms(["PLAIN"]);
        assert_eq!(to_a_client(&plain).state, State::Note);
    }

    #[test]
    fn sasl2_and_the_limits_of_the_stream_are_told() {
        let inline = [
            Element::new(ns::SM, "sm"),
            Element::new(ns::BIND2, "bind"),
            Element::new(ns::BIND2, "bind"),
        ];
        let features = Features::new()
            .with_mechanisms(["SCRAM-SHA-1"])
            .with_sasl2(["SCRAM-SHA-1"], inline)
            .with_limits(Some(10_000), Some(1_800));
        assert_eq!(
            to_a_client(&features).what,
            "clients: clients log in by SCRAM-SHA-1; SASL2 with bind, sm; limits until login: \
             10000 bytes an element, idle after 1800 seconds"
        );
    }

    #[test]
    fn what_servers_may_prove_themselves_by_is_told() {
        let dialback = || Element::new(ns::DIALBACK_FEATURE, "dialback");
        let of = |features: Features| offers(Service::Server, "servers", &features);
        let both = of(Features::new()
            .with_mechanisms(["EXTERNAL"])
            .with(dialback()));
        assert_eq!(both.what, "servers: takes certificates and dialback");
        assert_eq!(of(Features::new().with(dialback())).state, State::Good);
        assert_eq!(of(Features::new()).state, State::Note);
    }
}
