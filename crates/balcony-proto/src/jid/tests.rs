use proptest::prelude::*;

use super::*;

fn parse(text: &str) -> Result<String, JidError> {
    Jid::parse(text).map(|jid| jid.to_string())
}

fn parts(text: &str) -> (Option<String>, String, Option<String>) {
    let jid = Jid::parse(text).unwrap();
    (
        jid.local().map(str::to_owned),
        jid.domain().to_owned(),
        jid.resource().map(str::to_owned),
    )
}

#[test]
fn legal_examples_of_rfc_7622_are_accepted() {
    // RFC 7622 §3.5, table 1.
    for jid in [
        "juliet@example.com",
        "juliet@example.com/foo",
        "juliet@example.com/foo bar",
        "juliet@example.com/foo@bar",
        "foo\\20bar@example.com",
        "fussball@example.com",
        "fu\u{df}ball@example.com",
        "\u{3c0}@example.com",
        "\u{3c3}@example.com/foo",
        "\u{3c2}@example.com/foo",
        "king@example.com/\u{265a}",
        "example.com",
        "example.com/foobar",
        "a.example.com/b@example.net",
    ] {
        assert_eq!(parse(jid).as_deref(), Ok(jid));
    }
    // Example 9 maps to example 10, and neither to 11.
    assert_eq!(
        parse("\u{3a3}@example.com/foo").unwrap(),
        "\u{3c3}@example.com/foo"
    );
}

#[test]
fn illegal_examples_of_rfc_7622_are_refused() {
    // RFC 7622 §3.5, table 2; example 18 breaks no rule of the text.
    for (text, error) in [
        ("\"juliet\"@example.com", JidError::NotAllowed(Part::Local)),
        ("foo bar@example.com", JidError::NotAllowed(Part::Local)),
        ("@example.com/", JidError::Empty(Part::Local)),
        (
            "henry\u{2163}@example.com",
            JidError::NotAllowed(Part::Local),
        ),
        ("\u{265a}@example.com", JidError::NotAllowed(Part::Local)),
        ("juliet@", JidError::Empty(Part::Domain)),
        ("/foobar", JidError::Empty(Part::Domain)),
    ] {
        assert_eq!(parse(text), Err(error), "{text}");
    }
    assert_eq!(
        parse("juliet@example.com/ foo").unwrap(),
        "juliet@example.com/ foo"
    );
}

#[test]
fn parts_are_split_at_the_first_slash_and_the_first_at_before_it() {
    let some = |text: &str| Some(text.to_owned());
    for (text, local, domain, resource) in [
        (
            "juliet@capulet.lit/balcony",
            some("juliet"),
            "capulet.lit",
            some("balcony"),
        ),
        ("juliet@capulet.lit", some("juliet"), "capulet.lit", None),
        ("capulet.lit/balcony", None, "capulet.lit", some("balcony")),
        ("capulet.lit", None, "capulet.lit", None),
        (
            "a.example.com/b@example.net/c",
            None,
            "a.example.com",
            some("b@example.net/c"),
        ),
        (
            "Juliet@Capulet.LIT/Balcony",
            some("juliet"),
            "capulet.lit",
            some("Balcony"),
        ),
        (
            "\u{e9}@\u{e9}.lit//\u{e9}",
            some("\u{e9}"),
            "\u{e9}.lit",
            some("/\u{e9}"),
        ),
    ] {
        assert_eq!(parts(text), (local, domain.to_owned(), resource), "{text}");
    }
    // A second '@' would belong to the domainpart.
    assert_eq!(parse("a@b@c"), Err(JidError::NotAllowed(Part::Domain)));
}

