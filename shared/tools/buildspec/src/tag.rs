//! Docker image tags: which texts are valid, and how to make a text valid.

/// The longest tag that a registry accepts.
pub const LONGEST: usize = 128;

/// Whether `text` is a tag: `[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}` (OCI distribution specification, "Pulling
/// manifests").
#[must_use]
pub fn is_valid(text: &str) -> bool {
    let starts_well = text
        .chars()
        .next()
        .is_some_and(|first| first.is_ascii_alphanumeric() || first == '_');
    starts_well && text.len() <= LONGEST && text.chars().all(is_tag_character)
}

/// The tag that resembles `text`; a valid tag stays unchanged.
///
/// Two texts may become the same tag (`a/b` and `a-b`), so a name that must be unique is built from
/// a commit and a build, never from a branch.
#[must_use]
pub fn sanitize(text: &str) -> String {
    let mut tag: String = text
        .chars()
        .map(|character| {
            if is_tag_character(character) {
                character
            } else {
                '-'
            }
        })
        .collect();
    if !tag.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '_') {
        tag.insert(0, '_');
    }
    tag.truncate(LONGEST);
    tag
}

fn is_tag_character(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '_' | '.' | '-')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_text_becomes_the_tag_it_resembles() {
        let long = "x".repeat(200);
        for (text, tag) in [
            ("v1.2.3", "v1.2.3"),
            ("", "_"),
            ("feature/a", "feature-a"),
            ("project:0123-abcd", "project-0123-abcd"),
            ("-upload-pack=touch", "_-upload-pack-touch"),
            (".hidden", "_.hidden"),
            ("é", "_-"),
            ("a$(id)", "a--id-"),
            (long.as_str(), &long[..LONGEST]),
        ] {
            assert_eq!(sanitize(text), tag, "{text}");
        }
    }

    proptest! {
        #[test]
        fn a11_whatever_comes_in_a_valid_tag_comes_out_and_stays(text in any::<String>()) {
            let tag = sanitize(&text);
            prop_assert!(is_valid(&tag), "{tag:?}");
            prop_assert_eq!(sanitize(&tag), tag);
        }

        #[test]
        fn a_valid_tag_is_left_alone(text in "[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}") {
            prop_assert!(is_valid(&text));
            prop_assert_eq!(sanitize(&text), text);
        }

        #[test]
        fn one_foreign_character_makes_a_tag_invalid(head in "[a-z]{1,20}", foreign in "[^A-Za-z0-9_.-]", tail in "[a-z]{0,20}") {
            prop_assert!(!is_valid(&format!("{head}{foreign}{tail}")), "a foreign character was let through");
        }
    }
}
