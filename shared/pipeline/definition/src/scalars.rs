//! Reads the small values of a definition: durations, numbers, patterns, paths, names of variables.

use std::ops::RangeInclusive;
use std::time::Duration;

use towline_buildspec::generate::{is_name, provided, reserved};
use towline_domain::definition::Glob;

use super::limits::{IMAGE_NAME, LONGEST, PATH_BYTES, PATTERNS, WORD};
use super::reader::{Fields, Place, Report, shown};

impl Report {
    /// `90s`, `20m`, `1h` or `7d`, greater than zero.
    pub(super) fn duration(&mut self, place: &Place<'_>) -> Option<Duration> {
        self.duration_within(place, Duration::from_secs(1)..=LONGEST, "1s to 366d")
    }

    /// Like [`Self::duration`], within the limits that `words` names.
    pub(super) fn duration_within(
        &mut self,
        place: &Place<'_>,
        range: RangeInclusive<Duration>,
        words: &str,
    ) -> Option<Duration> {
        let text = self.text(place)?;
        let duration = parse_duration(text);
        match duration {
            None => {
                let message = format!(
                    "{} is not a duration; write a number and a unit, such as 90s, 20m, 1h or 7d",
                    shown(text)
                );
                self.error(place, message);
            }
            Some(duration) if !range.contains(&duration) => {
                self.error(place, format!("{text} is out of range; write {words}"));
            }
            Some(_) => {}
        }
        duration
    }

    /// A whole number.
    pub(super) fn number(&mut self, place: &Place<'_>, range: RangeInclusive<u32>) -> Option<u32> {
        let text = self.text(place)?;
        let number = text.parse().ok().filter(|number| range.contains(number));
        if number.is_none() {
            let (from, to) = range.into_inner();
            let message = format!("{} is not a whole number from {from} to {to}", shown(text));
            self.error(place, message);
        }
        number
    }

    /// `true` or `false`.
    pub(super) fn flag(&mut self, place: &Place<'_>) -> Option<bool> {
        let flag = place.node.as_bool11();
        if flag.is_none() {
            self.error(place, "write `true` or `false`, without quotes");
        }
        flag
    }

    /// The texts listed under a key, or a single one; none if the key is not written.
    pub(super) fn texts_of(&mut self, fields: &Fields<'_>, key: &str) -> Vec<String> {
        let Some(place) = fields.get(key) else {
            return Vec::new();
        };
        let items = self.one_or_more(&place);
        let texts = items.iter().filter_map(|item| self.text(item));
        texts.map(str::to_owned).collect()
    }

    /// The patterns listed under a key, or a single one; none if the key is not written.
    pub(super) fn globs(&mut self, fields: &Fields<'_>, key: &str) -> Vec<Glob> {
        let Some(place) = fields.get(key) else {
            return Vec::new();
        };
        let items = self.one_or_more(&place);
        items.iter().filter_map(|item| self.glob(item)).collect()
    }

    fn glob(&mut self, place: &Place<'_>) -> Option<Glob> {
        let text = self.text(place)?;
        self.patterns += 1;
        if self.patterns > PATTERNS {
            if self.patterns == PATTERNS + 1 {
                let message = format!("a definition has at most {PATTERNS} patterns");
                self.error(place, message);
            }
            return None;
        }
        Glob::new(text)
            .map_err(|error| self.error(place, error.to_string()))
            .ok()
    }

    /// A path within the repository.
    pub(super) fn path(&mut self, place: &Place<'_>) -> Option<String> {
        let text = self.text(place)?;
        if is_inside(text) {
            return Some(text.to_owned());
        }
        let message = format!(
            "{} is not a path inside the repository; write a relative path without `..` that does not start with `-` or `~`",
            shown(text)
        );
        self.error(place, message);
        None
    }

    /// A text that follows a rule, which `expected` describes.
    pub(super) fn shaped(
        &mut self,
        place: &Place<'_>,
        expected: &str,
        fits: fn(&str) -> bool,
    ) -> Option<String> {
        let text = self.text(place)?;
        if fits(text) {
            return Some(text.to_owned());
        }
        self.error(place, format!("{} is not {expected}", shown(text)));
        None
    }
}

fn parse_duration(text: &str) -> Option<Duration> {
    let unit = match text.as_bytes().last()? {
        b's' => 1,
        b'm' => 60,
        b'h' => 3_600,
        b'd' => 86_400,
        _ => return None,
    };
    let digits = &text[..text.len() - 1];
    let plain = (1..=9).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    let number: u64 = plain.then(|| digits.parse().ok())??;
    Some(Duration::from_secs(number * unit))
}

fn is_inside(path: &str) -> bool {
    path.len() <= PATH_BYTES
        && !path.starts_with(['/', '-', '~'])
        && !path.contains('\\')
        && !path.chars().any(char::is_control)
        && path.split('/').all(|part| part != "..")
}

pub(super) fn why_not_variable(name: &str) -> Option<&'static str> {
    if !is_name(name) {
        Some("a variable's name has letters, digits and `_`, not starting with a digit")
    } else if reserved(name) {
        Some("this variable changes how the build itself runs and cannot be set; use another name")
    } else if provided(name) {
        Some("Towline sets this variable for every build; use another name")
    } else {
        None
    }
}

pub(super) fn is_image(text: &str) -> bool {
    text.len() <= IMAGE_NAME
        && text.starts_with(|first: char| first.is_ascii_alphanumeric())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"./:_@-".contains(&byte))
}

pub(super) fn is_plain_word(text: &str) -> bool {
    text.len() <= WORD
        && !text.starts_with('-')
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_a_number_and_a_unit() {
        for (text, seconds) in [("90s", 90), ("20m", 1_200), ("1h", 3_600), ("7d", 604_800)] {
            assert_eq!(parse_duration(text), Some(Duration::from_secs(seconds)));
        }
        for text in [
            "",
            "m",
            "20",
            "1.5h",
            "-1h",
            "1 h",
            "1w",
            "1h30m",
            "é",
            "1é",
            "9999999999s",
        ] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }

    #[test]
    fn a_path_stays_inside_the_repository() {
        for path in [".", "a", "a/b.yml", "./a", "a..b", "a/"] {
            assert!(is_inside(path), "{path}");
        }
        for path in ["/etc", "..", "a/../..", "-x", "~/x", "a\nb", "a\\b"] {
            assert!(!is_inside(path), "{path}");
        }
    }
}