#[test]
fn separators_made_by_mapping_separate_nothing() {
    // Full-width '@' and '/' (RFC 7622 §3.1, implementation note).
    assert_eq!(
        parse("a\u{ff20}b@capulet.lit"),
        Err(JidError::NotAllowed(Part::Local))
    );
    assert_eq!(
        parse("a\u{ff0f}b@capulet.lit"),
        Err(JidError::NotAllowed(Part::Local))
    );
    assert_eq!(
        parse("a\u{ff20}capulet.lit"),
        Err(JidError::NotAllowed(Part::Domain))
    );
    assert_eq!(
        parse("capulet.lit\u{ff0f}b"),
        Err(JidError::NotAllowed(Part::Domain))
    );
    for excluded in "\"&'/:<>@ ".chars() {
        assert!(
            prepare_local(&format!("a{excluded}b")).is_err(),
            "RFC 7622 §3.3.1: {excluded}"
        );
        assert!(
            prepare_local(&format!("\u{e9}{excluded}b")).is_err(),
            "{excluded}"
        );
    }
}

#[test]
fn domains_come_to_one_form() {
    for (text, domain) in [
        ("capulet.lit.", "capulet.lit"),
        ("CAPULET.lit", "capulet.lit"),
        ("xn--bcher-kva.example", "b\u{fc}cher.example"),
        ("XN--BCHER-KVA.example", "b\u{fc}cher.example"),
        ("Bu\u{308}cher.Example.", "b\u{fc}cher.example"),
        ("fa\u{df}.example", "fa\u{df}.example"),
        ("a\u{3002}example", "a.example"),
        ("127.0.0.1", "127.0.0.1"),
        ("[::1]", "[::1]"),
        ("[0:0:0:0:0:0:0:1]", "[::1]"),
        ("[2001:DB8::1]", "[2001:db8::1]"),
        ("[fe80::1%25eth0]", "[fe80::1%25eth0]"),
        ("localhost", "localhost"),
    ] {
        assert_eq!(prepare_domain(text).as_deref(), Ok(domain), "{text}");
    }
}

#[test]
fn what_is_no_domain_is_refused() {
    for text in [
        ".",
        "..",
        "a..b",
        ".a",
        "a. ",
        "x_y.lit",
        "-a.lit",
        "a-.lit",
        "a b",
        "a:5222",
        "a%b",
        "[::1",
        "[::1]x",
        "[127.0.0.1]",
        "[::g]",
        "[fe80::1%25]",
        "[fe80::1%eth0]",
        "[v1.a]",
        "::1",
        "xn--a.lit",
        "xn--xn--yn-mqb.lit",
        "xn--",
        "\u{2603}.lit",
        "\u{1f980}.lit",
        "a\u{ad}b\u{202e}",
        "\u{3002}",
        "\u{5d0}a.lit",
    ] {
        assert!(prepare_domain(text).is_err(), "{text:?}");
    }
}

#[test]
fn lengths_are_those_of_rfc_7622_and_rfc_1034() {
    let long = "a".repeat(MAX_PART_BYTES);
    let longer = "a".repeat(MAX_PART_BYTES + 1);
    assert!(parse(&format!("{long}@capulet.lit/{long}")).is_ok());
    assert_eq!(
        parse(&format!("{longer}@capulet.lit")),
        Err(JidError::TooLong(Part::Local))
    );
    assert_eq!(
        parse(&format!("a@b/{longer}")),
        Err(JidError::TooLong(Part::Resource))
    );
    // Bytes count, after mapping: two for an e with its accent, one for a wide letter.
    assert!(prepare_resource(&"e\u{301}".repeat(511)).is_ok());
    assert_eq!(
        prepare_resource(&"\u{e9}".repeat(512)),
        Err(JidError::TooLong(Part::Resource))
    );
    assert_eq!(
        prepare_local(&"\u{ff41}".repeat(MAX_PART_BYTES)).as_deref(),
        Ok(long.as_str())
    );
    let label = "a".repeat(63);
    let four = [label.as_str(); 4].join(".");
    assert_eq!(
        prepare_domain(&format!("{label}a")),
        Err(JidError::TooLong(Part::Domain))
    );
    assert_eq!(prepare_domain(&four), Err(JidError::TooLong(Part::Domain)));
    assert!(prepare_domain(&four[..253]).is_ok());
    // What DNS sees of a U-label is the A-label.
    assert_eq!(
        prepare_domain(&"\u{fc}".repeat(63)),
        Err(JidError::TooLong(Part::Domain))
    );
}

