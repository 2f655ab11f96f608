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
