//! The people who took part in a push, by login, address and name, including the co-authors that
//! messages name.

use std::collections::HashSet;

use serde::Deserialize;
use towline_domain::authors::MOST_BYTES;
use towline_domain::untrusted::{Untrusted, co_authors};

use super::text::Text;

/// The domain of addresses that GitHub gives to people who hide theirs: `ID+LOGIN@` or `LOGIN@`
/// (GitHub docs, "Email addresses reference").
const NO_REPLY: &str = "@users.noreply.github.com";

/// The people of a push that no webhook reported, in the form that a push keeps, and whether there are
/// more.
#[must_use]
pub fn authors(people: &[String]) -> (Vec<String>, bool) {
    let mut authors = Authors::default();
    for person in people {
        authors.add_address(person);
    }
    (authors.names, authors.cut)
}

/// A person as GitHub writes them beside a commit.
#[derive(Deserialize)]
pub(super) struct Author<'a> {
    #[serde(borrow)]
    name: Option<Text<'a>>,
    #[serde(borrow)]
    email: Option<Text<'a>>,
    #[serde(borrow)]
    username: Option<Text<'a>>,
}

/// The authors of a push.
#[derive(Default)]
pub(super) struct Authors {
    pub(super) names: Vec<String>,
    /// Whether there are more.
    pub(super) cut: bool,
    seen: HashSet<String>,
    bytes: usize,
}

impl Authors {
    pub(super) fn add_commit(
        &mut self,
        author: Option<&Author<'_>>,
        committer: Option<&Author<'_>>,
        message: &str,
    ) {
        for person in [author, committer].into_iter().flatten() {
            if let Some(login) = &person.username {
                self.add(login);
            }
            if let Some(email) = &person.email {
                self.add_address(email);
            }
            if let Some(name) = &person.name {
                self.add(name);
            }
        }
        for person in co_authors(message) {
            self.add_address(&person);
        }
    }

    /// Adds an address, and the login that GitHub wrote into it.
    pub(super) fn add_address(&mut self, address: &str) {
        let split = address.len().saturating_sub(NO_REPLY.len());
        if let (Some(local), Some(domain)) = (address.get(..split), address.get(split..))
            && domain.eq_ignore_ascii_case(NO_REPLY)
        {
            let login = local.split_once('+').map_or(local, |(_, login)| login);
            self.add(login);
        }
        self.add(address);
    }

    /// Adds a login, a name or an address.
    pub(super) fn add(&mut self, text: &str) {
        // Thousands of commits have few authors.
        if self.cut || self.seen.contains(text) {
            return;
        }
        self.seen.insert(text.to_owned());
        let name = shown(text);
        if name.is_empty() || self.names.contains(&name) {
            return;
        }
        self.bytes += name.len() + 3;
        if self.bytes > MOST_BYTES {
            self.cut = true;
            return;
        }
        self.names.push(name);
    }
}

/// A name or address on one line without control characters, cut to 200 characters (A10).
pub(super) fn shown(text: &str) -> String {
    Untrusted::first_line(text).display()
}