#[test]
fn emoji_make_resources_but_not_names() {
    for emoji in [
        "\u{1f600}",
        "\u{1f642}",
        "\u{1f980}",
        "\u{1fae0}",
        "\u{265a}",
    ] {
        let full = format!("romeo@localhost/{emoji}");
        assert_eq!(parse(&full).as_deref(), Ok(full.as_str()));
        assert_eq!(
            parse(&format!("{emoji}@localhost")),
            Err(JidError::NotAllowed(Part::Local))
        );
    }
}

#[test]
fn derived_addresses_keep_the_other_parts() {
    let full = Jid::parse("juliet@capulet.lit/balcony").unwrap();
    assert_eq!(full.bare().as_str(), "juliet@capulet.lit");
    assert_eq!(full.bare_str(), "juliet@capulet.lit");
    assert_eq!(full.domain_jid().as_str(), "capulet.lit");
    assert_eq!(
        full.with_resource("Cha\u{302}mber").unwrap().as_str(),
        "juliet@capulet.lit/Ch\u{e2}mber"
    );
    assert_eq!(full.with_resource(""), Err(JidError::Empty(Part::Resource)));
    assert!(full.is_full() && !full.is_bare() && !full.is_domain());
    assert!(full.bare().is_bare() && full.domain_jid().is_domain());
    let service = Jid::from_parts(None, "capulet.lit", Some("x")).unwrap();
    assert_eq!((service.local(), service.bare_str()), (None, "capulet.lit"));
    assert!(!service.is_domain());
}

#[test]
fn a_bare_address_is_the_beginning_of_the_full_one_until_it_is_compact() {
    let full = Jid::parse("juliet@capulet.lit/<balcony>").unwrap();
    let bare = full.bare();
    assert!(Arc::ptr_eq(&bare.text, &full.text));
    let compact = bare.compact();
    assert_eq!(compact.text.len(), "juliet@capulet.lit".len());
    assert!(Arc::ptr_eq(&compact.compact().text, &compact.text));
    assert!(Arc::ptr_eq(&full.compact().text, &full.text));
    for bare in [bare, compact] {
        assert_eq!(bare, Jid::parse("juliet@capulet.lit").unwrap());
        assert_eq!(bare.to_string(), "juliet@capulet.lit");
        assert_eq!(
            (bare.local(), bare.domain()),
            (Some("juliet"), "capulet.lit")
        );
        assert_eq!((bare.resource(), bare.bare_str()), (None, bare.as_str()));
        assert_eq!(bare.with_resource("<balcony>").unwrap(), full);
    }
}

#[test]
fn equal_texts_are_equal_addresses_however_made() {
    let parsed = Jid::parse("juliet@capulet.lit/balcony").unwrap();
    let made = Jid::from_parts(Some("Juliet"), "capulet.LIT.", Some("balcony")).unwrap();
    assert_eq!(parsed, made);
    assert_eq!((parsed.at, parsed.slash), (made.at, made.slash));
    let map = std::collections::HashMap::from([(made, 1)]);
    assert_eq!(map.get("juliet@capulet.lit/balcony"), Some(&1));
}

/// Generous even for an unoptimised build; optimised it takes about 50 ns.
const ASCII_BUDGET: std::time::Duration = std::time::Duration::from_micros(3);

#[test]
fn enforced_ascii_is_parsed_quickly() {
    const ROUNDS: u32 = 500;
    let batch = |_| {
        let begun = std::time::Instant::now();
        for _ in 0..ROUNDS {
            let text = std::hint::black_box("juliet@capulet.lit/balcony");
            std::hint::black_box(Jid::parse(text)).unwrap();
        }
        begun.elapsed() / ROUNDS
    };
    // The fastest batch is the one that nothing else on the machine disturbed.
    let each = (0..50).map(batch).min().unwrap();
    assert!(each < ASCII_BUDGET, "{each:?} for one address");
}

