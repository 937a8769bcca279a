//! The platform an image runs on.

use std::fmt;
use std::str::FromStr;

use oci_spec::image as oci;

use crate::error::Refusal;

/// Operating system, architecture and, where it matters, its variant, in Go's words:
/// `linux/amd64`, `linux/arm64`, `linux/arm/v7`.
///
/// `x86_64` and `aarch64`, as compilers say, are understood and become `amd64` and `arm64`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Platform {
    os: String,
    architecture: String,
    variant: Option<String>,
}

impl Platform {
    /// The operating system, such as `linux`.
    #[must_use]
    pub fn os(&self) -> &str {
        &self.os
    }

    /// The architecture, such as `arm64`.
    #[must_use]
    pub fn architecture(&self) -> &str {
        &self.architecture
    }

    /// The variant of the architecture, such as `v7`.
    #[must_use]
    pub fn variant(&self) -> Option<&str> {
        self.variant.as_deref()
    }

    /// Whether an image for `offered` is one for this platform. A variant counts only where
    /// both sides name one.
    pub(crate) fn accepts(&self, offered: &Self) -> bool {
        let variants_agree = match (&self.variant, &offered.variant) {
            (Some(wanted), Some(found)) => wanted == found,
            (None, _) | (_, None) => true,
        };
        self.os == offered.os && self.architecture == offered.architecture && variants_agree
    }

    pub(crate) fn of_config(config: &oci::ImageConfiguration) -> Self {
        Self {
            os: config.os().to_string(),
            architecture: config.architecture().to_string(),
            variant: config.variant().clone(),
        }
    }

    pub(crate) fn of_descriptor(platform: &oci::Platform) -> Self {
        Self {
            os: platform.os().to_string(),
            architecture: platform.architecture().to_string(),
            variant: platform.variant().clone(),
        }
    }

    pub(crate) fn to_descriptor(&self) -> oci::Platform {
        let mut platform = oci::Platform::default();
        platform.set_os(self.os.as_str().into());
        platform.set_architecture(self.architecture.as_str().into());
        platform.set_variant(self.variant.clone());
        platform
    }
}

impl FromStr for Platform {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        let is_word = |word: &str| {
            !word.is_empty()
                && word
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        };
        let words: Vec<&str> = text.split('/').collect();
        let (2..=3, true) = (words.len(), words.iter().all(|word| is_word(word))) else {
            let rule = "is not OS/ARCHITECTURE or OS/ARCHITECTURE/VARIANT, such as linux/amd64";
            return Err(Refusal::value("the platform", text, rule));
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
