//! The platform of an image.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::NameError;

/// Operating system, architecture and, if it matters, its variant, in Go's words: `linux/amd64`,
/// `linux/arm64`, `linux/arm/v7`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Platform {
    /// The operating system, such as `linux`.
    pub os: String,
    /// The architecture, such as `arm64`.
    pub architecture: String,
    /// The variant of the architecture, such as `v8`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

impl Platform {
    /// Whether it names a platform. Attestations are listed in an index as manifests for
    /// `unknown/unknown` (buildkit).
    #[must_use]
    pub fn is_known(&self) -> bool {
        let known = |text: &str| !text.is_empty() && text != "unknown";
        known(&self.os) && known(&self.architecture)
    }

    /// Whether an image for `offered` runs here. A variant counts only if both name one.
    #[must_use]
    pub fn accepts(&self, offered: &Self) -> bool {
        let variants_agree = match (&self.variant, &offered.variant) {
            (Some(wanted), Some(found)) => wanted == found,
            (None, _) | (_, None) => true,
        };
        self.os == offered.os && self.architecture == offered.architecture && variants_agree
    }

    /// The offer for exactly this platform, else the first that it accepts.
    pub fn choose<'a, T>(&self, offers: &'a [(Self, T)]) -> Option<&'a T> {
        let exact = offers.iter().find(|(offered, _)| offered == self);
        let near = || offers.iter().find(|(offered, _)| self.accepts(offered));
        exact.or_else(near).map(|(_, offer)| offer)
    }
}

/// The compilers' names `x86_64` and `aarch64` become `amd64` and `arm64`.
impl FromStr for Platform {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let is_word = |word: &str| {
            let in_word = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_');
            !word.is_empty() && word.bytes().all(in_word)
        };
        let words: Vec<&str> = text.split('/').collect();
        let (2..=3, true) = (words.len(), words.iter().all(|word| is_word(word))) else {
            let expected =
                "a platform: OS/ARCHITECTURE or OS/ARCHITECTURE/VARIANT, such as linux/amd64";
            return Err(NameError::new(text, expected));
        };
        let architecture = match words[1] {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        Ok(Self {
            os: words[0].to_owned(),
            architecture: architecture.to_owned(),
            variant: words.get(2).map(|word| (*word).to_owned()),
        })
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        match &self.variant {
            Some(variant) => write!(f, "/{variant}"),
            None => Ok(()),
        }
    }
}

#[cfg(feature = "documents")]
impl From<&oci_spec::image::Platform> for Platform {
    fn from(platform: &oci_spec::image::Platform) -> Self {
        Self {
            os: platform.os().to_string(),
            architecture: platform.architecture().to_string(),
            variant: platform.variant().clone(),
        }
    }
}

#[cfg(feature = "documents")]
impl From<&Platform> for oci_spec::image::Platform {
    fn from(platform: &Platform) -> Self {
        let mut of_spec = Self::default();
        of_spec.set_os(platform.os.as_str().into());
        of_spec.set_architecture(platform.architecture.as_str().into());
        of_spec.set_variant(platform.variant.clone());
        of_spec
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn platform(text: &str) -> Platform {
        text.parse().expect("a platform")
    }

    #[test]
    fn a_platform_is_two_or_three_words() {
        for (text, expected) in [
            ("linux/amd64", "linux/amd64"),
            ("linux/x86_64", "linux/amd64"),
            ("linux/aarch64", "linux/arm64"),
            ("linux/arm/v7", "linux/arm/v7"),
        ] {
            assert_eq!(platform(text).to_string(), expected);
        }
        for text in ["", "linux", "linux/", "Linux/amd64", "a/b/c/d", "a/b c"] {
            assert!(text.parse::<Platform>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_variant_counts_only_where_both_name_one() {
        for (wanted, offered, accepted) in [
            ("linux/arm64", "linux/arm64/v8", true),
            ("linux/arm64/v8", "linux/arm64", true),
            ("linux/arm/v7", "linux/arm/v6", false),
            ("linux/arm64", "linux/amd64", false),
            ("linux/amd64", "windows/amd64", false),
        ] {
            let found = platform(wanted).accepts(&platform(offered));
            assert_eq!(found, accepted, "{wanted} {offered}");
        }
    }

    #[test]
    fn the_exact_platform_is_chosen_before_one_that_will_do() {
        let offers = ["linux/arm/v6", "linux/arm", "linux/arm/v7"];
        let offers: Vec<_> = offers.map(|text| (platform(text), text)).into();
        for (wanted, chosen) in [
            ("linux/arm/v7", Some("linux/arm/v7")),
            ("linux/arm/v5", Some("linux/arm")),
            ("linux/arm", Some("linux/arm")),
            ("linux/amd64", None),
        ] {
            assert_eq!(
                platform(wanted).choose(&offers),
                chosen.as_ref(),
                "{wanted}"
            );
        }
    }

    #[test]
    fn what_attestations_are_listed_under_is_not_a_platform() {
        assert!(platform("linux/amd64").is_known());
        assert!(!platform("unknown/unknown").is_known());
    }
}
