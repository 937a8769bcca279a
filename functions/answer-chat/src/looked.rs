//! The list of people, and whether a lookup in it found nobody.

use std::sync::atomic::{AtomicBool, Ordering};

use towline_answers::Authenticate;
use towline_domain::person::Person;
use towline_wire::people::{People, SlackUser};

/// The people known so far; empty while the list cannot be read.
pub struct Looked<'a> {
    people: Option<&'a People>,
    in_vain: AtomicBool,
}

impl<'a> Looked<'a> {
    /// Looks people up in this list.
    pub fn among(people: Option<&'a People>) -> Self {
        Self {
            people,
            in_vain: AtomicBool::new(false),
        }
    }

    /// Whether somebody was looked up who is not in the list.
    pub fn in_vain(&self) -> bool {
        self.in_vain.load(Ordering::Relaxed)
    }

    fn noted(&self, found: Option<&Person>) -> Option<Person> {
        self.in_vain.store(found.is_none(), Ordering::Relaxed);
        found.cloned()
    }
}

impl Authenticate for Looked<'_> {
    fn by_token(&self, token: &str) -> Option<Person> {
        self.noted(self.people.and_then(|people| people.by_token(token)))
    }

    fn by_arn(&self, arn: &str) -> Option<Person> {
        self.noted(self.people.and_then(|people| people.by_arn(arn)))
    }

    fn by_slack(&self, user: &SlackUser) -> Option<Person> {
        self.noted(self.people.and_then(|people| people.by_slack(user)))
    }
}
