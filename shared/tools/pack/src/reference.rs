//! The references of images to pull and push.

use std::fmt;
use std::str::FromStr;

use oci_client::Reference;
use oci_client::secrets::RegistryAuth;
use secrecy::{ExposeSecret as _, SecretString};
use towline_oci::{Digest, ImageRepository, Tag};

use crate::error::Refusal;
use crate::host::Host;

/// A user name and a password or token for a registry.
#[derive(Debug, Clone)]
pub struct Basic {
    /// The user name; ECR's is `AWS`.
    pub username: String,
    /// The password or token.
    pub password: SecretString,
}

/// The protocol of a registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Transport {
    /// HTTPS with the machine's trusted roots.
    #[default]
    Tls,
    /// Plain HTTP, refused unless the registry is on this machine.
    PlainOnLoopback,
    /// Plain HTTP to any registry. Anyone on the network can read credentials and layers.
    PlainAnywhere,
}

/// A registry and how to reach it.
#[derive(Debug, Clone)]
pub struct Registry {
    /// Host, and port if it is not the default.
    pub host: Host,
    /// HTTPS by default.
    pub transport: Transport,
    /// `None` for anonymous access.
    pub credentials: Option<Basic>,
}

/// A base image, named by digest so that it stays the same.
///
/// Parsed from `HOST/REPOSITORY@sha256:…` (a tag before the `@` is ignored, short names have the
/// same meaning as in Docker); TLS and anonymous access by default.
#[derive(Debug, Clone)]
pub struct BaseReference {
    pub registry: Registry,
    pub repository: ImageRepository,
    /// The digest of its manifest, or of an index that lists one per platform.
    pub digest: Digest,
}

/// The place an image is pushed to.
#[derive(Debug, Clone)]
pub struct Target {
    pub registry: Registry,
    pub repository: ImageRepository,
    /// The tags to put on the image; at least one.
    pub tags: Vec<Tag>,
}

impl Registry {
    /// A registry over TLS, without credentials.
    #[must_use]
    pub fn new(host: Host) -> Self {
        Self {
            host,
            transport: Transport::Tls,
            credentials: None,
        }
    }

    pub(crate) fn authentication(&self) -> RegistryAuth {
        match &self.credentials {
            Some(basic) => {
                let password = basic.password.expose_secret().to_owned();
                RegistryAuth::Basic(basic.username.clone(), password)
            }
            None => RegistryAuth::Anonymous,
        }
    }
}

impl BaseReference {
    /// The manifest of this digest in the base's repository.
    pub(crate) fn at(&self, digest: &Digest) -> Reference {
        Reference::with_digest(
            self.registry.host.to_string(),
            self.repository.to_string(),
            digest.to_string(),
        )
    }
}

impl Target {
    pub(crate) fn at(&self, tag: &Tag) -> Reference {
        Reference::with_tag(
            self.registry.host.to_string(),
            self.repository.to_string(),
            tag.to_string(),
        )
    }
}

impl FromStr for BaseReference {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        let Some((name, digest)) = text.split_once('@') else {
            let rule = format!(
                "can move: name the base by digest, {text}@sha256:…; the tag alone is not enough"
            );
            return Err(Refusal::value("the base", text, rule));
        };
        let digest: Digest = digest.parse()?;
        let reference = Reference::from_str(name).map_err(|error| {
            Refusal::value(
                "the base",
                text,
                format!("is not HOST/REPOSITORY@sha256:…: {error}"),
            )
        })?;
        Ok(Self {
            registry: Registry::new(reference.registry().parse()?),
            repository: reference.repository().parse()?,
            digest,
        })
    }
}

impl fmt::Display for BaseReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}/{}@{}",
            self.registry.host, self.repository, self.digest
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn check(text: &str, expected: &str) {
        let found = match text.parse::<BaseReference>() {
            Ok(base) => base.to_string(),
            Err(refusal) => refusal.to_string(),
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn a_base_is_named_by_digest() {
        let plain = format!("registry.example:5000/shop/base@{DIGEST}");
        check(&plain, &plain);
        check(
            &format!("registry.example:5000/shop/base:1.2@{DIGEST}"),
            &plain,
        );
    }

    #[test]
    fn a_base_named_by_tag_is_refused_with_what_to_write_instead() {
        check(
            "registry.example/base:1",
            "the base \"registry.example/base:1\" can move: name the base by digest, \
             registry.example/base:1@sha256:…; the tag alone is not enough",
        );
        check(
            "registry.example/base@sha256:12",
            "\"sha256:12\" is not an image digest such as sha256: and 64 hexadecimal digits",
        );
    }

    #[test]
    fn a_password_does_not_show_in_debug_output() {
        let basic = Basic {
            username: "AWS".into(),
            password: "hunter2".into(),
        };
        assert_eq!(
            format!("{basic:?}"),
            "Basic { username: \"AWS\", password: SecretBox<str>([REDACTED]) }"
        );
    }
}
