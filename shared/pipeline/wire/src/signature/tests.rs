//! What passes the signature check, and what never does.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use super::*;

const CURRENT: &str = "current-0123456789abcdef0123456789abcdef";
const PREVIOUS: &str = "previous-0123456789abcdef0123456789abcde";
const RETIRED: &str = "retired-0123456789abcdef0123456789abcdef";
const BODY: &[u8] = b"{\"zen\":\"Keep it logically awesome.\"}";

fn secret(text: &str) -> Secret {
    Secret::new(text).unwrap()
}

fn secrets() -> Secrets {
    Secrets::new(secret(CURRENT), Some(secret(PREVIOUS)))
}

fn check(headers: &[(&str, &str)], body: &[u8], expected: Result<(), SignatureError>) {
    let headers: Headers = headers.iter().copied().collect();
    let verified = verify(&headers, body.to_vec(), &secrets());
    assert_eq!(
        verified.as_ref().map(|_| ()).map_err(|error| *error),
        expected,
        "{headers:?}"
    );
    if let Ok(verified) = verified {
        assert_eq!(verified.bytes(), body);
    }
}

#[test]
fn a1_only_one_sha256_signature_counts() {
    let good = sign(&secret(CURRENT), BODY);
    let name = "X-Hub-Signature-256";
    check(&[], BODY, Err(SignatureError::Missing));
    check(
        &[("x-hub-signature", "sha1=0123")],
        BODY,
        Err(SignatureError::Missing),
    );
    check(
        &[("x-hub-signature", &good)],
        BODY,
        Err(SignatureError::Missing),
    );
    check(
        &[(name, &good), (name, &good)],
        BODY,
        Err(SignatureError::Several),
    );
    check(
        &[(name, &format!("{good},{good}"))],
        BODY,
        Err(SignatureError::Malformed),
    );
    check(&[(name, &good)], BODY, Ok(()));
    check(&[("x-hub-signature-256", &good)], BODY, Ok(()));
}

#[test]
fn a2_the_documented_vector_fits() {
    assert_eq!(
        signature(b"It's a Secret to Everybody", b"Hello, World!"),
        "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    );
}

#[test]
fn a2_every_flipped_digit_is_refused() {
    let good = sign(&secret(CURRENT), BODY);
    for position in "sha256=".len()..good.len() {
        let digit = good.as_bytes()[position];
        let other = if digit == b'0' { "1" } else { "0" };
        let mut forged = good.clone();
        forged.replace_range(position..=position, other);
        check(&[(HEADER, &forged)], BODY, Err(SignatureError::Wrong));
    }
}

#[test]
fn a2_any_other_form_of_the_signature_is_refused() {
    let good = sign(&secret(CURRENT), BODY);
    let digits = good.strip_prefix("sha256=").unwrap();
    for malformed in [
        String::new(),
        digits.to_owned(),
        format!("SHA256={digits}"),
        format!("sha256={}", digits.to_uppercase()),
        format!("sha256={digits}0"),
        format!("sha256={}", &digits[..63]),
        format!("sha256={}", &digits[..62]),
        format!("sha256= {digits}"),
        format!(" {good}"),
        format!("{good} "),
        format!("sha1={digits}"),
        format!("sha256={}é", &digits[..62]),
        "sha256=".to_owned(),
    ] {
        check(
            &[(HEADER, &malformed)],
            BODY,
            Err(SignatureError::Malformed),
        );
    }
}

#[test]
fn a2_a_changed_body_is_refused() {
    let good = sign(&secret(CURRENT), BODY);
    for body in [&b""[..], &BODY[1..], &[BODY, b"\n"].concat()] {
        check(&[(HEADER, &good)], body, Err(SignatureError::Wrong));
    }
}

#[test]
fn a3_a_secret_is_long_and_has_no_white_space_around_it() {
    let refused = |text: &str, why: SecretError| assert_eq!(Secret::new(text).unwrap_err(), why);
    refused("", SecretError::Blank);
    refused("\n", SecretError::Blank);
    refused(&" ".repeat(40), SecretError::Blank);
    refused("hello", SecretError::Short(5));
    refused(&"x".repeat(31), SecretError::Short(31));
    refused(&format!(" {CURRENT}"), SecretError::Surrounded);
    refused(&format!("{CURRENT}\n\n"), SecretError::Surrounded);
    assert!(Secret::new(&"x".repeat(32)).is_ok());
    let from_file = secret(&format!("{CURRENT}\r\n"));
    assert_eq!(sign(&from_file, BODY), sign(&secret(CURRENT), BODY));
}

#[test]
fn a3_a_secret_is_never_shown() {
    let shown = format!("{:?} {:#?}", secret(CURRENT), secrets());
    assert!(!shown.contains("0123"), "{shown}");
}

#[test]
fn a4_the_previous_key_counts_and_a_retired_one_does_not() {
    check(&[(HEADER, &sign(&secret(CURRENT), BODY))], BODY, Ok(()));
    check(&[(HEADER, &sign(&secret(PREVIOUS), BODY))], BODY, Ok(()));
    let retired = sign(&secret(RETIRED), BODY);
    check(&[(HEADER, &retired)], BODY, Err(SignatureError::Wrong));
}