/// Text that is often an address, or nearly one.
fn nearly() -> impl Strategy<Value = String> {
    let odd = prop::sample::select(
        "@/.-[]:%'\" aZ9\u{df}\u{e9}\u{301}\u{130}\u{3a3}\u{3c2}\u{5d0}\u{628}\u{661}\u{ad}\u{200d}\
         \u{94d}\u{915}\u{fe0f}\u{ff20}\u{ff41}\u{ff8a}\u{ff9f}\u{3000}\u{3002}\u{1100}\u{ac00}\
         \u{2163}\u{1f469}\u{1f3fd}\u{1f680}\u{345}\u{1e9e}\u{13a0}\u{30fb}\u{b7}"
            .chars()
            .collect::<Vec<_>>(),
    );
    prop::collection::vec(prop_oneof![odd, any::<char>()], 0..12)
        .prop_map(|chars| chars.into_iter().collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn enforced_text_is_enforced_to_itself(text in prop_oneof![nearly(), any::<String>()]) {
        if let Ok(jid) = Jid::parse(&text) {
            let again = Jid::parse(jid.as_str());
            prop_assert_eq!(again.as_ref(), Ok(&jid));
            let again = again.unwrap();
            prop_assert_eq!((again.at, again.slash), (jid.at, jid.slash));
            prop_assert!(jid.as_str().len() <= MAX_JID_BYTES);
        }
    }

    #[test]
    fn parts_make_the_address_they_came_from(
        local in prop::option::of(nearly()),
        domain in nearly(),
        resource in prop::option::of(nearly()),
    ) {
        let made = Jid::from_parts(local.as_deref(), &domain, resource.as_deref());
        if let Ok(jid) = made {
            prop_assert_eq!(jid.local().is_some(), local.is_some());
            prop_assert_eq!(jid.resource().is_some(), resource.is_some());
            let again = Jid::from_parts(jid.local(), jid.domain(), jid.resource());
            prop_assert_eq!(again.as_ref(), Ok(&jid));
            prop_assert_eq!(Jid::parse(jid.as_str()), Ok(jid));
        }
    }

    #[test]
    fn the_short_way_and_the_long_way_agree(text in "[a-zX@/.\\- :'0-9]{0,20}") {
        let (bare, resource) = match text.split_once('/') {
            Some((bare, resource)) => (bare, Some(resource)),
            None => (text.as_str(), None),
        };
        let (local, domain) = match bare.split_once('@') {
            Some((local, domain)) => (Some(local), domain),
            None => (None, bare),
        };
        prop_assert_eq!(Jid::parse(&text), Jid::from_parts(local, domain, resource));
    }

    #[test]
    fn an_attribute_holds_it_escaped(resource in prop::option::of("[ -~é\u{fb01}]{1,40}")) {
        let full = Jid::from_parts(Some("romeo"), "montague.example", resource.as_deref());
        if let Ok(full) = full {
            for jid in [full.clone(), full.bare(), full.domain_jid()] {
                let (mut written, mut escaped) = (Vec::new(), Vec::new());
                jid.write_attr(&mut written);
                escape_attr(jid.as_str(), &mut escaped);
                prop_assert_eq!(written, escaped);
            }
        }
    }

    #[test]
    fn plain_ascii_is_read_as_the_jid_crate_reads_it(
        local in prop::option::of("[a-zA-Z0-9.!#$%*+=?^_`{|}~-]{0,12}"),
        domain in "[a-zA-Z0-9]{1,8}(\\.[a-zA-Z0-9]{1,8}){0,2}",
        resource in prop::option::of("[ -~]{0,12}"),
    ) {
        let mut text = String::new();
        if let Some(local) = &local { text += local; text += "@"; }
        text += &domain;
        if let Some(resource) = &resource { text += "/"; text += resource; }
        let theirs = jid::Jid::new(&text);
        let ours = Jid::parse(&text);
        prop_assert_eq!(ours.is_ok(), theirs.is_ok(), "{} {:?} {:?}", text, ours, theirs);
        if let (Ok(ours), Ok(theirs)) = (ours, theirs) {
            prop_assert_eq!(ours.as_str(), theirs.as_str());
        }
    }
}
