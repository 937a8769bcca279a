//! A registry's host name or address, checked when it is parsed.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use crate::error::Refusal;

/// A registry's host name or address, with its port if it is not the default.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Host(String);

impl FromStr for Host {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        let (name, port) = split_port(text);
        let is_address = name.parse::<IpAddr>().is_ok();
        let is_name = !name.is_empty()
            && name.split('.').all(|label| {
                !label.is_empty()
                    && !label.starts_with('-')
                    && !label.ends_with('-')
                    && label
                        .bytes()
                        .all(|b| b.is_ascii_alphanumeric() || b == b'-')
            });
        let is_port = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0));
        if !(is_address || is_name) || !is_port {
            let rule = "is not HOST or HOST:PORT, without `https://` and path";
            return Err(Refusal::value("the registry", text, rule));
        }
        Ok(Self(text.to_owned()))
    }
}

impl Host {
    /// The text as it was given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is the machine itself, by name (`localhost`) or address.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        let (name, _) = split_port(&self.0);
        name.eq_ignore_ascii_case("localhost")
            || name
                .parse::<IpAddr>()
                .is_ok_and(|address| address.is_loopback())
    }
}

/// Splits `HOST:PORT`; an IPv6 address is in brackets.
fn split_port(text: &str) -> (&str, Option<&str>) {
    if let Some((address, rest)) = text.strip_prefix('[').and_then(|text| text.split_once(']')) {
        return match rest.strip_prefix(':') {
            Some(port) => (address, Some(port)),
            None if rest.is_empty() => (address, None),
            None => ("", None),
        };
    }
    match text.split_once(':') {
        Some((name, port)) => (name, Some(port)),
        None => (text, None),
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<T: FromStr>(accepted: &[&str], refused: &[&str]) {
        for text in accepted {
            assert!(text.parse::<T>().is_ok(), "{text:?} must be accepted");
        }
        for text in refused {
            assert!(text.parse::<T>().is_err(), "{text:?} must be refused");
        }
    }

    #[test]
    fn a_host_has_no_scheme_and_no_path() {
        check::<Host>(
            &[
                "localhost",
                "127.0.0.1:5000",
                "registry.example",
                "[::1]:5000",
                "a-b.example:443",
            ],
            &[
                "",
                "https://a",
                "a/b",
                "a:b",
                "a:0",
                "a:70000",
                "a b",
                "a@b",
                "-a",
                "a..b",
                "::1x:1",
            ],
        );
    }

    #[test]
    fn only_the_machine_itself_is_loopback() {
        let is_loopback = |text: &str| text.parse::<Host>().is_ok_and(|host| host.is_loopback());
        for text in [
            "localhost",
            "LOCALHOST:1",
            "127.0.0.1:5000",
            "127.9.9.9",
            "[::1]:5000",
        ] {
            assert!(is_loopback(text), "{text}");
        }
        for text in [
            "localhost.example",
            "127.0.0.1.example",
            "10.0.0.1",
            "[2001:db8::1]:5000",
        ] {
            assert!(!is_loopback(text), "{text}");
        }
    }
}
